//! Proving an address.

use secrecy::ExposeSecret as _;

use super::address::Email;
use super::code::Code;
use super::mails::EMAIL_ADDED;
use super::model::{By, EmailRow};
use super::store::{self, Pending};
use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::platform::crypto::token::{self, Token};
use crate::platform::db::{Conn, Constraint as _};
use crate::platform::http::Client;
use crate::platform::ids::{EmailId, UserId, VerificationId};
use crate::platform::limits::{self, Decision};
use crate::platform::mail::outbox::{NewMail, Outbox};
use crate::users::{self, Standing, User};

/// Wrong codes a verification survives.
pub const MAX_CODE_ATTEMPTS: i16 = 5;

/// Why an address was not proven.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Malformed, unknown, expired, superseded or spent: one answer for all.
    #[error("the verification is not valid")]
    Invalid,
    /// Another account has proven the address meanwhile. Only its reader can learn this.
    #[error("the address belongs to another account")]
    Taken,
    /// Too many wrong codes for this address.
    #[error("too many attempts")]
    Limited(Decision),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Adds an address to a user, in the caller's transaction.
///
/// # Errors
/// [`Error::Taken`] when `verified` and the address is somebody's already.
pub async fn add(
    conn: &mut Conn,
    user: UserId,
    email: &Email,
    primary: bool,
    verified: bool,
) -> Result<EmailId, Error> {
    store::lock_address(conn, email.canonical()).await?;
    let added = store::insert(conn, user, email, primary, verified).await;
    let id = added.map_err(|error| {
        if error.violates("emails_verified_canonical_key") { Error::Taken } else { Error::Database(error) }
    })?;
    if verified {
        store::end_rival_claims(conn, email.canonical(), user).await?;
    }
    Ok(id)
}

/// Who owns an address. With `claims`, the newest sign-up that merely claims it where nobody owns it: for
/// projects that do not ask for verification.
pub async fn find_owner(conn: &mut Conn, email: &Email, claims: bool) -> Result<Option<UserId>, sqlx::Error> {
    let owner = match store::find_verified(conn, email.canonical()).await? {
        None if claims => store::find_claim(conn, email).await?,
        owner => owner,
    };
    Ok(owner.map(|owner| owner.user_id))
}

/// Who owns an address, held until the transaction ends: nobody can claim or prove it meanwhile.
pub async fn lock_owner(
    conn: &mut Conn,
    email: &Email,
    claims: bool,
) -> Result<Option<EmailRow>, sqlx::Error> {
    store::lock_address(conn, email.canonical()).await?;
    match store::find_verified(conn, email.canonical()).await? {
        None if claims => store::find_claim(conn, email).await,
        owner => Ok(owner),
    }
}

/// Whom an address stands for, in fact or by the newest sign-up that claims it: who gets a mail that proves it.
pub async fn find_holder(conn: &mut Conn, email: &Email) -> Result<Option<EmailRow>, sqlx::Error> {
    store::find_holder(conn, email).await
}

/// The same, held until the transaction ends: nobody can claim or prove the address meanwhile.
pub async fn lock_holder(conn: &mut Conn, email: &Email) -> Result<Option<EmailRow>, sqlx::Error> {
    store::lock_address(conn, email.canonical()).await?;
    store::find_holder(conn, email).await
}

/// An address row, held until the transaction ends; `None` when it is gone.
pub async fn lock_row(conn: &mut Conn, id: EmailId) -> Result<Option<EmailRow>, sqlx::Error> {
    let Some(email) = store::find(conn, id).await? else { return Ok(None) };
    store::lock_address(conn, &email.canonical).await?;
    // As it is now that nobody else can prove it.
    store::find(conn, id).await
}

/// The address rows of a user, the primary one first.
pub async fn list(conn: &mut Conn, user: UserId) -> Result<Vec<EmailRow>, sqlx::Error> {
    store::list(conn, user).await
}

/// The primary address row of a user.
pub async fn primary(conn: &mut Conn, user: UserId) -> Result<Option<EmailId>, sqlx::Error> {
    let rows = store::list(conn, user).await?;
    Ok(rows.into_iter().find(|row| row.primary).map(|row| row.id))
}

/// Where mail to an address row goes.
pub async fn address_of(conn: &mut Conn, id: EmailId) -> Result<Option<String>, sqlx::Error> {
    Ok(store::find(conn, id).await?.map(|row| row.address))
}

/// By what the address of a row is compared.
pub async fn canonical_of(conn: &mut Conn, id: EmailId) -> Result<Option<String>, sqlx::Error> {
    Ok(store::find(conn, id).await?.map(|row| row.canonical))
}

/// What the code's MAC covers: the digits, bound to their row.
pub(super) fn code_message(id: VerificationId, code: &Code) -> Vec<u8> {
    format!("{id}:{}", code.expose_secret()).into_bytes()
}

/// Purpose under which codes are authenticated.
pub(super) const CODE_PURPOSE: &str = "email_verification.code";

/// An address that was just proven.
#[derive(Debug)]
pub struct Proven {
    /// The address, as mail goes there.
    pub email: String,
    /// Its owner.
    pub user: User,
}

/// Redeems the token of a verification link.
pub async fn redeem_token(
    app: &App,
    token: &Token<token::EmailVerification>,
    client: &Client,
) -> Result<Proven, Error> {
    let mut tx = app.db.begin("emails.redeem_token").await?;
    let pending = store::find_pending(&mut tx, VerificationId::from(token.id()))
        .await?
        .filter(|pending| token.hash().matches(&pending.secret_hash))
        .ok_or(Error::Invalid)?;
    let proven = redeem(&mut tx, &app.outbox, &pending, By::VerificationLink, client).await?;
    tx.commit().await?;
    app.outbox.wake();
    Ok(proven)
}

/// Redeems the six digits of a verification mail.
pub async fn redeem_code(app: &App, email: &Email, code: &Code, client: &Client) -> Result<Proven, Error> {
    // Counts are kept even if nothing else is: a wrong guess must cost something.
    let mut conn = app.db.acquire().await?;
    let budget = code_budget(email);
    match limits::account_attempt(&mut conn, &budget).await? {
        Decision::Allowed { .. } => {}
        limited @ Decision::Limited { .. } => return Err(Error::Limited(limited)),
    }
    let candidates = store::count_code_attempt(&mut conn, email, MAX_CODE_ATTEMPTS).await?;
    drop(conn);
    let matching = |pending: &&Pending| {
        app.keyring.verify_mac(CODE_PURPOSE, &code_message(pending.id, code), &pending.code_mac)
    };
    let pending = candidates.iter().find(matching).ok_or(Error::Invalid)?;
    let mut tx = app.db.begin("emails.redeem_code").await?;
    let proven = redeem(&mut tx, &app.outbox, pending, By::VerificationCode, client).await?;
    limits::clear_account(&mut tx, &budget).await?;
    tx.commit().await?;
    app.outbox.wake();
    Ok(proven)
}

/// Guesses of codes are counted per address over all its mails as well: each further sign-up brings a further code,
/// and five tries at each of many would add up.
fn code_budget(email: &Email) -> Vec<u8> {
    [CODE_PURPOSE, email.canonical()].join("\0").into_bytes()
}

/// Spends a verification and makes its claim the truth.
///
/// Locks are taken from the general to the particular (address, user, verification), since rival claims on one
/// address may be proven at the same moment.
async fn redeem(
    conn: &mut Conn,
    outbox: &Outbox,
    pending: &Pending,
    by: By,
    client: &Client,
) -> Result<Proven, Error> {
    let email = lock_row(conn, pending.email_id).await?.ok_or(Error::Invalid)?;
    if users::flow::lock_standing(conn, email.user_id).await? != Some(Standing::Good) {
        return Err(Error::Invalid);
    }
    if !store::use_verification(conn, pending.id).await? || email.verified_at.is_some() {
        return Err(Error::Invalid);
    }
    prove(conn, outbox, &email, by, client).await?;
    let user = users::flow::find(conn, email.user_id).await?.ok_or(Error::Invalid)?;
    Ok(Proven { email: email.address, user })
}

/// Somebody has shown to read mail at an address: first proof wins, and every other claim on the address ends. Does
/// nothing where that is known already.
///
/// In the caller's transaction, which holds the address ([`lock_row`]) and its user. The first proof of an account
/// makes it that person's: other addresses that were claimed with it go, and so does what may have been planted. An
/// account that has proven an address before keeps everything, and its owner is told.
///
/// # Errors
/// [`Error::Taken`] when another account has proven the address first.
pub async fn prove(
    conn: &mut Conn,
    outbox: &Outbox,
    email: &EmailRow,
    by: By,
    client: &Client,
) -> Result<(), Error> {
    if email.verified_at.is_some() {
        return Ok(());
    }
    let user = email.user_id;
    let lives = store::list(conn, user).await?.iter().any(|row| row.verified_at.is_some());
    match store::verify(conn, email.id).await {
        Ok(true) => {}
        Ok(false) => return Err(Error::Invalid),
        Err(error) if error.violates("emails_verified_canonical_key") => return Err(Error::Taken),
        Err(error) => return Err(error.into()),
    }
    store::end_rival_claims(conn, &email.canonical, user).await?;
    if lives {
        tell_primary(conn, outbox, email, client).await?;
    } else {
        store::delete_others(conn, user, email.id).await?;
        store::set_primary(conn, user, email.id).await?;
        if by.finishes_sign_up() {
            users::flow::forget_unproven_use(conn, user).await?;
        } else {
            users::flow::forget_planted(conn, user).await?;
        }
    }
    let event = Event::new("email.verified", Actor::User(user))
        .from(client)
        .details(serde_json::json!({ "by": by.name(), "email_id": email.id }));
    audit::record(conn, event).await?;
    Ok(())
}

/// Tells the primary address of another one that stands beside it now.
async fn tell_primary(
    conn: &mut Conn,
    outbox: &Outbox,
    email: &EmailRow,
    client: &Client,
) -> Result<(), sqlx::Error> {
    if let Some(primary) = primary(conn, email.user_id).await? {
        let mail = NewMail::to_email(EMAIL_ADDED, primary)
            .about(email.user_id)
            .with_payload(serde_json::json!({ "address": email.address }))
            .in_language(client.language.as_deref());
        outbox.enqueue(conn, mail).await?;
    }
    Ok(())
}

/// Ends what is pending for a user: whatever was mailed and not redeemed. Without `primary`, the verification that
/// lets a new user finish signing up stays. Further addresses that are not proven go too: a mail that waits to leave
/// would bring a proof that is made only then.
pub async fn cancel_pending(conn: &mut Conn, user: UserId, primary: bool) -> Result<(), sqlx::Error> {
    store::delete_unproven(conn, user).await?;
    store::delete_pending(conn, user, None, primary).await
}

/// Removes verifications that have long ended, in one small batch; says how many rows went.
pub async fn purge(conn: &mut Conn, batch: i64) -> Result<u64, sqlx::Error> {
    store::purge_verifications(conn, batch).await
}
