//! SQL on `auth.totp_factors` and `auth.totp_recovery_codes`.

use super::model::{FactorRow, Kind};
use crate::platform::crypto::token::SecretHash;
use crate::platform::crypto::totp::STEP_SECONDS;
use crate::platform::db::Conn;
use crate::platform::ids::{AttemptId, FactorId, UserId};
use crate::platform::sealed::sealed_column;

sealed_column! {
    /// `auth.totp_factors.sealed_seed`.
    SealedSeed = "auth.totp_factors", "sealed_seed"
}

struct Row {
    id: FactorId,
    name: Option<String>,
    created_at: chrono::DateTime<chrono::Utc>,
    activated_at: Option<chrono::DateTime<chrono::Utc>>,
    last_used_at: Option<chrono::DateTime<chrono::Utc>>,
}

impl From<Row> for FactorRow {
    fn from(row: Row) -> Self {
        let Row { id, name, created_at, activated_at, last_used_at } = row;
        let active = activated_at.is_some();
        Self { id, kind: Kind::Totp, name, active, created_at, activated_at, last_used_at }
    }
}

/// Lists a user's factors, those that wait for their first code too, oldest first.
pub async fn list(conn: &mut Conn, user: UserId) -> Result<Vec<FactorRow>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id AS "id: FactorId", name, created_at, activated_at, last_used_at
           FROM auth.totp_factors WHERE user_id = $1 AND attempt_id IS NULL ORDER BY id"#,
        user.as_uuid(),
    )
    .fetch_all(&mut *conn)
    .await?;
    Ok(rows.into_iter().map(FactorRow::from).collect())
}

/// One factor of a user.
pub async fn find(conn: &mut Conn, user: UserId, id: FactorId) -> Result<Option<FactorRow>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id AS "id: FactorId", name, created_at, activated_at, last_used_at
           FROM auth.totp_factors WHERE user_id = $1 AND id = $2 AND attempt_id IS NULL"#,
        user.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    Ok(row.map(FactorRow::from))
}

/// How many active factors a user has.
pub async fn count_active(conn: &mut Conn, user: UserId) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM auth.totp_factors WHERE user_id = $1 AND activated_at IS NOT NULL"#,
        user.as_uuid(),
    )
    .fetch_one(&mut *conn)
    .await
}

/// A factor about to be enrolled.
#[derive(Debug)]
pub struct NewFactor<'a> {
    /// Its id, which the sealed seed is bound to.
    pub id: FactorId,
    /// Whose.
    pub user: UserId,
    /// The half-finished sign-in that enrols it, where it is one.
    pub attempt: Option<AttemptId>,
    /// The owner's own name for the device.
    pub name: Option<&'a str>,
    /// The seed.
    pub sealed_seed: &'a [u8],
}

/// Enrols a factor, in place of the one that waited on the same way in.
pub async fn insert(conn: &mut Conn, new: &NewFactor<'_>) -> Result<(), sqlx::Error> {
    let attempt = new.attempt.map(|id| id.as_uuid());
    sqlx::query!(
        "DELETE FROM auth.totp_factors
         WHERE user_id = $1 AND activated_at IS NULL AND attempt_id IS NOT DISTINCT FROM $2",
        new.user.as_uuid(),
        attempt,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO auth.totp_factors (id, user_id, attempt_id, name, sealed_seed) VALUES ($1, $2, $3, $4, $5)",
        new.id.as_uuid(),
        new.user.as_uuid(),
        attempt,
        new.name,
        new.sealed_seed,
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Which factors of a user a code may be of.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    /// Any active one.
    Active,
    /// This active one.
    This(FactorId),
    /// This one, which waits for its first code.
    Pending(FactorId),
    /// The one that waits and was enrolled by this half-finished sign-in.
    PendingOf(AttemptId),
}

/// What a code is compared with.
#[derive(Debug)]
pub struct Candidate {
    /// The factor.
    pub id: FactorId,
    /// Its seed.
    pub sealed_seed: Vec<u8>,
    /// The newest step accepted so far.
    pub last_step: i64,
    /// The present step, by the database's clock.
    pub now: i64,
}

/// Reads what a code may be of. Who enrols has an hour to present the first code.
pub async fn candidates(conn: &mut Conn, user: UserId, which: Which) -> Result<Vec<Candidate>, sqlx::Error> {
    let (id, active, attempt) = match which {
        Which::Active => (None, true, None),
        Which::This(id) => (Some(id.as_uuid()), true, None),
        Which::Pending(id) => (Some(id.as_uuid()), false, None),
        Which::PendingOf(attempt) => (None, false, Some(attempt.as_uuid())),
    };
    sqlx::query_as!(
        Candidate,
        r#"SELECT id AS "id: FactorId", sealed_seed, last_step,
                  floor(extract(epoch FROM statement_timestamp()) / $5::int4)::bigint AS "now!"
           FROM auth.totp_factors
           WHERE user_id = $1 AND ($2::uuid IS NULL OR id = $2) AND (activated_at IS NOT NULL) = $3
             AND attempt_id IS NOT DISTINCT FROM $4
             AND (activated_at IS NOT NULL OR created_at > now() - interval '1 hour')
           ORDER BY id"#,
        user.as_uuid(),
        id,
        active,
        attempt,
        STEP_SECONDS,
    )
    .fetch_all(&mut *conn)
    .await
}

/// Accepts a step. `false` when it, or a newer one, has been accepted meanwhile: once is this one statement.
pub async fn accept(conn: &mut Conn, id: FactorId, step: i64) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.totp_factors SET last_step = $2, last_used_at = now()
         WHERE id = $1 AND last_step < $2 AND activated_at IS NOT NULL",
        id.as_uuid(),
        step,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Makes a factor of one that waited. `None` when somebody has just done so, or it is gone.
pub async fn activate(conn: &mut Conn, id: FactorId, step: i64) -> Result<Option<FactorRow>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"UPDATE auth.totp_factors
           SET activated_at = now(), last_used_at = now(), last_step = $2, attempt_id = NULL
           WHERE id = $1 AND activated_at IS NULL
           RETURNING id AS "id: FactorId", name, created_at, activated_at, last_used_at"#,
        id.as_uuid(),
        step,
    )
    .fetch_optional(&mut *conn)
    .await?;
    Ok(row.map(FactorRow::from))
}

/// Deletes the factors of a user whose first code has not come.
pub async fn delete_pending(conn: &mut Conn, user: UserId) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM auth.totp_factors WHERE user_id = $1 AND activated_at IS NULL", user.as_uuid())
        .execute(&mut *conn)
        .await?;
    Ok(())
}

/// Names a factor; `None` clears the name.
pub async fn rename(
    conn: &mut Conn,
    user: UserId,
    id: FactorId,
    name: Option<&str>,
) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.totp_factors SET name = $3 WHERE user_id = $1 AND id = $2 AND attempt_id IS NULL",
        user.as_uuid(),
        id.as_uuid(),
        name,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Removes a factor; says whether it was active. `None` when there is none such.
pub async fn delete(conn: &mut Conn, user: UserId, id: FactorId) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"DELETE FROM auth.totp_factors WHERE user_id = $1 AND id = $2
           RETURNING activated_at IS NOT NULL AS "active!""#,
        user.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await
}

/// How many recovery codes a user has left.
pub async fn count_codes(conn: &mut Conn, user: UserId) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM auth.totp_recovery_codes WHERE user_id = $1 AND used_at IS NULL"#,
        user.as_uuid(),
    )
    .fetch_one(&mut *conn)
    .await
}

/// Puts a new set in the place of the former one.
pub async fn replace_codes(conn: &mut Conn, user: UserId, hashes: &[SecretHash]) -> Result<(), sqlx::Error> {
    delete_codes(conn, user).await?;
    let hashes: Vec<Vec<u8>> = hashes.iter().map(|hash| hash.as_bytes().to_vec()).collect();
    sqlx::query!(
        "INSERT INTO auth.totp_recovery_codes (user_id, code_hash) SELECT $1, unnest($2::bytea[])",
        user.as_uuid(),
        &hashes,
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Spends a recovery code. `false` when there is none such or it is spent: single use is this one statement.
pub async fn use_code(conn: &mut Conn, user: UserId, hash: &SecretHash) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.totp_recovery_codes SET used_at = now()
         WHERE user_id = $1 AND code_hash = $2 AND used_at IS NULL",
        user.as_uuid(),
        hash.as_bytes(),
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Forgets a user's recovery codes.
pub async fn delete_codes(conn: &mut Conn, user: UserId) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM auth.totp_recovery_codes WHERE user_id = $1", user.as_uuid())
        .execute(&mut *conn)
        .await?;
    Ok(())
}

/// Deletes some factors whose first code never came; says how many.
pub async fn purge(conn: &mut Conn, limit: i64) -> Result<u64, sqlx::Error> {
    let result = sqlx::query!(
        "DELETE FROM auth.totp_factors WHERE id IN (
             SELECT id FROM auth.totp_factors
             WHERE activated_at IS NULL AND created_at < now() - interval '1 day'
             LIMIT $1 FOR UPDATE SKIP LOCKED)",
        limit,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected())
}
