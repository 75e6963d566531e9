//! What the operator does with providers.

use secrecy::{ExposeSecret as _, SecretString};

use super::discovery::{self, Mistake};
use super::documents;
use super::keys;
use super::kinds;
use super::model::{Definition, Kind, Provider, TokenAuth};
use super::refusal::Refusal;
use super::store::{documents as kept, providers as store};
use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::platform::db::Conn;
use crate::platform::http::{Client, FieldErrors, Problem};
use crate::platform::sealed::SealedColumn;

/// The sealed column, for a change of the key-encryption key.
pub const SEALED_SECRET: &dyn SealedColumn = &store::SealedSecret;

/// Why a provider was not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such provider.
    #[error("there is no such provider")]
    NotFound,
    /// Somebody else has written it meanwhile.
    #[error("the provider has changed meanwhile")]
    Changed,
    /// Its description does not hold.
    #[error("the description is not valid")]
    Invalid(Box<Problem>),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// A provider as the operator describes it.
#[derive(Debug)]
pub struct Described {
    /// As it stands in paths.
    pub id: String,
    /// Which rules it follows.
    pub kind: Kind,
    /// What to write on the button.
    pub name: String,
    /// Whether people may sign in with it.
    pub enabled: bool,
    /// Who we are there.
    pub client_id: String,
    /// `None`: as before.
    pub client_secret: Option<SecretString>,
    /// The rest.
    pub definition: Definition,
}

/// Lists all of them.
pub async fn list(app: &App) -> Result<Vec<Provider>, sqlx::Error> {
    let mut conn = app.db.acquire().await?;
    store::list(&mut conn).await
}

/// Lists those that people may sign in with.
pub async fn enabled(conn: &mut Conn) -> Result<Vec<Provider>, sqlx::Error> {
    Ok(store::list(conn).await?.into_iter().filter(|provider| provider.enabled).collect())
}

/// Describes a provider, anew or for the first time; what it publishes is read and checked before anything is kept.
pub async fn put(app: &App, new: Described, client: &Client) -> Result<Provider, Error> {
    let mut conn = app.db.acquire().await?;
    let known = store::find(&mut conn, &new.id).await?;
    drop(conn);
    check_secret(&new, known.as_ref())?;
    let read = survey(app, &new).await.map_err(|mistake| {
        let Mistake { pointer, code, detail } = mistake;
        Error::Invalid(Box::new(Problem::invalid(vec![]).with_error(pointer, code, detail)))
    })?;

    let place = SEALED_SECRET.place(&new.id);
    let given = new.client_secret.as_ref();
    let given = given.map(|secret| app.keyring.seal(&place, secret.expose_secret().as_bytes()));
    let secret = match (&given, new.definition.token_auth) {
        (_, Some(TokenAuth::None)) => Some(None),
        (Some(sealed), _) => Some(Some(sealed.as_slice())),
        (None, _) => None,
    };
    let written = store::Written {
        id: &new.id,
        kind: new.kind,
        name: &new.name,
        enabled: new.enabled,
        client_id: &new.client_id,
        secret,
        definition: serde_json::to_value(&new.definition).unwrap_or_default(),
    };
    let mut tx = app.db.begin("oauth.put_provider").await?;
    let done = match &known {
        Some(known) => store::update(&mut tx, &written, known.updated_at).await?,
        None => store::insert(&mut tx, &written).await?,
    };
    if !done {
        return Err(Error::Changed);
    }
    kept::forget(&mut tx, &new.id).await?;
    for (url, body) in &read {
        kept::keep(&mut tx, &new.id, url.as_str(), body).await?;
    }
    let action = if known.is_some() { "oauth_provider.changed" } else { "oauth_provider.created" };
    let details = serde_json::json!({ "provider": new.id, "kind": new.kind, "enabled": new.enabled });
    audit::record(&mut tx, Event::new(action, Actor::Admin).from(client).details(details)).await?;
    let provider = store::find(&mut tx, &new.id).await?.ok_or(Error::NotFound)?;
    tx.commit().await?;
    Ok(provider)
}

/// Deletes a provider, with the identities that people have there.
pub async fn delete(app: &App, id: &str, client: &Client) -> Result<(), Error> {
    let mut tx = app.db.begin("oauth.delete_provider").await?;
    if !store::delete(&mut tx, id).await? {
        return Err(Error::NotFound);
    }
    let details = serde_json::json!({ "provider": id });
    audit::record(&mut tx, Event::new("oauth_provider.deleted", Actor::Admin).from(client).details(details))
        .await?;
    tx.commit().await?;
    Ok(())
}

/// Whoever can write a description but does not know the secret must not learn it by having it sent elsewhere.
fn check_secret(new: &Described, known: Option<&Provider>) -> Result<(), Error> {
    let mut errors = FieldErrors::default();
    if new.client_secret.as_ref().is_some_and(|secret| !kinds::takes_secret(new.kind, secret)) {
        errors.push("/client_secret", "invalid_value", "must be the content of the team's `.p8` file");
    }
    let public = new.definition.token_auth == Some(TokenAuth::None);
    let there = known.is_some_and(|known| known.has_secret);
    match known {
        _ if new.client_secret.is_some() || public => {}
        Some(known)
            if there
                && destinations(known.kind, &known.definition) != destinations(new.kind, &new.definition) =>
        {
            errors.push(
                "/client_secret",
                "secret_required",
                "must be given again: kind, issuer or an address has changed",
            );
        }
        _ if !there => {
            errors.push("/client_secret", "required", "must be given, unless `token_auth` is `none`");
        }
        _ => {}
    }
    errors.finish().map_err(|problem| Error::Invalid(Box::new(problem)))
}

/// Everything that decides where a secret goes.
fn destinations(kind: Kind, definition: &Definition) -> impl PartialEq {
    let places = [
        &definition.authorization_endpoint,
        &definition.token_endpoint,
        &definition.userinfo_endpoint,
        &definition.emails_endpoint,
        &definition.jwks_uri,
        &definition.revocation_endpoint,
    ];
    (kind, kinds::issuer(kind, definition), places.map(Clone::clone))
}

/// Reads what the provider publishes: the discovery document and the keys, with where they were.
async fn survey(app: &App, new: &Described) -> Result<Vec<(url::Url, Vec<u8>)>, Mistake> {
    let mut read = Vec::new();
    let metadata = match discovery::place(new.kind, &new.definition) {
        Some(url) => {
            app.outbound.check(&url).map_err(|error| Mistake {
                pointer: "/issuer",
                code: "address_forbidden",
                detail: error.to_string(),
            })?;
            let body = documents::fetch(app, &new.id, &url).await;
            let body = body.map_err(|refusal| mistaken("/issuer", "discovery_failed", &refusal))?;
            let metadata = discovery::parse(new.kind, &new.definition, &body)
                .map_err(|refusal| mistaken("/issuer", "discovery_invalid", &refusal))?;
            read.push((url, body));
            Some(metadata)
        }
        None => None,
    };
    let endpoints = discovery::endpoints(&app.outbound, new.kind, &new.definition, metadata.as_ref())?;
    if let Some(url) = endpoints.jwks {
        let body = documents::fetch(app, &new.id, &url).await;
        let body = body.map_err(|refusal| mistaken("/jwks_uri", "keys_failed", &refusal))?;
        keys::check(&body).map_err(|refusal| mistaken("/jwks_uri", "keys_invalid", &refusal))?;
        read.push((url, body));
    }
    Ok(read)
}

fn mistaken(pointer: &'static str, code: &'static str, refusal: &Refusal) -> Mistake {
    let detail = match &refusal.detail {
        Some(detail) => format!("{}: {detail}", refusal.reason),
        None => refusal.reason.to_owned(),
    };
    Mistake { pointer, code, detail }
}
