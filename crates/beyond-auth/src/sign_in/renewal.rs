//! Renewing a session with a refresh token.

use http::StatusCode;
use http::header::{self, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

use super::flow::admit;
use super::model::{self, SignedIn};
use super::store;
use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::orgs;
use crate::platform::crypto::token::{Refresh, Token};
use crate::platform::db::Conn;
use crate::platform::http::{Client, Problem};
use crate::refresh::model::{Holder, Repetition, Successor};
use crate::refresh::{self, Redeemed};
use crate::sessions::model::Inherited;
use crate::sessions::{self, NewSession, Session};
use crate::settings::{self, Settings};

/// Why nothing was renewed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Malformed, unknown, expired, revoked, used before, or its owner may not come in: one answer for all.
    #[error("the refresh token is not valid")]
    Invalid,
    /// The first use was answered by an instance whose key-encryption key this one does not have.
    #[error("the successor was derived under another key-encryption key")]
    Underivable,
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Exchanges a refresh token for its successor and a new session. The session that it replaces lives on for the
/// grace, so that requests under way do not fail.
pub async fn renew(app: &App, presented: &SecretString, client: &Client) -> Result<SignedIn, Error> {
    let token: Token<Refresh> = Token::parse(presented.expose_secret()).map_err(|_| Error::Invalid)?;
    let mut tx = app.db.begin("sign_in.renew").await?;
    let holder = refresh::flow::holder(&mut tx, &token).await?.ok_or(Error::Invalid)?;
    let settings = settings::load(&mut tx).await?;
    let user = match admit(&mut tx, &settings, holder.user_id).await {
        Ok(user) => user,
        Err(model::Error::Database(error)) => return Err(error.into()),
        Err(_) => return Err(Error::Invalid),
    };
    let (session, token, issued) =
        match refresh::flow::redeem(&mut tx, &app.keyring, &settings, holder, &token).await? {
            Redeemed::Rotated(successor) => rotate(&mut tx, &settings, holder, *successor, client).await?,
            Redeemed::Repeated(repetition) => repeat(&mut tx, repetition).await?,
            Redeemed::Reused => {
                let event = Event::new("refresh_token.reused", Actor::System)
                    .on(holder.user_id)
                    .from(client)
                    .details(serde_json::json!({ "family_id": holder.family_id }));
                audit::record(&mut tx, event).await?;
                tx.commit().await?;
                return Err(Error::Invalid);
            }
            Redeemed::Invalid => return Err(Error::Invalid),
            Redeemed::Underivable => return Err(Error::Underivable),
        };
    tx.commit().await?;
    Ok(SignedIn { session, token, user, refresh_token: Some(issued), device: None })
}

type Renewed = (Session, SecretString, refresh::Issued);

async fn rotate(
    conn: &mut Conn,
    settings: &Settings,
    holder: Holder,
    successor: Successor,
    client: &Client,
) -> Result<Renewed, Error> {
    let proven = successor.proven;
    let user = holder.user_id;
    let organization_id = match successor.organization_id {
        Some(id) => orgs::active::carried_over(conn, user, id, proven.aal, &proven.amr).await?,
        None => None,
    };
    let new = NewSession {
        user_id: user,
        aal: proven.aal,
        amr: proven.amr,
        idle: settings.sessions.idle(),
        absolute: settings.sessions.absolute(),
        impersonator: None,
        family: Some(holder.family_id),
        inherited: Some(Inherited {
            verified_at: proven.verified_at,
            second_verified_at: proven.second_verified_at,
            label: successor.label,
            organization_id,
            ends_by: successor.issued.expires_at,
        }),
        limits: store::member_limits(conn, user).await?,
    };
    let idle = new.limits.idle;
    let (session, token) = sessions::flow::create(conn, &new, &successor.session_token, client).await?;
    // After the new one was made, which holds the membership that it acts by: whoever ends memberships takes the member
    // first and the sessions then.
    if let Some(replaced) = successor.replaced {
        sessions::flow::shorten(conn, replaced, settings.refresh_tokens.grace()).await?;
    }
    // An organization of the user asks for a credential now and then, and renewing presents none.
    if session.expires_at <= session.created_at {
        return Err(Error::Invalid);
    }
    // Or that whoever was away for so long signs in again: renewing must not bring back what has idled out.
    let away = (session.created_at - successor.last_used_at).to_std().unwrap_or_default();
    if idle.is_some_and(|idle| away > idle) {
        return Err(Error::Invalid);
    }
    let event = Event::new("refresh_token.rotated", Actor::User(user))
        .session(session.id)
        .from(client)
        .details(serde_json::json!({ "family_id": holder.family_id }));
    audit::record(conn, event).await?;
    Ok((session, token, successor.issued))
}

/// The session of the first answer may have been ended or stepped up since; then it is not handed out again.
async fn repeat(conn: &mut Conn, repetition: Repetition) -> Result<Renewed, Error> {
    let found = sessions::flow::find_again(conn, repetition.session_id, &repetition.session_tokens).await?;
    let (session, token) = found.ok_or(Error::Invalid)?;
    Ok((session, token, repetition.issued))
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid => Self::new(
                StatusCode::UNAUTHORIZED,
                "invalid_refresh_token",
                "The refresh token is not valid: it may have expired, been revoked or been used before. Sign in \
                 again.",
            )
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\"")),
            // Another instance can answer the retry.
            Error::Underivable => Self::unavailable(1),
            Error::Database(error) => error.into(),
        }
    }
}
