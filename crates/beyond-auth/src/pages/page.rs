//! A page as it is sent: in the person's language, with the project's name, logo and ways in.

use std::sync::LazyLock;

use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{MethodRouter, get};
use http::header::{self, HeaderMap, HeaderValue};
use http::{StatusCode, Uri};
use minijinja::value::{Serde, Value};
use minijinja::{Environment, context};
use url::Url;

use super::return_to::{carry, return_to};
use super::{PAGE_POLICY, packed_html, template, texts};
use crate::app::App;
use crate::door::routes::client_config::ClientConfigResponse;
use crate::platform::http::Client;
use crate::sessions::cookie;
use crate::settings::Settings;

/// A page with a template of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    /// Where it is.
    pub(super) path: &'static str,
    /// Name of template, script and texts.
    name: &'static str,
    /// Whether it is there for people who are signed in alone.
    signed_in: bool,
}

const fn page(path: &'static str, name: &'static str) -> Page {
    Page { path, name, signed_in: false }
}

/// Every page.
pub(super) static PAGES: &[Page] = &[
    page("/auth/sign-in", "sign_in"),
    page("/auth/sign-up", "sign_up"),
    page("/auth/sign-out", "sign_out"),
    page("/auth/verify-email", "verify_email"),
    page("/auth/magic-link", "magic_link"),
    page("/auth/forgot-password", "forgot_password"),
    page("/auth/reset-password", "reset_password"),
    page("/auth/invitation", "invitation"),
    Page { signed_in: true, ..page("/auth/account", "account") },
];

macro_rules! templates {
    ($($name:literal)+) => {
        [$(($name, template!($name))),+]
    };
}

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    // A missing text is a mistake of ours; tests render every page.
    templates.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    for (name, source) in templates! {
        "layout.html" "providers.html" "second_factor.html" "sign_in.html" "sign_up.html" "sign_out.html" "verify_email.html"
        "magic_link.html" "forgot_password.html" "reset_password.html" "invitation.html" "account.html" "unavailable.html"
    } {
        if let Err(error) = templates.add_template(name, source) {
            tracing::error!(name, %error, "a page is broken");
        }
    }
    templates
});

impl Page {
    /// The route of the page: GET and HEAD, which change nothing.
    pub(super) fn route(&'static self) -> MethodRouter<App> {
        get(async |State(app): State<App>, client: Client, headers: HeaderMap, uri: Uri| {
            self.show(&app, &client, &headers, uri.query()).await
        })
    }

    async fn show(&self, app: &App, client: &Client, headers: &HeaderMap, query: Option<&str>) -> Response {
        let Ok(config) = load(app).await else { return unavailable(headers, client) };
        let target = return_to(query, &config.allowed_origins);
        let cookie = cookie::carries(app, headers);
        if self.signed_in && !cookie {
            return Redirect::to("/auth/sign-in").into_response();
        }
        let file = format!("{}.html", self.name);
        let mut response = render(&file, self.name, headers, client, &config, target.as_ref(), cookie);
        if let Some(policy) = policy(&config) {
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }
}

/// What `GET /v1/client-config` tells: pages know no more than an application's own would.
async fn load(app: &App) -> Result<ClientConfigResponse, sqlx::Error> {
    ClientConfigResponse::load(app)
        .await
        .inspect_err(|error| tracing::warn!(%error, "a page was asked for and the settings cannot be read"))
}

/// Says so instead of showing ways in that may be switched off.
fn unavailable(headers: &HeaderMap, client: &Client) -> Response {
    let config = ClientConfigResponse::new(Settings::default(), Vec::new());
    let mut response = render("unavailable.html", "unavailable", headers, client, &config, None, false);
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

fn render(
    file: &str,
    name: &str,
    headers: &HeaderMap,
    client: &Client,
    config: &ClientConfigResponse,
    target: Option<&Url>,
    cookie: bool,
) -> Response {
    let texts = texts::of(client.language.as_deref());
    let context = context! {
        page => name, lang => texts.language, t => texts.texts.clone(),
        config => Value::from(Serde(config)),
        config_json => attribute(&serde_json::to_string(config).unwrap_or_default()),
        return_to => target.map_or("", Url::as_str), carry => carry(target), cookie,
    };
    match TEMPLATES.get_template(file).and_then(|template| template.render(context)) {
        Ok(page) => packed_html(headers, page),
        Err(error) => {
            tracing::error!(name, %error, "a page failed");
            crate::platform::http::Problem::internal().into_response()
        }
    }
}

/// JSON as the value of an attribute in single quotes. Escaped as text is, each of its many double quotes would be six
/// characters.
fn attribute(json: &str) -> Value {
    Value::from_safe_string(json.replace('&', "&amp;").replace('\'', "&#39;").replace('<', "&lt;"))
}

/// The policy of all pages, with the place of the project's logo in it: nothing else may come from there.
fn policy(config: &ClientConfigResponse) -> Option<HeaderValue> {
    let logo = Url::parse(config.branding.logo_url.as_deref()?).ok()?.origin();
    let images = format!("img-src 'self' data: {};", logo.ascii_serialization());
    HeaderValue::from_str(&PAGE_POLICY.replace("img-src 'self' data:;", &images)).ok()
}
