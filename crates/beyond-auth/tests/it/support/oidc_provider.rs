//! A certified OpenID provider beside the test: `tests/oidc/provider.mjs`, a process of its own.
//!
//! What it answers is what the world answers; a provider that misbehaves is another module.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::OnceCell;

/// A running provider with one client. Ends with the value.
pub struct OidcProvider {
    /// How to reach it.
    pub told: Told,
    _child: Child,
    /// The process ends when nobody holds this any more, however the test does.
    _held: ChildStdin,
    /// It says something now and then, and must find somebody to say it to.
    _heard: Lines<BufReader<ChildStdout>>,
}

/// What the provider says of itself.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Told {
    pub issuer: String,
    pub client_id: String,
    pub client_secret: String,
}

impl OidcProvider {
    /// Starts a provider whose client may be sent back to these addresses, and waits until it listens.
    pub async fn start(redirect_uris: &[String]) -> Self {
        let mut command = Command::new("node");
        command.arg("provider.mjs").args(redirect_uris).current_dir(folder().await);
        // Its warnings are about use in earnest.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().expect("the tests need node 20 or newer");
        let held = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect("the provider ends at once");
        Self { told: serde_json::from_str(&line).unwrap(), _child: child, _held: held, _heard: lines }
    }
}

/// Where the script is, beside the packages that it needs: installed by whoever asks first.
async fn folder() -> &'static Path {
    static FOLDER: OnceCell<PathBuf> = OnceCell::const_new();
    FOLDER
        .get_or_init(|| async {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
            let setup = Command::new(root.join("bin/setup-test-tools")).arg("oidc").output().await.unwrap();
            let message = String::from_utf8_lossy(&setup.stderr);
            assert!(setup.status.success(), "bin/setup-test-tools oidc failed: {message}");
            PathBuf::from(String::from_utf8(setup.stdout).unwrap().trim())
        })
        .await
}
