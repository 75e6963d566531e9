//! What an API key is, stored and shown.

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::scopes::Scopes;
use crate::orgs;
use crate::platform::db::coalesce;
use crate::platform::http::{FieldErrors, Problem};
use crate::platform::ids::{ApiKeyId, OrganizationId, UserId};
use crate::platform::limits::Decision;

/// Keys that one owner may have.
pub const MOST_KEYS: i64 = 100;
/// Longest name, in characters.
pub const NAME_LIMIT: usize = 100;
/// Largest metadata, in bytes of JSON: every introspection carries it.
pub const METADATA_LIMIT: usize = 4 * 1024;
/// The older secret goes on this long after a rotation, where nothing is said.
pub const DEFAULT_OVERLAP: Duration = Duration::from_hours(24);
/// The longest that two secrets may live side by side.
pub const LONGEST_OVERLAP: Duration = Duration::from_hours(30 * 24);

/// Whose a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "type", content = "id", rename_all = "snake_case")]
#[schema(as = ApiKeyOwner)]
pub enum Owner {
    /// A person's.
    User(UserId),
    /// An organization's.
    Organization(OrganizationId),
    /// The project's own: made by the operator.
    Project,
}

impl Owner {
    /// As stored.
    pub fn parts(self) -> (Option<UserId>, Option<OrganizationId>) {
        match self {
            Self::User(id) => (Some(id), None),
            Self::Organization(id) => (None, Some(id)),
            Self::Project => (None, None),
        }
    }

    /// From what is stored.
    pub fn of_stored(user: Option<UserId>, organization: Option<OrganizationId>) -> Self {
        match (user, organization) {
            (Some(id), _) => Self::User(id),
            (None, Some(id)) => Self::Organization(id),
            (None, None) => Self::Project,
        }
    }
}

/// How often a key may be used. Counted where it is presented, over all instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Uses allowed: 1 to 1,000,000.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub requests: u32,
    /// In so many seconds, which begin with the first use: 1 to 86,400.
    #[schema(minimum = 1, maximum = 86_400)]
    pub per_seconds: u32,
}

impl RateLimit {
    /// As stored.
    pub fn parts(self) -> (i32, i32) {
        let stored = |number| i32::try_from(number).unwrap_or(i32::MAX);
        (stored(self.requests), stored(self.per_seconds))
    }

    /// From what is stored.
    pub fn of_stored(requests: Option<i32>, seconds: Option<i32>) -> Option<Self> {
        let (requests, per_seconds) = (u32::try_from(requests?).ok()?, u32::try_from(seconds?).ok()?);
        Some(Self { requests, per_seconds })
    }

    fn check(self, errors: &mut FieldErrors) {
        for (pointer, number, most) in [
            ("/rate_limit/requests", self.requests, 1_000_000),
            ("/rate_limit/per_seconds", self.per_seconds, 86_400),
        ] {
            if !(1..=most).contains(&number) {
                errors.push(pointer, "out_of_range", format!("must be from 1 to {most}"));
            }
        }
    }
}

/// An API key as its owner sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ApiKey {
    /// Also the id part of the key; worth nothing by itself.
    pub id: ApiKeyId,
    /// Whose it is.
    pub owner: Owner,
    /// Who made it; `null` for the operator, and for somebody deleted since.
    pub created_by: Option<UserId>,
    /// For people.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Free-form object, part of every introspection.
    #[schema(value_type = Object)]
    pub metadata: Value,
    /// How often it may be used; `null`: as often as it is.
    pub rate_limit: Option<RateLimit>,
    /// Opens nothing from then on; `null`: never ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// The secret from before the last rotation opens as well until then.
    pub previous_expires_at: Option<DateTime<Utc>>,
    /// Last use, exact to a minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed or rotated.
    pub updated_at: DateTime<Utc>,
}

/// A key with its secret, which is shown once.
#[derive(Debug)]
pub struct Issued {
    /// The key.
    pub key: ApiKey,
    /// Its text.
    pub text: SecretString,
}

/// A key that was presented and lived when the database looked.
#[derive(Clone, Debug)]
pub struct Key {
    /// Which.
    pub id: ApiKeyId,
    /// Whose.
    pub owner: Owner,
    /// For people.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// Free-form.
    pub metadata: Value,
    /// How often it may be used.
    pub rate_limit: Option<RateLimit>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Whether the last use is old enough to be written again.
    pub stale: bool,
}

/// A key that somebody wants to make.
#[derive(Debug)]
pub struct Wish {
    /// For people.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// Free-form.
    pub metadata: Map<String, Value>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// How often it may be used.
    pub rate_limit: Option<RateLimit>,
}

impl Wish {
    /// Checks what was asked for.
    pub fn check(
        name: &str,
        scopes: Vec<String>,
        metadata: Option<Map<String, Value>>,
        expires_at: Option<DateTime<Utc>>,
        rate_limit: Option<RateLimit>,
    ) -> Result<Self, Problem> {
        let mut errors = FieldErrors::default();
        let name = check_name(name, &mut errors);
        let scopes = Scopes::parse(scopes, &mut errors);
        check_rest(metadata.as_ref(), rate_limit, &mut errors);
        errors.finish()?;
        Ok(Self { name, scopes, metadata: metadata.unwrap_or_default(), expires_at, rate_limit })
    }
}

/// A change of a key; what is `None` stays, `Some(None)` clears.
#[derive(Debug, Default)]
pub struct Change {
    /// For people.
    pub name: Option<String>,
    /// All that it may do.
    pub scopes: Option<Scopes>,
    /// Replaces the whole object.
    pub metadata: Option<Map<String, Value>>,
    /// When it ends.
    pub expires_at: Option<Option<DateTime<Utc>>>,
    /// How often it may be used.
    pub rate_limit: Option<Option<RateLimit>>,
}

/// Checks a key's name.
pub fn check_name(name: &str, errors: &mut FieldErrors) -> String {
    let name = name.trim();
    if name.is_empty() {
        errors.push("/name", "required", "must not be empty");
    }
    if name.chars().count() > NAME_LIMIT {
        errors.push("/name", "too_long", format!("at most {NAME_LIMIT} characters"));
    }
    if name.chars().any(char::is_control) {
        errors.push("/name", "invalid_character", "must not contain control characters");
    }
    name.to_owned()
}

/// Checks what else a key is made of.
pub fn check_rest(
    metadata: Option<&Map<String, Value>>,
    rate_limit: Option<RateLimit>,
    errors: &mut FieldErrors,
) {
    let size =
        metadata.map_or(0, |metadata| serde_json::to_vec(metadata).map_or(usize::MAX, |bytes| bytes.len()));
    if size > METADATA_LIMIT {
        errors.push("/metadata", "too_large", format!("at most {METADATA_LIMIT} bytes of JSON"));
    }
    if let Some(limit) = rate_limit {
        limit.check(errors);
    }
}

/// Why nothing came of managing keys.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such key, or the caller is not to know that there is.
    #[error("there is no such API key")]
    NotFound,
    /// The session has ended meanwhile.
    #[error("the session has ended")]
    Ended,
    /// The session acts as somebody else, who is not to be left with a key of that one's.
    #[error("an impersonated session makes no keys")]
    Impersonated,
    /// The organization does not let the caller.
    #[error(transparent)]
    Organization(#[from] orgs::Error),
    /// The caller does not hold this scope.
    #[error("the scope {0} is not the caller's to give")]
    Exceeds(String),
    /// The owner has as many keys as one may have.
    #[error("too many API keys")]
    TooMany,
    /// It would end before it began.
    #[error("the end does not lie ahead")]
    Past,
    /// The secret from before the last rotation still lives; a third would end it before its time.
    #[error("the last rotation still overlaps")]
    Overlaps,
    /// Too many at once.
    #[error("too many attempts")]
    Limited(Decision),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Why a presented key opens nothing.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Malformed, unknown, expired, revoked, or its owner is banned: one answer for all.
    #[error("the API key is not valid")]
    Invalid,
    /// It has been used as often as it may.
    #[error("the API key is used too often")]
    Limited(Decision),
    /// The database did not answer; nothing is known about the key.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The lookup was not answered; nothing is known about the key.
    #[error(transparent)]
    Lookup(#[from] coalesce::Error),
}
