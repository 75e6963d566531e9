//! Callers of routes that are not for people: the operator, and servers that the operator trusts.

use axum::extract::FromRequestParts;
use http::request;
use secrecy::ExposeSecret as _;

use crate::app::App;
use crate::platform::http::Problem;
use crate::platform::http::credentials::{self, Credential};

/// The caller presented the admin secret. Cookies never count here.
#[derive(Clone, Copy, Debug)]
pub struct Admin;

impl FromRequestParts<App> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, app: &App) -> Result<Self, Problem> {
        let cookie_name = credentials::session_cookie_name(&app.config.public_url);
        match credentials::read(&parts.headers, cookie_name)? {
            Credential::Bearer(secret) if app.config.admin_secrets.matches(secret.expose_secret()) => {
                Ok(Self)
            }
            Credential::Bearer(_) => Err(Problem::unauthenticated(
                "invalid_token",
                "The credential is not the admin secret of this deployment.",
            )),
            Credential::Cookie(_) | Credential::None => Err(Problem::unauthenticated(
                "missing_credentials",
                "This call needs the admin secret: `Authorization: Bearer …`.",
            )),
        }
    }
}

/// The caller is a server of the operator's: it presented the admin secret.
#[derive(Clone, Copy, Debug)]
pub struct Server;

impl FromRequestParts<App> for Server {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, app: &App) -> Result<Self, Problem> {
        Admin::from_request_parts(parts, app).await.map(|Admin| Self)
    }
}
