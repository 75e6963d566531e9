//! The project's policy on second factors.

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::app::PASSWORD;
use crate::support::client::Http;
use crate::support::otp_app::{OtpApp, finish, strings};

async fn policy(app: &TestApp, policy: &str) {
    app.set(json!({ "mfa": { "policy": policy } })).await;
}

/// Signs in by password, as far as it goes.
async fn begin(app: &TestApp, email: &str) -> Value {
    let body = json!({ "method": "password", "email": email, "password": PASSWORD });
    app.stranger().post("/v1/sessions", body).await.expect(202)["attempt"].clone()
}

async fn enrol(http: &Http, attempt: &Value) -> OtpApp {
    let body = json!({ "method": "totp_enrolment", "attempt_token": attempt["token"] });
    let body = http.post("/v1/sessions", body).await.expect(200);
    assert!(body["factor"]["qr_svg"].as_str().unwrap().starts_with("<svg "));
    OtpApp::scan(&body["factor"])
}

#[tokio::test]
async fn where_a_factor_is_required_it_is_enrolled_on_the_way_in() {
    let app = TestApp::start().await;
    app.person("ada@example.com").await;
    policy(&app, "required").await;
    let attempt = begin(&app, "ada@example.com").await;
    assert_eq!((&attempt["factors"], &attempt["enrolment_required"]), (&json!([]), &json!(true)));
    let token = attempt["token"].as_str().unwrap();
    let http = app.stranger();
    assert_eq!(finish(&http, "totp", token, "123456").await.problem(401), "invalid_code");
    // Scanned again: the newer picture counts.
    let abandoned = enrol(&http, &attempt).await;
    let device = enrol(&http, &attempt).await;
    assert_eq!(finish(&http, "totp", token, &abandoned.code()).await.problem(401), "invalid_code");
    let finished = finish(&http, "totp", token, &device.code()).await.expect(201);
    assert_eq!(
        (&finished["session"]["aal"], &finished["session"]["amr"]),
        (&json!(2), &json!(["pwd", "otp", "mfa"]))
    );
    let codes = strings(&finished["recovery_codes"]);
    assert_eq!(codes.len(), 10);

    let next = begin(&app, "ada@example.com").await;
    assert_eq!(
        (&next["factors"], &next["enrolment_required"]),
        (&json!(["totp", "recovery_code"]), &json!(false))
    );
    let answer = finish(&app.stranger(), "recovery_code", next["token"].as_str().unwrap(), &codes[0]).await;
    assert_eq!(answer.expect(201)["recovery_codes"], Value::Null);
}

#[tokio::test]
async fn where_a_factor_is_required_the_last_one_stays() {
    let app = TestApp::start().await;
    let ada = app.enrolled("ada@example.com").await;
    policy(&app, "required").await;
    let path = format!("/v1/users/me/factors/{}", ada.factor);
    let request = ada.person.http.request(http::Method::DELETE, &path);
    let answer = ada.person.http.send(request.json(&json!({ "code": ada.recovery_codes[0] }))).await;
    assert_eq!(answer.problem(409), "last_factor");
    // Nothing was spent.
    let left = ada.person.http.get("/v1/users/me/recovery-codes").await.expect(200);
    assert_eq!(left["remaining"], 10);
}

#[tokio::test]
async fn where_factors_are_off_nobody_is_asked_and_nobody_enrols() {
    let app = TestApp::start().await;
    let ada = app.enrolled("ada@example.com").await;
    let waiting = app.half_way("ada@example.com").await;
    policy(&app, "off").await;
    let person = app.sign_in("ada@example.com", PASSWORD).await;
    let session = person.http.get("/v1/sessions/current").await.expect(200)["session"].clone();
    assert_eq!((&session["aal"], &session["amr"]), (&json!(1), &json!(["pwd"])));
    assert_eq!(person.http.post("/v1/users/me/factors", json!({})).await.problem(403), "method_disabled");
    // A sign-in that was half-way is not lost.
    finish(&app.stranger(), "totp", &waiting, &ada.device.code()).await.expect(201);
    policy(&app, "optional").await;
    app.half_way("ada@example.com").await;
}

#[tokio::test]
async fn a_sign_up_that_signs_in_at_once_is_asked_too() {
    let app = TestApp::start().await;
    app.set(json!({ "mfa": { "policy": "required" }, "sign_up": { "require_verification": false } })).await;
    let http = app.stranger();
    let body = json!({ "email": "ada@example.com", "password": PASSWORD });
    let attempt = http.post("/v1/users", body).await.expect(202)["attempt"].clone();
    assert_eq!(attempt["enrolment_required"], true);
    let device = enrol(&http, &attempt).await;
    let finished =
        finish(&http, "totp", attempt["token"].as_str().unwrap(), &device.code()).await.expect(201);
    assert_eq!(finished["session"]["aal"], 2);
}

#[tokio::test]
async fn a_session_from_before_the_policy_lives_on() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    policy(&app, "required").await;
    ada.http.get("/v1/sessions/current").await.expect(200);
}
