//! Logs: JSON for machines, lines for people in development, to standard error so that a command's output
//! stays its own.

use std::any::Any;
use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use super::config::Environment;

/// Starts logging for the whole process and sends panics there too. The first call wins; later ones (tests)
/// change nothing.
///
/// `log_level` is a filter such as `info` or `info,sqlx=warn`; one that does not parse counts as `info`, as
/// the configuration reports it a moment later.
pub fn install(environment: Environment, log_level: &str) {
    let filter = EnvFilter::builder().parse(log_level).unwrap_or_else(|_| EnvFilter::new("info"));
    let colour = environment == Environment::Development && wants_colour();
    if subscriber(environment, filter, colour, std::io::stderr).try_init().is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
}

fn subscriber<W>(
    environment: Environment,
    filter: EnvFilter,
    colour: bool,
    writer: W,
) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colour);
    let layer = match environment {
        // The spans go along as a list, so that a line deep inside still shows its request's id.
        Environment::Production => {
            layer.json().flatten_event(true).with_current_span(false).with_span_list(true).boxed()
        }
        Environment::Development => layer.compact().boxed(),
    };
    tracing_subscriber::registry().with(filter).with(layer)
}

/// Colour on a terminal, unless `NO_COLOR` is set to anything (no-color.org).
fn wants_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && std::io::stderr().is_terminal()
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let location = info.location().map(ToString::to_string);
    tracing::error!(
        location = location.as_deref().unwrap_or("unknown"),
        thread = std::thread::current().name().unwrap_or("unnamed"),
        "panic: {}",
        panic_text(info.payload())
    );
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("of an unknown kind")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Collects what is logged.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(environment: Environment, filter: &str, act: impl FnOnce()) -> String {
        let page = Page::default();
        let writer = page.clone();
        let subscriber = subscriber(environment, EnvFilter::new(filter), false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, act);
        String::from_utf8(page.0.lock().unwrap().clone()).unwrap()
    }

    fn in_a_request() {
        let _request = tracing::info_span!("request", request_id = "req-1").entered();
        let _inner = tracing::info_span!("inner").entered();
        tracing::info!(count = 3, "something happened");
        tracing::debug!("a detail");
    }

    #[test]
    fn production_logs_one_json_object_a_line_with_the_request_id() {
        let text = logged(Environment::Production, "info", in_a_request);
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "something happened");
        assert_eq!(line["count"], 3);
        assert_eq!(line["spans"][0]["request_id"], "req-1");
    }

    #[test]
    fn development_logs_lines_for_people() {
        let text = logged(Environment::Development, "debug", in_a_request);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("something happened") && text.contains("req-1"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_panic_is_told_by_its_message() {
        assert_eq!(panic_text(&"static"), "static");
        assert_eq!(panic_text(&"owned".to_owned()), "owned");
        assert_eq!(panic_text(&7), "of an unknown kind");
    }
}
