//! A provider that answers too much, too late, something else, or not at all.

use std::io::Write as _;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use futures::future::{join, join_all};
use serde_json::json;

use crate::support::app::PASSWORD;
use crate::support::idp::{Idp, Instead};
use crate::support::trip::{by_token, depart, describe, reason, sign_in, world};
use crate::support::{TestApp, sql};

/// Leaves the address out of tokens, so that the userinfo document is read.
fn tell_nothing(idp: &Idp) {
    idp.twist(|claims| {
        claims.remove("email");
    });
}

#[tokio::test]
async fn answers_without_end_or_sense_are_given_up() {
    let (app, idp) = world().await;
    tell_nothing(&idp);
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![b' '; 20 << 20]).unwrap();
    let bomb = Instead {
        headers: vec![("content-encoding", "gzip".to_owned())],
        ..Instead::body(bomb.finish().unwrap())
    };
    let moved = |status| Instead {
        headers: vec![("location", format!("{}/elsewhere", idp.url))],
        ..Instead::status(status)
    };
    let invalid = "invalid_provider_response";
    for (path, instead, code, expected) in [
        ("/userinfo", Instead::body(vec![b' '; 50 << 20]), invalid, "provider_answer_too_large"),
        ("/token", Instead::body(vec![b' '; 2 << 20]), invalid, "provider_answer_too_large"),
        ("/userinfo", bomb, invalid, "userinfo_malformed"),
        ("/userinfo", Instead::body("[]"), invalid, "userinfo_malformed"),
        ("/userinfo", Instead::body("<html>"), invalid, "userinfo_malformed"),
        ("/userinfo", Instead::status(401), invalid, "provider_status"),
        ("/userinfo", moved(302), invalid, "provider_status"),
        ("/token", moved(307), invalid, "provider_status"),
        ("/token", Instead::status(500), "provider_unavailable", "provider_status"),
        ("/token", Instead::status(429), "provider_unavailable", "provider_status"),
        ("/token", Instead::body(""), invalid, "token_response_malformed"),
        ("/token", Instead::body("\u{0}"), invalid, "token_response_malformed"),
        ("/token", Instead::body("{}"), invalid, "id_token_missing"),
        (
            "/token",
            Instead { status: 400, ..Instead::body(r#"{"error":"invalid_grant"}"#) },
            "provider_error",
            "token_error",
        ),
        ("/token", Instead::body(r#"{"error":"bad_verification_code"}"#), "provider_error", "token_error"),
    ] {
        let what = format!("{path} {expected}");
        idp.lock().script.instead.clear();
        idp.lock().script.instead.insert(path, instead);
        let home = depart(&app, "acme").await.round(&idp).await;
        assert_eq!(home.error(), code, "{what}");
        assert_eq!(reason(&app).await, expected, "{what}");
    }
    assert_eq!(idp.asked("/elsewhere"), 0);
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.users").await, 0);
}

async fn password(app: &TestApp) -> Duration {
    let began = Instant::now();
    app.sign_in("grace@example.com", PASSWORD).await;
    began.elapsed()
}

#[tokio::test]
async fn thirty_seconds_of_silence_hold_up_nobody_else() {
    let (app, idp) = world().await;
    app.person("grace@example.com").await;
    let other = Idp::start().await;
    other.says("email", Some("other@example.com".into()));
    describe(&app, other.description("other")).await.expect(200);
    password(&app).await;
    let trips = join_all((0..40).map(async |_| depart(&app, "acme").await)).await;
    idp.lock().script.delay.insert("/token", Duration::from_secs(30));
    let stuck = async {
        let began = Instant::now();
        let homes = join_all(trips.iter().map(async |trip| trip.round(&idp).await)).await;
        for home in homes {
            assert_eq!(home.error(), "provider_unavailable");
        }
        began.elapsed()
    };
    let rest = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        for _ in 0..5 {
            let took = password(&app).await;
            assert!(took < Duration::from_secs(9), "{took:?}");
            let began = Instant::now();
            sign_in(&app, &other, "other").await.expect(201);
            assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
        }
    };
    let (took, ()) = join(stuck, rest).await;
    assert!(took < Duration::from_mins(1), "{took:?}");
    // Some were told at once: a provider that is down takes no more than its share.
    let busy = "SELECT count(*) FROM auth.audit_events WHERE details->>'reason' = 'provider_busy'";
    assert!(sql::number(&app, busy).await >= 20);
}

#[tokio::test]
async fn what_a_provider_said_last_holds_for_a_while() {
    let (app, idp) = world().await;
    let age = async |interval: &str| {
        let statement = format!(
            "UPDATE auth.oauth_documents SET fetched_at = fetched_at - interval '{interval}',
                    asked_at = asked_at - interval '{interval}'"
        );
        sql::run(&app, &statement).await;
    };
    for path in ["/discovery", "/jwks"] {
        idp.lock().script.instead.insert(path, Instead::status(503));
    }
    age("23 hours").await;
    by_token(&app, &idp.id_token(Some("1")), "1").await.expect(201);
    age("2 hours").await;
    assert_eq!(by_token(&app, &idp.id_token(Some("2")), "2").await.problem(503), "provider_unavailable");
    // What is worse than nothing is not kept.
    for (path, body) in
        [("/discovery", json!({ "issuer": "https://evil.example" })), ("/jwks", json!({ "keys": [] }))]
    {
        idp.lock().script.instead.insert(path, Instead::body(body.to_string()));
    }
    age("1 minute").await;
    assert_eq!(by_token(&app, &idp.id_token(Some("3")), "3").await.problem(503), "provider_unavailable");
    idp.lock().script.instead.clear();
    age("1 minute").await;
    by_token(&app, &idp.id_token(Some("4")), "4").await.expect(201);
}
