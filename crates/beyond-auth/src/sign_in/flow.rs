//! The only place that mints a session, or says that a second factor is due.

use std::time::Duration;

use super::attempts;
use super::devices::Device;
use super::model::{Error, Outcome, Proof, SignedIn, Wish};
use super::store;
use crate::audit::{self, Actor, Event};
use crate::platform::crypto::token::Token;
use crate::platform::db::Conn;
use crate::platform::http::Client;
use crate::platform::ids::{RefreshFamilyId, UserId};
use crate::refresh;
use crate::sessions::flow::Elevated;
use crate::sessions::model::MemberLimits;
use crate::sessions::{self, Live, NewSession};
use crate::settings::Settings;
use crate::users::{self, Standing, User};

/// Decides whether a person may come in, in the caller's transaction: the one policy for signing in and renewing.
///
/// The user's row is locked first, so a ban or deletion either comes before and is seen here, or waits and
/// then ends the session that is minted next.
pub(super) async fn admit(conn: &mut Conn, settings: &Settings, user_id: UserId) -> Result<User, Error> {
    match users::flow::lock_standing(conn, user_id).await? {
        Some(Standing::Good) => {}
        Some(Standing::Banned) | None => return Err(Error::Refused),
    }
    let user = users::flow::find(conn, user_id).await?.ok_or(Error::Refused)?;
    if !user.email_verified {
        if settings.sign_up.require_verification {
            return Err(Error::Refused);
        }
        users::flow::note_unproven_use(conn, user_id).await?;
    }
    Ok(user)
}

/// Decides what a first factor leads to, in the caller's transaction: a session, or the way to the second factor.
///
/// Whether one is due is read behind the lock on the user's row, which whoever adds or removes a factor takes too.
pub async fn finish(
    conn: &mut Conn,
    settings: &Settings,
    proof: &Proof,
    wish: Wish,
    client: &Client,
) -> Result<Outcome, Error> {
    let user = admit(conn, settings, proof.user_id).await?;
    if proof.multi_factor {
        let methods = vec![proof.amr.to_owned(), "mfa".to_owned()];
        let signed_in = mint(conn, settings, user, 2, methods, wish, client).await?;
        return Ok(Outcome::SignedIn(Box::new(signed_in)));
    }
    if let Some(due) = attempts::due(conn, settings, proof.user_id).await? {
        let attempt = attempts::begin(conn, proof.user_id, proof.amr, wish, due).await?;
        let event = Event::new("sign_in.factor_due", Actor::User(proof.user_id))
            .from(client)
            .details(serde_json::json!({ "amr": [proof.amr], "factors": attempt.factors }));
        audit::record(conn, event).await?;
        return Ok(Outcome::FactorDue(attempt));
    }
    let signed_in = mint(conn, settings, user, 1, vec![proof.amr.to_owned()], wish, client).await?;
    Ok(Outcome::SignedIn(Box::new(signed_in)))
}

/// Mints the session of somebody who was admitted, with audit, in the caller's transaction.
pub(super) async fn mint(
    conn: &mut Conn,
    settings: &Settings,
    user: User,
    aal: i16,
    amr: Vec<String>,
    wish: Wish,
    client: &Client,
) -> Result<SignedIn, Error> {
    let family = wish.refresh_token.then(RefreshFamilyId::new);
    let new = NewSession {
        user_id: user.id,
        aal,
        amr,
        idle: settings.sessions.idle(),
        absolute: settings.sessions.absolute(),
        impersonator: None,
        family,
        inherited: None,
        limits: store::member_limits(conn, user.id).await?,
    };
    let (session, token) = sessions::flow::create(conn, &new, &Token::mint(), client).await?;
    let event = Event::new("session.created", Actor::User(user.id))
        .session(session.id)
        .from(client)
        .details(serde_json::json!({ "amr": session.amr, "aal": session.aal }));
    audit::record(conn, event).await?;
    let refresh_token = match family {
        Some(family) => Some(refresh::flow::begin(conn, settings, &session, family, client).await?),
        None => None,
    };
    let device = Some(Device::draw(conn, user.id).await?);
    Ok(SignedIn { session, token, user, refresh_token, device })
}

/// Counts a credential that the owner of a live session has just presented again. A passkey is a further factor; a
/// password or something mailed makes a session fresh, not stronger.
pub async fn step_up(
    conn: &mut Conn,
    live: &Live,
    amr: &'static str,
    client: &Client,
) -> Result<Elevated, Error> {
    if matches!(amr, "swk" | "hwk") {
        return step_up_second(conn, live, amr, client).await;
    }
    elevate(conn, live, false, &[amr], client).await
}

/// Counts a second factor that the owner of a live session has just presented: the session has two from now on.
pub async fn step_up_second(
    conn: &mut Conn,
    live: &Live,
    amr: &'static str,
    client: &Client,
) -> Result<Elevated, Error> {
    elevate(conn, live, true, &[amr, "mfa"], client).await
}

async fn elevate(
    conn: &mut Conn,
    live: &Live,
    second: bool,
    amr: &[&'static str],
    client: &Client,
) -> Result<Elevated, Error> {
    let user_id = live.user.id;
    match users::flow::lock_standing(conn, user_id).await? {
        Some(Standing::Good) => {}
        Some(Standing::Banned) | None => return Err(Error::Refused),
    }
    let elevated = sessions::flow::elevate(conn, live, second, amr).await.map_err(|error| match error {
        sessions::flow::Error::Invalid => Error::Refused,
        sessions::flow::Error::Database(error) => Error::Database(error),
        sessions::flow::Error::Lookup(error) => Error::Database(error.into()),
    })?;
    let event = Event::new("session.verified", Actor::User(user_id))
        .session(live.session.id)
        .from(client)
        .details(serde_json::json!({ "amr": amr }));
    audit::record(conn, event).await?;
    Ok(elevated)
}

/// How long somebody may act as a user.
const IMPERSONATION_LIFE: Duration = Duration::from_hours(1);

/// Lets the operator act as a user: a short session marked with who acts, never renewed. In the caller's
/// transaction.
pub async fn impersonate(
    conn: &mut Conn,
    user_id: UserId,
    impersonator: &str,
    client: &Client,
) -> Result<SignedIn, Error> {
    let user = users::flow::find(conn, user_id).await?.ok_or(Error::Refused)?;
    let new = NewSession {
        user_id,
        aal: 1,
        amr: Vec::new(),
        idle: IMPERSONATION_LIFE,
        absolute: IMPERSONATION_LIFE,
        impersonator: Some(impersonator.to_owned()),
        family: None,
        inherited: None,
        limits: MemberLimits::default(),
    };
    let (session, token) = sessions::flow::create(conn, &new, &Token::mint(), client).await?;
    let event = Event::new("user.impersonated", Actor::Admin)
        .on(user_id)
        .session(session.id)
        .from(client)
        .details(serde_json::json!({ "impersonator": impersonator }));
    audit::record(conn, event).await?;
    Ok(SignedIn { session, token, user, refresh_token: None, device: None })
}
