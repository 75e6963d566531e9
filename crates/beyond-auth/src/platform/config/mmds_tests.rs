//! Against a metadata service on loopback that behaves as Firecracker's does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;

use super::*;

const QUICK: Patience =
    Patience { attempts: 3, pause: Duration::from_millis(5), request: Duration::from_secs(2) };

const SECRETS: &str = r#"{
    "DATABASE_URL": "postgres://from-mmds/app",
    "ADMIN_SECRET": "from-mmds",
    "SIGNING_KEY_ENCRYPTION_KEY": null,
    "SIGNING_KEY_ENCRYPTION_KEY_OLD": " ",
    "OTHER": {"nested": 1}
}"#;

async fn listen(service: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

/// A service that hands every request to `answer`.
async fn emulate<F>(answer: F) -> Endpoint
where
    F: Fn(&Method, &str, &HeaderMap) -> Response + Clone + Send + Sync + 'static,
{
    let service = Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap| {
        let answer = answer.clone();
        async move { answer(&method, uri.path(), &headers) }
    });
    let address = listen(service).await;
    Endpoint::parse(&format!("http://{address}/beyond-auth")).unwrap()
}

/// Version 2: a token for a PUT that says its time to live; nothing without the token.
fn version_2(method: &Method, path: &str, headers: &HeaderMap) -> Response {
    match (method, path) {
        (&Method::PUT, TOKEN_PATH) => {
            let ttl = headers.get(TOKEN_TTL_HEADER).and_then(|ttl| ttl.to_str().ok()?.parse::<u32>().ok());
            match ttl {
                Some(1..=21_600) => "P7tXzT8Ly8EyZ4BAqVw==".into_response(),
                _ => StatusCode::BAD_REQUEST.into_response(),
            }
        }
        (&Method::GET, _)
            if headers.get(TOKEN_HEADER).is_none_or(|token| token != "P7tXzT8Ly8EyZ4BAqVw==") =>
        {
            StatusCode::UNAUTHORIZED.into_response()
        }
        (&Method::GET, path) => get(path, headers),
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

/// Version 1: GET only.
fn version_1(method: &Method, path: &str, headers: &HeaderMap) -> Response {
    if method == Method::GET { get(path, headers) } else { StatusCode::METHOD_NOT_ALLOWED.into_response() }
}

/// JSON for whoever accepts it, a listing of keys for others (the IMDS format).
fn get(path: &str, headers: &HeaderMap) -> Response {
    match (path, headers.get(ACCEPT).is_some_and(|accept| accept == "application/json")) {
        ("/beyond-auth", true) => SECRETS.into_response(),
        ("/beyond-auth", false) => "DATABASE_URL\nADMIN_SECRET".into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn assert_read(metadata: &Metadata) {
    let value = |key| metadata.get(key).map(|secret: &SecretString| secret.expose_secret().to_owned());
    assert_eq!(value("DATABASE_URL").as_deref(), Some("postgres://from-mmds/app"));
    assert_eq!(value("ADMIN_SECRET").as_deref(), Some("from-mmds"));
    assert_eq!(value("SIGNING_KEY_ENCRYPTION_KEY"), None);
    assert_eq!(value("SIGNING_KEY_ENCRYPTION_KEY_OLD"), None);
    assert_eq!(value("OTHER"), None);
}

#[tokio::test]
async fn version_2_is_read_with_a_token() {
    assert_read(&fetch(&emulate(version_2).await, &QUICK).await.unwrap());
}

#[tokio::test]
async fn version_1_is_read_without_one() {
    assert_read(&fetch(&emulate(version_1).await, &QUICK).await.unwrap());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = emulate(version_1).await.to_string();
    let target = elsewhere.clone();
    let of_get = emulate(move |method, path, headers| match *method {
        Method::GET => Redirect::temporary(&target).into_response(),
        _ => version_2(method, path, headers),
    })
    .await;
    assert_eq!(fetch(&of_get, &QUICK).await.unwrap_err().cause, Cause::Redirect);
    let of_token = emulate(move |_, _, _| Redirect::permanent(&elsewhere).into_response()).await;
    assert_eq!(fetch(&of_token, &QUICK).await.unwrap_err().cause, Cause::Redirect);
}

#[tokio::test]
async fn a_service_that_comes_up_late_is_waited_for() {
    let calls = Arc::new(AtomicU32::new(0));
    let late = emulate({
        let calls = calls.clone();
        move |method, path, headers| {
            if calls.fetch_add(1, Ordering::Relaxed) < 2 {
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
            version_2(method, path, headers)
        }
    })
    .await;
    assert_read(&fetch(&late, &QUICK).await.unwrap());
    assert_eq!(calls.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_service_that_is_down_or_has_nothing_stops_the_start() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let down = Endpoint::parse(&format!("http://{free}")).unwrap();
    let error = fetch(&down, &QUICK).await.unwrap_err();
    assert_eq!(error.cause, Cause::Unreachable);
    assert!(error.to_string().contains("MMDS_ENDPOINT"), "{error}");

    let served = emulate(version_2).await;
    let empty = Endpoint::parse(&served.to_string().replace("/beyond-auth", "/nothing")).unwrap();
    assert_eq!(fetch(&empty, &QUICK).await.unwrap_err().cause, Cause::NotFound);
}

#[tokio::test]
async fn a_silent_service_is_given_up_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = Endpoint::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let hasty = Patience { attempts: 2, pause: Duration::ZERO, request: Duration::from_millis(50) };
    assert_eq!(fetch(&silent, &hasty).await.unwrap_err().cause, Cause::Unreachable);
}

#[tokio::test]
async fn answers_of_another_shape_are_refused_at_once() {
    for (answer, cause) in [
        (String::new(), Cause::NotAnObject),
        ("[1]".to_owned(), Cause::NotAnObject),
        ("hunter2".to_owned(), Cause::NotAnObject),
        (r#"{"ADMIN_SECRET": 7}"#.to_owned(), Cause::NotAString("ADMIN_SECRET")),
        ("[".repeat(100_000), Cause::NotAnObject),
        (" ".repeat(MAX_ANSWER_BYTES + 1), Cause::TooLarge),
    ] {
        let endpoint = emulate(move |method, _, _| match *method {
            Method::GET => answer.clone().into_response(),
            _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        })
        .await;
        let error = fetch(&endpoint, &QUICK).await.unwrap_err();
        assert_eq!(error.cause, cause);
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}

#[test]
fn an_endpoint_is_plain_http_without_extras() {
    assert!(Endpoint::parse("http://169.254.169.254").is_ok());
    assert!(Endpoint::parse("http://169.254.169.254/latest/secrets").is_ok());
    for wrong in [
        "169.254.169.254",
        "https://169.254.169.254",
        "http://u:p@h",
        "http://h/?a",
        "http://h/#a",
        "file:///x",
    ] {
        assert!(Endpoint::parse(wrong).is_err(), "{wrong}");
    }
}

impl Metadata {
    /// Metadata as if read from a service.
    pub(in super::super) fn of(values: &[(&'static str, &str)]) -> Self {
        Self(values.iter().map(|(key, value)| (*key, SecretString::from(*value))).collect())
    }
}
