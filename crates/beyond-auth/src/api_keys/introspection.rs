//! Introspection: a server asks about a key that it was shown.

use axum::extract::State;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::flow;
use super::model::{Key, Owner, Refusal};
use crate::app::App;
use crate::caller::{IntrospectApiKeys, Server};
use crate::platform::http::{Json, Problem};
use crate::platform::ids::{ApiKeyId, OrganizationId, UserId};
use crate::platform::limits::Decision;

/// The key in question. Whose it is stands in the key alone.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyIntrospectionRequest {
    /// The text of an API key.
    #[schema(value_type = String)]
    pub key: SecretString,
}

/// What is known about the key. Where `active` is false, nothing is said of whose it is.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct ApiKeyIntrospectionResponse {
    /// Whether the key opens anything now.
    pub active: bool,
    /// Present and true where the key is good, but has been used as often as its rate limit allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limited: Option<bool>,
    /// Seconds until a use is allowed again, with `rate_limited`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<ApiKeyId>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// The owner, where it is a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The owner, where it is an organization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<OrganizationId>,
    /// In the owner's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// The owner's free-form object.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Value>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<DateTime<Utc>>,
    /// When it ends; absent where it never does by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

impl From<Key> for ApiKeyIntrospectionResponse {
    fn from(key: Key) -> Self {
        let (user_id, organization_id) = key.owner.parts();
        Self {
            active: true,
            id: Some(key.id),
            owner: Some(key.owner),
            user_id,
            organization_id,
            name: Some(key.name),
            scopes: Some(key.scopes.into_names()),
            metadata: Some(key.metadata),
            created_at: Some(key.created_at),
            expires_at: key.expires_at,
            ..Self::default()
        }
    }
}

impl From<Decision> for ApiKeyIntrospectionResponse {
    fn from(decision: Decision) -> Self {
        let retry_after = match decision {
            Decision::Limited { retry_after } => Some(retry_after.as_secs()),
            Decision::Allowed { .. } => None,
        };
        Self { rate_limited: Some(true), retry_after, ..Self::default() }
    }
}

/// Ask about an API key, from server to server.
///
/// Counts as a use of the key. Malformed, unknown, expired and revoked keys, and those of banned users, all answer
/// `{"active": false}`; one that is used too often answers `rate_limited` and `retry_after` with it.
#[utoipa::path(post, path = "/v1/api-keys/introspections", tag = "api-keys",
    security(("admin" = []), ("api_key" = [])), request_body = ApiKeyIntrospectionRequest,
    responses((status = 200, body = ApiKeyIntrospectionResponse)))]
pub async fn introspect(
    _: Server<IntrospectApiKeys>,
    State(app): State<App>,
    Json(body): Json<ApiKeyIntrospectionRequest>,
) -> Result<Json<ApiKeyIntrospectionResponse>, Problem> {
    match flow::verify(&app, &body.key).await {
        Ok(key) => Ok(Json(key.into())),
        Err(Refusal::Invalid) => Ok(Json(ApiKeyIntrospectionResponse::default())),
        Err(Refusal::Limited(decision)) => Ok(Json(decision.into())),
        Err(refusal) => Err(refusal.into()),
    }
}
