//! Guessing at an account, not to get in but to keep its owner out.

use http::Method;
use serde_json::{Value, json};

use super::{OTHER_PASSWORD, WRONG_PASSWORD, forget_attempts, sign_in};
use crate::support::TestApp;
use crate::support::app::PASSWORD;
use crate::support::client::Answer;
use crate::support::otp_app::finish;

const ADA: &str = "ada@example.com";

/// A browser: keeps the device cookie of its last sign-in.
struct Browser {
    http: crate::support::client::Http,
    device: Option<String>,
}

impl Browser {
    fn new(app: &TestApp) -> Self {
        Self { http: app.stranger(), device: None }
    }

    async fn post(&mut self, body: Value) -> Answer {
        let mut request = self.http.request(Method::POST, "/v1/sessions").json(&body);
        if let Some(device) = &self.device {
            request = request.header("cookie", format!("theme=dark; {device}"));
        }
        let answer = self.http.send(request).await;
        let cookies = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
        if let Some(cookie) = cookies.into_iter().find(|cookie| cookie.starts_with("beyond_device=")) {
            self.device = Some(cookie.split(';').next().unwrap().to_owned());
        }
        answer
    }

    async fn sign_in(&mut self, email: &str, password: &str) -> Answer {
        let body = json!({ "method": "password", "email": email, "password": password, "cookie": true });
        self.post(body).await
    }
}

/// A stranger makes the account wait.
async fn besiege(app: &TestApp) {
    forget_attempts(app).await;
    for _ in 0..10 {
        sign_in(&app.stranger(), ADA, WRONG_PASSWORD).await.problem(401);
    }
    sign_in(&app.stranger(), ADA, PASSWORD).await.problem(429);
}

#[tokio::test]
async fn the_owner_comes_in_from_a_known_browser_while_strangers_guess() {
    let app = TestApp::start().await;
    app.person(ADA).await;
    let mut browser = Browser::new(&app);
    let answer = browser.sign_in(ADA, PASSWORD).await;
    answer.expect(201);
    let cookie = answer.headers.get_all("set-cookie").iter().nth(1).unwrap().to_str().unwrap().to_owned();
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=31536000"] {
        assert!(cookie.contains(attribute), "{attribute} is missing from {cookie}");
    }
    besiege(&app).await;
    browser.sign_in(ADA, PASSWORD).await.expect(201);
    // The strangers go on waiting: success from a known browser forgives them nothing.
    sign_in(&app.stranger(), ADA, PASSWORD).await.problem(429);
    // A sign-in without a browser leaves no cookie.
    app.person("bob@example.com").await;
    assert_eq!(sign_in(&app.stranger(), "bob@example.com", PASSWORD).await.header("set-cookie"), "");
}

#[tokio::test]
async fn the_second_factor_and_a_step_up_of_a_known_browser_go_on_too() {
    let app = TestApp::start().await;
    let ada = app.enrolled(ADA).await;
    let mut browser = Browser::new(&app);
    let by_code = async |browser: &mut Browser, code: &str| {
        let due = browser.sign_in(ADA, PASSWORD).await.expect(202);
        let token = due["attempt"]["token"].clone();
        browser.post(json!({ "method": "totp", "attempt_token": token, "code": code, "cookie": true })).await
    };
    // Half-way in, a browser is not known yet.
    browser.sign_in(ADA, PASSWORD).await.expect(202);
    assert_eq!(browser.device, None);
    by_code(&mut browser, &ada.device.code()).await.expect(201);
    assert!(browser.device.is_some());

    besiege(&app).await;
    let answer = by_code(&mut browser, &ada.device.code_in(1)).await;
    answer.expect(201);
    let session = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    let origin = app.running.app.config.public_url.origin().ascii_serialization();
    let request = browser
        .http
        .request(Method::POST, "/v1/sessions/current/verifications")
        .header("cookie", format!("{session}; {}", browser.device.as_ref().unwrap()))
        .header("origin", origin)
        .json(&json!({ "method": "password", "password": PASSWORD }));
    browser.http.send(request).await.expect(200);
}

#[tokio::test]
async fn a_known_browser_has_a_budget_of_its_own_and_no_more() {
    let app = TestApp::start().await;
    let ada = app.enrolled(ADA).await;
    let mut browser = Browser::new(&app);
    let due = browser.sign_in(ADA, PASSWORD).await.expect(202);
    let token = due["attempt"]["token"].clone();
    let body = json!({ "method": "totp", "attempt_token": token, "code": ada.device.code(), "cookie": true });
    browser.post(body).await.expect(201);
    forget_attempts(&app).await;
    // Passwords and codes together.
    for turn in 0..5 {
        browser.http = app.stranger();
        browser.sign_in(ADA, WRONG_PASSWORD).await.problem(401);
        if turn < 4 {
            continue;
        }
        let due = browser.sign_in(ADA, PASSWORD).await.expect(202);
        let token = due["attempt"]["token"].clone();
        for _ in 0..4 {
            let body = json!({ "method": "totp", "attempt_token": token, "code": ada.device.wrong() });
            browser.post(body).await.problem(401);
        }
    }
    browser.http = app.stranger();
    browser.sign_in(ADA, PASSWORD).await.problem(429);
    // Nobody else waits for it.
    sign_in(&app.stranger(), ADA, PASSWORD).await.expect(202);
}

#[tokio::test]
async fn a_device_cookie_that_is_not_the_accounts_own_buys_nothing() {
    let app = TestApp::start().await;
    let ada = app.person(ADA).await;
    app.person("eve@example.com").await;
    let (mut adas, mut eves) = (Browser::new(&app), Browser::new(&app));
    adas.sign_in(ADA, PASSWORD).await.expect(201);
    eves.sign_in("eve@example.com", PASSWORD).await.expect(201);
    besiege(&app).await;
    let genuine = adas.device.clone().unwrap();
    let value = genuine.strip_prefix("beyond_device=").unwrap();
    let eves_value = eves.device.clone().unwrap().strip_prefix("beyond_device=").unwrap().to_owned();
    // Owner and id of one, MAC of the other; changed, cut and padded ones; nonsense.
    let crossed = format!("{}{}", &value[..42], &eves_value[42..]);
    let flipped = format!("{}{}", &value[..25], if &value[25..26] == "A" { "B" } else { "A" });
    for forged in [
        eves_value.as_str(),
        &crossed,
        &format!("{flipped}{}", &value[26..]),
        &value[..value.len() - 1],
        &format!("{value}A"),
        "",
        "x",
        &ada.id,
    ] {
        let mut browser = Browser::new(&app);
        browser.device = Some(format!("beyond_device={forged}"));
        assert_eq!(browser.sign_in(ADA, PASSWORD).await.problem(429), "too_many_requests", "{forged}");
    }
    adas.sign_in(ADA, PASSWORD).await.expect(201);
}

#[tokio::test]
async fn with_the_password_change_the_devices_that_knew_the_old_one() {
    let app = TestApp::start().await;
    let ada = app.person(ADA).await;
    let mut thief = Browser::new(&app);
    thief.sign_in(ADA, PASSWORD).await.expect(201);
    let body = json!({ "current_password": PASSWORD, "password": OTHER_PASSWORD });
    ada.http.put("/v1/users/me/password", body).await.expect(204);
    // Whoever collected device cookies while the password was known guesses with the strangers now.
    forget_attempts(&app).await;
    for _ in 0..10 {
        thief.http = app.stranger();
        thief.sign_in(ADA, WRONG_PASSWORD).await.problem(401);
    }
    sign_in(&app.stranger(), ADA, OTHER_PASSWORD).await.problem(429);
}

#[tokio::test]
async fn a_device_cookie_opens_nothing() {
    let app = TestApp::start().await;
    app.enrolled(ADA).await;
    let bob = app.person("bob@example.com").await;
    let mut browser = Browser::new(&app);
    browser.sign_in(&bob.email, PASSWORD).await.expect(201);
    let device = browser.device.clone().unwrap();
    let value = device.strip_prefix("beyond_device=").unwrap();
    for request in [
        app.http.request(Method::GET, "/v1/sessions/current").header("cookie", &device),
        app.http
            .request(Method::GET, "/v1/sessions/current")
            .header("cookie", format!("beyond_session={value}")),
        app.http.request(Method::GET, "/v1/sessions/current").bearer_auth(value),
    ] {
        app.http.send(request).await.problem(401);
    }
    assert_eq!(finish(&app.stranger(), "totp", value, "123456").await.problem(401), "invalid_attempt");
    browser.sign_in(&bob.email, WRONG_PASSWORD).await.problem(401);
}

#[tokio::test]
async fn devices_from_before_the_factor_guess_at_it_with_the_strangers() {
    let app = TestApp::start().await;
    let ada = app.person(ADA).await;
    let mut browsers = Vec::new();
    for _ in 0..4 {
        let mut browser = Browser::new(&app);
        browser.sign_in(ADA, PASSWORD).await.expect(201);
        browsers.push(browser);
    }
    let (id, device) = crate::support::otp_app::enrol(&ada.http).await;
    let path = format!("/v1/users/me/factors/{id}/activations");
    ada.http.post(&path, json!({ "code": device.code() })).await.expect(200);
    app.forget_steps().await;
    let mut guesses = 0;
    for browser in &mut browsers {
        let due = browser.sign_in(ADA, PASSWORD).await;
        if due.status == 429 {
            break;
        }
        let token = due.expect(202)["attempt"]["token"].clone();
        for _ in 0..5 {
            browser.http = app.stranger();
            let body = json!({ "method": "totp", "attempt_token": token, "code": device.wrong() });
            let answer = browser.post(body).await;
            guesses += usize::from(answer.status == 401);
        }
    }
    // With those of strangers: two passwords and eight codes.
    assert_eq!(guesses, 8);
}

#[tokio::test]
async fn a_stranger_does_not_use_up_the_owners_mailbox() {
    let app = TestApp::start().await;
    app.person(ADA).await;
    let mut browser = Browser::new(&app);
    browser.sign_in(ADA, PASSWORD).await.expect(201);
    let body = json!({ "email": ADA });
    forget_attempts(&app).await;
    for _ in 0..5 {
        app.stranger().post("/v1/magic-links", body.clone()).await.expect(202);
    }
    for path in ["/v1/magic-links", "/v1/password-resets"] {
        app.stranger().post(path, body.clone()).await.problem(429);
        let request = app.stranger().request(Method::POST, path).json(&body);
        let cookie = browser.device.clone().unwrap();
        let answer = app.http.send(request.header("cookie", cookie)).await;
        assert_eq!(answer.status, 202, "{path}: {}", answer.text);
    }
    // Its own budget is as small, and the browser of somebody else has none here.
    app.person("eve@example.com").await;
    let mut eves = Browser::new(&app);
    eves.sign_in("eve@example.com", PASSWORD).await.expect(201);
    for (device, most) in [(&browser.device, 3), (&eves.device, 0)] {
        let mut answered = 0;
        for _ in 0..5 {
            let request = app.stranger().request(Method::POST, "/v1/magic-links").json(&body);
            let answer = app.http.send(request.header("cookie", device.clone().unwrap())).await;
            answered += u32::from(answer.status == 202);
        }
        assert_eq!(answered, most);
    }
}
