//! `POST /v1/refresh-tokens/rotations`: the way in for whoever has been in before.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{CreateSessionResponse, respond};
use crate::app::App;
use crate::platform::http::extract::OptionalJson;
use crate::platform::http::{Client, Problem, credentials, throttle};
use crate::sign_in::renewal;

/// The refresh token, unless it came as `Authorization: Bearer rt_…`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateRefreshTokenRequest {
    /// The refresh token.
    #[schema(value_type = Option<String>)]
    pub refresh_token: Option<SecretString>,
    /// Put the session's token into the browser's cookie instead of the body.
    #[serde(default)]
    pub cookie: bool,
}

/// Renew a session.
///
/// The refresh token comes in the body or as `Authorization: Bearer rt_…`; two different ones are refused. It is
/// spent; the answer holds its successor and a new session. The session that it replaces ends with the grace
/// (`refresh_tokens.grace_seconds`, 10 seconds by default); a retry within it gets the same successor and the same
/// session. A spent token that comes back later has been stolen, by whoever sent it first or second: it ends the
/// whole family, sessions included. Every failure is 401 `invalid_refresh_token`.
#[utoipa::path(post, path = "/v1/refresh-tokens/rotations", tag = "tokens",
    request_body = Option<RotateRefreshTokenRequest>,
    responses((status = 201, body = CreateSessionResponse)))]
pub async fn rotate(
    State(app): State<App>,
    client: Client,
    headers: HeaderMap,
    OptionalJson(body): OptionalJson<RotateRefreshTokenRequest>,
) -> Result<Response, Problem> {
    let presented = match (credentials::bearer(&headers)?, body.refresh_token) {
        (Some(header), Some(body)) if header.expose_secret() != body.expose_secret() => {
            return Err(credentials::ambiguous());
        }
        (Some(token), _) | (None, Some(token)) => token,
        (None, None) => {
            return Err(Problem::unauthenticated(
                "missing_credentials",
                "This call needs a refresh token: `refresh_token` in the body, or `Authorization: Bearer rt_…`.",
            ));
        }
    };
    throttle::enforce(&app.db, &[(&throttle::ROTATION, &throttle::address_key(client.address))]).await?;
    let renewed = renewal::renew(&app, &presented, &client).await?;
    Ok(respond(&app, renewed, body.cookie))
}
