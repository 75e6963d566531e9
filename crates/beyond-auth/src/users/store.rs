//! SQL on `auth.users`.

use serde_json::{Map, Value};

use super::model::{Holder, OwnedAlone, Profile, Standing, User};
use crate::platform::db::Conn;
use crate::platform::ids::{OrganizationId, UserId};

/// Makes a user.
pub async fn insert(conn: &mut Conn, profile: &Profile) -> Result<UserId, sqlx::Error> {
    let id = UserId::new();
    sqlx::query!(
        "INSERT INTO auth.users (id, name, metadata) VALUES ($1, $2, $3)",
        id.as_uuid(),
        profile.name,
        Value::Object(profile.metadata.clone()),
    )
    .execute(&mut *conn)
    .await?;
    Ok(id)
}

/// Reads a user with the primary address.
pub async fn find(conn: &mut Conn, id: UserId) -> Result<Option<User>, sqlx::Error> {
    sqlx::query_as!(
        User,
        r#"SELECT u.id AS "id: UserId", e.address AS "email?", e.verified_at IS NOT NULL AS "email_verified!",
                  u.name, u.metadata, u.created_at, u.updated_at
           FROM auth.users u
           LEFT JOIN auth.emails e ON e.user_id = u.id AND e.is_primary
           WHERE u.id = $1"#,
        id.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await
}

/// Reads whether the user may sign in, and holds that answer until the transaction ends: a ban waits for us, or we
/// see it.
///
/// Exclusive, not shared: two transactions that share a row and then both want to change it wait for each other
/// for ever. Rows that refer to the user may still be added beside us.
pub async fn lock_standing(conn: &mut Conn, id: UserId) -> Result<Option<Standing>, sqlx::Error> {
    let banned = sqlx::query_scalar!(
        r#"SELECT banned_at IS NOT NULL AND (ban_expires_at IS NULL OR ban_expires_at > now()) AS "banned!"
           FROM auth.users WHERE id = $1 FOR NO KEY UPDATE"#,
        id.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    Ok(banned.map(|banned| if banned { Standing::Banned } else { Standing::Good }))
}

/// Whether a session of the user lives, and is still opened by the secret that was presented.
pub async fn has_session(conn: &mut Conn, holder: Holder) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM auth.sessions
                          WHERE id = $2 AND user_id = $1 AND secret_hash = $3
                            AND expires_at > now() AND idle_expires_at > now())
               AS "lives!""#,
        holder.user.as_uuid(),
        holder.session.as_uuid(),
        holder.secret_hash.as_bytes(),
    )
    .fetch_one(&mut *conn)
    .await
}

/// Changes the profile: `None` leaves a field as it is; `Some(None)` clears the name.
pub async fn update_profile(
    conn: &mut Conn,
    id: UserId,
    name: Option<Option<&str>>,
    metadata: Option<&Map<String, Value>>,
) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.users
         SET name = CASE WHEN $2 THEN $3 ELSE name END,
             metadata = coalesce($4, metadata),
             updated_at = now()
         WHERE id = $1",
        id.as_uuid(),
        name.is_some(),
        name.flatten(),
        metadata.map(|metadata| Value::Object(metadata.clone())),
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Holds every organization that the user belongs to until the transaction ends, and answers those that nobody else
/// owns. Taken in the order of their ids; a role cannot change there meanwhile.
pub async fn lock_owned_alone(conn: &mut Conn, id: UserId) -> Result<Vec<OwnedAlone>, sqlx::Error> {
    sqlx::query!(
        "SELECT o.id FROM auth.organizations o
         WHERE o.id IN (SELECT m.organization_id FROM auth.organization_members m WHERE m.user_id = $1)
         ORDER BY o.id FOR NO KEY UPDATE OF o",
        id.as_uuid(),
    )
    .fetch_all(&mut *conn)
    .await?;
    sqlx::query_as!(
        OwnedAlone,
        r#"SELECT o.id AS "id: OrganizationId", o.name, o.slug
           FROM auth.organization_members m JOIN auth.organizations o ON o.id = m.organization_id
           WHERE m.user_id = $1 AND m.role = 'owner'
             AND NOT EXISTS (SELECT FROM auth.organization_members others
                             WHERE others.organization_id = o.id AND others.user_id <> $1 AND others.role = 'owner')
           ORDER BY o.id"#,
        id.as_uuid(),
    )
    .fetch_all(&mut *conn)
    .await
}

/// Deletes the user and, by cascade, everything that belongs to the user.
pub async fn delete(conn: &mut Conn, id: UserId) -> Result<bool, sqlx::Error> {
    let result =
        sqlx::query!("DELETE FROM auth.users WHERE id = $1", id.as_uuid()).execute(&mut *conn).await?;
    Ok(result.rows_affected() == 1)
}

/// Notes that somebody came in before any address of the account was proven.
pub async fn note_unproven_use(conn: &mut Conn, id: UserId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE auth.users SET used_unproven = true
         WHERE id = $1 AND NOT used_unproven
           AND NOT EXISTS (SELECT FROM auth.emails e WHERE e.user_id = $1 AND e.verified_at IS NOT NULL)",
        id.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Where somebody came in before the first proof of an address, or `always`, removes what may have been planted:
/// sessions, half-finished sign-ins, refresh tokens, second factors, passkeys, API keys, identities and the password.
/// Whoever proved the address sets a new one by reset.
pub async fn forget_unproven_use(conn: &mut Conn, id: UserId, always: bool) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH used AS (
             UPDATE auth.users SET used_unproven = false
             WHERE id = $1 AND (used_unproven OR $2) RETURNING id),
         ended AS (DELETE FROM auth.sessions s USING used WHERE s.user_id = used.id),
         revoked AS (
             UPDATE auth.refresh_families f SET revoked_at = now(), revoked_because = 'revoked'
             FROM used WHERE f.user_id = used.id AND f.revoked_at IS NULL),
         attempts AS (DELETE FROM auth.sign_in_attempts a USING used WHERE a.user_id = used.id),
         codes AS (DELETE FROM auth.totp_recovery_codes c USING used WHERE c.user_id = used.id),
         factors AS (DELETE FROM auth.totp_factors f USING used WHERE f.user_id = used.id),
         passkeys AS (DELETE FROM auth.passkeys k USING used WHERE k.user_id = used.id),
         identities AS (DELETE FROM auth.identities i USING used WHERE i.user_id = used.id),
         api_keys AS (
             UPDATE auth.api_keys k SET revoked_at = now()
             FROM used WHERE k.user_id = used.id AND k.revoked_at IS NULL)
         DELETE FROM auth.passwords p USING used WHERE p.user_id = used.id",
        id.as_uuid(),
        always,
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// What a user could begin a sign-in with.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a way of its own")]
pub struct WaysIn {
    /// A password.
    pub password: bool,
    /// A passkey that opens the door alone.
    pub passkey: bool,
    /// An address where mail is read.
    pub mailbox: bool,
    /// An account at a provider that is switched on.
    pub identity: bool,
}

/// Reads what a user could begin a sign-in with.
pub async fn ways_in(conn: &mut Conn, id: UserId) -> Result<WaysIn, sqlx::Error> {
    sqlx::query_as!(
        WaysIn,
        r#"SELECT EXISTS (SELECT FROM auth.passwords WHERE user_id = $1) AS "password!",
                  EXISTS (SELECT FROM auth.passkeys WHERE user_id = $1 AND user_verified) AS "passkey!",
                  EXISTS (SELECT FROM auth.emails WHERE user_id = $1 AND verified_at IS NOT NULL) AS "mailbox!",
                  EXISTS (SELECT FROM auth.identities i JOIN auth.oauth_providers p ON p.id = i.provider_id
                          WHERE i.user_id = $1 AND p.enabled) AS "identity!""#,
        id.as_uuid(),
    )
    .fetch_one(&mut *conn)
    .await
}

/// What a user has enrolled as a second factor.
#[derive(Debug)]
pub struct SecondFactors {
    /// An authenticator app.
    pub totp: bool,
    /// A passkey.
    pub passkey: bool,
    /// A recovery code that was not used. Stands in for a factor; is none.
    pub recovery_code: bool,
}

/// Reads it.
pub async fn second_factors(conn: &mut Conn, id: UserId) -> Result<SecondFactors, sqlx::Error> {
    sqlx::query_as!(
        SecondFactors,
        r#"SELECT EXISTS (SELECT FROM auth.totp_factors
                          WHERE user_id = $1 AND activated_at IS NOT NULL) AS "totp!",
                  EXISTS (SELECT FROM auth.passkeys WHERE user_id = $1) AS "passkey!",
                  EXISTS (SELECT FROM auth.totp_recovery_codes
                          WHERE user_id = $1 AND used_at IS NULL) AS "recovery_code!""#,
        id.as_uuid(),
    )
    .fetch_one(&mut *conn)
    .await
}
