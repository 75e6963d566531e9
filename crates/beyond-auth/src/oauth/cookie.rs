//! The browser's half of a flow: one cookie for each, so that two tabs do not disturb each other, and never many.

use axum_extra::extract::cookie::{Cookie, SameSite};
use http::HeaderMap;
use http::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::kinds::ResponseMode;
use crate::app::App;
use crate::platform::crypto::token::{OAuthBrowser, Token};
use crate::platform::http::{Problem, credentials};
use crate::platform::ids::OAuthFlowId;

/// As long as the flow itself.
const LIFE: time::Duration = time::Duration::minutes(10);
/// Flows that one browser may have under way; the oldest give way.
const MOST: usize = 5;

/// Names begin like this. An answer that is posted from the provider's page comes with a cookie of its own, as it needs
/// a laxer one.
fn prefix(app: &App, mode: ResponseMode) -> String {
    // See the session cookie for the prefix.
    let host = if app.config.public_url.scheme() == "https" { "__Host-" } else { "" };
    match mode {
        ResponseMode::Query => format!("{host}beyond_oauth_"),
        ResponseMode::FormPost => format!("{host}beyond_oauthpost_"),
    }
}

fn name(app: &App, mode: ResponseMode, id: OAuthFlowId) -> String {
    // The random end of the id: enough to tell a few apart.
    let id = id.as_uuid().simple().to_string();
    format!("{}{}", prefix(app, mode), &id[20..])
}

fn build(
    app: &App,
    mode: ResponseMode,
    name: String,
    value: String,
    life: time::Duration,
) -> Option<HeaderValue> {
    let secure = app.config.public_url.scheme() == "https";
    let same_site = match mode {
        ResponseMode::FormPost if secure => SameSite::None,
        _ => SameSite::Lax,
    };
    let cookie = Cookie::build((name, value))
        .path("/")
        .http_only(true)
        .secure(secure)
        .same_site(same_site)
        .max_age(life)
        .build();
    HeaderValue::from_str(&cookie.to_string()).ok()
}

/// The `Set-Cookie` values that bind a flow to the browser, and make room where it has too many.
pub fn set(
    app: &App,
    headers: &HeaderMap,
    mode: ResponseMode,
    id: OAuthFlowId,
    browser: &SecretString,
) -> Vec<HeaderValue> {
    let mut there: Vec<(Option<Uuid>, String)> = credentials::cookies_like(headers, &prefix(app, mode))
        .into_iter()
        .map(|(name, value)| {
            let token = Token::<OAuthBrowser>::parse(value.expose_secret()).ok();
            (token.map(|token| token.id()), name)
        })
        .collect();
    // Ids sort by time; what is no id at all goes first.
    there.sort();
    let surplus = (there.len() + 1).saturating_sub(MOST);
    let old = there.into_iter().take(surplus);
    let cleared = old.filter_map(|(_, name)| build(app, mode, name, String::new(), time::Duration::ZERO));
    let new = build(app, mode, name(app, mode, id), browser.expose_secret().to_owned(), LIFE);
    cleared.chain(new).collect()
}

/// The browser's half of a flow, if it is there.
pub fn read(
    app: &App,
    headers: &HeaderMap,
    mode: ResponseMode,
    id: OAuthFlowId,
) -> Result<Option<SecretString>, Problem> {
    credentials::cookie(headers, &name(app, mode, id))
}

/// The `Set-Cookie` value that ends it.
pub fn clear(app: &App, mode: ResponseMode, id: OAuthFlowId) -> Option<HeaderValue> {
    build(app, mode, name(app, mode, id), String::new(), time::Duration::ZERO)
}
