//! A browser on its way to a provider and back.

use std::collections::HashMap;
use std::sync::Arc;

use beyond_auth::platform::config::{Origin, OutboundRule};
use beyond_auth::platform::crypto::pkce::Challenge;
use http::Method;
use serde_json::{Value, json};
use url::Url;

use super::app::config;
use super::client::{Answer, Http};
use super::idp::Idp;
use super::{TestApp, database};

/// Where the application is.
pub const HOME: &str = "https://app.example/welcome";
/// What the application keeps.
pub const VERIFIER: &str = "the-applications-own-verifier-of-43-or-more-characters";

/// An instance that may call a provider on this machine.
pub async fn app() -> TestApp {
    let database = Arc::new(database().await);
    let mut config = config(&database);
    config.outbound_allow = vec![OutboundRule::parse("127.0.0.1").unwrap()];
    config.oauth_allowed_redirect_origins = vec![Origin::parse("https://app.example").unwrap()];
    TestApp::with(database, config).await
}

/// An instance and a provider that it knows as `acme`.
pub async fn world() -> (TestApp, Idp) {
    let (app, idp) = (app().await, Idp::start().await);
    describe(&app, idp.description("acme")).await.expect(200);
    (app, idp)
}

/// Describes a provider.
pub async fn describe(app: &TestApp, description: Value) -> Answer {
    app.admin.put("/v1/admin/oauth-providers", description).await
}

/// A browser that has been sent to a provider.
pub struct Trip {
    pub http: Http,
    /// Where it was sent.
    pub location: String,
    /// What it keeps.
    pub cookie: String,
}

/// The path that sends a browser to a provider.
pub fn authorize(provider: &str, redirect_to: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("redirect_to", redirect_to)
        .append_pair("code_challenge", &Challenge::of(VERIFIER).text())
        .append_pair("state", "the application's")
        .finish();
    format!("/v1/oauth/{provider}/authorize?{query}")
}

/// Sends a browser to a provider.
pub async fn depart(app: &TestApp, provider: &str) -> Trip {
    let http = app.stranger();
    let answer = http.get(&authorize(provider, HOME)).await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    Trip { http, location: answer.header("location"), cookie }
}

impl Trip {
    /// Comes back with the provider's answer.
    pub async fn arrive(&self, back: &Url) -> Answer {
        let path = format!("{}?{}", back.path(), back.query().unwrap_or_default());
        let mut request = self.http.request(Method::GET, &path);
        if !self.cookie.is_empty() {
            request = request.header("cookie", &self.cookie);
        }
        self.http.send(request).await
    }

    /// The person agrees and comes back: what the application gets.
    pub async fn round(&self, idp: &Idp) -> Home {
        Home::of(&self.arrive(&idp.approve(&self.location)).await)
    }
}

/// What the application gets.
#[derive(Debug, PartialEq, Eq)]
pub struct Home {
    pub code: Option<String>,
    pub error: Option<String>,
    pub state: Option<String>,
}

impl Home {
    pub fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 303, "{}", answer.text);
        let url = Url::parse(&answer.header("location")).unwrap();
        assert!(url.as_str().starts_with("https://app.example/welcome?"), "{url}");
        let one = |name: &str| {
            let mut found = url.query_pairs().filter(|(found, _)| found == name);
            let value = found.next().map(|(_, value)| value.into_owned());
            assert!(found.next().is_none(), "{url}");
            value
        };
        Self { code: one("code"), error: one("error"), state: one("state") }
    }

    /// The code, which there is.
    #[track_caller]
    pub fn code(&self) -> &str {
        self.code.as_deref().unwrap_or_else(|| panic!("{self:?}"))
    }

    /// The error, which there is.
    #[track_caller]
    pub fn error(&self) -> &str {
        assert!(self.code.is_none());
        self.error.as_deref().unwrap_or_else(|| panic!("{self:?}"))
    }
}

/// Exchanges a code for a session.
pub async fn redeem(http: &Http, code: &str) -> Answer {
    let body = json!({ "method": "oauth", "code": code, "code_verifier": VERIFIER });
    http.post("/v1/sessions", body).await
}

/// All the way, from leaving to the session.
pub async fn sign_in(app: &TestApp, idp: &Idp, provider: &str) -> Answer {
    let home = depart(app, provider).await.round(idp).await;
    redeem(&app.stranger(), home.code()).await
}

/// Signs in with an identity token.
pub async fn by_token(app: &TestApp, token: &str, nonce: &str) -> Answer {
    let body = json!({ "method": "id_token", "provider": "acme", "id_token": token, "nonce": nonce });
    app.stranger().post("/v1/sessions", body).await
}

/// Why the last refusal was one, as the operator reads it.
pub async fn reason(app: &TestApp) -> String {
    let query = "SELECT details->>'reason' FROM auth.audit_events WHERE action = 'oauth.refused'
                 ORDER BY occurred_at DESC, id DESC LIMIT 1";
    let rows = super::sql::rows(app, query).await;
    rows.first().map(|row| sqlx::Row::get(row, 0)).unwrap_or_default()
}

/// A browser that a person has sent out to link an account elsewhere.
pub async fn link(http: &Http, provider: &str) -> Trip {
    let answer =
        http.post("/v1/users/me/identities", json!({ "provider": provider, "redirect_to": HOME })).await;
    let location = answer.expect(201)["authorize_url"].as_str().unwrap().to_owned();
    let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    Trip { http: http.clone(), location, cookie }
}

/// What an answer says to the page that the browser comes home to.
pub fn said(answer: &Answer) -> HashMap<String, String> {
    assert_eq!(answer.status, 303, "{}", answer.text);
    let url = Url::parse(&answer.header("location")).unwrap();
    assert!(url.as_str().starts_with(HOME), "{url}");
    url.query_pairs().into_owned().collect()
}

/// An answer of a kind of provider that does not name itself in it.
pub fn nameless(mut back: Url) -> Url {
    let kept: Vec<_> = back.query_pairs().into_owned().filter(|(name, _)| name != "iss").collect();
    back.query_pairs_mut().clear().extend_pairs(kept);
    back
}
