//! Redeeming an older mail after a newer one, or after what it was for is gone.

use serde_json::json;

use super::OTHER_PASSWORD;
use crate::support::TestApp;
use crate::support::mailed::{
    ask_link, ask_reset, code_sign_in, kind_to, link_sign_in, next_to, redeem_reset, token_in,
};

const ADA: &str = "ada@example.com";

#[tokio::test]
async fn a_newer_mail_ends_the_older() {
    let app = TestApp::start().await;
    app.person(ADA).await;
    let first = ask_link(&app.stranger(), ADA).await;
    let older = kind_to(&app, ADA, "ml_").await;
    let second = ask_link(&app.stranger(), ADA).await;
    let newer = next_to(&app, ADA, "ml_", &older).await;
    link_sign_in(&app.stranger(), &token_in(&older)).await.problem(401);
    code_sign_in(&app.stranger(), ADA, older.code().unwrap(), Some(&first)).await.problem(401);
    code_sign_in(&app.stranger(), ADA, newer.code().unwrap(), Some(&second)).await.expect(201);

    ask_reset(&app.stranger(), ADA).await;
    let older = kind_to(&app, ADA, "pwr_").await;
    ask_reset(&app.stranger(), ADA).await;
    let newer = next_to(&app, ADA, "pwr_", &older).await;
    redeem_reset(&app.stranger(), &token_in(&older), OTHER_PASSWORD).await.problem(400);
    redeem_reset(&app.stranger(), &token_in(&newer), OTHER_PASSWORD).await.expect(204);
}

#[tokio::test]
async fn a_request_that_stands_for_nobody_ends_nobodys_mail() {
    let app = TestApp::start().await;
    app.person(ADA).await;
    ask_link(&app.stranger(), ADA).await;
    let mail = kind_to(&app, ADA, "ml_").await;
    ask_link(&app.stranger(), "nobody@example.com").await;
    ask_link(&app.stranger(), "somebody@example.com").await;
    link_sign_in(&app.stranger(), &token_in(&mail)).await.expect(201);
}

#[tokio::test]
async fn ban_and_deletion_end_what_was_mailed_or_still_waits() {
    let app = TestApp::start().await;
    for (name, deleted) in [("banned", false), ("deleted", true)] {
        let email = format!("{name}@example.com");
        let person = app.person(&email).await;
        ask_link(&app.stranger(), &email).await;
        ask_reset(&app.stranger(), &email).await;
        let link = token_in(&*kind_to(&app, &email, "ml_").await);
        let reset = token_in(&*kind_to(&app, &email, "pwr_").await);
        let path = format!("/v1/admin/users/{}", person.id);
        if deleted {
            app.admin.delete(&path).await.expect(204);
        } else {
            app.admin.put(&format!("{path}/ban"), json!({})).await.expect(200);
            app.admin.delete(&format!("{path}/ban")).await;
        }
        link_sign_in(&app.stranger(), &link).await.problem(401);
        redeem_reset(&app.stranger(), &reset, OTHER_PASSWORD).await.problem(400);
    }
}
