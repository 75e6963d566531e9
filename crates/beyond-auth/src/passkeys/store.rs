//! SQL on `auth.passkeys` and `auth.passkey_challenges`.

use chrono::{DateTime, Utc};

use super::ceremony::{CHALLENGE_LEN, Descriptor, Known, Registered, Used};
use super::model::{Passkey, Purpose, Stored};
use crate::platform::db::Conn;
use crate::platform::ids::{ChallengeId, PasskeyId, UserId};

/// Stores a challenge; answers when it ends.
pub async fn insert_challenge(
    conn: &mut Conn,
    id: ChallengeId,
    purpose: Purpose,
    challenge: &[u8; CHALLENGE_LEN],
) -> Result<DateTime<Utc>, sqlx::Error> {
    let (purpose, subject) = purpose.parts();
    sqlx::query_scalar!(
        "INSERT INTO auth.passkey_challenges (id, purpose, subject_id, challenge, expires_at)
         VALUES ($1, $2, $3, $4, now() + interval '5 minutes')
         RETURNING expires_at",
        id.as_uuid(),
        purpose,
        subject,
        challenge.as_slice(),
    )
    .fetch_one(&mut *conn)
    .await
}

/// Spends a challenge, provided that it was made for just this: single use is this one statement.
pub async fn take_challenge(
    conn: &mut Conn,
    id: ChallengeId,
    purpose: Purpose,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let (purpose, subject) = purpose.parts();
    sqlx::query_scalar!(
        "DELETE FROM auth.passkey_challenges
         WHERE id = $1 AND purpose = $2 AND subject_id IS NOT DISTINCT FROM $3 AND expires_at > now()
         RETURNING challenge",
        id.as_uuid(),
        purpose,
        subject,
    )
    .fetch_optional(&mut *conn)
    .await
}

/// Deletes some challenges that have ended; says how many.
pub async fn purge(conn: &mut Conn, limit: i64) -> Result<u64, sqlx::Error> {
    let result = sqlx::query!(
        "DELETE FROM auth.passkey_challenges WHERE id IN (
             SELECT id FROM auth.passkey_challenges WHERE expires_at < now()
             LIMIT $1 FOR UPDATE SKIP LOCKED)",
        limit,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected())
}

/// A user's passkeys, oldest first.
pub async fn list(conn: &mut Conn, user: UserId) -> Result<Vec<Passkey>, sqlx::Error> {
    sqlx::query_as!(
        Passkey,
        r#"SELECT id AS "id: PasskeyId", name, backup_eligible, backed_up, user_verified, discoverable, transports,
                  aaguid, created_at, last_used_at
           FROM auth.passkeys WHERE user_id = $1 ORDER BY id"#,
        user.as_uuid(),
    )
    .fetch_all(&mut *conn)
    .await
}

/// A user's passkeys as browsers are told of them.
pub async fn descriptors(conn: &mut Conn, user: UserId) -> Result<Vec<Descriptor>, sqlx::Error> {
    sqlx::query_as!(
        Descriptor,
        "SELECT credential_id, transports FROM auth.passkeys WHERE user_id = $1 ORDER BY id",
        user.as_uuid(),
    )
    .fetch_all(&mut *conn)
    .await
}

/// The passkey that an authenticator calls by this name.
pub async fn find_by_credential(
    conn: &mut Conn,
    credential_id: &[u8],
) -> Result<Option<Stored>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT id AS "id: PasskeyId", user_id AS "user_id: UserId", public_key, sign_count, backup_eligible,
                  user_verified
           FROM auth.passkeys WHERE credential_id = $1"#,
        credential_id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    Ok(row.map(|row| Stored {
        id: row.id,
        known: Known {
            user_id: row.user_id,
            public_key: row.public_key,
            sign_count: u32::try_from(row.sign_count).unwrap_or(u32::MAX),
            backup_eligible: row.backup_eligible,
        },
        user_verified: row.user_verified,
    }))
}

/// Stores a passkey.
pub async fn insert(
    conn: &mut Conn,
    user: UserId,
    registered: &Registered,
    name: &str,
) -> Result<Passkey, sqlx::Error> {
    sqlx::query_as!(
        Passkey,
        r#"INSERT INTO auth.passkeys
               (id, user_id, credential_id, public_key, algorithm, sign_count, backup_eligible, backed_up,
                user_verified, discoverable, transports, aaguid, name)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
           RETURNING id AS "id: PasskeyId", name, backup_eligible, backed_up, user_verified, discoverable,
                     transports, aaguid, created_at, last_used_at"#,
        PasskeyId::new().as_uuid(),
        user.as_uuid(),
        registered.credential_id,
        registered.public_key,
        registered.algorithm.number(),
        i64::from(registered.sign_count),
        registered.backup_eligible,
        registered.backed_up,
        registered.user_verified,
        registered.discoverable,
        &registered.transports,
        registered.aaguid,
        name,
    )
    .fetch_one(&mut *conn)
    .await
}

/// Records a use. `false` when the passkey is gone, or another answer with this counter or a higher one came first.
///
/// A key that verified nobody when it was registered stays a second factor (section 7.2, step 24 would let it begin to):
/// whoever finds one without a PIN can give it one.
pub async fn record_use(conn: &mut Conn, id: PasskeyId, used: Used) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.passkeys
         SET sign_count = $2, backed_up = $3, last_used_at = now()
         WHERE id = $1 AND (sign_count < $2 OR (sign_count = 0 AND $2 = 0))",
        id.as_uuid(),
        i64::from(used.sign_count),
        used.backed_up,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Renames a passkey of a user.
pub async fn rename(
    conn: &mut Conn,
    user: UserId,
    id: PasskeyId,
    name: &str,
) -> Result<Option<Passkey>, sqlx::Error> {
    sqlx::query_as!(
        Passkey,
        r#"UPDATE auth.passkeys SET name = $3 WHERE id = $1 AND user_id = $2
           RETURNING id AS "id: PasskeyId", name, backup_eligible, backed_up, user_verified, discoverable,
                     transports, aaguid, created_at, last_used_at"#,
        id.as_uuid(),
        user.as_uuid(),
        name,
    )
    .fetch_optional(&mut *conn)
    .await
}

/// A passkey that is gone.
#[derive(Debug)]
pub struct Deleted {
    /// Its name.
    pub name: String,
    /// Whether it opened the door alone.
    pub user_verified: bool,
}

/// Deletes a passkey of a user.
pub async fn delete(conn: &mut Conn, user: UserId, id: PasskeyId) -> Result<Option<Deleted>, sqlx::Error> {
    sqlx::query_as!(
        Deleted,
        "DELETE FROM auth.passkeys WHERE id = $1 AND user_id = $2 RETURNING name, user_verified",
        id.as_uuid(),
        user.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await
}
