//! SQL on `auth.magic_links`.

use crate::platform::crypto::token::SecretHash;
use crate::platform::db::Conn;
use crate::platform::ids::{EmailId, MagicLinkId};

/// Notes that somebody asked, and ends what was asked for before at the same address. The row waits a day for its mail
/// to leave.
pub async fn insert(
    conn: &mut Conn,
    id: MagicLinkId,
    email: Option<EmailId>,
    request: &SecretHash,
    redirect_to: Option<&str>,
) -> Result<(), sqlx::Error> {
    let email = email.map(|id| id.as_uuid());
    sqlx::query!("DELETE FROM auth.magic_links WHERE email_id = $1 AND used_at IS NULL", email)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "INSERT INTO auth.magic_links (id, email_id, request_hash, redirect_to, expires_at)
         VALUES ($1, $2, $3, $4, now() + interval '24 hours')",
        id.as_uuid(),
        email,
        request.as_bytes(),
        redirect_to,
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Stores what is mailed just now, in place of what an earlier attempt may have mailed; from here ten minutes count.
/// Answers where to return to, or `None` when there is nothing to mail any more.
pub async fn mint(
    conn: &mut Conn,
    id: MagicLinkId,
    secret: &SecretHash,
    code_mac: &[u8; 32],
) -> Result<Option<Option<String>>, sqlx::Error> {
    sqlx::query_scalar!(
        "UPDATE auth.magic_links
         SET secret_hash = $2, code_mac = $3, expires_at = now() + interval '10 minutes'
         WHERE id = $1 AND used_at IS NULL AND expires_at > now()
         RETURNING redirect_to",
        id.as_uuid(),
        secret.as_bytes(),
        code_mac.as_slice(),
    )
    .fetch_optional(&mut *conn)
    .await
}

/// A sign-in by mail that can still be redeemed.
#[derive(Debug)]
pub struct Pending {
    /// The row.
    pub id: MagicLinkId,
    /// Where the mail went; `None` where it went nowhere.
    pub email_id: Option<EmailId>,
    /// SHA-256 of the request's secret.
    pub request_hash: Vec<u8>,
    /// SHA-256 of the link's secret.
    pub secret_hash: Option<Vec<u8>>,
    /// MAC of the code.
    pub code_mac: Option<Vec<u8>>,
}

/// Finds one by its id.
pub async fn find_pending(conn: &mut Conn, id: MagicLinkId) -> Result<Option<Pending>, sqlx::Error> {
    sqlx::query_as!(
        Pending,
        r#"SELECT id AS "id: MagicLinkId", email_id AS "email_id: EmailId", request_hash, secret_hash, code_mac
           FROM auth.magic_links WHERE id = $1 AND used_at IS NULL AND expires_at > now()"#,
        id.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await
}

/// Counts one more try of the code, before it is looked at; `false` when none was left.
pub async fn count_code_attempt(
    conn: &mut Conn,
    id: MagicLinkId,
    max_attempts: i16,
) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.magic_links SET attempts = attempts + 1
         WHERE id = $1 AND used_at IS NULL AND expires_at > now() AND attempts < $2",
        id.as_uuid(),
        max_attempts,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Spends link and code. `false` when somebody else has just done so: single use is this one statement.
pub async fn spend(conn: &mut Conn, id: MagicLinkId) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.magic_links SET used_at = now() WHERE id = $1 AND used_at IS NULL AND expires_at > now()",
        id.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Deletes some that have ended; says how many.
pub async fn purge(conn: &mut Conn, limit: i64) -> Result<u64, sqlx::Error> {
    let result = sqlx::query!(
        "DELETE FROM auth.magic_links WHERE id IN (
             SELECT id FROM auth.magic_links WHERE expires_at < now() - interval '1 day'
             LIMIT $1 FOR UPDATE SKIP LOCKED)",
        limit,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected())
}
