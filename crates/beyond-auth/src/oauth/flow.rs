//! The way to a provider and back: the authorization code flow with PKCE, state and nonce, always.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use url::Url;

use super::assertion::{Assertion, Evidence};
use super::exchange::{self, Tokens};
use super::id_token::{self, Expected};
use super::kinds::{self, Endpoints, ResponseMode};
use super::linking;
use super::model::{Provider, is_id};
use super::refusal::{Code, Error, Refusal};
use super::store::flows::{self, Flow, NewFlow};
use super::store::providers;
use super::{discovery, keys, redirect, tokens as kept};
use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::platform::crypto::pkce::Challenge;
use crate::platform::crypto::token::{OAuthBrowser, OAuthCode, OAuthState, SecretHash, Token};
use crate::platform::db::Conn;
use crate::platform::http::Client;
use crate::platform::ids::{OAuthCodeId, OAuthFlowId};
use crate::settings;
use crate::users::Holder;

/// Names of the secrets that follow from the browser's.
const VERIFIER: &str = "oauth.pkce";
const NONCE: &str = "oauth.nonce";

/// Parameters that make the protocol: nobody else sets them.
pub const RESERVED: [&str; 10] = [
    "response_type",
    "response_mode",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "request",
];

/// What somebody goes to a provider for.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// To sign in; the application redeems a code.
    SignIn {
        /// Its PKCE challenge.
        challenge: Challenge,
        /// Handed back to it.
        echo: Option<String>,
    },
    /// To link an identity to the account of a session.
    Link(Holder),
}

/// Somebody on the way to a provider.
#[derive(Debug)]
pub struct Begun {
    /// Where to.
    pub url: Url,
    /// The flow.
    pub id: OAuthFlowId,
    /// What the browser keeps.
    pub browser: SecretString,
    /// How the answer comes back.
    pub mode: ResponseMode,
}

/// Why nobody goes anywhere.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// There is no such provider, or it is switched off.
    #[error("there is no such provider")]
    UnknownProvider,
    /// People are not sent there afterwards.
    #[error("the address to return to is not allowed")]
    Redirect,
    /// The provider cannot be used now; carries where to say so.
    #[error("the provider cannot be used now")]
    Refused(Box<Url>, Refusal),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Sends somebody to a provider.
pub async fn begin(
    app: &App,
    provider: &str,
    purpose: &Purpose,
    redirect_to: &str,
    client: &Client,
) -> Result<Begun, BeginError> {
    let mut conn = app.db.acquire().await?;
    let settings = settings::load(&mut conn).await?;
    let found = providers::find(&mut conn, provider).await?;
    drop(conn);
    let provider = found.filter(|provider| provider.enabled).ok_or(BeginError::UnknownProvider)?;
    let redirect_to = redirect::allowed(app, &settings, redirect_to).ok_or(BeginError::Redirect)?;
    let echo = match purpose {
        Purpose::SignIn { echo, .. } => echo.as_deref(),
        Purpose::Link(_) => None,
    };
    let endpoints = match discovery::resolve(app, &provider).await {
        Ok(endpoints) => endpoints,
        Err(Error::Database(error)) => return Err(error.into()),
        Err(Error::Refused(refusal)) => {
            note(app, &provider.id, &refusal, client).await?;
            let back = Box::new(refused(redirect_to, echo, &provider.id, refusal.code));
            return Err(BeginError::Refused(back, refusal));
        }
    };

    let id = OAuthFlowId::new();
    let state: Token<OAuthState> = Token::mint_for(id.as_uuid());
    let browser: Token<OAuthBrowser> = Token::mint_for(id.as_uuid());
    let (challenge, linker) = match purpose {
        Purpose::SignIn { challenge, .. } => (Some(challenge.as_bytes()), None),
        Purpose::Link(holder) => (None, Some(*holder)),
    };
    let flow = NewFlow {
        id,
        provider: &provider.id,
        linker,
        state: state.hash(),
        browser: browser.hash(),
        redirect_to: redirect_to.as_str(),
        challenge,
        echo,
    };
    let mut conn = app.db.acquire().await?;
    flows::insert(&mut conn, &flow).await?;
    let url = authorization_url(app, &provider, &endpoints, &state, &browser);
    let mode = kinds::defaults(provider.kind).response_mode;
    Ok(Begun { url, id, browser: browser.reveal(), mode })
}

/// The request that the browser carries to the provider (RFC 6749 §4.1.1, RFC 7636 §4.3, OpenID Connect Core §3.1.2.1).
fn authorization_url(
    app: &App,
    provider: &Provider,
    endpoints: &Endpoints,
    state: &Token<OAuthState>,
    browser: &Token<OAuthBrowser>,
) -> Url {
    let defaults = kinds::defaults(provider.kind);
    let scopes = match &provider.definition.scopes {
        Some(scopes) => scopes.join(" "),
        None => defaults.scopes.join(" "),
    };
    let mut url = endpoints.authorization.clone();
    let mut query = url.query_pairs_mut();
    query.append_pair("response_type", "code");
    query.append_pair("client_id", &provider.client_id);
    query.append_pair("redirect_uri", callback_url(app, &provider.id).as_str());
    query.append_pair("scope", &scopes);
    query.append_pair("state", state.reveal().expose_secret());
    if defaults.openid {
        query.append_pair("nonce", browser.expand(NONCE).expose_secret());
    }
    query.append_pair("code_challenge", &Challenge::of(browser.expand(VERIFIER).expose_secret()).text());
    query.append_pair("code_challenge_method", "S256");
    let own = kinds::authorize_params(provider);
    let said = |name: &str| own.iter().any(|(own, _)| *own == name) || RESERVED.contains(&name);
    for (name, value) in provider.definition.authorize_params.iter().filter(|(name, _)| !said(name)) {
        query.append_pair(name, value);
    }
    query.extend_pairs(&own);
    drop(query);
    url
}

/// Where a provider's answers come to: from the configuration, never from a request.
pub fn callback_url(app: &App, provider: &str) -> Url {
    let mut url = app.config.public_url.clone();
    url.set_path(&format!("/v1/oauth/{provider}/callback"));
    url
}

/// What came to the callback.
#[derive(Debug, Default)]
pub struct Answer {
    /// The state.
    pub state: Option<SecretString>,
    /// The provider's code.
    pub code: Option<SecretString>,
    /// Who answers (RFC 9207).
    pub iss: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
    /// Apple's word about the person.
    pub user: Option<Value>,
    /// A parameter came twice: two readers could take different ones.
    pub ambiguous: bool,
}

/// Nobody knows where to send the visitor.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    /// The state is absent, foreign, used or expired, or another browser's.
    #[error("the answer belongs to no sign-in of this browser")]
    State,
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Takes what came back from a provider; answers where the browser goes next.
pub async fn finish(
    app: &App,
    provider: &str,
    answer: &Answer,
    browser: Option<&SecretString>,
    client: &Client,
) -> Result<Url, CallbackError> {
    let (flow, browser) = match take(app, provider, answer, browser).await? {
        Ok(taken) => taken,
        Err(reason) => {
            note(app, provider, &Refusal::invalid(reason), client).await?;
            return Err(CallbackError::State);
        }
    };
    // It was allowed when it was stored; the operator may have struck it off.
    let settings = settings::load(&mut app.db.acquire().await?).await?;
    let Some(redirect_to) = redirect::allowed(app, &settings, &flow.redirect_to) else {
        note(app, provider, &Refusal::invalid("redirect_not_allowed"), client).await?;
        return Err(CallbackError::State);
    };
    match conclude(app, &flow, answer, &browser, client).await {
        Ok(Some(code)) => {
            let code = code.reveal();
            let mut said = vec![("code", code.expose_secret())];
            said.extend(flow.echo.as_deref().map(|echo| ("state", echo)));
            Ok(redirect::with(redirect_to, &said))
        }
        Ok(None) => Ok(redirect::with(redirect_to, &[("linked", provider)])),
        Err(Error::Refused(refusal)) => {
            note(app, provider, &refusal, client).await?;
            Ok(refused(redirect_to, flow.echo.as_deref(), provider, refusal.code))
        }
        Err(Error::Database(error)) => Err(error.into()),
    }
}

/// Finds the flow that an answer belongs to, and ends it: whatever comes of it, it works once. What does not belong
/// together ends nothing.
async fn take(
    app: &App,
    provider: &str,
    answer: &Answer,
    browser: Option<&SecretString>,
) -> Result<Result<(Flow, Token<OAuthBrowser>), &'static str>, sqlx::Error> {
    let Some(state) = &answer.state else { return Ok(Err("state_missing")) };
    let Ok(state) = Token::<OAuthState>::parse(state.expose_secret()) else {
        return Ok(Err("state_malformed"));
    };
    let Some(browser) = browser else { return Ok(Err("state_of_another_browser")) };
    let Ok(browser) = Token::<OAuthBrowser>::parse(browser.expose_secret()) else {
        return Ok(Err("state_of_another_browser"));
    };
    let id = OAuthFlowId::from(state.id());
    let mut conn = app.db.acquire().await?;
    let Some(flow) = flows::find(&mut conn, id).await? else { return Ok(Err("state_unknown")) };
    if !state.hash().matches(&flow.state_hash) {
        return Ok(Err("state_unknown"));
    }
    if browser.id() != state.id() || !browser.hash().matches(&flow.browser_hash) {
        return Ok(Err("state_of_another_browser"));
    }
    if flow.provider_id != provider {
        return Ok(Err("state_of_another_provider"));
    }
    if !flows::spend(&mut conn, id).await? {
        return Ok(Err("state_used"));
    }
    Ok(Ok((flow, browser)))
}

/// What an answer leads to: a code for the application, or a linked identity.
async fn conclude(
    app: &App,
    flow: &Flow,
    answer: &Answer,
    browser: &Token<OAuthBrowser>,
    client: &Client,
) -> Result<Option<Token<OAuthCode>>, Error> {
    let mut conn = app.db.acquire().await?;
    let provider = providers::find(&mut conn, &flow.provider_id).await?;
    drop(conn);
    let provider = provider
        .filter(|provider| provider.enabled)
        .ok_or(Refusal::new(Code::ProviderDisabled, "provider_disabled"))?;
    if provider.updated_at > flow.created_at {
        return Err(Refusal::new(Code::ProviderDisabled, "provider_changed").into());
    }
    if answer.ambiguous {
        return Err(Refusal::invalid("answer_ambiguous").into());
    }
    let endpoints = discovery::resolve(app, &provider).await?;
    let code = code_of(answer, &endpoints)?;
    let redirect_uri = callback_url(app, &provider.id);
    let verifier = browser.expand(VERIFIER);
    let tokens = exchange::exchange(app, &provider, &endpoints, code, &redirect_uri, &verifier).await?;
    let nonce = browser.expand(NONCE);
    let assertion = identify(app, &provider, &endpoints, &tokens, &nonce, answer.user.as_ref()).await?;

    let mut tx = app.db.begin("oauth.callback").await?;
    // As things are now: the provider took its time.
    still_enabled(&mut tx, &provider).await?;
    let (known, code) = if let (Some(user), Some(session)) = (flow.user_id, flow.session_id) {
        let secret_hash = flow.session_hash.as_deref().and_then(SecretHash::stored);
        let secret_hash = secret_hash.ok_or(Refusal::new(Code::SessionEnded, "session_hash"))?;
        let holder = Holder { user, session, secret_hash };
        (linking::attach(app, &mut tx, holder, &provider, &assertion, client).await?, None)
    } else {
        let settings = settings::load(&mut tx).await?;
        let known = linking::admit(app, &mut tx, &settings, &provider, &assertion, client).await?;
        let code: Token<OAuthCode> = Token::mint();
        let challenge = flow.challenge.as_deref().unwrap_or_default();
        flows::insert_code(&mut tx, OAuthCodeId::from(code.id()), known.identity, &code.hash(), challenge)
            .await?;
        (known, Some(code))
    };
    kept::keep(&mut tx, app, &provider, known.identity, &tokens).await?;
    tx.commit().await?;
    app.outbox.wake();
    Ok(code)
}

/// The code of an answer that says where it comes from.
fn code_of<'a>(answer: &'a Answer, endpoints: &Endpoints) -> Result<&'a SecretString, Refusal> {
    // RFC 9207 §2.4: an answer of another provider's, error or not, is none.
    match &answer.iss {
        Some(iss) if *iss != endpoints.issuer => {
            return Err(Refusal::invalid("answer_issuer").with_detail(iss));
        }
        None if endpoints.names_issuer => return Err(Refusal::invalid("answer_issuer_missing")),
        _ => {}
    }
    match (&answer.error, &answer.code) {
        (Some(error), _) => {
            let denied = matches!(error.as_str(), "access_denied" | "user_cancelled_authorize");
            let code = if denied { Code::AccessDenied } else { Code::ProviderError };
            Err(Refusal::new(code, "authorization_error").with_detail(error))
        }
        (None, Some(code)) if !code.expose_secret().is_empty() => Ok(code),
        (None, _) => Err(Refusal::invalid("answer_without_code")),
    }
}

/// Who somebody is, by tokens that the provider has just given us.
async fn identify(
    app: &App,
    provider: &Provider,
    endpoints: &Endpoints,
    tokens: &Tokens,
    nonce: &SecretString,
    posted_user: Option<&Value>,
) -> Result<Assertion, Error> {
    let claims = match &endpoints.jwks {
        Some(jwks) => {
            let token = tokens.id_token.as_ref().ok_or(Refusal::invalid("id_token_missing"))?;
            let claims = keys::verify(app, &provider.id, jwks, token.expose_secret()).await?;
            let expected = Expected {
                kind: provider.kind,
                issuer: &endpoints.issuer,
                client_id: &provider.client_id,
                audiences: &[],
                nonces: &[nonce.expose_secret()],
                now: tokens.asked_at,
            };
            id_token::check(&claims, &expected)?;
            Some(claims)
        }
        None => None,
    };
    let urls = kinds::documents(provider, endpoints, claims.as_ref());
    let documents = exchange::read(app, provider, &urls, tokens.access.as_ref()).await?;
    let evidence =
        Evidence { issuer: &endpoints.issuer, id_token: claims.as_ref(), documents: &documents, posted_user };
    Ok(kinds::assertion(provider, &evidence)?)
}

/// Whether people may still sign in with a provider as it was read before.
pub(super) async fn still_enabled(conn: &mut Conn, provider: &Provider) -> Result<(), Error> {
    let now = providers::find(conn, &provider.id).await?;
    let same = now.is_some_and(|now| now.enabled && now.updated_at == provider.updated_at);
    if same { Ok(()) } else { Err(Refusal::new(Code::ProviderDisabled, "provider_changed").into()) }
}

/// Tells the application that nothing came of it.
fn refused(redirect_to: Url, echo: Option<&str>, provider: &str, code: Code) -> Url {
    let mut said = vec![("error", code.as_str()), ("provider", provider)];
    said.extend(echo.map(|echo| ("state", echo)));
    redirect::with(redirect_to, &said)
}

/// Notes for the operator why somebody was refused.
pub async fn note(app: &App, provider: &str, refusal: &Refusal, client: &Client) -> Result<(), sqlx::Error> {
    let provider = is_id(provider).then_some(provider);
    let details = serde_json::json!({
        "provider": provider,
        "code": refusal.code.as_str(),
        "reason": refusal.reason,
        "detail": refusal.detail,
    });
    let mut conn = app.db.acquire().await?;
    audit::record(&mut conn, Event::new("oauth.refused", Actor::System).from(client).details(details)).await
}

/// Removes what has expired, in one small batch; says how many rows went.
pub async fn purge(conn: &mut Conn, batch: i64) -> Result<u64, sqlx::Error> {
    flows::purge(conn, batch).await
}
