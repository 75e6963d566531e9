//! Using a recovery code twice.

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
    let code = &ada.recovery_codes[7];
    let answers = join_all(tokens.iter().enumerate().map(async |(turn, token)| {
        let http = if turn % 2 == 0 { app.stranger() } else { second.stranger() };
        finish(&http, "recovery_code", token, code).await
    }))
    .await;
    assert!(answers.iter().all(|answer| [201, 401, 429].contains(&answer.status.as_u16())), "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    // Beside the session that enrolled it.
    assert_eq!(count(&app, "SELECT count(*) FROM auth.sessions").await, 2);
    assert_eq!(count(&app, "SELECT count(*) FROM auth.totp_recovery_codes WHERE used_at IS NULL").await, 9);
}

#[tokio::test]
async fn a_used_code_opens_nothing_else_either() {
    let app = TestApp::start().await;
    let ada = app.enrolled(ADA).await;
    let code = &ada.recovery_codes[0];
    let step_up = json!({ "method": "recovery_code", "code": code });
    let path = "/v1/sessions/current/verifications";
    let stepped = ada.person.http.post(path, step_up.clone()).await.expect(200);
    let http = app.stranger().with_bearer(stepped["session"]["token"].as_str().unwrap());
    assert_eq!(http.post(path, step_up).await.problem(401), "invalid_code");
    let token = app.half_way(ADA).await;
    assert_eq!(finish(&app.stranger(), "recovery_code", &token, code).await.problem(401), "invalid_code");
    let request = http.request(http::Method::DELETE, &format!("/v1/users/me/factors/{}", ada.factor));
    http.send(request.json(&json!({ "code": code }))).await.problem(422);
}

#[tokio::test]
async fn a_stolen_dump_holds_neither_codes_nor_seeds() {
    let app = TestApp::start().await;
    let ada = app.enrolled(ADA).await;
    let code = &ada.recovery_codes[0];
    let rows = crate::support::sql::rows(
        &app,
        "SELECT row_to_json(t)::text FROM auth.totp_recovery_codes t
         UNION ALL SELECT row_to_json(t)::text FROM auth.totp_factors t
         UNION ALL SELECT row_to_json(t)::text FROM auth.audit_events t
         UNION ALL SELECT row_to_json(t)::text FROM auth.outbox t",
    )
    .await;
    for row in rows {
        let text: String = sqlx::Row::get(&row, 0);
        assert!(!text.contains(code.as_str()) && !text.contains(&code.replace('-', "")), "{text}");
    }
}

#[tokio::test]
async fn the_owner_hears_of_a_code_that_removed_a_factor() {
    let app = TestApp::start().await;
    let ada = app.enrolled(ADA).await;
    let path = format!("/v1/users/me/factors/{}", ada.factor);
    let request = ada.person.http.request(http::Method::DELETE, &path);
    ada.person.http.send(request.json(&json!({ "code": ada.recovery_codes[0] }))).await.expect(204);
    app.mailbox.wait_until(|mail| mail.to == ADA && mail.subject.contains("recovery code")).await.unwrap();
    let used = "SELECT count(*) FROM auth.audit_events WHERE action = 'recovery_code.used'";
    assert_eq!(count(&app, used).await, 1);
}
