//! What one does with sessions: verify, list, end.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::model::{Active, Live, MemberLimits, NewSession, Scope, Session, Stale, Standing};
use super::store::{self, Device, live};
use crate::app::App;
use crate::platform::crypto::token::{self, Token};
use crate::platform::db::{Conn, coalesce};
use crate::platform::http::Client;
use crate::platform::http::pagination::Window;
use crate::platform::ids::{OrganizationId, RefreshFamilyId, SessionId, UserId};
use crate::settings::Settings;
use crate::users;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Malformed, unknown, expired or revoked: one answer for all.
    #[error("the session token is not valid")]
    Invalid,
    /// The database did not answer; nothing is known about the token.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The lookup was not answered; nothing is known about the token.
    #[error(transparent)]
    Lookup(#[from] coalesce::Error),
}

/// Verifies a presented token: parse, a lookup shared with whoever else is waiting, constant-time comparison.
pub async fn verify(app: &App, presented: &SecretString) -> Result<Live, Error> {
    let token: Token<token::Session> = Token::parse(presented.expose_secret()).map_err(|_| Error::Invalid)?;
    let candidate = app.verification.find(SessionId::from(token.id())).await?;
    // Compared even where no row was found would hide nothing: ids are not secret, secrets are 256 bits.
    let candidate = candidate.filter(|candidate| candidate.opens_with(&token.hash()));
    let live = candidate.ok_or(Error::Invalid)?.live;
    if live.stale {
        app.verification.used(live.session.id);
    }
    Ok(live)
}

/// Makes a session that `token` opens, in the caller's transaction. Only `sign_in` calls this.
pub async fn create(
    conn: &mut Conn,
    new: &NewSession,
    token: &Token<token::Session>,
    client: &Client,
) -> Result<(Session, SecretString), sqlx::Error> {
    let session = store::insert(conn, new, token, client).await?;
    Ok((session, token.reveal()))
}

/// Finds the live session that one of `tokens` opens, to hand it out once more.
pub async fn find_again(
    conn: &mut Conn,
    id: SessionId,
    tokens: &[Token<token::Session>],
) -> Result<Option<(Session, SecretString)>, sqlx::Error> {
    let candidate = live::find_live_many(conn, &[id]).await?.pop().flatten();
    Ok(candidate.and_then(|candidate| {
        let token = tokens.iter().find(|token| candidate.opens_with(&token.hash()))?;
        Some((candidate.live.session, token.reveal()))
    }))
}

/// What a session stands for, expired or not, in the caller's transaction.
pub async fn standing(conn: &mut Conn, id: SessionId) -> Result<Option<Standing>, sqlx::Error> {
    store::find_standing(conn, id).await
}

/// Lets a session live this much longer at most, in the caller's transaction.
pub async fn shorten(conn: &mut Conn, id: SessionId, left: Duration) -> Result<(), sqlx::Error> {
    store::shorten(conn, id, left).await
}

/// Which organization a session acts for now; the outer `None` when it has ended, or is opened by another secret.
pub async fn acts_for(conn: &mut Conn, live: &Live) -> Result<Option<Option<OrganizationId>>, sqlx::Error> {
    store::find_organization(conn, live.holder()).await
}

/// Which family renews a session of a user, if any; the outer `None` when there is no such session.
pub async fn family_of(
    conn: &mut Conn,
    user: UserId,
    id: SessionId,
) -> Result<Option<Option<RefreshFamilyId>>, sqlx::Error> {
    store::find_family(conn, user, id).await
}

/// Lists the devices of a user, newest first.
pub async fn list(app: &App, user: UserId, window: Window) -> Result<Vec<Device>, Error> {
    let mut conn = app.db.acquire().await?;
    Ok(store::list(&mut conn, user, window).await?)
}

/// Ends sessions of a user, in the caller's transaction. `sign_out::flow::end` also ends what renews them.
pub async fn end(conn: &mut Conn, user: UserId, scope: Scope) -> Result<u64, sqlx::Error> {
    store::delete(conn, user, scope).await
}

/// Ends the sessions that these families renewed, in the caller's transaction.
pub async fn end_families(
    conn: &mut Conn,
    user: UserId,
    families: &[RefreshFamilyId],
) -> Result<u64, sqlx::Error> {
    if families.is_empty() {
        return Ok(0);
    }
    store::delete_families(conn, user, families).await
}

/// Names a device, in the caller's transaction.
pub async fn rename(conn: &mut Conn, id: SessionId, label: Option<&str>) -> Result<(), sqlx::Error> {
    store::update_label(conn, id, label).await
}

/// Lets sessions act for an organization, or for none, in the caller's transaction. Only `orgs` calls this: it knows
/// what the organization asks for.
///
/// # Errors
/// Violates `sessions_organization_member_fkey` when a user does not belong to the organization.
pub async fn switch(
    conn: &mut Conn,
    ids: &[SessionId],
    organization: Option<OrganizationId>,
) -> Result<(), sqlx::Error> {
    store::update_organization(conn, ids, organization).await
}

/// The sessions that act for an organization.
pub async fn active_in(conn: &mut Conn, organization: OrganizationId) -> Result<Vec<Active>, sqlx::Error> {
    store::list_active(conn, organization).await
}

/// Shortens the sessions of an organization's members, `only` those of one, in the caller's transaction.
pub async fn limit_members(
    conn: &mut Conn,
    organization: OrganizationId,
    only: Option<UserId>,
    limits: MemberLimits,
) -> Result<(), sqlx::Error> {
    if limits == MemberLimits::default() {
        return Ok(());
    }
    store::limit_members(conn, organization, only, limits).await
}

/// A session whose owner presented a credential again.
#[derive(Debug)]
pub struct Elevated {
    /// As it is now.
    pub session: Session,
    /// The new token; the old one opens nothing any more.
    pub token: SecretString,
}

/// Notes that a credential of methods `amr` was presented again, in the caller's transaction. The secret is replaced
/// each time: whoever holds a copy of the older token does not get the fresher or stronger session.
pub async fn elevate(conn: &mut Conn, live: &Live, second: bool, amr: &[&str]) -> Result<Elevated, Error> {
    let mut session = live.session.clone();
    if second {
        session.aal = session.aal.max(2);
    }
    for method in amr {
        if !session.amr.iter().any(|known| known == method) {
            session.amr.push((*method).to_owned());
        }
    }
    let token: Token<token::Session> = Token::mint_for(session.id.as_uuid());
    let elevation = store::Elevation {
        aal: session.aal,
        second,
        amr: &session.amr,
        presented: live.secret_hash,
        secret_hash: token.hash(),
    };
    let (verified_at, aal) = store::elevate(conn, session.id, &elevation).await?.ok_or(Error::Invalid)?;
    (session.verified_at, session.aal) = (verified_at, aal);
    Ok(Elevated { session, token: token.reveal() })
}

/// Notes that a second factor was enrolled and proven through this session, in the caller's transaction. The token stays
/// as it is: whoever holds a copy could have enrolled a factor as well.
pub async fn raise(conn: &mut Conn, live: &Live, amr: &[&str]) -> Result<(), sqlx::Error> {
    let mut methods = live.session.amr.clone();
    methods.extend(
        amr.iter()
            .filter(|method| !live.session.amr.iter().any(|known| known == *method))
            .map(|method| (*method).to_owned()),
    );
    store::raise(conn, live.session.id, 2, &methods).await
}

/// Removes revocations that no JWT can outlive, in one small batch; says how many rows went.
pub async fn purge_revocations(conn: &mut Conn, batch: i64) -> Result<u64, sqlx::Error> {
    store::purge_revocations(conn, batch).await
}

/// Removes what has long expired, in one small batch; says how many rows went.
pub async fn purge(conn: &mut Conn, batch: i64) -> Result<u64, sqlx::Error> {
    store::purge(conn, batch).await
}

/// Whether a session must present the second factor of its account before it does what takes a recent sign-in: where
/// the account has one that a sign-in would ask for, and the session has not shown it lately. The first factor alone makes
/// a session fresh, however it was stolen; it must not open what two factors keep.
pub async fn second_due(conn: &mut Conn, settings: &Settings, live: &Live) -> Result<bool, sqlx::Error> {
    if !users::flow::has_second_factor(conn, settings, live.user.id).await? {
        return Ok(false);
    }
    let fresh = settings.sessions.fresh();
    Ok(live.session.aal < 2 || !store::has_shown_second(conn, live.session.id, fresh).await?)
}

/// What a session lacks for what takes a recent sign-in, second factor included; nothing where it may go on.
pub async fn stale(conn: &mut Conn, settings: &Settings, live: &Live) -> Result<Option<Stale>, sqlx::Error> {
    let fresh = settings.sessions.fresh();
    if second_due(conn, settings, live).await? {
        return Ok(Some(Stale::SecondFactor(fresh.as_secs())));
    }
    Ok((!is_fresh(live, fresh)).then_some(Stale::Credential(fresh.as_secs())))
}

/// Whether the owner presented a credential within `fresh`.
pub fn is_fresh(live: &Live, fresh: Duration) -> bool {
    u64::try_from(live.age_seconds).is_ok_and(|age| age <= fresh.as_secs())
}
