//! The main job: sign up, prove the address, sign in, verify the session.

use serde_json::json;

use crate::support::TestApp;
use crate::support::app::PASSWORD;

#[tokio::test]
async fn a_person_signs_up_verifies_signs_in_and_an_application_verifies_the_session() {
    let app = TestApp::start().await;
    let body = json!({ "email": "Ada@Example.com", "password": PASSWORD, "name": "Ada", "metadata": {"plan": "free"} });
    let body = app.http.post("/v1/users", body).await.expect(202);
    assert_eq!(body, json!({ "status": "verification_sent" }));

    // Not before the address is proven.
    let credentials = json!({ "method": "password", "email": "ada@example.com", "password": PASSWORD });
    assert_eq!(app.http.post("/v1/sessions", credentials.clone()).await.problem(401), "invalid_credentials");

    let mail = app.mail_to("Ada@example.com").await;
    let (_, token) = mail.link().unwrap().split_once("#token=").unwrap();
    let redeemed =
        app.http.post("/v1/email-verifications/redemptions", json!({ "token": token })).await.expect(200);
    assert_eq!(redeemed["user"]["email_verified"], true);
    assert!(redeemed.get("session").is_none());

    let signed_in = app.http.post("/v1/sessions", credentials).await.expect(201);
    let token = signed_in["session"]["token"].as_str().unwrap();
    let current = app.http.with_bearer(token).get("/v1/sessions/current").await.expect(200);
    assert_eq!(current["user"]["name"], "Ada");
    assert_eq!(current["user"]["email"], "Ada@example.com");
    assert_eq!(current["user"]["metadata"], json!({"plan": "free"}));
    assert_eq!(current["session"]["amr"], json!(["pwd"]));
    assert!(current["session"].get("token").is_none());
}

#[tokio::test]
async fn a_sign_up_that_signs_in_can_do_so_by_cookie() {
    let app = TestApp::start().await;
    app.set(json!({ "sign_up": { "require_verification": false } })).await;
    let body = json!({ "email": "ada@example.com", "password": PASSWORD, "cookie": true });
    let answer = app.http.post("/v1/users", body).await;
    let session = &answer.expect(201)["session"];
    assert!(session.get("token").is_none(), "{session}");
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("beyond_session=session_") && cookie.contains("HttpOnly"), "{cookie}");
}
