//! SQL on `auth.organization_members`.

use crate::orgs::model::Member;
use crate::orgs::permissions::{Kind, Role};
use crate::platform::db::Conn;
use crate::platform::http::pagination::Window;
use crate::platform::ids::{OrganizationId, OrganizationRoleId, UserId};

/// Lets a user belong to an organization. `false` when the user does already.
pub async fn insert(
    conn: &mut Conn,
    organization: OrganizationId,
    user: UserId,
    role: Kind,
) -> Result<bool, sqlx::Error> {
    let (role, role_id) = role.parts();
    let result = sqlx::query!(
        "INSERT INTO auth.organization_members (organization_id, user_id, role, role_id)
         VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        organization.as_uuid(),
        user.as_uuid(),
        role,
        role_id.map(|id| id.as_uuid()),
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Members in the order of their ids.
pub async fn list(
    conn: &mut Conn,
    organization: OrganizationId,
    window: Window,
) -> Result<Vec<Member>, sqlx::Error> {
    sqlx::query_as!(
        Member,
        r#"SELECT m.user_id AS "user_id: UserId", u.name, e.address AS "email?",
                  coalesce(r.name, m.role) AS "role!", m.created_at
           FROM auth.organization_members m
           JOIN auth.users u ON u.id = m.user_id
           LEFT JOIN auth.emails e ON e.user_id = m.user_id AND e.is_primary
           LEFT JOIN auth.organization_roles r ON r.id = m.role_id
           WHERE m.organization_id = $1 AND ($2::uuid IS NULL OR m.user_id > $2)
           ORDER BY m.user_id LIMIT $3"#,
        organization.as_uuid(),
        window.after,
        window.fetch(),
    )
    .fetch_all(&mut *conn)
    .await
}

/// One member as others see it.
pub async fn find(
    conn: &mut Conn,
    organization: OrganizationId,
    user: UserId,
) -> Result<Option<Member>, sqlx::Error> {
    sqlx::query_as!(
        Member,
        r#"SELECT m.user_id AS "user_id: UserId", u.name, e.address AS "email?",
                  coalesce(r.name, m.role) AS "role!", m.created_at
           FROM auth.organization_members m
           JOIN auth.users u ON u.id = m.user_id
           LEFT JOIN auth.emails e ON e.user_id = m.user_id AND e.is_primary
           LEFT JOIN auth.organization_roles r ON r.id = m.role_id
           WHERE m.organization_id = $1 AND m.user_id = $2"#,
        organization.as_uuid(),
        user.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await
}

/// The role of a member; `None` where there is no such member.
pub async fn role_of(
    conn: &mut Conn,
    organization: OrganizationId,
    user: UserId,
) -> Result<Option<Role>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT m.role, m.role_id AS "role_id: OrganizationRoleId", r.name AS "name?",
                  r.permissions AS "permissions?"
           FROM auth.organization_members m
           LEFT JOIN auth.organization_roles r ON r.id = m.role_id
           WHERE m.organization_id = $1 AND m.user_id = $2"#,
        organization.as_uuid(),
        user.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    Ok(row.map(|row| Role::of_stored(&row.role, row.role_id, row.name, row.permissions.as_deref())))
}

/// Whether anybody but this member owns the organization. Asked behind the lock on its row.
pub async fn has_other_owner(
    conn: &mut Conn,
    organization: OrganizationId,
    user: UserId,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM auth.organization_members
                          WHERE organization_id = $1 AND user_id <> $2 AND role = 'owner') AS "has!""#,
        organization.as_uuid(),
        user.as_uuid(),
    )
    .fetch_one(&mut *conn)
    .await
}

/// Gives a member another role.
pub async fn update(
    conn: &mut Conn,
    organization: OrganizationId,
    user: UserId,
    role: Kind,
) -> Result<(), sqlx::Error> {
    let (role, role_id) = role.parts();
    sqlx::query!(
        "UPDATE auth.organization_members SET role = $3, role_id = $4
         WHERE organization_id = $1 AND user_id = $2",
        organization.as_uuid(),
        user.as_uuid(),
        role,
        role_id.map(|id| id.as_uuid()),
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Ends a membership; the user's sessions that act for the organization stop doing so, by a trigger.
pub async fn delete(conn: &mut Conn, organization: OrganizationId, user: UserId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM auth.organization_members WHERE organization_id = $1 AND user_id = $2",
        organization.as_uuid(),
        user.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}
