//! Invitations: an address is asked to join, and whoever has proven it accepts.
//!
//! Whether the address has an account plays no part until then: nobody who invites learns of it.

use super::actor::Actor;
use super::mails::INVITATION;
use super::model::{Error, Invitation, Membership, OrganizationRef, ReceivedInvitation};
use super::permissions::{Permission, Role};
use super::store::{self, invitations, members};
use super::{policy, roles};
use crate::app::App;
use crate::audit::{self, Event};
use crate::emails::{self, Email};
use crate::platform::crypto::token::{self, Token};
use crate::platform::db::{Conn, Constraint as _};
use crate::platform::http::pagination::Window;
use crate::platform::http::{Client, throttle};
use crate::platform::ids::{InvitationId, OrganizationId, UserId};
use crate::platform::limits::{self, Decision};
use crate::platform::mail::outbox::NewMail;
use crate::sessions::{self, Live};
use crate::users;

/// Lists the invitations of an organization that wait, newest first.
pub async fn list(
    app: &App,
    live: &Live,
    organization: &OrganizationRef,
    window: Window,
) -> Result<Vec<Invitation>, Error> {
    let mut conn = app.db.acquire().await?;
    let actor = Actor::find(&mut conn, live, organization).await?;
    actor.require(Permission::InvitationsRead)?;
    Ok(invitations::list(&mut conn, actor.organization(), None, window).await?)
}

/// Invites an address with a role that holds no more than the caller's own, and mails it.
pub async fn create(
    app: &App,
    live: &Live,
    organization: &OrganizationRef,
    email: &Email,
    role: &str,
    client: &Client,
) -> Result<Invitation, Error> {
    let mut conn = app.db.acquire().await?;
    let actor = Actor::find(&mut conn, live, organization).await?;
    actor.require(Permission::InvitationsCreate)?;
    charge(&mut conn, &actor, email.canonical()).await?;
    drop(conn);

    let mut tx = app.db.begin("orgs.invite").await?;
    let actor = Actor::lock(&mut tx, live, organization).await?;
    actor.require(Permission::InvitationsCreate)?;
    let organization = actor.organization();
    let role = roles::find(&mut tx, organization, role).await?.ok_or(Error::UnknownRole)?;
    actor.covers(&role)?;
    if role.is_owner() {
        actor.may_change_owners(&mut tx, live).await?;
    }
    if invitations::is_member(&mut tx, organization, email).await? {
        return Err(Error::AlreadyMember);
    }
    let inserted = invitations::insert(&mut tx, organization, email, role.kind, actor.user()).await;
    let id = inserted.map_err(|error| {
        if error.violates("organization_invitations_pending_key") {
            Error::AlreadyInvited
        } else {
            Error::Database(error)
        }
    })?;
    send(app, &mut tx, id, email.address(), client).await?;
    record(&mut tx, "invitation.created", actor.audited(), (organization, id), live, client).await?;
    let invitation = find(&mut tx, organization, id).await?;
    tx.commit().await?;
    app.outbox.wake();
    Ok(invitation)
}

/// Mails an invitation again: what was mailed before opens nothing once the new mail has left. Whoever sends it answers
/// for it from now on.
pub async fn deliver(
    app: &App,
    live: &Live,
    organization: &OrganizationRef,
    id: InvitationId,
    client: &Client,
) -> Result<(), Error> {
    let mut conn = app.db.acquire().await?;
    let actor = Actor::find(&mut conn, live, organization).await?;
    actor.require(Permission::InvitationsCreate)?;
    let pending = pending_of(&mut conn, &actor, id).await?;
    charge(&mut conn, &actor, &pending.canonical).await?;
    drop(conn);

    let mut tx = app.db.begin("orgs.deliver_invitation").await?;
    let actor = Actor::lock(&mut tx, live, organization).await?;
    actor.require(Permission::InvitationsCreate)?;
    let pending = pending_of(&mut tx, &actor, id).await?;
    actor.covers(&pending.role)?;
    if pending.role.is_owner() {
        actor.may_change_owners(&mut tx, live).await?;
    }
    invitations::renew(&mut tx, id, actor.user()).await?;
    send(app, &mut tx, id, &pending.address, client).await?;
    let what = (actor.organization(), id);
    record(&mut tx, "invitation.sent_again", actor.audited(), what, live, client).await?;
    tx.commit().await?;
    app.outbox.wake();
    Ok(())
}

/// Takes an invitation back.
pub async fn cancel(
    app: &App,
    live: &Live,
    organization: &OrganizationRef,
    id: InvitationId,
    client: &Client,
) -> Result<(), Error> {
    let mut tx = app.db.begin("orgs.cancel_invitation").await?;
    let actor = Actor::lock(&mut tx, live, organization).await?;
    actor.require(Permission::InvitationsCancel)?;
    if !invitations::cancel(&mut tx, actor.organization(), id).await? {
        return Err(Error::NotFound);
    }
    let what = (actor.organization(), id);
    record(&mut tx, "invitation.cancelled", actor.audited(), what, live, client).await?;
    tx.commit().await?;
    Ok(())
}

/// Lists the invitations that wait for a user at any proven address, newest first.
pub async fn list_received(
    app: &App,
    user: UserId,
    window: Window,
) -> Result<Vec<ReceivedInvitation>, Error> {
    let mut conn = app.db.acquire().await?;
    Ok(invitations::list_received(&mut conn, user, window).await?)
}

/// Tells whoever has the token what it is for. Changes nothing.
pub async fn describe(app: &App, token: &Token<token::Invitation>) -> Result<ReceivedInvitation, Error> {
    let mut conn = app.db.acquire().await?;
    let id = presented(&mut conn, token).await?.0;
    invitations::describe(&mut conn, id).await?.ok_or(Error::InvalidInvitation)
}

/// Accepts an invitation: for the account that has proven the address it went to, once, while whoever invited may still
/// do so.
///
/// Locked from the general to the particular: the address, the user, the organization.
pub async fn redeem(
    app: &App,
    live: &Live,
    token: &Token<token::Invitation>,
    client: &Client,
) -> Result<Membership, Error> {
    let user = live.user.id;
    if live.session.impersonator.is_some() {
        return Err(Error::Impersonated);
    }
    let mut tx = app.db.begin("orgs.redeem_invitation").await?;
    let (id, pending) = presented(&mut tx, token).await?;
    let email = Email::parse(&pending.address).map_err(|_| Error::InvalidInvitation)?;
    let owner = emails::flow::lock_owner(&mut tx, &email, false).await?;
    if !users::flow::lock_session(&mut tx, live.holder()).await? {
        return Err(Error::Ended);
    }
    if owner.map(|owner| owner.user_id) != Some(user) {
        return Err(Error::OtherAddress);
    }
    let organization = pending.organization;
    if !store::lock(&mut tx, organization).await? {
        return Err(Error::InvalidInvitation);
    }
    // Once more, now that no role changes.
    let (_, pending) = presented(&mut tx, token).await?;
    if !is_entitled(&mut tx, organization, pending.invited_by, &pending.role).await? {
        return Err(Error::InvalidInvitation);
    }
    if !invitations::accept(&mut tx, id, &token.hash()).await? {
        return Err(Error::InvalidInvitation);
    }
    if !members::insert(&mut tx, organization, user, pending.role.kind).await? {
        return Err(Error::AlreadyMember);
    }
    let membership = store::find_membership(&mut tx, user, &OrganizationRef::Id(organization))
        .await?
        .ok_or(Error::NotFound)?;
    let limits = policy::SessionPolicy::into(membership.policy.sessions);
    sessions::flow::limit_members(&mut tx, organization, Some(user), limits).await?;
    let actor = audit::Actor::User(user);
    record(&mut tx, "invitation.accepted", actor, (organization, id), live, client).await?;
    tx.commit().await?;
    Ok(membership)
}

/// Declines an invitation that waits at a proven address of the caller's.
pub async fn decline(app: &App, live: &Live, id: InvitationId, client: &Client) -> Result<(), Error> {
    let mut tx = app.db.begin("orgs.decline_invitation").await?;
    if !users::flow::lock_session(&mut tx, live.holder()).await? {
        return Err(Error::Ended);
    }
    let organization = invitations::decline(&mut tx, live.user.id, id).await?.ok_or(Error::NotFound)?;
    let actor = audit::Actor::User(live.user.id);
    record(&mut tx, "invitation.declined", actor, (organization, id), live, client).await?;
    tx.commit().await?;
    Ok(())
}

/// The invitation whose last mailed token this is.
async fn presented(
    conn: &mut Conn,
    token: &Token<token::Invitation>,
) -> Result<(InvitationId, invitations::Pending), Error> {
    let id = InvitationId::from(token.id());
    let pending = invitations::find_pending(conn, id).await?.filter(|pending| {
        !pending.expired && pending.secret_hash.as_deref().is_some_and(|hash| token.hash().matches(hash))
    });
    Ok((id, pending.ok_or(Error::InvalidInvitation)?))
}

/// Whether somebody may invite with that role now: still a member in good standing whose role holds it.
async fn is_entitled(
    conn: &mut Conn,
    organization: OrganizationId,
    inviter: Option<UserId>,
    role: &Role,
) -> Result<bool, sqlx::Error> {
    let Some(inviter) = inviter else { return Ok(false) };
    let Some(own) = members::role_of(conn, organization, inviter).await? else { return Ok(false) };
    let may = own.grants.holds(Permission::InvitationsCreate) && own.grants.covers(&role.grants);
    Ok(may && invitations::stands(conn, inviter).await?)
}

async fn pending_of(conn: &mut Conn, actor: &Actor, id: InvitationId) -> Result<invitations::Pending, Error> {
    let pending = invitations::find_pending(conn, id).await?;
    pending.filter(|pending| pending.organization == actor.organization()).ok_or(Error::NotFound)
}

async fn find(conn: &mut Conn, organization: OrganizationId, id: InvitationId) -> Result<Invitation, Error> {
    let window = Window { limit: 1, after: None };
    invitations::list(conn, organization, Some(id), window).await?.pop().ok_or(Error::NotFound)
}

/// Charges a mail to the organization, to whoever sends it, and to the mailbox that gets it: an organization is quickly
/// made, and its name is words of somebody's choice.
async fn charge(conn: &mut Conn, actor: &Actor, canonical: &str) -> Result<(), Error> {
    let (organization, user) = (actor.organization().as_uuid(), actor.user().as_uuid());
    let [hour, day] = throttle::mailbox(canonical.as_bytes());
    let asked = [
        (&throttle::INVITATIONS_OF_ORGANIZATION, organization.as_bytes().as_slice()),
        (&throttle::INVITATIONS_BY_USER, user.as_bytes().as_slice()),
        hour,
        day,
    ];
    match limits::take_all(conn, &asked).await? {
        Decision::Allowed { .. } => Ok(()),
        limited @ Decision::Limited { .. } => Err(Error::Limited(limited)),
    }
}

async fn send(
    app: &App,
    conn: &mut Conn,
    id: InvitationId,
    address: &str,
    client: &Client,
) -> Result<(), sqlx::Error> {
    let mail = NewMail::to_address(INVITATION, address)
        .with_payload(serde_json::json!({ "invitation": id }))
        .in_language(client.language.as_deref());
    app.outbox.enqueue(conn, mail).await?;
    Ok(())
}

async fn record(
    conn: &mut Conn,
    action: &'static str,
    actor: audit::Actor,
    (organization, id): (OrganizationId, InvitationId),
    live: &Live,
    client: &Client,
) -> Result<(), sqlx::Error> {
    let event = Event::new(action, actor)
        .session(live.session.id)
        .from(client)
        .details(serde_json::json!({ "organization_id": organization, "invitation_id": id }));
    audit::record(conn, event).await
}

/// Removes what ended or expired a month ago, in one small batch; says how many rows went.
pub async fn purge(conn: &mut Conn, batch: i64) -> Result<u64, sqlx::Error> {
    invitations::purge(conn, batch).await
}
