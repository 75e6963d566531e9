//! SQL on `auth.api_keys`.

pub mod live;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::model::{ApiKey, Change, Owner, RateLimit, Wish};
use super::scopes::Scopes;
use crate::platform::crypto::token::{self, SecretHash, Token};
use crate::platform::db::Conn;
use crate::platform::http::pagination::Window;
use crate::platform::ids::{ApiKeyId, OrganizationId, UserId};

/// Makes a key, stored under the hash of its secret.
pub async fn insert(
    conn: &mut Conn,
    owner: Owner,
    created_by: Option<UserId>,
    wish: &Wish,
    token: &Token<token::ApiKey>,
) -> Result<ApiKeyId, sqlx::Error> {
    let (user, organization) = owner.parts();
    let limit = wish.rate_limit.map(RateLimit::parts);
    let secret_hash = token.hash();
    sqlx::query!(
        "INSERT INTO auth.api_keys (id, user_id, organization_id, created_by, name, scopes, metadata, secret_hash,
                                    expires_at, rate_limit_requests, rate_limit_seconds)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        token.id(),
        user.map(|id| id.as_uuid()),
        organization.map(|id| id.as_uuid()),
        created_by.map(|id| id.as_uuid()),
        wish.name,
        &wish.scopes.clone().into_names(),
        Value::Object(wish.metadata.clone()),
        secret_hash.as_bytes(),
        wish.expires_at,
        limit.map(|(requests, _)| requests),
        limit.map(|(_, seconds)| seconds),
    )
    .execute(&mut *conn)
    .await?;
    Ok(ApiKeyId::from(token.id()))
}

struct Row {
    id: ApiKeyId,
    user_id: Option<UserId>,
    organization_id: Option<OrganizationId>,
    created_by: Option<UserId>,
    name: String,
    scopes: Vec<String>,
    metadata: Value,
    rate_limit_requests: Option<i32>,
    rate_limit_seconds: Option<i32>,
    expires_at: Option<DateTime<Utc>>,
    previous_expires_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Row> for ApiKey {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            owner: Owner::of_stored(row.user_id, row.organization_id),
            created_by: row.created_by,
            name: row.name,
            scopes: row.scopes,
            metadata: row.metadata,
            rate_limit: RateLimit::of_stored(row.rate_limit_requests, row.rate_limit_seconds),
            expires_at: row.expires_at,
            previous_expires_at: row.previous_expires_at,
            last_used_at: row.last_used_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// Keys that are not revoked, newest first: of one owner or all, one or all.
async fn select(
    conn: &mut Conn,
    owner: Option<Owner>,
    id: Option<ApiKeyId>,
    (before, limit): (Option<uuid::Uuid>, i64),
) -> Result<Vec<ApiKey>, sqlx::Error> {
    let (user, organization) = owner.map(Owner::parts).unwrap_or_default();
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id AS "id: ApiKeyId", user_id AS "user_id: UserId",
                  organization_id AS "organization_id: OrganizationId", created_by AS "created_by: UserId",
                  name, scopes, metadata, rate_limit_requests, rate_limit_seconds, expires_at,
                  CASE WHEN previous_expires_at > now() THEN previous_expires_at END AS previous_expires_at,
                  last_used_at, created_at, updated_at
           FROM auth.api_keys
           WHERE revoked_at IS NULL
             AND ($1::uuid IS NULL OR user_id = $1) AND ($2::uuid IS NULL OR organization_id = $2)
             AND (NOT $3::bool OR num_nonnulls(user_id, organization_id) = 0)
             AND ($4::uuid IS NULL OR id = $4) AND ($5::uuid IS NULL OR id < $5)
           ORDER BY id DESC LIMIT $6"#,
        user.map(|id| id.as_uuid()),
        organization.map(|id| id.as_uuid()),
        owner == Some(Owner::Project),
        id.map(|id| id.as_uuid()),
        before,
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    Ok(rows.into_iter().map(ApiKey::from).collect())
}

/// One that is not revoked.
pub async fn find(conn: &mut Conn, id: ApiKeyId) -> Result<Option<ApiKey>, sqlx::Error> {
    Ok(select(conn, None, Some(id), (None, 1)).await?.pop())
}

/// Those of an owner that are not revoked, newest first; `None` for everybody's.
pub async fn list(conn: &mut Conn, owner: Option<Owner>, window: Window) -> Result<Vec<ApiKey>, sqlx::Error> {
    select(conn, owner, None, (window.after, window.fetch())).await
}

/// How many keys an owner has.
pub async fn count(conn: &mut Conn, owner: Owner) -> Result<i64, sqlx::Error> {
    let (user, organization) = owner.parts();
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM auth.api_keys
           WHERE revoked_at IS NULL AND (user_id = $1 OR organization_id = $2)"#,
        user.map(|id| id.as_uuid()),
        organization.map(|id| id.as_uuid()),
    )
    .fetch_one(&mut *conn)
    .await
}

/// Whether a time lies ahead, by the database's clock.
pub async fn is_ahead(conn: &mut Conn, at: DateTime<Utc>) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT $1::timestamptz > statement_timestamp() AS "ahead!""#, at)
        .fetch_one(&mut *conn)
        .await
}

/// Changes a key. `false` when it is revoked.
pub async fn update(conn: &mut Conn, id: ApiKeyId, change: &Change) -> Result<bool, sqlx::Error> {
    let limit = change.rate_limit.flatten().map(RateLimit::parts);
    let scopes = change.scopes.clone().map(Scopes::into_names);
    let result = sqlx::query!(
        "UPDATE auth.api_keys
         SET name = coalesce($2, name), scopes = coalesce($3, scopes), metadata = coalesce($4, metadata),
             expires_at = CASE WHEN $5 THEN $6 ELSE expires_at END,
             rate_limit_requests = CASE WHEN $7 THEN $8 ELSE rate_limit_requests END,
             rate_limit_seconds = CASE WHEN $7 THEN $9 ELSE rate_limit_seconds END,
             updated_at = now()
         WHERE id = $1 AND revoked_at IS NULL",
        id.as_uuid(),
        change.name,
        scopes.as_deref(),
        change.metadata.as_ref().map(|metadata| Value::Object(metadata.clone())),
        change.expires_at.is_some(),
        change.expires_at.flatten(),
        change.rate_limit.is_some(),
        limit.map(|(requests, _)| requests),
        limit.map(|(_, seconds)| seconds),
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Gives a key another secret; the older one opens for `overlap` seconds more. `false` while an earlier rotation
/// overlaps, unless there is to be no overlap: then every older secret ends.
///
/// By the clock of the statement: the transaction may have begun long before it got the lock.
pub async fn rotate(
    conn: &mut Conn,
    id: ApiKeyId,
    secret: &SecretHash,
    overlap: i32,
) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.api_keys
         SET previous_secret_hash = CASE WHEN $3 > 0 THEN secret_hash END,
             previous_expires_at =
                 CASE WHEN $3 > 0 THEN statement_timestamp() + make_interval(secs => $3::int4) END,
             secret_hash = $2, updated_at = now()
         WHERE id = $1 AND revoked_at IS NULL
           AND ($3 = 0 OR previous_expires_at IS NULL OR previous_expires_at <= statement_timestamp())",
        id.as_uuid(),
        secret.as_bytes(),
        overlap,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Ends a key. `false` when it has ended already.
pub async fn revoke(conn: &mut Conn, id: ApiKeyId) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.api_keys SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL",
        id.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Removes keys that were revoked long ago, in one small batch; says how many rows went.
pub async fn purge(conn: &mut Conn, batch: i64) -> Result<u64, sqlx::Error> {
    let result = sqlx::query!(
        "DELETE FROM auth.api_keys WHERE id IN (
             SELECT id FROM auth.api_keys WHERE revoked_at < now() - interval '30 days'
             ORDER BY revoked_at LIMIT $1 FOR UPDATE SKIP LOCKED)",
        batch,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected())
}
