//! Setting a new password by mail, and living without one.

use serde_json::json;

use crate::support::app::PASSWORD;
use crate::support::mailed::{ask_link, ask_reset, kind_to, link_sign_in, redeem_reset, token_in};
use crate::support::{TestApp, sql};

const NEW: &str = "nine loud mountains";

#[tokio::test]
async fn a_forgotten_password_is_replaced_and_everybody_signed_out() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let other = app.sign_in("ada@example.com", PASSWORD).await;
    let made = other.http.post("/v1/refresh-tokens", json!({})).await.expect(201);
    let refresh = made["refresh_token"]["token"].as_str().unwrap().to_owned();
    ask_link(&app.stranger(), "ada@example.com").await;
    let link = token_in(&*kind_to(&app, "ada@example.com", "ml_").await);
    ask_reset(&app.stranger(), "ada@example.com").await;
    let mail = kind_to(&app, "ada@example.com", "pwr_").await;
    assert!(mail.link().unwrap().contains("/auth/reset-password#token=pwr_"));
    let token = token_in(&mail);

    // A password that may not be used does not cost the link.
    for bad in ["password", "short", "ada@example.com"] {
        let answer = redeem_reset(&app.stranger(), &token, bad).await;
        assert_eq!((answer.problem(422), answer.pointer()), ("validation_failed".into(), "/password".into()));
    }
    let answer = redeem_reset(&app.stranger(), &token, NEW).await;
    assert_eq!((answer.expect(204), answer.header("set-cookie")), (json!(null), String::new()));
    for person in [&ada, &other] {
        person.http.get("/v1/sessions/current").await.problem(401);
    }
    let rotation = app.http.post("/v1/refresh-tokens/rotations", json!({ "refresh_token": refresh })).await;
    rotation.problem(401);
    link_sign_in(&app.stranger(), &link).await.problem(401);
    let old = json!({ "method": "password", "email": "ada@example.com", "password": PASSWORD });
    app.stranger().post("/v1/sessions", old).await.problem(401);
    app.sign_in("ada@example.com", NEW).await;
    assert_eq!(redeem_reset(&app.stranger(), &token, NEW).await.problem(400), "invalid_reset");
    let told = app.mailbox.wait_until(|mail| mail.subject.contains("was changed")).await.unwrap();
    assert!(told.text.contains("/auth/reset-password"), "{}", told.text);
}

#[tokio::test]
async fn a_reset_is_valid_for_half_an_hour() {
    let app = TestApp::start().await;
    app.person("ada@example.com").await;
    ask_reset(&app.stranger(), "ada@example.com").await;
    let token = token_in(&*kind_to(&app, "ada@example.com", "pwr_").await);
    let lives = "SELECT extract(epoch FROM expires_at - now())::int8 FROM auth.password_resets";
    assert!((1790..=1800).contains(&sql::number(&app, lives).await));
    sql::run(&app, "UPDATE auth.password_resets SET expires_at = now()").await;
    redeem_reset(&app.stranger(), &token, NEW).await.problem(400);
}

#[tokio::test]
async fn a_changed_password_ends_what_was_mailed_before() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    ask_reset(&app.stranger(), "ada@example.com").await;
    ask_link(&app.stranger(), "ada@example.com").await;
    let reset = token_in(&*kind_to(&app, "ada@example.com", "pwr_").await);
    let link = token_in(&*kind_to(&app, "ada@example.com", "ml_").await);
    let change = json!({ "current_password": PASSWORD, "password": NEW });
    ada.http.put("/v1/users/me/password", change).await.expect(204);
    redeem_reset(&app.stranger(), &reset, PASSWORD).await.problem(400);
    link_sign_in(&app.stranger(), &link).await.problem(401);
}

#[tokio::test]
async fn a_password_goes_only_where_another_way_in_remains() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let other = app.sign_in("ada@example.com", PASSWORD).await;
    app.set(json!({ "magic_link": { "enabled": false } })).await;
    assert_eq!(ada.http.delete("/v1/users/me/password").await.problem(409), "last_way_in");
    app.set(json!({ "magic_link": { "enabled": true } })).await;
    ada.http.delete("/v1/users/me/password").await.expect(204);
    ada.http.get("/v1/sessions/current").await.expect(200);
    other.http.get("/v1/sessions/current").await.problem(401);
    app.mailbox.wait_until(|mail| mail.subject.contains("was removed")).await.unwrap();
    let body = json!({ "method": "password", "email": "ada@example.com", "password": PASSWORD });
    app.stranger().post("/v1/sessions", body).await.problem(401);
    ada.http.delete("/v1/users/me/password").await.problem(404);
    // Set anew without a current one.
    ada.http.put("/v1/users/me/password", json!({ "password": NEW })).await.expect(204);
    app.sign_in("ada@example.com", NEW).await;
}

#[tokio::test]
async fn switched_off_passwords_are_not_reset() {
    let app = TestApp::start().await;
    app.person("ada@example.com").await;
    ask_reset(&app.stranger(), "ada@example.com").await;
    let token = token_in(&*kind_to(&app, "ada@example.com", "pwr_").await);
    app.set(json!({ "password": { "enabled": false } })).await;
    let body = json!({ "email": "ada@example.com" });
    assert_eq!(app.stranger().post("/v1/password-resets", body).await.problem(403), "method_disabled");
    assert_eq!(redeem_reset(&app.stranger(), &token, NEW).await.problem(403), "method_disabled");
}
