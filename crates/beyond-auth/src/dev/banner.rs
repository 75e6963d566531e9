//! What `dev` prints when everything stands: where to click, and a first thing to do.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::secrets;

/// What there is to tell.
#[derive(Debug)]
pub(super) struct Banner<'a> {
    /// The service, without a path.
    pub base: &'a Url,
    /// The database; shown without its password.
    pub database: &'a SecretString,
    /// Where the password of a private database lies.
    pub password: Option<&'a Path>,
    /// Database and secrets.
    pub data_dir: &'a Path,
    /// From the command to now.
    pub took: Duration,
}

impl Banner<'_> {
    /// Prints on standard output, in colour on a terminal that wants it (no-color.org).
    pub(super) fn print(&self) {
        let mut out = io::stdout().lock();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let text = self.render(out.is_terminal() && !refused);
        // A closed standard output is no reason not to serve.
        drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
    }

    /// At most 12 lines.
    fn render(&self, colour: bool) -> String {
        let (bold, dim, plain) = if colour { ("\u{1b}[1m", "\u{1b}[2m", "\u{1b}[0m") } else { ("", "", "") };
        let base = self.base.as_str().trim_end_matches('/');
        let mut text = String::new();
        let mut line = |name: &str, value: &str, aside: &str| {
            let aside = if aside.is_empty() { String::new() } else { format!("  {dim}{aside}{plain}") };
            let _ = writeln!(text, "  {dim}{name:<12}{plain}{value}{aside}");
        };
        line("Service", &format!("{bold}{base}{plain}"), "");
        line("Sign up", &format!("{bold}{base}/auth/sign-up{plain}"), "");
        line("API browser", &format!("{bold}{base}/v1/docs{plain}"), "");
        line("Mailbox", &format!("{bold}{base}/dev/mailbox{plain}"), "every mail lands here");
        let password = self.password.map(|file| format!("password in {}", file.display()));
        line("Database", &without_password(self.database), &password.unwrap_or_default());
        let admin = format!("secrets/{} opens /v1/admin", secrets::ADMIN_SECRET);
        line("Data", &self.data_dir.display().to_string(), &admin);
        let version = env!("CARGO_PKG_VERSION");
        let seconds = self.took.as_secs_f64();
        format!(
            "\n{bold}beyond-auth {version}{plain} is ready after {seconds:.1} s; Ctrl-C stops it and its database.\n\
             {text}Sign somebody up, then look into the mailbox:\n  \
             curl {base}/v1/users -H 'Content-Type: application/json' \
             -d '{{\"email\":\"ada@example.com\",\"password\":\"seven quiet rivers\"}}'\n\n"
        )
    }
}

/// Also without options: some of them are secrets too.
fn without_password(url: &SecretString) -> String {
    let Ok(mut url) = Url::parse(url.expose_secret()) else { return "as given".to_owned() };
    let _ = url.set_password(None);
    url.set_query(None);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(colour: bool) -> String {
        let base = "http://localhost:8080/".parse().unwrap();
        let database = SecretString::from("postgres://me:hunter2@127.0.0.1:5433/postgres?password=hunter2");
        Banner {
            base: &base,
            database: &database,
            password: Some(Path::new("/p/.beyond-auth/postgres/password")),
            data_dir: Path::new("/p/.beyond-auth"),
            took: Duration::from_millis(1_240),
        }
        .render(colour)
    }

    #[test]
    fn the_banner_is_short_and_says_where_to_click() {
        let text = rendered(false);
        assert!(text.lines().count() <= 12, "{text}");
        for part in [
            env!("CARGO_PKG_VERSION"),
            "http://localhost:8080\n",
            "http://localhost:8080/auth/sign-up",
            "http://localhost:8080/v1/docs",
            "http://localhost:8080/dev/mailbox",
            "postgres://me@127.0.0.1:5433/postgres ",
            "/p/.beyond-auth ",
            "secrets/admin-secret",
            "curl http://localhost:8080/v1/users ",
        ] {
            assert!(text.contains(part), "{part} is missing from {text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn colour_is_for_terminals() {
        assert!(!rendered(false).contains('\u{1b}'));
        assert!(rendered(true).contains('\u{1b}'));
    }
}
