//! Authenticator apps and recovery codes.

use serde_json::{Value, json};

use crate::support::otp_app::{Enrolled, OtpApp, enrol, finish, strings};
use crate::support::{TestApp, sql};

const FACTORS: &str = "/v1/users/me/factors";
const CODES: &str = "/v1/users/me/recovery-codes";

async fn remaining(enrolled: &Enrolled) -> Value {
    enrolled.person.http.get(CODES).await.expect(200)["remaining"].clone()
}

/// Removes a factor with a code.
async fn remove(enrolled: &Enrolled, code: Option<&str>) -> crate::support::client::Answer {
    let path = format!("{FACTORS}/{}", enrolled.factor);
    let http = &enrolled.person.http;
    let request = http.request(http::Method::DELETE, &path);
    http.send(if let Some(code) = code { request.json(&json!({ "code": code })) } else { request }).await
}

#[tokio::test]
async fn an_app_is_enrolled_by_scanning_or_typing_and_proven_by_its_first_code() {
    let app = TestApp::start().await;
    app.set(json!({ "branding": { "name": "The Shop" } })).await;
    let ada = app.person("ada@example.com").await;
    let made = ada.http.post(FACTORS, json!({ "name": " Phone " })).await.expect(201);
    let factor = &made["factor"];
    assert_eq!((&factor["type"], &factor["name"]), (&json!("totp"), &json!("Phone")));
    let secret = factor["secret"].as_str().unwrap();
    assert_eq!(secret.len(), 32);
    let uri = factor["uri"].as_str().unwrap();
    assert_eq!(uri, format!("otpauth://totp/The%20Shop:ada%40example.com?secret={secret}&issuer=The%20Shop"));
    assert!(factor["qr_svg"].as_str().unwrap().starts_with("<svg "));
    let list = ada.http.get(FACTORS).await.expect(200);
    assert_eq!(list["data"][0]["active"], false);
    assert!(!list.to_string().contains(secret));
    // No factor yet: signing in asks for none.
    app.sign_in("ada@example.com", crate::support::app::PASSWORD).await;

    let device = OtpApp::scan(factor);
    let path = format!("{FACTORS}/{}/activations", factor["id"].as_str().unwrap());
    for code in ["", "12345", &device.wrong(), "abcd-efgh-jkmn-pqrs"] {
        let answer = ada.http.post(&path, json!({ "code": code })).await;
        assert_eq!((answer.problem(422), answer.pointer()), ("validation_failed".into(), "/code".into()));
    }
    let activated = ada.http.post(&path, json!({ "code": device.code() })).await.expect(200);
    assert_eq!(activated["factor"]["active"], true);
    let codes = strings(&activated["recovery_codes"]);
    assert_eq!(codes.len(), 10);
    assert!(codes.iter().all(|code| code.len() == 19), "{codes:?}");
    assert_eq!(ada.http.post(&path, json!({ "code": device.code() })).await.problem(409), "factor_active");
    assert_eq!(ada.http.get(CODES).await.expect(200), json!({ "remaining": 10 }));
    let mail = app.mailbox.wait_until(|mail| mail.subject.contains("second factor was added")).await.unwrap();
    assert_eq!(mail.to, "ada@example.com");

    let renamed = ada.http.patch(&path.replace("/activations", ""), json!({ "name": null })).await;
    assert_eq!(renamed.expect(200)["factor"]["name"], Value::Null);
}

#[tokio::test]
async fn signing_in_takes_a_code_and_the_session_has_two_factors() {
    let app = TestApp::start().await;
    let ada = app.enrolled("ada@example.com").await;
    let body = json!({ "method": "password", "email": "ada@example.com", "password": crate::support::app::PASSWORD,
                       "refresh_token": true });
    let due = app.stranger().post("/v1/sessions", body).await.expect(202);
    assert_eq!(due["attempt"]["factors"], json!(["totp", "recovery_code"]));
    assert_eq!(due["attempt"]["enrolment_required"], false);
    let attempt = due["attempt"]["token"].as_str().unwrap();
    assert!(attempt.starts_with("att_"));
    let finished = finish(&app.stranger(), "totp", attempt, &ada.device.code()).await.expect(201);
    assert_eq!(
        (&finished["session"]["aal"], &finished["session"]["amr"]),
        (&json!(2), &json!(["pwd", "otp", "mfa"]))
    );
    // Wished for with the first factor, handed out with the second.
    assert!(finished["refresh_token"]["token"].as_str().unwrap().starts_with("rt_"));
    let token = finished["session"]["token"].as_str().unwrap();
    app.http.with_bearer(token).get("/v1/sessions/current").await.expect(200);

    let attempt = app.half_way("ada@example.com").await;
    let by_recovery =
        finish(&app.stranger(), "recovery_code", &attempt, &ada.recovery_codes[3]).await.expect(201);
    assert_eq!(by_recovery["session"]["amr"], json!(["pwd", "recovery_code", "mfa"]));
    let mail = app.mailbox.wait_until(|mail| mail.subject.contains("recovery code")).await.unwrap();
    assert!(mail.text.contains("Recovery codes left: 9"), "{}", mail.text);
    assert_eq!(remaining(&ada).await, 9);
}

#[tokio::test]
async fn a_cookie_is_set_with_the_second_factor_only() {
    let app = TestApp::start().await;
    let ada = app.enrolled("ada@example.com").await;
    let body = json!({ "method": "password", "email": "ada@example.com", "password": crate::support::app::PASSWORD,
                       "cookie": true });
    let due = app.stranger().post("/v1/sessions", body).await;
    assert_eq!(due.header("set-cookie"), "");
    let attempt = due.expect(202)["attempt"]["token"].as_str().unwrap().to_owned();
    let body =
        json!({ "method": "totp", "attempt_token": attempt, "code": ada.device.code(), "cookie": true });
    let answer = app.stranger().post("/v1/sessions", body).await;
    assert!(
        answer.header("set-cookie").starts_with("beyond_session=session_"),
        "{}",
        answer.header("set-cookie")
    );
    assert_eq!(answer.expect(201)["session"]["token"], Value::Null);
}

#[tokio::test]
async fn a_session_is_stepped_up_by_either_kind_of_code() {
    let app = TestApp::start().await;
    let ada = app.enrolled("ada@example.com").await;
    let path = "/v1/sessions/current/verifications";
    let answer = ada.person.http.post(path, json!({ "method": "totp", "code": ada.device.wrong() })).await;
    assert_eq!(answer.problem(401), "invalid_code");
    let stepped = ada.person.http.post(path, json!({ "method": "totp", "code": ada.device.code() })).await;
    let session = stepped.expect(200)["session"].clone();
    assert_eq!((&session["aal"], &session["amr"]), (&json!(2), &json!(["pwd", "otp", "mfa"])));
    ada.person.http.get("/v1/sessions/current").await.problem(401);
    let http = app.http.with_bearer(session["token"].as_str().unwrap());
    let code = &ada.recovery_codes[0];
    let stepped = http.post(path, json!({ "method": "recovery_code", "code": code })).await.expect(200);
    assert_eq!(stepped["session"]["amr"], json!(["pwd", "otp", "mfa", "recovery_code"]));
}

#[tokio::test]
async fn removing_a_factor_takes_a_code_of_it_or_a_recovery_code() {
    let app = TestApp::start().await;
    let ada = app.enrolled("ada@example.com").await;
    for (code, expected) in [(None, "required"), (Some(ada.device.wrong()), "wrong_code")] {
        let answer = remove(&ada, code.as_deref()).await;
        answer.problem(422);
        assert_eq!(answer.json()["errors"][0]["code"], expected);
    }
    // A code of another factor of the same account is not one of this.
    let (second, device) = enrol(&ada.person.http).await;
    let path = format!("{FACTORS}/{second}/activations");
    let activated = ada.person.http.post(&path, json!({ "code": device.code() })).await.expect(200);
    assert_eq!(activated["recovery_codes"], json!([]));
    app.forget_steps().await;
    remove(&ada, Some(&device.code())).await.problem(422);
    remove(&ada, Some(&ada.recovery_codes[0].to_uppercase())).await.expect(204);
    app.mailbox.wait_until(|mail| mail.subject.contains("second factor was removed")).await.unwrap();
    assert_eq!(remaining(&ada).await, 9);
    let other = Enrolled { factor: second, ..ada };
    remove(&other, Some(&device.code())).await.expect(204);
    // With the last factor go the codes that stood in for it, and signing in asks for none.
    assert_eq!(remaining(&other).await, 0);
    app.sign_in("ada@example.com", crate::support::app::PASSWORD).await;
}

#[tokio::test]
async fn new_recovery_codes_end_the_former_ones() {
    let app = TestApp::start().await;
    let ada = app.enrolled("ada@example.com").await;
    let renewed = ada.person.http.send(ada.person.http.request(http::Method::POST, CODES)).await.expect(201);
    let codes = strings(&renewed["recovery_codes"]);
    assert_eq!(codes.len(), 10);
    let attempt = app.half_way("ada@example.com").await;
    let old = finish(&app.stranger(), "recovery_code", &attempt, &ada.recovery_codes[0]).await;
    assert_eq!(old.problem(401), "invalid_code");
    let typed = codes[0].replace('-', "").to_uppercase();
    finish(&app.stranger(), "recovery_code", &attempt, &typed).await.expect(201);
    let eve = app.person("eve@example.com").await;
    assert_eq!(eve.http.post(CODES, json!({})).await.problem(409), "no_factor");
}

#[tokio::test]
async fn the_session_that_proves_an_enrolment_has_two_factors_and_the_others_end() {
    let app = TestApp::start().await;
    let older = app.person("ada@example.com").await;
    let enrolling = app.sign_in("ada@example.com", crate::support::app::PASSWORD).await;
    let (id, device) = enrol(&enrolling.http).await;
    let path = format!("{FACTORS}/{id}/activations");
    enrolling.http.post(&path, json!({ "code": device.code() })).await.expect(200);
    app.forget_steps().await;
    let session = enrolling.http.get("/v1/sessions/current").await.expect(200)["session"].clone();
    assert_eq!((&session["aal"], &session["amr"]), (&json!(2), &json!(["pwd", "otp", "mfa"])));
    enrolling.http.post(CODES, json!({})).await.expect(201);

    older.http.get("/v1/sessions/current").await.problem(401);

    // One factor, presented again, does not add a second: or a stolen session and a password were enough.
    crate::support::sql::run(&app, "UPDATE auth.sessions SET aal = 1, second_verified_at = NULL").await;
    let path = "/v1/sessions/current/verifications";
    let body = json!({ "method": "password", "password": crate::support::app::PASSWORD });
    let stepped = enrolling.http.post(path, body).await.expect(200);
    let http = app.stranger().with_bearer(stepped["session"]["token"].as_str().unwrap());
    for path in [FACTORS, CODES] {
        let answer = http.post(path, json!({})).await;
        assert_eq!(answer.problem(401), "insufficient_user_authentication", "{path}");
        assert_eq!(answer.json()["acr_values"], "aal2");
        assert!(answer.header("www-authenticate").contains("acr_values=\"aal2\""));
    }
    let stepped = http.post(path, json!({ "method": "totp", "code": device.code() })).await.expect(200);
    let http = http.with_bearer(stepped["session"]["token"].as_str().unwrap());
    http.post(FACTORS, json!({})).await.expect(201);
    http.post(CODES, json!({})).await.expect(201);
}

#[tokio::test]
async fn an_account_has_at_most_five_apps_and_one_that_waits() {
    let app = TestApp::start().await;
    let ada = app.enrolled("ada@example.com").await;
    for _ in 0..4 {
        let (abandoned, device) = enrol(&ada.person.http).await;
        let (id, other) = enrol(&ada.person.http).await;
        let path = |id: &str| format!("{FACTORS}/{id}/activations");
        ada.person.http.post(&path(&abandoned), json!({ "code": device.code() })).await.problem(404);
        ada.person.http.post(&path(&id), json!({ "code": other.code() })).await.expect(200);
        app.forget_steps().await;
    }
    assert_eq!(ada.person.http.post(FACTORS, json!({})).await.problem(409), "too_many_factors");
}

#[tokio::test]
async fn of_activations_at_the_same_moment_one_hands_out_codes() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let (id, device) = enrol(&ada.http).await;
    let path = format!("{FACTORS}/{id}/activations");
    let body = json!({ "code": device.code() });
    let answers =
        futures::future::join_all((0..8).map(async |_| ada.http.post(&path, body.clone()).await)).await;
    let won: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    assert_eq!(strings(&won[0].json()["recovery_codes"]).len(), 10);
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.totp_recovery_codes").await, 10);
}

#[tokio::test]
async fn an_enrolment_ends_after_an_hour() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let (id, device) = enrol(&ada.http).await;
    sql::run(&app, "UPDATE auth.totp_factors SET created_at = now() - interval '61 minutes'").await;
    let path = format!("{FACTORS}/{id}/activations");
    ada.http.post(&path, json!({ "code": device.code() })).await.problem(422);
    sql::run(&app, "UPDATE auth.totp_factors SET created_at = now() - interval '25 hours'").await;
    beyond_auth::jobs::purge(&app.running.app).await.unwrap();
    assert_eq!(ada.http.get(FACTORS).await.expect(200)["data"], json!([]));
}

#[tokio::test]
async fn the_operator_sees_and_removes_a_factor() {
    let app = TestApp::start().await;
    let ada = app.enrolled("ada@example.com").await;
    let path = format!("/v1/admin/users/{}/factors", ada.person.id);
    let list = app.admin.get(&path).await.expect(200);
    assert_eq!(list["data"][0]["id"], ada.factor.as_str());
    let attempt = app.half_way("ada@example.com").await;
    app.admin.delete(&format!("{path}/{}", ada.factor)).await.expect(204);
    app.admin.delete(&format!("{path}/{}", ada.factor)).await.problem(404);
    // What was half-way with the lost device begins again.
    let answer = finish(&app.stranger(), "recovery_code", &attempt, &ada.recovery_codes[0]).await;
    assert_eq!(answer.problem(401), "invalid_attempt");
    app.sign_in("ada@example.com", crate::support::app::PASSWORD).await;
    app.mailbox.wait_until(|mail| mail.subject.contains("second factor was removed")).await.unwrap();
}
