//! SQL on `auth.organization_roles`.

use crate::orgs::model::ListedRole;
use crate::orgs::permissions::{Grants, Kind, Role};
use crate::platform::db::Conn;
use crate::platform::ids::{OrganizationId, OrganizationRoleId};

/// The roles that an organization has made, by name.
pub async fn list(conn: &mut Conn, organization: OrganizationId) -> Result<Vec<ListedRole>, sqlx::Error> {
    sqlx::query_as!(
        ListedRole,
        r#"SELECT name, description, permissions, false AS "built_in!", created_at AS "created_at?"
           FROM auth.organization_roles WHERE organization_id = $1 ORDER BY name"#,
        organization.as_uuid(),
    )
    .fetch_all(&mut *conn)
    .await
}

/// How many roles an organization has made.
pub async fn count(conn: &mut Conn, organization: OrganizationId) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM auth.organization_roles WHERE organization_id = $1"#,
        organization.as_uuid(),
    )
    .fetch_one(&mut *conn)
    .await
}

/// One that the organization has made, by name.
pub async fn find(
    conn: &mut Conn,
    organization: OrganizationId,
    name: &str,
) -> Result<Option<Role>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT id AS "id: OrganizationRoleId", name, permissions
           FROM auth.organization_roles WHERE organization_id = $1 AND name = $2"#,
        organization.as_uuid(),
        name,
    )
    .fetch_optional(&mut *conn)
    .await?;
    Ok(row.map(|row| Role {
        kind: Kind::Custom(row.id),
        name: row.name,
        grants: Grants::of_stored(&row.permissions),
    }))
}

/// Makes a role.
///
/// # Errors
/// Violates `organization_roles_name_key` when the organization has one of that name.
pub async fn insert(
    conn: &mut Conn,
    organization: OrganizationId,
    name: &str,
    description: Option<&str>,
    grants: &Grants,
) -> Result<ListedRole, sqlx::Error> {
    sqlx::query_as!(
        ListedRole,
        r#"INSERT INTO auth.organization_roles (id, organization_id, name, description, permissions)
           VALUES ($1, $2, $3, $4, $5)
           RETURNING name, description, permissions, false AS "built_in!", created_at AS "created_at?""#,
        OrganizationRoleId::new().as_uuid(),
        organization.as_uuid(),
        name,
        description,
        &grants.names(),
    )
    .fetch_one(&mut *conn)
    .await
}

/// Changes a role: `None` leaves a value as it is.
///
/// # Errors
/// Violates `organization_roles_name_key` when the organization has one of the new name.
pub async fn update(
    conn: &mut Conn,
    id: OrganizationRoleId,
    name: Option<&str>,
    description: Option<Option<&str>>,
    grants: Option<&Grants>,
) -> Result<ListedRole, sqlx::Error> {
    let names = grants.map(Grants::names);
    sqlx::query_as!(
        ListedRole,
        r#"UPDATE auth.organization_roles
           SET name = coalesce($2, name), description = CASE WHEN $3 THEN $4 ELSE description END,
               permissions = coalesce($5, permissions), updated_at = now()
           WHERE id = $1
           RETURNING name, description, permissions, false AS "built_in!", created_at AS "created_at?""#,
        id.as_uuid(),
        name,
        description.is_some(),
        description.flatten(),
        names.as_deref(),
    )
    .fetch_one(&mut *conn)
    .await
}

/// Removes a role.
///
/// # Errors
/// Violates `organization_members_role_fkey` when members hold it.
pub async fn delete(conn: &mut Conn, id: OrganizationRoleId) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM auth.organization_roles WHERE id = $1", id.as_uuid())
        .execute(&mut *conn)
        .await?;
    Ok(())
}
