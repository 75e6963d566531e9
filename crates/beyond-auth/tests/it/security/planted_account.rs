//! Waiting for a victim inside an account that was prepared for it (pre-hijacking).

use futures::future::join;
use serde_json::json;

use super::{OTHER_PASSWORD, count, further_mail, redeem_token, sign_in, sign_up, token_in};
use crate::passkeys;
use crate::support::TestApp;
use crate::support::app::{PASSWORD, Person};
use crate::support::authenticator::Authenticator;

const VICTIM: &str = "victim@example.com";

#[tokio::test]
async fn a_sign_up_with_somebody_elses_address_leaves_nothing_behind() {
    let app = TestApp::start().await;
    let attacker = app.stranger();
    attacker
        .post("/v1/users", json!({ "email": VICTIM, "password": OTHER_PASSWORD, "name": "planted" }))
        .await
        .expect(202);
    let planted = app.mail_to(VICTIM).await;
    sign_up(&app.stranger(), VICTIM, PASSWORD).await.expect(202);
    let own = further_mail(&app, VICTIM, &[planted.number]).await;
    let user = redeem_token(&app.stranger(), &token_in(&own)).await.expect(200)["user"].clone();
    assert_eq!(user["name"], json!(null));

    sign_in(&attacker, VICTIM, OTHER_PASSWORD).await.problem(401);
    redeem_token(&attacker, &token_in(&planted)).await.problem(400);
    assert_eq!(app.sign_in(VICTIM, PASSWORD).await.id, user["id"].as_str().unwrap());
    assert_eq!(count(&app, "SELECT count(*) FROM auth.users").await, 1);
    assert_eq!(count(&app, "SELECT count(*) FROM auth.passwords").await, 1);
}

#[tokio::test]
async fn a_sign_up_after_the_victims_changes_nothing_either() {
    let app = TestApp::start().await;
    sign_up(&app.stranger(), VICTIM, PASSWORD).await.expect(202);
    let own = app.mail_to(VICTIM).await;
    let attacker = app.stranger();
    sign_up(&attacker, VICTIM, OTHER_PASSWORD).await.expect(202);
    let planted = further_mail(&app, VICTIM, &[own.number]).await;
    redeem_token(&app.stranger(), &token_in(&own)).await.expect(200);
    redeem_token(&attacker, &token_in(&planted)).await.problem(400);
    sign_in(&attacker, VICTIM, OTHER_PASSWORD).await.problem(401);
    app.sign_in(VICTIM, PASSWORD).await;
}

#[tokio::test]
async fn without_required_verification_the_proof_ends_what_was_planted() {
    let app = TestApp::start().await;
    app.set(json!({ "sign_up": { "require_verification": false } })).await;
    let attacker = app.stranger();
    let planted = sign_up(&attacker, VICTIM, OTHER_PASSWORD).await.expect(201);
    let attacker = attacker.with_bearer(planted["session"]["token"].as_str().unwrap());
    attacker.get("/v1/sessions/current").await.expect(200);
    let further = app.sign_in(VICTIM, OTHER_PASSWORD).await;

    let mail = app.mail_to(VICTIM).await;
    redeem_token(&app.stranger(), &token_in(&mail)).await.expect(200);
    attacker.get("/v1/sessions/current").await.problem(401);
    further.http.get("/v1/sessions/current").await.problem(401);
    sign_in(&app.stranger(), VICTIM, OTHER_PASSWORD).await.problem(401);
    assert_eq!(count(&app, "SELECT count(*) FROM auth.sessions").await, 0);
    assert_eq!(count(&app, "SELECT count(*) FROM auth.passwords").await, 0);
}

#[tokio::test]
async fn a_sign_in_at_the_moment_of_the_proof_does_not_survive_it() {
    let app = TestApp::start().await;
    app.set(json!({ "sign_up": { "require_verification": false } })).await;
    for round in 0..15 {
        let email = format!("victim{round}@example.com");
        sign_up(&app.stranger(), &email, OTHER_PASSWORD).await.expect(201);
        let token = token_in(&*app.mail_to(&email).await);
        let (attacker, victim) = (app.stranger(), app.stranger());
        let (planted, proven) =
            join(sign_in(&attacker, &email, OTHER_PASSWORD), redeem_token(&victim, &token)).await;
        proven.expect(200);
        assert!([201, 401].contains(&planted.status.as_u16()), "{}", planted.text);
        assert_eq!(count(&app, "SELECT count(*) FROM auth.sessions").await, 0, "round {round}");
    }
}

#[tokio::test]
async fn a_session_from_before_verification_was_required_dies_with_the_rival_claim() {
    let app = TestApp::start().await;
    app.set(json!({ "sign_up": { "require_verification": false } })).await;
    let planted = sign_up(&app.stranger(), VICTIM, OTHER_PASSWORD).await.expect(201);
    let attacker = app.http.with_bearer(planted["session"]["token"].as_str().unwrap());
    let known = app.mail_to(VICTIM).await.number;
    app.set(json!({ "sign_up": { "require_verification": true } })).await;

    sign_up(&app.stranger(), VICTIM, PASSWORD).await.expect(202);
    let own = further_mail(&app, VICTIM, &[known]).await;
    redeem_token(&app.stranger(), &token_in(&own)).await.expect(200);
    attacker.get("/v1/sessions/current").await.problem(401);
    app.sign_in(VICTIM, PASSWORD).await;
    assert_eq!(count(&app, "SELECT count(*) FROM auth.users").await, 1);
}

#[tokio::test]
async fn a_passkey_from_before_the_proof_opens_nothing_after_it() {
    let app = TestApp::start().await;
    app.set(json!({ "sign_up": { "require_verification": false } })).await;
    let planted = sign_up(&app.stranger(), VICTIM, OTHER_PASSWORD).await.expect(201);
    let attacker: Person = app.sign_in(VICTIM, OTHER_PASSWORD).await;
    let mut phone = Authenticator::new(&app);
    passkeys::register(&attacker, &mut phone).await;
    let pending = passkeys::registration(&attacker.http).await;
    passkeys::sign_in(&app.stranger(), &mut phone).await.expect(201);

    let mail = app.mailbox.wait_until(|mail| mail.to == VICTIM && mail.code().is_some()).await.unwrap();
    redeem_token(&app.stranger(), &token_in(&mail)).await.expect(200);
    assert_eq!(passkeys::sign_in(&app.stranger(), &mut phone).await.problem(401), "invalid_credentials");
    let credential = phone.register(&pending);
    passkeys::hand_over(&attacker.http, &pending, credential).await.problem(401);
    assert_eq!(count(&app, "SELECT count(*) FROM auth.passkeys").await, 0);
    assert_eq!(planted["user"]["id"], attacker.id.as_str());
}
