//! SQL of the hot path: which keys live, and when they were last used.

use crate::api_keys::model::{Key, Owner, RateLimit};
use crate::api_keys::scopes::Scopes;
use crate::platform::crypto::token::SecretHash;
use crate::platform::db::Conn;
use crate::platform::ids::{ApiKeyId, OrganizationId, UserId};

/// A live key and the stored hashes, one of which the presented secret must match.
#[derive(Debug)]
pub struct Candidate {
    /// What the caller may see once the secret matches.
    pub key: Key,
    /// SHA-256 of the secret.
    secret_hash: Vec<u8>,
    /// The same of the one before, while a rotation overlaps.
    previous_secret_hash: Option<Vec<u8>>,
}

impl Candidate {
    /// Whether a presented secret is a stored one.
    pub fn opens_with(&self, presented: &SecretHash) -> bool {
        let older = self.previous_secret_hash.as_deref().is_some_and(|stored| presented.matches(stored));
        presented.matches(&self.secret_hash) | older
    }
}

/// Everything about live keys in one statement, in the order of `ids`. Expired and revoked ones, and those of banned
/// users, are not found.
pub async fn find_live_many(
    conn: &mut Conn,
    ids: &[ApiKeyId],
) -> Result<Vec<Option<Candidate>>, sqlx::Error> {
    let keys: Vec<_> = ids.iter().map(ApiKeyId::as_uuid).collect();
    let rows = sqlx::query!(
        r#"SELECT k.position AS "position!",
                  a.user_id AS "user_id: UserId", a.organization_id AS "organization_id: OrganizationId",
                  a.name, a.scopes, a.metadata, a.secret_hash, a.expires_at, a.created_at,
                  CASE WHEN a.previous_expires_at > now() THEN a.previous_secret_hash END AS previous_secret_hash,
                  a.rate_limit_requests, a.rate_limit_seconds,
                  (a.last_used_at IS NULL OR a.last_used_at < now() - interval '1 minute') AS "stale!"
           FROM unnest($1::uuid[]) WITH ORDINALITY AS k (id, position)
           JOIN auth.api_keys a ON a.id = k.id
           LEFT JOIN auth.users u ON u.id = a.user_id
           WHERE a.revoked_at IS NULL AND (a.expires_at IS NULL OR a.expires_at > now())
             AND (u.banned_at IS NULL OR u.ban_expires_at <= now())"#,
        &keys,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut found: Vec<Option<Candidate>> = Vec::with_capacity(ids.len());
    found.resize_with(ids.len(), || None);
    for row in rows {
        let at = usize::try_from(row.position - 1).unwrap_or(usize::MAX);
        let (Some(id), Some(slot)) = (ids.get(at), found.get_mut(at)) else { continue };
        *slot = Some(Candidate {
            secret_hash: row.secret_hash,
            previous_secret_hash: row.previous_secret_hash,
            key: Key {
                id: *id,
                owner: Owner::of_stored(row.user_id, row.organization_id),
                name: row.name,
                scopes: Scopes::of_stored(row.scopes),
                metadata: row.metadata,
                rate_limit: RateLimit::of_stored(row.rate_limit_requests, row.rate_limit_seconds),
                expires_at: row.expires_at,
                created_at: row.created_at,
                stale: row.stale,
            },
        });
    }
    Ok(found)
}

/// Notes that keys were used, at most once a minute each.
///
/// Rows that somebody else is changing are passed over, so this never waits for a lock and can be in no deadlock.
pub async fn touch_many(conn: &mut Conn, ids: &[ApiKeyId]) -> Result<(), sqlx::Error> {
    let keys: Vec<_> = ids.iter().map(ApiKeyId::as_uuid).collect();
    sqlx::query!(
        "WITH due AS (
             SELECT id FROM auth.api_keys
             WHERE id = ANY ($1) AND revoked_at IS NULL
               AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
             FOR NO KEY UPDATE SKIP LOCKED)
         UPDATE auth.api_keys a SET last_used_at = now() FROM due WHERE a.id = due.id",
        &keys,
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}
