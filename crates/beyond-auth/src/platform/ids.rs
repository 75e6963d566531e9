//! Typed identifiers: one newtype per kind of row, so that a session's id cannot stand where a user's belongs.
//!
//! All are `UUIDv7` (RFC 9562 section 5.7): they sort by creation, which keeps index inserts at the right-hand
//! edge, and they give that time away, so an id alone must never be worth anything.

use std::time::SystemTime;

use uuid::Uuid;

use crate::platform::crypto::random;

/// Draws a `UUIDv7`: milliseconds since 1970, then 74 random bits from the operating system.
///
/// `Uuid::now_v7` is not used: it keeps a counter in the process to order ids within a millisecond, and a
/// resumed snapshot would go on from the same counter as its twin.
pub(crate) fn draw() -> Uuid {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
    uuid::Builder::from_unix_timestamp_millis(millis, &random::bytes::<10>()).into_uuid()
}

/// The text is not an identifier: 36 characters, hexadecimal, hyphenated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a UUID in hyphenated form")]
pub struct MalformedId;

/// Reads the hyphenated form only; `uuid` alone would also take braces, a URN or bare hexadecimal, and two
/// spellings of one id in paths and logs are one too many.
fn parse_hyphenated(text: &str) -> Result<Uuid, MalformedId> {
    if text.len() != uuid::fmt::Hyphenated::LENGTH {
        return Err(MalformedId);
    }
    Uuid::try_parse(text).map_err(|_| MalformedId)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        ///
        /// Written hyphenated and in lower case; stored as `uuid`.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, sqlx::Type, utoipa::ToSchema)]
        #[sqlx(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Draws a new one (`UUIDv7`).
            #[expect(clippy::new_without_default, reason = "a default that differs each time would surprise")]
            pub fn new() -> Self {
                Self(draw())
            }

            /// The bare UUID.
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0.as_hyphenated(), f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0.as_hyphenated())
            }
        }

        impl std::str::FromStr for $name {
            type Err = MalformedId;

            fn from_str(text: &str) -> Result<Self, MalformedId> {
                parse_hyphenated(text).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

ids! {
    /// A user.
    UserId;
    /// An email address of a user.
    EmailId;
    /// A session; also the id part of its token.
    SessionId;
    /// A half-finished sign-in; also the id part of its token.
    AttemptId;
    /// A second factor.
    FactorId;
    /// A pending verification of an address; also the id part of its token.
    VerificationId;
    /// A sign-in by mail that was asked for; also the id part of its tokens.
    MagicLinkId;
    /// A password reset that was asked for; also the id part of its token.
    PasswordResetId;
    /// A queued mail.
    OutboxId;
    /// An entry of the audit log.
    AuditEventId;
    /// One HTTP request, as written to logs and answered in `X-Request-Id`.
    RequestId;
    /// A key that signs JWTs.
    SigningKeyId;
    /// A JWT: its `jti`.
    JwtId;
    /// A refresh token; also the id part of its text.
    RefreshTokenId;
    /// All refresh tokens that descend from one sign-in.
    RefreshFamilyId;
    /// An API key; also the id part of its text.
    ApiKeyId;
    /// An organization.
    OrganizationId;
    /// A passkey.
    PasskeyId;
    /// A challenge that waits for a passkey's answer.
    ChallengeId;
    /// An account elsewhere.
    IdentityId;
    /// Somebody who is at a provider; also the id part of the state and of the browser's secret.
    OAuthFlowId;
    /// A one-time code of the last hop; also the id part of its text.
    OAuthCodeId;
    /// A role that an organization has made.
    OrganizationRoleId;
    /// An invitation into an organization; also the id part of its token.
    InvitationId;
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "01a2b3c4-d5e6-7f01-8a2b-3c4d5e6f7081";

    #[test]
    fn a_new_id_is_a_version_7_uuid_of_the_present() {
        let id = UserId::new().as_uuid();
        assert_eq!(id.get_version_num(), 7);
        let (seconds, _) = id.get_timestamp().unwrap().to_unix();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        assert!(now.abs_diff(seconds) <= 1);
        assert_ne!(UserId::new(), UserId::new());
    }

    #[test]
    fn an_id_is_written_hyphenated_and_read_back() {
        let id: SessionId = TEXT.parse().unwrap();
        assert_eq!(id.to_string(), TEXT);
        assert_eq!(format!("{id:?}"), format!("SessionId({TEXT})"));
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{TEXT}\""));
        assert_eq!(serde_json::from_str::<SessionId>(&json).unwrap(), id);
    }

    #[test]
    fn other_spellings_of_a_uuid_are_refused() {
        let bare = TEXT.replace('-', "");
        for text in ["", &bare, &format!("{{{TEXT}}}"), &format!("urn:uuid:{TEXT}"), "not an id"] {
            assert_eq!(text.parse::<UserId>(), Err(MalformedId), "{text}");
        }
        assert!(serde_json::from_str::<UserId>(&format!("\"{bare}\"")).is_err());
    }

    #[test]
    fn the_schema_says_uuid() {
        let schema = serde_json::to_value(<UserId as utoipa::PartialSchema>::schema()).unwrap();
        assert_eq!(schema["type"], "string");
        assert_eq!(schema["format"], "uuid");
    }
}
