//! SQL on `auth.sign_in_attempts`, and what a decision at the door reads of a user.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::attempts::OpenAttempt;
use super::model::Wish;
use crate::platform::crypto::token::{Attempt, SecretHash, Token};
use crate::platform::db::Conn;
use crate::platform::ids::{AttemptId, UserId};
use crate::sessions::model::MemberLimits;

/// How long sessions of a user may live by the wish of organizations that the user belongs to: the shortest counts.
///
/// Holds those organizations' rows: a limit that is set at this moment finds the session that is being made, or is found
/// by it.
pub async fn member_limits(conn: &mut Conn, user: UserId) -> Result<MemberLimits, sqlx::Error> {
    let row = sqlx::query!(
        "SELECT min(o.session_idle_seconds) AS idle, min(o.session_absolute_seconds) AS absolute
         FROM (SELECT o.session_idle_seconds, o.session_absolute_seconds
               FROM auth.organization_members m JOIN auth.organizations o ON o.id = m.organization_id
               WHERE m.user_id = $1 ORDER BY o.id FOR SHARE OF o) o",
        user.as_uuid(),
    )
    .fetch_one(&mut *conn)
    .await?;
    let seconds =
        |found: Option<i32>| found.and_then(|found| u64::try_from(found).ok()).map(Duration::from_secs);
    Ok(MemberLimits { idle: seconds(row.idle), absolute: seconds(row.absolute) })
}

/// Tells one password of a user from the next, and one authenticator app; 0 where there is none.
pub async fn credential_epoch(conn: &mut Conn, user: UserId) -> Result<[i64; 2], sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT coalesce((SELECT (extract(epoch FROM changed_at) * 1000000)::bigint
                            FROM auth.passwords WHERE user_id = $1), 0) AS "password!",
                  coalesce((SELECT (extract(epoch FROM max(activated_at)) * 1000000)::bigint
                            FROM auth.totp_factors WHERE user_id = $1), 0) AS "factor!""#,
        user.as_uuid(),
    )
    .fetch_one(&mut *conn)
    .await?;
    Ok([row.password, row.factor])
}

/// Stores an attempt under the hash of its token's secret; answers when it ends.
pub async fn insert(
    conn: &mut Conn,
    token: &Token<Attempt>,
    user: UserId,
    first_amr: &str,
    wish: Wish,
) -> Result<DateTime<Utc>, sqlx::Error> {
    let secret_hash = token.hash();
    sqlx::query_scalar!(
        "INSERT INTO auth.sign_in_attempts (id, user_id, secret_hash, first_amr, refresh_token, expires_at)
         VALUES ($1, $2, $3, $4, $5, now() + interval '10 minutes')
         RETURNING expires_at",
        token.id(),
        user.as_uuid(),
        secret_hash.as_bytes(),
        first_amr,
        wish.refresh_token,
    )
    .fetch_one(&mut *conn)
    .await
}

/// The unspent attempt of this id, provided that the presented secret is its own.
pub async fn find_open(
    conn: &mut Conn,
    id: AttemptId,
    presented: &SecretHash,
    most_tries: i16,
) -> Result<Option<OpenAttempt>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT user_id AS "user_id: UserId", secret_hash, first_amr, refresh_token
           FROM auth.sign_in_attempts
           WHERE id = $1 AND used_at IS NULL AND expires_at > now() AND tries < $2"#,
        id.as_uuid(),
        most_tries,
    )
    .fetch_optional(&mut *conn)
    .await?;
    Ok(row.filter(|row| presented.matches(&row.secret_hash)).map(|row| OpenAttempt {
        id,
        user_id: row.user_id,
        first_amr: row.first_amr,
        wish: Wish { refresh_token: row.refresh_token },
    }))
}

/// Counts one try. `false` when the attempt had none left, was spent or has ended.
pub async fn count_try(conn: &mut Conn, id: AttemptId, most_tries: i16) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.sign_in_attempts SET tries = tries + 1
         WHERE id = $1 AND used_at IS NULL AND expires_at > now() AND tries < $2",
        id.as_uuid(),
        most_tries,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Spends an attempt. `false` when somebody else has just done so: single use is this one statement. Tries do not
/// count here: the last one may be the right one.
pub async fn spend(conn: &mut Conn, id: AttemptId) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.sign_in_attempts SET used_at = now()
         WHERE id = $1 AND used_at IS NULL AND expires_at > now()",
        id.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Deletes the attempts of a user that wait, all but one perhaps.
pub async fn delete_open(conn: &mut Conn, user: UserId, but: Option<AttemptId>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM auth.sign_in_attempts WHERE user_id = $1 AND used_at IS NULL AND id IS DISTINCT FROM $2",
        user.as_uuid(),
        but.map(|id| id.as_uuid()),
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Deletes some attempts that have long ended; says how many.
pub async fn purge(conn: &mut Conn, limit: i64) -> Result<u64, sqlx::Error> {
    let result = sqlx::query!(
        "DELETE FROM auth.sign_in_attempts WHERE id IN (
             SELECT id FROM auth.sign_in_attempts WHERE expires_at < now() - interval '1 hour'
             LIMIT $1 FOR UPDATE SKIP LOCKED)",
        limit,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected())
}
