//! Cross-origin calls from the pages of the project's own applications, and from nowhere else.
//!
//! Off until an operator lists exact origins in the setting `allowed_origins`; never on admin routes.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::app::App;
use crate::platform::http::credentials;
use crate::settings;

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
const REQUEST_HEADERS: HeaderValue =
    HeaderValue::from_static("authorization, content-type, idempotency-key, if-match, x-request-id");
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static("etag, retry-after, x-request-id");
/// Browsers may remember a preflight this many seconds: a removed origin is refused soon.
const PREFLIGHT_LIFE: HeaderValue = HeaderValue::from_static("60");

/// Middleware: answers preflights and marks answers for allowed origins.
pub async fn cors(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(origin) = foreign_origin(&request, &app) else { return next.run(request).await };
    // Without the list nobody is on it; the request itself will meet the same database. In a box of its own, because
    // otherwise every request carries room for this query from layer to layer.
    if !Box::pin(settings::flow::is_allowed_origin(&app, &origin)).await.unwrap_or(false) {
        return next.run(request).await;
    }
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response =
        if preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    // The pages of an allowed origin may read what they asked for.
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("cross-origin"),
    );
    if preflight {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_LIFE);
    } else {
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
    }
    response
}

/// The page's origin, where it is not our own and the route may be called from elsewhere at all.
fn foreign_origin(request: &Request, app: &App) -> Option<HeaderValue> {
    let origin = request.headers().get(header::ORIGIN)?;
    let path = request.uri().path();
    let callable = path.starts_with("/v1/") && !path.starts_with("/v1/admin");
    let own = credentials::is_same_origin(request.headers(), &app.config.public_url);
    (callable && !own).then(|| origin.clone())
}
