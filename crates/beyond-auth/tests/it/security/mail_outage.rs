//! The mail server is away: nobody waits, nothing is lost, nothing comes twice, nothing outlives its occasion.

use std::time::{Duration, Instant};

use beyond_auth::platform::mail::SendError;
use serde_json::json;

use super::{OTHER_PASSWORD, count};
use crate::support::TestApp;
use crate::support::app::PASSWORD;
use crate::support::mailed::{add, ask_link, ask_reset, code_sign_in, kind_to, link_sign_in, token_in};

/// Waits until every mail that can leave has been tried and refused.
async fn tried(app: &TestApp, times: u64) {
    while app.mailbox.attempts() < times {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn requests_stay_fast_and_each_mail_arrives_once_when_the_server_is_back() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    app.mailbox.clear();
    app.mailbox.refuse(Some(SendError::Temporary("away".into())));
    let before = app.mailbox.attempts();
    let begun = Instant::now();
    let request = ask_link(&app.stranger(), "ada@example.com").await;
    ask_reset(&app.stranger(), "ada@example.com").await;
    add(&ada.http, "second@example.com").await;
    ask_link(&app.stranger(), "nobody@example.com").await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    // Several rounds of refusals, as if ten minutes went by.
    tried(&app, before + 12).await;
    super::sql(&app, "UPDATE auth.outbox SET created_at = created_at - interval '10 minutes'").await;
    assert!(app.mailbox.received().is_empty());
    app.mailbox.refuse(None);
    let link = kind_to(&app, "ada@example.com", "ml_").await;
    kind_to(&app, "ada@example.com", "pwr_").await;
    kind_to(&app, "second@example.com", "ev_").await;
    while count(&app, "SELECT count(*) FROM auth.outbox WHERE sent_at IS NULL").await > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(app.mailbox.received().len(), 3);
    // What arrived is as good as new: it was minted when it left.
    code_sign_in(&app.stranger(), "ada@example.com", link.code().unwrap(), Some(&request)).await.expect(201);
}

#[tokio::test]
async fn what_was_asked_for_before_the_password_changed_is_not_mailed_after_it() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    app.mailbox.clear();
    app.mailbox.refuse(Some(SendError::Temporary("away".into())));
    let before = app.mailbox.attempts();
    // Eve, who reads Ada's mail for a while, asks.
    ask_link(&app.stranger(), "ada@example.com").await;
    ask_reset(&app.stranger(), "ada@example.com").await;
    tried(&app, before + 2).await;
    let change = json!({ "current_password": PASSWORD, "password": OTHER_PASSWORD });
    ada.http.put("/v1/users/me/password", change).await.expect(204);
    app.mailbox.refuse(None);
    while count(&app, "SELECT count(*) FROM auth.outbox WHERE sent_at IS NULL").await > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let received = app.mailbox.received();
    assert_eq!(received.len(), 1, "only word of the change");
    assert!(received[0].subject.contains("was changed"));
}

#[tokio::test]
async fn a_mail_whose_delivery_failed_half_way_leaves_one_working_link() {
    let app = TestApp::start().await;
    app.person("ada@example.com").await;
    app.mailbox.fail_next(SendError::Temporary("cut off after DATA".into()));
    ask_link(&app.stranger(), "ada@example.com").await;
    let mail = kind_to(&app, "ada@example.com", "ml_").await;
    link_sign_in(&app.stranger(), &token_in(&mail)).await.expect(201);
}

#[tokio::test]
async fn an_address_added_before_the_password_changed_is_not_mailed_after_it() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    app.mailbox.clear();
    app.mailbox.refuse(Some(SendError::Temporary("away".into())));
    let before = app.mailbox.attempts();
    // By a session that was stolen.
    add(&ada.http, "thief@example.com").await;
    tried(&app, before + 1).await;
    let change = json!({ "current_password": PASSWORD, "password": OTHER_PASSWORD });
    ada.http.put("/v1/users/me/password", change).await.expect(204);
    app.mailbox.refuse(None);
    while count(&app, "SELECT count(*) FROM auth.outbox WHERE sent_at IS NULL").await > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(app.mailbox.received().iter().all(|mail| mail.to == "ada@example.com"));
    assert_eq!(count(&app, "SELECT count(*) FROM auth.emails").await, 1);
}
