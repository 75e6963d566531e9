//! Errors as the caller sees them: RFC 9457 `application/problem+json`.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, request};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::fields::FieldError;
use crate::platform::db::{coalesce, is_unavailable};

/// An error on its way to the caller.
///
/// `code` is a frozen, stable `snake_case` word; `detail` is public text: an internal cause is logged where
/// it happens and never stored here. The request id is added by the middleware that writes the body.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    members: Map<String, Value>,
    headers: HeaderMap,
}

/// The body of every error response (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// `urn:beyond-auth:error:` followed by the code.
    r#type: String,
    /// The status in words.
    title: &'a str,
    /// The HTTP status code.
    status: u16,
    /// What happened and what to do, for people.
    detail: &'a str,
    /// Stable word for programs; never renamed.
    code: &'static str,
    /// Also in `X-Request-Id` and in the service's log.
    request_id: &'a str,
    /// What is wrong with which part of the request.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    /// Further members of this kind of problem.
    #[serde(flatten)]
    #[schema(ignore)]
    members: &'a Map<String, Value>,
}

impl Problem {
    /// A problem with a stable code and a public explanation.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
            members: Map::new(),
            headers: HeaderMap::new(),
        }
    }

    /// 404 for what is not there, or must look as if it were not.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing at this address.")
    }

    /// 401 with the challenge that RFC 9110 §11.6.1 asks for.
    pub fn unauthenticated(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let challenge = match code {
            "missing_credentials" => HeaderValue::from_static("Bearer"),
            _ => HeaderValue::from_static("Bearer error=\"invalid_token\""),
        };
        Self::new(StatusCode::UNAUTHORIZED, code, detail).with_header(header::WWW_AUTHENTICATE, challenge)
    }

    /// 422 with one or more fields to mend.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation_failed",
            "The request is well-formed, but some of its values cannot be accepted. See `errors`.",
        );
        problem.errors = errors;
        problem
    }

    /// 429: come back after that many seconds.
    pub fn too_many(retry_after_seconds: u64) -> Self {
        let seconds = retry_after_seconds.max(1);
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_requests",
            format!("Too many attempts. Try again in {seconds} seconds."),
        )
        .with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
        // draft-ietf-httpapi-ratelimit-headers: what is left and when it is renewed.
        .with_text_header("ratelimit", &format!("\"default\";r=0;t={seconds}"))
    }

    /// 503: the outcome is unknown, nothing is implied about the caller.
    pub fn unavailable(retry_after_seconds: u64) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "The service cannot answer right now. Nothing is implied about the credentials; try again shortly.",
        )
        .with_header(header::RETRY_AFTER, HeaderValue::from(retry_after_seconds))
    }

    /// 500: a mistake of ours. The cause is in the log under the request id.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "Something went wrong on our side. The request id leads to the log entry.",
        )
    }

    /// Adds what is wrong with one part of the request.
    #[must_use]
    pub fn with_error(
        mut self,
        pointer: impl Into<String>,
        code: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        self.errors.push(FieldError { pointer: pointer.into(), code, detail: detail.into() });
        self
    }

    /// Adds a response header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    fn with_text_header(self, name: &'static str, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => self.with_header(HeaderName::from_static(name), value),
            Err(_) => self,
        }
    }

    /// Adds a further member to the body (RFC 9457 §3.2).
    #[must_use]
    pub fn with_member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What is wrong with which part of the request.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// The complete response, as the outermost middleware writes it.
    pub(super) fn render(&self, request_id: &str) -> Response {
        let body = ProblemBody {
            r#type: format!("urn:beyond-auth:error:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            request_id,
            errors: &self.errors,
            members: &self.members,
        };
        let bytes = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = Response::new(Body::from(bytes));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        if is_unavailable(&error) {
            tracing::warn!(%error, "database unavailable");
            Self::unavailable(1)
        } else {
            tracing::error!(%error, "database error");
            Self::internal()
        }
    }
}

impl From<coalesce::Error> for Problem {
    /// The lane has logged the cause, once for all who waited.
    fn from(error: coalesce::Error) -> Self {
        if error.is_unavailable() { Self::unavailable(1) } else { Self::internal() }
    }
}

/// The answer for a path that does not exist.
pub async fn fallback(_: request::Parts) -> Problem {
    Problem::not_found()
}

/// The answer for a method that a path does not have.
pub async fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This address does not take that method. See the `Allow` header.",
    )
}
