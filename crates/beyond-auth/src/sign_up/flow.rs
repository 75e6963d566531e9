//! Making an account.

use secrecy::{ExposeSecret as _, SecretString};

use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::emails::mails::{ADDRESS_TAKEN, VERIFY_EMAIL};
use crate::emails::{self, Email};
use crate::password;
use crate::platform::crypto::password::{HashError, PolicyViolation};
use crate::platform::db::Conn;
use crate::platform::http::{Client, throttle};
use crate::platform::ids::{EmailId, UserId};
use crate::platform::limits::{self, Decision};
use crate::platform::mail::outbox::NewMail;
use crate::settings::{self, Settings};
use crate::sign_in::{self, Outcome, Proof, Wish};
use crate::users;
use crate::users::model::Profile;

/// Who wants to sign up.
#[derive(Debug)]
pub struct NewUser {
    /// The address to be proven.
    pub email: Email,
    /// Optional: one can also sign in by other means.
    pub password: Option<SecretString>,
    /// Name and metadata.
    pub profile: Profile,
}

/// What came of it.
#[derive(Debug)]
pub enum SignedUp {
    /// A mail is on its way, whether the address is new or taken.
    VerificationSent,
    /// The project does not ask for proof: signed in at once, or half-way where it asks for a second factor.
    SignedIn(Outcome),
}

/// Why there is no account.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Strangers may not sign up.
    #[error("sign-up is switched off")]
    Disabled,
    /// Only where the project does not ask for verification.
    #[error("the address has an account")]
    Taken,
    /// The password may not be used.
    #[error("the password may not be used")]
    Policy(Vec<PolicyViolation>),
    /// Too many mails to this mailbox.
    #[error("too many mails to this address")]
    Limited(Decision),
    /// All hashing threads are busy.
    #[error("too busy to hash the password")]
    Busy(#[from] HashError),
    /// The door stayed shut.
    #[error(transparent)]
    SignIn(#[from] sign_in::Error),
    /// The address could not be added.
    #[error(transparent)]
    Email(#[from] emails::flow::Error),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Makes an account, or tells the owner of a taken address by mail.
pub async fn sign_up(app: &App, new: NewUser, client: &Client) -> Result<SignedUp, Error> {
    let mut conn = app.db.acquire().await?;
    let settings = settings::load(&mut conn).await?;
    if !settings.sign_up.enabled {
        return Err(Error::Disabled);
    }
    drop(conn);
    // The checks and the hash come before we look at the address, so they cost the same whoever owns it.
    if let Some(password) = &new.password {
        check_password(app, &settings, &new, password).await?;
    }
    let mut conn = app.db.acquire().await?;
    // Charged by what would send a mail, not by a password that must be chosen anew.
    let mailbox = throttle::mailbox(new.email.canonical().as_bytes());
    if let limited @ Decision::Limited { .. } = limits::take_all(&mut conn, &mailbox).await? {
        return Err(Error::Limited(limited));
    }
    drop(conn);
    let hash = match &new.password {
        Some(password) => Some(password::flow::hash(app, password).await?),
        None => None,
    };

    let mut tx = app.db.begin("sign_up").await?;
    let open = !settings.sign_up.require_verification;
    let owner = emails::flow::lock_owner(&mut tx, &new.email, open).await?;
    if open && owner.is_some() {
        return Err(Error::Taken);
    }
    // Statement by statement the same whoever owns the address: the account is made, and then kept or undone.
    tx.mark().await?;
    let (user, email) = create(&mut tx, &new, hash.as_deref()).await?;
    let (mail, event) = if let Some(owner) = owner {
        tx.undo().await?;
        // The owner learns that somebody (perhaps the owner) tried to sign up with the address.
        let mail = NewMail::to_email(ADDRESS_TAKEN, owner.id).about(owner.user_id);
        (mail, Event::new("sign_up.address_taken", Actor::System).on(owner.user_id))
    } else {
        tx.keep().await?;
        let mail = NewMail::to_email(VERIFY_EMAIL, email).about(user);
        let by = serde_json::json!({ "by": "sign_up" });
        (mail, Event::new("user.created", Actor::User(user)).details(by))
    };
    app.outbox.enqueue(&mut tx, mail.in_language(client.language.as_deref())).await?;
    audit::record(&mut tx, event.from(client)).await?;
    let outcome = if open {
        let amr = if hash.is_some() { "pwd" } else { "user" };
        let proof = Proof { user_id: user, amr, multi_factor: false };
        SignedUp::SignedIn(sign_in::finish(&mut tx, &settings, &proof, Wish::default(), client).await?)
    } else {
        SignedUp::VerificationSent
    };
    tx.commit().await?;
    app.outbox.wake();
    Ok(outcome)
}

async fn check_password(
    app: &App,
    settings: &Settings,
    new: &NewUser,
    password: &SecretString,
) -> Result<(), Error> {
    if !settings.password.enabled {
        return Err(sign_in::Error::MethodDisabled.into());
    }
    let context: Vec<&str> =
        [Some(new.email.address()), new.profile.name.as_deref()].into_iter().flatten().collect();
    password::flow::check(app, settings, password.expose_secret(), &context).await.map_err(Error::Policy)
}

async fn create(conn: &mut Conn, new: &NewUser, hash: Option<&str>) -> Result<(UserId, EmailId), Error> {
    let user = users::flow::create(conn, &new.profile).await?;
    let email = emails::flow::add(conn, user, &new.email, true, false).await?;
    if let Some(hash) = hash {
        password::flow::set(conn, user, hash).await?;
    }
    Ok((user, email))
}
