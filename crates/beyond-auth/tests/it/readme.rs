//! The tour of the README is run, not believed.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use beyond_auth::dev::mailbox;
use beyond_auth::platform::mail::memory::MemoryTransport;
use beyond_auth::serve::{self, Options};

use super::documents::root;
use super::support::{self, app};

/// Marks the block that follows as a part of the tour.
const MARK: &str = "<!-- tour -->\n```bash\n";

/// The marked blocks of a Markdown text as one script, in their order.
fn tour(text: &str) -> String {
    let blocks: Vec<&str> =
        text.split(MARK).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect();
    // A line between the blocks, so that a test can see which one said what.
    blocks.join("\necho; echo ---\n")
}

/// Runs the tour against a server in development mode at `base` (`http://127.0.0.1:8080`) and says what each
/// block printed.
///
/// # Panics
/// When a command fails or the tour takes longer than a minute.
pub fn take_tour(base: &str) -> Vec<String> {
    let script = tour(&std::fs::read_to_string(root().join("README.md")).unwrap());
    let mut shell = Command::new("bash")
        .arg("-eu")
        .env("BASE", base)
        .env_remove("http_proxy")
        .env("NO_PROXY", "*")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while shell.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            shell.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = shell.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the tour stopped: {}\n{said}\n{complaints}", output.status);
    said.split("\n---\n").map(str::to_owned).collect()
}

/// What the blocks of the tour promise in the text around them.
pub fn assert_tour(said: &[String]) {
    let [sign_up, redeem, sign_in, verify, change, sign_out] = said else {
        panic!("the tour has {} blocks: adapt this test", said.len());
    };
    assert!(sign_up.contains("verification_sent"), "{sign_up}");
    assert!(redeem.contains("\"email_verified\":true"), "{redeem}");
    assert!(sign_in.trim().starts_with("session_"), "{sign_in}");
    assert!(verify.contains("\"session\":{") && verify.contains("\"email_verified\":true"), "{verify}");
    assert!(change.contains("\"status\":401"), "the old password still works: {change}");
    assert!(sign_out.contains("\"status\":401"), "the session still works: {sign_out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tour_works_as_printed() {
    let database = support::database().await;
    let mail = Arc::new(MemoryTransport::default());
    let extra = mailbox::router(mail.clone());
    let options = Options { hasher: app::cheap_hashes(), extra, ..Options::default() };
    let running = serve::start(app::config(&database), mail, options).await.unwrap();
    let base = format!("http://{}", running.address);
    let said = tokio::task::spawn_blocking(move || take_tour(&base)).await.unwrap();
    running.app.shutdown.cancel();
    assert_tour(&said);
}

#[test]
fn the_tour_is_taken_from_marked_blocks_only() {
    let text = "a\n```bash\nnot this\n```\n<!-- tour -->\n```bash\none\ntwo\n```\ntext\n<!-- tour -->\n```bash\nthree\n```\n";
    assert_eq!(tour(text), "one\ntwo\necho; echo ---\nthree");
}

#[test]
fn the_tour_is_a_valid_script() {
    let script = tour(&std::fs::read_to_string(root().join("README.md")).unwrap());
    assert!(Command::new("bash").args(["-n", "-c", &script]).status().unwrap().success());
}
