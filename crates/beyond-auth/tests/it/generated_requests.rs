//! Requests that a program thinks up from the contract alone (Schemathesis): whatever is sent, the answer is one that the
//! contract describes, and never a failure of our own.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::support::TestApp;
use crate::support::app::ADMIN_SECRET;
use crate::support::smtp::python;

/// Beside the rest of the tests on a small machine it takes its time.
const PATIENCE: Duration = Duration::from_mins(20);
/// What is wrong with an answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,unsupported_method";

async fn send(app: &TestApp, token: &str, more: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(python().await.with_file_name("schemathesis"));
    command
        .current_dir(folder.path())
        .args([
            "run",
            &app.http.url("/v1/openapi.json"),
            "--header",
            &format!("Authorization: Bearer {token}"),
        ])
        .args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", "5"])
        .args(["--generation-deterministic", "--continue-on-failure", "--no-color"])
        .args(["--request-timeout", "60", "--workers", "1"])
        .args(more)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it does not end").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("Coverage") && said.contains("Fuzzing"), "{said}");
}

#[tokio::test]
async fn the_operator_gets_the_answers_of_the_contract() {
    let app = TestApp::start().await;
    send(&app, ADMIN_SECRET, &[]).await;
    app.http.get("/readyz").await.expect(200);
}

#[tokio::test]
async fn a_person_gets_the_answers_of_the_contract() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    // What ends the session would leave nothing to look at.
    send(&app, &ada.token, &["--exclude-path-regex", "^/v1/admin", "--exclude-method", "DELETE"]).await;
    ada.http.get("/v1/sessions/current").await.expect(200);
}
