//! SQL on `auth.oauth_tokens`.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::platform::db::Conn;
use crate::platform::ids::{IdentityId, UserId};
use crate::platform::sealed::sealed_column;

sealed_column! {
    /// `auth.oauth_tokens.sealed_tokens`.
    SealedTokens = "auth.oauth_tokens", "sealed_tokens"
}

/// A row as it is written.
#[derive(Debug)]
pub struct Written<'a> {
    /// The row.
    pub id: Uuid,
    /// Access and refresh token, sealed.
    pub sealed: &'a [u8],
    /// When the access token ends, in seconds since 1970.
    pub expires_at: Option<i64>,
    /// What it may do.
    pub scope: Option<&'a str>,
}

/// What is kept for an identity, held until the transaction ends.
pub async fn lock(conn: &mut Conn, identity: IdentityId) -> Result<Option<(Uuid, Vec<u8>)>, sqlx::Error> {
    let row = sqlx::query!(
        "SELECT id, sealed_tokens FROM auth.oauth_tokens WHERE identity_id = $1 FOR UPDATE",
        identity.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    Ok(row.map(|row| (row.id, row.sealed_tokens)))
}

/// Keeps tokens for an identity.
pub async fn insert(
    conn: &mut Conn,
    identity: IdentityId,
    provider: &str,
    tokens: &Written<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO auth.oauth_tokens (id, identity_id, provider_id, sealed_tokens, access_expires_at, scope)
         VALUES ($1, $2, $3, $4, to_timestamp($5::bigint), $6)",
        tokens.id,
        identity.as_uuid(),
        provider,
        tokens.sealed,
        tokens.expires_at,
        tokens.scope,
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Replaces what is kept, whether or not the identity is still there: what is left is revoked.
pub async fn update(conn: &mut Conn, tokens: &Written<'_>) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.oauth_tokens
         SET sealed_tokens = $2, access_expires_at = to_timestamp($3::bigint), scope = coalesce($4, scope),
             refreshing_until = NULL, updated_at = clock_timestamp()
         WHERE id = $1",
        tokens.id,
        tokens.sealed,
        tokens.expires_at,
        tokens.scope,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// What is kept for an identity of a user.
#[derive(Debug)]
pub struct Stored {
    /// The provider's id.
    pub provider_id: String,
    /// The row; `None` where nothing is kept.
    pub id: Option<Uuid>,
    /// Access and refresh token, sealed.
    pub sealed: Option<Vec<u8>>,
    /// When the access token ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether it is good for a while.
    pub fresh: bool,
    /// What it may do.
    pub scope: Option<String>,
    /// When the row was last written.
    pub updated_at: Option<DateTime<Utc>>,
}

/// Reads what is kept for an identity of a user; `None` where the user has no such identity.
pub async fn find(
    conn: &mut Conn,
    user: UserId,
    identity: IdentityId,
) -> Result<Option<Stored>, sqlx::Error> {
    sqlx::query_as!(
        Stored,
        r#"SELECT i.provider_id, t.id AS "id?", t.sealed_tokens AS "sealed?", t.access_expires_at AS "expires_at?",
                  coalesce(t.access_expires_at > now() + interval '1 minute', true) AS "fresh!", t.scope AS "scope?",
                  t.updated_at AS "updated_at?"
           FROM auth.identities i LEFT JOIN auth.oauth_tokens t ON t.identity_id = i.id
           WHERE i.id = $1 AND i.user_id = $2"#,
        identity.as_uuid(),
        user.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await
}

/// Sets out to ask the provider for a new access token: `false` where somebody else has and may still be back, or has
/// written the row since it was `seen`: its refresh token may be another one by now.
pub async fn claim(conn: &mut Conn, id: Uuid, seen: Option<DateTime<Utc>>) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.oauth_tokens SET refreshing_until = now() + interval '15 seconds'
         WHERE id = $1 AND updated_at = $2 AND (refreshing_until IS NULL OR refreshing_until < now())",
        id,
        seen,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Comes back with nothing: somebody else may ask.
pub async fn release(conn: &mut Conn, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE auth.oauth_tokens SET refreshing_until = NULL WHERE id = $1", id)
        .execute(&mut *conn)
        .await?;
    Ok(())
}

/// Tokens of an identity that is gone.
#[derive(Debug)]
pub struct Orphan {
    /// The row.
    pub id: Uuid,
    /// Whose they are to be given back to.
    pub provider_id: String,
    /// Access and refresh token, sealed.
    pub sealed_tokens: Vec<u8>,
    /// How often that has been tried, this time included.
    pub revoke_tries: i16,
}

/// Takes the tokens that are next to be revoked, and puts off the next try: further each time, up to six hours.
pub async fn take_orphan(conn: &mut Conn) -> Result<Option<Orphan>, sqlx::Error> {
    sqlx::query_as!(
        Orphan,
        "UPDATE auth.oauth_tokens
         SET revoke_tries = revoke_tries + 1,
             revoke_at = now() + least(interval '1 minute' * power(2, revoke_tries), interval '6 hours')
         WHERE id = (SELECT id FROM auth.oauth_tokens
                     WHERE identity_id IS NULL AND revoke_at <= now()
                       AND (refreshing_until IS NULL OR refreshing_until < now())
                     ORDER BY revoke_at LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING id, provider_id, sealed_tokens, revoke_tries"
    )
    .fetch_optional(&mut *conn)
    .await
}

/// In how many seconds the next tokens are to be revoked; `None` where there are none.
pub async fn next_orphan(conn: &mut Conn) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT ceil(extract(epoch FROM min(greatest(revoke_at, refreshing_until)) - now()))::bigint
         FROM auth.oauth_tokens WHERE identity_id IS NULL"
    )
    .fetch_one(&mut *conn)
    .await
}

/// Forgets tokens.
pub async fn delete(conn: &mut Conn, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM auth.oauth_tokens WHERE id = $1", id).execute(&mut *conn).await?;
    Ok(())
}
