//! Presenting what a passkey has signed once more, or many times at once.

use futures::future::join_all;
use serde_json::{Value, json};

use super::{count, sql};
use crate::passkeys::{OPTIONS, hand_over, options, present, register, registration};
use crate::support::TestApp;
use crate::support::authenticator::Authenticator;
use crate::support::client::Answer;

fn won(answers: &[Answer], lost: &str) -> usize {
    let (won, others): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert!(others.iter().all(|answer| answer.problem(400) == lost));
    won.len()
}

#[tokio::test]
async fn of_fifty_presentations_of_one_answer_on_two_instances_exactly_one_signs_in() {
    let app = TestApp::start().await;
    let second = TestApp::on(app.database.clone()).await;
    let ada = app.person("ada@example.com").await;
    let mut phone = Authenticator::new(&app);
    register(&ada, &mut phone).await;
    let offered = options(&app.http).await;
    let credential = phone.assert(&offered);
    let answers = join_all((0..50).map(async |turn| {
        let http = if turn % 2 == 0 { app.stranger() } else { second.stranger() };
        present(&http, &offered, credential.clone()).await
    }))
    .await;
    assert_eq!(won(&answers, "invalid_challenge"), 1);
    assert_eq!(present(&app.stranger(), &offered, credential).await.problem(400), "invalid_challenge");
    // The same challenge does not serve a second, honest answer either.
    let again = phone.assert(&offered);
    assert_eq!(present(&app.stranger(), &offered, again).await.problem(400), "invalid_challenge");
}

#[tokio::test]
async fn a_challenge_of_one_instance_is_answered_at_another() {
    let app = TestApp::start().await;
    let second = TestApp::on(app.database.clone()).await;
    let ada = app.person("ada@example.com").await;
    let mut phone = Authenticator::new(&app);
    let offered = registration(&ada.http).await;
    let credential = phone.register(&offered);
    hand_over(&second.http.with_bearer(&ada.token), &offered, credential).await.expect(201);
    let offered = options(&app.http).await;
    let credential = phone.assert(&offered);
    present(&second.stranger(), &offered, credential).await.expect(201);
}

#[tokio::test]
async fn of_fifty_registrations_with_one_challenge_exactly_one_succeeds() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut phone = Authenticator::new(&app);
    let offered = registration(&ada.http).await;
    let credentials: Vec<Value> = (0..50).map(|_| phone.register(&offered)).collect();
    let answers =
        join_all(credentials.into_iter().map(async |made| hand_over(&ada.http, &offered, made).await)).await;
    assert_eq!(won(&answers, "invalid_challenge"), 1);
    assert_eq!(count(&app, "SELECT count(*) FROM auth.passkeys").await, 1);
}

#[tokio::test]
async fn of_many_registrations_at_once_no_more_than_twenty_stay() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut phone = Authenticator::new(&app);
    let mut made = Vec::new();
    for _ in 0..30 {
        let offered = registration(&ada.http).await;
        let credential = phone.register(&offered);
        made.push((offered, credential));
    }
    let answers =
        join_all(made.into_iter().map(async |(offered, credential)| {
            hand_over(&ada.http, &offered, credential).await.status.as_u16()
        }))
        .await;
    assert_eq!(answers.iter().filter(|status| **status == 201).count(), 20);
    assert_eq!(answers.iter().filter(|status| **status == 409).count(), 10);
}

#[tokio::test]
async fn a_second_factor_is_taken_once() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut key = Authenticator::security_key(&app, false);
    register(&ada, &mut key).await;
    app.set(json!({ "mfa": { "policy": "required" } })).await;
    let due =
        super::sign_in(&app.stranger(), "ada@example.com", crate::support::app::PASSWORD).await.expect(202);
    let token = due["attempt"]["token"].as_str().unwrap();
    let offered = app.stranger().post(OPTIONS, json!({ "attempt_token": token })).await.expect(200);
    let body = json!({
        "method": "passkey",
        "attempt_token": token,
        "challenge_id": offered["challenge_id"],
        "credential": key.assert(&offered),
    });
    let answers =
        join_all((0..50).map(async |_| app.stranger().post("/v1/sessions", body.clone()).await)).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert!(answers.iter().all(|answer| [201, 400, 401].contains(&answer.status.as_u16())));
}

#[tokio::test]
async fn a_challenge_ends_after_five_minutes() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut phone = Authenticator::new(&app);
    register(&ada, &mut phone).await;
    let (offered, registering) = (options(&app.http).await, registration(&ada.http).await);
    let life = "SELECT count(*) FROM auth.passkey_challenges
                WHERE expires_at BETWEEN now() + interval '290 seconds' AND now() + interval '300 seconds'";
    assert_eq!(count(&app, life).await, 2);
    sql(&app, "UPDATE auth.passkey_challenges SET expires_at = now()").await;
    let credential = phone.assert(&offered);
    assert_eq!(present(&app.stranger(), &offered, credential).await.problem(400), "invalid_challenge");
    let credential = phone.register(&registering);
    assert_eq!(hand_over(&ada.http, &registering, credential).await.problem(400), "invalid_challenge");
    beyond_auth::jobs::purge(&app.running.app).await.unwrap();
    assert_eq!(count(&app, "SELECT count(*) FROM auth.passkey_challenges").await, 0);
}
