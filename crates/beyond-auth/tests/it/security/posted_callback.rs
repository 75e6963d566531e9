//! An answer that is posted from a foreign page: worth nothing without the cookie of its own round, which no other
//! stands in for.

use serde_json::json;

use crate::support::TestApp;
use crate::support::idp::Idp;
use crate::support::kinds::{apple, approve_apple, known, p8, post_back};
use crate::support::sql;
use crate::support::trip::{Home, app, depart};

async fn world() -> (TestApp, Idp) {
    let (app, idp) = (app().await, Idp::start().await);
    let (p8, _) = p8();
    known(&app, apple(&idp, &p8, json!({}))).await;
    known(&app, idp.description("acme")).await;
    (app, idp)
}

#[tokio::test]
async fn a_posted_answer_without_its_cookie_signs_nobody_in() {
    let (app, idp) = world().await;
    let trip = depart(&app, "apple").await;
    let (callback, form) = approve_apple(&idp, &trip, None);
    let (name, value) = trip.cookie.split_once('=').unwrap();
    let other = depart(&app, "apple").await.cookie;
    let usual = depart(&app, "acme").await.cookie;
    for cookie in [
        None,
        Some(other.clone()),
        Some(usual),
        // Under the name that the lax cookies of other kinds have.
        Some(format!("{}={value}", name.replace("oauthpost", "oauth"))),
        Some(format!("{name}={}", other.split_once('=').unwrap().1)),
        Some(format!("{name}=")),
    ] {
        let answer = post_back(&trip, &callback, form.clone(), cookie.as_deref()).await;
        assert_eq!(answer.problem(400), "invalid_state", "{cookie:?}");
    }
    assert_eq!(idp.asked("/token"), 0);
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.users").await, 0);
    // None of those has spent it.
    let answer = post_back(&trip, &callback, form.clone(), Some(&trip.cookie)).await;
    Home::of(&answer).code();
    let again = post_back(&trip, &callback, form, Some(&trip.cookie)).await;
    assert_eq!(again.problem(400), "invalid_state");
}

#[tokio::test]
async fn an_answer_comes_back_the_way_it_was_asked_for() {
    let (app, idp) = world().await;
    // What was to come by a GET is not taken from a foreign page's form, and the other way round.
    let trip = depart(&app, "acme").await;
    let back = idp.approve(&trip.location);
    let form = back.query().unwrap().to_owned();
    let answer = post_back(&trip, &back, form, Some(&trip.cookie)).await;
    assert_eq!(answer.problem(400), "invalid_state");
    let trip = depart(&app, "apple").await;
    let (mut callback, form) = approve_apple(&idp, &trip, None);
    callback.set_query(Some(&form));
    assert_eq!(trip.arrive(&callback).await.problem(400), "invalid_state");
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.users").await, 0);
}

#[tokio::test]
async fn what_is_posted_beside_the_token_decides_nothing() {
    let (app, idp) = world().await;
    app.person("eve@example.com").await;
    let long = "x".repeat(5_000);
    for user in [
        json!({ "email": "eve@example.com", "sub": "1", "email_verified": true }),
        json!({ "name": { "firstName": "\u{202e}\u{0}<b>", "lastName": long } }),
        json!("ada"),
        json!([[[[[[]]]]]]),
    ] {
        let trip = depart(&app, "apple").await;
        let (callback, form) = approve_apple(&idp, &trip, Some(user));
        Home::of(&post_back(&trip, &callback, form, Some(&trip.cookie)).await).code();
    }
    let rows =
        sql::rows(&app, "SELECT coalesce(max(length(name)), 0)::bigint, count(*) FROM auth.identities").await;
    let (length, count): (i64, i64) = (sqlx::Row::get(&rows[0], 0), sqlx::Row::get(&rows[0], 1));
    assert!(length <= 200 && count == 1, "{length} {count}");
    assert_eq!(
        sql::number(&app, "SELECT count(*) FROM auth.emails WHERE address = 'eve@example.com'").await,
        1
    );
}
