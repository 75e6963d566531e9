//! What comes by mail, and redeeming it.

use std::sync::Arc;

use beyond_auth::platform::mail::memory::ReceivedMail;
use serde_json::{Value, json};

use super::TestApp;
use super::client::{Answer, Http};

/// Asks for a mail to sign in with; answers the secret of the request.
pub async fn ask_link(http: &Http, email: &str) -> String {
    let body = http.post("/v1/magic-links", json!({ "email": email })).await.expect(202);
    assert_eq!(body["status"], "sent");
    body["request_token"].as_str().unwrap().to_owned()
}

/// Signs in with the token of such a mail.
pub async fn link_sign_in(http: &Http, token: &str) -> Answer {
    http.post("/v1/sessions", json!({ "method": "magic_link", "token": token })).await
}

/// Signs in with the code of such a mail.
pub async fn code_sign_in(http: &Http, email: &str, code: &str, request_token: Option<&str>) -> Answer {
    let mut body = json!({ "method": "email_code", "email": email, "code": code });
    if let Some(request_token) = request_token {
        body["request_token"] = request_token.into();
    }
    http.post("/v1/sessions", body).await
}

/// Asks for a mail to set a new password with.
pub async fn ask_reset(http: &Http, email: &str) {
    let body = http.post("/v1/password-resets", json!({ "email": email })).await.expect(202);
    assert_eq!(body, json!({ "status": "sent" }));
}

/// Sets a new password with the token of such a mail.
pub async fn redeem_reset(http: &Http, token: &str, password: &str) -> Answer {
    http.post("/v1/password-resets/redemptions", json!({ "token": token, "password": password })).await
}

/// Proves an address with the token of a verification mail.
pub async fn redeem_verification(http: &Http, token: &str) -> Answer {
    http.post("/v1/email-verifications/redemptions", json!({ "token": token })).await
}

/// Adds an address to one's own and proves it; answers its id.
pub async fn add_proven(app: &TestApp, http: &Http, email: &str) -> String {
    let id = add(http, email).await["id"].as_str().unwrap().to_owned();
    let mail = kind_to(app, email, "ev_").await;
    redeem_verification(&app.stranger(), &token_in(&mail)).await.expect(200);
    id
}

/// Adds an address to one's own.
pub async fn add(http: &Http, email: &str) -> Value {
    http.post("/v1/users/me/emails", json!({ "email": email })).await.expect(201)["email"].clone()
}

/// The newest mail to an address whose link holds a token of this prefix.
pub async fn kind_to(app: &TestApp, address: &str, prefix: &str) -> Arc<ReceivedMail> {
    let mark = format!("#token={prefix}");
    app.mailbox.wait_until(|mail| mail.to == address && mail.text.contains(&mark)).await.unwrap()
}

/// The next mail to an address after that one, whose link holds a token of this prefix.
pub async fn next_to(app: &TestApp, address: &str, prefix: &str, after: &ReceivedMail) -> Arc<ReceivedMail> {
    let mark = format!("#token={prefix}");
    app.mailbox
        .wait_until(|mail| mail.number > after.number && mail.to == address && mail.text.contains(&mark))
        .await
        .unwrap()
}

/// The token in a mail's link.
pub fn token_in(mail: &ReceivedMail) -> String {
    let (_, fragment) = mail.link().unwrap().split_once("#token=").unwrap();
    fragment.split('&').next().unwrap().to_owned()
}
