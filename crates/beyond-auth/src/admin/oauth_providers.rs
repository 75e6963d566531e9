//! Identity providers over HTTP, for the operator.

use axum::extract::State;
use http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::app::App;
use crate::caller::Admin;
use crate::oauth::providers::{self, Described, Error};
use crate::oauth::{Definition, Kind, Provider, check};
use crate::platform::http::{Client, FieldErrors, Json, Path, Problem, json};

/// A provider, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct OauthProvider {
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
    /// Whether there is a secret. It is never returned.
    pub has_secret: bool,
    /// What to register with the provider as redirect URI.
    pub callback_url: String,
    /// The rest.
    #[serde(flatten)]
    pub definition: Definition,
    /// When it was first described.
    pub created_at: chrono::DateTime<chrono::Utc>,
    /// When it was last described.
    pub updated_at: chrono::DateTime<chrono::Utc>,
}

impl OauthProvider {
    fn new(app: &App, provider: Provider) -> Self {
        let callback_url = crate::oauth::flow::callback_url(app, &provider.id).into();
        let Provider { id, kind, name, enabled, client_id, has_secret, definition, created_at, updated_at } =
            provider;
        Self {
            id,
            kind,
            name,
            enabled,
            client_id,
            has_secret,
            callback_url,
            definition,
            created_at,
            updated_at,
        }
    }
}

/// All providers.
#[derive(Debug, Serialize, ToSchema)]
pub struct OauthProvidersResponse {
    /// In the order in which they are shown. There are never many.
    pub data: Vec<OauthProvider>,
}

/// A provider, described in full: what is left out is set to its default, except the secret, which stays.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PutOauthProviderRequest {
    /// A word for paths: lower-case letters, digits and hyphens.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,39}$")]
    pub id: String,
    /// Which rules it follows.
    pub kind: Kind,
    /// What to write on the button. Default: the id.
    #[schema(max_length = 60)]
    pub name: Option<String>,
    /// Whether people may sign in with it.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub enabled: bool,
    /// Who we are there.
    #[schema(max_length = 512)]
    pub client_id: String,
    /// Needed the first time, and again when kind, issuer or an address changes.
    #[schema(value_type = Option<String>)]
    pub client_secret: Option<SecretString>,
    /// The rest.
    #[serde(flatten)]
    #[schema(inline)]
    pub definition: Definition,
}

fn yes() -> bool {
    true
}

/// The members that are not part of the definition.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Columns {
    id: String,
    kind: Kind,
    name: Option<String>,
    #[serde(default = "yes")]
    enabled: bool,
    client_id: String,
    client_secret: Option<SecretString>,
}

const COLUMNS: [&str; 6] = ["id", "kind", "name", "enabled", "client_id", "client_secret"];

/// List the identity providers, without their secrets.
#[utoipa::path(get, path = "/v1/admin/oauth-providers", tag = "admin", security(("admin" = [])),
    responses((status = 200, body = OauthProvidersResponse)))]
pub async fn list(_: Admin, State(app): State<App>) -> Result<Json<OauthProvidersResponse>, Problem> {
    let providers = providers::list(&app).await?;
    let data = providers.into_iter().map(|provider| OauthProvider::new(&app, provider)).collect();
    Ok(Json(OauthProvidersResponse { data }))
}

/// Describe an identity provider, anew or for the first time.
///
/// What it publishes (discovery, keys) is read and checked before anything is kept. The secret is sealed and never
/// returned; it stays where none is given, unless kind, issuer or an address changes.
#[utoipa::path(put, path = "/v1/admin/oauth-providers", tag = "admin", security(("admin" = [])),
    responses((status = 200, body = OauthProvider)))]
pub async fn put(
    _: Admin,
    State(app): State<App>,
    client: Client,
    Json(body): Json<Value>,
) -> Result<Json<OauthProvider>, Problem> {
    let described = read(body)?;
    let provider = providers::put(&app, described, &client).await?;
    Ok(Json(OauthProvider::new(&app, provider)))
}

/// Delete an identity provider, with the identities that people have there.
///
/// To keep them, set `enabled` to `false` instead.
#[utoipa::path(delete, path = "/v1/admin/oauth-providers/{id}", tag = "admin", security(("admin" = [])),
    params(("id" = String, Path, description = "Its id.")),
    responses((status = 204, description = "It is gone.")))]
pub async fn remove(
    _: Admin,
    State(app): State<App>,
    client: Client,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    providers::delete(&app, &id, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn read(body: Value) -> Result<Described, Problem> {
    let Value::Object(members) = body else {
        return Err(Problem::invalid(vec![]).with_error("", "invalid_type", "must be an object"));
    };
    let (columns, definition): (Map<_, _>, Map<_, _>) =
        members.into_iter().partition(|(name, _)| COLUMNS.contains(&name.as_str()));
    let columns: Columns = json::decode(Value::Object(columns))?;
    let mut definition: Definition = json::decode(Value::Object(definition))?;
    let mut errors = FieldErrors::default();
    let name = columns.name.unwrap_or_else(|| columns.id.clone()).trim().to_owned();
    check::slug(&columns.id, &mut errors);
    check::name(&name, &mut errors);
    check::client_id(&columns.client_id, &mut errors);
    if columns.client_secret.as_ref().is_some_and(|secret| secret.expose_secret().is_empty()) {
        errors.push("/client_secret", "required", "must not be empty");
    }
    check::definition(columns.kind, &mut definition, &mut errors);
    errors.finish()?;
    let Columns { id, kind, enabled, client_id, client_secret, .. } = columns;
    Ok(Described { id, kind, name, enabled, client_id, client_secret, definition })
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::not_found(),
            Error::Changed => Self::new(
                StatusCode::CONFLICT,
                "provider_changed",
                "Somebody else has changed the provider meanwhile. Read it again, then repeat the change.",
            ),
            Error::Invalid(problem) => *problem,
            Error::Database(error) => error.into(),
        }
    }
}
