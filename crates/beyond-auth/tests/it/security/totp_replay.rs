//! Using a code that somebody has used already: read over a shoulder, or phished a moment ago.

use futures::future::join_all;
use serde_json::json;

use super::count;
use crate::support::TestApp;
use crate::support::otp_app::finish;

const ADA: &str = "ada@example.com";

#[tokio::test]
async fn of_fifty_uses_of_one_code_on_two_instances_one_succeeds() {
    let app = TestApp::start().await;
    let second = TestApp::on(app.database.clone()).await;
    let ada = app.enrolled(ADA).await;
    let mut tokens = Vec::new();
    for _ in 0..50 {
        tokens.push(app.half_way(ADA).await);
        super::forget_attempts(&app).await;
    }
    let code = ada.device.code();
    let answers = join_all(tokens.iter().enumerate().map(async |(turn, token)| {
        let http = if turn % 2 == 0 { app.stranger() } else { second.stranger() };
        finish(&http, "totp", token, &code).await
    }))
    .await;
    assert!(answers.iter().all(|answer| [201, 401, 429].contains(&answer.status.as_u16())), "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(count(&app, "SELECT count(*) FROM auth.sessions WHERE aal = 2").await, 1);
}

#[tokio::test]
async fn neither_a_used_code_nor_an_older_one_works_anywhere() {
    let app = TestApp::start().await;
    let second = TestApp::on(app.database.clone()).await;
    let ada = app.enrolled(ADA).await;
    let (older, used) = (ada.device.code_in(-1), ada.device.code());
    let token = app.half_way(ADA).await;
    finish(&app.stranger(), "totp", &token, &used).await.expect(201);
    for code in [&used, &older] {
        let token = app.half_way(ADA).await;
        assert_eq!(finish(&second.stranger(), "totp", &token, code).await.problem(401), "invalid_code");
        let stepped = json!({ "method": "totp", "code": code });
        let answer = ada.person.http.post("/v1/sessions/current/verifications", stepped).await;
        assert_eq!(answer.problem(401), "invalid_code");
        let path = format!("/v1/users/me/factors/{}", ada.factor);
        let request = ada.person.http.request(http::Method::DELETE, &path).json(&json!({ "code": code }));
        ada.person.http.send(request).await.problem(422);
    }
    // The next one does.
    let token = app.half_way(ADA).await;
    finish(&second.stranger(), "totp", &token, &ada.device.code_in(1)).await.expect(201);
}

#[tokio::test]
async fn the_code_that_proved_an_enrolment_does_not_sign_in() {
    let app = TestApp::start().await;
    let ada = app.person(ADA).await;
    let (id, device) = crate::support::otp_app::enrol(&ada.http).await;
    let code = device.code();
    let path = format!("/v1/users/me/factors/{id}/activations");
    ada.http.post(&path, json!({ "code": code })).await.expect(200);
    let token = app.half_way(ADA).await;
    assert_eq!(finish(&app.stranger(), "totp", &token, &code).await.problem(401), "invalid_code");
}

#[tokio::test]
async fn codes_of_other_minutes_are_refused_by_the_databases_clock() {
    let app = TestApp::start().await;
    let ada = app.enrolled(ADA).await;
    let token = app.half_way(ADA).await;
    for steps in [-3, 3] {
        let answer = finish(&app.stranger(), "totp", &token, &ada.device.code_in(steps)).await;
        assert_eq!(answer.problem(401), "invalid_code", "{steps}");
    }
}
