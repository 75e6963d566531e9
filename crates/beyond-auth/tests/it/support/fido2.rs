//! Passkeys by an implementation that is not ours: `tests/tools/fido2_peer.py`, a process of its own.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::smtp;

/// The other implementation, running.
pub struct Fido2 {
    _child: Child,
    asked: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    origin: String,
}

impl Fido2 {
    /// Starts it, with a browser on a page of this origin.
    pub async fn start(origin: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/fido2_peer.py");
        let mut child = Command::new(smtp::python().await)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (asked, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { _child: child, asked, answers: BufReader::new(answers).lines(), origin: origin.to_owned() }
    }

    async fn ask(&mut self, mut what: Value) -> Value {
        what["origin"] = self.origin.clone().into();
        self.asked.write_all(format!("{what}\n").as_bytes()).await.unwrap();
        let answer = self.answers.next_line().await.unwrap().expect("fido2 ended");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(answer.get("error").is_none(), "{answer}");
        answer
    }

    /// `navigator.credentials.create(options).toJSON()`.
    pub async fn create(&mut self, options: &Value, algorithm: i32) -> Value {
        let options = &options["options"]["publicKey"];
        self.ask(json!({ "do": "create", "options": options, "algorithm": algorithm })).await
    }

    /// `navigator.credentials.get(options).toJSON()`.
    pub async fn get(&mut self, options: &Value) -> Value {
        self.ask(json!({ "do": "get", "options": options["options"]["publicKey"] })).await
    }

    /// Judges what our authenticator made, as another service would.
    pub async fn check(&mut self, created: (&Value, &Value), got: (&Value, &Value)) {
        let part = |(options, credential): (&Value, &Value)| json!({ "options": options["options"]["publicKey"], "credential": credential });
        self.ask(json!({ "do": "check", "created": part(created), "got": part(got) })).await;
    }
}
