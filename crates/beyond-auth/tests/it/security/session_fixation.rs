//! Making a browser use a session, or write with it, against its owner's will.

use http::Method;
use reqwest::RequestBuilder;
use serde_json::json;

use super::{behind_a_proxy, sql};
use crate::support::TestApp;
use crate::support::app::{PASSWORD, Person};
use crate::support::client::Answer;
use crate::support::proxy::Weather;

const COOKIE: &str = "beyond_session";

fn own_origin(app: &TestApp) -> String {
    app.running.app.config.public_url.origin().ascii_serialization()
}

/// A request of a browser that has the person's cookie.
fn with_cookie(app: &TestApp, person: &Person, method: Method, path: &str) -> RequestBuilder {
    app.http.request(method, path).header("cookie", format!("theme=dark; {COOKIE}={}", person.token))
}

async fn write(app: &TestApp, person: &Person, origins: &[&str]) -> Answer {
    let mut request = with_cookie(app, person, Method::PATCH, "/v1/users/me").json(&json!({ "name": "X" }));
    for origin in origins {
        request = request.header("origin", *origin);
    }
    app.http.send(request).await
}

#[tokio::test]
async fn a_sign_in_for_a_browser_puts_the_token_into_the_cookie_alone() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let body = json!({ "method": "password", "email": ada.email, "password": PASSWORD, "cookie": true });
    // A cookie that was there before, planted or not, is not taken over.
    let request =
        app.http.request(Method::POST, "/v1/sessions").header("cookie", format!("{COOKIE}=planted"));
    let answer = app.http.send(request.json(&body)).await;
    let body = answer.expect(201);
    assert!(body["session"].get("token").is_none(), "{body}");
    let cookie = answer.header("set-cookie");
    let (pair, attributes) = cookie.split_once(';').unwrap();
    let attributes: Vec<&str> = attributes.split(';').map(str::trim).collect();
    for wanted in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(attributes.contains(&wanted), "{wanted} is missing from {cookie}");
    }
    assert!(!attributes.iter().any(|attribute| attribute.starts_with("Domain")), "{cookie}");
    // Plain http in this test: browsers would drop a Secure cookie.
    assert!(!attributes.contains(&"Secure"), "{cookie}");
    let (name, token) = pair.split_once('=').unwrap();
    assert_eq!(name, COOKIE);
    assert!(token.starts_with("session_") && token != ada.token);
    assert!(!answer.text.contains(token));
    let request = app.http.request(Method::GET, "/v1/sessions/current").header("cookie", pair);
    assert_eq!(app.http.send(request).await.expect(200)["user"]["id"], ada.id);

    let without = json!({ "method": "password", "email": ada.email, "password": PASSWORD });
    let answer = app.http.post("/v1/sessions", without).await;
    assert!(answer.header("set-cookie").is_empty());
    assert_ne!(answer.expect(201)["session"]["token"], token);
}

#[tokio::test]
async fn over_https_the_cookie_belongs_to_the_host_alone() {
    let database = std::sync::Arc::new(crate::support::database().await);
    let mut config = crate::support::app::config(&database);
    config.public_url = "https://auth.example.com/".parse().unwrap();
    let app = TestApp::with(database, config).await;
    let ada = app.person("ada@example.com").await;
    let body = json!({ "method": "password", "email": ada.email, "password": PASSWORD, "cookie": true });
    let cookie = app.http.post("/v1/sessions", body).await.header("set-cookie");
    assert!(cookie.starts_with("__Host-beyond_session=session_"), "{cookie}");
    assert!(cookie.contains("; Secure"), "{cookie}");
    // The name without the prefix, which any sibling domain could set, means nothing here.
    let request = app.http.request(Method::GET, "/v1/sessions/current");
    let answer = app.http.send(request.header("cookie", format!("{COOKIE}={}", ada.token))).await;
    assert_eq!(answer.problem(401), "missing_credentials");
}

#[tokio::test]
async fn a_write_with_the_cookie_needs_an_origin_of_our_own() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let own = own_origin(&app);
    let (upper, longer, path) = (own.to_uppercase(), format!("{own}.evil.example"), format!("{own}/"));
    for origins in [
        &[][..],
        &["null"],
        &["https://evil.example"],
        &[&upper],
        &[&longer],
        &[&path],
        &["http://localhost"],
        &[""],
        &[&own, "https://evil.example"],
        &["https://evil.example", &own],
    ] {
        assert_eq!(write(&app, &ada, origins).await.problem(403), "origin_not_allowed", "{origins:?}");
    }
    for (method, path) in [
        (Method::DELETE, "/v1/sessions/current"),
        (Method::DELETE, "/v1/sessions?scope=all"),
        (Method::DELETE, "/v1/users/me"),
        (Method::PUT, "/v1/users/me/password"),
    ] {
        let answer = app.http.send(with_cookie(&app, &ada, method, path)).await;
        assert_eq!(answer.problem(403), "origin_not_allowed", "{path}");
    }
    // A `Referer`, which pages and proxies can change, does not stand in for it.
    let request = with_cookie(&app, &ada, Method::DELETE, "/v1/sessions/current").header("referer", path);
    app.http.send(request).await.problem(403);

    write(&app, &ada, &[&own]).await.expect(200);
    // Reading is harmless: no other origin gets to see the answer.
    app.http.send(with_cookie(&app, &ada, Method::GET, "/v1/sessions/current")).await.expect(200);
}

#[tokio::test]
async fn an_allowed_origin_may_write_from_the_next_request_and_no_longer_than_it_is_allowed() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let shop = "https://shop.example.com";
    write(&app, &ada, &[shop]).await.problem(403);
    app.set(json!({ "allowed_origins": [shop] })).await;
    write(&app, &ada, &[shop]).await.expect(200);
    for other in ["https://shop.example.com:444", "http://shop.example.com", "https://a.shop.example.com"] {
        write(&app, &ada, &[other]).await.problem(403);
    }
    app.set(json!({ "allowed_origins": null })).await;
    write(&app, &ada, &[shop]).await.problem(403);
}

#[tokio::test]
async fn whether_an_origin_may_write_is_unknown_while_the_database_is_away() {
    let (app, proxy) = behind_a_proxy().await;
    let ada = app.person("ada@example.com").await;
    proxy.set(Weather::Refusing).await;
    assert_eq!(write(&app, &ada, &["https://shop.example.com"]).await.problem(503), "unavailable");
    assert_eq!(write(&app, &ada, &[]).await.problem(403), "origin_not_allowed");
}

#[tokio::test]
async fn a_step_up_leaves_a_copied_token_behind() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let body = json!({ "method": "password", "password": PASSWORD });
    let stepped = ada.http.post("/v1/sessions/current/verifications", body.clone()).await.expect(200);
    let token = stepped["session"]["token"].as_str().unwrap();
    assert_eq!(token[..41], ada.token[..41], "the session stays the same");
    ada.http.get("/v1/sessions/current").await.problem(401);
    app.http.with_bearer(token).get("/v1/sessions/current").await.expect(200);

    // In a browser the new token takes the old one's place, out of sight of the page.
    let request = app.http.request(Method::POST, "/v1/sessions/current/verifications");
    let request = request.header("cookie", format!("{COOKIE}={token}")).header("origin", own_origin(&app));
    let answer = app.http.send(request.json(&body)).await;
    assert!(answer.expect(200)["session"].get("token").is_none());
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with(&format!("{COOKIE}=session_")) && cookie.contains("HttpOnly"), "{cookie}");
    app.http.with_bearer(token).get("/v1/sessions/current").await.problem(401);
}

#[tokio::test]
async fn signing_out_takes_the_cookie_back() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let request = with_cookie(&app, &ada, Method::DELETE, "/v1/sessions/current");
    let answer = app.http.send(request.header("origin", own_origin(&app))).await;
    answer.expect(204);
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with(&format!("{COOKIE}=;")) && cookie.contains("Max-Age=0"), "{cookie}");
    ada.http.get("/v1/sessions/current").await.problem(401);
}

#[tokio::test]
async fn the_cookie_opens_no_admin_route() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    for value in [ada.token.as_str(), crate::support::app::ADMIN_SECRET] {
        let request = app.http.request(Method::GET, "/v1/admin/users").header("origin", own_origin(&app));
        let answer = app.http.send(request.header("cookie", format!("{COOKIE}={value}"))).await;
        assert_eq!(answer.problem(401), "missing_credentials");
    }
}

#[tokio::test]
async fn a_form_of_another_site_signs_nobody_in() {
    let app = TestApp::start().await;
    let eve = app.person("eve@example.com").await;
    let body = json!({ "method": "password", "email": eve.email, "password": PASSWORD, "cookie": true });
    // What a page may send to another origin without asking first (Fetch, "CORS-safelisted request-header").
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    {
        let request = app.http.request(Method::POST, "/v1/sessions").header("content-type", content_type);
        let answer = app.http.send(request.body(body.to_string())).await;
        assert_eq!(answer.problem(415), "unsupported_media_type", "{content_type}");
        assert!(answer.header("set-cookie").is_empty());
    }
    // And what it must ask for is not granted.
    let asked = app
        .http
        .request(Method::OPTIONS, "/v1/sessions")
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type");
    let answer = app.http.send(asked).await;
    assert!(!answer.status.is_success() || answer.header("access-control-allow-origin").is_empty());
}

#[tokio::test]
async fn a_step_up_leaves_a_copied_refresh_token_behind() {
    let app = TestApp::start().await;
    let ada = app.enrolled("ada@example.com").await;
    let token = app.half_way("ada@example.com").await;
    let body = json!({ "method": "recovery_code", "attempt_token": token, "code": ada.recovery_codes[0],
                       "refresh_token": true });
    let signed_in = app.stranger().post("/v1/sessions", body).await.expect(201);
    let copied = signed_in["refresh_token"]["token"].as_str().unwrap();
    sql(
        &app,
        "UPDATE auth.sessions SET verified_at = now() - interval '1 hour', second_verified_at = now() - interval '1 hour'",
    )
    .await;
    sql(
        &app,
        "UPDATE auth.refresh_families
         SET verified_at = now() - interval '1 hour', second_verified_at = now() - interval '1 hour'",
    )
    .await;
    sql(&app, "UPDATE auth.refresh_tokens SET created_at = now() - interval '30 minutes'").await;
    // The owner proves both factors anew.
    let owner = app.stranger().with_bearer(signed_in["session"]["token"].as_str().unwrap());
    let step_up = json!({ "method": "totp", "code": ada.device.code() });
    let stepped = owner.post("/v1/sessions/current/verifications", step_up).await.expect(200);
    let owner = app.stranger().with_bearer(stepped["session"]["token"].as_str().unwrap());
    owner.post("/v1/users/me/factors", json!({})).await.expect(201);

    let rotation = json!({ "refresh_token": copied });
    let renewed = app.stranger().post("/v1/refresh-tokens/rotations", rotation).await.expect(201);
    let thief = app.stranger().with_bearer(renewed["session"]["token"].as_str().unwrap());
    let answer = thief.post("/v1/users/me/factors", json!({})).await;
    assert_eq!(answer.problem(401), "insufficient_user_authentication");
    assert!(renewed["session"]["verified_at"].as_str() < stepped["session"]["verified_at"].as_str());
}
