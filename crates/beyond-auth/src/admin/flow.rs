//! What the operator does with users.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use super::store::{self, AdminUser, Filter};
use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::emails::{self, Email};
use crate::orgs;
use crate::password;
use crate::platform::crypto::password::{HashError, PolicyViolation};
use crate::platform::db::Conn;
use crate::platform::http::Client;
use crate::platform::http::pagination::Window;
use crate::platform::ids::UserId;
use crate::sessions::Scope;
use crate::settings;
use crate::sign_in::{self, SignedIn};
use crate::sign_out;
use crate::users::{self, Standing, model::Profile};

/// Why the operator's wish was not fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such user.
    #[error("there is no such user")]
    NotFound,
    /// The user is banned.
    #[error("the user is banned")]
    Banned,
    /// The address belongs to somebody.
    #[error("the address has an account")]
    Taken,
    /// The password may not be used.
    #[error("the password may not be used")]
    Policy(Vec<PolicyViolation>),
    /// All hashing threads are busy.
    #[error("too busy to hash the password")]
    Busy(#[from] HashError),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<emails::flow::Error> for Error {
    fn from(error: emails::flow::Error) -> Self {
        match error {
            emails::flow::Error::Taken => Self::Taken,
            emails::flow::Error::Invalid | emails::flow::Error::Limited(_) => Self::NotFound,
            emails::flow::Error::Database(error) => Self::Database(error),
        }
    }
}

/// Lists users.
pub async fn list(app: &App, filter: &Filter, window: Window) -> Result<Vec<AdminUser>, Error> {
    let mut conn = app.db.acquire().await?;
    Ok(store::list(&mut conn, filter, window).await?)
}

/// Reads one user.
pub async fn get(app: &App, id: UserId) -> Result<AdminUser, Error> {
    let mut conn = app.db.acquire().await?;
    read(&mut conn, id).await
}

async fn read(conn: &mut Conn, id: UserId) -> Result<AdminUser, Error> {
    let window = Window { limit: 1, after: None };
    store::list(conn, &Filter::Id(id), window).await?.pop().ok_or(Error::NotFound)
}

/// Deletes a user together with the organizations that nobody else owns.
pub async fn delete_with_organizations(
    app: &App,
    id: UserId,
    client: &Client,
) -> Result<(), users::flow::Error> {
    let mut tx = app.db.begin("admin.delete_user").await?;
    let orphans = users::flow::lock_owned_alone(&mut tx, id).await?;
    let orphans: Vec<_> = orphans.into_iter().map(|organization| organization.id).collect();
    orgs::flow::delete_orphans(&mut tx, &orphans, id, client).await?;
    users::flow::remove(&mut tx, id, Actor::Admin, client).await?;
    tx.commit().await?;
    app.unlinked.notify_one();
    Ok(())
}

/// A user that the operator makes.
#[derive(Debug)]
pub struct NewUser {
    /// The primary address.
    pub email: Email,
    /// Whether the operator vouches for it.
    pub email_verified: bool,
    /// Optional.
    pub password: Option<NewPassword>,
    /// Name and metadata.
    pub profile: Profile,
}

/// A user's first password.
#[derive(Debug)]
pub enum NewPassword {
    /// In the clear, to be checked against the policy and hashed.
    Plain(SecretString),
    /// As a hash from elsewhere, checked by `check_imported`.
    Hashed(SecretString),
}

/// Makes a user.
pub async fn create(app: &App, new: NewUser, client: &Client) -> Result<AdminUser, Error> {
    let hash = match &new.password {
        Some(NewPassword::Hashed(hash)) => Some(hash.expose_secret().to_owned()),
        Some(NewPassword::Plain(password)) => {
            let mut conn = app.db.acquire().await?;
            let settings = settings::load(&mut conn).await?;
            drop(conn);
            let context = [new.email.address()];
            password::flow::check(app, &settings, password.expose_secret(), &context)
                .await
                .map_err(Error::Policy)?;
            Some(password::flow::hash(app, password).await?)
        }
        None => None,
    };
    let mut tx = app.db.begin("admin.create_user").await?;
    if emails::flow::lock_owner(&mut tx, &new.email, false).await?.is_some() {
        return Err(Error::Taken);
    }
    let id = users::flow::create(&mut tx, &new.profile).await?;
    emails::flow::add(&mut tx, id, &new.email, true, new.email_verified).await?;
    if let Some(hash) = hash {
        password::flow::set(&mut tx, id, &hash).await?;
    }
    let event = Event::new("user.created", Actor::Admin).on(id).from(client);
    audit::record(&mut tx, event.details(serde_json::json!({ "by": "admin" }))).await?;
    let user = read(&mut tx, id).await?;
    tx.commit().await?;
    Ok(user)
}

/// Bans a user; every session and refresh token ends in the same transaction.
pub async fn ban(
    app: &App,
    id: UserId,
    reason: Option<&str>,
    expires_at: Option<DateTime<Utc>>,
    client: &Client,
) -> Result<AdminUser, Error> {
    let mut tx = app.db.begin("admin.ban").await?;
    if !store::ban(&mut tx, id, reason, expires_at).await? {
        return Err(Error::NotFound);
    }
    sign_out::flow::end(&mut tx, id, Scope::All).await?;
    emails::flow::cancel_pending(&mut tx, id, true).await?;
    audit::record(&mut tx, Event::new("user.banned", Actor::Admin).on(id).from(client)).await?;
    let user = read(&mut tx, id).await?;
    tx.commit().await?;
    Ok(user)
}

/// Lifts a ban. Lifting none is no error.
pub async fn lift_ban(app: &App, id: UserId, client: &Client) -> Result<(), Error> {
    let mut tx = app.db.begin("admin.lift_ban").await?;
    if !store::lift_ban(&mut tx, id).await? {
        return Err(Error::NotFound);
    }
    audit::record(&mut tx, Event::new("user.unbanned", Actor::Admin).on(id).from(client)).await?;
    tx.commit().await?;
    Ok(())
}

/// Signs a user out everywhere; says how many sessions ended.
pub async fn end_sessions(app: &App, id: UserId, client: &Client) -> Result<u64, Error> {
    let mut tx = app.db.begin("admin.end_sessions").await?;
    if users::flow::find(&mut tx, id).await?.is_none() {
        return Err(Error::NotFound);
    }
    let ended = sign_out::flow::end(&mut tx, id, Scope::All).await?;
    let event = Event::new("session.revoked", Actor::Admin).on(id).from(client);
    audit::record(&mut tx, event.details(serde_json::json!({ "count": ended }))).await?;
    tx.commit().await?;
    Ok(ended)
}

/// Acts as a user; `impersonator` says who does, for the record.
pub async fn impersonate(
    app: &App,
    id: UserId,
    impersonator: &str,
    client: &Client,
) -> Result<SignedIn, Error> {
    let mut tx = app.db.begin("admin.impersonate").await?;
    match users::flow::lock_standing(&mut tx, id).await? {
        Some(Standing::Good) => {}
        Some(Standing::Banned) => return Err(Error::Banned),
        None => return Err(Error::NotFound),
    }
    let signed_in =
        sign_in::flow::impersonate(&mut tx, id, impersonator, client).await.map_err(|error| match error {
            sign_in::Error::Database(error) => Error::Database(error),
            _ => Error::NotFound,
        })?;
    tx.commit().await?;
    Ok(signed_in)
}
