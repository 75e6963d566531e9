//! API keys over HTTP, for the people and organizations whose they are.

use std::fmt;
use std::time::Duration;

use axum::extract::State;
use chrono::{DateTime, Utc};
use http::StatusCode;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::flow;
use super::manager::By;
use super::model::{
    ApiKey, Change, DEFAULT_OVERLAP, Error, Issued, LONGEST_OVERLAP, MOST_KEYS, Owner, RateLimit, Refusal,
    Wish, check_name, check_rest,
};
use super::scopes::Scopes;
use crate::app::App;
use crate::platform::http::extract::OptionalJson;
use crate::platform::http::pagination;
use crate::platform::http::{Client, FieldErrors, Json, Page, Path, Problem, Query};
use crate::platform::ids::{ApiKeyId, OrganizationId};
use crate::sessions::{self, CurrentSession, FreshSession, Live};
use crate::users::routes::sent;

/// An API key.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApiKeyResponse {
    /// The key, without its secret.
    pub api_key: ApiKey,
}

/// A key with its text.
#[derive(Serialize, ToSchema)]
pub struct IssuedApiKey {
    /// The key.
    #[serde(flatten)]
    pub api_key: ApiKey,
    /// Its text, `key_{id}_{secret}`: shown once.
    pub key: String,
}

/// The text is a secret.
impl fmt::Debug for IssuedApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedApiKey").field("id", &self.api_key.id).finish_non_exhaustive()
    }
}

/// A new API key, or one with a new secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct IssuedApiKeyResponse {
    /// The key with its text.
    pub api_key: IssuedApiKey,
}

impl From<Issued> for IssuedApiKeyResponse {
    fn from(issued: Issued) -> Self {
        let key = issued.text.expose_secret().to_owned();
        Self { api_key: IssuedApiKey { api_key: issued.key, key } }
    }
}

/// Whose keys to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListApiKeysQuery {
    /// An organization's, in place of one's own.
    pub organization_id: Option<OrganizationId>,
    /// Items a page: 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

fn owner(live: &Live, organization: Option<OrganizationId>) -> Owner {
    organization.map_or(Owner::User(live.user.id), Owner::Organization)
}

/// List one's own API keys, or those of an organization, newest first.
///
/// An organization's take `api_keys:read`.
#[utoipa::path(get, path = "/v1/api-keys", tag = "api-keys", params(ListApiKeysQuery),
    security(("session" = []), ("cookie" = [])), responses((status = 200, body = Page<ApiKey>)))]
pub async fn list(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Query(query): Query<ListApiKeysQuery>,
) -> Result<Json<Page<ApiKey>>, Problem> {
    let window = pagination::window(query.limit, query.cursor.as_deref())?;
    let owner = owner(&live, query.organization_id);
    let keys = flow::list(&app, By::Person(&live), owner, window).await?;
    Ok(Json(window.page(keys, |key| key.id.as_uuid(), |key| key)))
}

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApiKeyRequest {
    /// For people.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// Whose it is to be, in place of one's own.
    pub organization_id: Option<OrganizationId>,
    /// What it may do: `app:…` for what means something to your application.
    #[serde(default)]
    #[schema(max_items = 50)]
    pub scopes: Vec<String>,
    /// Free-form object of at most 4 KiB, part of every introspection.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Map<String, Value>>,
    /// Opens nothing from then on; never ends by itself where absent.
    pub expires_at: Option<DateTime<Utc>>,
    /// How often it may be used.
    pub rate_limit: Option<RateLimit>,
}

/// Make an API key. Needs a recent authentication: it outlives sessions and passwords.
///
/// The answer carries its text, which cannot be had again. An organization's take `api_keys:manage`, and every
/// scope of the application's must be one that the own role holds.
#[utoipa::path(post, path = "/v1/api-keys", tag = "api-keys", security(("session" = []), ("cookie" = [])),
    request_body = CreateApiKeyRequest, responses((status = 201, body = IssuedApiKeyResponse)))]
pub async fn create(
    State(app): State<App>,
    FreshSession(live): FreshSession,
    client: Client,
    Json(body): Json<CreateApiKeyRequest>,
) -> Result<(StatusCode, Json<IssuedApiKeyResponse>), Problem> {
    let owner = owner(&live, body.organization_id);
    let wish = Wish::check(&body.name, body.scopes, body.metadata, body.expires_at, body.rate_limit)?;
    let issued = flow::create(&app, By::Person(&live), owner, &wish, &client).await?;
    Ok((StatusCode::CREATED, Json(issued.into())))
}

/// Read an API key.
#[utoipa::path(get, path = "/v1/api-keys/{id}", tag = "api-keys", params(("id" = ApiKeyId, Path)),
    security(("session" = []), ("cookie" = [])), responses((status = 200, body = ApiKeyResponse)))]
pub async fn get(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Path(id): Path<ApiKeyId>,
) -> Result<Json<ApiKeyResponse>, Problem> {
    let api_key = flow::get(&app, By::Person(&live), id).await?;
    Ok(Json(ApiKeyResponse { api_key }))
}

/// What to change; a field that is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateApiKeyRequest {
    /// For people.
    #[schema(min_length = 1, max_length = 100)]
    pub name: Option<String>,
    /// All that it may do from now on.
    #[schema(max_items = 50)]
    pub scopes: Option<Vec<String>>,
    /// Replaces the whole object; at most 4 KiB.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Map<String, Value>>,
    /// Opens nothing from then on; `null`: never ends by itself.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub expires_at: Option<Option<DateTime<Utc>>>,
    /// How often it may be used; `null`: as often as it is.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<RateLimit>)]
    pub rate_limit: Option<Option<RateLimit>>,
}

impl UpdateApiKeyRequest {
    /// Checks the values; all errors at once.
    pub fn check(self) -> Result<Change, Problem> {
        let mut errors = FieldErrors::default();
        let name = self.name.map(|name| check_name(&name, &mut errors));
        let scopes = self.scopes.map(|names| Scopes::parse(names, &mut errors));
        check_rest(self.metadata.as_ref(), self.rate_limit.flatten(), &mut errors);
        errors.finish()?;
        let (metadata, expires_at, rate_limit) = (self.metadata, self.expires_at, self.rate_limit);
        Ok(Change { name, scopes, metadata, expires_at, rate_limit })
    }
}

/// Change an API key, from its next use on.
///
/// An organization's take `api_keys:manage`, and every scope that the key holds before or after.
#[utoipa::path(patch, path = "/v1/api-keys/{id}", tag = "api-keys", params(("id" = ApiKeyId, Path)),
    security(("session" = []), ("cookie" = [])), request_body = UpdateApiKeyRequest,
    responses((status = 200, body = ApiKeyResponse)))]
pub async fn update(
    State(app): State<App>,
    FreshSession(live): FreshSession,
    Path(id): Path<ApiKeyId>,
    client: Client,
    Json(body): Json<UpdateApiKeyRequest>,
) -> Result<Json<ApiKeyResponse>, Problem> {
    let api_key = flow::update(&app, By::Person(&live), id, &body.check()?, &client).await?;
    Ok(Json(ApiKeyResponse { api_key }))
}

/// Revoke an API key: every instance refuses it from the next use on.
///
/// An organization's take `api_keys:manage`.
#[utoipa::path(delete, path = "/v1/api-keys/{id}", tag = "api-keys", params(("id" = ApiKeyId, Path)),
    security(("session" = []), ("cookie" = [])), responses((status = 204, description = "Revoked.")))]
pub async fn revoke(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Path(id): Path<ApiKeyId>,
    client: Client,
) -> Result<StatusCode, Problem> {
    flow::revoke(&app, By::Person(&live), id, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How long the older secret goes on.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateApiKeyRequest {
    /// Seconds that the older secret opens beside the newer: 0 to 2,592,000 (30 days). 0 ends every older secret at once.
    #[schema(minimum = 0, maximum = 2_592_000, default = 86_400)]
    pub overlap_seconds: Option<u32>,
}

impl RotateApiKeyRequest {
    /// Checks the number.
    pub fn overlap(&self) -> Result<Duration, Problem> {
        let overlap =
            self.overlap_seconds.map_or(DEFAULT_OVERLAP, |seconds| Duration::from_secs(seconds.into()));
        if overlap > LONGEST_OVERLAP {
            let what = format!("must be from 0 to {}", LONGEST_OVERLAP.as_secs());
            return Err(Problem::invalid(vec![]).with_error("/overlap_seconds", "out_of_range", what));
        }
        Ok(overlap)
    }
}

/// Give an API key another secret; its id, scopes and settings stay. Needs a recent authentication.
///
/// The older secret opens beside the newer for a day, or as long as you say, so that servers can be changed over one by
/// one. While it does, another rotation is refused (409 `rotation_pending`), unless it has no overlap.
#[utoipa::path(post, path = "/v1/api-keys/{id}/rotations", tag = "api-keys", params(("id" = ApiKeyId, Path)),
    security(("session" = []), ("cookie" = [])), request_body = Option<RotateApiKeyRequest>,
    responses((status = 201, body = IssuedApiKeyResponse)))]
pub async fn rotate(
    State(app): State<App>,
    FreshSession(live): FreshSession,
    Path(id): Path<ApiKeyId>,
    client: Client,
    OptionalJson(body): OptionalJson<RotateApiKeyRequest>,
) -> Result<(StatusCode, Json<IssuedApiKeyResponse>), Problem> {
    let issued = flow::rotate(&app, By::Person(&live), id, body.overlap()?, &client).await?;
    Ok((StatusCode::CREATED, Json(issued.into())))
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::not_found(),
            Error::Ended => sessions::flow::Error::Invalid.into(),
            Error::Impersonated => sessions::extract::impersonated(),
            Error::Organization(error) => error.into(),
            Error::Exceeds(scope) => Self::new(
                StatusCode::FORBIDDEN,
                "scope_exceeds_own",
                "Nobody gives a key, or takes over one, that may do more than is the caller's to give.",
            )
            .with_member("scope", scope),
            Error::TooMany => Self::new(
                StatusCode::CONFLICT,
                "too_many_api_keys",
                format!("An owner has at most {MOST_KEYS} keys. Revoke one first."),
            ),
            Error::Past => Self::invalid(vec![]).with_error("/expires_at", "invalid_value", "must lie ahead"),
            Error::Overlaps => Self::new(
                StatusCode::CONFLICT,
                "rotation_pending",
                "The secret from before the last rotation still opens. Wait, or rotate without an overlap.",
            ),
            Error::Limited(decision) => decision.into(),
            Error::Database(error) => error.into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid => Self::unauthenticated(
                "invalid_token",
                "The API key is not valid: it may have expired or been revoked.",
            ),
            Refusal::Limited(decision) => decision.into(),
            Refusal::Database(error) => error.into(),
            Refusal::Lookup(error) => error.into(),
        }
    }
}
