//! Extractors that say in a handler's signature who may call it.

use std::fmt::Write as _;

use axum::extract::FromRequestParts;
use http::header::{self, HeaderValue};
use http::{Method, StatusCode, request};
use secrecy::SecretString;

use super::flow::{self, Error};
use super::model::{Live, Stale};
use crate::app::App;
use crate::platform::http::Problem;
use crate::platform::http::credentials::{self, Credential};
use crate::settings;

/// The caller is signed in.
#[derive(Clone, Debug)]
pub struct CurrentSession(pub Live);

/// The caller is signed in, in person, and presented a credential lately (10 minutes unless set otherwise).
///
/// For what takes the second factor in the request itself; all else is for a [`FreshSession`].
#[derive(Clone, Debug)]
pub struct RecentSession(pub Live);

/// The same, and the credential was the second factor where the account has one.
#[derive(Clone, Debug)]
pub struct FreshSession(pub Live);

impl FromRequestParts<App> for CurrentSession {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, app: &App) -> Result<Self, Problem> {
        let token = presented(parts, app).await?;
        flow::verify(app, &token).await.map(Self).map_err(Problem::from)
    }
}

impl FromRequestParts<App> for RecentSession {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, app: &App) -> Result<Self, Problem> {
        recently(parts, app, false).await.map(Self)
    }
}

impl FromRequestParts<App> for FreshSession {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, app: &App) -> Result<Self, Problem> {
        recently(parts, app, true).await.map(Self)
    }
}

async fn recently(parts: &mut request::Parts, app: &App, second: bool) -> Result<Live, Problem> {
    let CurrentSession(live) = CurrentSession::from_request_parts(parts, app).await?;
    in_person(&live)?;
    let mut conn = app.db.acquire().await?;
    let settings = settings::load(&mut conn).await?;
    if second {
        let stale = flow::stale(&mut conn, &settings, &live).await?;
        return stale.map_or(Ok(live), |stale| Err(stale.into()));
    }
    let fresh = settings.sessions.fresh();
    if flow::is_fresh(&live, fresh) { Ok(live) } else { Err(step_up(fresh.as_secs())) }
}

impl From<Stale> for Problem {
    fn from(stale: Stale) -> Self {
        match stale {
            Stale::Credential(max_age) => step_up(max_age),
            Stale::SecondFactor(max_age) => second_factor_due(Some(max_age)),
        }
    }
}

/// Only the user in person may go on: somebody who acts as the user began with the operator's credential, not with one
/// of the person's.
pub fn in_person(live: &Live) -> Result<(), Problem> {
    if live.session.impersonator.is_none() { Ok(()) } else { Err(impersonated()) }
}

/// The answer to whoever acts as the user where the user in person is asked for.
pub fn impersonated() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "impersonated_session",
        "Only the user in person may do this, not somebody who acts as the user.",
    )
}

/// The token that the request carries; cookies count for writes only from our own pages and those of origins that
/// the project allows.
async fn presented(parts: &request::Parts, app: &App) -> Result<SecretString, Problem> {
    let cookie_name = credentials::session_cookie_name(&app.config.public_url);
    match credentials::read(&parts.headers, cookie_name)? {
        Credential::Bearer(token) => Ok(token),
        Credential::Cookie(token) => {
            let reads = matches!(parts.method, Method::GET | Method::HEAD);
            // Boxed: the rare query would be moved about with every verification.
            if reads || Box::pin(settings::flow::may_write(app, &parts.headers)).await? {
                Ok(token)
            } else {
                Err(Problem::new(
                    StatusCode::FORBIDDEN,
                    "origin_not_allowed",
                    "A write with the session cookie needs an allowed `Origin`.",
                ))
            }
        }
        Credential::None => Err(Problem::unauthenticated(
            "missing_credentials",
            "This call needs a session: `Authorization: Bearer session_…`.",
        )),
    }
}

/// The step-up demand of RFC 9470 §3.
pub fn step_up(max_age: u64) -> Problem {
    let asked =
        format!("error_description=\"A more recent authentication is required\", max_age=\"{max_age}\"");
    demand(&asked, "Present a credential again, then repeat the call.", "aal1")
        .with_member("max_age", max_age)
}

/// The demand for a second factor, where the session has not shown one lately; `max_age` in seconds.
pub fn second_factor_due(max_age: Option<u64>) -> Problem {
    let mut asked = "error_description=\"A second factor is required\", acr_values=\"aal2\"".to_owned();
    if let Some(max_age) = max_age {
        let _ = write!(asked, ", max_age=\"{max_age}\"");
    }
    let problem = demand(&asked, "Present a second factor, then repeat the call.", "aal2");
    match max_age {
        Some(max_age) => problem.with_member("max_age", max_age),
        None => problem,
    }
}

fn demand(asked: &str, detail: &'static str, acr: &'static str) -> Problem {
    let challenge = format!("Bearer error=\"insufficient_user_authentication\", {asked}");
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "insufficient_user_authentication", detail)
        .with_member("acr_values", acr);
    match HeaderValue::from_str(&challenge) {
        Ok(value) => problem.with_header(header::WWW_AUTHENTICATE, value),
        Err(_) => problem,
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid => Self::unauthenticated(
                "invalid_token",
                "The session token is not valid: it may have expired or been revoked.",
            ),
            Error::Database(error) => error.into(),
            Error::Lookup(error) => error.into(),
        }
    }
}
