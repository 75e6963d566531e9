//! SQL on `auth.organization_invitations`.

use chrono::{DateTime, Utc};

use crate::emails::Email;
use crate::orgs::model::{Invitation, InvitingOrganization, ReceivedInvitation};
use crate::orgs::permissions::{Kind, Role};
use crate::platform::crypto::token::SecretHash;
use crate::platform::db::Conn;
use crate::platform::http::pagination::Window;
use crate::platform::ids::{InvitationId, OrganizationId, OrganizationRoleId, UserId};

/// Invites an address for a week. An older invitation that has expired makes way.
///
/// # Errors
/// Violates `organization_invitations_pending_key` when the address is invited already.
pub async fn insert(
    conn: &mut Conn,
    organization: OrganizationId,
    email: &Email,
    role: Kind,
    inviter: UserId,
) -> Result<InvitationId, sqlx::Error> {
    sqlx::query!(
        "DELETE FROM auth.organization_invitations
         WHERE organization_id = $1 AND canonical = $2 AND state = 'pending' AND expires_at <= now()",
        organization.as_uuid(),
        email.canonical(),
    )
    .execute(&mut *conn)
    .await?;
    let id = InvitationId::new();
    let (role, role_id) = role.parts();
    sqlx::query!(
        "INSERT INTO auth.organization_invitations
             (id, organization_id, address, canonical, role, role_id, invited_by, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, now() + interval '7 days')",
        id.as_uuid(),
        organization.as_uuid(),
        email.address(),
        email.canonical(),
        role,
        role_id.map(|id| id.as_uuid()),
        inviter.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    Ok(id)
}

/// Whether a member has the address as the primary one, which the other members see.
pub async fn is_member(
    conn: &mut Conn,
    organization: OrganizationId,
    email: &Email,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM auth.emails e
                          JOIN auth.organization_members m ON m.user_id = e.user_id
                          WHERE e.canonical = $2 AND e.verified_at IS NOT NULL AND e.is_primary
                            AND m.organization_id = $1) AS "is!""#,
        organization.as_uuid(),
        email.canonical(),
    )
    .fetch_one(&mut *conn)
    .await
}

/// Invitations of an organization that wait, newest first; `only` that one.
pub async fn list(
    conn: &mut Conn,
    organization: OrganizationId,
    only: Option<InvitationId>,
    window: Window,
) -> Result<Vec<Invitation>, sqlx::Error> {
    sqlx::query_as!(
        Invitation,
        r#"SELECT i.id AS "id: InvitationId", i.address AS email, coalesce(r.name, i.role) AS "role!",
                  i.invited_by AS "invited_by: UserId", i.created_at, i.expires_at
           FROM auth.organization_invitations i
           LEFT JOIN auth.organization_roles r ON r.id = i.role_id
           WHERE i.organization_id = $1 AND i.state = 'pending' AND ($2::uuid IS NULL OR i.id = $2)
             AND ($3::uuid IS NULL OR i.id < $3)
           ORDER BY i.id DESC LIMIT $4"#,
        organization.as_uuid(),
        only.map(|id| id.as_uuid()),
        window.after,
        window.fetch(),
    )
    .fetch_all(&mut *conn)
    .await
}

struct Row {
    id: InvitationId,
    organization_name: String,
    organization_slug: String,
    email: String,
    role: String,
    invited_by: Option<String>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl From<Row> for ReceivedInvitation {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            organization: InvitingOrganization { name: row.organization_name, slug: row.organization_slug },
            email: row.email,
            role: row.role,
            invited_by: row.invited_by,
            created_at: row.created_at,
            expires_at: row.expires_at,
        }
    }
}

/// Invitations that wait for a user at any proven address, newest first.
pub async fn list_received(
    conn: &mut Conn,
    user: UserId,
    window: Window,
) -> Result<Vec<ReceivedInvitation>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT i.id AS "id: InvitationId", o.name AS organization_name, o.slug AS organization_slug,
                  i.address AS email, coalesce(r.name, i.role) AS "role!", by.address AS "invited_by?",
                  i.created_at, i.expires_at
           FROM auth.emails e
           JOIN auth.organization_invitations i ON i.canonical = e.canonical
           JOIN auth.organizations o ON o.id = i.organization_id
           LEFT JOIN auth.organization_roles r ON r.id = i.role_id
           LEFT JOIN auth.emails by ON by.user_id = i.invited_by AND by.is_primary
           WHERE e.user_id = $1 AND e.verified_at IS NOT NULL AND i.state = 'pending' AND i.expires_at > now()
             AND ($2::uuid IS NULL OR i.id < $2)
           ORDER BY i.id DESC LIMIT $3"#,
        user.as_uuid(),
        window.after,
        window.fetch(),
    )
    .fetch_all(&mut *conn)
    .await?;
    Ok(rows.into_iter().map(ReceivedInvitation::from).collect())
}

/// One that waits, as whoever is invited sees it. Says so only to whoever has shown the token.
pub async fn describe(conn: &mut Conn, id: InvitationId) -> Result<Option<ReceivedInvitation>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT i.id AS "id: InvitationId", o.name AS organization_name, o.slug AS organization_slug,
                  i.address AS email, coalesce(r.name, i.role) AS "role!", by.address AS "invited_by?",
                  i.created_at, i.expires_at
           FROM auth.organization_invitations i
           JOIN auth.organizations o ON o.id = i.organization_id
           LEFT JOIN auth.organization_roles r ON r.id = i.role_id
           LEFT JOIN auth.emails by ON by.user_id = i.invited_by AND by.is_primary
           WHERE i.id = $1 AND i.state = 'pending' AND i.expires_at > now()"#,
        id.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    Ok(row.map(ReceivedInvitation::from))
}

/// One that waits, whether it has expired or not, with what it takes to send it or to accept it.
#[derive(Debug)]
pub struct Pending {
    /// Into which organization.
    pub organization: OrganizationId,
    /// Whom, as written.
    pub address: String,
    /// By what the address is compared.
    pub canonical: String,
    /// As what, as of now.
    pub role: Role,
    /// Who answers for it.
    pub invited_by: Option<UserId>,
    /// SHA-256 of the token's secret; `None` until a mail was sent.
    pub secret_hash: Option<Vec<u8>>,
    /// By the database's clock.
    pub expired: bool,
}

/// Reads one that waits.
pub async fn find_pending(conn: &mut Conn, id: InvitationId) -> Result<Option<Pending>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT i.organization_id AS "organization: OrganizationId", i.address, i.canonical, i.role,
                  i.role_id AS "role_id: OrganizationRoleId", r.name AS "role_name?",
                  r.permissions AS "role_permissions?", i.invited_by AS "invited_by: UserId", i.secret_hash,
                  i.expires_at <= now() AS "expired!"
           FROM auth.organization_invitations i
           LEFT JOIN auth.organization_roles r ON r.id = i.role_id
           WHERE i.id = $1 AND i.state = 'pending'"#,
        id.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    Ok(row.map(|row| Pending {
        organization: row.organization,
        address: row.address,
        canonical: row.canonical,
        role: Role::of_stored(&row.role, row.role_id, row.role_name, row.role_permissions.as_deref()),
        invited_by: row.invited_by,
        secret_hash: row.secret_hash,
        expired: row.expired,
    }))
}

/// Whether the user may sign in.
pub async fn stands(conn: &mut Conn, user: UserId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM auth.users
                          WHERE id = $1 AND (banned_at IS NULL OR ban_expires_at <= now())) AS "stands!""#,
        user.as_uuid(),
    )
    .fetch_one(&mut *conn)
    .await
}

/// Notes who sends it again, and lets it wait for another week.
pub async fn renew(conn: &mut Conn, id: InvitationId, inviter: UserId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE auth.organization_invitations SET invited_by = $2, expires_at = now() + interval '7 days'
         WHERE id = $1 AND state = 'pending'",
        id.as_uuid(),
        inviter.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Stores what is mailed just now in place of what was mailed before; from here a week counts. `false` when there is
/// nothing to mail any more.
pub async fn mint(conn: &mut Conn, id: InvitationId, secret: &SecretHash) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.organization_invitations SET secret_hash = $2, expires_at = now() + interval '7 days'
         WHERE id = $1 AND state = 'pending' AND expires_at > now()",
        id.as_uuid(),
        secret.as_bytes(),
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Spends one with the token that was mailed last. `false` when somebody else has just done so, or a newer mail has
/// left: single use is this one statement.
pub async fn accept(conn: &mut Conn, id: InvitationId, secret: &SecretHash) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.organization_invitations SET state = 'accepted', ended_at = now()
         WHERE id = $1 AND state = 'pending' AND expires_at > now() AND secret_hash = $2",
        id.as_uuid(),
        secret.as_bytes(),
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Takes one of an organization back; `false` when none such waits.
pub async fn cancel(
    conn: &mut Conn,
    organization: OrganizationId,
    id: InvitationId,
) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.organization_invitations SET state = 'cancelled', ended_at = now()
         WHERE id = $2 AND organization_id = $1 AND state = 'pending'",
        organization.as_uuid(),
        id.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Declines one that waits at a proven address of the user; answers which organization's it was.
pub async fn decline(
    conn: &mut Conn,
    user: UserId,
    id: InvitationId,
) -> Result<Option<OrganizationId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"UPDATE auth.organization_invitations i SET state = 'declined', ended_at = now()
           FROM auth.emails e
           WHERE i.id = $2 AND i.state = 'pending' AND i.expires_at > now()
             AND e.user_id = $1 AND e.canonical = i.canonical AND e.verified_at IS NOT NULL
           RETURNING i.organization_id AS "organization: OrganizationId""#,
        user.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await
}

/// Deletes some that ended or expired a month ago; says how many.
pub async fn purge(conn: &mut Conn, limit: i64) -> Result<u64, sqlx::Error> {
    let result = sqlx::query!(
        "DELETE FROM auth.organization_invitations WHERE id IN (
             SELECT id FROM auth.organization_invitations
             WHERE COALESCE(ended_at, expires_at) < now() - interval '30 days'
             LIMIT $1 FOR UPDATE SKIP LOCKED)",
        limit,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected())
}
