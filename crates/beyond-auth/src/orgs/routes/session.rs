//! What the holder changes about a session: its name, and the organization it acts for.

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::orgs::active::{self, SessionChange};
use crate::platform::http::{Client, FieldErrors, Json, Problem};
use crate::platform::ids::OrganizationId;
use crate::sessions::CurrentSession;
use crate::sessions::model::check_label;
use crate::sessions::routes::CurrentSessionResponse;
use crate::users::routes::sent;

/// What to change; a field that is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateSessionRequest {
    /// One's own name for the device; `null` clears it.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<String>, max_length = 100)]
    pub label: Option<Option<String>>,
    /// The organization to act for, one of one's own; `null` for none.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<OrganizationId>)]
    pub organization_id: Option<Option<OrganizationId>>,
}

/// Name the device, or act for an organization.
///
/// An organization may ask for a second factor (401 `insufficient_user_authentication`) or for other ways of signing in
/// (403 `sign_in_method_required`). Whoever leaves it acts for it no longer.
#[utoipa::path(patch, path = "/v1/sessions/current", tag = "sessions",
    security(("session" = []), ("cookie" = [])), request_body = UpdateSessionRequest,
    responses((status = 200, body = CurrentSessionResponse)))]
pub async fn update(
    State(app): State<App>,
    CurrentSession(mut live): CurrentSession,
    client: Client,
    Json(body): Json<UpdateSessionRequest>,
) -> Result<Json<CurrentSessionResponse>, Problem> {
    let mut errors = FieldErrors::default();
    let label = body.label.map(|label| check_label(label.as_deref(), &mut errors));
    errors.finish()?;
    let change = SessionChange { label, organization: body.organization_id };
    active::update(&app, &mut live, &change, &client).await?;
    Ok(Json(live.into()))
}
