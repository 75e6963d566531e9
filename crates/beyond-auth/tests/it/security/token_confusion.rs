//! Presenting a token where one of another kind is asked for.

use serde_json::json;

use super::{OTHER_PASSWORD, count};
use crate::invitations::{describe, invitation_token, invite};
use crate::support::TestApp;
use crate::support::app::PASSWORD;
use crate::support::client::{Answer, Http};
use crate::support::mailed::{
    add, ask_link, ask_reset, kind_to, link_sign_in, redeem_reset, redeem_verification, token_in,
};

/// Everything that takes a token, by the prefix of the one it takes.
const DOORS: [&str; 7] = ["ev", "inv", "ml", "pwr", "rt", "session", "req"];

async fn knock(http: &Http, door: &str, token: &str, code: &str) -> Answer {
    match door {
        "ev" => redeem_verification(http, token).await,
        "inv" => describe(http, token).await,
        "ml" => link_sign_in(http, token).await,
        "pwr" => redeem_reset(http, token, OTHER_PASSWORD).await,
        "rt" => http.post("/v1/refresh-tokens/rotations", json!({ "refresh_token": token })).await,
        "session" => http.with_bearer(token).get("/v1/sessions/current").await,
        _ => {
            let body = json!({ "method": "email_code", "email": "ada@example.com", "code": code, "request_token": token });
            http.post("/v1/sessions", body).await
        }
    }
}

#[tokio::test]
async fn each_token_opens_its_own_door_and_no_other() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let made = ada.http.post("/v1/refresh-tokens", json!({})).await.expect(201);
    add(&ada.http, "second@example.com").await;
    let verification = token_in(&*kind_to(&app, "second@example.com", "ev_").await);
    ask_reset(&app.stranger(), "ada@example.com").await;
    let reset = token_in(&*kind_to(&app, "ada@example.com", "pwr_").await);
    let request = ask_link(&app.stranger(), "ada@example.com").await;
    let mail = kind_to(&app, "ada@example.com", "ml_").await;
    let code = mail.code().unwrap();
    let attempt = attempt(&app).await;
    let path = crate::orgs::create(&ada, "Acme").await;
    invite(&ada.http, &path, "guest@example.com", "member").await;
    let invitation = invitation_token(&app, "guest@example.com").await;
    let tokens = [
        verification,
        token_in(&mail),
        reset,
        made["refresh_token"]["token"].as_str().unwrap().to_owned(),
        ada.token.clone(),
        request,
        attempt,
        invitation,
    ];
    for token in &tokens {
        let (kind, tail) = token.split_once('_').unwrap();
        for door in DOORS {
            if door != kind {
                let answer = knock(&app.stranger(), door, token, code).await;
                assert!([400, 401].contains(&answer.status.as_u16()), "{kind} at {door}: {}", answer.text);
            }
            // Nor does the right prefix make one kind into another.
            if door != kind {
                let answer = knock(&app.stranger(), door, &format!("{door}_{tail}"), code).await;
                assert!([400, 401].contains(&answer.status.as_u16()), "{kind} as {door}: {}", answer.text);
            }
            super::forget_attempts(&app).await;
        }
    }
    let passwords = "SELECT count(*) FROM auth.passwords WHERE changed_at > now() - interval '1 hour'";
    assert_eq!(count(&app, passwords).await, 2);
    // All that noise has spent none of them. The reset comes last: it ends the others.
    for (door, success) in
        [("session", 200), ("inv", 200), ("ev", 200), ("rt", 201), ("req", 201), ("pwr", 204)]
    {
        let token = tokens.iter().find(|token| token.starts_with(&format!("{door}_"))).unwrap();
        knock(&app.stranger(), door, token, code).await.expect(success);
    }
    // The link went with the code of its mail.
    link_sign_in(&app.stranger(), &tokens[1]).await.problem(401);
}

/// A sign-in that waits for a second factor.
async fn attempt(app: &TestApp) -> String {
    app.person("eve@example.com").await;
    app.set(json!({ "mfa": { "policy": "required" } })).await;
    let body = json!({ "method": "password", "email": "eve@example.com", "password": PASSWORD });
    let waiting = app.stranger().post("/v1/sessions", body).await.expect(202);
    app.set(json!({ "mfa": { "policy": "optional" } })).await;
    waiting["attempt"]["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_mailed_link_or_code_does_not_skip_the_second_factor() {
    let app = TestApp::start().await;
    app.person("ada@example.com").await;
    app.set(json!({ "mfa": { "policy": "required" } })).await;
    ask_link(&app.stranger(), "ada@example.com").await;
    let mail = kind_to(&app, "ada@example.com", "ml_").await;
    let waiting = link_sign_in(&app.stranger(), &token_in(&mail)).await.expect(202);
    assert!(waiting["attempt"]["token"].as_str().unwrap().starts_with("att_"));
    // The link is spent all the same.
    link_sign_in(&app.stranger(), &token_in(&mail)).await.problem(401);
    // Nor does a reset open anything.
    ask_reset(&app.stranger(), "ada@example.com").await;
    let reset = token_in(&*kind_to(&app, "ada@example.com", "pwr_").await);
    redeem_reset(&app.stranger(), &reset, OTHER_PASSWORD).await.expect(204);
    super::sign_in(&app.stranger(), "ada@example.com", OTHER_PASSWORD).await.expect(202);
}
