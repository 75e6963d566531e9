//! SQL on `auth.passwords` and `auth.password_resets`.

use chrono::{DateTime, Utc};

use crate::platform::crypto::token::SecretHash;
use crate::platform::db::Conn;
use crate::platform::ids::{EmailId, PasswordResetId, UserId};

/// A password as it is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its hash.
    pub hash: String,
    /// Tells this password from the next; a better hash of the same one does not change it.
    pub changed_at: DateTime<Utc>,
}

/// Reads a user's password.
pub async fn find(conn: &mut Conn, user: UserId) -> Result<Option<Stored>, sqlx::Error> {
    sqlx::query_as!(Stored, "SELECT hash, changed_at FROM auth.passwords WHERE user_id = $1", user.as_uuid())
        .fetch_optional(&mut *conn)
        .await
}

/// Whether a user's password is still the one that was read before, or is still none. To be asked behind the lock on
/// the user's row, without which nobody changes it.
pub async fn unchanged(conn: &mut Conn, user: UserId, read: Option<&Stored>) -> Result<bool, sqlx::Error> {
    let now = find(conn, user).await?;
    Ok(now.map(|stored| stored.changed_at) == read.map(|stored| stored.changed_at))
}

/// Sets or replaces a user's hash.
pub async fn upsert(conn: &mut Conn, user: UserId, hash: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO auth.passwords (user_id, hash) VALUES ($1, $2)
         ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, changed_at = now()",
        user.as_uuid(),
        hash,
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Replaces a hash by one of the same password with current parameters, unless it has changed meanwhile.
pub async fn rehash(conn: &mut Conn, user: UserId, old: &str, new: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE auth.passwords SET hash = $3 WHERE user_id = $1 AND hash = $2",
        user.as_uuid(),
        old,
        new,
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Removes a user's password; `false` when there was none.
pub async fn delete(conn: &mut Conn, user: UserId) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!("DELETE FROM auth.passwords WHERE user_id = $1", user.as_uuid())
        .execute(&mut *conn)
        .await?;
    Ok(result.rows_affected() == 1)
}

/// Notes that somebody asked for a reset, and ends what was asked for before at the same address. The row waits a day
/// for its mail to leave.
pub async fn insert_reset(
    conn: &mut Conn,
    id: PasswordResetId,
    email: Option<EmailId>,
) -> Result<(), sqlx::Error> {
    let email = email.map(|id| id.as_uuid());
    // First the row that refers to the address and so holds it: whoever removes the address waits here, not further on
    // with a lock that we would wait for.
    sqlx::query!(
        "INSERT INTO auth.password_resets (id, email_id, expires_at) VALUES ($1, $2, now() + interval '24 hours')",
        id.as_uuid(),
        email,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "DELETE FROM auth.password_resets WHERE email_id = $1 AND used_at IS NULL AND id <> $2",
        email,
        id.as_uuid()
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Stores what is mailed just now, in place of what an earlier attempt may have mailed; from here 30 minutes count.
/// `false` when there is nothing to mail any more.
pub async fn mint_reset(
    conn: &mut Conn,
    id: PasswordResetId,
    secret: &SecretHash,
) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.password_resets SET secret_hash = $2, expires_at = now() + interval '30 minutes'
         WHERE id = $1 AND used_at IS NULL AND expires_at > now()",
        id.as_uuid(),
        secret.as_bytes(),
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// A reset that can still be redeemed.
#[derive(Debug)]
pub struct Pending {
    /// Where the mail went.
    pub email_id: EmailId,
    /// SHA-256 of the link's secret.
    pub secret_hash: Vec<u8>,
}

/// Finds a mailed reset by the id in its link.
pub async fn find_reset(conn: &mut Conn, id: PasswordResetId) -> Result<Option<Pending>, sqlx::Error> {
    sqlx::query_as!(
        Pending,
        r#"SELECT email_id AS "email_id!: EmailId", secret_hash AS "secret_hash!"
           FROM auth.password_resets
           WHERE id = $1 AND used_at IS NULL AND expires_at > now()
             AND email_id IS NOT NULL AND secret_hash IS NOT NULL"#,
        id.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await
}

/// Spends a reset. `false` when somebody else has just done so: single use is this one statement.
pub async fn use_reset(conn: &mut Conn, id: PasswordResetId) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.password_resets SET used_at = now()
         WHERE id = $1 AND used_at IS NULL AND expires_at > now()",
        id.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Deletes some resets that have ended; says how many.
pub async fn purge_resets(conn: &mut Conn, limit: i64) -> Result<u64, sqlx::Error> {
    let result = sqlx::query!(
        "DELETE FROM auth.password_resets WHERE id IN (
             SELECT id FROM auth.password_resets WHERE expires_at < now() - interval '1 day'
             LIMIT $1 FOR UPDATE SKIP LOCKED)",
        limit,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected())
}
