//! Half-finished sign-ins: the first factor is proven, the second is due.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use super::flow::{admit, mint};
use super::model::{Error, Factor, SignedIn, Wish};
use super::store;
use crate::platform::crypto::token::{Attempt, Token};
use crate::platform::db::Conn;
use crate::platform::http::Client;
use crate::platform::ids::{AttemptId, UserId};
use crate::settings::model::MfaPolicy;
use crate::settings::{self, Settings};
use crate::users;

/// Second factors that one attempt may be tried with.
pub const MAX_TRIES: i16 = 5;

/// An attempt as its holder sees it. The token opens nothing but the way to the second factor.
#[derive(Debug)]
pub struct IssuedAttempt {
    /// Shown once.
    pub token: SecretString,
    /// It ends then.
    pub expires_at: DateTime<Utc>,
    /// What may be presented.
    pub factors: Vec<Factor>,
    /// There is nothing to present yet, and the project asks for it.
    pub enrolment_required: bool,
}

/// An attempt whose token was presented.
#[derive(Clone, Debug)]
pub struct OpenAttempt {
    /// The row.
    pub id: AttemptId,
    /// Who has proven the first factor.
    pub user_id: UserId,
    /// How.
    pub first_amr: String,
    /// What the person wants to get for signing in.
    pub wish: Wish,
}

/// Begins one, in the caller's transaction.
pub(super) async fn begin(
    conn: &mut Conn,
    user: UserId,
    first_amr: &str,
    wish: Wish,
    due: Due,
) -> Result<IssuedAttempt, sqlx::Error> {
    let token: Token<Attempt> = Token::mint();
    let expires_at = store::insert(conn, &token, user, first_amr, wish).await?;
    let Due { factors, enrolment_required } = due;
    Ok(IssuedAttempt { token: token.reveal(), expires_at, factors, enrolment_required })
}

/// What is asked for after a first factor.
#[derive(Debug)]
pub(super) struct Due {
    factors: Vec<Factor>,
    enrolment_required: bool,
}

/// Decides on the user's rows whether a second factor is due: one that is enrolled always, unless the project has
/// switched second factors off; a passkey alone only where the project requires two.
pub(super) async fn due(
    conn: &mut Conn,
    settings: &Settings,
    user: UserId,
) -> Result<Option<Due>, sqlx::Error> {
    let required = settings.mfa.policy == MfaPolicy::Required;
    if settings.mfa.policy == MfaPolicy::Off {
        return Ok(None);
    }
    let mut factors = usable(conn, settings, user).await?;
    if !required && !factors.contains(&Factor::Totp) {
        return Ok(None);
    }
    // Recovery codes stand in for a factor; they are none.
    let enrolment_required = !factors.iter().any(|factor| *factor != Factor::RecoveryCode);
    if enrolment_required {
        factors.clear();
    }
    Ok(Some(Due { factors, enrolment_required }))
}

/// The second factors of a user that could be presented now.
pub async fn factors_of(conn: &mut Conn, user: UserId) -> Result<Vec<Factor>, sqlx::Error> {
    let settings = settings::load(conn).await?;
    usable(conn, &settings, user).await
}

async fn usable(conn: &mut Conn, settings: &Settings, user: UserId) -> Result<Vec<Factor>, sqlx::Error> {
    let has = users::flow::second_factors(conn, settings, user).await?;
    let has =
        [(has.totp, Factor::Totp), (has.passkey, Factor::Passkey), (has.recovery_code, Factor::RecoveryCode)];
    Ok(has.into_iter().filter_map(|(has, factor)| has.then_some(factor)).collect())
}

/// Reads a presented token. `None` when it is unknown, spent, expired or tried too often.
pub async fn open(conn: &mut Conn, token: &Token<Attempt>) -> Result<Option<OpenAttempt>, sqlx::Error> {
    store::find_open(conn, token.id().into(), &token.hash(), MAX_TRIES).await
}

/// Reads a presented text, as [`open`] does.
pub async fn open_text(conn: &mut Conn, presented: &SecretString) -> Result<OpenAttempt, Error> {
    let token = Token::parse(presented.expose_secret()).map_err(|_| Error::AttemptEnded)?;
    open(conn, &token).await?.ok_or(Error::AttemptEnded)
}

/// Counts one try against an attempt, before it is looked at and outside any transaction.
pub async fn count_try(conn: &mut Conn, attempt: &OpenAttempt) -> Result<(), Error> {
    if store::count_try(conn, attempt.id, MAX_TRIES).await? { Ok(()) } else { Err(Error::AttemptEnded) }
}

/// Lets a person in who has proven the second factor too, in the caller's transaction: locks the user, spends the
/// attempt. What else is single-use about the factor is spent behind that lock, in the same transaction.
pub async fn finish_attempt(
    conn: &mut Conn,
    settings: &Settings,
    attempt: &OpenAttempt,
    amr: &'static str,
    client: &Client,
) -> Result<SignedIn, Error> {
    let user = admit(conn, settings, attempt.user_id).await?;
    if !store::spend(conn, attempt.id).await? {
        return Err(Error::AttemptEnded);
    }
    let mut methods = vec![attempt.first_amr.clone()];
    if attempt.first_amr != amr {
        methods.push(amr.to_owned());
    }
    methods.push("mfa".to_owned());
    mint(conn, settings, user, 2, methods, attempt.wish, client).await
}

/// Ends the attempts of a user that wait for their second factor, in the caller's transaction.
pub async fn cancel(conn: &mut Conn, user: UserId) -> Result<(), sqlx::Error> {
    store::delete_open(conn, user, None).await
}

/// Ends every attempt of a user that waits, but this one.
pub async fn cancel_others(conn: &mut Conn, attempt: &OpenAttempt) -> Result<(), sqlx::Error> {
    store::delete_open(conn, attempt.user_id, Some(attempt.id)).await
}

/// Removes attempts that have long ended, in one small batch; says how many rows went.
pub async fn purge(conn: &mut Conn, batch: i64) -> Result<u64, sqlx::Error> {
    store::purge(conn, batch).await
}
