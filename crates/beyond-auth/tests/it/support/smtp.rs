//! A real SMTP server beside the test: `tests/tools/smtp_server.py`, a process of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{OnceCell, watch};

/// How the server's connections are private.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Not at all.
    #[default]
    Plain,
    /// After STARTTLS; nothing is taken before.
    StartTls,
    /// From the first byte.
    Tls,
}

/// How to start a server. The default takes everything from everybody.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How connections are private.
    pub mode: Mode,
    /// User and password that must be given.
    pub credentials: Option<(&'static str, &'static str)>,
    /// The only sign-in mechanism on offer, `PLAIN` or `LOGIN`.
    pub mechanism: Option<&'static str>,
    /// 0 for any free one.
    pub port: u16,
}

/// A running server. Ends with the value.
pub struct SmtpServer {
    /// Where it listens.
    pub port: u16,
    options: Options,
    folder: PathBuf,
    child: Child,
    commands: ChildStdin,
    events: Arc<Mutex<Vec<Value>>>,
    news: watch::Receiver<usize>,
}

impl SmtpServer {
    /// Starts a server and waits until it listens.
    pub async fn start(options: Options) -> Self {
        let folder = std::env::temp_dir().join(format!("beyond-auth-smtp-{}", uuid::Uuid::now_v7().simple()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut command = Command::new(python().await);
        command.arg(root().join("crates/beyond-auth/tests/tools/smtp_server.py"));
        command.args(["--port", &options.port.to_string()]);
        command.args(["--mode", ["plain", "starttls", "tls"][options.mode as usize]]);
        if options.mode != Mode::Plain {
            let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
            let rcgen::CertifiedKey { cert, signing_key } =
                rcgen::generate_simple_self_signed(names).unwrap();
            std::fs::write(folder.join("certificate.pem"), cert.pem()).unwrap();
            std::fs::write(folder.join("key.pem"), signing_key.serialize_pem()).unwrap();
            command.arg("--certificate").arg(folder.join("certificate.pem"));
            command.arg("--key").arg(folder.join("key.pem"));
        }
        if let Some((user, password)) = options.credentials {
            command.args(["--user", user, "--password", password]);
        }
        if let Some(mechanism) = options.mechanism {
            command.args(["--mechanism", mechanism]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let commands = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let events = Arc::new(Mutex::new(Vec::new()));
        let (sender, news) = watch::channel(0);
        tokio::spawn({
            let events = Arc::clone(&events);
            async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    let count = {
                        let mut events = events.lock().unwrap();
                        events.push(serde_json::from_str::<Value>(&line).unwrap());
                        events.len()
                    };
                    sender.send_replace(count);
                }
            }
        });
        let mut server = Self { port: 0, options, folder, child, commands, events, news };
        let listening = server.wait_until(|event| event["event"] == "listening").await;
        server.port = u16::try_from(listening["port"].as_u64().unwrap()).unwrap();
        server
    }

    /// The URL with which mail gets through.
    pub fn url(&self) -> SecretString {
        let credentials = self.options.credentials.map(|(user, password)| {
            let encode = |text: &str| {
                let hex: Vec<_> = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
                hex.concat()
            };
            format!("{}:{}@", encode(user), encode(password))
        });
        let (scheme, query) = match self.options.mode {
            Mode::Plain => ("smtp", "tls=none".to_owned()),
            Mode::StartTls => ("smtp", format!("ca={}", self.certificate().display())),
            Mode::Tls => ("smtps", format!("ca={}", self.certificate().display())),
        };
        let port = self.port;
        format!("{scheme}://{}127.0.0.1:{port}?{query}", credentials.unwrap_or_default()).into()
    }

    /// The certificate it shows, which is its own authority.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("certificate.pem")
    }

    /// Behaves badly from now on: `none`, `temporary`, `permanent`, `mailbox`, `busy`, `hang` or `close`.
    pub async fn fault(&mut self, fault: &str) {
        self.events.lock().unwrap().retain(|event| event["event"] != "ready");
        self.commands.write_all(format!("fault {fault}\n").as_bytes()).await.unwrap();
        self.wait_until(|event| event["event"] == "ready").await;
    }

    /// All mails taken so far.
    pub fn mails(&self) -> Vec<Value> {
        self.all("mail")
    }

    /// All sign-ins tried so far.
    pub fn sign_ins(&self) -> Vec<Value> {
        self.all("auth")
    }

    /// The first mail to `address`, waiting for it.
    pub async fn wait_for(&self, address: &str) -> Value {
        self.wait_until(|event| event["event"] == "mail" && event["recipients"][0] == address).await
    }

    /// Waits until `count` mails have been taken.
    pub async fn wait_for_mails(&self, count: usize) -> Vec<Value> {
        let mut news = self.news.clone();
        let enough = news.wait_for(|_| self.mails().len() >= count);
        let patience = tokio::time::timeout(Duration::from_mins(1), enough).await;
        assert!(patience.is_ok(), "only {} of {count} mails came", self.mails().len());
        self.mails()
    }

    /// Kills it, as a crash would, and returns how to start it again on the same port.
    pub async fn kill(mut self) -> Options {
        self.child.kill().await.unwrap();
        Options { port: self.port, ..self.options.clone() }
    }

    fn all(&self, kind: &str) -> Vec<Value> {
        self.events.lock().unwrap().iter().filter(|event| event["event"] == kind).cloned().collect()
    }

    async fn wait_until(&self, matches: impl Fn(&Value) -> bool) -> Value {
        let mut news = self.news.clone();
        let found = async {
            loop {
                news.mark_unchanged();
                let found = self.events.lock().unwrap().iter().find(|event| matches(event)).cloned();
                if let Some(event) = found {
                    return event;
                }
                news.changed().await.expect("the SMTP server has ended");
            }
        };
        tokio::time::timeout(Duration::from_mins(1), found)
            .await
            .expect("the SMTP server said nothing like it")
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The interpreter that has the libraries of `tests/tools`, installed on first use.
pub async fn python() -> &'static Path {
    static PYTHON: OnceCell<PathBuf> = OnceCell::const_new();
    PYTHON
        .get_or_init(|| async {
            let output = Command::new(root().join("bin/setup-test-tools")).output().await.unwrap();
            let message = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "bin/setup-test-tools failed: {message}");
            PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
        })
        .await
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
