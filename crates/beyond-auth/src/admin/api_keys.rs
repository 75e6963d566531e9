//! API keys for the operator: those of the project itself, and a hand on everybody's.

use axum::extract::State;
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::api_keys::model::{RateLimit, Wish};
use crate::api_keys::routes::{
    ApiKeyResponse, IssuedApiKeyResponse, RotateApiKeyRequest, UpdateApiKeyRequest,
};
use crate::api_keys::{ApiKey, By, Owner, flow};
use crate::app::App;
use crate::caller::Admin;
use crate::platform::http::extract::OptionalJson;
use crate::platform::http::pagination;
use crate::platform::http::{Client, Json, Page, Path, Problem, Query};
use crate::platform::ids::{ApiKeyId, OrganizationId, UserId};

/// Whose keys to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OwnerKind {
    /// The project's own.
    Project,
}

/// Which keys to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListAllApiKeysQuery {
    /// Those of this user.
    pub user_id: Option<UserId>,
    /// Those of this organization.
    pub organization_id: Option<OrganizationId>,
    /// `project` for the project's own.
    #[param(inline)]
    pub owner: Option<OwnerKind>,
    /// Items a page: 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// List API keys, newest first: everybody's, or those of one owner.
#[utoipa::path(get, path = "/v1/admin/api-keys", tag = "admin", security(("admin" = [])),
    params(ListAllApiKeysQuery), responses((status = 200, body = Page<ApiKey>)))]
pub async fn list(
    _: Admin,
    State(app): State<App>,
    Query(query): Query<ListAllApiKeysQuery>,
) -> Result<Json<Page<ApiKey>>, Problem> {
    let window = pagination::window(query.limit, query.cursor.as_deref())?;
    let owner = match (query.user_id, query.organization_id, query.owner) {
        (None, None, None) => None,
        (Some(id), None, None) => Some(Owner::User(id)),
        (None, Some(id), None) => Some(Owner::Organization(id)),
        (None, None, Some(OwnerKind::Project)) => Some(Owner::Project),
        _ => {
            let what = "give `user_id`, `organization_id` or `owner`, not several";
            return Err(Problem::invalid(vec![]).with_error("?owner", "invalid_value", what));
        }
    };
    let keys = match owner {
        Some(owner) => flow::list(&app, By::Operator, owner, window).await?,
        None => flow::list_all(&app, window).await?,
    };
    Ok(Json(window.page(keys, |key| key.id.as_uuid(), |key| key)))
}

/// A key of the project to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateProjectKeyRequest {
    /// For people.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// What it may do: scopes of the service (`docs/api-keys.md`), and `app:…` for your application's own.
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

/// Make an API key of the project itself, for a server of yours.
///
/// Only such keys hold scopes of the service. The answer carries the key's text, which cannot be had again.
#[utoipa::path(post, path = "/v1/admin/api-keys", tag = "admin", security(("admin" = [])),
    request_body = CreateProjectKeyRequest, responses((status = 201, body = IssuedApiKeyResponse)))]
pub async fn create(
    _: Admin,
    State(app): State<App>,
    client: Client,
    Json(body): Json<CreateProjectKeyRequest>,
) -> Result<(StatusCode, Json<IssuedApiKeyResponse>), Problem> {
    let wish = Wish::check(&body.name, body.scopes, body.metadata, body.expires_at, body.rate_limit)?;
    let issued = flow::create(&app, By::Operator, Owner::Project, &wish, &client).await?;
    Ok((StatusCode::CREATED, Json(issued.into())))
}

/// Read an API key, whosever it is.
#[utoipa::path(get, path = "/v1/admin/api-keys/{id}", tag = "admin", security(("admin" = [])),
    params(("id" = ApiKeyId, Path)), responses((status = 200, body = ApiKeyResponse)))]
pub async fn get(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<ApiKeyId>,
) -> Result<Json<ApiKeyResponse>, Problem> {
    let api_key = flow::get(&app, By::Operator, id).await?;
    Ok(Json(ApiKeyResponse { api_key }))
}

/// Change an API key, whosever it is. Scopes of the service are for keys of the project alone.
#[utoipa::path(patch, path = "/v1/admin/api-keys/{id}", tag = "admin", security(("admin" = [])),
    params(("id" = ApiKeyId, Path)), request_body = UpdateApiKeyRequest,
    responses((status = 200, body = ApiKeyResponse)))]
pub async fn update(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<ApiKeyId>,
    client: Client,
    Json(body): Json<UpdateApiKeyRequest>,
) -> Result<Json<ApiKeyResponse>, Problem> {
    let api_key = flow::update(&app, By::Operator, id, &body.check()?, &client).await?;
    Ok(Json(ApiKeyResponse { api_key }))
}

/// Revoke an API key, whosever it is.
#[utoipa::path(delete, path = "/v1/admin/api-keys/{id}", tag = "admin", security(("admin" = [])),
    params(("id" = ApiKeyId, Path)), responses((status = 204, description = "Revoked.")))]
pub async fn revoke(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<ApiKeyId>,
    client: Client,
) -> Result<StatusCode, Problem> {
    flow::revoke(&app, By::Operator, id, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give an API key another secret, as at `POST /v1/api-keys/{id}/rotations`.
#[utoipa::path(post, path = "/v1/admin/api-keys/{id}/rotations", tag = "admin", security(("admin" = [])),
    params(("id" = ApiKeyId, Path)), request_body = Option<RotateApiKeyRequest>,
    responses((status = 201, body = IssuedApiKeyResponse)))]
pub async fn rotate(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<ApiKeyId>,
    client: Client,
    OptionalJson(body): OptionalJson<RotateApiKeyRequest>,
) -> Result<(StatusCode, Json<IssuedApiKeyResponse>), Problem> {
    let issued = flow::rotate(&app, By::Operator, id, body.overlap()?, &client).await?;
    Ok((StatusCode::CREATED, Json(issued.into())))
}
