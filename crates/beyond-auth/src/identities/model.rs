//! What an identity is.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::ids::{IdentityId, UserId};

/// An account elsewhere, as its owner sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Identity {
    /// The row.
    pub id: IdentityId,
    /// Whose it is.
    #[serde(skip)]
    pub user_id: UserId,
    /// The provider, as it stands in paths.
    pub provider: String,
    /// The provider, as people call it.
    pub provider_name: String,
    /// Who says so.
    pub issuer: String,
    /// Who it is there.
    pub subject: String,
    /// The address, as the provider last said it.
    pub email: Option<String>,
    /// Whether the provider calls that address proven.
    pub email_verified: bool,
    /// The name there.
    pub name: Option<String>,
    /// A picture there.
    pub picture: Option<String>,
    /// When it was linked.
    pub created_at: DateTime<Utc>,
    /// When somebody last came in with it.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// What a provider has said about somebody.
#[derive(Clone, Copy, Debug)]
pub struct Profile<'a> {
    /// The provider's id.
    pub provider: &'a str,
    /// Who says so.
    pub issuer: &'a str,
    /// Who it is there.
    pub subject: &'a str,
    /// The address there.
    pub email: Option<&'a str>,
    /// Whether the provider calls that address proven.
    pub email_verified: bool,
    /// The name there.
    pub name: Option<&'a str>,
    /// A picture there.
    pub picture: Option<&'a str>,
}
