//! Sealing everything anew after a change of the key-encryption key.

use std::time::{Duration, Instant};

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::caller::Admin;
use crate::oauth;
use crate::platform::http::{Client, Json, Problem};
use crate::platform::key_check;
use crate::platform::sealed::{self, Progress, SealedColumn};
use crate::signing_keys;
use crate::totp;

/// Every sealed column there is. A slice that seals another adds it here; a test compares with the database.
const COLUMNS: &[&dyn SealedColumn] =
    &[signing_keys::SEALED_PRIVATE, totp::SEALED_SEED, oauth::SEALED_SECRET, oauth::SEALED_TOKENS];

/// One call works this long at most; what is left is left to the next call.
const BUDGET: Duration = Duration::from_secs(5);

/// How far one column has come.
#[derive(Debug, Serialize, ToSchema)]
pub struct SealedColumnResponse {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// Sealed values in it.
    pub total: i64,
    /// Sealed anew by this call.
    pub rewrapped: i64,
    /// Still sealed by another key than the current one.
    pub remaining: i64,
}

impl SealedColumnResponse {
    fn new(table: &'static str, column: &'static str, progress: Progress) -> Self {
        let Progress { total, rewrapped, remaining } = progress;
        Self { table, column, total, rewrapped, remaining }
    }
}

/// How far everything has come.
#[derive(Debug, Serialize, ToSchema)]
pub struct KekRotationResponse {
    /// Every sealed column.
    pub columns: Vec<SealedColumnResponse>,
    /// Whether nothing is sealed by another key any more. Call again until then.
    pub done: bool,
}

/// Seal everything anew under the current key-encryption key.
///
/// Give the new key to all instances first. Works for a few seconds at most; call it again until `done`. Then the former
/// key opens nothing here any more and an instance that has only that one refuses to start.
#[utoipa::path(post, path = "/v1/admin/kek-rotations", tag = "admin", security(("admin" = [])),
    responses((status = 200, body = KekRotationResponse)))]
pub async fn create(
    _: Admin,
    State(app): State<App>,
    client: Client,
) -> Result<Json<KekRotationResponse>, Problem> {
    let until = Instant::now() + BUDGET;
    let mut columns = Vec::new();
    for column in COLUMNS {
        let progress = sealed::rewrap(&app.db, &app.keyring, *column, until).await?;
        columns.push(SealedColumnResponse::new(column.table(), column.column(), progress));
    }
    let left: i64 = columns.iter().map(|column| column.remaining).sum();
    let rewrapped: i64 = columns.iter().map(|column| column.rewrapped).sum();

    let mut tx = app.db.begin("admin.kek_rotation").await?;
    // The probes go last: as long as one of a former key is there, that key may be needed.
    let forgotten = if left == 0 { key_check::forget_old(&mut tx, &app.keyring).await? } else { 0 };
    let probes = key_check::count(&mut tx).await?;
    let probe = Progress {
        total: probes,
        rewrapped: i64::try_from(forgotten).unwrap_or(i64::MAX),
        remaining: probes.saturating_sub(1),
    };
    columns.push(SealedColumnResponse::new("auth.key_encryption_keys", "probe", probe));
    let done = left == 0 && probe.remaining == 0;
    let event =
        Event::new("key_encryption_key.rotated", Actor::Admin).from(&client).details(serde_json::json!({
            "key_id": app.keyring.current_key_id().to_string(),
            "rewrapped": rewrapped,
            "done": done,
        }));
    audit::record(&mut tx, event).await?;
    tx.commit().await?;
    Ok(Json(KekRotationResponse { columns, done }))
}
