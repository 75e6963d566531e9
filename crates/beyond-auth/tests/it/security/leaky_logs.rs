//! Reading logs.

use std::io::Write;
use std::sync::{Arc, Mutex};

use http::Method;
use serde_json::json;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{
    OTHER_PASSWORD, WRONG_PASSWORD, behind_a_proxy, redeem_code, redeem_token, sign_in, sign_up, token_in,
    wrong_code,
};
use crate::support::app::{ADMIN_SECRET, PASSWORD};
use crate::support::idp::{CLIENT_SECRET, Instead};
use crate::support::mailed::{ask_link, ask_reset, code_sign_in, kind_to, link_sign_in, redeem_reset};
use crate::support::otp_app::{OtpApp, finish, strings};
use crate::support::proxy::Weather;
use crate::support::trip;

/// Collects what is logged.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn nor_does_the_log_of_a_journey_by_a_provider() {
    let page = Page::default();
    let writer = page.clone();
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .with_span_events(FmtSpan::FULL);
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    let _heard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));

    let (app, idp) = trip::world().await;
    let there = trip::depart(&app, "acme").await;
    let back = idp.approve(&there.location);
    let home = trip::Home::of(&there.arrive(&back).await);
    there.arrive(&back).await.problem(400);
    trip::redeem(&app.stranger(), home.code()).await.expect(201);
    let token = idp.id_token(Some("device-nonce"));
    trip::by_token(&app, &token, "another").await.problem(401);
    trip::by_token(&app, &token, "device-nonce").await.expect(201);
    // And when nothing works.
    for path in ["/token", "/jwks", "/discovery"] {
        idp.lock().script.instead.insert(path, Instead::status(500));
    }
    assert_eq!(trip::depart(&app, "acme").await.round(&idp).await.error(), "provider_unavailable");

    let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    assert!(text.len() > 1_000, "{text}");
    let end = |text: &str| text[text.len() - 43..].to_owned();
    let said: Vec<String> = back.query_pairs().map(|(_, value)| value.into_owned()).collect();
    for secret in [
        end(&said[1]),
        end(&there.cookie),
        end(home.code()),
        end(&token),
        said[0].clone(),
        trip::VERIFIER.to_owned(),
        "device-nonce".to_owned(),
        "access-token".to_owned(),
        "refresh-token".to_owned(),
        CLIENT_SECRET.to_owned(),
    ] {
        assert!(!text.contains(&secret), "{secret} in the log");
    }
}

/// The runtime of this test is its one thread, so a subscriber of this thread hears the whole service.
#[tokio::test]
async fn the_most_talkative_log_of_a_full_journey_holds_no_secret() {
    let page = Page::default();
    let writer = page.clone();
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .with_span_events(FmtSpan::FULL);
    // While there is but one subscriber, `tracing` asks for the opinion of whichever thread comes by a log line
    // first, and that thread may belong to a test that listens to nothing.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    let _heard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));

    let (app, proxy) = behind_a_proxy().await;
    sign_up(&app.stranger(), "ada@example.com", PASSWORD).await.expect(202);
    let mail = app.mail_to("ada@example.com").await;
    let (token, code) = (token_in(&mail), mail.code().unwrap().to_owned());
    redeem_code(&app.stranger(), "ada@example.com", &wrong_code(&code)).await.problem(400);
    redeem_code(&app.stranger(), "ada@example.com", &code).await.expect(200);
    redeem_token(&app.stranger(), &token).await.problem(400);
    sign_in(&app.stranger(), "ada@example.com", WRONG_PASSWORD).await.problem(401);
    let ada = app.sign_in("ada@example.com", PASSWORD).await;
    let session = ada.token.clone();
    let body = json!({ "current_password": PASSWORD, "password": OTHER_PASSWORD });
    ada.http.put("/v1/users/me/password", body).await.expect(204);

    let asked = ask_link(&app.stranger(), "ada@example.com").await;
    let link_mail = kind_to(&app, "ada@example.com", "ml_").await;
    let (link, link_code) = (token_in(&link_mail), link_mail.code().unwrap().to_owned());
    code_sign_in(&app.stranger(), "ada@example.com", &wrong_code(&link_code), Some(&asked))
        .await
        .problem(401);
    link_sign_in(&app.stranger(), &link).await.expect(201);
    ask_reset(&app.stranger(), "ada@example.com").await;
    let reset = token_in(&*kind_to(&app, "ada@example.com", "pwr_").await);
    redeem_reset(&app.stranger(), &reset, "password").await.problem(422);

    // A second factor, with its seed, its codes and a half-finished sign-in.
    let made = ada.http.post("/v1/users/me/factors", json!({})).await.expect(201);
    let (seed, device) = (made["factor"]["secret"].as_str().unwrap(), OtpApp::scan(&made["factor"]));
    let path = format!("/v1/users/me/factors/{}/activations", made["factor"]["id"].as_str().unwrap());
    let activated = ada.http.post(&path, json!({ "code": device.code() })).await.expect(200);
    let recovery = strings(&activated["recovery_codes"]);
    let due = sign_in(&app.stranger(), "ada@example.com", OTHER_PASSWORD).await.expect(202);
    let attempt = due["attempt"]["token"].as_str().unwrap();
    finish(&app.stranger(), "totp", attempt, &device.wrong()).await.problem(401);
    let body =
        json!({ "method": "recovery_code", "attempt_token": attempt, "code": recovery[0], "cookie": true });
    let answer = app.stranger().post("/v1/sessions", body).await;
    answer.expect(201);
    let cookie = answer.headers.get_all("set-cookie").iter().nth(1).unwrap().to_str().unwrap().to_owned();
    let remembered = cookie.split(['=', ';']).nth(1).unwrap();

    // Secrets where they do not belong: in paths, queries, headers, malformed bodies.
    for path in [
        format!("/v1/sessions/{session}"),
        format!("/v1/sessions?token={session}"),
        format!("/{session}/{PASSWORD}"),
        format!("/v1/email-verifications/redemptions?token={token}"),
    ] {
        ada.http.get(&path).await;
        app.http.delete(&path).await;
    }
    let forged = format!("{session}A");
    app.http.with_bearer(&forged).get("/v1/sessions/current").await.problem(401);
    app.http.with_bearer(&session).get("/v1/admin/users").await.problem(401);
    let request =
        app.http.request(Method::GET, "/v1/users/me").header("cookie", format!("beyond_session={session}"));
    app.http.send(request).await.expect(200);
    for body in [
        format!("{{\"method\": \"password\", \"email\": \"ada@example.com\", \"password\": \"{PASSWORD}"),
        format!("{{\"method\": \"password\", \"email\": [\"{PASSWORD}\"], \"password\": [\"{PASSWORD}\"]}}"),
        format!("{{\"method\": \"{PASSWORD}\", \"{PASSWORD}\": 1}}"),
    ] {
        let request =
            app.http.request(Method::POST, "/v1/sessions").header("content-type", "application/json");
        assert!(app.http.send(request.body(body)).await.status.is_client_error());
    }
    // And while the database is away, when errors are logged.
    proxy.set(Weather::Refusing).await;
    ada.http.get("/v1/sessions/current").await.problem(503);
    sign_in(&app.stranger(), "ada@example.com", PASSWORD).await.problem(503);
    redeem_token(&app.stranger(), &token).await.problem(503);

    let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("request_id") && text.contains("mail sent"), "the log was not heard:\n{text}");
    for secret in [
        PASSWORD,
        OTHER_PASSWORD,
        WRONG_PASSWORD,
        ADMIN_SECRET,
        &session[41..],
        &token[36..],
        &link[36..],
        &reset[37..],
        &asked[37..],
    ] {
        assert!(!text.contains(secret), "{secret} was logged");
    }
    for secret in [seed, &attempt[37..], recovery[0].as_str(), recovery[1].as_str(), remembered] {
        assert!(!text.contains(secret), "{secret} was logged");
    }
    let code_is_logged =
        text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == code || word == link_code);
    assert!(!code_is_logged, "a code was logged");
    assert!(!text.contains("ada@example.com"), "an address was logged");
}
