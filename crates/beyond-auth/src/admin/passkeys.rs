//! Passkeys of users, for the operator.

use axum::extract::State;
use http::StatusCode;

use crate::app::App;
use crate::caller::Admin;
use crate::passkeys;
use crate::platform::http::{Client, Path, Problem};
use crate::platform::ids::{PasskeyId, UserId};

/// Remove a user's passkey, such as one on a lost device. The user gets a mail.
///
/// Removes the last way into the account as well, if that is what it is.
#[utoipa::path(delete, path = "/v1/admin/users/{id}/passkeys/{passkey_id}", tag = "admin",
    security(("admin" = [])), params(("id" = UserId, Path), ("passkey_id" = PasskeyId, Path)),
    responses((status = 204, description = "Removed.")))]
pub async fn remove(
    _: Admin,
    State(app): State<App>,
    Path((id, passkey_id)): Path<(UserId, PasskeyId)>,
    client: Client,
) -> Result<StatusCode, Problem> {
    passkeys::flow::remove_for(&app, id, passkey_id, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}
