//! Trying passwords until one fits.

use std::sync::Arc;

use serde_json::json;

use super::{OTHER_PASSWORD, WRONG_PASSWORD, forget_attempts, pass_minutes, shape, sign_in, sign_up};
use crate::support::app::{PASSWORD, config};
use crate::support::client::Answer;
use crate::support::{TestApp, database};

#[track_caller]
fn limited(answer: &Answer) -> u64 {
    assert_eq!(answer.problem(429), "too_many_requests");
    assert!(!answer.header("ratelimit").is_empty());
    answer.header("retry-after").parse().unwrap()
}

#[tokio::test]
async fn ten_wrong_passwords_delay_the_eleventh_whoever_has_an_account() {
    let app = TestApp::start().await;
    app.person("known@example.com").await;
    forget_attempts(&app).await;
    let mut shapes = Vec::new();
    for email in ["known@example.com", "unknown@example.com"] {
        for _ in 0..10 {
            sign_in(&app.stranger(), email, WRONG_PASSWORD).await.problem(401);
        }
        // Not even the right one is looked at now.
        let answer = sign_in(&app.stranger(), email, PASSWORD).await;
        assert!((50..=60).contains(&limited(&answer)), "{}", answer.header("retry-after"));
        let (status, headers, body) = shape(&answer);
        let names: Vec<String> = headers.into_iter().map(|(name, _)| name).collect();
        shapes.push((status, names, body["code"].clone(), body["title"].clone()));
    }
    assert_eq!(shapes[0], shapes[1]);
    pass_minutes(&app, 1).await;
    sign_in(&app.stranger(), "known@example.com", PASSWORD).await.expect(201);
    // Success forgets the failures.
    for _ in 0..10 {
        sign_in(&app.stranger(), "known@example.com", WRONG_PASSWORD).await.problem(401);
    }
}

#[tokio::test]
async fn guesses_are_counted_together_on_all_instances() {
    let app = TestApp::start().await;
    let second = TestApp::on(app.database.clone()).await;
    app.person("ada@example.com").await;
    forget_attempts(&app).await;
    for turn in 0..10 {
        let http = if turn % 2 == 0 { app.stranger() } else { second.stranger() };
        sign_in(&http, "ada@example.com", WRONG_PASSWORD).await.problem(401);
    }
    limited(&sign_in(&app.stranger(), "ada@example.com", PASSWORD).await);
    limited(&sign_in(&second.stranger(), "ada@example.com", PASSWORD).await);
}

#[tokio::test]
async fn another_spelling_of_the_address_is_the_same_account() {
    let app = TestApp::start().await;
    for email in ["ada@example.com", "unknown@example.com"] {
        if email == "ada@example.com" {
            app.person(email).await;
            forget_attempts(&app).await;
        }
        let upper = email.to_uppercase();
        let wide = email.replace('@', "\u{ff20}");
        for spelling in [email, &upper, &wide, email, &upper, &wide, email, &upper, &wide, email] {
            sign_in(&app.stranger(), spelling, WRONG_PASSWORD).await.problem(401);
        }
        limited(&sign_in(&app.stranger(), &upper, WRONG_PASSWORD).await);
    }
}

#[tokio::test]
async fn guessing_the_current_password_from_a_stolen_session_is_counted_with_the_rest() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    forget_attempts(&app).await;
    for turn in 0..10 {
        if turn % 2 == 0 {
            sign_in(&app.stranger(), "ada@example.com", WRONG_PASSWORD).await.problem(401);
        } else {
            let body = json!({ "current_password": WRONG_PASSWORD, "password": OTHER_PASSWORD });
            ada.http.put("/v1/users/me/password", body).await.problem(422);
        }
    }
    let body = json!({ "current_password": PASSWORD, "password": OTHER_PASSWORD });
    limited(&ada.http.put("/v1/users/me/password", body).await);
    limited(&sign_in(&app.stranger(), "ada@example.com", PASSWORD).await);
}

#[tokio::test]
async fn one_address_may_try_twenty_sign_ins_a_minute() {
    let app = TestApp::start().await;
    let one = app.stranger();
    for turn in 0..20 {
        sign_in(&one, &format!("nobody{turn}@example.com"), WRONG_PASSWORD).await.problem(401);
    }
    assert!(limited(&sign_in(&one, "nobody@example.com", WRONG_PASSWORD).await) <= 60);
    sign_in(&app.stranger(), "nobody@example.com", WRONG_PASSWORD).await.problem(401);
    pass_minutes(&app, 1).await;
    sign_in(&one, "nobody@example.com", WRONG_PASSWORD).await.problem(401);
}

#[tokio::test]
async fn a_whole_network_of_ipv6_is_one_address() {
    let app = TestApp::start().await;
    for turn in 0..20 {
        let http = app.http.from_address(&format!("2001:db8:1:2:{turn:x}::{turn:x}"));
        sign_in(&http, &format!("nobody{turn}@example.com"), WRONG_PASSWORD).await.problem(401);
    }
    limited(&sign_in(&app.http.from_address("2001:db8:1:2:ffff::1"), "x@example.com", WRONG_PASSWORD).await);
    sign_in(&app.http.from_address("2001:db8:1:3::1"), "x@example.com", WRONG_PASSWORD).await.problem(401);
}

#[tokio::test]
async fn a_forged_forwarding_header_does_not_make_another_address() {
    let database = Arc::new(database().await);
    let mut config = config(&database);
    config.trusted_proxies = Vec::new();
    let app = TestApp::with(database, config).await;
    for turn in 0..20 {
        let http = app.http.from_address(&format!("198.51.100.{turn}"));
        sign_in(&http, &format!("nobody{turn}@example.com"), WRONG_PASSWORD).await.problem(401);
    }
    for header in
        ["x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip", "true-client-ip", "x-client-ip"]
    {
        let body = json!({ "method": "password", "email": "x@example.com", "password": WRONG_PASSWORD });
        let value = if header == "forwarded" { "for=203.0.113.9" } else { "203.0.113.9" };
        let request = app.http.request(http::Method::POST, "/v1/sessions").header(header, value).json(&body);
        limited(&app.http.send(request).await);
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_only_what_the_proxy_saw_counts() {
    let app = TestApp::start().await;
    for turn in 0..20 {
        // The client writes what it likes on the left; the proxy appends the truth on the right.
        let http = app.http.from_address(&format!("203.0.113.{turn}, 198.51.100.7"));
        sign_in(&http, &format!("nobody{turn}@example.com"), WRONG_PASSWORD).await.problem(401);
    }
    limited(&sign_in(&app.http.from_address("9.9.9.9, 198.51.100.7"), "x@example.com", WRONG_PASSWORD).await);
}

#[tokio::test]
async fn one_mailbox_gets_five_mails_an_hour_whoever_owns_it() {
    let app = TestApp::start().await;
    app.person("known@example.com").await;
    forget_attempts(&app).await;
    app.mailbox.clear();
    let mut retries = Vec::new();
    for email in ["known@example.com", "unknown@example.com"] {
        for _ in 0..5 {
            sign_up(&app.stranger(), email, OTHER_PASSWORD).await.expect(202);
        }
        let answer = sign_up(&app.stranger(), email, OTHER_PASSWORD).await;
        retries.push(limited(&answer));
        // A password that cannot be used is told before the mailbox is looked at.
        sign_up(&app.stranger(), email, "password").await.problem(422);
    }
    assert!(retries.iter().all(|seconds| (3500..=3600).contains(seconds)), "{retries:?}");
    pass_minutes(&app, 60).await;
    sign_up(&app.stranger(), "unknown@example.com", OTHER_PASSWORD).await.expect(202);
    app.mailbox.wait_until(|mail| mail.to == "unknown@example.com").await.unwrap();
    let to_known = app.mailbox.received().iter().filter(|mail| mail.to == "known@example.com").count();
    assert_eq!(to_known, 5);
}

#[tokio::test]
async fn passwords_that_must_be_chosen_anew_do_not_use_up_the_mailbox() {
    let app = TestApp::start().await;
    let ada = app.stranger();
    for _ in 0..7 {
        sign_up(&ada, "ada@example.com", "password").await.problem(422);
    }
    sign_up(&ada, "ada@example.com", PASSWORD).await.expect(202);
}

#[tokio::test]
async fn one_address_may_sign_up_ten_times_an_hour() {
    let app = TestApp::start().await;
    let one = app.stranger();
    for turn in 0..10 {
        sign_up(&one, &format!("nobody{turn}@example.com"), PASSWORD).await.expect(202);
    }
    limited(&sign_up(&one, "nobody@example.com", PASSWORD).await);
    sign_up(&app.stranger(), "nobody@example.com", PASSWORD).await.expect(202);
}

#[tokio::test]
async fn one_address_may_redeem_thirty_times_a_minute() {
    let app = TestApp::start().await;
    let one = app.stranger();
    for turn in 0..30 {
        super::redeem_code(&one, &format!("nobody{turn}@example.com"), "123456").await.problem(400);
    }
    limited(&super::redeem_code(&one, "nobody@example.com", "123456").await);
}

#[tokio::test]
async fn one_address_may_ask_for_ten_mails_an_hour() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let one = app.stranger();
    for turn in 0..10 {
        let path = if turn % 2 == 0 { "/v1/magic-links" } else { "/v1/password-resets" };
        let body = json!({ "email": format!("nobody{turn}@example.com") });
        one.post(path, body).await.expect(202);
    }
    for path in ["/v1/magic-links", "/v1/password-resets"] {
        limited(&one.post(path, json!({ "email": "nobody@example.com" })).await);
        app.stranger().post(path, json!({ "email": "nobody@example.com" })).await.expect(202);
    }
    let add =
        one.with_bearer(&ada.token).post("/v1/users/me/emails", json!({ "email": "more@example.com" })).await;
    limited(&add);
}
