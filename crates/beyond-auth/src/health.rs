//! Whether the process is up, and whether it can do its work.

use std::time::Duration;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::platform::http::{Json, Problem};
use crate::platform::key_check;

/// A probe must be answered before whoever asks gives up.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The answer to a probe.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthResponse {
    /// `ok`.
    pub status: &'static str,
}

/// Whether the process is up. Asks nothing of the database.
#[utoipa::path(get, path = "/healthz", tag = "operations", responses((status = 200, body = HealthResponse)))]
pub async fn alive() -> Json<HealthResponse> {
    Json(HealthResponse { status: "ok" })
}

/// Whether the service can do its work: the database answers, is migrated, and its sealed columns open.
///
/// 503 while shutting down, so that a balancer stops sending requests here.
#[utoipa::path(get, path = "/readyz", tag = "operations", responses((status = 200, body = HealthResponse)))]
pub async fn ready(State(app): State<App>) -> Result<Json<HealthResponse>, Problem> {
    if app.shutdown.is_cancelled() {
        return Err(Problem::unavailable(1));
    }
    match tokio::time::timeout(PROBE_TIMEOUT, probe(&app)).await {
        Ok(Ok(())) => Ok(Json(HealthResponse { status: "ok" })),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            Err(Problem::unavailable(1))
        }
        Err(_) => Err(Problem::unavailable(1)),
    }
}

/// Reading the probe of the key-encryption key needs the database, the schema and the key.
async fn probe(app: &App) -> Result<(), key_check::Error> {
    let mut conn = app.db.acquire().await?;
    key_check::verify(&mut conn, &app.keyring).await
}
