//! Roles that an organization makes for itself.

use super::actor::Actor;
use super::model::{Error, ListedRole, MOST_ROLES, OrganizationRef};
use super::permissions::{BUILT_IN, Grants, Kind, Permission, Role};
use super::store;
use crate::app::App;
use crate::audit::{self, Event};
use crate::platform::db::{Conn, Constraint as _};
use crate::platform::http::Client;
use crate::platform::ids::{OrganizationId, OrganizationRoleId};
use crate::sessions::Live;

/// A role by its name: a built-in one, or one of the organization's own.
pub(super) async fn find(
    conn: &mut Conn,
    organization: OrganizationId,
    name: &str,
) -> Result<Option<Role>, sqlx::Error> {
    match Role::built_in(name) {
        Some(role) => Ok(Some(role)),
        None => store::roles::find(conn, organization, name).await,
    }
}

/// Lists the roles of an organization: the built-in ones first.
pub async fn list(app: &App, live: &Live, organization: &OrganizationRef) -> Result<Vec<ListedRole>, Error> {
    let mut conn = app.db.acquire().await?;
    let actor = Actor::find(&mut conn, live, organization).await?;
    actor.require(Permission::MembersRead)?;
    let built_in = BUILT_IN.into_iter().filter_map(Role::built_in).map(|role| ListedRole {
        name: role.name,
        description: None,
        permissions: role.grants.names(),
        built_in: true,
        created_at: None,
    });
    Ok(built_in.chain(store::roles::list(&mut conn, actor.organization()).await?).collect())
}

/// Makes a role that holds no more than the caller's own.
pub async fn create(
    app: &App,
    live: &Live,
    organization: &OrganizationRef,
    (name, description, grants): (&str, Option<&str>, &Grants),
    client: &Client,
) -> Result<ListedRole, Error> {
    let mut tx = app.db.begin("orgs.create_role").await?;
    let actor = Actor::lock(&mut tx, live, organization).await?;
    actor.require(Permission::RolesManage)?;
    covers(&actor, grants)?;
    let id = actor.organization();
    if store::roles::count(&mut tx, id).await? >= MOST_ROLES {
        return Err(Error::TooManyRoles);
    }
    let role = store::roles::insert(&mut tx, id, name, description, grants).await.map_err(taken)?;
    record(&mut tx, "organization.role_created", &actor, name, Some(grants), client).await?;
    tx.commit().await?;
    Ok(role)
}

/// A change of a role; what is `None` stays.
#[derive(Debug, Default)]
pub struct RoleChange {
    /// What people and programs call it.
    pub name: Option<String>,
    /// `Some(None)` clears it.
    pub description: Option<Option<String>>,
    /// All that it is to hold.
    pub grants: Option<Grants>,
}

/// Changes a role. Neither before nor after may it hold more than the caller's own.
pub async fn update(
    app: &App,
    live: &Live,
    organization: &OrganizationRef,
    name: &str,
    change: &RoleChange,
    client: &Client,
) -> Result<ListedRole, Error> {
    let mut tx = app.db.begin("orgs.update_role").await?;
    let actor = Actor::lock(&mut tx, live, organization).await?;
    actor.require(Permission::RolesManage)?;
    let (id, before) = own_role(&mut tx, &actor, name).await?;
    covers(&actor, &before)?;
    if let Some(grants) = &change.grants {
        covers(&actor, grants)?;
    }
    let description = change.description.as_ref().map(Option::as_deref);
    let changed =
        store::roles::update(&mut tx, id, change.name.as_deref(), description, change.grants.as_ref()).await;
    let role = changed.map_err(taken)?;
    record(&mut tx, "organization.role_updated", &actor, &role.name, change.grants.as_ref(), client).await?;
    tx.commit().await?;
    Ok(role)
}

/// Removes a role that nobody holds. Invitations with it end.
pub async fn remove(
    app: &App,
    live: &Live,
    organization: &OrganizationRef,
    name: &str,
    client: &Client,
) -> Result<(), Error> {
    let mut tx = app.db.begin("orgs.remove_role").await?;
    let actor = Actor::lock(&mut tx, live, organization).await?;
    actor.require(Permission::RolesManage)?;
    let (id, grants) = own_role(&mut tx, &actor, name).await?;
    covers(&actor, &grants)?;
    store::roles::delete(&mut tx, id).await.map_err(|error| {
        if error.violates("organization_members_role_fkey") {
            Error::RoleInUse
        } else {
            Error::Database(error)
        }
    })?;
    record(&mut tx, "organization.role_removed", &actor, name, None, client).await?;
    tx.commit().await?;
    Ok(())
}

/// A role of the organization's own; the built-in ones cannot be changed, so they are not found here.
async fn own_role(conn: &mut Conn, actor: &Actor, name: &str) -> Result<(OrganizationRoleId, Grants), Error> {
    let role = store::roles::find(conn, actor.organization(), name).await?.ok_or(Error::NotFound)?;
    match role.kind {
        Kind::Custom(id) => Ok((id, role.grants)),
        Kind::Owner | Kind::Admin | Kind::Member => Err(Error::NotFound),
    }
}

fn covers(actor: &Actor, grants: &Grants) -> Result<(), Error> {
    if actor.role().grants.covers(grants) { Ok(()) } else { Err(Error::Exceeds) }
}

fn taken(error: sqlx::Error) -> Error {
    if error.violates("organization_roles_name_key") { Error::RoleTaken } else { Error::Database(error) }
}

async fn record(
    conn: &mut Conn,
    action: &'static str,
    actor: &Actor,
    name: &str,
    grants: Option<&Grants>,
    client: &Client,
) -> Result<(), sqlx::Error> {
    let permissions = grants.map(Grants::names);
    let event = Event::new(action, actor.audited()).session(actor.session().id).from(client).details(
        serde_json::json!({
            "organization_id": actor.organization(), "role": name, "permissions": permissions
        }),
    );
    audit::record(conn, event).await
}
