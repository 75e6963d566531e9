//! Finding, making and remembering identities, in the transactions of others; ending them.

use super::mails;
use super::model::{Identity, Profile};
use super::store;
use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::emails;
use crate::platform::db::{Conn, Constraint as _};
use crate::platform::http::Client;
use crate::platform::ids::{IdentityId, UserId};
use crate::platform::mail::outbox::NewMail;
use crate::sessions::Live;
use crate::settings;
use crate::users;

/// Why an identity was not linked, or not unlinked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody has it already.
    #[error("the identity belongs to an account")]
    Taken,
    /// There is no such identity of this user.
    #[error("there is no such identity")]
    NotFound,
    /// Without it nobody could sign in to the account any more.
    #[error("the last way in stays")]
    LastWayIn,
    /// The account was banned or deleted, or the session ended meanwhile.
    #[error("the session has ended")]
    Ended,
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Finds whose a subject at a provider is.
pub async fn find(conn: &mut Conn, profile: &Profile<'_>) -> Result<Option<Identity>, sqlx::Error> {
    store::find(conn, profile).await
}

/// Links an identity to a user, in the caller's transaction, which has locked the user.
///
/// # Errors
/// [`Error::Taken`] when it is linked already, to whomever; the transaction is of no more use then.
pub async fn link(conn: &mut Conn, user: UserId, profile: &Profile<'_>) -> Result<IdentityId, Error> {
    store::insert(conn, user, profile).await.map_err(|error| {
        if error.violates("identities_subject_key") { Error::Taken } else { Error::Database(error) }
    })
}

/// Notes that somebody came in with an identity, and what the provider says about it now.
pub async fn touch(conn: &mut Conn, id: IdentityId, profile: &Profile<'_>) -> Result<(), sqlx::Error> {
    store::touch(conn, id, profile).await
}

/// A user's identities, oldest first.
pub async fn list(app: &App, user: UserId) -> Result<Vec<Identity>, Error> {
    let mut conn = app.db.acquire().await?;
    Ok(store::list(&mut conn, user).await?)
}

/// Unlinks one of one's own identities, unless nobody could sign in to the account any more. The owner gets a mail; what
/// the provider has handed out is given back later, outside of the request.
///
/// The lock on the user is what parallel requests wait for: each sees what the one before has left.
pub async fn unlink(app: &App, live: &Live, id: IdentityId, client: &Client) -> Result<(), Error> {
    let user = live.user.id;
    let mut tx = app.db.begin("identities.unlink").await?;
    if !users::flow::lock_session(&mut tx, live.holder()).await? {
        return Err(Error::Ended);
    }
    let settings = settings::load(&mut tx).await?;
    let identities = store::list(&mut tx, user).await?;
    let identity = identities.into_iter().find(|identity| identity.id == id).ok_or(Error::NotFound)?;
    store::delete(&mut tx, user, id).await?;
    if !users::flow::has_way_in(&mut tx, &settings, user).await? {
        return Err(Error::LastWayIn);
    }
    let event = Event::new("identity.unlinked", Actor::User(user)).session(live.session.id).from(client);
    let details = serde_json::json!({ "identity_id": id, "provider": identity.provider });
    audit::record(&mut tx, event.details(details)).await?;
    tell(app, &mut tx, mails::IDENTITY_REMOVED, &identity, client).await?;
    tx.commit().await?;
    app.outbox.wake();
    app.unlinked.notify_one();
    Ok(())
}

/// Tells the owner at the primary address that an identity was linked; in the transaction that links it.
pub async fn tell_linked(
    app: &App,
    conn: &mut Conn,
    profile: &Profile<'_>,
    client: &Client,
) -> Result<(), sqlx::Error> {
    match store::find(conn, profile).await? {
        Some(identity) => tell(app, conn, mails::IDENTITY_ADDED, &identity, client).await,
        None => Ok(()),
    }
}

async fn tell(
    app: &App,
    conn: &mut Conn,
    kind: &'static str,
    identity: &Identity,
    client: &Client,
) -> Result<(), sqlx::Error> {
    let Some(email) = emails::flow::primary(conn, identity.user_id).await? else { return Ok(()) };
    let payload =
        serde_json::json!({ "provider_name": identity.provider_name, "identity_email": identity.email });
    let mail = NewMail::to_email(kind, email).about(identity.user_id).with_payload(payload);
    app.outbox.enqueue(conn, mail.in_language(client.language.as_deref())).await?;
    Ok(())
}
