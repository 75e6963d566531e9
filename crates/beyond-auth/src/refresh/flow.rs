//! What one does with refresh tokens: make, list, exchange, end.

use secrecy::SecretString;

use super::model::{
    Because, Families, Holder, Issued, Listed, NewFamily, Origin, Proven, Redeemed, Repetition, Successor,
};
use super::store;
use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::platform::crypto::envelope::Keyring;
use crate::platform::crypto::token::{self, Token};
use crate::platform::db::Conn;
use crate::platform::http::Client;
use crate::platform::http::pagination::Window;
use crate::platform::ids::{RefreshFamilyId, RefreshTokenId, SessionId, UserId};
use crate::sessions::model::Standing;
use crate::sessions::{self, Live, Session};
use crate::settings::{self, Settings};
use crate::users;

/// Why there is no refresh token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The asking session has ended meanwhile.
    #[error("the session has ended")]
    SessionEnded,
    /// What would be made has ended already: a credential was last presented too long ago.
    #[error("a credential was last presented too long ago")]
    Stale(std::time::Duration),
    /// The asking session acts as somebody else.
    #[error("an impersonated session is not renewed")]
    Impersonated,
    /// The user has no such token.
    #[error("there is no such refresh token")]
    NotFound,
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// What a successor's secret is derived for. Frozen: another text would break retries during an upgrade.
const SUCCESSOR: &str = "refresh.successor";
/// What the secret of the session that comes with a successor is derived for.
const SESSION: &str = "refresh.session";

/// Begins the family that renews a new session, in the transaction of the sign-in. `id` is the one that the session
/// was made with.
pub async fn begin(
    conn: &mut Conn,
    settings: &Settings,
    session: &Session,
    id: RefreshFamilyId,
    client: &Client,
) -> Result<Issued, sqlx::Error> {
    let proven = Proven {
        aal: session.aal,
        amr: session.amr.clone(),
        verified_at: session.verified_at,
        // Both factors were presented just now.
        second_verified_at: (session.aal >= 2).then_some(session.verified_at),
    };
    let new = NewFamily {
        id,
        user_id: session.user_id,
        origin: Origin::SignIn(session.id),
        proven: &proven,
        label: session.label.as_deref(),
    };
    issue(conn, settings, &new, client).await
}

async fn issue(
    conn: &mut Conn,
    settings: &Settings,
    new: &NewFamily<'_>,
    client: &Client,
) -> Result<Issued, sqlx::Error> {
    store::insert_family(conn, new, settings.refresh_tokens.absolute(), client).await?;
    let token: Token<token::Refresh> = Token::mint();
    let (session, through) = match new.origin {
        Origin::SignIn(session) => (Some(session), session),
        Origin::Session(session, _) => (None, session),
    };
    let idle = settings.refresh_tokens.idle();
    let life = store::insert_token(conn, new.id, &token, None, session, idle).await?;
    let event = Event::new("refresh_token.created", Actor::User(new.user_id))
        .session(through)
        .from(client)
        .details(serde_json::json!({ "family_id": new.id }));
    audit::record(conn, event).await?;
    Ok(issued(&token, new.id, token.reveal(), &life))
}

fn issued(
    token: &Token<token::Refresh>,
    family_id: RefreshFamilyId,
    text: SecretString,
    life: &store::Life,
) -> Issued {
    Issued {
        id: RefreshTokenId::from(token.id()),
        family_id,
        token: text,
        created_at: life.created_at,
        idle_expires_at: life.idle_expires_at,
        expires_at: life.expires_at,
    }
}

/// Makes a refresh token through a session; it ends when that session is signed out.
pub async fn mint(app: &App, live: &Live, label: Option<&str>, client: &Client) -> Result<Issued, Error> {
    if live.session.impersonator.is_some() {
        return Err(Error::Impersonated);
    }
    let user = live.user.id;
    let mut tx = app.db.begin("refresh.mint").await?;
    let settings = settings::load(&mut tx).await?;
    if !users::flow::lock_session(&mut tx, live.holder()).await? {
        return Err(Error::SessionEnded);
    }
    let absolute = settings.refresh_tokens.absolute();
    if !sessions::flow::is_fresh(live, absolute) {
        return Err(Error::Stale(absolute));
    }
    // Looked at again behind the lock: a sign-out that came first has ended what would be made here.
    let family =
        sessions::flow::family_of(&mut tx, user, live.session.id).await?.ok_or(Error::SessionEnded)?;
    let standing = sessions::flow::standing(&mut tx, live.session.id).await?.ok_or(Error::SessionEnded)?;
    let new = NewFamily {
        id: RefreshFamilyId::new(),
        user_id: user,
        origin: Origin::Session(live.session.id, family),
        proven: &proven(standing),
        label,
    };
    let issued = issue(&mut tx, &settings, &new, client).await?;
    tx.commit().await?;
    Ok(issued)
}

/// Lists the refresh tokens of a user, newest family first.
pub async fn list(app: &App, user: UserId, window: Window) -> Result<Vec<Listed>, Error> {
    let mut conn = app.db.acquire().await?;
    Ok(store::list(&mut conn, user, window).await?)
}

/// Whose token this is, in the caller's transaction. Says nothing about whether it may be used.
pub async fn holder(conn: &mut Conn, token: &Token<token::Refresh>) -> Result<Option<Holder>, sqlx::Error> {
    store::find_holder(conn, token).await
}

/// Exchanges a token, in the caller's transaction, which holds the user's row.
pub async fn redeem(
    conn: &mut Conn,
    keyring: &Keyring,
    settings: &Settings,
    holder: Holder,
    token: &Token<token::Refresh>,
) -> Result<Redeemed, sqlx::Error> {
    let id = RefreshTokenId::from(token.id());
    if !store::lock_family(conn, holder.family_id).await? {
        return Ok(Redeemed::Invalid);
    }
    let Some(state) = store::find_state(conn, id, settings.refresh_tokens.grace()).await? else {
        return Ok(Redeemed::Invalid);
    };
    match state {
        store::State { family_lives: false, .. } | store::State { retired: false, idle: true, .. } => {
            Ok(Redeemed::Invalid)
        }
        store::State { retired: true, forgiven: false, .. } => {
            let families =
                store::revoke(conn, holder.user_id, Families::One(holder.family_id), Because::Reused).await?;
            sessions::flow::end_families(conn, holder.user_id, &families).await?;
            Ok(Redeemed::Reused)
        }
        store::State { retired: true, forgiven: true, .. } => repeat(conn, keyring, holder, token).await,
        state => rotate(conn, keyring, settings, holder, token, state).await,
    }
}

/// The first use: retires the token and derives its successor and the session's token from its secret.
async fn rotate(
    conn: &mut Conn,
    keyring: &Keyring,
    settings: &Settings,
    holder: Holder,
    token: &Token<token::Refresh>,
    state: store::State,
) -> Result<Redeemed, sqlx::Error> {
    let (id, session_id) = (RefreshTokenId::new(), SessionId::new());
    let mut successors = token.derive::<token::Refresh>(keyring, SUCCESSOR, id.as_uuid());
    let mut session_tokens = token.derive::<token::Session>(keyring, SESSION, session_id.as_uuid());
    let (Some(successor), Some(session_token)) = (successors.next(), session_tokens.next()) else {
        return Ok(Redeemed::Underivable);
    };
    let standing = match state.session_id {
        Some(session) => sessions::flow::standing(conn, session).await?,
        None => None,
    };
    // Where the session is long gone, nothing but the token was used since it was made.
    let last_used_at =
        standing.as_ref().map_or(state.issued_at, |found| found.last_seen_at.max(state.issued_at));
    let (label, organization_id) = match &standing {
        Some(found) => (found.label.clone(), found.organization_id),
        None => (state.label, None),
    };
    // Step-ups happen on the session. One since this token was made is not carried over: whoever holds a copy of the
    // token would get the fresher and stronger session. Where the session is gone, what the family last knew counts.
    let proven = match standing {
        Some(found) if !found.stepped_up_since(state.issued_at) => proven(found),
        _ => Proven {
            aal: state.aal,
            amr: state.amr,
            verified_at: state.verified_at,
            second_verified_at: state.second_verified_at,
        },
    };
    let presented = RefreshTokenId::from(token.id());
    store::retire(conn, presented).await?;
    let idle = settings.refresh_tokens.idle();
    let life =
        store::insert_token(conn, holder.family_id, &successor, Some(presented), Some(session_id), idle)
            .await?;
    store::touch_family(conn, holder.family_id, &proven).await?;
    Ok(Redeemed::Rotated(Box::new(Successor {
        issued: issued(&successor, holder.family_id, successor.reveal(), &life),
        session_token,
        replaced: state.session_id,
        last_used_at,
        proven,
        label,
        organization_id,
    })))
}

fn proven(standing: Standing) -> Proven {
    Proven {
        aal: standing.aal,
        amr: standing.amr,
        verified_at: standing.verified_at,
        second_verified_at: standing.second_verified_at,
    }
}

/// A retry within the grace: the same successor and the same session, derived once more. The ring may have got
/// another first key meanwhile, so each is tried.
async fn repeat(
    conn: &mut Conn,
    keyring: &Keyring,
    holder: Holder,
    token: &Token<token::Refresh>,
) -> Result<Redeemed, sqlx::Error> {
    let presented = RefreshTokenId::from(token.id());
    let Some(followed) = store::find_successor(conn, presented).await? else {
        return Ok(Redeemed::Invalid);
    };
    let Some(session_id) = followed.session_id else { return Ok(Redeemed::Invalid) };
    let successor = token
        .derive::<token::Refresh>(keyring, SUCCESSOR, followed.id.as_uuid())
        .find(|derived| followed.is(&derived.hash()));
    let Some(successor) = successor else { return Ok(Redeemed::Underivable) };
    Ok(Redeemed::Repeated(Repetition {
        issued: issued(&successor, holder.family_id, successor.reveal(), &followed.life),
        session_id,
        session_tokens: token.derive(keyring, SESSION, session_id.as_uuid()).collect(),
    }))
}

/// Ends families of a user in the caller's transaction, which holds the user's row; says which.
pub async fn end(
    conn: &mut Conn,
    user: UserId,
    families: Families,
) -> Result<Vec<RefreshFamilyId>, sqlx::Error> {
    store::revoke(conn, user, families, Because::Revoked).await
}

/// Ends the family of one of the owner's tokens, with its sessions.
pub async fn revoke(app: &App, live: &Live, id: RefreshTokenId, client: &Client) -> Result<(), Error> {
    let user = live.user.id;
    let mut tx = app.db.begin("refresh.revoke").await?;
    users::flow::lock_standing(&mut tx, user).await?;
    let family = store::find_family(&mut tx, user, id).await?.ok_or(Error::NotFound)?;
    let families = store::revoke(&mut tx, user, Families::One(family), Because::Revoked).await?;
    sessions::flow::end_families(&mut tx, user, &families).await?;
    let event = Event::new("refresh_token.revoked", Actor::User(user))
        .session(live.session.id)
        .from(client)
        .details(serde_json::json!({ "family_id": family }));
    audit::record(&mut tx, event).await?;
    tx.commit().await?;
    Ok(())
}

/// Removes what ended long ago, in one small batch; says how many rows went.
pub async fn purge(conn: &mut Conn, batch: i64) -> Result<u64, sqlx::Error> {
    store::purge(conn, batch).await
}
