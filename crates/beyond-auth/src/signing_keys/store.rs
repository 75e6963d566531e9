//! SQL on `auth.signing_keys`.

use std::time::Duration;

use serde_json::Value;

use super::model::{Active, LINGER, Listed, PUBLISH_LEAD, State};
use crate::platform::db::{Conn, interval};
use crate::platform::ids::SigningKeyId;
use crate::platform::sealed::sealed_column;

sealed_column! {
    /// `auth.signing_keys.sealed_private`.
    SealedPrivate = "auth.signing_keys", "sealed_private"
}

/// Changes of keys happen one at a time. The number is arbitrary, and this service's alone.
const LOCK: i64 = 0x6265_796f_6e64_6b65;

/// Waits until no other instance changes keys; holds until the transaction ends.
pub async fn lock(conn: &mut Conn) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", LOCK).execute(&mut *conn).await?;
    Ok(())
}

/// The key that signs now, and whether its successor is due.
pub async fn find_active(conn: &mut Conn, rotation_days: u32) -> Result<Option<Active>, sqlx::Error> {
    sqlx::query_as!(
        Active,
        r#"SELECT id AS "id: SigningKeyId", sealed_private AS "sealed_private!",
                  floor(extract(epoch FROM statement_timestamp()))::bigint AS "now!",
                  retires_at IS NULL
                      AND activates_at + make_interval(days => $1) - $2::interval <= statement_timestamp() AS "due!"
           FROM auth.signing_keys
           WHERE removed_at IS NULL AND activates_at <= statement_timestamp()
             AND (retires_at IS NULL OR retires_at > statement_timestamp()) AND sealed_private IS NOT NULL
           ORDER BY activates_at DESC LIMIT 1"#,
        i32::try_from(rotation_days).unwrap_or(i32::MAX),
        interval(PUBLISH_LEAD),
    )
    .fetch_optional(&mut *conn)
    .await
}

/// The public halves that verifiers need, newest first.
pub async fn published(conn: &mut Conn) -> Result<Vec<Value>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT public_jwk FROM auth.signing_keys
         WHERE removed_at IS NULL AND (retires_at IS NULL OR retires_at + $1::interval > statement_timestamp())
         ORDER BY activates_at DESC",
        interval(LINGER),
    )
    .fetch_all(&mut *conn)
    .await
}

/// Every key on record, newest first.
pub async fn list(conn: &mut Conn) -> Result<Vec<Listed>, sqlx::Error> {
    sqlx::query_as!(
        Listed,
        r#"SELECT kid, algorithm, created_at, activates_at, retires_at, removed_at,
                  CASE WHEN removed_at IS NOT NULL THEN 'removed'
                       WHEN activates_at > statement_timestamp() THEN 'next'
                       WHEN retires_at IS NULL OR retires_at > statement_timestamp() THEN 'active'
                       WHEN retires_at + $1::interval > statement_timestamp() THEN 'retired'
                       ELSE 'expired' END AS "state!: State"
           FROM auth.signing_keys ORDER BY activates_at DESC, id DESC"#,
        interval(LINGER),
    )
    .fetch_all(&mut *conn)
    .await
}

/// The key that has no successor yet.
#[derive(Debug)]
pub struct Newest {
    /// Its row.
    pub id: SigningKeyId,
    /// Its name.
    pub kid: String,
    /// Whether it does not sign yet.
    pub waits: bool,
}

/// Finds the key that has no successor yet.
pub async fn find_newest(conn: &mut Conn) -> Result<Option<Newest>, sqlx::Error> {
    sqlx::query_as!(
        Newest,
        r#"SELECT id AS "id: SigningKeyId", kid, activates_at > statement_timestamp() AS "waits!"
           FROM auth.signing_keys WHERE retires_at IS NULL AND removed_at IS NULL"#,
    )
    .fetch_optional(&mut *conn)
    .await
}

/// A key about to be stored.
#[derive(Debug)]
pub struct NewKey<'a> {
    /// Drawn beforehand: the private half is bound to it.
    pub id: SigningKeyId,
    /// Its name.
    pub kid: &'a str,
    /// The public half.
    pub public_jwk: &'a Value,
    /// The sealed private half.
    pub sealed_private: &'a [u8],
}

/// Stores a key that signs after `delay`, when the newest one so far stops.
pub async fn insert(conn: &mut Conn, new: &NewKey<'_>, delay: Duration) -> Result<(), sqlx::Error> {
    // First, for the index that allows one key without a successor.
    sqlx::query!(
        "UPDATE auth.signing_keys SET retires_at = greatest(now() + $1::interval, activates_at)
         WHERE retires_at IS NULL AND removed_at IS NULL",
        interval(delay),
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO auth.signing_keys (id, kid, algorithm, public_jwk, sealed_private, activates_at)
         VALUES ($1, $2, 'EdDSA', $3, $4, now() + $5::interval)",
        new.id.as_uuid(),
        new.kid,
        new.public_jwk,
        new.sealed_private,
        interval(delay),
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Lets the waiting key sign at once, and the one before it stop.
pub async fn activate(conn: &mut Conn, waiting: SigningKeyId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE auth.signing_keys SET retires_at = greatest(now(), activates_at)
         WHERE removed_at IS NULL AND retires_at > now()",
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("UPDATE auth.signing_keys SET activates_at = now() WHERE id = $1", waiting.as_uuid())
        .execute(&mut *conn)
        .await?;
    Ok(())
}

/// Lets the active key sign on without a successor: the waiting one is gone.
pub async fn prolong_active(conn: &mut Conn) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE auth.signing_keys SET retires_at = NULL
         WHERE removed_at IS NULL AND activates_at <= now() AND retires_at > now()",
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Takes a key out of service and forgets its private half; says in which state it was. `None` when there is no such
/// key in service.
pub async fn remove(conn: &mut Conn, kid: &str) -> Result<Option<State>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"UPDATE auth.signing_keys SET removed_at = now(), sealed_private = NULL
           WHERE kid = $1 AND removed_at IS NULL
           RETURNING CASE WHEN activates_at > now() THEN 'next'
                          WHEN retires_at IS NULL OR retires_at > now() THEN 'active'
                          ELSE 'retired' END AS "state!: State""#,
        kid,
    )
    .fetch_optional(&mut *conn)
    .await
}

/// Forgets the private halves of keys that sign no more, and keys that ended three months ago; says how many rows
/// changed.
pub async fn purge(conn: &mut Conn, limit: i64) -> Result<u64, sqlx::Error> {
    let forgotten = sqlx::query!(
        "UPDATE auth.signing_keys SET sealed_private = NULL WHERE id IN (
             SELECT id FROM auth.signing_keys
             WHERE sealed_private IS NOT NULL AND retires_at + $1::interval < now() LIMIT $2)",
        interval(LINGER),
        limit,
    )
    .execute(&mut *conn)
    .await?;
    let deleted = sqlx::query!(
        "DELETE FROM auth.signing_keys WHERE id IN (
             SELECT id FROM auth.signing_keys
             WHERE least(retires_at, removed_at) < now() - interval '90 days' LIMIT $1)",
        limit,
    )
    .execute(&mut *conn)
    .await?;
    Ok(forgotten.rows_affected().max(deleted.rows_affected()))
}
