//! JWTs and the keys to verify them, over HTTP.

use std::fmt;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use http::StatusCode;
use http::header::{self, HeaderValue};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::exchange::{self, Error};
use super::flow;
use super::model::JWKS_MAX_AGE;
use crate::app::App;
use crate::platform::http::extract::OptionalJson;
use crate::platform::http::{FieldErrors, Json, Problem};
use crate::sessions::CurrentSession;
use crate::settings::model::is_audience;

/// Whom the JWT is for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateJwtRequest {
    /// Becomes `aud`: 1 to 255 printable characters. Without it, the setting `jwt.default_audience`; without that, the
    /// issuer.
    #[schema(min_length = 1, max_length = 255)]
    pub audience: Option<String>,
}

/// A JWT.
#[derive(Serialize, ToSchema)]
pub struct CreateJwtResponse {
    /// A signed JWT (`EdDSA`, `typ: at+jwt`). Verify it with the keys at `/v1/jwks.json`; require `iss` and `aud`.
    pub token: String,
    /// Not accepted from then on; never later than the session's end.
    pub expires_at: DateTime<Utc>,
    /// `Bearer`.
    pub token_type: &'static str,
}

/// The token is a secret.
impl fmt::Debug for CreateJwtResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateJwtResponse").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// Exchange the session for a short-lived JWT.
///
/// Only where the setting `jwt.enabled` is on (404 `jwt_disabled` otherwise). A JWT stays valid until it expires, even
/// when its session is revoked: verifiers that cannot accept that also read `GET /v1/revocations`.
#[utoipa::path(post, path = "/v1/sessions/current/jwts", tag = "tokens",
    security(("session" = []), ("cookie" = [])), request_body = Option<CreateJwtRequest>,
    responses((status = 201, body = CreateJwtResponse)))]
pub async fn exchange(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    OptionalJson(body): OptionalJson<CreateJwtRequest>,
) -> Result<(StatusCode, Json<CreateJwtResponse>), Problem> {
    let mut errors = FieldErrors::default();
    if body.audience.as_deref().is_some_and(|audience| !is_audience(audience)) {
        errors.push("/audience", "invalid_audience", "must be 1 to 255 printable characters");
    }
    errors.finish()?;
    let exchanged = exchange::exchange(&app, &live, body.audience.as_deref()).await?;
    let response = CreateJwtResponse {
        token: exchanged.token.expose_secret().to_owned(),
        expires_at: exchanged.expires_at,
        token_type: "Bearer",
    };
    Ok((StatusCode::CREATED, Json(response)))
}

/// The public keys (RFC 7517 section 5).
#[derive(Debug, Serialize, ToSchema)]
pub struct JwksResponse {
    /// Ed25519 keys (RFC 8037), newest first: the one that signs next, the one that signs, and those whose tokens have
    /// not expired.
    #[schema(value_type = Vec<Object>)]
    pub keys: Vec<Value>,
}

/// The keys that verify JWTs.
///
/// May be kept for an hour. A key is here two hours before it signs, and until the last token it signed has expired.
#[utoipa::path(get, path = "/v1/jwks.json", tag = "tokens", responses((status = 200, body = JwksResponse)))]
pub async fn jwks(State(app): State<App>) -> Result<Response, Problem> {
    let keys = flow::published(&app).await?;
    let mut response = Json(JwksResponse { keys }).into_response();
    let cache = format!("public, max-age={}", JWKS_MAX_AGE.as_secs());
    if let Ok(value) = HeaderValue::from_str(&cache) {
        response.headers_mut().insert(header::CACHE_CONTROL, value);
    }
    Ok(response)
}

/// The keys that verify JWTs, where some libraries look for them.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "tokens",
    responses((status = 200, body = JwksResponse)))]
pub async fn well_known_jwks(app: State<App>) -> Result<Response, Problem> {
    jwks(app).await
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Disabled => Self::new(
                StatusCode::NOT_FOUND,
                "jwt_disabled",
                "The project does not use JWTs. The operator can switch them on: setting `jwt.enabled`.",
            ),
            Error::SessionEnded => Self::unauthenticated(
                "invalid_token",
                "The session token is not valid: it may have expired or been revoked.",
            ),
            // An instance with the right keys can answer the retry.
            error @ Error::Sealed(_) => {
                tracing::error!(
                    %error,
                    "check --signing-key-encryption-key and --signing-key-encryption-key-old of this instance"
                );
                Self::unavailable(1)
            }
            error @ (Error::Malformed(_) | Error::NoKey) => {
                tracing::error!(%error, "no JWT can be signed");
                Self::internal()
            }
            Error::Database(error) => error.into(),
        }
    }
}
