//! Registering, naming and removing passkeys.

use super::ceremony::{self, Owner, RegistrationResponse, RelyingParty};
use super::mails;
use super::model::{Error, MOST_PASSKEYS, Offer, Passkey, Purpose};
use super::{names, store};
use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::emails;
use crate::platform::crypto::random;
use crate::platform::db::{Conn, Constraint as _};
use crate::platform::http::Client;
use crate::platform::ids::{ChallengeId, PasskeyId, UserId};
use crate::platform::mail::outbox::NewMail;
use crate::sessions::device::describe;
use crate::sessions::{self, Live};
use crate::settings::model::MfaPolicy;
use crate::settings::{self, Settings};
use crate::totp;
use crate::users;

/// The settings, provided that passkeys may be used.
pub(super) async fn enabled(conn: &mut Conn) -> Result<Settings, Error> {
    let settings = settings::load(conn).await?;
    if settings.passkeys.enabled { Ok(settings) } else { Err(Error::Disabled) }
}

/// Draws and stores a challenge, and makes options of it.
pub(super) async fn offer(
    conn: &mut Conn,
    purpose: Purpose,
    options: impl FnOnce(&[u8; ceremony::CHALLENGE_LEN]) -> serde_json::Value,
) -> Result<Offer, Error> {
    let challenge = random::bytes();
    let challenge_id = ChallengeId::new();
    let expires_at = store::insert_challenge(conn, challenge_id, purpose, &challenge).await?;
    Ok(Offer { challenge_id, expires_at, options: options(&challenge) })
}

/// A passkey is two factors by itself, and must not be how somebody gets around the second that the account has.
async fn check_strength(conn: &mut Conn, settings: &Settings, live: &Live) -> Result<(), Error> {
    if sessions::flow::second_due(conn, settings, live).await? { Err(Error::SecondFactorDue) } else { Ok(()) }
}

/// Begins a registration.
pub async fn begin(app: &App, live: &Live) -> Result<Offer, Error> {
    let user = &live.user;
    let mut conn = app.db.acquire().await?;
    let settings = enabled(&mut conn).await?;
    check_strength(&mut conn, &settings, live).await?;
    let exclude = store::descriptors(&mut conn, user.id).await?;
    if exclude.len() >= MOST_PASSKEYS {
        return Err(Error::TooMany);
    }
    let rp = RelyingParty::new(&app.config, &settings);
    let id = user.id.to_string();
    let name = user.email.as_deref().unwrap_or(&id);
    let owner = Owner { id: user.id, name, display_name: user.name.as_deref().unwrap_or(name) };
    offer(&mut conn, Purpose::Registration(user.id), |challenge| {
        ceremony::creation_options(&rp, owner, challenge, &exclude)
    })
    .await
}

/// Registers the passkey that an authenticator has made. The owner gets a mail.
pub async fn register(
    app: &App,
    live: &Live,
    challenge_id: ChallengeId,
    answer: &RegistrationResponse,
    name: Option<String>,
    client: &Client,
) -> Result<Passkey, Error> {
    let user = live.user.id;
    let mut conn = app.db.acquire().await?;
    let settings = enabled(&mut conn).await?;
    let challenge = store::take_challenge(&mut conn, challenge_id, Purpose::Registration(user))
        .await?
        .ok_or(Error::Challenge)?;
    drop(conn);
    let rp = RelyingParty::new(&app.config, &settings);
    let registered = ceremony::verify_registration(&rp, &challenge, answer).map_err(Error::Invalid)?;
    let name =
        name.unwrap_or_else(|| names::suggest(registered.aaguid, &describe(client.user_agent.as_deref())));

    let mut tx = app.db.begin("passkeys.register").await?;
    if !users::flow::lock_session(&mut tx, live.holder()).await? {
        return Err(Error::Ended);
    }
    check_strength(&mut tx, &settings, live).await?;
    // Counted again under the lock: many registrations may be on their way.
    if store::descriptors(&mut tx, user).await?.len() >= MOST_PASSKEYS {
        return Err(Error::TooMany);
    }
    let inserted = store::insert(&mut tx, user, &registered, &name).await;
    let passkey = inserted.map_err(|error| {
        if error.violates("passkeys_credential_id_key") { Error::Taken } else { Error::Database(error) }
    })?;
    let event = Event::new("passkey.registered", Actor::User(user))
        .session(live.session.id)
        .from(client)
        .details(serde_json::json!({ "passkey_id": passkey.id, "aaguid": passkey.aaguid }));
    audit::record(&mut tx, event).await?;
    tell(app, &mut tx, mails::PASSKEY_ADDED, user, &passkey.name, Some(client)).await?;
    tx.commit().await?;
    app.outbox.wake();
    Ok(passkey)
}

/// A user's passkeys, oldest first.
pub async fn list(app: &App, user: UserId) -> Result<Vec<Passkey>, Error> {
    let mut conn = app.db.acquire().await?;
    Ok(store::list(&mut conn, user).await?)
}

/// Renames a passkey.
pub async fn rename(
    app: &App,
    live: &Live,
    id: PasskeyId,
    name: &str,
    client: &Client,
) -> Result<Passkey, Error> {
    let user = live.user.id;
    let mut tx = app.db.begin("passkeys.rename").await?;
    if !users::flow::lock_session(&mut tx, live.holder()).await? {
        return Err(Error::Ended);
    }
    let passkey = store::rename(&mut tx, user, id, name).await?.ok_or(Error::NotFound)?;
    let event = Event::new("passkey.renamed", Actor::User(user))
        .session(live.session.id)
        .from(client)
        .details(serde_json::json!({ "passkey_id": id }));
    audit::record(&mut tx, event).await?;
    tx.commit().await?;
    Ok(passkey)
}

/// Removes one of one's own passkeys, unless nobody could sign in to the account any more. The owner gets a mail.
pub async fn remove(app: &App, live: &Live, id: PasskeyId, client: &Client) -> Result<(), Error> {
    let user = live.user.id;
    let mut tx = app.db.begin("passkeys.remove").await?;
    if !users::flow::lock_session(&mut tx, live.holder()).await? {
        return Err(Error::Ended);
    }
    let settings = settings::load(&mut tx).await?;
    check_strength(&mut tx, &settings, live).await?;
    let deleted = store::delete(&mut tx, user, id).await?.ok_or(Error::NotFound)?;
    if deleted.user_verified && !users::flow::has_way_in(&mut tx, &settings, user).await? {
        return Err(Error::LastWayIn);
    }
    let left = totp::flow::forget_codes_without_factor(&mut tx, user).await?;
    if !left && settings.mfa.policy == MfaPolicy::Required {
        return Err(Error::LastFactor);
    }
    let event = Event::new("passkey.removed", Actor::User(user)).session(live.session.id).from(client);
    audit::record(&mut tx, event.details(serde_json::json!({ "passkey_id": id }))).await?;
    tell(app, &mut tx, mails::PASSKEY_REMOVED, user, &deleted.name, Some(client)).await?;
    tx.commit().await?;
    app.outbox.wake();
    Ok(())
}

/// Removes a passkey for a user who cannot: the operator answers for what is left. The owner gets a mail.
pub async fn remove_for(app: &App, user: UserId, id: PasskeyId, client: &Client) -> Result<(), Error> {
    let mut tx = app.db.begin("passkeys.remove_for").await?;
    users::flow::lock_standing(&mut tx, user).await?.ok_or(Error::NotFound)?;
    let deleted = store::delete(&mut tx, user, id).await?.ok_or(Error::NotFound)?;
    totp::flow::forget_codes_without_factor(&mut tx, user).await?;
    let event = Event::new("passkey.removed", Actor::Admin).on(user).from(client);
    audit::record(&mut tx, event.details(serde_json::json!({ "passkey_id": id }))).await?;
    tell(app, &mut tx, mails::PASSKEY_REMOVED, user, &deleted.name, None).await?;
    tx.commit().await?;
    app.outbox.wake();
    Ok(())
}

/// Deletes challenges that nobody has answered, in one small batch; says how many went.
pub async fn purge(conn: &mut Conn, batch: i64) -> Result<u64, sqlx::Error> {
    store::purge(conn, batch).await
}

/// Tells the owner at the primary address. `client` is the owner's own, where it was the owner who acted.
async fn tell(
    app: &App,
    conn: &mut Conn,
    kind: &'static str,
    user: UserId,
    name: &str,
    client: Option<&Client>,
) -> Result<(), sqlx::Error> {
    let Some(email) = emails::flow::primary(conn, user).await? else { return Ok(()) };
    let mut mail = NewMail::to_email(kind, email).about(user);
    mail = mail.with_payload(serde_json::json!({ "passkey_name": name }));
    if let Some(language) = client.and_then(|client| client.language.as_ref()) {
        mail.locale.clone_from(language);
    }
    app.outbox.enqueue(conn, mail).await?;
    Ok(())
}
