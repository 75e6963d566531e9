//! The organization that a session acts for.

use super::actor::Actor;
use super::model::{Error, OrganizationRef};
use super::store;
use crate::app::App;
use crate::audit::{self, Event};
use crate::platform::db::Conn;
use crate::platform::http::Client;
use crate::platform::ids::{OrganizationId, UserId};
use crate::sessions::{self, Live};
use crate::users;

/// The organization that a renewed session goes on to act for, in the caller's transaction: the one of before, while its
/// user belongs to it and what the new session stands for is what the organization asks for. Renewing may carry over less
/// than the older session had shown.
pub async fn carried_over(
    conn: &mut Conn,
    user: UserId,
    organization: OrganizationId,
    aal: i16,
    amr: &[String],
) -> Result<Option<OrganizationId>, sqlx::Error> {
    if !store::hold(conn, organization).await? {
        return Ok(None);
    }
    let membership = store::find_membership(conn, user, &OrganizationRef::Id(organization)).await?;
    Ok(membership.filter(|membership| membership.policy.admits(aal, amr).is_ok()).map(|found| found.id))
}

/// What to change about a session; what is `None` stays.
#[derive(Debug, Default)]
pub struct SessionChange {
    /// One's own name for the device; `Some(None)` clears it.
    pub label: Option<Option<String>>,
    /// The organization to act for; `Some(None)`: none.
    pub organization: Option<Option<OrganizationId>>,
}

/// Names the device, and lets the session act for an organization of its user, if it is what that one asks for.
pub async fn update(
    app: &App,
    live: &mut Live,
    change: &SessionChange,
    client: &Client,
) -> Result<(), Error> {
    let id = live.session.id;
    let mut tx = app.db.begin("orgs.update_session").await?;
    if let Some(Some(organization)) = change.organization {
        // Behind the lock on its row: the organization may be asking for more just now.
        let actor = Actor::lock(&mut tx, live, &OrganizationRef::Id(organization)).await?;
        actor.satisfies(&actor.membership.policy)?;
    } else if !users::flow::lock_session(&mut tx, live.holder()).await? {
        return Err(Error::Ended);
    }
    if let Some(label) = &change.label {
        sessions::flow::rename(&mut tx, id, label.as_deref()).await?;
    }
    if let Some(organization) = change.organization {
        sessions::flow::switch(&mut tx, &[id], organization).await?;
        let event = Event::new("session.organization_changed", audit::Actor::User(live.user.id))
            .session(id)
            .from(client)
            .details(serde_json::json!({ "organization_id": organization }));
        audit::record(&mut tx, event).await?;
    }
    tx.commit().await?;
    if let Some(label) = &change.label {
        live.session.label.clone_from(label);
    }
    if let Some(organization) = change.organization {
        live.session.organization_id = organization;
    }
    Ok(())
}
