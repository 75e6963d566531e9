//! Asking for a mail to sign in with, and redeeming what was in it.

use secrecy::{ExposeSecret as _, SecretString};

use super::mails::MAGIC_LINK;
use super::store::{self, Pending};
use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::emails::code::Code;
use crate::emails::{self, By, Email};
use crate::platform::crypto::token::{self, Token};
use crate::platform::db::Conn;
use crate::platform::http::{Client, throttle};
use crate::platform::ids::{EmailId, MagicLinkId, UserId};
use crate::platform::limits::{self, Decision};
use crate::platform::mail::outbox::NewMail;
use crate::sessions::Live;
use crate::sessions::flow::Elevated;
use crate::settings::{self, Settings};
use crate::sign_in::{self, Outcome, Proof, Wish, devices};
use crate::users::{self, Standing};

/// Wrong codes that a request survives.
pub const MAX_CODE_ATTEMPTS: i16 = 5;

/// Why no mail was promised.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The method is switched off for the project.
    #[error("signing in by mail is switched off")]
    Disabled,
    /// People are not sent there.
    #[error("the address to return to is not allowed")]
    Redirect,
    /// Too many mails to this mailbox.
    #[error("too many mails to this address")]
    Limited(Decision),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Promises a mail to sign in with; answers the secret of the request. Whether there is anybody to send it to decides
/// nothing but whether it is sent: the same statements run for all.
pub async fn request(
    app: &App,
    email: &Email,
    redirect_to: Option<&str>,
    client: &Client,
) -> Result<SecretString, Error> {
    let mut conn = app.db.acquire().await?;
    let settings = settings::load(&mut conn).await?;
    if !settings.magic_link.enabled {
        return Err(Error::Disabled);
    }
    let redirect_to = match redirect_to {
        Some(text) => {
            let url = settings::links::return_address(&settings, &app.config.public_url, text);
            Some(url.ok_or(Error::Redirect)?)
        }
        None => None,
    };
    let owner = emails::flow::find_owner(&mut conn, email, false).await?;
    let mailbox = devices::mailbox(&mut conn, &app.keyring, client, owner, email.canonical()).await?;
    let charged = limits::take_all(&mut conn, &throttle::mailbox(&mailbox)).await?;
    if let limited @ Decision::Limited { .. } = charged {
        return Err(Error::Limited(limited));
    }
    drop(conn);

    let token: Token<token::SignInRequest> = Token::mint();
    let id = MagicLinkId::from(token.id());
    let mut tx = app.db.begin("magic_link.request").await?;
    let holder = emails::flow::lock_holder(&mut tx, email).await?;
    let row = holder.as_ref().map(|holder| holder.id);
    store::insert(&mut tx, id, row, &token.hash(), redirect_to.as_ref().map(url::Url::as_str)).await?;
    let event = Event::new("magic_link.requested", Actor::System).from(client);
    let (mail, event) = match holder {
        Some(holder) => {
            let mail = NewMail::to_email(MAGIC_LINK, holder.id).about(holder.user_id);
            (mail, event.on(holder.user_id))
        }
        // The worker drops it: there is nobody to sign in.
        None => (NewMail::to_address(MAGIC_LINK, email.address()), event),
    };
    let mail = mail.with_payload(serde_json::json!({ "request": id }));
    app.outbox.enqueue(&mut tx, mail.in_language(client.language.as_deref())).await?;
    audit::record(&mut tx, event).await?;
    tx.commit().await?;
    app.outbox.wake();
    Ok(token.reveal())
}

/// What somebody brings from such a mail.
#[derive(Debug)]
pub enum Presented {
    /// The link's token.
    Link(SecretString),
    /// The six digits, and the secret of the request that asked for them.
    Code {
        /// Where the mail went.
        email: Email,
        /// As typed.
        code: SecretString,
        /// Without it the code is worth nothing.
        request: Option<SecretString>,
    },
}

impl Presented {
    fn amr(&self) -> &'static str {
        match self {
            Self::Link(_) => "email",
            Self::Code { .. } => "otp",
        }
    }

    fn by(&self) -> By {
        match self {
            Self::Link(_) => By::MagicLink,
            Self::Code { .. } => By::EmailCode,
        }
    }
}

/// What was presented is right, as far as can be told before it is spent.
struct Redeemable {
    id: MagicLinkId,
    email_id: EmailId,
    /// The guesses that success forgets.
    budget: Option<Vec<u8>>,
}

/// Signs in with a link or a code.
pub async fn sign_in(
    app: &App,
    presented: &Presented,
    wish: Wish,
    client: &Client,
) -> Result<Outcome, sign_in::Error> {
    let (settings, redeemable) = check(app, presented, None, client).await?;
    let mut tx = app.db.begin("magic_link.sign_in").await?;
    let finished = async {
        let user_id = spend(app, &mut tx, &redeemable, presented, client).await?;
        let proof = Proof { user_id, amr: presented.amr(), multi_factor: false };
        sign_in::finish(&mut tx, &settings, &proof, wish, client).await
    };
    let outcome = match finished.await {
        Ok(outcome) => outcome,
        Err(sign_in::Error::Refused) => {
            tx.rollback().await?;
            return refused(app, presented, client).await;
        }
        Err(error) => return Err(error),
    };
    // Half-way in, nothing is forgiven: or a mailbox would buy endless tries at the second factor.
    if let (Outcome::SignedIn(_), Some(budget)) = (&outcome, &redeemable.budget) {
        limits::clear_account(&mut tx, budget).await?;
    }
    tx.commit().await?;
    app.outbox.wake();
    Ok(outcome)
}

/// Presents a link or a code for a session that exists: it must have gone to an address of the session's owner.
pub async fn step_up(
    app: &App,
    live: &Live,
    presented: &Presented,
    client: &Client,
) -> Result<Elevated, sign_in::Error> {
    let user = live.user.id;
    let (_, redeemable) = check(app, presented, Some(user), client).await?;
    let mut tx = app.db.begin("magic_link.step_up").await?;
    if spend(app, &mut tx, &redeemable, presented, client).await? != user {
        return Err(sign_in::Error::Refused);
    }
    let elevated = sign_in::step_up(&mut tx, live, presented.amr(), client).await?;
    if let Some(budget) = &redeemable.budget {
        limits::give_back(&mut tx, budget).await?;
    }
    tx.commit().await?;
    Ok(elevated)
}

/// Looks at what was presented; a code is counted first, against its request and against the account.
async fn check(
    app: &App,
    presented: &Presented,
    user: Option<UserId>,
    client: &Client,
) -> Result<(Settings, Redeemable), sign_in::Error> {
    let mut conn = app.db.acquire().await?;
    let settings = settings::load(&mut conn).await?;
    if !settings.magic_link.enabled {
        return Err(sign_in::Error::MethodDisabled);
    }
    let redeemable = match presented {
        Presented::Link(token) => by_link(&mut conn, token).await?,
        Presented::Code { email, code, request } => {
            let budget = budget_of(app, &mut conn, &settings, email, user, client).await?;
            match limits::account_attempt(&mut conn, &budget).await? {
                Decision::Allowed { .. } => {}
                limited @ Decision::Limited { .. } => {
                    return Err(sign_in::Error::Limited(Box::new(limited.into())));
                }
            }
            let found = by_code(app, &mut conn, email, code, request.as_ref()).await?;
            found.map(|found| Redeemable { budget: Some(budget), ..found })
        }
    };
    drop(conn);
    match redeemable {
        Some(redeemable) => Ok((settings, redeemable)),
        None => refused(app, presented, client).await,
    }
}

async fn by_link(conn: &mut Conn, token: &SecretString) -> Result<Option<Redeemable>, sqlx::Error> {
    let Ok(token) = Token::<token::MagicLink>::parse(token.expose_secret()) else { return Ok(None) };
    let pending = store::find_pending(conn, MagicLinkId::from(token.id())).await?;
    let fits =
        |pending: &Pending| pending.secret_hash.as_deref().is_some_and(|stored| token.hash().matches(stored));
    Ok(pending.filter(fits).and_then(|Pending { id, email_id, .. }| {
        email_id.map(|email_id| Redeemable { id, email_id, budget: None })
    }))
}

async fn by_code(
    app: &App,
    conn: &mut Conn,
    email: &Email,
    code: &SecretString,
    request: Option<&SecretString>,
) -> Result<Option<Redeemable>, sqlx::Error> {
    let Some(request) = request else { return Ok(None) };
    let Ok(request) = Token::<token::SignInRequest>::parse(request.expose_secret()) else { return Ok(None) };
    let Ok(code) = Code::parse(code.expose_secret()) else { return Ok(None) };
    let pending = store::find_pending(conn, MagicLinkId::from(request.id())).await?;
    let Some(pending) = pending.filter(|pending| request.hash().matches(&pending.request_hash)) else {
        return Ok(None);
    };
    if !store::count_code_attempt(conn, pending.id, MAX_CODE_ATTEMPTS).await? {
        return Ok(None);
    }
    let message = code_message(pending.id, &code);
    let fits = |mac: &[u8]| app.keyring.verify_mac(CODE_PURPOSE, &message, mac);
    let (Some(email_id), true) = (pending.email_id, pending.code_mac.as_deref().is_some_and(fits)) else {
        return Ok(None);
    };
    let address = emails::flow::canonical_of(conn, email_id).await?;
    let same = address.as_deref() == Some(email.canonical());
    Ok(same.then_some(Redeemable { id: pending.id, email_id, budget: None }))
}

/// Guesses count against the account with those at its password; a stranger's address counts for itself, and so does
/// one that is merely claimed where passwords do not open it either: or the two would tell a claim from a stranger.
async fn budget_of(
    app: &App,
    conn: &mut Conn,
    settings: &Settings,
    email: &Email,
    user: Option<UserId>,
    client: &Client,
) -> Result<Vec<u8>, sqlx::Error> {
    let claims = !settings.sign_up.require_verification;
    let owner = emails::flow::find_owner(conn, email, claims).await?;
    match user.or(owner) {
        Some(user) => devices::budget(conn, &app.keyring, client, user).await,
        None => Ok(email.canonical().as_bytes().to_vec()),
    }
}

/// Spends what was presented, which proves the address. Answers whose it is; locked from the general to the particular.
async fn spend(
    app: &App,
    conn: &mut Conn,
    redeemable: &Redeemable,
    presented: &Presented,
    client: &Client,
) -> Result<UserId, sign_in::Error> {
    let email = emails::flow::lock_row(conn, redeemable.email_id).await?.ok_or(sign_in::Error::Refused)?;
    if users::flow::lock_standing(conn, email.user_id).await? != Some(Standing::Good) {
        return Err(sign_in::Error::Refused);
    }
    if !store::spend(conn, redeemable.id).await? {
        return Err(sign_in::Error::Refused);
    }
    match emails::flow::prove(conn, &app.outbox, &email, presented.by(), client).await {
        Ok(()) => Ok(email.user_id),
        Err(emails::flow::Error::Database(error)) => Err(error.into()),
        Err(_) => Err(sign_in::Error::Refused),
    }
}

/// Records a refusal: a write whatever the reason, so that all take as long.
async fn refused<T>(app: &App, presented: &Presented, client: &Client) -> Result<T, sign_in::Error> {
    let mut conn = app.db.acquire().await?;
    let details = serde_json::json!({ "amr": [presented.amr()] });
    let event = Event::new("sign_in.refused", Actor::System).from(client).details(details);
    audit::record(&mut conn, event).await?;
    Err(sign_in::Error::Refused)
}

/// Purpose under which codes are authenticated.
pub(super) const CODE_PURPOSE: &str = "magic_link.code";

/// What the code's MAC covers: the digits, bound to their row.
pub(super) fn code_message(id: MagicLinkId, code: &Code) -> Vec<u8> {
    format!("{id}:{}", code.expose_secret()).into_bytes()
}

/// Removes what has long ended, in one small batch; says how many rows went.
pub async fn purge(conn: &mut Conn, batch: i64) -> Result<u64, sqlx::Error> {
    store::purge(conn, batch).await
}
