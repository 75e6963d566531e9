//! Setting a new password by mail.
//!
//! A reset proves that one reads mail at an address of the account; it is no way in. Second factors stay, and the person
//! signs in through the one door.

use secrecy::{ExposeSecret as _, SecretString};

use super::flow::{check, hash};
use super::mails::{PASSWORD_CHANGED, PASSWORD_RESET};
use super::store;
use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::emails::{self, By, Email};
use crate::platform::crypto::password::{HashError, PolicyViolation};
use crate::platform::crypto::token::{PasswordReset, Token};
use crate::platform::db::Conn;
use crate::platform::http::{Client, throttle};
use crate::platform::ids::PasswordResetId;
use crate::platform::limits::{self, Decision};
use crate::platform::mail::outbox::NewMail;
use crate::sessions::Scope;
use crate::settings;
use crate::sign_in::devices;
use crate::sign_out;
use crate::users::{self, Standing};

/// Why nothing was reset.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Malformed, unknown, expired, superseded or spent: one answer for all.
    #[error("the reset is not valid")]
    Invalid,
    /// Passwords are switched off.
    #[error("passwords are switched off")]
    Disabled,
    /// The new one may not be used.
    #[error("the password may not be used")]
    Policy(Vec<PolicyViolation>),
    /// Too many mails to this mailbox.
    #[error("too many mails to this address")]
    Limited(Decision),
    /// All hashing threads are busy.
    #[error("too busy to hash the password")]
    Busy(#[from] HashError),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Promises a mail to set a new password with, whoever has the address: the same statements run for all.
pub async fn request(app: &App, email: &Email, client: &Client) -> Result<(), Error> {
    let mut conn = app.db.acquire().await?;
    if !settings::load(&mut conn).await?.password.enabled {
        return Err(Error::Disabled);
    }
    let owner = emails::flow::find_owner(&mut conn, email, false).await?;
    let mailbox = devices::mailbox(&mut conn, &app.keyring, client, owner, email.canonical()).await?;
    let charged = limits::take_all(&mut conn, &throttle::mailbox(&mailbox)).await?;
    if let limited @ Decision::Limited { .. } = charged {
        return Err(Error::Limited(limited));
    }
    drop(conn);

    let id = PasswordResetId::new();
    let mut tx = app.db.begin("password.request_reset").await?;
    let holder = emails::flow::lock_holder(&mut tx, email).await?;
    store::insert_reset(&mut tx, id, holder.as_ref().map(|holder| holder.id)).await?;
    let event = Event::new("password.reset_requested", Actor::System).from(client);
    let (mail, event) = match holder {
        Some(holder) => {
            let mail = NewMail::to_email(PASSWORD_RESET, holder.id).about(holder.user_id);
            (mail, event.on(holder.user_id))
        }
        // The worker drops it: there is no password to set.
        None => (NewMail::to_address(PASSWORD_RESET, email.address()), event),
    };
    let mail = mail.with_payload(serde_json::json!({ "request": id }));
    app.outbox.enqueue(&mut tx, mail.in_language(client.language.as_deref())).await?;
    audit::record(&mut tx, event).await?;
    tx.commit().await?;
    app.outbox.wake();
    Ok(())
}

/// Sets a new password. Every session and refresh token ends, and whatever else is pending; the owner gets a mail.
pub async fn redeem(
    app: &App,
    token: &SecretString,
    password: &SecretString,
    client: &Client,
) -> Result<(), Error> {
    let token: Token<PasswordReset> = Token::parse(token.expose_secret()).map_err(|_| Error::Invalid)?;
    let id = PasswordResetId::from(token.id());
    let mut conn = app.db.acquire().await?;
    let settings = settings::load(&mut conn).await?;
    if !settings.password.enabled {
        return Err(Error::Disabled);
    }
    let pending = store::find_reset(&mut conn, id).await?;
    let fits = |pending: &store::Pending| token.hash().matches(&pending.secret_hash);
    let pending = pending.filter(fits).ok_or(Error::Invalid)?;
    // A password that must be chosen anew does not cost the link.
    let address = emails::flow::address_of(&mut conn, pending.email_id).await?.ok_or(Error::Invalid)?;
    drop(conn);
    check(app, &settings, password.expose_secret(), &[&address]).await.map_err(Error::Policy)?;
    let hash = hash(app, password).await?;

    let mut tx = app.db.begin("password.reset").await?;
    let email = emails::flow::lock_row(&mut tx, pending.email_id).await?.ok_or(Error::Invalid)?;
    let user = email.user_id;
    if users::flow::lock_standing(&mut tx, user).await? != Some(Standing::Good) {
        return Err(Error::Invalid);
    }
    if !store::use_reset(&mut tx, id).await? {
        return Err(Error::Invalid);
    }
    match emails::flow::prove(&mut tx, &app.outbox, &email, By::PasswordReset, client).await {
        Ok(()) => {}
        Err(emails::flow::Error::Database(error)) => return Err(error.into()),
        Err(_) => return Err(Error::Invalid),
    }
    store::upsert(&mut tx, user, &hash).await?;
    sign_out::flow::end(&mut tx, user, Scope::All).await?;
    emails::flow::cancel_pending(&mut tx, user, true).await?;
    audit::record(&mut tx, Event::new("password.reset", Actor::User(user)).from(client)).await?;
    if let Some(primary) = emails::flow::primary(&mut tx, user).await? {
        let mail = NewMail::to_email(PASSWORD_CHANGED, primary).about(user);
        app.outbox.enqueue(&mut tx, mail.in_language(client.language.as_deref())).await?;
    }
    tx.commit().await?;
    app.outbox.wake();
    Ok(())
}

/// Removes resets that have long ended, in one small batch; says how many rows went.
pub async fn purge(conn: &mut Conn, batch: i64) -> Result<u64, sqlx::Error> {
    store::purge_resets(conn, batch).await
}
