//! The owner's side: enrolling, proving, naming and removing a factor.

use super::mails::{self, Notice};
use super::model::{Activated, Code, Enrolled, Error, FactorRow, MAX_FACTORS, has_factor};
use super::store::{self, NewFactor, Which};
use super::{recovery, second, verify};
use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::emails;
use crate::platform::crypto::totp::Seed;
use crate::platform::db::Conn;
use crate::platform::http::Client;
use crate::platform::ids::{AttemptId, FactorId, UserId};
use crate::platform::limits::{self, Decision};
use crate::platform::qr;
use crate::platform::sealed::SealedColumn;
use crate::sessions::{self, Live, Scope};
use crate::settings::model::MfaPolicy;
use crate::settings::{self, Settings};
use crate::sign_in::{attempts, devices};
use crate::sign_out;
use crate::users::{self, User};

/// Every seed there is.
pub const SEALED_SEED: &dyn SealedColumn = &store::SealedSeed;

/// Lists a user's factors.
pub async fn list(app: &App, user: UserId) -> Result<Vec<FactorRow>, Error> {
    let mut conn = app.db.acquire().await?;
    Ok(store::list(&mut conn, user).await?)
}

/// Enrols a factor; it becomes one with its first code.
pub async fn enrol(app: &App, live: &Live, name: Option<&str>, client: &Client) -> Result<Enrolled, Error> {
    let user = &live.user;
    let mut tx = app.db.begin("totp.enrol").await?;
    let settings = settings::load(&mut tx).await?;
    if settings.mfa.policy == MfaPolicy::Off {
        return Err(Error::Disabled);
    }
    lock(&mut tx, live).await?;
    if sessions::flow::second_due(&mut tx, &settings, live).await? {
        return Err(Error::SecondDue);
    }
    if store::count_active(&mut tx, user.id).await? >= MAX_FACTORS {
        return Err(Error::TooMany);
    }
    let enrolled = plant(app, &mut tx, &settings, user, None, name).await?;
    let event = Event::new("factor.enrolled", Actor::User(user.id)).session(live.session.id).from(client);
    audit::record(&mut tx, event.details(serde_json::json!({ "factor_id": enrolled.id }))).await?;
    tx.commit().await?;
    Ok(enrolled)
}

/// Draws a seed and stores it, in the caller's transaction.
pub(super) async fn plant(
    app: &App,
    conn: &mut Conn,
    settings: &Settings,
    user: &User,
    attempt: Option<AttemptId>,
    name: Option<&str>,
) -> Result<Enrolled, sqlx::Error> {
    let (id, seed) = (FactorId::new(), Seed::draw());
    let sealed_seed = app.keyring.seal(&SEALED_SEED.place(&id.to_string()), seed.as_bytes());
    let new = NewFactor { id, user: user.id, attempt, name, sealed_seed: &sealed_seed };
    store::insert(conn, &new).await?;
    let issuer = settings.branding.name.as_deref().or_else(|| app.config.public_url.host_str());
    let account = user.email.clone().unwrap_or_else(|| user.id.to_string());
    let uri = seed.uri(issuer.unwrap_or("beyond-auth"), &account);
    // A name too long for a picture can still be typed.
    let qr_svg = qr::svg(&uri).unwrap_or_else(|| String::new().into());
    Ok(Enrolled { id, name: name.map(str::to_owned), secret: seed.base32(), uri, qr_svg })
}

/// Makes a factor of one that was enrolled: the code proves that the device has the seed. The other sessions of the
/// account end, and the sign-ins that are half-way: more is asked of them now.
pub async fn activate(
    app: &App,
    live: &Live,
    id: FactorId,
    code: &str,
    client: &Client,
) -> Result<Activated, Error> {
    let user = live.user.id;
    let mut conn = app.db.acquire().await?;
    let factor = store::find(&mut conn, user, id).await?.ok_or(Error::NotFound)?;
    if factor.active {
        return Err(Error::Active);
    }
    charge(app, &mut conn, user, client).await?;
    let code = Code::parse(code).filter(|code| matches!(code, Code::Totp(_))).ok_or(Error::WrongCode)?;
    let seen = verify::look_at(&mut conn, &app.keyring, user, &code, Which::Pending(id)).await?;
    let Some(verify::Seen::Step(id, step)) = seen else { return Err(Error::WrongCode) };
    drop(conn);

    let mut tx = app.db.begin("totp.activate").await?;
    let settings = settings::load(&mut tx).await?;
    lock(&mut tx, live).await?;
    // Another factor may have come since this one was enrolled; then that one is asked for first.
    if sessions::flow::second_due(&mut tx, &settings, live).await? {
        return Err(Error::SecondDue);
    }
    let activated = activate_step(app, &mut tx, user, id, step, client).await?.ok_or(Error::NotFound)?;
    sessions::flow::raise(&mut tx, live, &["otp", "mfa"]).await?;
    // The others have shown one factor only, and so have whoever stole one of them.
    sign_out::flow::end(&mut tx, user, Scope::Others(live.session.id)).await?;
    emails::flow::cancel_pending(&mut tx, user, false).await?;
    tx.commit().await?;
    app.outbox.wake();
    Ok(activated)
}

/// The same, in the caller's transaction and behind the lock on the user's row. `None` when the factor is gone or
/// somebody has just activated it.
pub(super) async fn activate_step(
    app: &App,
    conn: &mut Conn,
    user: UserId,
    id: FactorId,
    step: i64,
    client: &Client,
) -> Result<Option<Activated>, sqlx::Error> {
    let Some(factor) = store::activate(conn, id, step).await? else { return Ok(None) };
    // Whoever planted another one beside it must begin again, and is asked for this one.
    store::delete_pending(conn, user).await?;
    let recovery_codes = recovery::issue_first(conn, user).await?;
    let event = Event::new("factor.added", Actor::User(user)).from(client);
    audit::record(conn, event.details(serde_json::json!({ "factor_id": id, "type": "totp" }))).await?;
    mails::tell(app, conn, user, Notice::FactorAdded, client).await?;
    Ok(Some(Activated { factor, recovery_codes }))
}

/// Names a factor.
pub async fn rename(
    app: &App,
    live: &Live,
    id: FactorId,
    name: Option<Option<&str>>,
) -> Result<FactorRow, Error> {
    let user = live.user.id;
    let mut tx = app.db.begin("totp.rename").await?;
    lock(&mut tx, live).await?;
    if let Some(name) = name
        && !store::rename(&mut tx, user, id, name).await?
    {
        return Err(Error::NotFound);
    }
    let factor = store::find(&mut tx, user, id).await?.ok_or(Error::NotFound)?;
    tx.commit().await?;
    Ok(factor)
}

/// Removes a factor by a code of it, or by a recovery code. One that was never proven goes without.
pub async fn remove(
    app: &App,
    live: &Live,
    id: FactorId,
    code: Option<&str>,
    client: &Client,
) -> Result<(), Error> {
    let user = live.user.id;
    let mut conn = app.db.acquire().await?;
    let factor = store::find(&mut conn, user, id).await?.ok_or(Error::NotFound)?;
    let seen = if factor.active {
        let code = code.ok_or(Error::CodeMissing)?;
        charge(app, &mut conn, user, client).await?;
        let code = Code::parse(code).ok_or(Error::WrongCode)?;
        let seen = verify::look_at(&mut conn, &app.keyring, user, &code, Which::This(id)).await?;
        Some(seen.ok_or(Error::WrongCode)?)
    } else {
        None
    };
    let settings = settings::load(&mut conn).await?;
    drop(conn);

    let mut tx = app.db.begin("totp.remove").await?;
    lock(&mut tx, live).await?;
    if let Some(seen) = &seen
        && !second::spend(app, &mut tx, user, seen, client).await?
    {
        return Err(Error::WrongCode);
    }
    let removed = store::delete(&mut tx, user, id).await?.ok_or(Error::NotFound)?;
    if removed != factor.active {
        // Activated meanwhile: then it takes a code.
        return Err(Error::CodeMissing);
    }
    let event = Event::new("factor.removed", Actor::User(user)).session(live.session.id).from(client);
    let left = removed_one(app, &mut tx, user, id, removed, event, client).await?;
    if removed && !left && settings.mfa.policy == MfaPolicy::Required {
        return Err(Error::Last);
    }
    tx.commit().await?;
    app.outbox.wake();
    Ok(())
}

/// Removes a factor by the operator's decision, for somebody who has lost device and codes.
pub async fn remove_by_admin(app: &App, user: UserId, id: FactorId, client: &Client) -> Result<(), Error> {
    let mut tx = app.db.begin("totp.remove_by_admin").await?;
    users::flow::lock_standing(&mut tx, user).await?.ok_or(Error::NotFound)?;
    let removed = store::delete(&mut tx, user, id).await?.ok_or(Error::NotFound)?;
    let event = Event::new("factor.removed", Actor::Admin).on(user).from(client);
    removed_one(app, &mut tx, user, id, removed, event, client).await?;
    tx.commit().await?;
    app.outbox.wake();
    Ok(())
}

/// Forgets the recovery codes of an account that has no factor left, in the caller's transaction: there is nothing for
/// them to stand in for. For whoever removes a factor of another kind.
pub async fn forget_codes_without_factor(conn: &mut Conn, user: UserId) -> Result<bool, sqlx::Error> {
    let left = has_factor(&attempts::factors_of(conn, user).await?);
    if !left {
        store::delete_codes(conn, user).await?;
    }
    Ok(left)
}

/// What follows from a removal, in its transaction: the sign-ins that are half-way end, recovery codes go with the last
/// factor, and the owner is told. Says whether a factor is left.
async fn removed_one(
    app: &App,
    conn: &mut Conn,
    user: UserId,
    id: FactorId,
    active: bool,
    event: Event<'_>,
    client: &Client,
) -> Result<bool, sqlx::Error> {
    let left = forget_codes_without_factor(conn, user).await?;
    if active {
        attempts::cancel(conn, user).await?;
        mails::tell(app, conn, user, Notice::FactorRemoved, client).await?;
    }
    audit::record(conn, event.details(serde_json::json!({ "factor_id": id, "active": active }))).await?;
    Ok(left)
}

/// Counts a guess. Success here forgives none: a stolen session could prove a device of its own and guess at the owner's
/// for ever.
async fn charge(app: &App, conn: &mut Conn, user: UserId, client: &Client) -> Result<(), Error> {
    let budget = devices::budget(conn, &app.keyring, client, user).await?;
    match limits::account_attempt(conn, &budget).await? {
        Decision::Allowed { .. } => Ok(()),
        limited @ Decision::Limited { .. } => Err(Error::Limited(limited)),
    }
}

async fn lock(conn: &mut Conn, live: &Live) -> Result<(), Error> {
    let lives = users::flow::lock_session(conn, live.holder()).await?;
    if lives { Ok(()) } else { Err(Error::Ended) }
}

/// Removes factors whose first code never came, in one small batch; says how many rows went.
pub async fn purge(conn: &mut Conn, batch: i64) -> Result<u64, sqlx::Error> {
    store::purge(conn, batch).await
}
