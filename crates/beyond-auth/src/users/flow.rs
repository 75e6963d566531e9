//! What one does with users.

use serde_json::{Map, Value};

use super::model::{Holder, OwnedAlone, Profile, Standing, User};
use super::store::{self, SecondFactors};
use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::platform::db::Conn;
use crate::platform::http::Client;
use crate::platform::ids::UserId;
use crate::settings::Settings;
use crate::settings::model::MfaPolicy;

/// Why a user was not changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such user.
    #[error("there is no such user")]
    NotFound,
    /// Organizations would be left without an owner.
    #[error("the user is the last owner of organizations")]
    LastOwner(Vec<OwnedAlone>),
    /// The session that asked has ended meanwhile.
    #[error("the session has ended")]
    Ended,
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Makes a user, in the caller's transaction.
pub async fn create(conn: &mut Conn, profile: &Profile) -> Result<UserId, sqlx::Error> {
    store::insert(conn, profile).await
}

/// Reads a user, in the caller's transaction.
pub async fn find(conn: &mut Conn, id: UserId) -> Result<Option<User>, sqlx::Error> {
    store::find(conn, id).await
}

/// Whether the user may sign in; holds until the transaction ends, and keeps others from changing what proves who the
/// user is. Whoever changes or checks credentials takes this lock before any other on what belongs to the user, and
/// after the lock on an address: one order for all, so that nobody waits in a circle.
pub async fn lock_standing(conn: &mut Conn, id: UserId) -> Result<Option<Standing>, sqlx::Error> {
    store::lock_standing(conn, id).await
}

/// Like [`lock_standing`], for what somebody does with a session: whether the user may act and that session still lives.
///
/// The session was verified when the request's head arrived; its body may have come much later. Whoever ends sessions
/// takes the same lock first, so an end either comes before and is seen here, or waits.
pub async fn lock_session(conn: &mut Conn, holder: Holder) -> Result<bool, sqlx::Error> {
    if lock_standing(conn, holder.user).await? != Some(Standing::Good) {
        return Ok(false);
    }
    store::has_session(conn, holder).await
}

/// Notes that somebody came in before any address of the account was proven.
pub async fn note_unproven_use(conn: &mut Conn, id: UserId) -> Result<(), sqlx::Error> {
    store::note_unproven_use(conn, id).await
}

/// The first proof of an address: if somebody came in before it, everything planted since then goes.
pub async fn forget_unproven_use(conn: &mut Conn, id: UserId) -> Result<(), sqlx::Error> {
    store::forget_unproven_use(conn, id, false).await
}

/// The first proof of an address, by somebody who need not be the one who signed up: all that was set up before goes,
/// the password included, whether anybody has come in with it or not.
pub async fn forget_planted(conn: &mut Conn, id: UserId) -> Result<(), sqlx::Error> {
    store::forget_unproven_use(conn, id, true).await
}

/// Whether anything is left to begin a sign-in with, as the project's settings are now. Asked in the transaction that
/// takes something away, behind [`lock_standing`].
pub async fn has_way_in(conn: &mut Conn, settings: &Settings, id: UserId) -> Result<bool, sqlx::Error> {
    let ways = store::ways_in(conn, id).await?;
    Ok((ways.password && settings.password.enabled)
        || (ways.passkey && settings.passkeys.enabled)
        || (ways.mailbox && settings.magic_link.enabled)
        || ways.identity)
}

/// Whether a sign-in of this user asks for a second factor that is enrolled, as the project's settings are now: an
/// authenticator app, or a passkey where the project requires two factors.
pub async fn has_second_factor(
    conn: &mut Conn,
    settings: &Settings,
    id: UserId,
) -> Result<bool, sqlx::Error> {
    if settings.mfa.policy == MfaPolicy::Off {
        return Ok(false);
    }
    let has = second_factors(conn, settings, id).await?;
    Ok(has.totp || (has.passkey && settings.mfa.policy == MfaPolicy::Required))
}

/// The second factors of a user that could be presented now. A passkey counts only where passkeys are switched on: or
/// nobody who holds one could enrol anything else.
pub async fn second_factors(
    conn: &mut Conn,
    settings: &Settings,
    id: UserId,
) -> Result<SecondFactors, sqlx::Error> {
    let has = store::second_factors(conn, id).await?;
    Ok(SecondFactors { passkey: has.passkey && settings.passkeys.enabled, ..has })
}

/// A change of profile; fields that are `None` stay.
#[derive(Debug, Default)]
pub struct ProfileChange {
    /// `Some(None)` clears it.
    pub name: Option<Option<String>>,
    /// Replaces the whole object.
    pub metadata: Option<Map<String, Value>>,
}

/// Changes a profile. `by` is the session of the user in person; the operator has none.
pub async fn update_profile(
    app: &App,
    id: UserId,
    change: &ProfileChange,
    by: Option<Holder>,
    client: &Client,
) -> Result<User, Error> {
    let mut tx = app.db.begin("users.update_profile").await?;
    let actor = lock_for(&mut tx, id, by).await?;
    let name = change.name.as_ref().map(Option::as_deref);
    if !store::update_profile(&mut tx, id, name, change.metadata.as_ref()).await? {
        return Err(Error::NotFound);
    }
    audit::record(&mut tx, Event::new("user.updated", actor).on(id).from(client)).await?;
    let user = store::find(&mut tx, id).await?.ok_or(Error::NotFound)?;
    tx.commit().await?;
    Ok(user)
}

/// Deletes a user with everything that belongs to it; sessions end with the row. Somebody whom organizations could not
/// be without stays. `by` as in [`update_profile`].
pub async fn delete(app: &App, id: UserId, by: Option<Holder>, client: &Client) -> Result<(), Error> {
    let mut tx = app.db.begin("users.delete").await?;
    let actor = lock_for(&mut tx, id, by).await?;
    let alone = store::lock_owned_alone(&mut tx, id).await?;
    if !alone.is_empty() {
        return Err(Error::LastOwner(alone));
    }
    remove(&mut tx, id, actor, client).await?;
    tx.commit().await?;
    app.unlinked.notify_one();
    Ok(())
}

/// The organizations that nobody would own without the user, in the caller's transaction: until that ends, nobody joins
/// or leaves an organization of the user's or changes a role there.
pub async fn lock_owned_alone(conn: &mut Conn, id: UserId) -> Result<Vec<OwnedAlone>, Error> {
    store::lock_standing(conn, id).await?.ok_or(Error::NotFound)?;
    Ok(store::lock_owned_alone(conn, id).await?)
}

/// Deletes a user, in the caller's transaction, which has seen to the organizations.
pub async fn remove(conn: &mut Conn, id: UserId, actor: Actor, client: &Client) -> Result<(), Error> {
    if !store::delete(conn, id).await? {
        return Err(Error::NotFound);
    }
    audit::record(conn, Event::new("user.deleted", actor).on(id).from(client)).await?;
    Ok(())
}

/// Locks the user for whoever acts: with a session, it must live.
async fn lock_for(conn: &mut Conn, id: UserId, by: Option<Holder>) -> Result<Actor, Error> {
    match by {
        Some(holder) if lock_session(conn, holder).await? => Ok(Actor::User(id)),
        Some(_) => Err(Error::Ended),
        None => {
            lock_standing(conn, id).await?.ok_or(Error::NotFound)?;
            Ok(Actor::Admin)
        }
    }
}
