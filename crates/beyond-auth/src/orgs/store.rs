//! SQL on `auth.organizations`; the tables that belong to it have files of their own.

pub mod invitations;
pub mod members;
pub mod roles;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::model::{Membership, OrganizationRef, Slug};
use super::permissions::Role;
use super::policy::Policy;
use crate::platform::db::Conn;
use crate::platform::http::pagination::Window;
use crate::platform::ids::{OrganizationId, OrganizationRoleId, UserId};

/// An organization about to be made.
#[derive(Debug)]
pub struct NewOrganization<'a> {
    /// For people.
    pub name: &'a str,
    /// Names it in addresses.
    pub slug: &'a Slug,
    /// Free-form.
    pub metadata: &'a Map<String, Value>,
}

/// Makes an organization; `None` when another one has the slug.
pub async fn insert(
    conn: &mut Conn,
    new: &NewOrganization<'_>,
) -> Result<Option<OrganizationId>, sqlx::Error> {
    let id = OrganizationId::new();
    let result = sqlx::query!(
        "INSERT INTO auth.organizations (id, name, slug, metadata) VALUES ($1, $2, $3, $4)
         ON CONFLICT ON CONSTRAINT organizations_slug_key DO NOTHING",
        id.as_uuid(),
        new.name,
        new.slug.as_str(),
        Value::Object(new.metadata.clone()),
    )
    .execute(&mut *conn)
    .await?;
    Ok((result.rows_affected() == 1).then_some(id))
}

/// Holds an organization until the transaction ends: nobody else changes it, its members or its roles meanwhile.
/// `false` when it is gone.
pub async fn lock(conn: &mut Conn, id: OrganizationId) -> Result<bool, sqlx::Error> {
    let row = sqlx::query_scalar!(
        "SELECT id FROM auth.organizations WHERE id = $1 FOR NO KEY UPDATE",
        id.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    Ok(row.is_some())
}

/// Keeps an organization as it is until the transaction ends: its policy, its members, its roles. Others may do the same
/// beside. `false` when it is gone.
pub async fn hold(conn: &mut Conn, id: OrganizationId) -> Result<bool, sqlx::Error> {
    let row = sqlx::query_scalar!("SELECT id FROM auth.organizations WHERE id = $1 FOR SHARE", id.as_uuid())
        .fetch_optional(&mut *conn)
        .await?;
    Ok(row.is_some())
}

struct Row {
    id: OrganizationId,
    name: String,
    slug: String,
    metadata: Value,
    required_aal: i16,
    allowed_methods: Option<Vec<String>>,
    session_idle_seconds: Option<i32>,
    session_absolute_seconds: Option<i32>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    role: String,
    role_id: Option<OrganizationRoleId>,
    role_name: Option<String>,
    role_permissions: Option<Vec<String>>,
}

impl From<Row> for Membership {
    fn from(row: Row) -> Self {
        let policy = Policy::of_stored(
            row.required_aal,
            row.allowed_methods.as_deref(),
            row.session_idle_seconds,
            row.session_absolute_seconds,
        );
        let role = Role::of_stored(&row.role, row.role_id, row.role_name, row.role_permissions.as_deref());
        Self {
            id: row.id,
            name: row.name,
            slug: row.slug,
            metadata: row.metadata,
            policy,
            created_at: row.created_at,
            updated_at: row.updated_at,
            role,
        }
    }
}

/// What a user belongs to, newest first; `id` and `slug` name one alone.
async fn memberships(
    conn: &mut Conn,
    user: UserId,
    (id, slug): (Option<Uuid>, Option<&str>),
    (before, limit): (Option<Uuid>, i64),
) -> Result<Vec<Membership>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT o.id AS "id: OrganizationId", o.name, o.slug, o.metadata, o.required_aal, o.allowed_methods,
                  o.session_idle_seconds, o.session_absolute_seconds, o.created_at, o.updated_at,
                  m.role, m.role_id AS "role_id: OrganizationRoleId",
                  r.name AS "role_name?", r.permissions AS "role_permissions?"
           FROM auth.organization_members m
           JOIN auth.organizations o ON o.id = m.organization_id
           LEFT JOIN auth.organization_roles r ON r.id = m.role_id
           WHERE m.user_id = $1 AND ($2::uuid IS NULL OR m.organization_id = $2)
             AND ($3::text IS NULL OR o.slug = $3) AND ($4::uuid IS NULL OR m.organization_id < $4)
           ORDER BY m.organization_id DESC LIMIT $5"#,
        user.as_uuid(),
        id,
        slug,
        before,
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    Ok(rows.into_iter().map(Membership::from).collect())
}

/// One organization that the user belongs to.
pub async fn find_membership(
    conn: &mut Conn,
    user: UserId,
    organization: &OrganizationRef,
) -> Result<Option<Membership>, sqlx::Error> {
    let named = match organization {
        OrganizationRef::Id(id) => (Some(id.as_uuid()), None),
        OrganizationRef::Slug(slug) => (None, Some(slug.as_str())),
    };
    Ok(memberships(conn, user, named, (None, 1)).await?.pop())
}

/// The organizations that a user belongs to, newest first.
pub async fn list(conn: &mut Conn, user: UserId, window: Window) -> Result<Vec<Membership>, sqlx::Error> {
    memberships(conn, user, (None, None), (window.after, window.fetch())).await
}

/// A change of an organization; `None` leaves a value as it is.
#[derive(Debug)]
pub struct Change<'a> {
    /// For people.
    pub name: Option<&'a str>,
    /// Names it in addresses.
    pub slug: Option<&'a Slug>,
    /// The whole object.
    pub metadata: Option<&'a Map<String, Value>>,
    /// The whole policy, as it is to be.
    pub policy: &'a Policy,
}

/// Changes an organization.
///
/// # Errors
/// Violates `organizations_slug_key` when another one has the slug.
pub async fn update(conn: &mut Conn, id: OrganizationId, change: &Change<'_>) -> Result<(), sqlx::Error> {
    let methods: Option<Vec<String>> = change
        .policy
        .allowed_methods
        .as_ref()
        .map(|methods| methods.iter().map(|method| method.name().to_owned()).collect());
    let seconds = |seconds: Option<u32>| seconds.map(|seconds| i32::try_from(seconds).unwrap_or(i32::MAX));
    sqlx::query!(
        "UPDATE auth.organizations
         SET name = coalesce($2, name), slug = coalesce($3, slug), metadata = coalesce($4, metadata),
             required_aal = $5, allowed_methods = $6, session_idle_seconds = $7, session_absolute_seconds = $8,
             updated_at = now()
         WHERE id = $1",
        id.as_uuid(),
        change.name,
        change.slug.map(Slug::as_str),
        change.metadata.map(|metadata| Value::Object(metadata.clone())),
        change.policy.required_aal,
        methods.as_deref(),
        seconds(change.policy.sessions.idle_seconds),
        seconds(change.policy.sessions.absolute_seconds),
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Deletes organizations with everything that belongs to them.
pub async fn delete(conn: &mut Conn, ids: &[OrganizationId]) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = ids.iter().map(OrganizationId::as_uuid).collect();
    sqlx::query!("DELETE FROM auth.organizations WHERE id = ANY ($1)", &ids).execute(&mut *conn).await?;
    Ok(())
}
