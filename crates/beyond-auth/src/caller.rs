//! Callers of routes that are not for people: the operator, and servers that the operator trusts.

use std::fmt;
use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use http::header::{self, HeaderValue};
use http::{StatusCode, request};
use secrecy::{ExposeSecret as _, SecretString};

use crate::api_keys::{self, Owner, Scope};
use crate::app::App;
use crate::platform::crypto::token::{self, Kind as _, prefix_of};
use crate::platform::http::Problem;
use crate::platform::http::credentials::{self, Credential};

/// The caller presented the admin secret. Cookies never count here.
#[derive(Clone, Copy, Debug)]
pub struct Admin;

impl FromRequestParts<App> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, app: &App) -> Result<Self, Problem> {
        let secret = bearer(parts, app, "This call needs the admin secret: `Authorization: Bearer …`.")?;
        if app.config.admin_secrets.matches(secret.expose_secret()) {
            Ok(Self)
        } else {
            Err(invalid("The credential is not the admin secret of this deployment."))
        }
    }
}

/// What a call takes of a key. One type a scope, so that a handler's signature says which.
pub trait Takes: Send + Sync + 'static {
    /// The scope.
    const SCOPE: Scope;
}

macro_rules! takes {
    ($($(#[$doc:meta])* $name:ident = $scope:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}

        impl Takes for $name {
            const SCOPE: Scope = Scope::$scope;
        }
    )+};
}

takes! {
    /// Asking about session tokens.
    IntrospectSessions = SessionsIntrospect;
    /// Asking about API keys.
    IntrospectApiKeys = ApiKeysIntrospect;
    /// Reading the feed of revocations.
    ReadRevocations = RevocationsRead;
}

/// The caller is a server of the operator's: it presented the admin secret, or a key of the project that has the scope.
/// Cookies never count here, so a key in one does not either.
pub struct Server<T>(PhantomData<fn() -> T>);

impl<T> fmt::Debug for Server<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Server")
    }
}

impl<T: Takes> FromRequestParts<App> for Server<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, app: &App) -> Result<Self, Problem> {
        let needs = "This call needs the admin secret or an API key: `Authorization: Bearer …`.";
        let secret = bearer(parts, app, needs)?;
        if app.config.admin_secrets.matches(secret.expose_secret()) {
            return Ok(Self(PhantomData));
        }
        if prefix_of(secret.expose_secret()) != Some(token::ApiKey::PREFIX) {
            return Err(invalid(
                "The credential is neither the admin secret of this deployment nor an API key.",
            ));
        }
        let key = api_keys::flow::verify(app, &secret).await?;
        // Nobody can give such a scope to a key that is a user's or an organization's; and if it has one, it is worth
        // nothing.
        if key.owner == Owner::Project && key.scopes.holds(T::SCOPE) {
            Ok(Self(PhantomData))
        } else {
            Err(insufficient_scope(T::SCOPE))
        }
    }
}

fn bearer(parts: &request::Parts, app: &App, needs: &'static str) -> Result<SecretString, Problem> {
    let cookie_name = credentials::session_cookie_name(&app.config.public_url);
    match credentials::read(&parts.headers, cookie_name)? {
        Credential::Bearer(secret) => Ok(secret),
        Credential::Cookie(_) | Credential::None => {
            Err(Problem::unauthenticated("missing_credentials", needs))
        }
    }
}

fn invalid(detail: &'static str) -> Problem {
    Problem::unauthenticated("invalid_token", detail)
}

/// RFC 6750 section 3.1.
fn insufficient_scope(scope: Scope) -> Problem {
    let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", scope.name());
    let problem = Problem::new(
        StatusCode::FORBIDDEN,
        "insufficient_scope",
        "The API key does not have the scope that this call takes.",
    )
    .with_member("scope", scope.name());
    match HeaderValue::from_str(&challenge) {
        Ok(value) => problem.with_header(header::WWW_AUTHENTICATE, value),
        Err(_) => problem,
    }
}
