//! What is asked of a provider on somebody's behalf: tokens for a code, documents for a token.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;
use url::Url;
use url::form_urlencoded::{self, Serializer};

use super::documents::{bad_status, unreachable};
use super::kinds::{self, Endpoints};
use super::model::{Provider, TokenAuth};
use super::providers::SEALED_SECRET;
use super::refusal::{Code, Error, Refusal};
use super::store::{documents, providers};
use crate::app::App;
use crate::platform::http::credentials::basic;
use crate::platform::outbound::Call;

/// What a token endpoint hands out (RFC 6749 §5.1).
#[derive(Debug)]
pub struct Tokens {
    /// Reads documents of the person.
    pub access: Option<SecretString>,
    /// Gets further access tokens.
    pub refresh: Option<SecretString>,
    /// Says who the person is.
    pub id_token: Option<SecretString>,
    /// Of the access token, in seconds.
    pub expires_in: Option<i64>,
    /// What was granted, where it is not what was asked for.
    pub scope: Option<String>,
    /// The time just before they were asked for, in seconds since 1970.
    pub asked_at: i64,
}

#[derive(Deserialize)]
struct Body {
    access_token: Option<SecretString>,
    refresh_token: Option<SecretString>,
    id_token: Option<SecretString>,
    token_type: Option<String>,
    expires_in: Option<Value>,
    scope: Option<String>,
    error: Option<String>,
}

/// Exchanges a code (RFC 6749 §4.1.3, RFC 7636 §4.5).
pub async fn exchange(
    app: &App,
    provider: &Provider,
    endpoints: &Endpoints,
    code: &SecretString,
    redirect_uri: &Url,
    verifier: &SecretString,
) -> Result<Tokens, Error> {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.expose_secret()),
        ("redirect_uri", redirect_uri.as_str()),
        ("code_verifier", verifier.expose_secret()),
    ];
    ask(app, provider, endpoints, &fields).await
}

/// Gets a further access token (RFC 6749 §6).
pub async fn refresh(
    app: &App,
    provider: &Provider,
    endpoints: &Endpoints,
    token: &SecretString,
) -> Result<Tokens, Error> {
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token.expose_secret())];
    ask(app, provider, endpoints, &fields).await
}

async fn ask(
    app: &App,
    provider: &Provider,
    endpoints: &Endpoints,
    fields: &[(&str, &str)],
) -> Result<Tokens, Error> {
    let (secret, now) = secret(app, provider).await?;
    let (authorization, form) = {
        let mut form = Serializer::new(String::new());
        form.extend_pairs(fields);
        let authorization = authenticate(provider, endpoints, secret.as_ref(), &mut form);
        (authorization, SecretString::from(form.finish()))
    };
    let call = Call {
        url: &endpoints.token,
        lane: &provider.id,
        authorization: authorization.as_ref(),
        form: Some(&form),
    };
    let answer = app.outbound.call(call).await.map_err(|error| unreachable(&error))?;
    let body = serde_json::from_slice::<Body>(&answer.body);
    // GitHub reports errors with 200.
    if let Ok(Body { error: Some(error), .. }) = &body {
        return Err(Refusal::new(Code::ProviderError, "token_error").with_detail(error).into());
    }
    if answer.status != 200 {
        return Err(bad_status(answer.status).into());
    }
    let body = body.map_err(|_| Refusal::invalid("token_response_malformed"))?;
    if body.access_token.is_some()
        && !body.token_type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"))
    {
        return Err(Refusal::invalid("token_type").into());
    }
    Ok(Tokens {
        access: body.access_token,
        refresh: body.refresh_token,
        id_token: body.id_token,
        expires_in: body.expires_in.as_ref().and_then(Value::as_i64),
        scope: body.scope,
        asked_at: now,
    })
}

/// The secret as it is sent, and the time.
pub async fn secret(app: &App, provider: &Provider) -> Result<(Option<SecretString>, i64), Error> {
    let mut conn = app.db.acquire().await?;
    let sealed = providers::sealed_secret(&mut conn, &provider.id).await?;
    let now = documents::now(&mut conn).await?;
    drop(conn);
    let Some(sealed) = sealed else { return Ok((None, now)) };
    let opened = app.keyring.open(&SEALED_SECRET.place(&provider.id), &sealed);
    let opened = opened.map_err(|_| Refusal::invalid("client_secret_sealed"))?;
    let text = std::str::from_utf8(&opened).map_err(|_| Refusal::invalid("client_secret_sealed"))?;
    Ok((Some(kinds::client_secret(provider, SecretString::from(text), now)?), now))
}

/// Says who we are (RFC 6749 §2.3.1): in the header where the provider takes that, in the form otherwise.
pub fn authenticate(
    provider: &Provider,
    endpoints: &Endpoints,
    secret: Option<&SecretString>,
    form: &mut Serializer<'_, String>,
) -> Option<SecretString> {
    let Some(secret) = secret else {
        form.append_pair("client_id", &provider.client_id);
        return None;
    };
    let offered = |method: &str| endpoints.token_auth.iter().any(|offered| offered == method);
    let way = provider.definition.token_auth.unwrap_or_else(|| {
        // Where nothing is published, the header is what is meant (OpenID Connect Discovery §3).
        let post = offered("client_secret_post") && !offered("client_secret_basic");
        if post || !kinds::defaults(provider.kind).openid {
            TokenAuth::ClientSecretPost
        } else {
            TokenAuth::ClientSecretBasic
        }
    });
    match way {
        TokenAuth::ClientSecretBasic => {
            // Both are encoded as in a form first.
            let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            Some(basic(&encoded(&provider.client_id), &SecretString::from(encoded(secret.expose_secret()))))
        }
        TokenAuth::ClientSecretPost => {
            form.append_pair("client_id", &provider.client_id);
            form.append_pair("client_secret", secret.expose_secret());
            None
        }
        TokenAuth::None => {
            form.append_pair("client_id", &provider.client_id);
            None
        }
    }
}

/// Reads documents with the person's access token.
pub async fn read(
    app: &App,
    provider: &Provider,
    urls: &[Url],
    access: Option<&SecretString>,
) -> Result<Vec<Value>, Error> {
    let mut documents = Vec::with_capacity(urls.len());
    if urls.is_empty() {
        return Ok(documents);
    }
    let access = access.ok_or(Refusal::invalid("access_token_missing"))?;
    let authorization = SecretString::from(format!("Bearer {}", access.expose_secret()));
    for url in urls {
        let call = Call { url, lane: &provider.id, authorization: Some(&authorization), form: None };
        let answer = app.outbound.call(call).await.map_err(|error| unreachable(&error))?;
        if answer.status != 200 {
            return Err(bad_status(answer.status).into());
        }
        let document = serde_json::from_slice(&answer.body);
        documents.push(document.map_err(|_| Refusal::invalid("userinfo_malformed"))?);
    }
    Ok(documents)
}
