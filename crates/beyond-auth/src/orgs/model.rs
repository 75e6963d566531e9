//! What an organization is, how it is named, and what can go wrong.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::permissions::{Permission, Role};
use super::policy::Policy;
use crate::platform::http::FieldErrors;
use crate::platform::http::fields::InvalidField;
use crate::platform::ids::{InvitationId, OrganizationId, UserId};
use crate::platform::limits::Decision;
use crate::sessions::model::Stale;

/// Longest name, in characters.
pub const NAME_LIMIT: usize = 100;
/// Longest slug.
pub const SLUG_LIMIT: usize = 63;
/// Largest metadata, in bytes of JSON. A whole body has as many.
pub const METADATA_LIMIT: usize = 16 * 1024;
/// Roles that one organization may make.
pub const MOST_ROLES: i64 = 50;

/// An organization as a member sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Organization {
    /// Stable for life.
    pub id: OrganizationId,
    /// For people.
    pub name: String,
    /// Names it in addresses; may change.
    pub slug: String,
    /// Free-form object, to be read by every member.
    #[schema(value_type = Object)]
    pub metadata: Value,
    /// What it asks of whoever acts for it.
    pub policy: Policy,
    /// One's own role.
    pub role: String,
    /// What one's own role holds; `app:*` stands for every permission of the application's own.
    pub permissions: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When name, slug, metadata or policy last changed.
    pub updated_at: DateTime<Utc>,
}

/// An organization with the asking member's role in it.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The organization.
    pub id: OrganizationId,
    /// For people.
    pub name: String,
    /// Names it in addresses.
    pub slug: String,
    /// Free-form.
    pub metadata: Value,
    /// What it asks of whoever acts for it.
    pub policy: Policy,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// The member's.
    pub role: Role,
}

impl From<Membership> for Organization {
    fn from(of: Membership) -> Self {
        Self {
            id: of.id,
            name: of.name,
            slug: of.slug,
            metadata: of.metadata,
            policy: of.policy,
            permissions: of.role.grants.names(),
            role: of.role.name,
            created_at: of.created_at,
            updated_at: of.updated_at,
        }
    }
}

/// A member as other members see one.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Member {
    /// Who.
    pub user_id: UserId,
    /// Display name.
    pub name: Option<String>,
    /// The primary address.
    pub email: Option<String>,
    /// The member's role.
    pub role: String,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// A role as members see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = OrganizationRole)]
pub struct ListedRole {
    /// What people and programs call it.
    pub name: String,
    /// What it is for, in the organization's words.
    pub description: Option<String>,
    /// What it holds; `app:*` stands for every permission of the application's own.
    pub permissions: Vec<String>,
    /// Whether every organization has it. It cannot be changed then.
    pub built_in: bool,
    /// When it was made; `null` for those that were always there.
    pub created_at: Option<DateTime<Utc>>,
}

/// An invitation as members see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = OrganizationInvitation)]
pub struct Invitation {
    /// Worth nothing by itself.
    pub id: InvitationId,
    /// Whom.
    pub email: String,
    /// As what.
    pub role: String,
    /// Who invited, or sent it again last; `null` when deleted since.
    pub invited_by: Option<UserId>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Not accepted from then on, unless it is sent again.
    pub expires_at: DateTime<Utc>,
}

/// An organization as somebody sees it who does not belong to it yet.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InvitingOrganization {
    /// For people.
    pub name: String,
    /// Names it in addresses.
    pub slug: String,
}

/// An invitation as whoever is invited sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReceivedInvitation {
    /// Worth nothing by itself.
    pub id: InvitationId,
    /// Into which organization.
    pub organization: InvitingOrganization,
    /// Where the mail went: whoever accepts has proven this address.
    pub email: String,
    /// As what.
    pub role: String,
    /// The address of whoever invites; `null` when deleted since.
    pub invited_by: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Not accepted from then on.
    pub expires_at: DateTime<Utc>,
}

/// Names an organization in addresses: lower-case letters, digits and single hyphens within.
///
/// One spelling each: what is written otherwise is refused, not mended, so that no two texts that look alike lead to
/// the same or to different organizations. Nothing that could be read as an id is a slug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slug(String);

/// The text is not a slug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be 1 to {SLUG_LIMIT} lower-case letters, digits and single hyphens within, and must not look like an id"
)]
pub struct InvalidSlug;

impl InvalidField for InvalidSlug {
    fn code(&self) -> &'static str {
        "invalid_slug"
    }

    fn detail(&self) -> String {
        self.to_string()
    }
}

impl Slug {
    /// Reads the one spelling.
    pub fn parse(text: &str) -> Result<Self, InvalidSlug> {
        let plain = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        let fits = text.len() <= SLUG_LIMIT && text.split('-').all(plain);
        if fits && !looks_like_an_id(text) { Ok(Self(text.to_owned())) } else { Err(InvalidSlug) }
    }

    /// One made of a name, where somebody does not care.
    pub fn suggest(name: &str) -> Self {
        let mut slug = String::new();
        for c in name.chars() {
            match c.to_ascii_lowercase() {
                c @ ('a'..='z' | '0'..='9') => slug.push(c),
                _ if !slug.is_empty() && !slug.ends_with('-') => slug.push('-'),
                _ => {}
            }
        }
        slug.truncate(40);
        Self::parse(slug.trim_matches('-')).unwrap_or_else(|_| Self("organization".to_owned()))
    }

    /// The same with something behind that nobody else has.
    #[must_use]
    pub fn with_suffix(&self, suffix: &str) -> Self {
        let base: String = self.0.chars().take(40).collect();
        Self(format!("{}-{suffix}", base.trim_end_matches('-')))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether somebody could take it for a UUID in one of its spellings.
fn looks_like_an_id(text: &str) -> bool {
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
    digits.len() == 32 && digits.iter().all(u8::is_ascii_hexdigit)
}

/// `{org}` in an address: an id or a slug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrganizationRef {
    /// By id.
    Id(OrganizationId),
    /// By slug.
    Slug(Slug),
}

impl FromStr for OrganizationRef {
    type Err = InvalidSlug;

    fn from_str(text: &str) -> Result<Self, InvalidSlug> {
        match text.parse() {
            Ok(id) => Ok(Self::Id(id)),
            Err(_) => Slug::parse(text).map(Self::Slug),
        }
    }
}

/// `{user}` in an address: an id, or `me`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberRef {
    /// Whoever asks.
    Me,
    /// By id.
    User(UserId),
}

impl FromStr for MemberRef {
    type Err = crate::platform::ids::MalformedId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "me" { Ok(Self::Me) } else { text.parse().map(Self::User) }
    }
}

macro_rules! from_text {
    ($($name:ident)+) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}
from_text!(OrganizationRef MemberRef);

/// Checks the name of an organization. It goes into mails to people who have not asked for them, so it must not carry
/// a link.
pub fn check_name(name: &str, errors: &mut FieldErrors) -> String {
    let name = name.trim();
    if name.is_empty() {
        errors.push("/name", "required", "must not be empty");
    }
    if name.chars().count() > NAME_LIMIT {
        errors.push("/name", "too_long", format!("at most {NAME_LIMIT} characters"));
    }
    let lowered = name.to_ascii_lowercase();
    if name.chars().any(char::is_control) || lowered.contains("://") || lowered.contains("www.") {
        errors.push("/name", "invalid_character", "must not contain control characters or links");
    }
    name.to_owned()
}

/// Checks the size of metadata.
pub fn check_metadata(metadata: &Map<String, Value>, errors: &mut FieldErrors) {
    let size = serde_json::to_vec(metadata).map_or(usize::MAX, |bytes| bytes.len());
    if size > METADATA_LIMIT {
        errors.push("/metadata", "too_large", format!("at most {METADATA_LIMIT} bytes of JSON"));
    }
}

/// Checks the name of a role that an organization makes.
pub fn check_role_name(name: &str, errors: &mut FieldErrors) -> String {
    let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    let fits = (1..=SLUG_LIMIT).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(rest);
    if !fits || name == "me" || super::permissions::BUILT_IN.contains(&name) {
        let what =
            "must be lower-case letters, digits, _ and -, begin with a letter, and name no built-in role";
        errors.push("/name", "invalid_role_name", what);
    }
    name.to_owned()
}

/// Checks what a role is for.
pub fn check_description(description: Option<&str>, errors: &mut FieldErrors) -> Option<String> {
    let description = description?.trim();
    if description.chars().count() > 200 {
        errors.push("/description", "too_long", "at most 200 characters");
    }
    if description.chars().any(char::is_control) {
        errors.push("/description", "invalid_character", "must not contain control characters");
    }
    (!description.is_empty()).then(|| description.to_owned())
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such thing, or the caller is not to know that there is.
    #[error("there is no such organization, member, role or invitation")]
    NotFound,
    /// The session has ended meanwhile.
    #[error("the session has ended")]
    Ended,
    /// The caller's role does not hold it.
    #[error("the role does not hold {}", .0.name())]
    Forbidden(Permission),
    /// It would give, change or take away more than the caller's own role holds.
    #[error("the other role holds more than one's own")]
    Exceeds,
    /// The organization asks for two factors, and the session has shown one.
    #[error("the organization asks for a second factor")]
    Assurance,
    /// The organization does not count the way that the session was signed in.
    #[error("the organization asks for another way of signing in")]
    Method(Vec<String>),
    /// Somebody without a proven address cannot answer for an organization.
    #[error("the address is not proven")]
    Unproven,
    /// Another organization has the slug.
    #[error("the slug is taken")]
    SlugTaken,
    /// An organization always has an owner.
    #[error("the last owner stays")]
    LastOwner,
    /// The organization has a role of that name.
    #[error("the role is there already")]
    RoleTaken,
    /// Members hold the role.
    #[error("the role is held by members")]
    RoleInUse,
    /// The organization has as many roles as it may.
    #[error("too many roles")]
    TooManyRoles,
    /// There is no role of that name to be given.
    #[error("there is no such role")]
    UnknownRole,
    /// The person belongs to the organization already.
    #[error("the person is a member already")]
    AlreadyMember,
    /// The address is invited already.
    #[error("the address is invited already")]
    AlreadyInvited,
    /// Malformed, unknown, expired, superseded, cancelled, spent, or nobody stands behind it any more: one answer for
    /// all.
    #[error("the invitation is not valid")]
    InvalidInvitation,
    /// The invitation went to an address that is not proven to be the caller's.
    #[error("the invitation is for another address")]
    OtherAddress,
    /// The session acts as somebody else, who has to do this in person.
    #[error("an impersonated session accepts and hands over nothing")]
    Impersonated,
    /// A credential has to be presented again first.
    #[error(transparent)]
    Stale(#[from] Stale),
    /// Too many at once.
    #[error("too many attempts")]
    Limited(Decision),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl fmt::Display for OrganizationRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Slug(slug) => f.write_str(slug.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_has_one_spelling() {
        for text in ["acme", "a", "7", "acme-2", "a-b-c", "0198"] {
            assert_eq!(Slug::parse(text).unwrap().as_str(), text);
        }
        let long = "a".repeat(64);
        for text in [
            "",
            "-",
            "Acme",
            "acme ",
            " acme",
            "-acme",
            "acme-",
            "a--b",
            "a_b",
            "a.b",
            "a/b",
            "..",
            "ac\u{e9}",
            "\u{430}cme",
            "acme\u{200b}",
            "01a2b3c4-d5e6-7f01-8a2b-3c4d5e6f7081",
            "01a2b3c4d5e67f018a2b3c4d5e6f7081",
            "01a2b3c4d5e67f01-8a2b3c4d5e6f7081",
            "deadbeef-dead-beef-dead-beefdeadbeef",
            long.as_str(),
        ] {
            assert_eq!(Slug::parse(text), Err(InvalidSlug), "{text:?}");
        }
    }

    #[test]
    fn a_name_suggests_a_slug() {
        for (name, slug) in [
            ("Acme, Inc.", "acme-inc"),
            ("  --  ", "organization"),
            ("Ünïcode", "n-code"),
            ("日本", "organization"),
            ("01A2B3C4-d5e6-7f01-8a2b-3c4d5e6f7081", "organization"),
        ] {
            assert_eq!(Slug::suggest(name).as_str(), slug);
        }
        let long = Slug::suggest(&"ab ".repeat(60));
        assert!(Slug::parse(long.with_suffix("x1y2z3").as_str()).is_ok());
    }

    #[test]
    fn an_address_names_an_organization_by_id_or_slug() {
        let id = "01a2b3c4-d5e6-7f01-8a2b-3c4d5e6f7081";
        assert!(matches!(id.parse(), Ok(OrganizationRef::Id(_))));
        assert!(matches!("acme".parse(), Ok(OrganizationRef::Slug(_))));
        assert!("Acme".parse::<OrganizationRef>().is_err());
        assert_eq!("me".parse(), Ok(MemberRef::Me));
        assert!("Me".parse::<MemberRef>().is_err());
    }
}
