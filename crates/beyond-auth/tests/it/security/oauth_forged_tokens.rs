//! Identity tokens that nobody should believe.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::join_all;
use serde_json::{Map, Value, json};

use crate::support::idp::{Change, Idp, Key};
use crate::support::trip::{by_token, depart, describe, reason, sign_in, world};
use crate::support::{TestApp, sql};

/// Goes to the provider and back, to no avail.
async fn refused(app: &TestApp, idp: &Idp, expected: &str, what: &str) {
    let home = depart(app, "acme").await.round(idp).await;
    assert_eq!(home.error(), "invalid_provider_response", "{what}");
    assert_eq!(reason(app).await, expected, "{what}");
}

#[tokio::test]
async fn claims_about_somebody_or_something_else_are_not_believed() {
    let (app, idp) = world().await;
    let long = "x".repeat(256);
    for (name, value, expected) in [
        ("iss", json!("https://evil.example"), "id_token_issuer"),
        ("iss", Value::Null, "id_token_issuer"),
        ("aud", json!("another-client"), "id_token_audience"),
        ("aud", json!(["beyond", "another-client"]), "id_token_audience"),
        ("aud", json!([]), "id_token_audience"),
        ("azp", json!("another-client"), "id_token_authorized_party"),
        ("exp", json!(1_000_000_000), "id_token_expired"),
        ("exp", json!("tomorrow"), "id_token_expiry_missing"),
        ("iat", json!(99_999_999_999_i64), "id_token_from_the_future"),
        ("nbf", json!(99_999_999_999_i64), "id_token_from_the_future"),
        ("nonce", json!("another"), "id_token_nonce"),
        ("nonce", Value::Null, "id_token_nonce"),
        ("sub", Value::Null, "subject_malformed"),
        ("sub", json!(""), "subject_malformed"),
        ("sub", json!(42), "subject_malformed"),
        ("sub", json!(long), "subject_malformed"),
        ("sub", json!("a\u{0}b"), "subject_malformed"),
        ("sub", json!(["ada"]), "id_token_malformed"),
    ] {
        let what = format!("{name}: {value}");
        idp.twist(move |claims| {
            claims.insert(name.to_owned(), value.clone());
        });
        refused(&app, &idp, expected, &what).await;
    }
    for (name, expected) in [
        ("iss", "id_token_issuer"),
        ("aud", "id_token_audience"),
        ("exp", "id_token_expiry_missing"),
        ("iat", "id_token_issue_time_missing"),
        ("nonce", "id_token_nonce_missing"),
        ("sub", "subject_missing"),
    ] {
        idp.twist(move |claims| {
            claims.remove(name);
        });
        refused(&app, &idp, expected, name).await;
    }
    for table in ["users", "identities", "oauth_codes", "sessions"] {
        let rows = sql::number(&app, &format!("SELECT count(*) FROM auth.{table}")).await;
        assert_eq!(rows, 0, "{table}");
    }
}

fn header(change: impl Fn(&mut Map<String, Value>) + Send + 'static) -> Change {
    Box::new(change)
}

#[tokio::test]
async fn signatures_of_others_and_none_at_all_are_not_believed() {
    let (app, idp) = world().await;
    for sign_as in ["none", "HS256"] {
        idp.lock().script.sign_as = Some(sign_as);
        refused(&app, &idp, "id_token_algorithm", sign_as).await;
    }
    idp.lock().script.sign_as = None;
    for (name, value, expected) in [
        ("alg", json!("None"), "id_token_algorithm"),
        ("alg", json!("RS256"), "id_token_algorithm"),
        ("alg", json!("EdDSA"), "id_token_algorithm"),
        ("alg", json!("ES384"), "id_token_algorithm"),
        ("alg", json!(null), "id_token_malformed"),
        ("typ", json!("at+jwt"), "id_token_kind"),
        ("typ", json!("logout+jwt"), "id_token_kind"),
        ("crit", json!(["exp"]), "id_token_kind"),
        // What a token says about itself decides nothing; but it is signed, and so no longer right.
        ("kid", json!("../../first"), "id_token_key"),
        ("kid", json!(""), "id_token_key"),
    ] {
        let what = format!("{name}: {value}");
        idp.lock().script.header = Some(header(move |header| {
            header.insert(name.to_owned(), value.clone());
        }));
        refused(&app, &idp, expected, &what).await;
    }

    // An attacker's key under the right name, brought along in the header.
    let stranger = Key::new("first", "ES256");
    let jwk = stranger.jwk();
    let own = {
        let mut inner = idp.lock();
        inner.script.header = Some(header(move |header| {
            header.insert("jwk".to_owned(), jwk.clone());
            header.insert("jku".to_owned(), "https://evil.example/jwks".into());
        }));
        std::mem::replace(&mut inner.keys[0], stranger)
    };
    refused(&app, &idp, "id_token_signature", "another key").await;
    idp.lock().script.header = None;
    idp.lock().keys[0] = Key::new("second", "ES256");
    // Just looked at the keys: a name that is made up has them read no second time.
    let read = idp.asked("/jwks");
    refused(&app, &idp, "id_token_key", "unknown key").await;
    assert_eq!(idp.asked("/jwks"), read);
    idp.lock().keys[0] = own;

    for (token, expected) in [
        (json!("x"), "id_token_malformed"),
        (json!("a.b.c"), "id_token_malformed"),
        (json!("a.b.c.d.e"), "id_token_malformed"),
        (json!("e30.e30."), "id_token_malformed"),
        (json!("A".repeat(70_000)), "id_token_malformed"),
        (json!(7), "token_response_malformed"),
        (Value::Null, "id_token_missing"),
    ] {
        let what = token.to_string();
        idp.lock().script.tokens = Some(header(move |answer| {
            answer.insert("id_token".to_owned(), token.clone());
        }));
        refused(&app, &idp, expected, &what[..what.len().min(20)]).await;
    }
    idp.lock().script.tokens = Some(header(|answer| {
        answer.insert("token_type".to_owned(), "mac".into());
    }));
    refused(&app, &idp, "token_type", "mac").await;
    idp.lock().script.tokens = None;
    sign_in(&app, &idp, "acme").await.expect(201);
}

#[tokio::test]
async fn keys_that_are_for_something_else_verify_nothing() {
    let (app, idp) = world().await;
    let mut jwk = idp.lock().keys[0].jwk();
    for (name, value) in [("use", json!("enc")), ("alg", json!("ES384")), ("key_ops", json!(["sign"]))] {
        let mut changed = jwk.clone();
        changed[name] = value;
        let other = Key::new("other", "EdDSA").jwk();
        let set =
            json!({ "keys": [changed, other, { "kty": "oct", "k": "c2VjcmV0", "kid": "first" }, 7, null] });
        let body = crate::support::idp::Instead::body(set.to_string());
        idp.lock().script.instead.insert("/jwks", body);
        describe(&app, idp.description("acme")).await.expect(200);
        let home = depart(&app, "acme").await.round(&idp).await;
        assert_eq!(home.error(), "invalid_provider_response", "{name}");
    }
    jwk["x5c"] = json!(["ignored"]);
    let body = crate::support::idp::Instead::body(json!({ "keys": [jwk] }).to_string());
    idp.lock().script.instead.insert("/jwks", body);
    describe(&app, idp.description("acme")).await.expect(200);
    sign_in(&app, &idp, "acme").await.expect(201);
}

#[tokio::test]
async fn a_token_opens_the_door_once_and_for_whoever_knows_the_nonce() {
    let (app, idp) = world().await;
    let token = idp.id_token(Some("n-1"));
    for nonce in ["n-2", "N-1", "n-1 ", "null"] {
        assert_eq!(by_token(&app, &token, nonce).await.problem(401), "invalid_provider_response");
        assert_eq!(reason(&app).await, "id_token_nonce");
    }
    assert_eq!(by_token(&app, &token, "").await.problem(422), "validation_failed");
    let without = idp.id_token(None);
    assert_eq!(by_token(&app, &without, "n-1").await.problem(401), "invalid_provider_response");
    assert_eq!(reason(&app).await, "id_token_nonce_missing");
    let body = json!({ "method": "id_token", "provider": "nobody", "id_token": token, "nonce": "n-1" });
    let unknown = app.stranger().post("/v1/sessions", body).await;
    assert_eq!((unknown.problem(422), unknown.pointer()), ("validation_failed".into(), "/provider".into()));
    let body = json!({ "method": "id_token", "provider": "acme", "id_token": token });
    assert_eq!(app.stranger().post("/v1/sessions", body).await.problem(422), "validation_failed");

    let answers = join_all((0..50).map(async |_| by_token(&app, &token, "n-1").await)).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(answer.problem(401), "invalid_provider_response");
    }
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.users").await, 1);
    assert_eq!(by_token(&app, &token, "n-1").await.problem(401), "invalid_provider_response");
    assert_eq!(reason(&app).await, "id_token_used");
}

#[tokio::test]
async fn the_hash_of_a_nonce_does_not_stand_for_the_nonce() {
    let (app, idp) = world().await;
    // SHA-256 of "n-1": the application has it put into the token, and keeps what it was made of.
    let hash = beyond_auth::platform::crypto::jws::sha256_hex("n-1");
    assert_eq!(hash.len(), 64);
    let token = idp.id_token(Some(&hash));
    for nonce in [hash.clone(), hash.to_uppercase()] {
        assert_eq!(by_token(&app, &token, &nonce).await.problem(401), "invalid_provider_response");
        assert_eq!(reason(&app).await, "id_token_nonce");
    }
    by_token(&app, &token, "n-1").await.expect(201);
}

/// Of an ECDSA signature (r, s), (r, n - s) is as good: the same token in another spelling.
#[tokio::test]
async fn a_second_signature_of_a_used_token_opens_nothing() {
    // The order of P-256 (FIPS 186-5, SP 800-186 section 3.2.1.3).
    const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let (app, idp) = world().await;
    let token = idp.id_token(Some("n-1"));
    by_token(&app, &token, "n-1").await.expect(201);

    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let order: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(&ORDER[2 * at..2 * at + 2], 16).unwrap()).collect();
    let mut borrow = 0_i16;
    for at in (0..32).rev() {
        let difference = i16::from(order[at]) - i16::from(signature[32 + at]) - borrow;
        borrow = i16::from(difference < 0);
        signature[32 + at] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    let other = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    assert_ne!(token, other);
    assert_eq!(by_token(&app, &other, "n-1").await.problem(401), "invalid_provider_response");
    assert_eq!(reason(&app).await, "id_token_used");
}
