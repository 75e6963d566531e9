//! Using a code that was read over somebody's shoulder on the last hop.

use futures::future::join_all;
use serde_json::json;

use crate::support::client::Answer;
use crate::support::trip::{VERIFIER, depart, describe, redeem, world};
use crate::support::{TestApp, sql};

async fn with(app: &TestApp, code: &str, verifier: &str) -> Answer {
    let body = json!({ "method": "oauth", "code": code, "code_verifier": verifier });
    app.stranger().post("/v1/sessions", body).await
}

#[tokio::test]
async fn a_code_opens_nothing_without_the_applications_verifier() {
    let (app, idp) = world().await;
    let home = depart(&app, "acme").await.round(&idp).await;
    let code = home.code();
    let challenge = beyond_auth::platform::crypto::pkce::Challenge::of(VERIFIER).text();
    for verifier in ["", "x", challenge.as_str(), &VERIFIER[1..], &format!("{VERIFIER}x"), &"a".repeat(200)] {
        assert_eq!(with(&app, code, verifier).await.problem(401), "invalid_credentials", "{verifier}");
    }
    let body = json!({ "method": "oauth", "code": code });
    assert_eq!(app.stranger().post("/v1/sessions", body).await.problem(422), "validation_failed");
    for wrong in
        ["", "oac_x", "code-0", &code[..code.len() - 1], &code.replace("oac_", "ml_"), &format!("{code}=")]
    {
        assert_eq!(with(&app, wrong, VERIFIER).await.problem(401), "invalid_credentials", "{wrong}");
    }
    for method in ["magic_link", "password"] {
        let body = json!({ "method": method, "token": code });
        assert!([401, 422].contains(&app.stranger().post("/v1/sessions", body).await.status.as_u16()));
    }
    app.stranger().with_bearer(code).get("/v1/sessions/current").await.problem(401);
    redeem(&app.stranger(), code).await.expect(201);
}

#[tokio::test]
async fn of_fifty_redemptions_of_one_code_on_two_instances_exactly_one_succeeds() {
    let (app, idp) = world().await;
    let second = TestApp::on(app.database.clone()).await;
    let home = depart(&app, "acme").await.round(&idp).await;
    let answers = join_all((0..50).map(async |turn| {
        let http = if turn % 2 == 0 { app.stranger() } else { second.stranger() };
        redeem(&http, home.code()).await
    }))
    .await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(answer.problem(401), "invalid_credentials");
    }
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.sessions").await, 1);
}

#[tokio::test]
async fn a_code_ends_with_time_identity_and_provider() {
    let (app, idp) = world().await;
    let home = async || depart(&app, "acme").await.round(&idp).await;
    let late = home().await;
    sql::run(&app, "UPDATE auth.oauth_codes SET expires_at = now() - interval '1 second'").await;
    assert_eq!(redeem(&app.stranger(), late.code()).await.problem(401), "invalid_credentials");

    let unlinked = home().await;
    sql::run(&app, "DELETE FROM auth.identities").await;
    assert_eq!(redeem(&app.stranger(), unlinked.code()).await.problem(401), "invalid_credentials");

    let off = home().await;
    let mut description = idp.description("acme");
    description["enabled"] = false.into();
    describe(&app, description.clone()).await.expect(200);
    assert_eq!(redeem(&app.stranger(), off.code()).await.problem(403), "method_disabled");
    description["enabled"] = true.into();
    describe(&app, description).await.expect(200);

    let gone = home().await;
    assert_eq!(app.admin.delete("/v1/admin/oauth-providers/acme").await.status, 204);
    assert_eq!(redeem(&app.stranger(), gone.code()).await.problem(401), "invalid_credentials");
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.sessions").await, 0);
}

#[tokio::test]
async fn a_session_is_not_made_fresh_by_somebody_elses_code() {
    let (app, idp) = world().await;
    let eve = app.person("eve@example.com").await;
    let home = depart(&app, "acme").await.round(&idp).await;
    let body = json!({ "method": "oauth", "code": home.code(), "code_verifier": VERIFIER });
    let answer = eve.http.post("/v1/sessions/current/verifications", body).await;
    assert_eq!(answer.problem(401), "invalid_credentials");
    redeem(&app.stranger(), home.code()).await.expect(201);
}
