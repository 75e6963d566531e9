//! The session token in a browser's cookie: out of reach of the page's scripts.

use axum::response::Response;
use axum_extra::extract::cookie::{Cookie, SameSite};
use chrono::Utc;
use http::HeaderMap;
use http::header::{self, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

use super::model::Session;
use crate::app::App;
use crate::platform::http::credentials::{self, Credential};

/// The `Set-Cookie` value that carries a token for as long as its session can live.
pub fn header(app: &App, session: &Session, token: &SecretString) -> Option<HeaderValue> {
    let life = (session.expires_at - Utc::now()).num_seconds().max(0);
    write(app, token.expose_secret().to_owned(), life)
}

/// Whether the request presented its token by cookie.
pub fn carries(app: &App, headers: &HeaderMap) -> bool {
    let name = credentials::session_cookie_name(&app.config.public_url);
    matches!(credentials::read(headers, name), Ok(Credential::Cookie(_)))
}

/// Takes the cookie back, where the request came with one.
pub fn clear(app: &App, headers: &HeaderMap, response: &mut Response) {
    if carries(app, headers)
        && let Some(value) = write(app, String::new(), 0)
    {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

fn write(app: &App, value: String, life: i64) -> Option<HeaderValue> {
    let cookie = Cookie::build((credentials::session_cookie_name(&app.config.public_url), value))
        .path("/")
        .http_only(true)
        .secure(app.config.public_url.scheme() == "https")
        .same_site(SameSite::Lax)
        .max_age(time::Duration::seconds(life))
        .build();
    HeaderValue::from_str(&cookie.to_string()).ok()
}
