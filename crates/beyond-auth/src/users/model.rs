//! What a user is.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::platform::crypto::token::SecretHash;
use crate::platform::http::FieldErrors;
use crate::platform::ids::{OrganizationId, SessionId, UserId};

/// A user as the user sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct User {
    /// Stable for life.
    pub id: UserId,
    /// The primary address.
    pub email: Option<String>,
    /// Whether the primary address has been proven.
    pub email_verified: bool,
    /// Display name.
    pub name: Option<String>,
    /// The user's own free-form object.
    #[schema(value_type = Object)]
    pub metadata: Value,
    /// When the account was made.
    pub created_at: DateTime<Utc>,
    /// When the profile last changed.
    pub updated_at: DateTime<Utc>,
}

/// Whether a user may sign in now, by the database's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// May sign in.
    Good,
    /// Banned, and the ban has not expired.
    Banned,
}

/// Somebody who acts with a session.
#[derive(Clone, Copy, Debug)]
pub struct Holder {
    /// Who.
    pub user: UserId,
    /// With which session.
    pub session: SessionId,
    /// With which secret of it.
    pub secret_hash: SecretHash,
}

/// An organization that nobody else owns.
#[derive(Clone, Debug, Serialize)]
pub struct OwnedAlone {
    /// Which.
    pub id: OrganizationId,
    /// For people.
    pub name: String,
    /// Names it in addresses.
    pub slug: String,
}

/// Longest display name, in characters.
pub const NAME_LIMIT: usize = 200;
/// Largest metadata, in bytes of JSON.
pub const METADATA_LIMIT: usize = 8 * 1024;

/// A checked profile: what sign-up and profile changes may set.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// Trimmed; `None` when empty.
    pub name: Option<String>,
    /// At most [`METADATA_LIMIT`] bytes.
    pub metadata: Map<String, Value>,
}

/// Checks a display name: printable, of bounded length, `None` when nothing is left of it.
pub fn check_name(name: Option<&str>, errors: &mut FieldErrors) -> Option<String> {
    let name = name?.trim();
    if name.chars().count() > NAME_LIMIT {
        errors.push("/name", "too_long", format!("at most {NAME_LIMIT} characters"));
    }
    if name.chars().any(char::is_control) {
        errors.push("/name", "invalid_character", "must not contain control characters");
    }
    (!name.is_empty()).then(|| name.to_owned())
}

/// Checks the size of metadata.
pub fn check_metadata(metadata: &Map<String, Value>, errors: &mut FieldErrors) {
    let size = serde_json::to_vec(metadata).map_or(usize::MAX, |bytes| bytes.len());
    if size > METADATA_LIMIT {
        errors.push("/metadata", "too_large", format!("at most {METADATA_LIMIT} bytes of JSON"));
    }
}
