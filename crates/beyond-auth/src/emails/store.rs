//! SQL on `auth.emails` and `auth.email_verifications`.

use super::address::Email;
use super::model::EmailRow;
use crate::platform::crypto::token::SecretHash;
use crate::platform::db::Conn;
use crate::platform::ids::{EmailId, UserId, VerificationId};

/// Adds an address to a user.
///
/// # Errors
/// Violates `emails_verified_canonical_key` when `verified` and the address is somebody's already.
pub async fn insert(
    conn: &mut Conn,
    user: UserId,
    email: &Email,
    primary: bool,
    verified: bool,
) -> Result<EmailId, sqlx::Error> {
    let id = EmailId::new();
    sqlx::query!(
        "INSERT INTO auth.emails (id, user_id, address, canonical, is_primary, verified_at)
         VALUES ($1, $2, $3, $4, $5, CASE WHEN $6 THEN now() END)",
        id.as_uuid(),
        user.as_uuid(),
        email.address(),
        email.canonical(),
        primary,
        verified,
    )
    .execute(&mut *conn)
    .await?;
    Ok(id)
}

/// Serialises everything that makes or proves a claim on one address, until the transaction ends.
pub async fn lock_address(conn: &mut Conn, email: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended($1, 7402))", email)
        .execute(&mut *conn)
        .await?;
    Ok(())
}

/// The one verified row of an address.
pub async fn find_verified(conn: &mut Conn, canonical: &str) -> Result<Option<EmailRow>, sqlx::Error> {
    sqlx::query_as!(
        EmailRow,
        r#"SELECT id AS "id: EmailId", user_id AS "user_id: UserId", address, canonical, is_primary AS "primary",
                  verified_at, created_at
           FROM auth.emails WHERE canonical = $1 AND verified_at IS NOT NULL"#,
        canonical,
    )
    .fetch_optional(&mut *conn)
    .await
}

/// The newest primary claim on an address that nobody has proven.
pub async fn find_claim(conn: &mut Conn, email: &Email) -> Result<Option<EmailRow>, sqlx::Error> {
    sqlx::query_as!(
        EmailRow,
        r#"SELECT id AS "id: EmailId", user_id AS "user_id: UserId", address, canonical, is_primary AS "primary",
                  verified_at, created_at
           FROM auth.emails WHERE canonical = $1 AND verified_at IS NULL AND is_primary
           ORDER BY id DESC LIMIT 1"#,
        email.canonical(),
    )
    .fetch_optional(&mut *conn)
    .await
}

/// Whom an address stands for: its owner, or else the newest sign-up that claims it. One statement for all, so that
/// its time tells nothing.
pub async fn find_holder(conn: &mut Conn, email: &Email) -> Result<Option<EmailRow>, sqlx::Error> {
    sqlx::query_as!(
        EmailRow,
        r#"SELECT id AS "id: EmailId", user_id AS "user_id: UserId", address, canonical, is_primary AS "primary",
                  verified_at, created_at
           FROM auth.emails WHERE canonical = $1 AND (verified_at IS NOT NULL OR is_primary)
           ORDER BY verified_at IS NULL, id DESC LIMIT 1"#,
        email.canonical(),
    )
    .fetch_optional(&mut *conn)
    .await
}

/// One row.
pub async fn find(conn: &mut Conn, id: EmailId) -> Result<Option<EmailRow>, sqlx::Error> {
    sqlx::query_as!(
        EmailRow,
        r#"SELECT id AS "id: EmailId", user_id AS "user_id: UserId", address, canonical, is_primary AS "primary",
                  verified_at, created_at
           FROM auth.emails WHERE id = $1"#,
        id.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await
}

/// All rows of a user, the primary one first.
pub async fn list(conn: &mut Conn, user: UserId) -> Result<Vec<EmailRow>, sqlx::Error> {
    sqlx::query_as!(
        EmailRow,
        r#"SELECT id AS "id: EmailId", user_id AS "user_id: UserId", address, canonical, is_primary AS "primary",
                  verified_at, created_at
           FROM auth.emails WHERE user_id = $1 ORDER BY is_primary DESC, id"#,
        user.as_uuid(),
    )
    .fetch_all(&mut *conn)
    .await
}

/// Turns a claim into proof.
///
/// # Errors
/// Violates `emails_verified_canonical_key` when somebody else has proven the address first.
pub async fn verify(conn: &mut Conn, id: EmailId) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.emails SET verified_at = now() WHERE id = $1 AND verified_at IS NULL",
        id.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Removes an address and what is pending on it.
pub async fn delete(conn: &mut Conn, id: EmailId) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM auth.emails WHERE id = $1", id.as_uuid()).execute(&mut *conn).await?;
    Ok(())
}

/// Makes one address of a user the primary one.
pub async fn set_primary(conn: &mut Conn, user: UserId, id: EmailId) -> Result<(), sqlx::Error> {
    // Two statements: a unique index is checked row by row.
    sqlx::query!(
        "UPDATE auth.emails SET is_primary = false WHERE user_id = $1 AND is_primary",
        user.as_uuid()
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE auth.emails SET is_primary = true WHERE id = $1 AND user_id = $2",
        id.as_uuid(),
        user.as_uuid()
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Removes all addresses of a user but one.
pub async fn delete_others(conn: &mut Conn, user: UserId, id: EmailId) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM auth.emails WHERE user_id = $1 AND id <> $2", user.as_uuid(), id.as_uuid())
        .execute(&mut *conn)
        .await?;
    Ok(())
}

/// Ends every other claim on an address that has just been proven. Whose primary address it was claimed as, without
/// ever proving another, was a sign-up that never finished, and goes altogether. An account that lives keeps its row,
/// without what was mailed for it: it proves nothing, and its disappearance would tell that somebody has the address.
pub async fn end_rival_claims(conn: &mut Conn, canonical: &str, owner: UserId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH rivals AS (
             SELECT id, user_id, is_primary FROM auth.emails
             WHERE canonical = $1 AND user_id <> $2 AND verified_at IS NULL),
         pending AS (
             DELETE FROM auth.email_verifications v USING rivals r WHERE v.email_id = r.id AND v.used_at IS NULL)
         DELETE FROM auth.users u USING rivals r
         WHERE u.id = r.user_id AND r.is_primary
           AND NOT EXISTS (SELECT FROM auth.emails e WHERE e.user_id = u.id AND e.verified_at IS NOT NULL)",
        canonical,
        owner.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Stores a verification and supersedes the earlier ones of the same address row.
pub async fn insert_verification(
    conn: &mut Conn,
    id: VerificationId,
    email: EmailId,
    secret: &SecretHash,
    code_mac: &[u8; 32],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM auth.email_verifications WHERE email_id = $1 AND used_at IS NULL",
        email.as_uuid()
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO auth.email_verifications (id, email_id, secret_hash, code_mac, expires_at)
         VALUES ($1, $2, $3, $4, now() + interval '24 hours')",
        id.as_uuid(),
        email.as_uuid(),
        secret.as_bytes(),
        code_mac.as_slice(),
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// A verification that can still be redeemed.
#[derive(Debug)]
pub struct Pending {
    /// The row.
    pub id: VerificationId,
    /// What it proves.
    pub email_id: EmailId,
    /// SHA-256 of the link's secret.
    pub secret_hash: Vec<u8>,
    /// MAC of the code.
    pub code_mac: Vec<u8>,
}

/// Finds a redeemable verification by the id in its link.
pub async fn find_pending(conn: &mut Conn, id: VerificationId) -> Result<Option<Pending>, sqlx::Error> {
    sqlx::query_as!(
        Pending,
        r#"SELECT id AS "id: VerificationId", email_id AS "email_id: EmailId", secret_hash, code_mac
           FROM auth.email_verifications WHERE id = $1 AND used_at IS NULL AND expires_at > now()"#,
        id.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await
}

/// Counts one more try against every redeemable code sent to an address, before any is looked at, and answers
/// those that still had one left.
pub async fn count_code_attempt(
    conn: &mut Conn,
    email: &Email,
    max_attempts: i16,
) -> Result<Vec<Pending>, sqlx::Error> {
    sqlx::query_as!(
        Pending,
        r#"UPDATE auth.email_verifications v SET attempts = attempts + 1
           FROM auth.emails e
           WHERE e.id = v.email_id AND e.canonical = $1 AND e.verified_at IS NULL
             AND v.used_at IS NULL AND v.expires_at > now() AND v.attempts < $2
           RETURNING v.id AS "id: VerificationId", v.email_id AS "email_id: EmailId", v.secret_hash, v.code_mac"#,
        email.canonical(),
        max_attempts,
    )
    .fetch_all(&mut *conn)
    .await
}

/// Spends a verification. `false` when somebody else has just done so: single use is this one statement.
pub async fn use_verification(conn: &mut Conn, id: VerificationId) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.email_verifications SET used_at = now()
         WHERE id = $1 AND used_at IS NULL AND expires_at > now()",
        id.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Deletes what was mailed to a user and could still be redeemed; `only` to one address. Without `primary`, the
/// verification of the primary address stays. Verifications that wait to be mailed are not rows yet: see
/// [`delete_unproven`].
pub async fn delete_pending(
    conn: &mut Conn,
    user: UserId,
    only: Option<EmailId>,
    primary: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH addresses AS (
             SELECT id, is_primary FROM auth.emails WHERE user_id = $1 AND ($2::uuid IS NULL OR id = $2)),
         links AS (
             DELETE FROM auth.magic_links l USING addresses a WHERE l.email_id = a.id AND l.used_at IS NULL),
         resets AS (
             DELETE FROM auth.password_resets r USING addresses a WHERE r.email_id = a.id AND r.used_at IS NULL)
         DELETE FROM auth.email_verifications v USING addresses a
         WHERE v.email_id = a.id AND v.used_at IS NULL AND ($3 OR NOT a.is_primary)",
        user.as_uuid(),
        only.map(|id| id.as_uuid()),
        primary,
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Deletes the further addresses of a user that are not proven, with the mails that wait for them.
pub async fn delete_unproven(conn: &mut Conn, user: UserId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM auth.emails WHERE user_id = $1 AND verified_at IS NULL AND NOT is_primary",
        user.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Deletes some verifications that have ended; says how many.
pub async fn purge_verifications(conn: &mut Conn, limit: i64) -> Result<u64, sqlx::Error> {
    let result = sqlx::query!(
        "DELETE FROM auth.email_verifications WHERE id IN (
             SELECT id FROM auth.email_verifications WHERE expires_at < now() - interval '1 day'
             LIMIT $1 FOR UPDATE SKIP LOCKED)",
        limit,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected())
}
