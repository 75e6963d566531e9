//! Several addresses of one user: add, prove later, choose the primary one, remove.
//!
//! Whether an address has an account already is told to whoever reads mail there, and to nobody else: a taken one is
//! added, listed and mailed about like a free one. Only what the mail says differs, and no mail brings proof.

use super::address::Email;
use super::flow;
use super::mails::{ADDRESS_TAKEN, EMAIL_REMOVED, PRIMARY_CHANGED, VERIFY_EMAIL};
use super::model::EmailRow;
use super::store;
use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::platform::db::{Conn, Constraint as _};
use crate::platform::http::{Client, throttle};
use crate::platform::ids::{EmailId, UserId};
use crate::platform::limits::{self, Decision};
use crate::platform::mail::outbox::NewMail;
use crate::users::{self, Holder};

/// More addresses than this, proven or not, is nobody's need.
pub const MOST_ADDRESSES: usize = 10;

/// Why the addresses stay as they are.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user has no such address.
    #[error("there is no such address")]
    NotFound,
    /// The account was banned or deleted meanwhile.
    #[error("the session has ended")]
    Ended,
    /// The user has it already.
    #[error("the address is there already")]
    Present,
    /// The user has as many as one may have.
    #[error("too many addresses")]
    TooMany,
    /// There is nothing left to prove.
    #[error("the address is proven already")]
    Verified,
    /// A mere claim cannot stand for the user.
    #[error("the address is not proven")]
    NotVerified,
    /// Without it nobody could reach the user.
    #[error("the last proven address stays")]
    Last,
    /// Another one has to be chosen first.
    #[error("the primary address stays")]
    Primary,
    /// Too many mails to this mailbox.
    #[error("too many mails to this address")]
    Limited(Decision),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Adds an address that is still to be proven, and mails it.
pub async fn attach(app: &App, by: Holder, email: &Email, client: &Client) -> Result<EmailRow, Error> {
    let user = by.user;
    charge(app, email.canonical()).await?;
    let mut tx = app.db.begin("emails.attach").await?;
    store::lock_address(&mut tx, email.canonical()).await?;
    lock(&mut tx, by).await?;
    if store::list(&mut tx, user).await?.len() >= MOST_ADDRESSES {
        return Err(Error::TooMany);
    }
    let owner = store::find_verified(&mut tx, email.canonical()).await?;
    let inserted = store::insert(&mut tx, user, email, false, false).await;
    let id = inserted.map_err(|error| {
        if error.violates("emails_user_canonical_key") { Error::Present } else { Error::Database(error) }
    })?;
    let row = store::find(&mut tx, id).await?.ok_or(Error::NotFound)?;
    app.outbox.enqueue(&mut tx, mail_for(&row, owner, client)).await?;
    record(&mut tx, "email.added", user, id, client).await?;
    tx.commit().await?;
    app.outbox.wake();
    Ok(row)
}

/// Mails an address that is still to be proven once more.
pub async fn verify_again(app: &App, by: Holder, id: EmailId, client: &Client) -> Result<(), Error> {
    let user = by.user;
    let mut conn = app.db.acquire().await?;
    let row = own(store::find(&mut conn, id).await?, user)?;
    if row.verified_at.is_some() {
        return Err(Error::Verified);
    }
    drop(conn);
    charge(app, &row.canonical).await?;
    let mut tx = app.db.begin("emails.verify_again").await?;
    own(flow::lock_row(&mut tx, id).await?, user)?;
    lock(&mut tx, by).await?;
    let row = own(store::find(&mut tx, id).await?, user)?;
    if row.verified_at.is_some() {
        return Err(Error::Verified);
    }
    let owner = store::find_verified(&mut tx, &row.canonical).await?;
    app.outbox.enqueue(&mut tx, mail_for(&row, owner, client)).await?;
    tx.commit().await?;
    app.outbox.wake();
    Ok(())
}

/// Removes an address with everything that is pending on it. The person is told at the removed address and at the
/// primary one.
pub async fn remove(app: &App, by: Holder, id: EmailId, client: &Client) -> Result<(), Error> {
    let user = by.user;
    let mut tx = app.db.begin("emails.remove").await?;
    own(flow::lock_row(&mut tx, id).await?, user)?;
    lock(&mut tx, by).await?;
    let rows = store::list(&mut tx, user).await?;
    let row = rows.iter().find(|row| row.id == id).ok_or(Error::NotFound)?;
    if row.primary {
        let proven = rows.iter().filter(|row| row.verified_at.is_some()).count();
        return Err(if proven > 1 { Error::Primary } else { Error::Last });
    }
    store::delete(&mut tx, id).await?;
    if row.verified_at.is_some() {
        let payload = serde_json::json!({ "address": row.address });
        let removed = NewMail::to_address(EMAIL_REMOVED, row.address.clone());
        let primary = rows.iter().find(|row| row.primary).map(|row| NewMail::to_email(EMAIL_REMOVED, row.id));
        for mail in [Some(removed), primary].into_iter().flatten() {
            let mail = mail.about(user).with_payload(payload.clone());
            app.outbox.enqueue(&mut tx, mail.in_language(client.language.as_deref())).await?;
        }
    }
    record(&mut tx, "email.removed", user, id, client).await?;
    tx.commit().await?;
    app.outbox.wake();
    Ok(())
}

/// Lets another proven address stand for the user. What is pending on the old one ends, and it is told.
pub async fn choose_primary(app: &App, by: Holder, id: EmailId, client: &Client) -> Result<EmailRow, Error> {
    let user = by.user;
    let mut tx = app.db.begin("emails.choose_primary").await?;
    lock(&mut tx, by).await?;
    let rows = store::list(&mut tx, user).await?;
    let row = rows.iter().find(|row| row.id == id).ok_or(Error::NotFound)?;
    if row.verified_at.is_none() {
        return Err(Error::NotVerified);
    }
    if row.primary {
        return Ok(row.clone());
    }
    store::set_primary(&mut tx, user, id).await?;
    if let Some(old) = rows.iter().find(|row| row.primary) {
        store::delete_pending(&mut tx, user, Some(old.id), true).await?;
        let mail = NewMail::to_email(PRIMARY_CHANGED, old.id)
            .about(user)
            .with_payload(serde_json::json!({ "address": row.address }))
            .in_language(client.language.as_deref());
        app.outbox.enqueue(&mut tx, mail).await?;
    }
    record(&mut tx, "email.primary_changed", user, id, client).await?;
    tx.commit().await?;
    app.outbox.wake();
    Ok(EmailRow { primary: true, ..row.clone() })
}

/// What goes to an address that somebody says to have: a mail by which to prove it, or word to its owner.
fn mail_for(row: &EmailRow, owner: Option<EmailRow>, client: &Client) -> NewMail {
    let mail = match owner {
        Some(owner) => NewMail::to_email(ADDRESS_TAKEN, owner.id)
            .about(owner.user_id)
            .with_payload(serde_json::json!({ "occasion": "attach" })),
        None => NewMail::to_email(VERIFY_EMAIL, row.id).about(row.user_id),
    };
    mail.in_language(client.language.as_deref())
}

/// Charges a mail to the mailbox that would get it.
async fn charge(app: &App, canonical: &str) -> Result<(), Error> {
    let mut conn = app.db.acquire().await?;
    match limits::take_all(&mut conn, &throttle::mailbox(canonical.as_bytes())).await? {
        Decision::Allowed { .. } => Ok(()),
        limited @ Decision::Limited { .. } => Err(Error::Limited(limited)),
    }
}

/// Another user's address looks like one that is not there.
fn own(row: Option<EmailRow>, user: UserId) -> Result<EmailRow, Error> {
    row.filter(|row| row.user_id == user).ok_or(Error::NotFound)
}

async fn lock(conn: &mut Conn, by: Holder) -> Result<(), Error> {
    if users::flow::lock_session(conn, by).await? { Ok(()) } else { Err(Error::Ended) }
}

async fn record(
    conn: &mut Conn,
    action: &'static str,
    user: UserId,
    id: EmailId,
    client: &Client,
) -> Result<(), sqlx::Error> {
    let event = Event::new(action, Actor::User(user)).from(client);
    audit::record(conn, event.details(serde_json::json!({ "email_id": id }))).await
}
