//! Organizations themselves: make, read, change, delete.

use serde_json::{Map, Value};

use super::actor::Actor;
use super::model::{Error, Membership, OrganizationRef, Slug};
use super::permissions::{Kind, Permission};
use super::policy::PolicyChange;
use super::store::{self, Change, NewOrganization, members};
use crate::app::App;
use crate::audit::{self, Event};
use crate::platform::crypto::random;
use crate::platform::db::{Conn, Constraint as _};
use crate::platform::http::Client;
use crate::platform::http::pagination::Window;
use crate::platform::http::throttle;
use crate::platform::ids::{OrganizationId, UserId};
use crate::platform::limits::{self, Decision};
use crate::sessions::{self, Live};
use crate::users;

/// Tries for a slug where none was asked for.
const TRIES: usize = 5;

/// Lists the organizations that a user belongs to, newest first.
pub async fn list(app: &App, user: UserId, window: Window) -> Result<Vec<Membership>, Error> {
    let mut conn = app.db.acquire().await?;
    Ok(store::list(&mut conn, user, window).await?)
}

/// Reads an organization. A member may, whatever the organization asks of whoever acts for it: here stands what that is.
pub async fn get(app: &App, live: &Live, organization: &OrganizationRef) -> Result<Membership, Error> {
    let mut conn = app.db.acquire().await?;
    Ok(Actor::find(&mut conn, live, organization).await?.membership)
}

/// An organization that somebody wants to make.
#[derive(Debug)]
pub struct Wish {
    /// For people.
    pub name: String,
    /// Made of the name where absent.
    pub slug: Option<Slug>,
    /// Free-form.
    pub metadata: Map<String, Value>,
}

/// Makes an organization; whoever makes it owns it.
pub async fn create(app: &App, live: &Live, wish: &Wish, client: &Client) -> Result<Membership, Error> {
    let user = live.user.id;
    let mut conn = app.db.acquire().await?;
    let made = limits::take(&mut conn, &throttle::ORGANIZATIONS, user.as_uuid().as_bytes()).await?;
    if let limited @ Decision::Limited { .. } = made {
        return Err(Error::Limited(limited));
    }
    drop(conn);
    let mut tx = app.db.begin("orgs.create").await?;
    if !users::flow::lock_session(&mut tx, live.holder()).await? {
        return Err(Error::Ended);
    }
    // A sign-up that never proves its address may vanish; an organization must not lose its owner by that.
    if !users::flow::find(&mut tx, user).await?.is_some_and(|user| user.email_verified) {
        return Err(Error::Unproven);
    }
    let id = insert(&mut tx, wish).await?;
    members::insert(&mut tx, id, user, Kind::Owner).await?;
    let event = Event::new("organization.created", audit::Actor::User(user))
        .session(live.session.id)
        .from(client)
        .details(serde_json::json!({ "organization_id": id }));
    audit::record(&mut tx, event).await?;
    let membership = Actor::find(&mut tx, live, &OrganizationRef::Id(id)).await?.membership;
    tx.commit().await?;
    Ok(membership)
}

async fn insert(conn: &mut Conn, wish: &Wish) -> Result<OrganizationId, Error> {
    let suggested = Slug::suggest(&wish.name);
    let mut slug = wish.slug.clone().unwrap_or_else(|| suggested.clone());
    for _ in 0..TRIES {
        let new = NewOrganization { name: &wish.name, slug: &slug, metadata: &wish.metadata };
        if let Some(id) = store::insert(conn, &new).await? {
            return Ok(id);
        }
        if wish.slug.is_some() {
            break;
        }
        slug = suggested.with_suffix(&suffix());
    }
    Err(Error::SlugTaken)
}

/// Eight characters that are no secret, drawn so that two organizations of one name do not meet again.
fn suffix() -> String {
    format!("{:08x}", u32::from_be_bytes(random::bytes()))
}

/// A change of an organization; what is `None` stays.
#[derive(Debug, Default)]
pub struct OrganizationChange {
    /// For people.
    pub name: Option<String>,
    /// Names it in addresses.
    pub slug: Option<Slug>,
    /// Replaces the whole object.
    pub metadata: Option<Map<String, Value>>,
    /// What it asks of whoever acts for it.
    pub policy: Option<PolicyChange>,
}

/// Changes an organization. A policy that the asking session does not satisfy is refused: nobody is to lock everybody
/// out. Sessions that act for the organization and do not satisfy it stop doing so.
pub async fn update(
    app: &App,
    live: &Live,
    organization: &OrganizationRef,
    change: &OrganizationChange,
    client: &Client,
) -> Result<Membership, Error> {
    let mut tx = app.db.begin("orgs.update").await?;
    let actor = Actor::lock(&mut tx, live, organization).await?;
    if change.name.is_some() || change.slug.is_some() || change.metadata.is_some() || change.policy.is_none()
    {
        actor.require(Permission::OrganizationUpdate)?;
    }
    let id = actor.organization();
    let before = &actor.membership.policy;
    let policy = match &change.policy {
        Some(change) => {
            actor.require(Permission::PolicyManage)?;
            change.apply(before)
        }
        None => before.clone(),
    };
    actor.satisfies(&policy)?;
    let stored = Change {
        name: change.name.as_deref(),
        slug: change.slug.as_ref(),
        metadata: change.metadata.as_ref(),
        policy: &policy,
    };
    store::update(&mut tx, id, &stored).await.map_err(|error| {
        if error.violates("organizations_slug_key") { Error::SlugTaken } else { Error::Database(error) }
    })?;
    if policy != *before {
        let active = sessions::flow::active_in(&mut tx, id).await?;
        let refused = active.iter().filter(|session| policy.admits(session.aal, &session.amr).is_err());
        let refused: Vec<_> = refused.map(|session| session.id).collect();
        sessions::flow::switch(&mut tx, &refused, None).await?;
        sessions::flow::limit_members(&mut tx, id, None, policy.sessions.into()).await?;
    }
    let event = Event::new("organization.updated", actor.audited())
        .session(live.session.id)
        .from(client)
        .details(serde_json::json!({ "organization_id": id, "policy_changed": policy != *before }));
    audit::record(&mut tx, event).await?;
    let membership = Actor::find(&mut tx, live, &OrganizationRef::Id(id)).await?.membership;
    tx.commit().await?;
    Ok(membership)
}

/// Deletes an organization with everything that belongs to it.
pub async fn delete(
    app: &App,
    live: &Live,
    organization: &OrganizationRef,
    client: &Client,
) -> Result<(), Error> {
    let mut tx = app.db.begin("orgs.delete").await?;
    let actor = Actor::lock(&mut tx, live, organization).await?;
    actor.require(Permission::OrganizationDelete)?;
    let id = actor.organization();
    store::delete(&mut tx, &[id]).await?;
    let event = Event::new("organization.deleted", actor.audited())
        .session(live.session.id)
        .from(client)
        .details(serde_json::json!({ "organization_id": id, "slug": actor.membership.slug }));
    audit::record(&mut tx, event).await?;
    tx.commit().await?;
    Ok(())
}

/// Deletes organizations that nobody would own any more, in the caller's transaction, which holds them: by the
/// operator's wish, together with their last owner.
pub async fn delete_orphans(
    conn: &mut Conn,
    orphans: &[OrganizationId],
    owner: UserId,
    client: &Client,
) -> Result<(), sqlx::Error> {
    store::delete(conn, orphans).await?;
    for id in orphans {
        let event = Event::new("organization.deleted", audit::Actor::Admin)
            .on(owner)
            .from(client)
            .details(serde_json::json!({ "organization_id": id }));
        audit::record(conn, event).await?;
    }
    Ok(())
}
