//! Members: who belongs to an organization, as what; and how that ends.

use super::actor::Actor;
use super::model::{Error, Member, MemberRef, OrganizationRef};
use super::permissions::Permission;
use super::roles;
use super::store::members;
use crate::app::App;
use crate::audit::{self, Event};
use crate::platform::db::Conn;
use crate::platform::http::Client;
use crate::platform::http::pagination::Window;
use crate::platform::ids::{OrganizationId, UserId};
use crate::sessions::Live;

/// Lists members, in the order of their ids.
pub async fn list(
    app: &App,
    live: &Live,
    organization: &OrganizationRef,
    window: Window,
) -> Result<Vec<Member>, Error> {
    let mut conn = app.db.acquire().await?;
    let actor = Actor::find(&mut conn, live, organization).await?;
    actor.require(Permission::MembersRead)?;
    Ok(members::list(&mut conn, actor.organization(), window).await?)
}

/// Gives a member another role. Neither the one held nor the one given may hold more than the caller's own.
pub async fn update(
    app: &App,
    live: &Live,
    organization: &OrganizationRef,
    member: MemberRef,
    role: &str,
    client: &Client,
) -> Result<Member, Error> {
    let mut tx = app.db.begin("orgs.update_member").await?;
    let actor = Actor::lock(&mut tx, live, organization).await?;
    actor.require(Permission::MembersUpdate)?;
    let (id, user) = (actor.organization(), resolve(&actor, member));
    let held = members::role_of(&mut tx, id, user).await?.ok_or(Error::NotFound)?;
    let given = roles::find(&mut tx, id, role).await?.ok_or(Error::UnknownRole)?;
    actor.covers(&held)?;
    actor.covers(&given)?;
    if held.is_owner() != given.is_owner() {
        actor.may_change_owners(&mut tx, live).await?;
    }
    if held.is_owner() && !given.is_owner() {
        keep_an_owner(&mut tx, id, user).await?;
    }
    members::update(&mut tx, id, user, given.kind).await?;
    let event = Event::new("organization.member_updated", actor.audited())
        .on(user)
        .session(live.session.id)
        .from(client)
        .details(serde_json::json!({ "organization_id": id, "from": held.name, "to": given.name }));
    audit::record(&mut tx, event).await?;
    let member = members::find(&mut tx, id, user).await?.ok_or(Error::NotFound)?;
    tx.commit().await?;
    Ok(member)
}

/// Removes a member whose role holds no more than the caller's own, or lets the caller leave, whatever the role. Holds
/// for the member's next request, on every instance.
pub async fn remove(
    app: &App,
    live: &Live,
    organization: &OrganizationRef,
    member: MemberRef,
    client: &Client,
) -> Result<(), Error> {
    let mut tx = app.db.begin("orgs.remove_member").await?;
    let actor = Actor::lock(&mut tx, live, organization).await?;
    let (id, user) = (actor.organization(), resolve(&actor, member));
    let leaves = user == actor.user();
    if !leaves {
        actor.require(Permission::MembersRemove)?;
    }
    let held = members::role_of(&mut tx, id, user).await?.ok_or(Error::NotFound)?;
    actor.covers(&held)?;
    if held.is_owner() {
        if !leaves {
            actor.may_change_owners(&mut tx, live).await?;
        }
        keep_an_owner(&mut tx, id, user).await?;
    }
    members::delete(&mut tx, id, user).await?;
    let action = if leaves { "organization.member_left" } else { "organization.member_removed" };
    let event = Event::new(action, actor.audited())
        .on(user)
        .session(live.session.id)
        .from(client)
        .details(serde_json::json!({ "organization_id": id, "role": held.name }));
    audit::record(&mut tx, event).await?;
    tx.commit().await?;
    Ok(())
}

fn resolve(actor: &Actor, member: MemberRef) -> UserId {
    match member {
        MemberRef::Me => actor.user(),
        MemberRef::User(user) => user,
    }
}

/// Refuses what would leave the organization without an owner. Behind the lock on its row, or two owners could go at
/// the same moment, each because of the other.
async fn keep_an_owner(conn: &mut Conn, id: OrganizationId, user: UserId) -> Result<(), Error> {
    if members::has_other_owner(conn, id, user).await? { Ok(()) } else { Err(Error::LastOwner) }
}
