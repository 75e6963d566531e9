//! Poisoning mailed links through headers of the request.

use http::Method;
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::app::PASSWORD;
use crate::support::client::Http;

const POISON: [(&str, &str); 9] = [
    ("host", "evil.example"),
    ("x-forwarded-host", "evil.example"),
    ("x-forwarded-proto", "gopher"),
    ("x-forwarded-port", "6666"),
    ("x-forwarded-server", "evil.example"),
    ("x-original-host", "evil.example"),
    ("forwarded", "host=evil.example;proto=gopher"),
    ("origin", "https://evil.example"),
    ("referer", "https://evil.example/"),
];

#[tokio::test]
async fn links_come_from_configuration_whatever_the_request_says() {
    let app = TestApp::start().await;
    let public_url = app.running.app.config.public_url.as_str().to_owned();
    // The second time, the address is taken: another mail with another link.
    for (known, turn) in [(false, 0), (true, 1)] {
        if known {
            app.person("ada@example.com").await;
        }
        let before: Vec<u64> = app.mailbox.received().iter().map(|mail| mail.number).collect();
        let mut request = app.stranger().request(Method::POST, "/v1/users");
        for (name, value) in POISON {
            request = request.header(name, value);
        }
        let email = if known { "ada@example.com".to_owned() } else { format!("eve{turn}@example.com") };
        let body = json!({ "email": email, "password": PASSWORD });
        app.http.send(request.json(&body)).await.expect(202);
        let mail = super::further_mail(&app, &email, &before).await;
        assert!(mail.link().unwrap().starts_with(&public_url), "{}", mail.text);
        for part in [&mail.subject, &mail.text, &mail.html, &mail.from] {
            assert!(!part.contains("evil") && !part.contains("gopher") && !part.contains("6666"), "{part}");
        }
    }
}

#[tokio::test]
async fn no_mail_of_any_kind_repeats_what_a_request_calls_the_service() {
    let app = TestApp::start().await;
    let public_url = app.running.app.config.public_url.as_str().to_owned();
    let ada = app.person("ada@example.com").await;
    let mine = || app.stranger().with_bearer(&ada.token);
    let poisoned = async |http: &Http, method: Method, path: &str, body: Value| {
        let before = app.mailbox.received().last().unwrap().number;
        let mut request = http.request(method, path);
        for (name, value) in POISON {
            request = request.header(name, value);
        }
        let answer = app.http.send(request.json(&body)).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
        let mail = app.mailbox.wait_until(|mail| mail.number > before).await.unwrap();
        assert!(mail.link().unwrap().starts_with(&public_url), "{path}: {}", mail.text);
        for part in [&mail.subject, &mail.text, &mail.html, &mail.from] {
            assert!(!part.contains("evil") && !part.contains("gopher") && !part.contains("6666"), "{part}");
        }
        mail
    };
    let to_ada = json!({ "email": "ada@example.com" });
    poisoned(&app.stranger(), Method::POST, "/v1/magic-links", to_ada.clone()).await;
    let reset = poisoned(&app.stranger(), Method::POST, "/v1/password-resets", to_ada).await;
    let second = json!({ "email": "second@example.com" });
    let added = poisoned(&mine(), Method::POST, "/v1/users/me/emails", second).await;
    let proof = json!({ "token": super::token_in(&added) });
    poisoned(&app.stranger(), Method::POST, "/v1/email-verifications/redemptions", proof).await;
    let new = json!({ "token": super::token_in(&reset), "password": super::OTHER_PASSWORD });
    poisoned(&app.stranger(), Method::POST, "/v1/password-resets/redemptions", new).await;
}
