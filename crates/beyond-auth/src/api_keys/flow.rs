//! What one does with API keys: make, list, change, rotate, revoke, verify.

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::manager::{By, Manager};
use super::model::{ApiKey, Change, Error, Issued, Key, MOST_KEYS, Owner, Refusal, Wish};
use super::store;
use crate::app::App;
use crate::audit;
use crate::orgs::permissions::Permission;
use crate::platform::crypto::token::{self, Token};
use crate::platform::db::Conn;
use crate::platform::http::Client;
use crate::platform::http::pagination::Window;
use crate::platform::http::throttle;
use crate::platform::ids::ApiKeyId;
use crate::platform::limits::{self, Decision, Limit};

/// Verifies a presented key: parse, a lookup shared with whoever else is waiting, constant-time comparison. A key with a
/// rate limit is counted, once it is known to be one: nobody uses up what is another's.
pub async fn verify(app: &App, presented: &SecretString) -> Result<Key, Refusal> {
    let token: Token<token::ApiKey> =
        Token::parse(presented.expose_secret()).map_err(|_| Refusal::Invalid)?;
    let candidate = app.api_keys.find(app, ApiKeyId::from(token.id())).await?;
    let candidate = candidate.filter(|candidate| candidate.opens_with(&token.hash()));
    let key = candidate.ok_or(Refusal::Invalid)?.key;
    // Boxed: the rare statement would be moved about with every verification.
    if let limited @ Decision::Limited { .. } = Box::pin(count_use(app, &key)).await? {
        return Err(Refusal::Limited(limited));
    }
    if key.stale {
        app.api_keys.used(key.id);
    }
    Ok(key)
}

async fn count_use(app: &App, key: &Key) -> Result<Decision, sqlx::Error> {
    let Some(limit) = key.rate_limit else { return Ok(Decision::Allowed { remaining: u32::MAX }) };
    let per = Duration::from_secs(limit.per_seconds.into());
    let limit = Limit { name: "api_key", per, max: limit.requests };
    let mut conn = app.db.acquire().await?;
    limits::take(&mut conn, &limit, key.id.as_uuid().as_bytes()).await
}

/// Lists the keys of an owner, newest first.
pub async fn list(app: &App, by: By<'_>, owner: Owner, window: Window) -> Result<Vec<ApiKey>, Error> {
    let mut conn = app.db.acquire().await?;
    Manager::find(&mut conn, by, owner).await?.require(Permission::ApiKeysRead)?;
    Ok(store::list(&mut conn, Some(owner), window).await?)
}

/// Lists everybody's keys, newest first, for the operator.
pub async fn list_all(app: &App, window: Window) -> Result<Vec<ApiKey>, Error> {
    let mut conn = app.db.acquire().await?;
    Ok(store::list(&mut conn, None, window).await?)
}

/// Reads a key.
pub async fn get(app: &App, by: By<'_>, id: ApiKeyId) -> Result<ApiKey, Error> {
    let mut conn = app.db.acquire().await?;
    let key = store::find(&mut conn, id).await?.ok_or(Error::NotFound)?;
    let manager = Manager::find(&mut conn, by, key.owner).await?;
    manager.require_for_one(Permission::ApiKeysRead)?;
    Ok(key)
}

/// Makes a key.
pub async fn create(
    app: &App,
    by: By<'_>,
    owner: Owner,
    wish: &Wish,
    client: &Client,
) -> Result<Issued, Error> {
    by.in_person()?;
    if let Some(user) = by.user() {
        let mut conn = app.db.acquire().await?;
        let made = limits::take(&mut conn, &throttle::API_KEYS, user.as_uuid().as_bytes()).await?;
        if let limited @ Decision::Limited { .. } = made {
            return Err(Error::Limited(limited));
        }
    }
    let mut tx = app.db.begin("api_keys.create").await?;
    let manager = Manager::lock(&mut tx, by, owner).await?;
    manager.require(Permission::ApiKeysManage)?;
    manager.may_grant(owner, &wish.scopes)?;
    lies_ahead(&mut tx, wish.expires_at).await?;
    if owner != Owner::Project && store::count(&mut tx, owner).await? >= MOST_KEYS {
        return Err(Error::TooMany);
    }
    let token = Token::mint();
    let id = store::insert(&mut tx, owner, by.user(), wish, &token).await?;
    let key = found(&mut tx, id).await?;
    record(&mut tx, "api_key.created", by, &key, client).await?;
    tx.commit().await?;
    Ok(Issued { key, text: token.reveal() })
}

/// Changes a key. Neither before nor after may it hold more than the caller may give.
pub async fn update(
    app: &App,
    by: By<'_>,
    id: ApiKeyId,
    change: &Change,
    client: &Client,
) -> Result<ApiKey, Error> {
    by.in_person()?;
    let mut tx = app.db.begin("api_keys.update").await?;
    let (manager, before) = lock(&mut tx, by, id).await?;
    manager.covers(before.owner, before.scopes.iter().map(String::as_str))?;
    if let Some(scopes) = &change.scopes {
        manager.may_grant(before.owner, scopes)?;
    }
    lies_ahead(&mut tx, change.expires_at.flatten()).await?;
    if !store::update(&mut tx, id, change).await? {
        return Err(Error::NotFound);
    }
    let key = found(&mut tx, id).await?;
    record(&mut tx, "api_key.updated", by, &key, client).await?;
    tx.commit().await?;
    Ok(key)
}

/// Gives a key another secret; the older one goes on for `overlap`. Whoever gets the secret may do what the key may, so
/// it must not hold more than the caller may give.
pub async fn rotate(
    app: &App,
    by: By<'_>,
    id: ApiKeyId,
    overlap: Duration,
    client: &Client,
) -> Result<Issued, Error> {
    by.in_person()?;
    let mut tx = app.db.begin("api_keys.rotate").await?;
    let (manager, before) = lock(&mut tx, by, id).await?;
    manager.covers(before.owner, before.scopes.iter().map(String::as_str))?;
    let token: Token<token::ApiKey> = Token::mint_for(id.as_uuid());
    let overlap = i32::try_from(overlap.as_secs()).unwrap_or(i32::MAX);
    if !store::rotate(&mut tx, id, &token.hash(), overlap).await? {
        return Err(Error::Overlaps);
    }
    let key = found(&mut tx, id).await?;
    record(&mut tx, "api_key.rotated", by, &key, client).await?;
    tx.commit().await?;
    Ok(Issued { key, text: token.reveal() })
}

/// Ends a key. Taking power away needs none of the key's own.
pub async fn revoke(app: &App, by: By<'_>, id: ApiKeyId, client: &Client) -> Result<(), Error> {
    let mut tx = app.db.begin("api_keys.revoke").await?;
    let (_, key) = lock(&mut tx, by, id).await?;
    if !store::revoke(&mut tx, id).await? {
        return Err(Error::NotFound);
    }
    record(&mut tx, "api_key.revoked", by, &key, client).await?;
    tx.commit().await?;
    Ok(())
}

/// The key of this id, behind the locks that whoever changes it holds.
async fn lock(conn: &mut Conn, by: By<'_>, id: ApiKeyId) -> Result<(Manager, ApiKey), Error> {
    // Asked first without a lock: a key never changes its owner.
    let owner = store::find(conn, id).await?.ok_or(Error::NotFound)?.owner;
    let manager = Manager::lock(conn, by, owner).await?;
    manager.require_for_one(Permission::ApiKeysManage)?;
    Ok((manager, found(conn, id).await?))
}

async fn found(conn: &mut Conn, id: ApiKeyId) -> Result<ApiKey, Error> {
    store::find(conn, id).await?.ok_or(Error::NotFound)
}

async fn lies_ahead(conn: &mut Conn, end: Option<DateTime<Utc>>) -> Result<(), Error> {
    match end {
        Some(end) if !store::is_ahead(conn, end).await? => Err(Error::Past),
        Some(_) | None => Ok(()),
    }
}

async fn record(
    conn: &mut Conn,
    action: &'static str,
    by: By<'_>,
    key: &ApiKey,
    client: &Client,
) -> Result<(), sqlx::Error> {
    let details = json!({ "api_key_id": key.id, "owner": key.owner, "name": key.name, "scopes": key.scopes });
    let event = by.event(action).from(client).details(details);
    let event = match key.owner {
        Owner::User(user) => event.on(user),
        Owner::Organization(_) | Owner::Project => event,
    };
    audit::record(conn, event).await
}

/// Removes keys that were revoked long ago, in one small batch; says how many rows went.
pub async fn purge(conn: &mut Conn, batch: i64) -> Result<u64, sqlx::Error> {
    store::purge(conn, batch).await
}
