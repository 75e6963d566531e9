//! To a provider and back, over HTTP.

pub mod identities;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde::Deserialize;
use url::{Url, form_urlencoded};
use utoipa::IntoParams;

use super::cookie;
use super::flow::{self, Answer, BeginError, CallbackError, Purpose};
use super::kinds::ResponseMode;
use super::redemption::TokenError;
use super::refusal::{Code, Refusal};
use crate::app::App;
use crate::platform::crypto::pkce::Challenge;
use crate::platform::crypto::token::{OAuthState, Token};
use crate::platform::http::extract::Form;
use crate::platform::http::{Client, FieldErrors, Path, Problem, Query, throttle};
use crate::platform::ids::OAuthFlowId;

/// Providers come back soon, or not.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("10");
/// Longest `state` of an application, in bytes.
const ECHO_LIMIT: usize = 512;

/// How an application sends somebody to a provider.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuthorizeQuery {
    /// Where the person comes back to: an address of the service itself, or of an origin in `allowed_origins` or
    /// `--oauth-allowed-redirect-origins`.
    pub redirect_to: String,
    /// SHA-256 of the application's own verifier, in base64url (RFC 7636): the code that comes back opens nothing without
    /// it.
    #[param(min_length = 43, max_length = 43)]
    pub code_challenge: String,
    /// `S256`, which is the only one.
    pub code_challenge_method: Option<String>,
    /// Comes back as it is.
    #[param(max_length = 512)]
    pub state: Option<String>,
}

/// Go to a provider.
///
/// A browser is sent here. Afterwards it is at `redirect_to` with `code` (for `POST /v1/sessions` with the method
/// `oauth`), or with `error` and `provider`; and with `state`, where there was one.
#[utoipa::path(get, path = "/v1/oauth/{provider}/authorize", tag = "sessions",
    params(("provider" = String, Path, description = "Its id."), AuthorizeQuery),
    responses((status = 303, description = "To the provider.")))]
pub async fn authorize(
    State(app): State<App>,
    client: Client,
    headers: HeaderMap,
    Path(provider): Path<String>,
    Query(query): Query<AuthorizeQuery>,
) -> Result<Response, Problem> {
    let challenge = check(&query)?;
    throttle::enforce(&app.db, &[(&throttle::OAUTH, &throttle::address_key(client.address))]).await?;
    let purpose = Purpose::SignIn { challenge, echo: query.state };
    match flow::begin(&app, &provider, &purpose, &query.redirect_to, &client).await {
        Ok(begun) => {
            let cookies = cookie::set(&app, &headers, begun.mode, begun.id, &begun.browser);
            Ok(see_other(&begun.url, cookies))
        }
        Err(BeginError::Refused(back, _)) => Ok(see_other(&back, Vec::new())),
        Err(error) => Err(error.into()),
    }
}

fn check(query: &AuthorizeQuery) -> Result<Challenge, Problem> {
    let mut errors = FieldErrors::default();
    if query.code_challenge_method.as_deref().is_some_and(|method| method != "S256") {
        errors.push("?code_challenge_method", "unknown_value", "must be S256");
    }
    if query.state.as_ref().is_some_and(|state| state.len() > ECHO_LIMIT) {
        errors.push("?state", "too_long", format!("at most {ECHO_LIMIT} bytes"));
    }
    let challenge = Challenge::parse(&query.code_challenge);
    if let Err(error) = &challenge {
        errors.push("?code_challenge", "invalid_challenge", error.to_string());
    }
    errors.finish()?;
    challenge.map_err(|_| Problem::internal())
}

/// Come back from a provider.
///
/// Only in the browser that was sent out, once. A HEAD does nothing.
#[utoipa::path(get, path = "/v1/oauth/{provider}/callback", tag = "sessions",
    params(("provider" = String, Path, description = "Its id.")),
    responses((status = 303, description = "To the application.")))]
pub async fn callback(
    State(app): State<App>,
    client: Client,
    headers: HeaderMap,
    method: Method,
    Path(provider): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    if method == Method::HEAD {
        return Err(CallbackError::State.into());
    }
    let query = query.unwrap_or_default();
    let answer = read(form_urlencoded::parse(query.as_bytes()).into_owned());
    come_back(&app, &client, &headers, &provider, ResponseMode::Query, &answer).await
}

/// Come back from a provider whose page posts the answer (Apple).
#[utoipa::path(post, path = "/v1/oauth/{provider}/callback", tag = "sessions",
    params(("provider" = String, Path, description = "Its id.")),
    request_body(content = Object, content_type = "application/x-www-form-urlencoded"),
    responses((status = 303, description = "To the application.")))]
pub async fn posted_callback(
    State(app): State<App>,
    client: Client,
    headers: HeaderMap,
    Path(provider): Path<String>,
    Form(fields): Form,
) -> Result<Response, Problem> {
    let answer = read(fields.into_iter());
    come_back(&app, &client, &headers, &provider, ResponseMode::FormPost, &answer).await
}

async fn come_back(
    app: &App,
    client: &Client,
    headers: &HeaderMap,
    provider: &str,
    mode: ResponseMode,
    answer: &Answer,
) -> Result<Response, Problem> {
    throttle::enforce(&app.db, &[(&throttle::OAUTH, &throttle::address_key(client.address))]).await?;
    let state = answer.state.as_ref().map(ExposeSecret::expose_secret);
    let id = state.and_then(|state| Token::<OAuthState>::parse(state).ok());
    let id = id.map(|state| OAuthFlowId::from(state.id()));
    let browser = match id {
        Some(id) => cookie::read(app, headers, mode, id)?,
        None => None,
    };
    let next = flow::finish(app, provider, answer, browser.as_ref(), client).await?;
    Ok(see_other(&next, id.and_then(|id| cookie::clear(app, mode, id)).into_iter().collect()))
}

/// What an answer says. What the protocol does not know is passed over (RFC 6749 §4.1.2).
fn read(fields: impl Iterator<Item = (String, String)>) -> Answer {
    let mut answer = Answer::default();
    for (name, value) in fields {
        let known = match name.as_str() {
            "state" => answer.state.replace(value.into()).is_some(),
            "code" => answer.code.replace(value.into()).is_some(),
            "iss" => answer.iss.replace(value).is_some(),
            "error" => answer.error.replace(value).is_some(),
            "user" => {
                answer.user = serde_json::from_str(&value).ok();
                false
            }
            _ => false,
        };
        answer.ambiguous |= known;
    }
    answer
}

fn see_other(url: &Url, cookies: Vec<HeaderValue>) -> Response {
    let Ok(location) = HeaderValue::from_str(url.as_str()) else {
        return Problem::internal().into_response();
    };
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response();
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

impl From<BeginError> for Problem {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::UnknownProvider => Self::not_found(),
            BeginError::Redirect => Self::invalid(vec![]).with_error(
                "?redirect_to",
                "redirect_not_allowed",
                "must be a URL of the service itself, or of an origin in `allowed_origins` or \
                 --oauth-allowed-redirect-origins",
            ),
            BeginError::Refused(_, refusal) => refusal.into(),
            BeginError::Database(error) => error.into(),
        }
    }
}

impl From<CallbackError> for Problem {
    fn from(error: CallbackError) -> Self {
        match error {
            CallbackError::State => Self::new(
                StatusCode::BAD_REQUEST,
                "invalid_state",
                "This answer belongs to no sign-in of this browser: it took too long, or came back before. Begin again.",
            ),
            CallbackError::Database(error) => error.into(),
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::UnknownProvider => Self::invalid(vec![]).with_error(
                "/provider",
                "unknown_provider",
                "is no provider that gives identity tokens",
            ),
            TokenError::Refused(refusal) => refusal.into(),
            TokenError::SignIn(error) => error.into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal.code {
            Code::AccessDenied => Self::unauthenticated("access_denied", "You said no, or the provider did."),
            Code::InvalidProviderResponse => Self::unauthenticated(
                "invalid_provider_response",
                "What the provider says cannot be accepted. Begin again.",
            ),
            Code::SignInRefused => {
                Self::unauthenticated("sign_in_refused", "The sign-in cannot be accepted. Begin again.")
            }
            Code::SessionEnded => {
                Self::unauthenticated("session_ended", "The session has ended meanwhile. Sign in again.")
            }
            Code::ProviderError => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "provider_error",
                "The provider reports an error. Other ways of signing in work.",
            )
            .with_header(header::RETRY_AFTER, RETRY_AFTER),
            Code::ProviderUnavailable => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "provider_unavailable",
                "The provider cannot be reached. Other ways of signing in work.",
            )
            .with_header(header::RETRY_AFTER, RETRY_AFTER),
            Code::ProviderDisabled => Self::new(
                StatusCode::FORBIDDEN,
                "provider_disabled",
                "The provider has just been changed or switched off. Begin again.",
            ),
            Code::EmailUnverified => Self::new(
                StatusCode::FORBIDDEN,
                "email_unverified",
                "The provider does not vouch for an address of yours.",
            ),
            Code::DomainNotAllowed => Self::new(
                StatusCode::FORBIDDEN,
                "domain_not_allowed",
                "Addresses of this domain are not let in.",
            ),
            Code::SignUpDisabled => Self::new(
                StatusCode::FORBIDDEN,
                "sign_up_disabled",
                "There is no account, and none can be made this way.",
            ),
            Code::AccountExists => Self::new(
                StatusCode::CONFLICT,
                "account_exists",
                "The address has an account. Sign in to it in another way, then link this one.",
            ),
            Code::IdentityTaken => Self::new(
                StatusCode::CONFLICT,
                "identity_taken",
                "The account at the provider is linked to another user.",
            ),
        }
    }
}
