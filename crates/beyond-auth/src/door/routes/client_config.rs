//! `GET /v1/client-config`: what a login page needs to know before anybody has signed in.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::oauth::{self, Kind};
use crate::platform::crypto::password::MAX_LENGTH;
use crate::platform::http::{Json, Problem};
use crate::settings::model::{Branding, Mfa, Settings};

/// What a login page offers.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClientConfigResponse {
    /// Ways of signing in.
    pub methods: Methods,
    /// Whether there is anything to sign up for.
    pub sign_up: SignUpConfig,
    /// Second factors.
    pub mfa: Mfa,
    /// Identity providers, in the order to show them.
    pub providers: Vec<Provider>,
    /// What a new password has to be like; `POST /v1/password-checks` judges one.
    pub password: PasswordConfig,
    /// How pages look.
    pub branding: Branding,
    /// Origins that a page may send people back to.
    pub allowed_origins: Vec<String>,
}

/// Which ways of signing in are switched on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EnabledMethods)]
pub struct Methods {
    /// Address and password.
    pub password: bool,
    /// Mailed link or code.
    pub magic_link: bool,
    /// Passkeys.
    pub passkeys: bool,
}

/// Whether strangers may make an account.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignUpConfig {
    /// `false`: by the operator only.
    pub enabled: bool,
    /// Whether an address must be proven before its account can be used.
    pub require_verification: bool,
}

/// An identity provider to offer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ClientProvider)]
pub struct Provider {
    /// As it stands in `/v1/oauth/{provider}/authorize`.
    pub id: String,
    /// Which rules it follows: for a picture on the button.
    pub kind: Kind,
    /// What to write on the button.
    pub name: String,
}

/// Bounds of a password, in Unicode code points.
#[derive(Debug, Serialize, ToSchema)]
pub struct PasswordConfig {
    /// Shortest.
    pub min_length: u32,
    /// Longest.
    pub max_length: usize,
}

impl ClientConfigResponse {
    /// As settings and providers are now.
    pub async fn load(app: &App) -> Result<Self, sqlx::Error> {
        let mut conn = app.db.acquire().await?;
        let settings = crate::settings::load(&mut conn).await?;
        let providers = oauth::providers::enabled(&mut conn).await?;
        Ok(Self::new(settings, providers))
    }

    /// Of settings and enabled providers.
    pub fn new(settings: Settings, providers: Vec<oauth::Provider>) -> Self {
        let Settings { password, magic_link, passkeys, sign_up, mfa, branding, allowed_origins, .. } =
            settings;
        Self {
            methods: Methods {
                password: password.enabled,
                magic_link: magic_link.enabled,
                passkeys: passkeys.enabled,
            },
            sign_up: SignUpConfig {
                enabled: sign_up.enabled,
                require_verification: sign_up.require_verification,
            },
            mfa,
            providers: providers
                .into_iter()
                .map(|oauth::Provider { id, kind, name, .. }| Provider { id, kind, name })
                .collect(),
            password: PasswordConfig { min_length: password.min_length, max_length: MAX_LENGTH },
            branding,
            allowed_origins,
        }
    }
}

/// What login pages need to know.
///
/// Enabled methods, password bounds, branding. Nothing in it is secret, and it says the same to everybody.
#[utoipa::path(get, path = "/v1/client-config", tag = "operations",
    responses((status = 200, body = ClientConfigResponse)))]
pub async fn client_config(State(app): State<App>) -> Result<Json<ClientConfigResponse>, Problem> {
    Ok(Json(ClientConfigResponse::load(&app).await?))
}
