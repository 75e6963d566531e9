//! Pages for people, embedded in the binary: landing pages of mailed links, the browser of the contract.
//!
//! Invariants: no page redeems anything by GET; no asset comes from elsewhere; scripts and styles are the page's
//! own, named in its Content-Security-Policy; pages use only the public API.

mod asset;
pub mod contract;

use axum::Router;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use http::header::{self, HeaderValue};

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

/// What the pages load.
static ASSETS: &[(&str, Asset)] = &[
    ("/auth/assets/page.css", Asset::new(STYLE, template!("page.css"))),
    ("/auth/assets/verify_email.js", Asset::new(SCRIPT, template!("verify_email.js"))),
    ("/auth/assets/contract.css", Asset::new(STYLE, template!("contract.css"))),
    ("/auth/assets/contract.js", Asset::new(SCRIPT, template!("contract.js"))),
    ("/auth/assets/schema.js", Asset::new(SCRIPT, template!("schema.js"))),
];

/// The pages and their assets.
pub fn router() -> Router<App> {
    let pages = Router::new()
        .route("/auth/verify-email", get(async || page(template!("verify_email.html"))))
        .route("/v1/docs", get(async || page(template!("contract.html"))))
        // https://w3c.github.io/webappsec-change-password-url/: where password managers send people.
        .route("/.well-known/change-password", get(async || Redirect::to(ACCOUNT_PAGE)));
    ASSETS
        .iter()
        .fold(pages, |router, (path, asset)| router.route(path, get(async |headers| asset.serve(&headers))))
}

/// A page: never kept anywhere, because what stands in its address may be secret.
fn page(body: &'static str) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
