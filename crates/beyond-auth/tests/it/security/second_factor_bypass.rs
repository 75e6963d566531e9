//! Getting in with the first factor alone.

use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};

use super::{OTHER_PASSWORD, count, redeem_token, sign_in, sign_up, sql, token_in};
use crate::support::TestApp;
use crate::support::app::PASSWORD;
use crate::support::client::Answer;
use crate::support::mailed::{
    ask_link, ask_reset, code_sign_in, kind_to, link_sign_in, next_to, redeem_reset,
};
use crate::support::otp_app::{OtpApp, finish};

const ADA: &str = "ada@example.com";

async fn sessions(app: &TestApp) -> i64 {
    count(app, "SELECT count(*) FROM auth.sessions WHERE aal = 1").await
}

#[tokio::test]
async fn no_way_in_skips_an_enrolled_factor() {
    let app = TestApp::start().await;
    let ada = app.enrolled(ADA).await;
    let before = sessions(&app).await;
    // By password, whatever is wished for.
    for wish in [json!({}), json!({ "cookie": true }), json!({ "refresh_token": true })] {
        let mut body = json!({ "method": "password", "email": ADA, "password": PASSWORD });
        body.as_object_mut().unwrap().extend(wish.as_object().unwrap().clone());
        let answer = app.stranger().post("/v1/sessions", body).await;
        assert_eq!(answer.header("set-cookie"), "");
        let body = answer.expect(202);
        assert!(body.get("session").is_none() && body.get("refresh_token").is_none(), "{body}");
    }
    // By signing up again, with and without verification.
    sign_up(&app.stranger(), ADA, OTHER_PASSWORD).await.expect(202);
    let mail = app.mailbox.wait_until(|mail| mail.subject.contains("already have an account")).await.unwrap();
    assert!(!mail.text.contains("#token="), "{}", mail.text);
    app.set(json!({ "sign_up": { "require_verification": false } })).await;
    sign_up(&app.stranger(), ADA, OTHER_PASSWORD).await.problem(409);
    // By a method that is none, or a second factor without a first.
    for body in [
        json!({ "method": "totp", "code": ada.device.code() }),
        json!({ "method": "totp", "email": ADA, "code": ada.device.code() }),
        json!({ "method": "totp", "attempt_token": null, "code": ada.device.code() }),
        json!({ "method": "recovery_code", "code": ada.recovery_codes[0] }),
        json!({ "method": "otp", "email": ADA, "code": ada.device.code() }),
    ] {
        app.stranger().post("/v1/sessions", body).await.problem(422);
    }
    assert_eq!(sessions(&app).await, before);
}

#[tokio::test]
async fn a_mailbox_is_one_factor_however_it_is_used() {
    let app = TestApp::start().await;
    let ada = app.enrolled(ADA).await;
    let due = |answer: &Answer| {
        let body = answer.expect(202);
        assert!(body.get("session").is_none(), "{body}");
        body["attempt"]["token"].as_str().unwrap().to_owned()
    };
    ask_link(&app.stranger(), ADA).await;
    let mail = kind_to(&app, ADA, "ml_").await;
    let by_link = due(&link_sign_in(&app.stranger(), &token_in(&mail)).await);
    let asked = ask_link(&app.stranger(), ADA).await;
    let mail = next_to(&app, ADA, "ml_", &mail).await;
    let by_code = due(&code_sign_in(&app.stranger(), ADA, mail.code().unwrap(), Some(&asked)).await);
    for (token, amr) in [(&by_link, "email"), (&by_code, "otp")] {
        app.forget_steps().await;
        finish(&app.stranger(), "totp", token, &ada.device.wrong()).await.problem(401);
        let session =
            finish(&app.stranger(), "totp", token, &ada.device.code()).await.expect(201)["session"].clone();
        // A mailed code and one from a device have the same name; they are two factors all the same.
        let expected = if amr == "otp" { json!(["otp", "mfa"]) } else { json!([amr, "otp", "mfa"]) };
        assert_eq!((&session["aal"], &session["amr"]), (&json!(2), &expected));
    }
    // A new password is a first factor, and what was half-way with the old one has ended.
    let waiting = app.half_way(ADA).await;
    ask_reset(&app.stranger(), ADA).await;
    let reset = token_in(&*kind_to(&app, ADA, "pwr_").await);
    let answer = redeem_reset(&app.stranger(), &reset, OTHER_PASSWORD).await;
    assert_eq!(
        (answer.status.is_success(), answer.header("set-cookie").as_str()),
        (true, ""),
        "{}",
        answer.text
    );
    app.forget_steps().await;
    let answer = finish(&app.stranger(), "totp", &waiting, &ada.device.code()).await;
    assert_eq!(answer.problem(401), "invalid_attempt");
    due(&sign_in(&app.stranger(), ADA, OTHER_PASSWORD).await);
    assert_eq!(sessions(&app).await, 0);
    assert_eq!(count(&app, "SELECT count(*) FROM auth.totp_factors WHERE activated_at IS NOT NULL").await, 1);
}

#[tokio::test]
async fn an_attempt_token_opens_nothing_but_the_door() {
    let app = TestApp::start().await;
    app.enrolled(ADA).await;
    let token = app.half_way(ADA).await;
    let document = serde_json::to_value(beyond_auth::router::document()).unwrap();
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let path = path
                .replace("{id}", "01a2b3c4-d5e6-7f01-8a2b-3c4d5e6f7081")
                .replace("{factor_id}", "01a2b3c4-d5e6-7f01-8a2b-3c4d5e6f7081");
            if operation["security"].as_array().is_some_and(|security| !security.is_empty()) {
                let http = app.stranger().with_bearer(&token);
                let answer = http.send(http.request(method.clone(), &path).json(&json!({}))).await;
                assert_eq!(answer.status, 401, "{method} {path}: {}", answer.text);
                let http = app.stranger();
                let cookie = format!("beyond_session={token}");
                let request = http.request(method.clone(), &path).header("cookie", cookie).json(&json!({}));
                let answer = http.send(request).await;
                assert!([401, 403].contains(&answer.status.as_u16()), "{method} {path}: {}", answer.text);
                tried += 1;
            }
        }
    }
    assert!(tried > 20, "{tried}");
    // Nor in the place of other tokens.
    let rest = token.strip_prefix("att_").unwrap();
    for prefix in beyond_auth::platform::crypto::token::PREFIXES.iter().filter(|prefix| **prefix != "att") {
        let other = format!("{prefix}_{rest}");
        app.http.with_bearer(&other).get("/v1/sessions/current").await.problem(401);
        let answer = finish(&app.stranger(), "totp", &other, "123456").await;
        assert_eq!(answer.problem(401), "invalid_attempt", "{prefix}");
    }
    redeem_token(&app.stranger(), &token).await.problem(400);
    let rotation = json!({ "refresh_token": token });
    app.stranger().post("/v1/refresh-tokens/rotations", rotation).await.problem(401);
    let introspected = app.admin.post("/v1/sessions/introspections", json!({ "token": token })).await;
    assert_eq!(introspected.expect(200)["active"], false);
}

#[tokio::test]
async fn an_attempt_of_one_account_is_not_finished_by_the_factor_of_another() {
    let app = TestApp::start().await;
    app.enrolled(ADA).await;
    let eve = app.enrolled("eve@example.com").await;
    let token = app.half_way(ADA).await;
    assert_eq!(
        finish(&app.stranger(), "totp", &token, &eve.device.code()).await.problem(401),
        "invalid_code"
    );
    let answer = finish(&app.stranger(), "recovery_code", &token, &eve.recovery_codes[0]).await;
    assert_eq!(answer.problem(401), "invalid_code");
    // Eve's own was not spent by it.
    let token = app.half_way("eve@example.com").await;
    finish(&app.stranger(), "recovery_code", &token, &eve.recovery_codes[0]).await.expect(201);
}

#[tokio::test]
async fn whoever_knows_a_password_enrols_no_device_beside_the_owners() {
    let app = TestApp::start().await;
    let ada = app.enrolled(ADA).await;
    let enrolment = |token: &str| json!({ "method": "totp_enrolment", "attempt_token": token });
    for policy in ["optional", "required"] {
        app.set(json!({ "mfa": { "policy": policy } })).await;
        let token = app.half_way(ADA).await;
        let answer = app.stranger().post("/v1/sessions", enrolment(&token)).await;
        assert_eq!(answer.problem(401), "invalid_attempt");
    }
    // Nor one that was enrolled while the account had none.
    app.set(json!({ "mfa": { "policy": "optional" } })).await;
    let bob = app.person("bob@example.com").await;
    app.set(json!({ "mfa": { "policy": "required" } })).await;
    let token = app.half_way("bob@example.com").await;
    let body = app.stranger().post("/v1/sessions", enrolment(&token)).await.expect(200);
    let planted = OtpApp::scan(&body["factor"]);
    app.set(json!({ "mfa": { "policy": "optional" } })).await;
    let (id, device) = crate::support::otp_app::enrol(&bob.http).await;
    let path = format!("/v1/users/me/factors/{id}/activations");
    bob.http.post(&path, json!({ "code": device.code() })).await.expect(200);
    assert_eq!(
        finish(&app.stranger(), "totp", &token, &planted.code()).await.problem(401),
        "invalid_attempt"
    );
    // What an attempt enrolled is not the owner's to activate by accident either.
    let list = bob.http.get("/v1/users/me/factors").await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        ada.person.http.get("/v1/users/me/factors").await.expect(200)["data"].as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn of_several_enrolments_on_the_way_in_one_wins() {
    let app = TestApp::start().await;
    app.person(ADA).await;
    app.set(json!({ "mfa": { "policy": "required" } })).await;
    let mut ways = Vec::new();
    for _ in 0..4 {
        let token = app.half_way(ADA).await;
        let body = json!({ "method": "totp_enrolment", "attempt_token": token });
        let body = app.stranger().post("/v1/sessions", body).await.expect(200);
        ways.push((token, OtpApp::scan(&body["factor"])));
    }
    let answers = join_all(
        ways.iter().map(async |(token, device)| finish(&app.stranger(), "totp", token, &device.code()).await),
    )
    .await;
    let won = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(won, 1, "{answers:?}");
    assert_eq!(count(&app, "SELECT count(*) FROM auth.totp_factors WHERE activated_at IS NOT NULL").await, 1);
}

#[tokio::test]
async fn what_ends_sign_ins_ends_those_that_are_half_way() {
    let app = TestApp::start().await;
    let ada = app.enrolled(ADA).await;
    let http = &ada.person.http;
    let ended = async |token: &str| {
        app.forget_steps().await;
        let answer = finish(&app.stranger(), "totp", token, &ada.device.code()).await;
        assert_eq!(answer.problem(401), "invalid_attempt");
    };
    let token = app.half_way(ADA).await;
    let body = json!({ "current_password": PASSWORD, "password": OTHER_PASSWORD });
    http.put("/v1/users/me/password", body).await.expect(204);
    ended(&token).await;
    let body = json!({ "current_password": OTHER_PASSWORD, "password": PASSWORD });
    http.put("/v1/users/me/password", body).await.expect(204);

    let token = app.half_way(ADA).await;
    http.delete("/v1/sessions?scope=others").await.expect(200);
    ended(&token).await;

    let token = app.half_way(ADA).await;
    let ban = format!("/v1/admin/users/{}/ban", ada.person.id);
    app.admin.put(&ban, json!({})).await.expect(200);
    app.admin.delete(&ban).await.expect(204);
    ended(&token).await;

    let token = app.half_way(ADA).await;
    sql(&app, "UPDATE auth.users SET banned_at = now()").await;
    app.forget_steps().await;
    let answer = finish(&app.stranger(), "totp", &token, &ada.device.code()).await;
    assert_eq!(answer.problem(401), "invalid_credentials");
    sql(&app, "UPDATE auth.users SET banned_at = NULL").await;

    let token = app.half_way(ADA).await;
    sql(&app, "UPDATE auth.sign_in_attempts SET expires_at = now()").await;
    ended(&token).await;

    let token = app.half_way(ADA).await;
    app.admin.delete(&format!("/v1/admin/users/{}", ada.person.id)).await.expect(204);
    ended(&token).await;
}

#[tokio::test]
async fn of_fifty_uses_of_one_attempt_one_succeeds() {
    let app = TestApp::start().await;
    let ada = app.enrolled(ADA).await;
    let second = TestApp::on(app.database.clone()).await;
    let token = app.half_way(ADA).await;
    let answers = join_all((0..50).map(async |turn| {
        let http = if turn % 2 == 0 { app.stranger() } else { second.stranger() };
        // Different codes, all of them right: it is the attempt that is used up.
        let code = if turn < 10 { &ada.recovery_codes[turn] } else { &ada.device.code_in(0) };
        finish(&http, if turn < 10 { "recovery_code" } else { "totp" }, &token, code).await
    }))
    .await;
    let won: Vec<Value> = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .map(crate::support::client::Answer::json)
        .collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| [201, 401, 429].contains(&answer.status.as_u16())), "{answers:?}");
    // What lost was not spent: all codes but perhaps one are there.
    let left = ada.person.http.get("/v1/users/me/recovery-codes").await.expect(200);
    let by_code = won[0]["session"]["amr"].to_string().contains("recovery_code");
    assert_eq!(left["remaining"], if by_code { 9 } else { 10 });
}

#[tokio::test]
async fn a_factor_planted_before_the_proof_is_gone_with_it() {
    let app = TestApp::start().await;
    app.set(json!({ "sign_up": { "require_verification": false } })).await;
    let planted = sign_up(&app.stranger(), ADA, OTHER_PASSWORD).await.expect(201);
    let attacker = app.stranger().with_bearer(planted["session"]["token"].as_str().unwrap());
    let (id, device) = crate::support::otp_app::enrol(&attacker).await;
    let path = format!("/v1/users/me/factors/{id}/activations");
    attacker.post(&path, json!({ "code": device.code() })).await.expect(200);
    let waiting = sign_in(&app.stranger(), ADA, OTHER_PASSWORD).await.expect(202);
    let waiting = waiting["attempt"]["token"].as_str().unwrap();

    let mail = app.mailbox.wait_until(|mail| mail.to == ADA && mail.text.contains("#token=")).await.unwrap();
    redeem_token(&app.stranger(), &token_in(&mail)).await.expect(200);
    for table in ["totp_factors", "totp_recovery_codes", "sign_in_attempts"] {
        assert_eq!(
            crate::support::sql::number(&app, &format!("SELECT count(*) FROM auth.{table}")).await,
            0,
            "{table}"
        );
    }
    app.forget_steps().await;
    assert_eq!(
        finish(&app.stranger(), "totp", waiting, &device.code()).await.problem(401),
        "invalid_attempt"
    );
}

/// What moves an account from one owner to another.
fn takeovers() -> Vec<(Method, &'static str, Value)> {
    vec![
        (Method::POST, "/v1/users/me/emails", json!({ "email": "thief@example.com" })),
        (Method::PUT, "/v1/users/me/emails/01a2b3c4-d5e6-7f01-8a2b-3c4d5e6f7081/primary", json!({})),
        (Method::DELETE, "/v1/users/me/emails/01a2b3c4-d5e6-7f01-8a2b-3c4d5e6f7081", json!(null)),
        (
            Method::PUT,
            "/v1/users/me/password",
            json!({ "current_password": PASSWORD, "password": OTHER_PASSWORD }),
        ),
        (Method::DELETE, "/v1/users/me/password", json!(null)),
        (Method::POST, "/v1/users/me/factors", json!({})),
        (Method::POST, "/v1/users/me/recovery-codes", json!({})),
        (Method::POST, "/v1/users/me/passkeys/registration-options", json!({})),
        (
            Method::POST,
            "/v1/users/me/passkeys",
            json!({ "challenge_id": "01a2b3c4-d5e6-7f01-8a2b-3c4d5e6f7081", "credential": {} }),
        ),
        (Method::PATCH, "/v1/users/me/passkeys/01a2b3c4-d5e6-7f01-8a2b-3c4d5e6f7081", json!({ "name": "x" })),
        (Method::DELETE, "/v1/users/me/passkeys/01a2b3c4-d5e6-7f01-8a2b-3c4d5e6f7081", json!(null)),
        (Method::PATCH, "/v1/users/me/factors/01a2b3c4-d5e6-7f01-8a2b-3c4d5e6f7081", json!({ "name": "x" })),
        (Method::POST, "/v1/api-keys", json!({ "name": "of the thief" })),
        (
            Method::POST,
            "/v1/api-keys/01a2b3c4-d5e6-7f01-8a2b-3c4d5e6f7081/rotations",
            json!({ "overlap_seconds": 0 }),
        ),
        (Method::DELETE, "/v1/sessions?scope=all", json!(null)),
        (Method::DELETE, "/v1/users/me", json!(null)),
    ]
}

async fn second_factor_is_asked_for(http: &crate::support::client::Http) {
    for (method, path, body) in takeovers() {
        let request = http.request(method.clone(), path);
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = http.send(request).await;
        assert_eq!(answer.problem(401), "insufficient_user_authentication", "{method} {path}");
        assert_eq!(answer.json()["acr_values"], "aal2", "{method} {path}");
        assert!(answer.header("www-authenticate").contains("acr_values=\"aal2\""), "{method} {path}");
    }
}

#[tokio::test]
async fn sessions_from_before_the_factor_end_with_its_activation() {
    let app = TestApp::start().await;
    let ada = app.person(ADA).await;
    let thief = app.sign_in(ADA, PASSWORD).await;
    let minted = thief.http.post("/v1/refresh-tokens", json!({})).await.expect(201);
    let (id, device) = crate::support::otp_app::enrol(&ada.http).await;
    let path = format!("/v1/users/me/factors/{id}/activations");
    ada.http.post(&path, json!({ "code": device.code() })).await.expect(200);
    thief.http.get("/v1/sessions/current").await.problem(401);
    let rotation = json!({ "refresh_token": minted["refresh_token"]["token"] });
    app.stranger().post("/v1/refresh-tokens/rotations", rotation).await.problem(401);
    ada.http.get("/v1/sessions/current").await.expect(200);
}

#[tokio::test]
async fn an_older_session_and_the_password_move_no_address_and_no_password() {
    let app = TestApp::start().await;
    let ada = app.enrolled(ADA).await;
    // As if the factor had come without ending it.
    sql(&app, "UPDATE auth.sessions SET aal = 1, amr = '{pwd}', second_verified_at = NULL").await;
    let step_up = json!({ "method": "password", "password": PASSWORD });
    let stepped = ada.person.http.post("/v1/sessions/current/verifications", step_up).await.expect(200);
    let thief = app.stranger().with_bearer(stepped["session"]["token"].as_str().unwrap());
    second_factor_is_asked_for(&thief).await;
    assert_eq!(count(&app, "SELECT count(*) FROM auth.emails").await, 1);
    sign_in(&app.stranger(), ADA, PASSWORD).await.expect(202);
}

#[tokio::test]
async fn a_password_does_not_make_the_second_factor_recent() {
    let app = TestApp::start().await;
    let ada = app.enrolled(ADA).await;
    let path = "/v1/sessions/current/verifications";
    sql(
        &app,
        "UPDATE auth.sessions SET verified_at = now() - interval '20 days',
                                  second_verified_at = now() - interval '20 days'",
    )
    .await;
    let step_up = json!({ "method": "password", "password": PASSWORD });
    let stepped = ada.person.http.post(path, step_up).await.expect(200);
    assert_eq!(stepped["session"]["aal"], 2);
    let http = app.stranger().with_bearer(stepped["session"]["token"].as_str().unwrap());
    second_factor_is_asked_for(&http).await;
    // With the second factor it goes on.
    let step_up = json!({ "method": "totp", "code": ada.device.code() });
    let stepped = http.post(path, step_up).await.expect(200);
    let http = app.stranger().with_bearer(stepped["session"]["token"].as_str().unwrap());
    http.post("/v1/users/me/factors", json!({})).await.expect(201);
}

#[tokio::test]
async fn an_enrolment_from_before_the_owners_factor_is_not_activated_after_it() {
    let app = TestApp::start().await;
    let ada = app.person(ADA).await;
    let planted = crate::support::otp_app::enrol(&ada.http).await;
    let (id, device) = crate::support::otp_app::enrol(&ada.http).await;
    let activation = |id: &str| format!("/v1/users/me/factors/{id}/activations");
    ada.http.post(&activation(&id), json!({ "code": device.code() })).await.expect(200);
    ada.http.post(&activation(&planted.0), json!({ "code": planted.1.code() })).await.problem(404);

    // Nor by a session that has shown one factor, where another one came meanwhile.
    let (id, device) = crate::support::otp_app::enrol(&ada.http).await;
    sql(&app, "UPDATE auth.sessions SET aal = 1, second_verified_at = NULL").await;
    let answer = ada.http.post(&activation(&id), json!({ "code": device.code() })).await;
    assert_eq!(answer.problem(401), "insufficient_user_authentication");
    assert_eq!(count(&app, "SELECT count(*) FROM auth.totp_factors WHERE activated_at IS NOT NULL").await, 1);
}

#[tokio::test]
async fn a_lost_device_goes_by_a_recovery_code_long_after_the_sign_in() {
    let app = TestApp::start().await;
    let ada = app.enrolled(ADA).await;
    sql(
        &app,
        "UPDATE auth.sessions SET verified_at = now() - interval '1 day',
                                  second_verified_at = now() - interval '1 day'",
    )
    .await;
    let step_up = json!({ "method": "password", "password": PASSWORD });
    let stepped = ada.person.http.post("/v1/sessions/current/verifications", step_up).await.expect(200);
    let http = app.stranger().with_bearer(stepped["session"]["token"].as_str().unwrap());
    // The code that the removal takes is the second factor.
    let path = format!("/v1/users/me/factors/{}", ada.factor);
    let remove = async |code: &str| {
        http.send(http.request(Method::DELETE, &path).json(&json!({ "code": code }))).await
    };
    remove(&ada.device.wrong()).await.problem(422);
    remove(&ada.recovery_codes[0]).await.expect(204);
}

#[tokio::test]
async fn an_address_added_before_the_factor_is_not_proven_after_it() {
    let app = TestApp::start().await;
    let ada = app.person(ADA).await;
    let thief = app.sign_in(ADA, PASSWORD).await;
    crate::support::mailed::add(&thief.http, "thief@example.com").await;
    let token = token_in(&*kind_to(&app, "thief@example.com", "ev_").await);
    let (id, device) = crate::support::otp_app::enrol(&ada.http).await;
    let path = format!("/v1/users/me/factors/{id}/activations");
    ada.http.post(&path, json!({ "code": device.code() })).await.expect(200);
    redeem_token(&app.stranger(), &token).await.problem(400);
}
