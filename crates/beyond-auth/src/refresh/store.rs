//! SQL on `auth.refresh_families` and `auth.refresh_tokens`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ipnetwork::IpNetwork;

use super::model::{Because, Families, Holder, Listed, NewFamily, Origin, Proven};
use crate::platform::crypto::token::{Refresh, SecretHash, Token};
use crate::platform::db::{Conn, interval};
use crate::platform::http::Client;
use crate::platform::http::pagination::Window;
use crate::platform::ids::{RefreshFamilyId, RefreshTokenId, SessionId, UserId};

/// Makes a family that ends `absolute` after its owner last presented a credential: minting proves nothing anew, or
/// refresh tokens would beget each other for ever.
pub async fn insert_family(
    conn: &mut Conn,
    new: &NewFamily<'_>,
    absolute: Duration,
    client: &Client,
) -> Result<(), sqlx::Error> {
    let (session, family) = match new.origin {
        Origin::SignIn(_) => (None, None),
        Origin::Session(session, family) => (Some(session.as_uuid()), family.map(|id| id.as_uuid())),
    };
    sqlx::query!(
        "INSERT INTO auth.refresh_families
             (id, user_id, minted_by_session_id, minted_by_family_id, aal, amr, verified_at, label, user_agent,
              address, second_verified_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $12, least(now(), $7) + $11::interval)",
        new.id.as_uuid(),
        new.user_id.as_uuid(),
        session,
        family,
        new.proven.aal,
        &new.proven.amr,
        new.proven.verified_at,
        new.label,
        client.user_agent,
        IpNetwork::from(client.address),
        interval(absolute),
        new.proven.second_verified_at,
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// The times of a token.
#[derive(Debug)]
pub struct Life {
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Ends then unless used before.
    pub idle_expires_at: DateTime<Utc>,
    /// Its family ends then in any case.
    pub expires_at: DateTime<Utc>,
}

/// Stores a token under the hash of its secret.
pub async fn insert_token(
    conn: &mut Conn,
    family: RefreshFamilyId,
    token: &Token<Refresh>,
    predecessor: Option<RefreshTokenId>,
    session: Option<SessionId>,
    idle: Duration,
) -> Result<Life, sqlx::Error> {
    let hash = token.hash();
    sqlx::query_as!(
        Life,
        r#"WITH family AS (SELECT id, expires_at FROM auth.refresh_families WHERE id = $2), made AS (
               INSERT INTO auth.refresh_tokens
                   (id, family_id, secret_hash, predecessor_id, session_id, idle_expires_at)
               SELECT $1, id, $3, $4, $5, least(statement_timestamp() + $6::interval, expires_at) FROM family
               RETURNING created_at, idle_expires_at)
           SELECT made.created_at AS "created_at!", made.idle_expires_at AS "idle_expires_at!",
                  family.expires_at AS "expires_at!"
           FROM made, family"#,
        token.id(),
        family.as_uuid(),
        hash.as_bytes(),
        predecessor.map(|id| id.as_uuid()),
        session.map(|id| id.as_uuid()),
        interval(idle),
    )
    .fetch_one(&mut *conn)
    .await
}

/// Whose token this is, provided that the secret is right.
pub async fn find_holder(conn: &mut Conn, token: &Token<Refresh>) -> Result<Option<Holder>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT t.secret_hash, t.family_id AS "family_id: RefreshFamilyId", f.user_id AS "user_id: UserId"
           FROM auth.refresh_tokens t JOIN auth.refresh_families f ON f.id = t.family_id
           WHERE t.id = $1"#,
        token.id(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    let row = row.filter(|row| token.hash().matches(&row.secret_hash));
    Ok(row.map(|row| Holder { user_id: row.user_id, family_id: row.family_id }))
}

/// Locks a family until the transaction ends. `false` when there is none.
pub async fn lock_family(conn: &mut Conn, family: RefreshFamilyId) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!(
        "SELECT id FROM auth.refresh_families WHERE id = $1 FOR UPDATE",
        family.as_uuid()
    )
    .fetch_optional(&mut *conn)
    .await?;
    Ok(found.is_some())
}

/// A token and its family, as they stand once the family is locked.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a comparison that the database made, by its clock"
)]
pub struct State {
    /// Whether the family is neither revoked nor at its end.
    pub family_lives: bool,
    /// Whether the token has been exchanged for its successor.
    pub retired: bool,
    /// Whether that was so short a while ago that presenting it again is forgiven.
    pub forgiven: bool,
    /// Whether the token has lain unused for too long.
    pub idle: bool,
    /// The session that was handed out with it.
    pub session_id: Option<SessionId>,
    /// Assurance that was reached.
    pub aal: i16,
    /// Methods that were used.
    pub amr: Vec<String>,
    /// When a credential was last presented.
    pub verified_at: DateTime<Utc>,
    /// When a second factor was.
    pub second_verified_at: Option<DateTime<Utc>>,
    /// When the token was made.
    pub issued_at: DateTime<Utc>,
    /// The owner's own name for what holds the token.
    pub label: Option<String>,
}

/// Reads how a token stands. `statement_timestamp`, because the transaction may have waited for the lock.
pub async fn find_state(
    conn: &mut Conn,
    id: RefreshTokenId,
    grace: Duration,
) -> Result<Option<State>, sqlx::Error> {
    sqlx::query_as!(
        State,
        r#"SELECT f.revoked_at IS NULL AND f.expires_at > statement_timestamp() AS "family_lives!",
                  t.retired_at IS NOT NULL AS "retired!",
                  coalesce(t.retired_at + $2::interval > statement_timestamp(), false) AS "forgiven!",
                  t.idle_expires_at <= statement_timestamp() AS "idle!",
                  t.session_id AS "session_id: SessionId", f.aal, f.amr, f.verified_at, f.second_verified_at,
                  t.created_at AS issued_at, f.label
           FROM auth.refresh_tokens t JOIN auth.refresh_families f ON f.id = t.family_id
           WHERE t.id = $1"#,
        id.as_uuid(),
        interval(grace),
    )
    .fetch_optional(&mut *conn)
    .await
}

/// Notes that a token has been exchanged for its successor.
pub async fn retire(conn: &mut Conn, id: RefreshTokenId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE auth.refresh_tokens SET retired_at = statement_timestamp() WHERE id = $1 AND retired_at IS NULL",
        id.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Notes that a family renewed a session, and what that session stood for.
pub async fn touch_family(
    conn: &mut Conn,
    family: RefreshFamilyId,
    proven: &Proven,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE auth.refresh_families
         SET last_used_at = statement_timestamp(), aal = $2, amr = $3, verified_at = $4, second_verified_at = $5
         WHERE id = $1",
        family.as_uuid(),
        proven.aal,
        &proven.amr,
        proven.verified_at,
        proven.second_verified_at,
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// What followed a retired token.
#[derive(Debug)]
pub struct Followed {
    /// The successor.
    pub id: RefreshTokenId,
    /// The session that was handed out with it.
    pub session_id: Option<SessionId>,
    /// Its times.
    pub life: Life,
    secret_hash: Vec<u8>,
}

impl Followed {
    /// Whether the secret of the successor has this hash.
    pub fn is(&self, hash: &SecretHash) -> bool {
        hash.matches(&self.secret_hash)
    }
}

/// Finds what followed a retired token.
pub async fn find_successor(
    conn: &mut Conn,
    predecessor: RefreshTokenId,
) -> Result<Option<Followed>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT t.id AS "id: RefreshTokenId", t.secret_hash, t.session_id AS "session_id: SessionId",
                  t.created_at, t.idle_expires_at, f.expires_at
           FROM auth.refresh_tokens t JOIN auth.refresh_families f ON f.id = t.family_id
           WHERE t.predecessor_id = $1"#,
        predecessor.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    Ok(row.map(|row| Followed {
        id: row.id,
        session_id: row.session_id,
        life: Life {
            created_at: row.created_at,
            idle_expires_at: row.idle_expires_at,
            expires_at: row.expires_at,
        },
        secret_hash: row.secret_hash,
    }))
}

/// Ends families of a user, and those made through the sessions of these; says which. What has expired is passed
/// through, since what was made through it may still live.
pub async fn revoke(
    conn: &mut Conn,
    user: UserId,
    families: Families,
    because: Because,
) -> Result<Vec<RefreshFamilyId>, sqlx::Error> {
    let (one, session, all, but) = match families {
        Families::One(family) => (Some(family), None, false, None),
        Families::Of(session, family) => (family, Some(session), false, None),
        Families::AllBut(but) => (None, None, true, but),
    };
    sqlx::query_scalar!(
        r#"WITH RECURSIVE ending AS (
               SELECT id FROM auth.refresh_families
               WHERE user_id = $1
                 AND (id = $2 OR minted_by_session_id = $3 OR ($4 AND id IS DISTINCT FROM $5))
               UNION
               SELECT made.id FROM auth.refresh_families made JOIN ending ON made.minted_by_family_id = ending.id
               WHERE made.user_id = $1 AND made.id IS DISTINCT FROM $5)
           UPDATE auth.refresh_families SET revoked_at = statement_timestamp(), revoked_because = $6
           WHERE id IN (SELECT id FROM ending) AND revoked_at IS NULL
           RETURNING id AS "id: RefreshFamilyId""#,
        user.as_uuid(),
        one.map(|id| id.as_uuid()),
        session.map(|id| id.as_uuid()),
        all,
        but.map(|id| id.as_uuid()),
        because.as_str(),
    )
    .fetch_all(&mut *conn)
    .await
}

/// Finds the family of a user's token, live or retired; the id of the family itself will do as well.
pub async fn find_family(
    conn: &mut Conn,
    user: UserId,
    id: RefreshTokenId,
) -> Result<Option<RefreshFamilyId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT f.id AS "id: RefreshFamilyId" FROM auth.refresh_families f
           WHERE f.user_id = $1 AND f.revoked_at IS NULL
             AND (f.id = $2 OR f.id = (SELECT family_id FROM auth.refresh_tokens WHERE id = $2))"#,
        user.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await
}

/// Lists the live families of a user with their live tokens, newest family first.
pub async fn list(conn: &mut Conn, user: UserId, window: Window) -> Result<Vec<Listed>, sqlx::Error> {
    sqlx::query_as!(
        Listed,
        r#"SELECT t.id AS "id: RefreshTokenId", f.id AS "family_id: RefreshFamilyId", f.label, f.aal, f.amr,
                  f.user_agent, f.address, f.created_at, f.last_used_at, t.idle_expires_at, f.expires_at
           FROM auth.refresh_families f
           JOIN auth.refresh_tokens t ON t.family_id = f.id AND t.retired_at IS NULL
           WHERE f.user_id = $1 AND f.revoked_at IS NULL AND f.expires_at > now() AND t.idle_expires_at > now()
             AND ($2::uuid IS NULL OR f.id < $2)
           ORDER BY f.id DESC LIMIT $3"#,
        user.as_uuid(),
        window.after,
        window.fetch(),
    )
    .fetch_all(&mut *conn)
    .await
}

/// Deletes some tokens of families that ended a month ago, and families that have none left; says how many rows
/// went. Until then a revoked family stays on record.
pub async fn purge(conn: &mut Conn, limit: i64) -> Result<u64, sqlx::Error> {
    let tokens = sqlx::query!(
        "DELETE FROM auth.refresh_tokens WHERE id IN (
             SELECT t.id FROM auth.refresh_tokens t JOIN auth.refresh_families f ON f.id = t.family_id
             WHERE least(f.revoked_at, f.expires_at) < now() - interval '30 days'
             LIMIT $1 FOR UPDATE OF t SKIP LOCKED)",
        limit,
    )
    .execute(&mut *conn)
    .await?;
    let families = sqlx::query!(
        "DELETE FROM auth.refresh_families WHERE id IN (
             SELECT f.id FROM auth.refresh_families f
             WHERE least(f.revoked_at, f.expires_at) < now() - interval '30 days'
               AND NOT EXISTS (SELECT FROM auth.refresh_tokens t WHERE t.family_id = f.id)
             LIMIT $1 FOR UPDATE SKIP LOCKED)",
        limit,
    )
    .execute(&mut *conn)
    .await?;
    Ok(tokens.rows_affected().max(families.rows_affected()))
}
