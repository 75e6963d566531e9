//! Waiting for a victim inside an account that was prepared for it (pre-hijacking).

use futures::future::join;
use serde_json::json;

use super::{OTHER_PASSWORD, count, further_mail, redeem_token, sign_in, sign_up, token_in};
use crate::api_keys;
use crate::passkeys;
use crate::support::TestApp;
use crate::support::app::{PASSWORD, Person};
use crate::support::authenticator::Authenticator;
use crate::support::mailed::{add, ask_link, ask_reset, kind_to, link_sign_in, redeem_reset};

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
    let key = api_keys::make(&attacker, json!({ "name": "planted" })).await;
    assert!(api_keys::is_active(&app, api_keys::text(&key)).await);

    let mail = app.mail_to(VICTIM).await;
    redeem_token(&app.stranger(), &token_in(&mail)).await.expect(200);
    attacker.get("/v1/sessions/current").await.problem(401);
    further.http.get("/v1/sessions/current").await.problem(401);
    assert!(!api_keys::is_active(&app, api_keys::text(&key)).await);
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

#[tokio::test]
async fn whoever_finishes_a_planted_sign_up_by_mail_shares_it_with_nobody() {
    for required in [true, false] {
        for by_reset in [true, false] {
            let app = TestApp::start().await;
            app.set(json!({ "sign_up": { "require_verification": required } })).await;
            let attacker = app.stranger();
            let planted = sign_up(&attacker, VICTIM, OTHER_PASSWORD).await;
            let planted = planted.expect(if required { 202 } else { 201 });
            let session = planted["session"]["token"].as_str().map(str::to_owned);
            let verification = token_in(&*app.mail_to(VICTIM).await);

            if by_reset {
                ask_reset(&app.stranger(), VICTIM).await;
                let token = token_in(&*kind_to(&app, VICTIM, "pwr_").await);
                redeem_reset(&app.stranger(), &token, PASSWORD).await.expect(204);
                app.sign_in(VICTIM, PASSWORD).await;
            } else {
                ask_link(&app.stranger(), VICTIM).await;
                let token = token_in(&*kind_to(&app, VICTIM, "ml_").await);
                let signed_in = link_sign_in(&app.stranger(), &token).await.expect(201);
                assert_eq!(signed_in["user"]["email_verified"], true);
                assert_eq!(count(&app, "SELECT count(*) FROM auth.passwords").await, 0);
            }
            sign_in(&attacker, VICTIM, OTHER_PASSWORD).await.problem(401);
            redeem_token(&attacker, &verification).await.problem(400);
            if let Some(session) = session {
                attacker.with_bearer(&session).get("/v1/sessions/current").await.problem(401);
            }
            assert_eq!(count(&app, "SELECT count(*) FROM auth.sessions").await, 1, "the victim's own");
            assert_eq!(count(&app, "SELECT count(*) FROM auth.users").await, 1);
        }
    }
}

#[tokio::test]
async fn an_address_planted_on_a_live_account_takes_nothing_from_its_owner() {
    let app = TestApp::start().await;
    let eve = app.person("eve@example.com").await;
    // Eve says that the victim's address is hers; the victim signs up and proves it.
    add(&eve.http, VICTIM).await;
    let planted = app.mail_to(VICTIM).await;
    sign_up(&app.stranger(), VICTIM, PASSWORD).await.expect(202);
    let own = further_mail(&app, VICTIM, &[planted.number]).await;
    let victim = redeem_token(&app.stranger(), &token_in(&own)).await.expect(200)["user"]["id"].clone();
    redeem_token(&app.stranger(), &token_in(&planted)).await.problem(400);
    assert_eq!(app.sign_in(VICTIM, PASSWORD).await.id, victim.as_str().unwrap());
    // Eve's account lives on, and mail to the victim never leads into it.
    eve.http.get("/v1/sessions/current").await.expect(200);
    ask_link(&app.stranger(), VICTIM).await;
    let token = token_in(&*kind_to(&app, VICTIM, "ml_").await);
    assert_eq!(link_sign_in(&app.stranger(), &token).await.expect(201)["user"]["id"], victim);
}

#[tokio::test]
async fn an_unproven_account_is_not_kept_by_proving_another_address_on_it() {
    let app = TestApp::start().await;
    app.set(json!({ "sign_up": { "require_verification": false } })).await;
    let planted = sign_up(&app.stranger(), VICTIM, OTHER_PASSWORD).await.expect(201);
    let attacker = app.http.with_bearer(planted["session"]["token"].as_str().unwrap());
    let waiting = token_in(&*app.mail_to(VICTIM).await);
    add(&attacker, "attacker@example.com").await;
    let proof = token_in(&*app.mail_to("attacker@example.com").await);
    redeem_token(&app.stranger(), &proof).await.expect(200);
    // The account is the attacker's now, without the victim's address: what waits in the victim's mailbox opens nothing.
    redeem_token(&app.stranger(), &waiting).await.problem(400);
    ask_link(&app.stranger(), "attacker@example.com").await;
    let token = token_in(&*kind_to(&app, "attacker@example.com", "ml_").await);
    let body = link_sign_in(&app.stranger(), &token).await.expect(201);
    assert_eq!(body["user"]["email"], "attacker@example.com");
    let victim = sign_up(&app.stranger(), VICTIM, PASSWORD).await.expect(201);
    assert_ne!(victim["user"]["id"], body["user"]["id"]);
}
