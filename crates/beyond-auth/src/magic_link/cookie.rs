//! The secret of a request in a browser's cookie: a code works in the browser that asked, and its page's scripts need
//! not keep anything.

use axum_extra::extract::cookie::{Cookie, SameSite};
use http::HeaderMap;
use http::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

use crate::app::App;
use crate::platform::http::{Problem, credentials};

/// As long as the code can be valid.
const LIFE: time::Duration = time::Duration::minutes(15);

fn name(app: &App) -> &'static str {
    // See the session cookie for the prefix.
    if app.config.public_url.scheme() == "https" { "__Host-beyond_sign_in" } else { "beyond_sign_in" }
}

/// The `Set-Cookie` value that carries the secret of a request.
pub fn header(app: &App, request_token: &SecretString) -> Option<HeaderValue> {
    let cookie = Cookie::build((name(app), request_token.expose_secret().to_owned()))
        .path("/")
        .http_only(true)
        .secure(app.config.public_url.scheme() == "https")
        .same_site(SameSite::Strict)
        .max_age(LIFE)
        .build();
    HeaderValue::from_str(&cookie.to_string()).ok()
}

/// The secret that the browser kept, if any.
pub fn read(app: &App, headers: &HeaderMap) -> Result<Option<SecretString>, Problem> {
    credentials::cookie(headers, name(app))
}
