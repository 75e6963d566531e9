//! Trying codes until one fits.

use serde_json::json;

use super::{WRONG_PASSWORD, forget_attempts, pass_minutes, sign_in};
use crate::support::TestApp;
use crate::support::app::PASSWORD;
use crate::support::client::Answer;
use crate::support::otp_app::finish;

const ADA: &str = "ada@example.com";

#[track_caller]
fn limited(answer: &Answer) {
    assert_eq!(answer.problem(429), "too_many_requests");
}

#[tokio::test]
async fn one_attempt_takes_five_wrong_codes_and_then_not_even_the_right_one() {
    let app = TestApp::start().await;
    let ada = app.enrolled(ADA).await;
    let token = app.half_way(ADA).await;
    for turn in 0..5 {
        let (method, code) = if turn % 2 == 0 {
            ("totp", ada.device.wrong())
        } else {
            ("recovery_code", "0000-0000-0000-0000".to_owned())
        };
        assert_eq!(finish(&app.stranger(), method, &token, &code).await.problem(401), "invalid_code");
        forget_attempts(&app).await;
    }
    let answer = finish(&app.stranger(), "totp", &token, &ada.device.code()).await;
    assert_eq!(answer.problem(401), "invalid_attempt");
    // It is the attempt that is dead, not the account.
    let token = app.half_way(ADA).await;
    finish(&app.stranger(), "totp", &token, &ada.device.code()).await.expect(201);
}

#[tokio::test]
async fn passwords_and_codes_share_one_budget_across_attempts_and_instances() {
    let app = TestApp::start().await;
    let second = TestApp::on(app.database.clone()).await;
    let ada = app.enrolled(ADA).await;
    // Two right passwords and eight wrong codes: ten guesses.
    for instance in [&app, &second] {
        let token = instance.half_way(ADA).await;
        for turn in 0..4 {
            let (method, code) = if turn % 2 == 0 {
                ("totp", ada.device.wrong())
            } else {
                ("recovery_code", "0000-0000-0000-0000".to_owned())
            };
            finish(&instance.stranger(), method, &token, &code).await.problem(401);
        }
    }
    limited(&sign_in(&app.stranger(), ADA, PASSWORD).await);
    let step_up = json!({ "method": "totp", "code": ada.device.code() });
    limited(&ada.person.http.post("/v1/sessions/current/verifications", step_up).await);
    let path = format!("/v1/users/me/factors/{}", ada.factor);
    let request =
        ada.person.http.request(http::Method::DELETE, &path).json(&json!({ "code": ada.device.code() }));
    limited(&ada.person.http.send(request).await);
    pass_minutes(&app, 1).await;
    sign_in(&app.stranger(), ADA, PASSWORD).await.expect(202);
}

#[tokio::test]
async fn wrong_passwords_leave_nothing_for_codes() {
    let app = TestApp::start().await;
    let ada = app.enrolled(ADA).await;
    let token = app.half_way(ADA).await;
    for _ in 0..9 {
        sign_in(&app.stranger(), ADA, WRONG_PASSWORD).await.problem(401);
    }
    // Counted before it is looked at: the right one as well.
    limited(&finish(&app.stranger(), "totp", &token, &ada.device.code()).await);
    pass_minutes(&app, 1).await;
    finish(&app.stranger(), "totp", &token, &ada.device.code()).await.expect(201);
}

#[tokio::test]
async fn a_known_password_buys_no_further_codes() {
    let app = TestApp::start().await;
    let ada = app.enrolled(ADA).await;
    // Each password is right, and forgives nothing.
    let mut guesses = 0;
    while guesses < 20 {
        let answer = sign_in(&app.stranger(), ADA, PASSWORD).await;
        if answer.status == 429 {
            break;
        }
        let token = answer.expect(202)["attempt"]["token"].as_str().unwrap().to_owned();
        let answer = finish(&app.stranger(), "totp", &token, &ada.device.wrong()).await;
        if answer.status == 429 {
            break;
        }
        answer.problem(401);
        guesses += 1;
    }
    assert_eq!(guesses, 5);
}

#[tokio::test]
async fn a_stolen_session_with_a_device_of_its_own_gets_no_further_guesses_at_the_owners() {
    let app = TestApp::start().await;
    let ada = app.enrolled(ADA).await;
    let thief = &ada.person.http;
    let (id, device) = crate::support::otp_app::enrol(thief).await;
    let path = format!("/v1/users/me/factors/{id}/activations");
    let remove = async |from: &str| {
        let request = thief.request(http::Method::DELETE, &format!("/v1/users/me/factors/{}", ada.factor));
        thief.send(request.header("x-forwarded-for", from).json(&json!({ "code": ada.device.wrong() }))).await
    };
    for turn in 0..8 {
        remove(&format!("203.0.113.{turn}")).await.problem(422);
    }
    thief.post(&path, json!({ "code": device.code() })).await.expect(200);
    let step_up = json!({ "method": "totp", "code": device.code_in(1) });
    let stepped = thief.post("/v1/sessions/current/verifications", step_up).await.expect(200);
    let thief = app.stranger().with_bearer(stepped["session"]["token"].as_str().unwrap());
    // The step-up was right: it cost nothing, and forgave nothing.
    let guess = async || {
        let request = thief.request(http::Method::DELETE, &format!("/v1/users/me/factors/{}", ada.factor));
        thief.send(request.json(&json!({ "code": ada.device.wrong() }))).await
    };
    guess().await.problem(422);
    limited(&guess().await);
}

#[tokio::test]
async fn one_address_may_try_ten_second_factors_a_minute() {
    let app = TestApp::start().await;
    let one = app.stranger();
    let nobodys =
        beyond_auth::platform::crypto::token::Token::<beyond_auth::platform::crypto::token::Attempt>::mint();
    let nobodys = secrecy::ExposeSecret::expose_secret(&nobodys.reveal()).to_owned();
    for _ in 0..10 {
        assert_eq!(finish(&one, "totp", &nobodys, "123456").await.problem(401), "invalid_attempt");
    }
    limited(&finish(&one, "recovery_code", &nobodys, "abcd-efgh-jkmn-pqrs").await);
    assert_eq!(finish(&app.stranger(), "totp", &nobodys, "123456").await.problem(401), "invalid_attempt");
}

#[tokio::test]
async fn a_password_at_step_up_buys_no_further_codes() {
    let app = TestApp::start().await;
    let ada = app.enrolled(ADA).await;
    let path = "/v1/sessions/current/verifications";
    let mut thief = ada.person.http;
    let mut guesses = 0;
    // From ever new addresses, so that only the account's own budget counts.
    for turn in 0..30 {
        let from = format!("203.0.113.{turn}");
        let guess = thief.request(http::Method::POST, path).header("x-forwarded-for", &from);
        let answer = thief.send(guess.json(&json!({ "method": "totp", "code": ada.device.wrong() }))).await;
        if answer.status == 429 {
            break;
        }
        answer.problem(401);
        guesses += 1;
        let step_up = thief.request(http::Method::POST, path).header("x-forwarded-for", &from);
        let answer = thief.send(step_up.json(&json!({ "method": "password", "password": PASSWORD }))).await;
        if answer.status == 200 {
            thief = app.stranger().with_bearer(answer.json()["session"]["token"].as_str().unwrap());
        }
    }
    assert_eq!(guesses, 10, "right passwords in between cost nothing and buy nothing");
}
