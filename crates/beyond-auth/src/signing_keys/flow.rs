//! The life of signing keys: made, published, active, retired, removed.

use std::time::Duration;

use serde_json::{Value, json};

use super::model::{Listed, PUBLISH_LEAD, State};
use super::store::{self, NewKey, SealedPrivate};
use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::platform::crypto::envelope::Keyring;
use crate::platform::crypto::jwt::SigningKey;
use crate::platform::db::Conn;
use crate::platform::http::Client;
use crate::platform::ids::SigningKeyId;
use crate::platform::sealed::SealedColumn;
use crate::settings;

/// The private halves, for sealing them anew.
pub const SEALED_PRIVATE: &dyn SealedColumn = &SealedPrivate;

/// Why a key was not changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such key in service.
    #[error("there is no such signing key")]
    NotFound,
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Who changes keys.
#[derive(Clone, Copy, Debug)]
enum By<'a> {
    Operator(&'a Client),
    Service,
}

impl<'a> By<'a> {
    fn event(self, action: &'static str) -> Event<'a> {
        match self {
            By::Operator(client) => Event::new(action, Actor::Admin).from(client),
            By::Service => Event::new(action, Actor::System),
        }
    }
}

/// Makes a key that signs after `delay`. Under the lock.
async fn publish(conn: &mut Conn, keyring: &Keyring, delay: Duration, by: By<'_>) -> Result<(), sqlx::Error> {
    let id = SigningKeyId::new();
    let (key, seed) = SigningKey::generate();
    let new = NewKey {
        id,
        kid: key.kid(),
        public_jwk: &key.public_jwk(),
        sealed_private: &keyring.seal(&SEALED_PRIVATE.place(&id.to_string()), seed.as_slice()),
    };
    store::insert(conn, &new, delay).await?;
    let event = by.event("signing_key.published");
    audit::record(conn, event.details(json!({ "kid": key.kid(), "delay_seconds": delay.as_secs() }))).await
}

/// Sees to it that there is a key that signs: the first need makes the first key, once for all instances.
pub(super) async fn ensure(app: &App) -> Result<(), sqlx::Error> {
    let mut tx = app.db.begin("signing_keys.ensure").await?;
    store::lock(&mut tx).await?;
    // Whether it is due does not matter here.
    if store::find_active(&mut tx, 0).await?.is_none() {
        // A key that waits although none is active takes over; there is no reason to make another.
        match store::find_newest(&mut tx).await? {
            Some(newest) => store::activate(&mut tx, newest.id).await?,
            None => publish(&mut tx, &app.keyring, Duration::ZERO, By::Service).await?,
        }
    }
    tx.commit().await
}

/// Publishes the next key if the active one is of the age that the settings say.
pub(super) async fn rotate_if_due(app: &App, rotation_days: u32) -> Result<(), sqlx::Error> {
    let mut tx = app.db.begin("signing_keys.rotate_if_due").await?;
    store::lock(&mut tx).await?;
    // Looked at again behind the lock: another instance may have done it.
    if store::find_active(&mut tx, rotation_days).await?.is_some_and(|active| active.due) {
        publish(&mut tx, &app.keyring, PUBLISH_LEAD, By::Service).await?;
    }
    tx.commit().await
}

/// Housekeeping: publishes the next key in time, where JWTs are in use at all.
pub async fn keep_rotating(app: &App) -> Result<(), sqlx::Error> {
    let mut conn = app.db.acquire().await?;
    let settings = settings::load(&mut conn).await?;
    if !settings.jwt.enabled {
        return Ok(());
    }
    let days = settings.signing_keys.rotation_days;
    let due = store::find_active(&mut conn, days).await?.is_some_and(|active| active.due);
    drop(conn);
    if due { rotate_if_due(app, days).await } else { Ok(()) }
}

/// The public halves that verifiers need. While JWTs are enabled there is always one: an empty set would be kept by
/// caches for an hour.
pub async fn published(app: &App) -> Result<Vec<Value>, sqlx::Error> {
    let mut conn = app.db.acquire().await?;
    let keys = store::published(&mut conn).await?;
    if !keys.is_empty() || !settings::load(&mut conn).await?.jwt.enabled {
        return Ok(keys);
    }
    drop(conn);
    ensure(app).await?;
    store::published(&mut *app.db.begin("signing_keys.published").await?).await
}

/// Every key on record, newest first.
pub async fn list(app: &App) -> Result<Vec<Listed>, Error> {
    let mut conn = app.db.acquire().await?;
    Ok(store::list(&mut conn).await?)
}

/// Rotates: the next key is published now and signs after [`PUBLISH_LEAD`], or at once. One that is already waiting
/// is not replaced, so repeating the call does no harm. Answers all keys.
pub async fn rotate(app: &App, immediate: bool, client: &Client) -> Result<Vec<Listed>, Error> {
    let by = By::Operator(client);
    let mut tx = app.db.begin("signing_keys.rotate").await?;
    store::lock(&mut tx).await?;
    match store::find_newest(&mut tx).await? {
        Some(waiting) if waiting.waits => {
            if immediate {
                store::activate(&mut tx, waiting.id).await?;
                let event = by.event("signing_key.activated").details(json!({ "kid": waiting.kid }));
                audit::record(&mut tx, event).await?;
            }
        }
        // Where there is no key at all, nobody waits for anything.
        None => publish(&mut tx, &app.keyring, Duration::ZERO, by).await?,
        Some(_) => {
            let delay = if immediate { Duration::ZERO } else { PUBLISH_LEAD };
            publish(&mut tx, &app.keyring, delay, by).await?;
        }
    }
    let keys = store::list(&mut tx).await?;
    tx.commit().await?;
    Ok(keys)
}

/// Takes a key out of service at once, whatever its state. Where it was the active one, the waiting one takes over,
/// or a new one is made.
pub async fn remove(app: &App, kid: &str, client: &Client) -> Result<(), Error> {
    let by = By::Operator(client);
    let mut tx = app.db.begin("signing_keys.remove").await?;
    store::lock(&mut tx).await?;
    let state = store::remove(&mut tx, kid).await?.ok_or(Error::NotFound)?;
    match state {
        State::Active => match store::find_newest(&mut tx).await? {
            Some(waiting) => store::activate(&mut tx, waiting.id).await?,
            None => publish(&mut tx, &app.keyring, Duration::ZERO, by).await?,
        },
        State::Next => store::prolong_active(&mut tx).await?,
        State::Retired | State::Expired | State::Removed => {}
    }
    let event = by.event("signing_key.removed").details(json!({ "kid": kid, "state": state }));
    audit::record(&mut tx, event).await?;
    tx.commit().await?;
    Ok(())
}

/// Removes what ended long ago, in one small batch; says how many rows changed.
pub async fn purge(conn: &mut Conn, batch: i64) -> Result<u64, sqlx::Error> {
    store::purge(conn, batch).await
}
