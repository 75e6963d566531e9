//! What a provider is, as the operator has described it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Which rules a provider follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = OauthProviderKind)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// GitHub and GitHub Enterprise: OAuth 2 without identity tokens.
    Github,
    /// Google accounts.
    Google,
    /// Sign in with Apple.
    Apple,
    /// Microsoft accounts and Entra ID.
    Microsoft,
    /// Anything that speaks OpenID Connect.
    Oidc,
}

impl Kind {
    /// As it is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Google => "google",
            Self::Apple => "apple",
            Self::Microsoft => "microsoft",
            Self::Oidc => "oidc",
        }
    }

    /// Reads the stored word.
    pub fn of(name: &str) -> Option<Self> {
        let all = [Self::Github, Self::Google, Self::Apple, Self::Microsoft, Self::Oidc];
        all.into_iter().find(|kind| kind.name() == name)
    }
}

/// When somebody unknown is taken for the owner of an existing account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = OauthLinkPolicy)]
#[serde(rename_all = "snake_case")]
pub enum LinkPolicy {
    /// Where the provider is trusted with addresses, says that the address is proven, and the account has proven it.
    VerifiedEmail,
    /// Never: people sign in otherwise and link the account themselves.
    #[default]
    Never,
}

/// How the service proves who it is at the token endpoint (RFC 6749 §2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = OauthTokenAuth)]
#[serde(rename_all = "snake_case")]
pub enum TokenAuth {
    /// In the `Authorization` header.
    ClientSecretBasic,
    /// In the form.
    ClientSecretPost,
    /// Not at all: a public client.
    None,
}

/// By which names a provider calls what we want to know. The subject has no other name than `sub`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = OauthClaimNames)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimNames {
    /// The address.
    pub email: String,
    /// Whether it is proven: counts only as the JSON value `true`, in the document that holds the address.
    pub email_verified: String,
    /// The name.
    pub name: String,
    /// The URL of a picture.
    pub picture: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        let own = str::to_owned;
        Self {
            email: own("email"),
            email_verified: own("email_verified"),
            name: own("name"),
            picture: own("picture"),
        }
    }
}

/// What the operator says about a provider, beside what stands in columns. Never a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = OauthProviderDefinition)]
#[serde(default, deny_unknown_fields)]
pub struct Definition {
    /// The issuer, exactly as the provider writes it. Required for `oidc`.
    pub issuer: Option<String>,
    /// In place of what discovery says or the kind knows; likewise the following.
    pub authorization_endpoint: Option<String>,
    /// Where codes are exchanged.
    pub token_endpoint: Option<String>,
    /// Where claims are read with an access token.
    pub userinfo_endpoint: Option<String>,
    /// Where addresses are read (`github`).
    pub emails_endpoint: Option<String>,
    /// Where keys are.
    pub jwks_uri: Option<String>,
    /// Where tokens are revoked.
    pub revocation_endpoint: Option<String>,
    /// `null`: those of the kind.
    pub scopes: Option<Vec<String>>,
    /// Further parameters of the authorization request; those of the protocol cannot be set.
    pub authorize_params: BTreeMap<String, String>,
    /// Further client ids (native apps) whose identity tokens are taken.
    pub audiences: Vec<String>,
    /// `null`: what discovery offers.
    pub token_auth: Option<TokenAuth>,
    /// Names of claims.
    pub claims: ClaimNames,
    /// Whether addresses that the provider calls proven count as proven here.
    pub trust_email: bool,
    /// When somebody unknown is taken for the owner of an existing account.
    pub link_policy: LinkPolicy,
    /// Whether somebody unknown gets an account (and `sign_up.enabled` of the settings).
    pub allow_sign_up: bool,
    /// Only people with a proven address in one of these domains come in; empty: all.
    pub allowed_domains: Vec<String>,
    /// Keep the provider's tokens, sealed, for `POST /v1/users/me/identities/{id}/access-tokens`.
    pub keep_tokens: bool,
    /// The directory (`microsoft`): an id, a domain, `common`, `organizations` or `consumers`.
    pub tenant: Option<String>,
    /// The developer team (`apple`).
    pub team_id: Option<String>,
    /// The team's key (`apple`).
    pub key_id: Option<String>,
}

impl Definition {
    /// What was stored; members that a newer version wrote and this one does not know are passed over.
    pub fn stored(mut value: Value) -> Self {
        if let (Some(members), Ok(Value::Object(known))) =
            (value.as_object_mut(), serde_json::to_value(Self::default()))
        {
            members.retain(|name, _| known.contains_key(name));
        }
        serde_json::from_value(value).unwrap_or_default()
    }
}

/// Whether a text can be a provider's id: a word for paths.
pub fn is_id(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=40).contains(&text.len())
        && text.bytes().all(|byte| letter(byte) || byte == b'-')
        && !text.starts_with('-')
}

/// A provider. Its secret stays in the database until it is needed.
#[derive(Clone, Debug)]
pub struct Provider {
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
    /// Whether there is a secret.
    pub has_secret: bool,
    /// The rest.
    pub definition: Definition,
    /// When it was first described.
    pub created_at: DateTime<Utc>,
    /// When it was last described.
    pub updated_at: DateTime<Utc>,
}
