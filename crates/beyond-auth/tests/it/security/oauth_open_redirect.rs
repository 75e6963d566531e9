//! Having people sent, with a code, to where the operator never meant.

use serde_json::json;

use crate::support::sql;
use crate::support::trip::{HOME, Home, authorize, depart, reason, world};

#[tokio::test]
async fn people_come_back_to_listed_origins_only() {
    let (app, idp) = world().await;
    app.set(json!({ "allowed_origins": ["https://listed.example"] })).await;
    let own = app.running.app.config.public_url.clone();
    for good in [HOME, "https://listed.example/x?y=z#w", own.as_str(), "HTTPS://APP.example:443/a/../welcome"]
    {
        assert_eq!(app.stranger().get(&authorize("acme", good)).await.status, 303, "{good}");
    }
    for evil in [
        "",
        "/welcome",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https:evil.example",
        "https://evil.example",
        "https://evil.example/https://app.example",
        "https://app.example.evil.example",
        "https://evil.example?https://app.example",
        "https://evil.example#@app.example",
        "https://evil.example\\@app.example/",
        "https://app.example@evil.example",
        "https://user@app.example/",
        "https://user:password@app.example/",
        "https://app.example:8443/",
        "http://app.example/",
        "https://sub.app.example/",
        "https://app.example\r\nlocation: https://evil.example",
        "https://app.example/\nx",
        "https://app\u{2024}example/",
        "javascript:alert(1)//https://app.example",
        "data:text/html,<script>alert(1)</script>",
        "blob:https://app.example/x",
        "null",
        &format!("https://app.example/{}", "a".repeat(3000)),
    ] {
        let answer = app.stranger().get(&authorize("acme", evil)).await;
        assert_eq!(answer.problem(422), "validation_failed", "{evil:?}");
        assert_eq!(answer.pointer(), "?redirect_to", "{evil:?}");
        assert!(answer.header("location").is_empty() && answer.header("set-cookie").is_empty());
    }
    assert_eq!(app.stranger().get("/v1/oauth/nobody%00/authorize?x").await.status, 422);
    assert_eq!(app.stranger().get(&authorize("no%00body", HOME)).await.problem(404), "not_found");
    depart(&app, "acme").await.round(&idp).await.code();
    // An origin that was struck off meanwhile gets nothing any more.
    let http = app.stranger();
    let answer = http.get(&authorize("acme", "https://listed.example/x")).await;
    let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    let trip = crate::support::trip::Trip { http, location: answer.header("location"), cookie };
    app.set(json!({ "allowed_origins": [] })).await;
    let answer = trip.arrive(&idp.approve(&trip.location)).await;
    assert_eq!(answer.problem(400), "invalid_state");
    assert_eq!(reason(&app).await, "redirect_not_allowed");
    assert_eq!(idp.asked("/token"), 1);
}

#[tokio::test]
async fn an_application_without_a_challenge_gets_nothing() {
    let (app, _) = world().await;
    let home = "redirect_to=https%3A%2F%2Fapp.example%2Fwelcome";
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    for (query, pointer) in [
        (home.to_owned(), "?code_challenge"),
        (format!("{home}&code_challenge="), "?code_challenge"),
        (format!("{home}&code_challenge={}", &challenge[1..]), "?code_challenge"),
        (format!("{home}&code_challenge={challenge}="), "?code_challenge"),
        (format!("{home}&code_challenge={}N", &challenge[..42]), "?code_challenge"),
        (format!("{home}&code_challenge={challenge}&code_challenge_method=plain"), "?code_challenge_method"),
        (format!("{home}&code_challenge={challenge}&state={}", "a".repeat(513)), "?state"),
        (format!("{home}&code_challenge={challenge}&nonce=x"), "?nonce"),
        (format!("code_challenge={challenge}"), "?redirect_to"),
    ] {
        let answer = app.stranger().get(&format!("/v1/oauth/acme/authorize?{query}")).await;
        assert_eq!(
            (answer.problem(422), answer.pointer()),
            ("validation_failed".into(), pointer.into()),
            "{query}"
        );
    }
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.oauth_flows").await, 0);
}

#[tokio::test]
async fn an_address_that_brings_a_code_of_its_own_loses_it() {
    let (app, idp) = world().await;
    let http = app.stranger();
    let answer =
        http.get(&authorize("acme", "https://app.example/welcome?code=oac_stolen&state=x&a=b")).await;
    let trip = crate::support::trip::Trip {
        http,
        location: answer.header("location"),
        cookie: answer.header("set-cookie").split(';').next().unwrap().to_owned(),
    };
    let answer = trip.arrive(&idp.approve(&trip.location)).await;
    assert!(answer.header("location").contains("?a=b&code=oac_"), "{}", answer.header("location"));
    assert_ne!(Home::of(&answer).code(), "oac_stolen");
    for name in ["cache-control", "referrer-policy"] {
        assert!(["no-store", "no-referrer"].contains(&answer.header(name).as_str()), "{name}");
    }
}
