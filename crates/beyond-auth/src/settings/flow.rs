//! Reading and changing settings.

use http::header::{self, HeaderMap, HeaderValue};
use serde_json::Value;

use super::model::{Settings, merge};
use super::store;
use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::platform::db::Conn;
use crate::platform::http::{Client, FieldErrors, Problem, credentials, json};

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else changed the settings meanwhile.
    #[error("the settings have changed since they were read")]
    Changed,
    /// Unknown keys or values out of range.
    #[error("the settings are not valid")]
    Invalid(Box<Problem>),
    /// The database did not answer, or refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The settings in force, as the caller's transaction sees them.
pub async fn load(conn: &mut Conn) -> Result<Settings, sqlx::Error> {
    Ok(effective(store::find(conn).await?.overrides))
}

/// Stored overrides were validated when written; what a newer version wrote and this one does not know is
/// passed over, so that a rollback still runs.
fn effective(overrides: Value) -> Settings {
    serde_json::from_value(overrides.clone()).unwrap_or_else(|_| {
        let mut known = serde_json::to_value(Settings::default()).unwrap_or_default();
        overlay_known(&mut known, overrides);
        serde_json::from_value(known).unwrap_or_default()
    })
}

/// Takes over values at paths that exist already.
fn overlay_known(target: &mut Value, overrides: Value) {
    match (target, overrides) {
        (Value::Object(target), Value::Object(overrides)) => {
            for (key, value) in overrides {
                if let Some(slot) = target.get_mut(&key) {
                    overlay_known(slot, value);
                }
            }
        }
        (slot, value) => *slot = value,
    }
}

/// Whether the operator has listed this origin, as of now.
pub async fn is_allowed_origin(app: &App, origin: &HeaderValue) -> Result<bool, sqlx::Error> {
    let Ok(origin) = origin.to_str() else { return Ok(false) };
    let mut conn = app.db.acquire().await?;
    Ok(load(&mut conn).await?.allowed_origins.iter().any(|allowed| allowed == origin))
}

/// Whether a write with the session cookie may come from the page that sent these headers: one of our own, or of
/// a listed origin.
pub async fn may_write(app: &App, headers: &HeaderMap) -> Result<bool, sqlx::Error> {
    if credentials::is_same_origin(headers, &app.config.public_url) {
        return Ok(true);
    }
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (Some(origin), None) => is_allowed_origin(app, origin).await,
        _ => Ok(false),
    }
}

/// Settings with their revision.
#[derive(Debug)]
pub struct Revised {
    /// The settings in force.
    pub settings: Settings,
    /// Their revision.
    pub revision: i64,
}

/// Reads settings and revision.
pub async fn get(app: &App) -> Result<Revised, Error> {
    let mut conn = app.db.acquire().await?;
    let stored = store::find(&mut conn).await?;
    Ok(Revised { settings: effective(stored.overrides), revision: stored.revision })
}

/// Applies a merge patch; with `expected`, only on top of that revision.
pub async fn patch(
    app: &App,
    patch: Value,
    expected: Option<i64>,
    client: &Client,
) -> Result<Revised, Error> {
    let mut tx = app.db.begin("settings.patch").await?;
    let stored = store::lock(&mut tx).await?;
    if expected.is_some_and(|expected| expected != stored.revision) {
        return Err(Error::Changed);
    }
    let changed: Vec<String> =
        patch.as_object().map(|patch| patch.keys().cloned().collect()).unwrap_or_default();
    let mut overrides = stored.overrides;
    merge(&mut overrides, patch);
    let settings: Settings =
        json::decode(overrides.clone()).map_err(|problem| Error::Invalid(Box::new(problem)))?;
    let mut errors = FieldErrors::default();
    settings.check(&mut errors);
    errors.finish().map_err(|problem| Error::Invalid(Box::new(problem)))?;

    let revision = store::update(&mut tx, &overrides).await?;
    let event = Event::new("settings.changed", Actor::Admin)
        .from(client)
        .details(serde_json::json!({ "sections": changed, "revision": revision }));
    audit::record(&mut tx, event).await?;
    tx.commit().await?;
    Ok(Revised { settings, revision })
}
