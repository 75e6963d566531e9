//! Signing in with a password, setting and changing it.

use secrecy::{ExposeSecret as _, SecretString};

use super::breach;
use super::mails::{PASSWORD_CHANGED, PASSWORD_REMOVED};
use super::store::{self, Stored};
use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::emails::{self, Email};
use crate::platform::crypto::password::{
    HashError, PasswordPolicy, PolicyViolation, Verdict, check_policy, normalise,
};
use crate::platform::db::Conn;
use crate::platform::http::Client;
use crate::platform::ids::UserId;
use crate::platform::limits::{self, Decision};
use crate::platform::mail::outbox::NewMail;
use crate::sessions::flow::Elevated;
use crate::sessions::{Live, Scope};
use crate::settings::{self, Settings};
use crate::sign_in::{self, Outcome, Proof, Wish, devices};
use crate::sign_out;
use crate::users;

/// Why a password was not changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The current password is wrong or missing.
    #[error("the current password is not right")]
    WrongCurrent,
    /// The new one may not be used.
    #[error("the password may not be used")]
    Policy(Vec<PolicyViolation>),
    /// The account was banned or deleted meanwhile.
    #[error("the session has ended")]
    Ended,
    /// Without the password nothing would be left to sign in with.
    #[error("the password is the last way in")]
    LastWayIn,
    /// There is none to remove.
    #[error("there is no password")]
    NoPassword,
    /// Passwords are switched off.
    #[error("passwords are switched off")]
    Disabled,
    /// Too many wrong passwords.
    #[error("too many attempts")]
    Limited(Decision),
    /// All hashing threads are busy.
    #[error("too busy to hash the password")]
    Busy(#[from] HashError),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Checks a new password against the project's policy, outside any transaction: somebody else may be asked. `context` is
/// what is easily known about its owner.
pub async fn check(
    app: &App,
    settings: &Settings,
    password: &str,
    context: &[&str],
) -> Result<(), Vec<PolicyViolation>> {
    let policy = PasswordPolicy { min_length: settings.password.min_length as usize };
    let service =
        settings.branding.name.as_deref().or_else(|| app.config.public_url.host_str()).unwrap_or_default();
    let context: Vec<&str> = context.iter().copied().chain([service]).collect();
    check_policy(password, &policy, &context)?;
    match breach::check(app, settings, password).await {
        Some(violation) => Err(vec![violation]),
        None => Ok(()),
    }
}

/// Hashes a new password; outside any transaction.
pub async fn hash(app: &App, password: &SecretString) -> Result<String, HashError> {
    app.hasher.hash(normalise(password.expose_secret())).await
}

/// Stores a hash, in the caller's transaction.
pub async fn set(conn: &mut Conn, user: UserId, hash: &str) -> Result<(), sqlx::Error> {
    store::upsert(conn, user, hash).await
}

/// What was known before the hash was computed.
struct Known {
    settings: Settings,
    user: Option<UserId>,
    stored: Option<Stored>,
    budget: Vec<u8>,
}

/// Signs in with address and password.
pub async fn sign_in(
    app: &App,
    email: &Email,
    password: &SecretString,
    wish: Wish,
    client: &Client,
) -> Result<Outcome, sign_in::Error> {
    let known = look_up(app, email, client).await?;
    let hash = known.stored.as_ref().map(|stored| stored.hash.clone());
    let verdict = app.hasher.verify(normalise(password.expose_secret()), hash).await?;
    let (Verdict::Match { needs_rehash }, Some(user_id), Some(stored)) = (verdict, known.user, known.stored)
    else {
        refused(app, known.user, client).await?;
        return Err(sign_in::Error::Refused);
    };
    let better = if needs_rehash { hash_again(app, password).await } else { None };

    let mut tx = app.db.begin("password.sign_in").await?;
    let proof = Proof { user_id, amr: "pwd", multi_factor: false };
    let outcome = match sign_in::finish(&mut tx, &known.settings, &proof, wish, client).await {
        Ok(outcome) => outcome,
        Err(sign_in::Error::Refused) => {
            tx.rollback().await?;
            refused(app, Some(user_id), client).await?;
            return Err(sign_in::Error::Refused);
        }
        Err(error) => return Err(error),
    };
    // A password that was changed while we computed opens nothing; one that another sign-in has just hashed anew is the
    // same password. Looked at under the lock on the user's row that `finish` has taken, without which nobody changes it.
    if !store::unchanged(&mut tx, user_id, Some(&stored)).await? {
        return Err(sign_in::Error::Refused);
    }
    if let Some(better) = better {
        store::rehash(&mut tx, user_id, &stored.hash, &better).await?;
    }
    // Half-way in, nothing is forgiven: or the password would buy endless tries at the second factor.
    if matches!(outcome, Outcome::SignedIn(_)) {
        limits::clear_account(&mut tx, &known.budget).await?;
    }
    tx.commit().await?;
    Ok(outcome)
}

/// Presents the password again for a session that exists.
pub async fn step_up(
    app: &App,
    live: &Live,
    password: &SecretString,
    client: &Client,
) -> Result<Elevated, sign_in::Error> {
    let user = live.user.id;
    let mut conn = app.db.acquire().await?;
    let budget = devices::budget(&mut conn, &app.keyring, client, user).await?;
    let stored = store::find(&mut conn, user).await?;
    match limits::account_attempt(&mut conn, &budget).await? {
        Decision::Allowed { .. } => {}
        limited @ Decision::Limited { .. } => return Err(sign_in::Error::Limited(Box::new(limited.into()))),
    }
    drop(conn);
    let hash = stored.as_ref().map(|stored| stored.hash.clone());
    let verdict = app.hasher.verify(normalise(password.expose_secret()), hash).await?;
    if !matches!(verdict, Verdict::Match { .. }) {
        refused(app, Some(user), client).await?;
        return Err(sign_in::Error::Refused);
    }
    let mut tx = app.db.begin("password.step_up").await?;
    let elevated = sign_in::step_up(&mut tx, live, "pwd", client).await?;
    // Under the lock that `step_up` has taken, as in `sign_in`.
    if !store::unchanged(&mut tx, user, stored.as_ref()).await? {
        return Err(sign_in::Error::Refused);
    }
    // No guess is forgiven but this one: a stolen session and a known password would buy endless tries at what else
    // there is.
    limits::give_back(&mut tx, &budget).await?;
    tx.commit().await?;
    Ok(elevated)
}

/// Finds whom an address belongs to and charges one guess to that account, known or not.
async fn look_up(app: &App, email: &Email, client: &Client) -> Result<Known, sign_in::Error> {
    let mut conn = app.db.acquire().await?;
    let settings = settings::load(&mut conn).await?;
    if !settings.password.enabled {
        return Err(sign_in::Error::MethodDisabled);
    }
    let claims = !settings.sign_up.require_verification;
    let user = emails::flow::find_owner(&mut conn, email, claims).await?;
    // Nobody's hash is looked for as well: a statement less would tell by its absence.
    let stored = store::find(&mut conn, user.unwrap_or_else(UserId::new)).await?;
    let budget = match user {
        Some(user) => devices::budget(&mut conn, &app.keyring, client, user).await?,
        // A stranger's address counts for itself.
        None => email.canonical().as_bytes().to_vec(),
    };
    match limits::account_attempt(&mut conn, &budget).await? {
        Decision::Allowed { .. } => Ok(Known { settings, user, stored, budget }),
        limited @ Decision::Limited { .. } => Err(sign_in::Error::Limited(Box::new(limited.into()))),
    }
}

/// The sign-in succeeds even where the better hash must wait for another time.
async fn hash_again(app: &App, password: &SecretString) -> Option<String> {
    hash(app, password).await.ok()
}

/// Records a refused sign-in: a write whether or not the address is known, so that both take as long.
async fn refused(app: &App, user: Option<UserId>, client: &Client) -> Result<(), sqlx::Error> {
    let mut conn = app.db.acquire().await?;
    let event = Event::new("sign_in.refused", Actor::System)
        .from(client)
        .details(serde_json::json!({ "amr": ["pwd"], "known": user.is_some() }));
    let event = match user {
        Some(user) => event.on(user),
        None => event,
    };
    audit::record(&mut conn, event).await
}

/// Sets or changes a password. Every other session ends, and every refresh token but this session's own; the
/// owner gets a mail.
pub async fn change(
    app: &App,
    live: &Live,
    current: Option<&SecretString>,
    new: &SecretString,
    client: &Client,
) -> Result<(), Error> {
    let user = live.user.id;
    let mut conn = app.db.acquire().await?;
    let settings = settings::load(&mut conn).await?;
    if !settings.password.enabled {
        return Err(Error::Disabled);
    }
    let context: Vec<&str> =
        live.user.email.as_deref().into_iter().chain(live.user.name.as_deref()).collect();
    drop(conn);
    check(app, &settings, new.expose_secret(), &context).await.map_err(Error::Policy)?;
    let mut conn = app.db.acquire().await?;
    let stored = store::find(&mut conn, user).await?;
    let budget = devices::budget(&mut conn, &app.keyring, client, user).await?;
    if stored.is_some() {
        match limits::account_attempt(&mut conn, &budget).await? {
            Decision::Allowed { .. } => {}
            limited @ Decision::Limited { .. } => return Err(Error::Limited(limited)),
        }
    }
    drop(conn);
    verify_current(app, stored.as_ref(), current).await?;
    let hash = hash(app, new).await?;

    let mut tx = app.db.begin("password.change").await?;
    if !users::flow::lock_session(&mut tx, live.holder()).await? {
        return Err(Error::Ended);
    }
    if !store::unchanged(&mut tx, user, stored.as_ref()).await? {
        return Err(Error::WrongCurrent);
    }
    store::upsert(&mut tx, user, &hash).await?;
    sign_out::flow::end(&mut tx, user, Scope::Others(live.session.id)).await?;
    emails::flow::cancel_pending(&mut tx, user, false).await?;
    if stored.is_some() {
        limits::give_back(&mut tx, &budget).await?;
    }
    let event = Event::new("password.changed", Actor::User(user)).session(live.session.id).from(client);
    audit::record(&mut tx, event).await?;
    tell(app, &mut tx, PASSWORD_CHANGED, user, client).await?;
    tx.commit().await?;
    app.outbox.wake();
    Ok(())
}

/// Removes the password, where another way in remains. Every other session ends; the owner gets a mail.
pub async fn remove(app: &App, live: &Live, client: &Client) -> Result<(), Error> {
    let user = live.user.id;
    let mut tx = app.db.begin("password.remove").await?;
    if !users::flow::lock_session(&mut tx, live.holder()).await? {
        return Err(Error::Ended);
    }
    let settings = settings::load(&mut tx).await?;
    if !store::delete(&mut tx, user).await? {
        return Err(Error::NoPassword);
    }
    if !users::flow::has_way_in(&mut tx, &settings, user).await? {
        return Err(Error::LastWayIn);
    }
    sign_out::flow::end(&mut tx, user, Scope::Others(live.session.id)).await?;
    emails::flow::cancel_pending(&mut tx, user, false).await?;
    let event = Event::new("password.removed", Actor::User(user)).session(live.session.id).from(client);
    audit::record(&mut tx, event).await?;
    tell(app, &mut tx, PASSWORD_REMOVED, user, client).await?;
    tx.commit().await?;
    app.outbox.wake();
    Ok(())
}

async fn verify_current(
    app: &App,
    stored: Option<&Stored>,
    current: Option<&SecretString>,
) -> Result<(), Error> {
    let Some(stored) = stored else { return Ok(()) };
    let current = current.ok_or(Error::WrongCurrent)?;
    match app.hasher.verify(normalise(current.expose_secret()), Some(stored.hash.clone())).await? {
        Verdict::Match { .. } => Ok(()),
        Verdict::Mismatch => Err(Error::WrongCurrent),
    }
}

/// Tells the owner at the primary address what has become of the password.
async fn tell(
    app: &App,
    conn: &mut Conn,
    kind: &'static str,
    user: UserId,
    client: &Client,
) -> Result<(), sqlx::Error> {
    if let Some(email) = emails::flow::primary(conn, user).await? {
        let mail = NewMail::to_email(kind, email).about(user);
        app.outbox.enqueue(conn, mail.in_language(client.language.as_deref())).await?;
    }
    Ok(())
}
