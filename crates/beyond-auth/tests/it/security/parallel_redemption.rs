//! Redeeming one thing many times, or old things late.

use beyond_auth::emails::mails::VERIFY_EMAIL;
use beyond_auth::platform::ids::EmailId;
use beyond_auth::platform::mail::outbox::NewMail;
use futures::future::{join, join_all};

use super::{
    OTHER_PASSWORD, forget_attempts, further_mail, redeem_code, redeem_token, sign_in, sign_up, sql,
    token_in, wrong_code,
};
use crate::support::TestApp;
use crate::support::app::PASSWORD;
use crate::support::client::Answer;
use crate::support::mailed::{ask_link, ask_reset, code_sign_in, kind_to, link_sign_in, redeem_reset};

fn statuses(answers: &[Answer]) -> (usize, usize) {
    for answer in answers {
        assert!([200, 400, 429].contains(&answer.status.as_u16()), "{}: {}", answer.status, answer.text);
    }
    let won = answers.iter().filter(|answer| answer.status == 200).count();
    (won, answers.len() - won)
}

#[tokio::test]
async fn of_fifty_redemptions_of_one_link_on_two_instances_exactly_one_succeeds() {
    let app = TestApp::start().await;
    let second = TestApp::on(app.database.clone()).await;
    sign_up(&app.http, "ada@example.com", PASSWORD).await.expect(202);
    let token = token_in(&*app.mail_to("ada@example.com").await);
    let answers = join_all((0..50).map(async |turn| {
        let http = if turn % 2 == 0 { app.stranger() } else { second.stranger() };
        redeem_token(&http, &token).await
    }))
    .await;
    assert_eq!(statuses(&answers), (1, 49));
    assert_eq!(redeem_token(&app.stranger(), &token).await.problem(400), "invalid_verification");
}

#[tokio::test]
async fn of_fifty_redemptions_of_one_code_exactly_one_succeeds() {
    let app = TestApp::start().await;
    sign_up(&app.http, "ada@example.com", PASSWORD).await.expect(202);
    let mail = app.mail_to("ada@example.com").await;
    let code = mail.code().unwrap();
    let answers =
        join_all((0..50).map(async |_| redeem_code(&app.stranger(), "ada@example.com", code).await)).await;
    assert_eq!(statuses(&answers), (1, 49));
    // The link of the same mail went with the code.
    redeem_token(&app.stranger(), &token_in(&mail)).await.problem(400);
}

/// One success among fifty, and nothing but refusals beside it.
#[track_caller]
fn once(answers: &[Answer], success: u16, refusals: &[u16]) {
    let won = answers.iter().filter(|answer| answer.status == success).count();
    assert_eq!(won, 1, "{won} of {} succeeded", answers.len());
    for answer in answers.iter().filter(|answer| answer.status != success) {
        assert!(refusals.contains(&answer.status.as_u16()), "{}: {}", answer.status, answer.text);
    }
}

#[tokio::test]
async fn of_fifty_sign_ins_with_one_mailed_link_on_two_instances_exactly_one_succeeds() {
    let app = TestApp::start().await;
    let second = TestApp::on(app.database.clone()).await;
    app.person("ada@example.com").await;
    ask_link(&app.stranger(), "ada@example.com").await;
    let token = token_in(&*kind_to(&app, "ada@example.com", "ml_").await);
    let answers = join_all((0..50).map(async |turn| {
        let http = if turn % 2 == 0 { app.stranger() } else { second.stranger() };
        link_sign_in(&http, &token).await
    }))
    .await;
    once(&answers, 201, &[401]);
}

#[tokio::test]
async fn of_fifty_sign_ins_with_one_mailed_code_exactly_one_succeeds() {
    let app = TestApp::start().await;
    app.person("ada@example.com").await;
    forget_attempts(&app).await;
    let request = ask_link(&app.stranger(), "ada@example.com").await;
    let mail = kind_to(&app, "ada@example.com", "ml_").await;
    let code = mail.code().unwrap();
    let answers = join_all(
        (0..50).map(async |_| code_sign_in(&app.stranger(), "ada@example.com", code, Some(&request)).await),
    )
    .await;
    once(&answers, 201, &[401, 429]);
    link_sign_in(&app.stranger(), &token_in(&mail)).await.problem(401);
}

#[tokio::test]
async fn of_fifty_resets_with_one_link_on_two_instances_exactly_one_succeeds() {
    let app = TestApp::start().await;
    let second = TestApp::on(app.database.clone()).await;
    app.person("ada@example.com").await;
    ask_reset(&app.stranger(), "ada@example.com").await;
    let token = token_in(&*kind_to(&app, "ada@example.com", "pwr_").await);
    let password = |turn: usize| format!("{turn} loud mountains and rivers");
    let answers = join_all((0..50).map(async |turn| {
        let http = if turn % 2 == 0 { app.stranger() } else { second.stranger() };
        redeem_reset(&http, &token, &password(turn)).await
    }))
    .await;
    // Who finds all hashing threads busy may come again, and finds the link spent.
    once(&answers, 204, &[400, 503]);
    let winner = answers.iter().position(|answer| answer.status == 204).unwrap();
    forget_attempts(&app).await;
    app.sign_in("ada@example.com", &password(winner)).await;
}

#[tokio::test]
async fn rival_claims_proven_at_the_same_moment_leave_one_account_and_no_deadlock() {
    let app = TestApp::start().await;
    for round in 0..10 {
        let email = format!("ada{round}@example.com");
        sign_up(&app.stranger(), &email, PASSWORD).await.expect(202);
        let one = app.mail_to(&email).await;
        sign_up(&app.stranger(), &email, OTHER_PASSWORD).await.expect(202);
        let other = further_mail(&app, &email, &[one.number]).await;
        let (here, there) = (app.stranger(), app.stranger());
        let (one, other) = (token_in(&one), token_in(&other));
        let (one, other) = join(redeem_token(&here, &one), redeem_token(&there, &other)).await;
        assert_eq!(statuses(&[one, other]), (1, 1));
        let one = sign_in(&app.stranger(), &email, PASSWORD).await.status;
        let other = sign_in(&app.stranger(), &email, OTHER_PASSWORD).await.status;
        assert_eq!([one, other].iter().filter(|status| **status == 201).count(), 1, "{one} {other}");
    }
    let users = super::count(&app, "SELECT count(*) FROM auth.users").await;
    assert_eq!(users, 10, "who lost the race is gone");
}

#[tokio::test]
async fn five_wrong_codes_kill_the_code_but_not_the_link() {
    let app = TestApp::start().await;
    sign_up(&app.http, "ada@example.com", PASSWORD).await.expect(202);
    let mail = app.mail_to("ada@example.com").await;
    let code = mail.code().unwrap();
    for _ in 0..5 {
        redeem_code(&app.stranger(), "ada@example.com", &wrong_code(code)).await.problem(400);
    }
    redeem_code(&app.stranger(), "ada@example.com", code).await.problem(400);
    redeem_token(&app.stranger(), &token_in(&mail)).await.expect(200);
}

#[tokio::test]
async fn further_mails_do_not_bring_further_guesses_without_end() {
    let app = TestApp::start().await;
    let (mut guesses, mut known) = (0, vec![]);
    let limited = loop {
        // Each sign-up is a claim of its own with a code of its own.
        sign_up(&app.stranger(), "victim@example.com", PASSWORD).await.expect(202);
        let mail = further_mail(&app, "victim@example.com", &known).await;
        known.push(mail.number);
        let code = wrong_code(mail.code().unwrap());
        let mut limited = None;
        for _ in 0..5 {
            let answer = redeem_code(&app.stranger(), "victim@example.com", &code).await;
            if answer.status == 429 {
                limited = Some(answer);
                break;
            }
            answer.problem(400);
            guesses += 1;
        }
        if let Some(limited) = limited {
            break limited;
        }
    };
    assert_eq!(guesses, 10);
    assert_eq!(limited.problem(429), "too_many_requests");
    assert!(!limited.header("retry-after").is_empty());
    // An address without any sign-up is limited alike, and others are not.
    for _ in 0..10 {
        redeem_code(&app.stranger(), "nobody@example.com", "123456").await.problem(400);
    }
    redeem_code(&app.stranger(), "nobody@example.com", "123456").await.problem(429);
    // The link needs no guess and is not limited with the code.
    let last = app.mail_to("victim@example.com").await;
    redeem_token(&app.stranger(), &token_in(&last)).await.expect(200);
}

#[tokio::test]
async fn a_newer_mail_supersedes_the_older() {
    let app = TestApp::start().await;
    sign_up(&app.http, "ada@example.com", PASSWORD).await.expect(202);
    let older = app.mail_to("ada@example.com").await;
    let mut conn = app.running.app.db.acquire().await.unwrap();
    let id: sqlx::types::Uuid =
        sqlx::query_scalar("SELECT id FROM auth.emails").fetch_one(&mut conn).await.unwrap();
    let again = NewMail::to_email(VERIFY_EMAIL, EmailId::from(id));
    app.running.app.outbox.enqueue(&mut conn, again).await.unwrap();
    drop(conn);
    app.running.app.outbox.wake();
    let newer = further_mail(&app, "ada@example.com", &[older.number]).await;
    redeem_token(&app.http, &token_in(&older)).await.problem(400);
    redeem_code(&app.http, "ada@example.com", older.code().unwrap()).await.problem(400);
    redeem_code(&app.http, "ada@example.com", newer.code().unwrap()).await.expect(200);
}

#[tokio::test]
async fn what_has_expired_is_refused() {
    let app = TestApp::start().await;
    sign_up(&app.http, "ada@example.com", PASSWORD).await.expect(202);
    let mail = app.mail_to("ada@example.com").await;
    sql(&app, "UPDATE auth.email_verifications SET expires_at = now() - interval '1 second'").await;
    redeem_token(&app.http, &token_in(&mail)).await.problem(400);
    redeem_code(&app.http, "ada@example.com", mail.code().unwrap()).await.problem(400);
    forget_attempts(&app).await;
    sql(&app, "UPDATE auth.email_verifications SET expires_at = now() + interval '5 seconds'").await;
    redeem_token(&app.http, &token_in(&mail)).await.expect(200);
}
