//! The pages in a real Chromium, as a person uses them: `tests/browser/<flow>.mjs`, each on a service of its own.
//!
//! What the pages looked like is kept below `target/tmp/browser/`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokio::process::Command;
use tokio::sync::{OnceCell, Semaphore};

use crate::dev::{self, Dev};
use crate::dev_postgres::folder;
use crate::support::database;
use crate::support::oidc_provider::OidcProvider;

/// A browser beside the rest of the tests on a small machine takes its time.
const PATIENCE: Duration = Duration::from_mins(10);

/// A browser is several processes: a few at once take the machine from each other and from all other tests.
static BROWSERS: Semaphore = Semaphore::const_new(2);

/// Where the flows run, and which browser they drive.
#[derive(Debug)]
struct Tools {
    folder: PathBuf,
    browser: String,
}

/// Installed by whoever asks first.
async fn tools() -> &'static Tools {
    static TOOLS: OnceCell<Tools> = OnceCell::const_new();
    let set_up = async || {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let setup = Command::new(root.join("bin/setup-test-tools")).arg("browser").output().await.unwrap();
        let message = String::from_utf8_lossy(&setup.stderr);
        assert!(setup.status.success(), "bin/setup-test-tools browser failed: {message}");
        let told = String::from_utf8(setup.stdout).unwrap();
        let (folder, browser) = told.trim().split_once('\n').unwrap();
        Tools { folder: folder.into(), browser: browser.to_owned() }
    };
    TOOLS.get_or_init(set_up).await
}

/// Runs a flow against the program as `dev` starts it, on a database of its own.
async fn flow(name: &str) {
    flow_with(name, None).await;
}

/// The same, beside a certified provider for the people in it.
async fn flow_with_provider(name: &str) {
    flow_with(name, Some("/v1/oauth/peer/callback")).await;
}

async fn flow_with(name: &str, callback: Option<&str>) {
    let tools = tools().await;
    let _turn = BROWSERS.acquire().await.unwrap();
    let database = database().await;
    let folder = folder();
    let data_dir = folder.path().join("data");
    let mut command = dev::command(&data_dir);
    command.arg("--database-url").arg(database.url.expose_secret());
    let dev = tokio::task::block_in_place(|| Dev::run(command, &data_dir));
    let admin = std::fs::read_to_string(data_dir.join("secrets/admin-secret")).unwrap();
    let provider = match callback {
        Some(path) => Some(OidcProvider::start(&[format!("{}{path}", dev.told("Service"))]).await),
        None => None,
    };
    let told = provider.as_ref().map(|provider| serde_json::to_string(&provider.told).unwrap());
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser").join(name);

    let run = Command::new("node")
        .arg(format!("{name}.mjs"))
        .current_dir(&tools.folder)
        .env("BASE", dev.told("Service"))
        .env("ADMIN_SECRET", admin.trim())
        .env("CHROME_PATH", &tools.browser)
        .env("SHOTS", &shots)
        .env("PROVIDER", told.unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, run).await.expect("the browser does not end").unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}\nScreenshots: {}", shots.display());
    eprintln!("{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_up_and_protects_the_account_with_an_authenticator_app() {
    flow("totp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_asks_for_a_second_factor_has_it_set_up_on_the_way_in() {
    flow("enrolment").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_is_made_and_signed_in_with() {
    flow("passkeys").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_opens_the_mailed_link_and_the_person_still_gets_in() {
    flow("magic_link").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_reset_ends_the_other_sessions() {
    flow("password_reset").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_elsewhere_opens_the_door_and_can_be_disconnected() {
    flow_with_provider("oauth").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_invited_signs_up_on_the_way_and_joins() {
    flow("invitation").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_is_managed_on_its_page() {
    flow("account").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_readable_everywhere_and_lead_nowhere_but_back() {
    flow("looks").await;
}
