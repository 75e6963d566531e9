//! Slipping a provider's answer to a browser that never asked for it.

use std::collections::BTreeMap;

use beyond_auth::platform::config::Origin;
use beyond_auth::platform::crypto::token::{OAuthState, Token};
use futures::future::join_all;
use http::Method;
use secrecy::ExposeSecret as _;
use url::Url;

use crate::support::app::config;
use crate::support::client::{Answer, Http};
use crate::support::trip::{HOME, Home, authorize, depart, describe, reason, redeem, world};
use crate::support::{TestApp, database, sql};

async fn arrive(http: &Http, method: Method, back: &Url, cookie: &str) -> Answer {
    let path = format!("{}?{}", back.path(), back.query().unwrap_or_default());
    http.send(http.request(method, &path).header("cookie", cookie)).await
}

fn with(back: &Url, name: &str, value: Option<&str>) -> Url {
    let mut changed = back.clone();
    let pairs: Vec<_> = back.query_pairs().into_owned().filter(|(found, _)| found != name).collect();
    changed.query_pairs_mut().clear().extend_pairs(pairs);
    if let Some(value) = value {
        changed.query_pairs_mut().append_pair(name, value);
    }
    changed
}

#[tokio::test]
async fn an_answer_counts_only_where_it_was_asked_for() {
    let (app, idp) = world().await;
    describe(&app, idp.description("other")).await.expect(200);
    let (mine, theirs) = (depart(&app, "acme").await, depart(&app, "acme").await);
    let back = idp.approve(&mine.location);
    let renamed = {
        let name = mine.cookie.split('=').next().unwrap();
        format!("{name}={}", theirs.cookie.split('=').nth(1).unwrap())
    };
    let elsewhere: Token<OAuthState> = Token::mint();
    let elsewhere = elsewhere.reveal();
    let mut other_path = back.clone();
    other_path.set_path("/v1/oauth/other/callback");
    for (url, cookie, expected) in [
        (with(&back, "state", None), mine.cookie.as_str(), "state_missing"),
        (with(&back, "state", Some("")), &mine.cookie, "state_malformed"),
        (with(&back, "state", Some("ost_x")), &mine.cookie, "state_malformed"),
        (with(&back, "state", Some(elsewhere.expose_secret())), &mine.cookie, "state_of_another_browser"),
        (back.clone(), "a=b", "state_of_another_browser"),
        (back.clone(), &theirs.cookie, "state_of_another_browser"),
        (back.clone(), &renamed, "state_of_another_browser"),
        (other_path, &mine.cookie, "state_of_another_provider"),
    ] {
        let answer = arrive(&app.stranger(), Method::GET, &url, cookie).await;
        assert_eq!(answer.problem(400), "invalid_state");
        assert_eq!(reason(&app).await, expected, "{url}");
    }
    // Scanners look; so does a form of somebody else's page.
    assert_eq!(arrive(&mine.http, Method::HEAD, &back, &mine.cookie).await.status, 400);
    let posted = mine.http.request(Method::POST, back.path()).header("cookie", &mine.cookie);
    let form = ("content-type", "application/x-www-form-urlencoded");
    let posted = posted.header(form.0, form.1).body(back.query().unwrap().to_owned());
    assert_eq!(mine.http.send(posted).await.problem(400), "invalid_state");
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.users").await, 0);

    // None of it has spent anything.
    let home = Home::of(&mine.arrive(&back).await);
    redeem(&app.stranger(), home.code()).await.expect(201);
    assert_eq!(mine.arrive(&back).await.problem(400), "invalid_state");
    assert_eq!(reason(&app).await, "state_unknown");
}

#[tokio::test]
async fn an_answer_that_took_too_long_is_none() {
    let (app, idp) = world().await;
    let trip = depart(&app, "acme").await;
    let back = idp.approve(&trip.location);
    sql::run(&app, "UPDATE auth.oauth_flows SET expires_at = now() - interval '1 second'").await;
    assert_eq!(trip.arrive(&back).await.problem(400), "invalid_state");
    assert_eq!(idp.asked("/token"), 0);
}

#[tokio::test]
async fn of_fifty_returns_with_one_answer_exactly_one_gets_a_code() {
    let (app, idp) = world().await;
    let second = TestApp::on(app.database.clone()).await;
    let trip = depart(&app, "acme").await;
    let back = idp.approve(&trip.location);
    let answers = join_all((0..50).map(async |turn| {
        let http = if turn % 2 == 0 { app.stranger() } else { second.stranger() };
        arrive(&http, Method::GET, &back, &trip.cookie).await
    }))
    .await;
    // The second instance may not call the provider: whoever wins, there is one.
    let won = answers.iter().filter(|answer| answer.status == 303).count();
    assert_eq!(won, 1);
    assert!(answers.iter().all(|answer| [303, 400].contains(&answer.status.as_u16())));
}

#[tokio::test]
async fn cookies_of_flows_are_bound_to_the_host_and_do_not_pile_up() {
    let (app, idp) = world().await;
    let mut jar: BTreeMap<String, String> = BTreeMap::new();
    jar.insert("beyond_oauth_planted".into(), "x".into());
    let http = app.stranger();
    let mut last = String::new();
    for _ in 0..9 {
        let cookies: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request =
            http.request(Method::GET, &authorize("acme", HOME)).header("cookie", cookies.join("; "));
        let answer = http.send(request).await;
        assert_eq!(answer.status, 303);
        last = answer.header("location");
        for line in answer.headers.get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            for attribute in ["HttpOnly", "SameSite=Lax", "Path=/"] {
                assert!(line.contains(attribute), "{line}");
            }
            if line.contains("Max-Age=0") {
                jar.remove(name)
            } else {
                jar.insert(name.into(), value.into())
            };
        }
    }
    assert_eq!(jar.len(), 5, "{jar:?}");
    assert!(!jar.contains_key("beyond_oauth_planted"));
    let cookies: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let answer = arrive(&http, Method::GET, &idp.approve(&last), &cookies.join("; ")).await;
    Home::of(&answer).code();
    // It is cleared when it has served.
    assert!(answer.header("set-cookie").contains("Max-Age=0"));

    let database = std::sync::Arc::new(database().await);
    let mut config = config(&database);
    config.public_url = "https://auth.example".parse().unwrap();
    config.oauth_allowed_redirect_origins = vec![Origin::parse("https://app.example").unwrap()];
    config.outbound_allow = vec![beyond_auth::platform::config::OutboundRule::parse("127.0.0.1").unwrap()];
    let secure = TestApp::with(database, config).await;
    describe(&secure, idp.description("acme")).await.expect(200);
    let answer = secure.stranger().get(&authorize("acme", HOME)).await;
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("__Host-beyond_oauth_") && cookie.contains("Secure"), "{cookie}");
    assert!(
        answer
            .header("location")
            .contains("redirect_uri=https%3A%2F%2Fauth.example%2Fv1%2Foauth%2Facme%2Fcallback")
    );
}
