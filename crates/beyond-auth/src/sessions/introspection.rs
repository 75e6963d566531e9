//! Introspection: a server asks about a token that it was shown (RFC 7662).

use axum::extract::State;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::flow::{self, Error};
use super::model::Live;
use crate::app::App;
use crate::caller::{IntrospectSessions, Server};
use crate::platform::http::{Json, Problem};
use crate::platform::ids::{OrganizationId, SessionId, UserId};

/// The token in question.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IntrospectionRequest {
    /// A session token.
    #[schema(value_type = String)]
    pub token: SecretString,
}

/// What is known about the token. Where `active` is false, nothing else is said (RFC 7662 section 2.2).
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct IntrospectionResponse {
    /// Whether the token opens a session now.
    pub active: bool,
    /// What was introspected: `session`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_type: Option<&'static str>,
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<UserId>,
    /// The session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<SessionId>,
    /// The user's primary address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Signed in at, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<i64>,
    /// Ends unless used before, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    /// A credential was last presented at, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// Assurance level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aal: Option<i16>,
    /// Methods used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amr: Option<Vec<String>>,
    /// The organization that the person acts for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<OrganizationId>,
    /// Who acts as the user (RFC 8693 section 4.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<ActorClaim>,
}

/// Who acts as somebody else.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActorClaim {
    /// In the operator's words.
    pub sub: String,
}

impl From<Live> for IntrospectionResponse {
    fn from(live: Live) -> Self {
        let session = live.session;
        Self {
            active: true,
            token_type: Some("session"),
            sub: Some(session.user_id),
            sid: Some(session.id),
            username: live.user.email,
            iat: Some(session.created_at.timestamp()),
            exp: Some(session.idle_expires_at.min(session.expires_at).timestamp()),
            auth_time: Some(session.verified_at.timestamp()),
            aal: Some(session.aal),
            amr: Some(session.amr),
            organization_id: session.organization_id,
            act: session.impersonator.map(|sub| ActorClaim { sub }),
        }
    }
}

/// Ask about a session token, from server to server.
///
/// Malformed, unknown, expired and revoked tokens all answer `{"active": false}`.
#[utoipa::path(post, path = "/v1/sessions/introspections", tag = "sessions", security(("admin" = []), ("api_key" = [])),
    request_body = IntrospectionRequest, responses((status = 200, body = IntrospectionResponse)))]
pub async fn introspect(
    _: Server<IntrospectSessions>,
    State(app): State<App>,
    Json(body): Json<IntrospectionRequest>,
) -> Result<Json<IntrospectionResponse>, Problem> {
    match flow::verify(&app, &body.token).await {
        Ok(live) => Ok(Json(live.into())),
        Err(Error::Invalid) => Ok(Json(IntrospectionResponse::default())),
        Err(error) => Err(error.into()),
    }
}
