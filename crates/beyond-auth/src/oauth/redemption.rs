//! What comes to the one door: the code of the last hop, or an identity token from a device's own account picker.

use secrecy::{ExposeSecret as _, SecretString};

use super::assertion::Evidence;
use super::flow::{note, still_enabled};
use super::id_token::{self, Expected};
use super::refusal::{Code, Refusal};
use super::store::{documents, flows, providers};
use super::{discovery, keys, kinds, linking};
use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::platform::crypto::jws;
use crate::platform::crypto::pkce::Challenge;
use crate::platform::crypto::token::{OAuthCode, Token};
use crate::platform::db::Conn;
use crate::platform::http::Client;
use crate::platform::ids::{OAuthCodeId, UserId};
use crate::sessions::Live;
use crate::sessions::flow::Elevated;
use crate::settings;
use crate::sign_in::{self, Outcome, Proof, Wish};
use crate::users;

/// Federated: somebody else has authenticated the person, by means of their own.
const AMR: &str = "fed";

/// Why nobody came in with an identity token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There is no such provider, or it gives no identity tokens, or it is switched off.
    #[error("there is no such provider")]
    UnknownProvider,
    /// For a reason that the visitor may know the half of.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The door stayed shut.
    #[error(transparent)]
    SignIn(#[from] sign_in::Error),
}

impl From<sqlx::Error> for TokenError {
    fn from(error: sqlx::Error) -> Self {
        Self::SignIn(error.into())
    }
}

impl From<super::refusal::Error> for TokenError {
    fn from(error: super::refusal::Error) -> Self {
        match error {
            super::refusal::Error::Refused(refusal) => Self::Refused(refusal),
            super::refusal::Error::Database(error) => error.into(),
        }
    }
}

/// A code that fits, not yet spent.
struct Redeemable {
    id: OAuthCodeId,
    user: UserId,
}

/// Signs in with the code that the callback handed to the application.
pub async fn sign_in(
    app: &App,
    code: &SecretString,
    verifier: &SecretString,
    wish: Wish,
    client: &Client,
) -> Result<Outcome, sign_in::Error> {
    let redeemable = check(app, code, verifier, client).await?;
    let mut tx = app.db.begin("oauth.sign_in").await?;
    let settings = settings::load(&mut tx).await?;
    spend(&mut tx, &redeemable).await?;
    let proof = Proof { user_id: redeemable.user, amr: AMR, multi_factor: false };
    let outcome = sign_in::finish(&mut tx, &settings, &proof, wish, client).await?;
    tx.commit().await?;
    Ok(outcome)
}

/// Counts the code as a credential that the owner of a live session has just presented again.
pub async fn step_up(
    app: &App,
    live: &Live,
    code: &SecretString,
    verifier: &SecretString,
    client: &Client,
) -> Result<Elevated, sign_in::Error> {
    let redeemable = check(app, code, verifier, client).await?;
    if redeemable.user != live.user.id {
        return Err(sign_in::Error::Refused);
    }
    let mut tx = app.db.begin("oauth.step_up").await?;
    spend(&mut tx, &redeemable).await?;
    let elevated = sign_in::step_up(&mut tx, live, AMR, client).await?;
    tx.commit().await?;
    Ok(elevated)
}

/// Looks at a code before it is spent.
async fn check(
    app: &App,
    code: &SecretString,
    verifier: &SecretString,
    client: &Client,
) -> Result<Redeemable, sign_in::Error> {
    let mut conn = app.db.acquire().await?;
    let reason = match Token::<OAuthCode>::parse(code.expose_secret()) {
        Err(_) => "code_malformed",
        Ok(code) => {
            let id = OAuthCodeId::from(code.id());
            let found = flows::find_code(&mut conn, id).await?;
            match found.filter(|found| code.hash().matches(&found.code_hash)) {
                None => "code_unknown",
                Some(found) if !found.enabled => return Err(sign_in::Error::MethodDisabled),
                Some(found) => {
                    let challenge = Challenge::stored(&found.challenge);
                    if challenge.is_some_and(|challenge| challenge.is_met_by(verifier.expose_secret())) {
                        return Ok(Redeemable { id, user: found.user_id });
                    }
                    "code_verifier"
                }
            }
        }
    };
    let details = serde_json::json!({ "amr": [AMR], "reason": reason });
    audit::record(&mut conn, Event::new("sign_in.refused", Actor::System).from(client).details(details))
        .await?;
    Err(sign_in::Error::Refused)
}

/// Spends a code, behind the lock on its user.
async fn spend(conn: &mut Conn, redeemable: &Redeemable) -> Result<(), sign_in::Error> {
    users::flow::lock_standing(conn, redeemable.user).await?;
    if flows::spend_code(conn, redeemable.id).await? { Ok(()) } else { Err(sign_in::Error::Refused) }
}

/// An identity token that an application got itself.
#[derive(Debug)]
pub struct Presented {
    /// From which provider.
    pub provider: String,
    /// The token.
    pub token: SecretString,
    /// The nonce that the application had put into its request.
    pub nonce: SecretString,
}

/// Signs in with an identity token that an application got itself. Issuer, audiences and keys come from the stored
/// configuration; a token works once.
pub async fn sign_in_by_token(
    app: &App,
    presented: &Presented,
    wish: Wish,
    client: &Client,
) -> Result<Outcome, TokenError> {
    let outcome = by_token(app, presented, wish, client).await;
    if let Err(TokenError::Refused(refusal)) = &outcome {
        note(app, &presented.provider, refusal, client).await?;
    }
    outcome
}

async fn by_token(
    app: &App,
    presented: &Presented,
    wish: Wish,
    client: &Client,
) -> Result<Outcome, TokenError> {
    let mut conn = app.db.acquire().await?;
    let provider = providers::find(&mut conn, &presented.provider).await?;
    let now = documents::now(&mut conn).await?;
    drop(conn);
    let provider = provider.filter(|provider| provider.enabled).ok_or(TokenError::UnknownProvider)?;
    let endpoints = discovery::resolve(app, &provider).await?;
    let jwks = endpoints.jwks.as_ref().ok_or(TokenError::UnknownProvider)?;
    let claims = keys::verify(app, &provider.id, jwks, presented.token.expose_secret()).await?;
    // Apple and Google let applications put the nonce's hash into the request.
    let nonce = presented.nonce.expose_secret();
    let hashed = jws::sha256_hex(nonce);
    // Whoever reads the hash in the token must not pass for who knows what it was made of.
    let is_hash = nonce.len() == 64 && nonce.bytes().all(|byte| byte.is_ascii_hexdigit());
    let nonces: &[&str] = if is_hash { &[&hashed] } else { &[nonce, &hashed] };
    let expected = Expected {
        kind: provider.kind,
        issuer: &endpoints.issuer,
        client_id: &provider.client_id,
        audiences: &provider.definition.audiences,
        nonces,
        now,
    };
    id_token::check(&claims, &expected)?;
    let evidence =
        Evidence { issuer: &endpoints.issuer, id_token: Some(&claims), documents: &[], posted_user: None };
    let assertion = kinds::assertion(&provider, &evidence)?;

    let mut tx = app.db.begin("oauth.sign_in_by_token").await?;
    still_enabled(&mut tx, &provider).await?;
    let settings = settings::load(&mut tx).await?;
    let known = linking::admit(app, &mut tx, &settings, &provider, &assertion, client).await?;
    let fingerprint = jws::fingerprint(presented.token.expose_secret());
    if !flows::remember_token(&mut tx, &fingerprint, id_token::expiry(&claims)).await? {
        return Err(Refusal::new(Code::InvalidProviderResponse, "id_token_used").into());
    }
    let proof = Proof { user_id: known.user, amr: AMR, multi_factor: false };
    let outcome = sign_in::finish(&mut tx, &settings, &proof, wish, client).await?;
    tx.commit().await?;
    app.outbox.wake();
    Ok(outcome)
}
