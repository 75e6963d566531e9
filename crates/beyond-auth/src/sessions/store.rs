//! SQL on `auth.sessions`.

pub mod live;

use std::time::Duration;

use chrono::{DateTime, Utc};
use ipnetwork::IpNetwork;
use uuid::Uuid;

use super::model::{Active, MemberLimits, NewSession, Scope, Session, Standing};
use super::revocations::{Position, Revocation};
use crate::platform::crypto::token::{self, SecretHash, Token};
use crate::platform::db::{Conn, interval};
use crate::platform::http::Client;
use crate::platform::http::pagination::Window;
use crate::platform::ids::{OrganizationId, RefreshFamilyId, SessionId, UserId};
use crate::users::Holder;

fn seconds(duration: Option<Duration>) -> Option<i32> {
    duration.map(|duration| i32::try_from(duration.as_secs()).unwrap_or(i32::MAX))
}

/// Stores a session under the hash of its token's secret.
pub async fn insert(
    conn: &mut Conn,
    new: &NewSession,
    token: &Token<token::Session>,
    client: &Client,
) -> Result<Session, sqlx::Error> {
    let secret_hash = token.hash();
    let inherited = new.inherited.as_ref();
    // Somebody may be ending the membership just now: then this waits, and finds it gone.
    let row = sqlx::query!(
        r#"INSERT INTO auth.sessions
             (id, user_id, secret_hash, aal, amr, user_agent, address, idle_expires_at, expires_at, impersonator,
              refresh_family_id, label, organization_id, verified_at, second_verified_at, idle_limit_seconds)
         VALUES ($1, $2, $3, $4, $5, $6, $7,
                 least(now() + least($8::interval, $9::interval, make_interval(secs => $17::integer)), $15,
                       coalesce($14, now()) + $18::interval),
                 least(now() + $9::interval, $15, coalesce($14, now()) + $18::interval), $10,
                 $11, $12,
                 (SELECT m.organization_id FROM auth.organization_members m
                  WHERE m.organization_id = $13 AND m.user_id = $2 FOR KEY SHARE),
                 coalesce($14, now()),
                 -- What is inherited stands, whatever it is; otherwise two factors were presented just now, or one was.
                 CASE WHEN $14::timestamptz IS NOT NULL THEN $16 WHEN $4::int2 >= 2 THEN now() END,
                 $17::integer)
         RETURNING created_at, last_seen_at, verified_at, idle_expires_at, expires_at,
                   organization_id AS "organization_id: OrganizationId""#,
        token.id(),
        new.user_id.as_uuid(),
        secret_hash.as_bytes(),
        new.aal,
        &new.amr,
        client.user_agent,
        IpNetwork::from(client.address),
        interval(new.idle),
        interval(new.absolute),
        new.impersonator,
        new.family.map(|family| family.as_uuid()),
        inherited.and_then(|inherited| inherited.label.as_deref()),
        inherited.and_then(|inherited| inherited.organization_id).map(|id| id.as_uuid()),
        inherited.map(|inherited| inherited.verified_at),
        inherited.map(|inherited| inherited.ends_by),
        inherited.and_then(|inherited| inherited.second_verified_at),
        seconds(new.limits.idle),
        new.limits.absolute.map(interval),
    )
    .fetch_one(&mut *conn)
    .await?;
    Ok(Session {
        id: SessionId::from(token.id()),
        user_id: new.user_id,
        aal: new.aal,
        amr: new.amr.clone(),
        label: inherited.and_then(|inherited| inherited.label.clone()),
        created_at: row.created_at,
        last_seen_at: row.last_seen_at,
        verified_at: row.verified_at,
        idle_expires_at: row.idle_expires_at,
        expires_at: row.expires_at,
        organization_id: row.organization_id,
        impersonator: new.impersonator.clone(),
    })
}

/// A session in its owner's list of devices.
#[derive(Debug)]
pub struct Device {
    /// The session.
    pub session: Session,
    /// As sent at sign-in, capped.
    pub user_agent: Option<String>,
    /// Where it was signed in from.
    pub address: Option<IpNetwork>,
}

/// Lists a user's live sessions, newest first.
pub async fn list(conn: &mut Conn, user: UserId, window: Window) -> Result<Vec<Device>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: SessionId", aal, amr, label, user_agent, address, created_at, last_seen_at,
                  verified_at, idle_expires_at, expires_at, impersonator,
                  organization_id AS "organization_id: OrganizationId"
           FROM auth.sessions
           WHERE user_id = $1 AND expires_at > now() AND idle_expires_at > now()
             AND ($2::uuid IS NULL OR id < $2)
           ORDER BY id DESC LIMIT $3"#,
        user.as_uuid(),
        window.after,
        window.fetch(),
    )
    .fetch_all(&mut *conn)
    .await?;
    let device = rows.into_iter().map(|row| Device {
        session: Session {
            id: row.id,
            user_id: user,
            aal: row.aal,
            amr: row.amr,
            label: row.label,
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            verified_at: row.verified_at,
            idle_expires_at: row.idle_expires_at,
            expires_at: row.expires_at,
            organization_id: row.organization_id,
            impersonator: row.impersonator,
        },
        user_agent: row.user_agent,
        address: row.address,
    });
    Ok(device.collect())
}

/// Ends sessions of a user; says how many there were.
pub async fn delete(conn: &mut Conn, user: UserId, scope: Scope) -> Result<u64, sqlx::Error> {
    let (only, except) = match scope {
        Scope::One(id) => (Some(id.as_uuid()), None),
        Scope::Others(id) => (None, Some(id.as_uuid())),
        Scope::All => (None, None),
    };
    let result = sqlx::query!(
        "DELETE FROM auth.sessions
         WHERE user_id = $1 AND ($2::uuid IS NULL OR id = $2) AND ($3::uuid IS NULL OR id <> $3)",
        user.as_uuid(),
        only,
        except,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected())
}

/// Ends every session that one of these families renews; says how many there were.
pub async fn delete_families(
    conn: &mut Conn,
    user: UserId,
    families: &[RefreshFamilyId],
) -> Result<u64, sqlx::Error> {
    let families: Vec<Uuid> = families.iter().map(RefreshFamilyId::as_uuid).collect();
    let result = sqlx::query!(
        "DELETE FROM auth.sessions WHERE user_id = $1 AND refresh_family_id = ANY($2)",
        user.as_uuid(),
        &families,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected())
}

/// Which family renews a session, if any; the outer `None` when the user has no such session.
pub async fn find_family(
    conn: &mut Conn,
    user: UserId,
    id: SessionId,
) -> Result<Option<Option<RefreshFamilyId>>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT refresh_family_id AS "family?: RefreshFamilyId"
           FROM auth.sessions WHERE id = $1 AND user_id = $2"#,
        id.as_uuid(),
        user.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await
}

/// Which organization a live session acts for; the outer `None` when there is no such session.
pub async fn find_organization(
    conn: &mut Conn,
    holder: Holder,
) -> Result<Option<Option<OrganizationId>>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT organization_id AS "organization_id?: OrganizationId" FROM auth.sessions
           WHERE id = $2 AND user_id = $1 AND secret_hash = $3 AND expires_at > now() AND idle_expires_at > now()"#,
        holder.user.as_uuid(),
        holder.session.as_uuid(),
        holder.secret_hash.as_bytes(),
    )
    .fetch_optional(&mut *conn)
    .await
}

/// What a session stands for, expired or not.
pub async fn find_standing(conn: &mut Conn, id: SessionId) -> Result<Option<Standing>, sqlx::Error> {
    sqlx::query_as!(
        Standing,
        r#"SELECT aal, amr, verified_at, second_verified_at, last_seen_at, label,
                  organization_id AS "organization_id: OrganizationId"
           FROM auth.sessions WHERE id = $1"#,
        id.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await
}

/// Lets a session live this much longer at most.
pub async fn shorten(conn: &mut Conn, id: SessionId, left: Duration) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE auth.sessions
         SET expires_at = least(expires_at, statement_timestamp() + $2::interval),
             idle_expires_at = least(idle_expires_at, statement_timestamp() + $2::interval)
         WHERE id = $1",
        id.as_uuid(),
        interval(left),
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// What a credential presented again does to a session.
#[derive(Debug)]
pub struct Elevation<'a> {
    /// Assurance that was reached; what the session has already is not taken from it.
    pub aal: i16,
    /// Whether a second factor was presented.
    pub second: bool,
    /// Methods from now on.
    pub amr: &'a [String],
    /// The hash of the secret that was presented: whoever holds a former one steps up nothing.
    pub presented: SecretHash,
    /// The hash of the new secret.
    pub secret_hash: SecretHash,
}

/// Notes that a credential was presented again; answers when, and what assurance the session has now. `None` when it has
/// ended meanwhile.
pub async fn elevate(
    conn: &mut Conn,
    id: SessionId,
    elevation: &Elevation<'_>,
) -> Result<Option<(DateTime<Utc>, i16)>, sqlx::Error> {
    let row = sqlx::query!(
        "UPDATE auth.sessions
         SET verified_at = now(), aal = greatest(aal, $2), amr = $3, secret_hash = $4,
             second_verified_at = CASE WHEN $5 THEN now() ELSE second_verified_at END
         WHERE id = $1 AND secret_hash = $6 AND expires_at > now() AND idle_expires_at > now()
         RETURNING verified_at, aal",
        id.as_uuid(),
        elevation.aal,
        elevation.amr,
        elevation.secret_hash.as_bytes(),
        elevation.second,
        elevation.presented.as_bytes(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    Ok(row.map(|row| (row.verified_at, row.aal)))
}

/// Raises what a session stands for.
pub async fn raise(conn: &mut Conn, id: SessionId, aal: i16, amr: &[String]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE auth.sessions SET aal = greatest(aal, $2), amr = $3, second_verified_at = now() WHERE id = $1",
        id.as_uuid(),
        aal,
        amr,
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Whether a second factor was presented for a session within `fresh`.
pub async fn has_shown_second(conn: &mut Conn, id: SessionId, fresh: Duration) -> Result<bool, sqlx::Error> {
    let shown = sqlx::query_scalar!(
        r#"SELECT coalesce(second_verified_at >= now() - $2::interval, false) AS "shown!"
           FROM auth.sessions WHERE id = $1"#,
        id.as_uuid(),
        interval(fresh),
    )
    .fetch_optional(&mut *conn)
    .await?;
    Ok(shown.unwrap_or(false))
}

/// Names the device; `None` clears the name.
pub async fn update_label(conn: &mut Conn, id: SessionId, label: Option<&str>) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE auth.sessions SET label = $2 WHERE id = $1", id.as_uuid(), label)
        .execute(&mut *conn)
        .await?;
    Ok(())
}

/// Lets sessions act for an organization, or for none.
///
/// # Errors
/// Violates `sessions_organization_member_fkey` when a user does not belong to the organization.
pub async fn update_organization(
    conn: &mut Conn,
    ids: &[SessionId],
    organization: Option<OrganizationId>,
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = ids.iter().map(SessionId::as_uuid).collect();
    sqlx::query!(
        "UPDATE auth.sessions SET organization_id = $2 WHERE id = ANY ($1)",
        &ids,
        organization.map(|id| id.as_uuid()),
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// The sessions that act for an organization.
pub async fn list_active(conn: &mut Conn, organization: OrganizationId) -> Result<Vec<Active>, sqlx::Error> {
    sqlx::query_as!(
        Active,
        r#"SELECT id AS "id: SessionId", aal, amr FROM auth.sessions WHERE organization_id = $1 ORDER BY id"#,
        organization.as_uuid(),
    )
    .fetch_all(&mut *conn)
    .await
}

/// Shortens the sessions of an organization's members, `only` those of one. Taken in the order of their ids, so that
/// two who do so do not wait for each other.
pub async fn limit_members(
    conn: &mut Conn,
    organization: OrganizationId,
    only: Option<UserId>,
    limits: MemberLimits,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH due AS (
             SELECT s.id FROM auth.sessions s
             JOIN auth.organization_members m ON m.user_id = s.user_id
             WHERE m.organization_id = $1 AND ($2::uuid IS NULL OR m.user_id = $2)
             ORDER BY s.id FOR NO KEY UPDATE OF s)
         UPDATE auth.sessions s
         SET idle_limit_seconds = least(s.idle_limit_seconds, $3::integer),
             idle_expires_at = least(s.idle_expires_at, now() + make_interval(secs => $3::integer)),
             expires_at = least(s.expires_at, s.verified_at + $4::interval)
         FROM due WHERE s.id = due.id",
        organization.as_uuid(),
        only.map(|id| id.as_uuid()),
        seconds(limits.idle),
        limits.absolute.map(interval),
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Reads the feed of revocations behind a position. Rows of a transaction show only when every older one has
/// ended, so that none can appear behind a reader's back.
pub async fn revocations(
    conn: &mut Conn,
    after: Position,
    limit: i64,
) -> Result<Vec<(Position, Revocation)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT xid::text::bigint AS "xid!", position, kind, subject_id, user_id, revoked_at
           FROM auth.revocations
           WHERE (xid, position) > ($1::bigint::text::xid8, $2)
             AND xid < pg_snapshot_xmin(pg_current_snapshot())
           ORDER BY xid, position LIMIT $3"#,
        after.xid,
        after.position,
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    let row = rows.into_iter().map(|row| {
        let position = Position { xid: row.xid, position: row.position };
        let revocation = Revocation {
            kind: row.kind,
            id: row.subject_id,
            user_id: row.user_id,
            revoked_at: row.revoked_at,
        };
        (position, revocation)
    });
    Ok(row.collect())
}

/// Deletes some revocations that no JWT can outlive any more (an hour at most); says how many.
pub async fn purge_revocations(conn: &mut Conn, limit: i64) -> Result<u64, sqlx::Error> {
    let result = sqlx::query!(
        "DELETE FROM auth.revocations WHERE position IN (
             SELECT position FROM auth.revocations WHERE revoked_at < now() - interval '1 day'
             LIMIT $1 FOR UPDATE SKIP LOCKED)",
        limit,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected())
}

/// Deletes some sessions that have long expired; says how many.
pub async fn purge(conn: &mut Conn, limit: i64) -> Result<u64, sqlx::Error> {
    let result = sqlx::query!(
        "DELETE FROM auth.sessions WHERE id IN (
             SELECT id FROM auth.sessions
             WHERE least(idle_expires_at, expires_at) < now() - interval '1 day'
             LIMIT $1 FOR UPDATE SKIP LOCKED)",
        limit,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected())
}
