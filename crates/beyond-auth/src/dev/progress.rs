//! How long work is shown: a bar on a terminal, a line every five seconds elsewhere.

use std::{
    fmt,
    io::IsTerminal as _,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

const LINE_EVERY: Duration = Duration::from_secs(5);

/// Where long steps report to. One step at a time.
pub trait Progress: fmt::Debug + Send + Sync {
    /// Something the reader should know, once.
    fn note(&self, text: &str);
    /// A step begins; `total` is in bytes where it is known.
    fn begin(&self, what: &str, total: Option<u64>);
    /// The step is at `done` bytes. Also called without advance, as a sign of life.
    fn advance(&self, done: u64);
    /// The step is over, well or badly.
    fn end(&self);
}

/// Says nothing. For tests.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn note(&self, _text: &str) {}
    fn begin(&self, _what: &str, _total: Option<u64>) {}
    fn advance(&self, _done: u64) {}
    fn end(&self) {}
}

/// Reports on standard error.
#[derive(Debug, Default)]
pub struct Terminal {
    step: Mutex<Option<Step>>,
}

#[derive(Debug)]
enum Step {
    Bar(ProgressBar),
    Lines { what: String, total: Option<u64>, began: Instant, last: Instant },
}

impl Terminal {
    fn with<R>(&self, work: impl FnOnce(&mut Option<Step>) -> R) -> R {
        work(&mut self.step.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Progress for Terminal {
    fn note(&self, text: &str) {
        self.with(|step| match step {
            Some(Step::Bar(bar)) => bar.println(text),
            _ => eprintln!("{text}"),
        });
    }

    fn begin(&self, what: &str, total: Option<u64>) {
        let now = Instant::now();
        let begun = if std::io::stderr().is_terminal() {
            Step::Bar(bar(what, total))
        } else {
            eprintln!("{what} …");
            Step::Lines { what: what.to_owned(), total, began: now, last: now }
        };
        self.with(|step| *step = Some(begun));
    }

    fn advance(&self, done: u64) {
        self.with(|step| match step {
            Some(Step::Bar(bar)) if done > 0 => bar.set_position(done),
            Some(Step::Lines { what, total, began, last }) if last.elapsed() >= LINE_EVERY => {
                *last = Instant::now();
                eprintln!("{}", line(what, done, *total, began.elapsed()));
            }
            _ => {}
        });
    }

    fn end(&self) {
        if let Some(Step::Bar(bar)) = self.with(Option::take) {
            bar.finish_and_clear();
        }
    }
}

fn bar(what: &str, total: Option<u64>) -> ProgressBar {
    // Both templates are constants; the plain style stands in should one ever be mistyped.
    let style = |template: &str| {
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
    };
    let bar = match total {
        Some(total) => ProgressBar::new(total)
            .with_style(style("{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}")),
        None => ProgressBar::new_spinner().with_style(style("{spinner} {msg} {elapsed}")),
    };
    bar.enable_steady_tick(Duration::from_millis(100));
    bar.with_message(what.to_owned())
}

fn line(what: &str, done: u64, total: Option<u64>, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    match total {
        Some(total) if total > 0 => {
            format!("{what}: {} %, {seconds} s", done.saturating_mul(100) / total)
        }
        _ => format!("{what}: still going, {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_and_how_long() {
        assert_eq!(line("Fetching", 50, Some(200), Duration::from_secs(7)), "Fetching: 25 %, 7 s");
        assert_eq!(line("Fetching", 0, None, Duration::from_secs(7)), "Fetching: still going, 7 s");
    }
}
