//! Linking an account elsewhere, and what its provider has handed out.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode, header};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::oauth::flow::{self, BeginError, Purpose};
use crate::oauth::refusal::{Code, Refusal};
use crate::oauth::{cookie, tokens};
use crate::platform::http::{Client, Json, Path, Problem};
use crate::platform::ids::IdentityId;
use crate::sessions::{CurrentSession, FreshSession, extract};

/// Which account elsewhere to link.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkIdentityRequest {
    /// The provider's id, as in `GET /v1/client-config`.
    pub provider: String,
    /// Where to go afterwards, with `linked=<provider>` or `error=<code>` in its query: a page of the service itself or of
    /// an origin in `allowed_origins`.
    pub redirect_to: String,
}

/// Where to send the browser.
#[derive(Debug, Serialize, ToSchema)]
pub struct LinkIdentityResponse {
    /// At the provider. Works once, within ten minutes, in the browser that got this answer and its cookie.
    pub authorize_url: String,
}

/// Begin to link an account elsewhere.
///
/// Send the browser to `authorize_url`: this very browser, since the answer sets a cookie that it has to bring back. What
/// somebody else has linked is refused. The owner gets a mail. Needs a recent authentication.
#[utoipa::path(post, path = "/v1/users/me/identities", tag = "identities",
    security(("session" = []), ("cookie" = [])), request_body = LinkIdentityRequest,
    responses((status = 201, body = LinkIdentityResponse)))]
pub async fn link(
    State(app): State<App>,
    FreshSession(live): FreshSession,
    client: Client,
    headers: HeaderMap,
    Json(body): Json<LinkIdentityRequest>,
) -> Result<Response, Problem> {
    let purpose = Purpose::Link(live.holder());
    let begun =
        flow::begin(&app, &body.provider, &purpose, &body.redirect_to, &client).await.map_err(in_body)?;
    let cookies = cookie::set(&app, &headers, begun.mode, begun.id, &begun.browser);
    let answer = Json(LinkIdentityResponse { authorize_url: begun.url.into() });
    let mut response = (StatusCode::CREATED, answer).into_response();
    for value in cookies {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    Ok(response)
}

/// What is wrong is a member of the body here.
fn in_body(error: BeginError) -> Problem {
    let invalid = |pointer, code, detail: &str| Problem::invalid(vec![]).with_error(pointer, code, detail);
    match error {
        BeginError::UnknownProvider => {
            invalid("/provider", "unknown_provider", "is no provider that is enabled")
        }
        BeginError::Redirect => invalid(
            "/redirect_to",
            "redirect_not_allowed",
            "must be a URL of the service itself, or of an origin in `allowed_origins`",
        ),
        error => error.into(),
    }
}

/// An access token of the provider.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProviderTokenResponse {
    /// For the provider's API.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// When it ends; `null` where the provider did not say.
    pub expires_at: Option<DateTime<Utc>>,
    /// What it may do, in the provider's words, where it said.
    pub scope: Option<String>,
}

/// Get an access token of the provider.
///
/// Good for a minute at least: renewed where need be. Only where the operator keeps them (`keep_tokens`).
#[utoipa::path(post, path = "/v1/users/me/identities/{id}/access-tokens", tag = "identities",
    params(("id" = IdentityId, Path)), security(("session" = []), ("cookie" = [])),
    responses((status = 201, body = ProviderTokenResponse)))]
pub async fn access_token(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Path(id): Path<IdentityId>,
) -> Result<(StatusCode, Json<ProviderTokenResponse>), Problem> {
    extract::in_person(&live)?;
    let granted = tokens::access(&app, live.user.id, id).await?;
    let answer = ProviderTokenResponse {
        access_token: granted.token.expose_secret().to_owned(),
        token_type: "Bearer",
        expires_at: granted.expires_at,
        scope: granted.scope,
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

impl From<tokens::Error> for Problem {
    fn from(error: tokens::Error) -> Self {
        match error {
            tokens::Error::NotFound => Self::not_found(),
            tokens::Error::NotKept => Self::new(
                StatusCode::CONFLICT,
                "tokens_not_kept",
                "No tokens of this provider are kept, or none were when the person was last there.",
            ),
            tokens::Error::Ended => Self::new(
                StatusCode::CONFLICT,
                "grant_ended",
                "The provider hands out no more tokens. The person has to sign in with it again.",
            ),
            tokens::Error::Unavailable(refusal) => {
                let (reason, detail) = (refusal.reason, &refusal.detail);
                tracing::warn!(reason, ?detail, "a provider's token could not be renewed");
                Refusal::new(Code::ProviderUnavailable, reason).into()
            }
            tokens::Error::Database(error) => error.into(),
        }
    }
}
