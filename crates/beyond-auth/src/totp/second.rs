//! Presenting a second factor: at the door, for a sign-in that waits for it, or for a session that exists.

use secrecy::SecretString;
use serde_json::json;

use super::mails::{self, Notice};
use super::model::{Activated, Code, Enrolled, has_factor};
use super::store::Which;
use super::verify::{self, Seen};
use super::{flow, store};
use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::emails;
use crate::platform::db::Conn;
use crate::platform::http::Client;
use crate::platform::ids::{FactorId, UserId};
use crate::platform::limits::{self, Decision};
use crate::sessions::flow::Elevated;
use crate::sessions::{Live, Scope};
use crate::settings::{self, Settings};
use crate::sign_in::{self, Error, OpenAttempt, SignedIn, attempts, devices};
use crate::sign_out;
use crate::users::{self, Standing};

/// Who came in by a second factor.
#[derive(Debug)]
pub struct Finished {
    /// The session.
    pub signed_in: SignedIn,
    /// Where the factor was enrolled on the way in: shown once.
    pub recovery_codes: Option<Vec<SecretString>>,
}

/// A sign-in that is half-way, as it was when the code was presented.
struct HalfWay {
    settings: Settings,
    attempt: OpenAttempt,
    /// The account has a factor; otherwise one may be enrolled on the way in.
    enrolled: bool,
    /// What the guess was charged to.
    budget: Vec<u8>,
}

/// Finishes a sign-in that waits for its second factor. Where the project asks for one and the account has none, the
/// first code of the factor that was enrolled on the way in.
pub async fn sign_in(
    app: &App,
    attempt_token: &SecretString,
    code: &Code,
    refresh_token: bool,
    client: &Client,
) -> Result<Finished, Error> {
    let mut conn = app.db.acquire().await?;
    let settings = settings::load(&mut conn).await?;
    let mut attempt = attempts::open_text(&mut conn, attempt_token).await?;
    attempt.wish.refresh_token |= refresh_token;
    let user = attempt.user_id;
    let budget = charge(app, &mut conn, user, client).await?;
    attempts::count_try(&mut conn, &attempt).await?;
    let enrolled = has_factor(&attempts::factors_of(&mut conn, user).await?);
    let which = if enrolled { Which::Active } else { Which::PendingOf(attempt.id) };
    // Recovery codes stand in for a factor: where there is none, it is enrolled first.
    let seen = match code {
        Code::Recovery(_) if !enrolled => None,
        code => verify::look_at(&mut conn, &app.keyring, user, code, which).await?,
    };
    drop(conn);
    let half_way = HalfWay { settings, attempt, enrolled, budget };
    let finished = match &seen {
        Some(seen) => finish(app, &half_way, code, seen, client).await,
        None => Err(Error::WrongCode),
    };
    if matches!(finished, Err(Error::WrongCode)) {
        refused(app, user, code, client).await?;
    }
    app.outbox.wake();
    finished
}

async fn finish(
    app: &App,
    half_way: &HalfWay,
    code: &Code,
    seen: &Seen,
    client: &Client,
) -> Result<Finished, Error> {
    let HalfWay { settings, attempt, enrolled, budget } = half_way;
    let user = attempt.user_id;
    let mut tx = app.db.begin("totp.sign_in").await?;
    let signed_in = sign_in::finish_attempt(&mut tx, settings, attempt, code.amr(), client).await?;
    let recovery_codes = match seen {
        Seen::Step(factor, step) if !enrolled => {
            Some(activate(app, &mut tx, &signed_in, (*factor, *step), client).await?)
        }
        _ => {
            if !spend(app, &mut tx, user, seen, client).await? {
                return Err(Error::WrongCode);
            }
            None
        }
    };
    limits::clear_account(&mut tx, budget).await?;
    tx.commit().await?;
    Ok(Finished { signed_in, recovery_codes })
}

/// The first code of a factor that was enrolled on the way in. Only where the account still has none: or whoever
/// knows a password could enrol a device beside the owner's.
async fn activate(
    app: &App,
    conn: &mut Conn,
    signed_in: &SignedIn,
    (factor, step): (FactorId, i64),
    client: &Client,
) -> Result<Vec<SecretString>, Error> {
    let (user, session) = (signed_in.user.id, signed_in.session.id);
    if has_factor(&attempts::factors_of(conn, user).await?) {
        return Err(Error::AttemptEnded);
    }
    let activated = flow::activate_step(app, conn, user, factor, step, client).await?;
    let Activated { recovery_codes, .. } = activated.ok_or(Error::WrongCode)?;
    // This sign-in's own session came into being just now, in this transaction.
    sign_out::flow::end(conn, user, Scope::Others(session)).await?;
    emails::flow::cancel_pending(conn, user, false).await?;
    Ok(recovery_codes)
}

/// Enrols a factor on the way in, where the project asks for one and the account has none.
pub async fn enrol(app: &App, attempt_token: &SecretString, client: &Client) -> Result<Enrolled, Error> {
    let mut tx = app.db.begin("totp.enrol_at_the_door").await?;
    let settings = settings::load(&mut tx).await?;
    let attempt = attempts::open_text(&mut tx, attempt_token).await?;
    if users::flow::lock_standing(&mut tx, attempt.user_id).await? != Some(Standing::Good) {
        return Err(Error::Refused);
    }
    // Once more behind the lock, which whoever ends attempts or adds a factor takes.
    attempts::open_text(&mut tx, attempt_token).await?;
    if has_factor(&attempts::factors_of(&mut tx, attempt.user_id).await?) {
        return Err(Error::AttemptEnded);
    }
    let user = users::flow::find(&mut tx, attempt.user_id).await?.ok_or(Error::Refused)?;
    let enrolled = flow::plant(app, &mut tx, &settings, &user, Some(attempt.id), None).await?;
    let event = Event::new("factor.enrolled", Actor::User(user.id)).from(client);
    audit::record(&mut tx, event.details(json!({ "factor_id": enrolled.id, "by": "sign_in" }))).await?;
    tx.commit().await?;
    Ok(enrolled)
}

/// Presents a second factor for a session that exists.
pub async fn step_up(app: &App, live: &Live, code: &Code, client: &Client) -> Result<Elevated, Error> {
    let user = live.user.id;
    let mut conn = app.db.acquire().await?;
    let budget = charge(app, &mut conn, user, client).await?;
    let seen = verify::look_at(&mut conn, &app.keyring, user, code, Which::Active).await?;
    drop(conn);
    let elevated = match &seen {
        Some(seen) => elevate(app, live, code, seen, &budget, client).await,
        None => Err(Error::WrongCode),
    };
    if matches!(elevated, Err(Error::WrongCode)) {
        refused(app, user, code, client).await?;
    }
    app.outbox.wake();
    elevated
}

/// Forgives no guess but this one: see `flow::charge`.
async fn elevate(
    app: &App,
    live: &Live,
    code: &Code,
    seen: &Seen,
    budget: &[u8],
    client: &Client,
) -> Result<Elevated, Error> {
    let mut tx = app.db.begin("totp.step_up").await?;
    let elevated = sign_in::step_up_second(&mut tx, live, code.amr(), client).await?;
    if !spend(app, &mut tx, live.user.id, seen, client).await? {
        return Err(Error::WrongCode);
    }
    limits::give_back(&mut tx, budget).await?;
    tx.commit().await?;
    Ok(elevated)
}

/// Spends a code behind the lock on the user's row; the owner hears of a recovery code. `false` when somebody else has
/// just done so.
pub(super) async fn spend(
    app: &App,
    conn: &mut Conn,
    user: UserId,
    seen: &Seen,
    client: &Client,
) -> Result<bool, sqlx::Error> {
    if !verify::spend(conn, user, seen).await? {
        return Ok(false);
    }
    if let Seen::Recovery(_) = seen {
        let event = Event::new("recovery_code.used", Actor::User(user)).from(client);
        let left = store::count_codes(conn, user).await?;
        audit::record(conn, event.details(json!({ "left": left }))).await?;
        mails::tell(app, conn, user, Notice::RecoveryCodeUsed, client).await?;
    }
    Ok(true)
}

/// Counts a guess before it is looked at; answers what it was charged to.
async fn charge(app: &App, conn: &mut Conn, user: UserId, client: &Client) -> Result<Vec<u8>, Error> {
    let budget = devices::budget(conn, &app.keyring, client, user).await?;
    match limits::account_attempt(conn, &budget).await? {
        Decision::Allowed { .. } => Ok(budget),
        limited @ Decision::Limited { .. } => Err(Error::Limited(Box::new(limited.into()))),
    }
}

async fn refused(app: &App, user: UserId, code: &Code, client: &Client) -> Result<(), sqlx::Error> {
    let mut conn = app.db.acquire().await?;
    let event = Event::new("sign_in.refused", Actor::System).on(user).from(client);
    audit::record(&mut conn, event.details(json!({ "amr": [code.amr()], "known": true }))).await
}
