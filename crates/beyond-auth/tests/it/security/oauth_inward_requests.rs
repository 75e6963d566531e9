//! Describing a provider that leads the service to what only it can reach (SSRF).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::net::TcpListener;

use crate::support::idp::{Idp, Instead};
use crate::support::trip::{self, depart, describe, reason, world};
use crate::support::{TestApp, sql};

/// Counts who comes.
async fn inside() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, calls)
}

#[tokio::test]
async fn no_issuer_leads_inwards() {
    let app = TestApp::start().await;
    let (port, calls) = inside().await;
    let description = |issuer: &str| json!({ "id": "acme", "kind": "oidc", "client_id": "x", "client_secret": "y", "issuer": issuer });
    for issuer in [
        format!("http://127.0.0.1:{port}"),
        format!("https://127.0.0.1:{port}"),
        format!("https://localhost:{port}"),
        format!("https://[::1]:{port}"),
        format!("https://[::ffff:127.0.0.1]:{port}"),
        format!("https://[::ffff:7f00:1]:{port}"),
        format!("https://2130706433:{port}"),
        format!("https://0x7f.1:{port}"),
        format!("https://127.1:{port}"),
        format!("https://user@127.0.0.1:{port}"),
        "https://localhost".to_owned(),
        "https://localhost.".to_owned(),
        "https://169.254.169.254".to_owned(),
        "https://10.0.0.1".to_owned(),
        "https://192.168.1.1".to_owned(),
        "https://100.64.0.1".to_owned(),
        "https://[fe80::1]".to_owned(),
        "https://[fd00::1]".to_owned(),
        "https://[64:ff9b::7f00:1]".to_owned(),
        "https://0".to_owned(),
        "http://example.com".to_owned(),
        "file:///etc/passwd".to_owned(),
        "gopher://127.0.0.1".to_owned(),
    ] {
        let answer = describe(&app, description(&issuer)).await;
        assert_eq!(answer.problem(422), "validation_failed", "{issuer}");
        assert_eq!(answer.pointer(), "/issuer", "{issuer}");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.oauth_providers").await, 0);
}

const INWARDS: [&str; 5] = [
    "https://169.254.169.254/latest/meta-data",
    "http://169.254.169.254/latest/meta-data",
    "https://10.0.0.1/token",
    "https://[::ffff:10.0.0.1]/token",
    "file:///etc/passwd",
];

#[tokio::test]
async fn no_discovery_document_leads_inwards() {
    let (app, idp) = (trip::app().await, Idp::start().await);
    for name in
        ["authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "revocation_endpoint"]
    {
        for inwards in INWARDS {
            idp.lock().script.discovery = Some(Box::new(move |document| {
                document.insert(name.to_owned(), inwards.into());
            }));
            let answer = describe(&app, idp.description("acme")).await;
            assert_eq!(answer.problem(422), "validation_failed", "{name} {inwards}");
            assert_eq!(answer.pointer(), format!("/{name}"), "{inwards}");
        }
    }
    idp.lock().script.discovery = None;
    // Nor does what the operator writes.
    let mut description = idp.description("acme");
    description["userinfo_endpoint"] = INWARDS[0].into();
    assert_eq!(describe(&app, description).await.pointer(), "/userinfo_endpoint");
    // Nor a redirect.
    let (port, calls) = inside().await;
    for (path, pointer) in [("/discovery", "/issuer"), ("/jwks", "/jwks_uri")] {
        for status in [301, 302, 303, 307, 308] {
            let location = format!("http://127.0.0.1:{port}/");
            let moved = Instead { headers: vec![("location", location)], ..Instead::status(status) };
            idp.lock().script.instead.insert(path, moved);
            assert_eq!(describe(&app, idp.description("acme")).await.pointer(), pointer);
        }
        idp.lock().script.instead.clear();
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.oauth_providers").await, 0);
}

#[tokio::test]
async fn a_document_that_changes_later_leads_inwards_no_more() {
    let (app, idp) = world().await;
    idp.lock().script.discovery = Some(Box::new(|document| {
        document.insert("token_endpoint".to_owned(), INWARDS[0].into());
    }));
    let trip = depart(&app, "acme").await;
    sql::run(
        &app,
        "UPDATE auth.oauth_documents SET fetched_at = fetched_at - interval '25 hours',
                asked_at = asked_at - interval '25 hours'",
    )
    .await;
    let home = trip.round(&idp).await;
    assert_eq!(home.error(), "invalid_provider_response");
    assert_eq!(reason(&app).await, "provider_endpoints");
}

#[tokio::test]
async fn a_document_of_another_issuer_is_not_taken() {
    let (app, idp) = (trip::app().await, Idp::start().await);
    for issuer in [
        json!("https://accounts.google.com"),
        json!(format!("{}/", idp.url)),
        json!(""),
        json!(null),
        json!(7),
    ] {
        let text = issuer.to_string();
        idp.lock().script.discovery = Some(Box::new(move |document| {
            document.insert("issuer".to_owned(), issuer.clone());
        }));
        assert_eq!(describe(&app, idp.description("acme")).await.pointer(), "/issuer", "{text}");
    }
    for body in ["", "[]", "{}", "<html>", "\u{0}"] {
        idp.lock().script.instead.insert("/discovery", Instead::body(body));
        assert_eq!(describe(&app, idp.description("acme")).await.pointer(), "/issuer", "{body}");
    }
}
