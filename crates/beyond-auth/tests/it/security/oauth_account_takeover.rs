//! Getting into somebody's account by what a provider says about another.

use futures::future::join_all;
use serde_json::{Value, json};

use super::{OTHER_PASSWORD, redeem_token, sign_up, token_in};
use crate::support::app::PASSWORD;
use crate::support::idp::Idp;
use crate::support::trip::{Home, by_token, depart, describe, reason, redeem, sign_in, world};
use crate::support::{TestApp, sql};

const VICTIM: &str = "victim@example.com";

async fn home(app: &TestApp, idp: &Idp, provider: &str) -> Home {
    depart(app, provider).await.round(idp).await
}

#[tokio::test]
async fn an_address_counts_only_by_a_boolean() {
    let (app, idp) = world().await;
    let ada = app.person("ada@example.com").await;
    for value in [
        None,
        Some(Value::Null),
        Some(json!(false)),
        Some(json!("true")),
        Some(json!(1)),
        Some(json!([true])),
        Some(json!({ "ada@example.com": true })),
    ] {
        idp.says("email_verified", value.clone());
        assert_eq!(home(&app, &idp, "acme").await.error(), "email_unverified", "{value:?}");
        let token = idp.id_token(Some("nonce"));
        assert_eq!(by_token(&app, &token, "nonce").await.problem(403), "email_unverified");
    }
    idp.says("email_verified", Some(true.into()));
    for address in [json!("ada"), json!(["ada@example.com"]), json!("ada@example.com\u{0}"), Value::Null] {
        idp.says("email", Some(address.clone()));
        assert_eq!(home(&app, &idp, "acme").await.error(), "email_unverified", "{address}");
    }
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.identities").await, 0);
    ada.http.get("/v1/sessions/current").await.expect(200);
}

#[tokio::test]
async fn another_documents_word_does_not_count() {
    let (app, idp) = world().await;
    app.person("ada@example.com").await;
    let document = |value: Value| {
        idp.lock().script.documents.insert("/userinfo", value);
    };
    // The token names the address, the document calls one proven.
    document(json!({ "sub": "248289761001", "email": "ada@example.com", "email_verified": true }));
    idp.says("email_verified", None);
    assert_eq!(home(&app, &idp, "acme").await.error(), "email_unverified");
    // And the other way round.
    idp.says("email_verified", Some(true.into()));
    idp.twist(|claims| {
        claims.remove("email");
    });
    document(json!({ "sub": "248289761001", "email": "ada@example.com" }));
    assert_eq!(home(&app, &idp, "acme").await.error(), "email_unverified");
    // A document about somebody else.
    for sub in [json!("someone else"), json!(248_289_761_001_u64), Value::Null] {
        document(json!({ "sub": sub, "email": "ada@example.com", "email_verified": true }));
        assert_eq!(home(&app, &idp, "acme").await.error(), "invalid_provider_response");
        assert_eq!(reason(&app).await, "userinfo_subject");
    }
    document(json!({ "email": "ada@example.com", "email_verified": true }));
    assert_eq!(home(&app, &idp, "acme").await.error(), "invalid_provider_response");
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.identities").await, 0);
    document(json!({ "sub": "248289761001", "email": "ada@example.com", "email_verified": true }));
    home(&app, &idp, "acme").await.code();
}

#[tokio::test]
async fn a_provider_that_is_not_trusted_with_addresses_leads_to_nobody() {
    let (app, idp) = world().await;
    app.person(VICTIM).await;
    let mut description = idp.description("acme");
    description["trust_email"] = false.into();
    describe(&app, description).await.expect(200);
    idp.says("email", Some(VICTIM.into()));
    assert_eq!(home(&app, &idp, "acme").await.error(), "email_unverified");
    // Nor does it say who has an account.
    idp.says("email", Some("nobody@example.com".into()));
    assert_eq!(home(&app, &idp, "acme").await.error(), "email_unverified");
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.identities").await, 0);
}

#[tokio::test]
async fn the_same_subject_elsewhere_is_somebody_else() {
    let (app, idp) = world().await;
    let ada = sign_in(&app, &idp, "acme").await.expect(201);
    let evil = Idp::start().await;
    describe(&app, evil.description("evil")).await.expect(200);
    evil.says("email", Some("eve@example.com".into()));
    let eve = sign_in(&app, &evil, "evil").await.expect(201);
    assert_ne!(eve["user"]["id"], ada["user"]["id"]);
    // Nor when a provider of that name moves to another issuer.
    let mut moved = evil.description("acme");
    moved["trust_email"] = false.into();
    describe(&app, moved).await.expect(200);
    assert_eq!(home(&app, &evil, "acme").await.error(), "email_unverified");
}

#[tokio::test]
async fn a_new_address_at_the_provider_moves_nobody_to_another_account() {
    let (app, idp) = world().await;
    let victim = app.person(VICTIM).await;
    let eve = sign_in(&app, &idp, "acme").await.expect(201);
    idp.says("email", Some(VICTIM.into()));
    let again = sign_in(&app, &idp, "acme").await.expect(201);
    assert_eq!(again["user"]["id"], eve["user"]["id"]);
    assert_ne!(again["user"]["id"], victim.id.as_str());
}

#[tokio::test]
async fn what_was_planted_goes_with_the_providers_proof() {
    let (app, idp) = world().await;
    app.set(json!({ "sign_up": { "require_verification": false } })).await;
    let attacker = app.stranger();
    let planted = sign_up(&attacker, VICTIM, OTHER_PASSWORD).await.expect(201);
    let attacker = attacker.with_bearer(planted["session"]["token"].as_str().unwrap());
    let mail = app.mail_to(VICTIM).await;
    // As if the attacker had linked an identity of his own.
    sql::run(
        &app,
        "INSERT INTO auth.identities (id, user_id, provider_id, issuer, subject)
         SELECT gen_random_uuid(), id, 'acme', 'https://id.example', 'attacker' FROM auth.users",
    )
    .await;
    idp.says("email", Some(VICTIM.into()));
    let victim = sign_in(&app, &idp, "acme").await.expect(201);
    assert_eq!(victim["user"]["email_verified"], true);
    attacker.get("/v1/sessions/current").await.problem(401);
    let body = json!({ "method": "password", "email": VICTIM, "password": OTHER_PASSWORD });
    app.stranger().post("/v1/sessions", body).await.problem(401);
    redeem_token(&app.stranger(), &token_in(&mail)).await.problem(400);
    let subjects = "SELECT count(*) FROM auth.identities WHERE subject = 'attacker'";
    assert_eq!(sql::number(&app, subjects).await, 0);
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.users").await, 1);
}

#[tokio::test]
async fn a_claim_that_nobody_has_proven_blocks_nobody() {
    let (app, idp) = world().await;
    let mut description = idp.description("acme");
    description["link_policy"] = "never".into();
    describe(&app, description).await.expect(200);
    sign_up(&app.stranger(), VICTIM, OTHER_PASSWORD).await.expect(202);
    let mail = app.mail_to(VICTIM).await;
    idp.says("email", Some(VICTIM.into()));
    let victim = sign_in(&app, &idp, "acme").await.expect(201);
    assert_eq!(victim["user"]["email"], VICTIM);
    redeem_token(&app.stranger(), &token_in(&mail)).await.problem(400);
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.users").await, 1);
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.passwords").await, 0);
}

#[tokio::test]
async fn who_is_banned_stays_out() {
    let (app, idp) = world().await;
    let ada = app.person("ada@example.com").await;
    let ban = format!("/v1/admin/users/{}/ban", ada.id);
    app.admin.put(&ban, json!({})).await.expect(200);
    assert_eq!(home(&app, &idp, "acme").await.error(), "sign_in_refused");
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.identities").await, 0);
    assert_eq!(app.admin.delete(&ban).await.status, 204);
    let code = home(&app, &idp, "acme").await;
    // In between.
    app.admin.put(&ban, json!({})).await.expect(200);
    assert_eq!(redeem(&app.stranger(), code.code()).await.problem(401), "invalid_credentials");
    // Known by now: the door says no, and no more than to anybody.
    let code = home(&app, &idp, "acme").await;
    assert_eq!(redeem(&app.stranger(), code.code()).await.problem(401), "invalid_credentials");
    let token = idp.id_token(Some("nonce"));
    assert_eq!(by_token(&app, &token, "nonce").await.problem(401), "invalid_credentials");
    assert_eq!(app.admin.delete(&ban).await.status, 204);
    app.sign_in("ada@example.com", PASSWORD).await;
}

#[tokio::test]
async fn of_twenty_first_sign_ins_at_once_one_makes_the_account() {
    let (app, idp) = world().await;
    let homes = join_all((0..20).map(async |_| home(&app, &idp, "acme").await)).await;
    for home in &homes {
        home.code();
    }
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.users").await, 1);
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.identities").await, 1);
}
