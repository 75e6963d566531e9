//! Second factors over HTTP, for the operator: support for people who have lost device and codes.

use axum::extract::State;
use http::StatusCode;

use super::flow;
use crate::app::App;
use crate::caller::Admin;
use crate::platform::http::{Client, Json, Path, Problem};
use crate::platform::ids::{FactorId, UserId};
use crate::totp;
use crate::totp::routes::FactorsResponse;

/// List a user's authenticator apps.
#[utoipa::path(get, path = "/v1/admin/users/{id}/factors", tag = "admin", security(("admin" = [])),
    params(("id" = UserId, Path)), responses((status = 200, body = FactorsResponse)))]
pub async fn list(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<UserId>,
) -> Result<Json<FactorsResponse>, Problem> {
    flow::get(&app, id).await?;
    let data = totp::flow::list(&app, id).await?;
    Ok(Json(FactorsResponse { data, next_cursor: None }))
}

/// Remove a user's authenticator app. Recovery codes go with the last factor, and the owner gets a mail.
#[utoipa::path(delete, path = "/v1/admin/users/{id}/factors/{factor_id}", tag = "admin",
    security(("admin" = [])), params(("id" = UserId, Path), ("factor_id" = FactorId, Path)),
    responses((status = 204, description = "Removed.")))]
pub async fn remove(
    _: Admin,
    State(app): State<App>,
    Path((id, factor_id)): Path<(UserId, FactorId)>,
    client: Client,
) -> Result<StatusCode, Problem> {
    totp::flow::remove_by_admin(&app, id, factor_id, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}
