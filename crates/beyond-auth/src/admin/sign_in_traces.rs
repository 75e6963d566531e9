//! Why people were not let in, over HTTP, for the operator.

use axum::extract::State;

use super::store::{self, SignInTrace};
use crate::app::App;
use crate::caller::Admin;
use crate::platform::http::{Json, Page, PageQuery, Problem, Query};

/// List sign-ins that were refused, with the reason that the visitor was not told; newest first.
#[utoipa::path(get, path = "/v1/admin/sign-in-traces", tag = "admin", security(("admin" = [])), params(PageQuery),
    responses((status = 200, body = Page<SignInTrace>)))]
pub async fn list(
    _: Admin,
    State(app): State<App>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<SignInTrace>>, Problem> {
    let window = query.window()?;
    let mut conn = app.db.acquire().await?;
    let found = store::sign_in_traces(&mut conn, window).await?;
    Ok(Json(window.page(found, |trace| trace.id.as_uuid(), |trace| trace)))
}
