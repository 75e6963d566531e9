//! Presenting what resembles a token.

use beyond_auth::platform::crypto::token::{self, PREFIXES, Token};
use http::Method;
use secrecy::ExposeSecret as _;

use super::{behind_a_proxy, redeem_token, shape, sign_up, token_in};
use crate::support::TestApp;
use crate::support::app::PASSWORD;
use crate::support::proxy::Weather;

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Spellings that a lenient parser would take for the token.
fn forgeries(token: &str) -> Vec<String> {
    let (prefix, rest) = token.split_once('_').unwrap();
    let (id, secret) = rest.split_once('_').unwrap();
    let mut found = vec![
        String::new(),
        "_".into(),
        prefix.into(),
        format!("{prefix}_{id}"),
        format!("{prefix}_{id}_"),
        token[1..].into(),
        token[..token.len() - 1].into(),
        token[..token.len() - 20].into(),
        format!("{token}="),
        format!("{token}A"),
        format!("{token}_"),
        format!("{token}."),
        format!("{token}%00"),
        format!("{token},{token}"),
        format!("{prefix}_{}_{secret}", id.to_uppercase()),
        format!("{}_{id}_{secret}", prefix.to_uppercase()),
        format!(
            "{prefix}_{}-{}-{}-{}-{}_{secret}",
            &id[..8],
            &id[8..12],
            &id[12..16],
            &id[16..20],
            &id[20..]
        ),
        format!("{prefix}__{id}_{secret}"),
        format!("{prefix}-{id}-{secret}"),
        format!("{id}_{secret}"),
        secret.into(),
        format!("{prefix}_{id}_{secret}").repeat(100),
        "x".repeat(16 * 1024),
    ];
    // 43 characters carry two bits more than 32 bytes: three other last characters decode to the same bytes.
    let (head, last) = token.split_at(token.len() - 1);
    let value = ALPHABET.iter().position(|c| *c == last.as_bytes()[0]).unwrap();
    found.extend((1..4).map(|bits| format!("{head}{}", char::from(ALPHABET[value ^ bits]))));
    found.extend(PREFIXES.iter().filter(|other| **other != prefix).map(|other| format!("{other}_{rest}")));
    found
}

#[tokio::test]
async fn a_forged_session_token_is_refused_in_one_shape() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let unknown: Token<token::Session> = Token::mint();
    let unknown = app.http.with_bearer(unknown.reveal().expose_secret()).get("/v1/sessions/current").await;
    let refused = shape(&unknown);
    assert_eq!(unknown.problem(401), "invalid_token");
    // The right id with another secret is as unknown as a token that never was.
    let secret = Token::<token::Session>::mint().reveal().expose_secret().split_at(41).1.to_owned();
    let right_id = format!("{}_{secret}", &ada.token[..40]);
    let (head, own) = ada.token.split_at(41);
    let recased = [own.to_lowercase(), own.to_uppercase()].map(|secret| format!("{head}{secret}"));
    for forged in forgeries(&ada.token).into_iter().chain([right_id]).chain(recased) {
        let answer = app.http.with_bearer(&forged).get("/v1/sessions/current").await;
        if forged.is_empty() {
            assert_eq!(answer.problem(401), "invalid_credentials_format");
        } else {
            assert_eq!(shape(&answer), refused, "{forged}");
        }
    }
    ada.http.get("/v1/sessions/current").await.expect(200);
}

#[tokio::test]
async fn a_forged_verification_token_is_refused_in_one_shape() {
    let app = TestApp::start().await;
    sign_up(&app.http, "ada@example.com", PASSWORD).await.expect(202);
    let token = token_in(&*app.mail_to("ada@example.com").await);
    let unknown: Token<token::EmailVerification> = Token::mint();
    let unknown = redeem_token(&app.stranger(), unknown.reveal().expose_secret()).await;
    let refused = shape(&unknown);
    assert_eq!(unknown.problem(400), "invalid_verification");
    for forged in forgeries(&token).into_iter().filter(|forged| forged.len() < 16 * 1024) {
        assert_eq!(shape(&redeem_token(&app.stranger(), &forged).await), refused, "{forged}");
    }
    redeem_token(&app.stranger(), &token).await.expect(200);
}

#[tokio::test]
async fn a_megabyte_of_token_is_refused_and_hurts_nobody() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let long = format!("session_{}", "a".repeat(1 << 20));
    // The server stops reading headers at 32 KiB; the client may notice only by the closed connection.
    let request = app.http.request(Method::GET, "/v1/sessions/current").bearer_auth(&long);
    if let Ok(response) = request.send().await {
        assert!(response.status().is_client_error(), "{}", response.status());
    }
    assert_eq!(redeem_token(&app.http, &long.replace("session", "ev")).await.problem(413), "body_too_large");
    ada.http.get("/v1/sessions/current").await.expect(200);
}

#[tokio::test]
async fn what_cannot_be_a_token_costs_no_query() {
    let (app, proxy) = behind_a_proxy().await;
    let ada = app.person("ada@example.com").await;
    let verification: Token<token::EmailVerification> = Token::mint();
    let verification = verification.reveal().expose_secret().to_owned();
    // Without a database, whatever would ask it is 503.
    proxy.set(Weather::Refusing).await;
    for forged in forgeries(&ada.token) {
        app.http.with_bearer(&forged).get("/v1/sessions/current").await.problem(401);
        app.http.with_bearer(&forged).delete("/v1/sessions/current").await.problem(401);
        app.http.with_bearer(&forged).get("/v1/admin/users").await.problem(401);
    }
    for forged in forgeries(&verification).into_iter().filter(|forged| forged.len() < 16 * 1024) {
        redeem_token(&app.http, &forged).await.problem(400);
    }
    for code in ["", "12345", "1234567", "abcdef", "１２３４５６"] {
        super::redeem_code(&app.http, "ada@example.com", code).await.problem(400);
    }
    for answer in [
        ada.http.get("/v1/sessions/current").await,
        redeem_token(&app.http, &verification).await,
        super::redeem_code(&app.http, "ada@example.com", "123456").await,
    ] {
        assert_eq!(answer.problem(503), "unavailable");
        assert!(!answer.header("retry-after").is_empty());
    }
}
