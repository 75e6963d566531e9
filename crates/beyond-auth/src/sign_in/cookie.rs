//! The cookie by which an account knows a browser again.

use axum_extra::extract::cookie::{Cookie, SameSite};
use http::HeaderValue;
use secrecy::ExposeSecret as _;

use super::devices::Device;
use crate::app::App;
use crate::platform::http::credentials;

/// The `Set-Cookie` value for a device that has just been signed in from. It stays for a year, signing out or not.
pub fn header(app: &App, device: &Device) -> Option<HeaderValue> {
    let value = device.seal(&app.keyring).expose_secret().to_owned();
    let cookie = Cookie::build((credentials::device_cookie_name(&app.config.public_url), value))
        .path("/")
        .http_only(true)
        .secure(app.config.public_url.scheme() == "https")
        .same_site(SameSite::Lax)
        .max_age(time::Duration::days(365))
        .build();
    HeaderValue::from_str(&cookie.to_string()).ok()
}
