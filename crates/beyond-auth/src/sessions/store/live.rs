//! SQL of the hot path: which sessions live, and when they were last seen.

use std::time::Duration;

use crate::platform::crypto::token::SecretHash;
use crate::platform::db::{Conn, interval};
use crate::platform::ids::{OrganizationId, SessionId, UserId};
use crate::sessions::model::{Live, Session};
use crate::users::User;

/// A live session and the stored hash that the presented secret must match.
#[derive(Debug)]
pub struct Candidate {
    /// What the caller may see once the secret matches.
    pub live: Live,
}

impl Candidate {
    /// Whether a presented secret is the stored one.
    pub fn opens_with(&self, presented: &SecretHash) -> bool {
        presented.matches(self.live.secret_hash.as_bytes())
    }
}

/// Everything about live sessions in one statement, in the order of `ids`. Expired sessions, and those of
/// banned users, are not found.
pub async fn find_live_many(
    conn: &mut Conn,
    ids: &[SessionId],
) -> Result<Vec<Option<Candidate>>, sqlx::Error> {
    let keys: Vec<_> = ids.iter().map(SessionId::as_uuid).collect();
    let rows = sqlx::query!(
        r#"SELECT k.position AS "position!",
                  s.user_id, s.secret_hash, s.aal, s.amr, s.label, s.created_at, s.last_seen_at, s.verified_at,
                  s.idle_expires_at, s.expires_at, s.impersonator,
                  s.organization_id AS "organization_id: OrganizationId",
                  extract(epoch FROM now() - s.verified_at)::bigint AS "age_seconds!",
                  s.impersonator IS NULL AND s.last_seen_at < now() - interval '1 minute' AS "stale!",
                  u.name, u.metadata, u.created_at AS user_created_at, u.updated_at AS user_updated_at,
                  e.address AS "email?", e.verified_at IS NOT NULL AS "email_verified!"
           FROM unnest($1::uuid[]) WITH ORDINALITY AS k (id, position)
           JOIN auth.sessions s ON s.id = k.id
           JOIN auth.users u ON u.id = s.user_id
           LEFT JOIN auth.emails e ON e.user_id = s.user_id AND e.is_primary
           WHERE s.expires_at > now() AND s.idle_expires_at > now()
             AND (u.banned_at IS NULL OR u.ban_expires_at <= now())"#,
        &keys,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut found: Vec<Option<Candidate>> = Vec::with_capacity(ids.len());
    found.resize_with(ids.len(), || None);
    for row in rows {
        let at = usize::try_from(row.position - 1).unwrap_or(usize::MAX);
        let (Some(id), Some(slot)) = (ids.get(at), found.get_mut(at)) else { continue };
        let Some(secret_hash) = SecretHash::stored(&row.secret_hash) else { continue };
        let user_id = UserId::from(row.user_id);
        *slot = Some(Candidate {
            live: Live {
                secret_hash,
                session: Session {
                    id: *id,
                    user_id,
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
                user: User {
                    id: user_id,
                    email: row.email,
                    email_verified: row.email_verified,
                    name: row.name,
                    metadata: row.metadata,
                    created_at: row.user_created_at,
                    updated_at: row.user_updated_at,
                },
                age_seconds: row.age_seconds,
                stale: row.stale,
            },
        });
    }
    Ok(found)
}

/// Notes that sessions were used, at most once a minute each, and moves their idle end.
///
/// Rows that somebody else is changing are passed over: they are being noted by another instance, revoked, or
/// will be noted by their next use. So this never waits for a lock and can be in no deadlock.
pub async fn touch_many(conn: &mut Conn, ids: &[SessionId], idle: Duration) -> Result<(), sqlx::Error> {
    let keys: Vec<_> = ids.iter().map(SessionId::as_uuid).collect();
    sqlx::query!(
        "WITH due AS (
             SELECT id FROM auth.sessions
             WHERE id = ANY ($1) AND impersonator IS NULL AND last_seen_at < now() - interval '1 minute'
               AND idle_expires_at > now() AND expires_at > now()
             FOR NO KEY UPDATE SKIP LOCKED)
         UPDATE auth.sessions s
         SET last_seen_at = now(),
             idle_expires_at = least(now() + $2::interval, now() + make_interval(secs => s.idle_limit_seconds),
                                     s.expires_at)
         FROM due WHERE s.id = due.id",
        &keys,
        interval(idle),
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}
