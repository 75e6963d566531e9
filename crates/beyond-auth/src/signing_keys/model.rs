//! What a signing key is, stored and shown.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::ids::SigningKeyId;

/// How long verifiers may keep the JWKS, as its `Cache-Control` says.
pub const JWKS_MAX_AGE: Duration = Duration::from_hours(1);
/// A key is published this long before it signs: whoever fetched the JWKS just before knows the key in time.
pub const PUBLISH_LEAD: Duration = Duration::from_hours(2);
/// A key stays published this long after it stopped signing: the longest life that `jwt.lifetime_seconds` allows, and
/// a minute for clocks that differ.
pub const LINGER: Duration = Duration::from_mins(61);

/// Where a key is in its life, by the database's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum State {
    /// Published, signs later.
    Next,
    /// Signs.
    Active,
    /// Signs no more; tokens that it signed are still accepted.
    Retired,
    /// Every token that it signed has expired; no longer published.
    Expired,
    /// Taken out of service by the operator; no longer published.
    Removed,
}

/// A signing key, without its private half.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = SigningKey)]
pub struct Listed {
    /// Names the key in the header of a JWT and in the JWKS.
    pub kid: String,
    /// `EdDSA`.
    pub algorithm: String,
    /// Where it is in its life.
    pub state: State,
    /// When it was made, and published.
    pub created_at: DateTime<Utc>,
    /// When it began or will begin to sign.
    pub activates_at: DateTime<Utc>,
    /// When its successor took over or will.
    pub retires_at: Option<DateTime<Utc>>,
    /// When it was taken out of service.
    pub removed_at: Option<DateTime<Utc>>,
}

/// The key that signs now.
#[derive(Debug)]
pub struct Active {
    /// Its row, to which the private half is bound.
    pub id: SigningKeyId,
    /// The sealed private half.
    pub sealed_private: Vec<u8>,
    /// The database's time, in whole seconds since 1970.
    pub now: i64,
    /// Whether it is time to publish the next key.
    pub due: bool,
}
