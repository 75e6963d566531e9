//! Pages for people, embedded in the binary: signing up and in, the account, landing pages of mailed links, the
//! browser of the contract.
//!
//! Invariants: no page redeems anything by GET; no asset comes from elsewhere; scripts and styles are the page's
//! own, named in its Content-Security-Policy; pages act through the public API alone; whoever is done is sent to an
//! origin that the operator listed, or stays.

mod asset;
mod colours;
pub mod contract;
mod page;
mod return_to;
mod texts;

use std::sync::LazyLock;

use axum::Router;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use http::header::{self, HeaderMap, HeaderValue};

use self::asset::Asset;
use crate::app::App;

/// Own script and style only; no framing, no forms elsewhere.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Where a signed-in person changes the password, among other things.
const ACCOUNT_PAGE: &str = "/auth/account";

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

macro_rules! template {
    ($name:literal) => {
        include_str!(concat!("../../templates/pages/", $name))
    };
}
use template;

macro_rules! assets {
    ($($kind:ident: $($name:literal)+;)+) => {
        [$($((concat!("/auth/assets/", $name), Asset::new($kind, template!($name)))),+),+].into()
    };
}

/// What the pages load.
static ASSETS: LazyLock<Vec<(&str, Asset)>> = LazyLock::new(|| {
    assets! {
        STYLE: "page.css" "account.css" "contract.css";
        SCRIPT: "api.js" "ui.js" "texts.en.js" "texts.de.js" "webauthn.js" "second_factor.js" "password.js"
            "sign_in.js" "provider.js" "sign_up.js" "sign_out.js" "verify_email.js" "magic_link.js" "forgot_password.js"
            "reset_password.js" "invitation.js" "account.js" "account_identities.js" "account_ui.js" "account_emails.js"
            "account_factors.js" "account_devices.js" "account_organizations.js" "step_up.js" "contract.js" "schema.js";
    }
});

/// The pages and their assets.
pub fn router() -> Router<App> {
    let pages = Router::new()
        .route("/v1/docs", get(async || html(template!("contract.html"))))
        .route("/auth/assets/brand.css", get(colours::serve))
        // Part of signing in: whoever comes here by an address has no attempt to finish.
        .route("/auth/second-factor", get(async || Redirect::to("/auth/sign-in")))
        // https://w3c.github.io/webappsec-change-password-url/: where password managers send people.
        .route("/.well-known/change-password", get(async || Redirect::to(ACCOUNT_PAGE)));
    let pages = page::PAGES.iter().fold(pages, |router, page| router.route(page.path, page.route()));
    ASSETS
        .iter()
        .fold(pages, |router, (path, asset)| router.route(path, get(async |headers| asset.serve(&headers))))
}

/// A page as small as the browser takes it. What came with the request stands in it, and nothing that is secret: its length
/// tells nothing.
fn packed_html(request: &HeaderMap, page: String) -> Response {
    let packed = if asset::takes_gzip(request) { asset::pack(&page) } else { None };
    let mut response = match packed {
        Some(packed) => {
            let mut response = html(packed);
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response
        }
        None => html(page),
    };
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}

/// A page: never kept anywhere, because what stands in its address may be secret.
fn html(body: impl Into<axum::body::Body>) -> Response {
    let mut response = body.into().into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
