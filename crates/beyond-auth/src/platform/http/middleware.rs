//! What wraps every request: its id, its log line, its time limit, the security headers, panics.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use ipnet::IpNet;
use tokio::sync::Notify;
use tracing::Instrument as _;

use super::client::Client;
use super::problem::Problem;
use crate::platform::ids::RequestId;

/// What the middleware needs to know.
#[derive(Clone, Debug)]
pub struct Edge {
    /// Proxies whose forwarded headers count.
    pub trusted_proxies: Arc<[IpNet]>,
    /// Notified with every request. Not in a layer of its own: every request pays for every layer.
    pub activity: Arc<Notify>,
}

/// A request that has not been answered by then is given up: 503.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Request line and headers together, in bytes; more is 431. The server's own buffer ends somewhat later.
const HEAD_LIMIT: usize = 32 * 1024;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const HSTS: &str = "max-age=63072000; includeSubDomains";
const NO_CONTENT_POLICY: &str =
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The outermost layer.
pub async fn edge(State(edge): State<Edge>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    edge.activity.notify_one();
    let request_id = request_id(request.headers());
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)), |ConnectInfo(peer)| *peer);
    let client = Client::new(request.headers(), peer, &edge.trusted_proxies, request_id.clone());
    let address = client.address;
    request.extensions_mut().insert(client);
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());

    // Never the raw path or query: they may carry what somebody pasted there.
    let span = tracing::info_span!("request", %request_id, %method, route);
    let mut response = answer(request, next).instrument(span.clone()).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = problem.render(&request_id);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    // The body of an answer to HEAD is left to axum, which notes its length before it takes it away.
    add_headers(response.headers_mut(), &request_id);
    span.in_scope(|| {
        let status = response.status().as_u16();
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(status, millis, %address, "answered");
    });
    response
}

async fn answer(request: Request, next: Next) -> Response {
    if head_size(&request) > HEAD_LIMIT {
        return Problem::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "headers_too_large",
            format!("The request line and headers are larger than {HEAD_LIMIT} bytes."),
        )
        .into_response();
    }
    let guarded = std::panic::AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(REQUEST_TIMEOUT, guarded).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            tracing::error!("a handler panicked");
            Problem::internal().into_response()
        }
        Err(_) => {
            tracing::warn!("a request took too long");
            Problem::unavailable(1).into_response()
        }
    }
}

/// Bytes of the request line and the headers, as they came over the wire.
fn head_size(request: &Request) -> usize {
    let uri = request.uri();
    let line = uri.path().len() + uri.query().map_or(0, str::len);
    // A colon, a blank and the line's end each.
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    line + headers.sum::<usize>()
}

/// The caller's own id where it is harmless in a log, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| {
            (8..=64).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        })
        .map_or_else(|| RequestId::new().to_string(), str::to_owned)
}

fn add_headers(headers: &mut HeaderMap, request_id: &str) {
    // Once, instead of growing twice on the way.
    headers.reserve(10);
    let mut default = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    default(header::CACHE_CONTROL, "no-store");
    default(header::STRICT_TRANSPORT_SECURITY, HSTS);
    default(header::CONTENT_SECURITY_POLICY, NO_CONTENT_POLICY);
    default(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    default(header::REFERRER_POLICY, "no-referrer");
    default(header::X_FRAME_OPTIONS, "DENY");
    default(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, value);
    }
}
