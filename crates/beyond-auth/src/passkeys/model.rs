//! What a passkey is to its owner, what a challenge is for, and what can go wrong.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::ceremony::{Known, Refusal};
use crate::platform::http::FieldErrors;
use crate::platform::ids::{AttemptId, ChallengeId, PasskeyId, SessionId, UserId};
use crate::sign_in;

/// Passkeys that one user may have.
pub const MOST_PASSKEYS: i64 = 20;
/// Longest name, in characters.
pub const NAME_LIMIT: usize = 100;

/// A passkey as its owner sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Passkey {
    /// Stable for life. Not the authenticator's own name for it.
    pub id: PasskeyId,
    /// The owner's own name for it.
    pub name: String,
    /// Whether it may be on more than one device.
    pub backup_eligible: bool,
    /// Whether it is, as of its last use.
    pub backed_up: bool,
    /// Whether it opens the door alone: its authenticator has verified its user. Otherwise it is a second factor.
    pub user_verified: bool,
    /// Whether browsers offer it without being told who signs in; `null` where the browser did not say.
    pub discoverable: Option<bool>,
    /// How browsers reach the authenticator: `internal`, `hybrid`, `usb`, `nfc`, `ble`, `smart-card`.
    pub transports: Vec<String>,
    /// Make of the authenticator, where it tells.
    pub aaguid: Option<Uuid>,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
    /// When it was last used.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A stored passkey as verifying an answer needs it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The row.
    pub id: PasskeyId,
    /// What the ceremony checks against.
    pub known: Known,
    /// Whether it may open the door alone.
    pub user_verified: bool,
}

impl Stored {
    /// As authentication method: a key that may leave its device is software-held, whatever holds it now (RFC 8176).
    pub fn amr(&self) -> &'static str {
        if self.known.backup_eligible { "swk" } else { "hwk" }
    }
}

/// What a challenge is for. It answers to nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Registering a passkey of this user.
    Registration(UserId),
    /// Signing in, whoever it is.
    SignIn,
    /// The second factor of this half-finished sign-in.
    SecondFactor(AttemptId),
    /// Stepping up this session.
    StepUp(SessionId),
}

impl Purpose {
    /// As stored.
    pub fn parts(self) -> (&'static str, Option<Uuid>) {
        match self {
            Self::Registration(user) => ("registration", Some(user.as_uuid())),
            Self::SignIn => ("sign_in", None),
            Self::SecondFactor(attempt) => ("second_factor", Some(attempt.as_uuid())),
            Self::StepUp(session) => ("step_up", Some(session.as_uuid())),
        }
    }
}

/// Options for the browser, with the challenge that they carry.
#[derive(Debug)]
pub struct Offer {
    /// To be sent back with the answer.
    pub challenge_id: ChallengeId,
    /// The challenge ends then.
    pub expires_at: DateTime<Utc>,
    /// For `navigator.credentials`.
    pub options: Value,
}

/// Checks a name that somebody gives to a passkey.
pub fn check_name(name: &str, errors: &mut FieldErrors) -> Option<String> {
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
    Some(name.to_owned())
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Passkeys are switched off for the project.
    #[error("passkeys are switched off")]
    Disabled,
    /// Unknown, expired, used, or made for something else.
    #[error("the challenge is not valid")]
    Challenge,
    /// The answer to a registration does not hold.
    #[error("the passkey is not valid: {0}")]
    Invalid(Refusal),
    /// Registered already, here or for somebody else.
    #[error("the passkey is registered already")]
    Taken,
    /// The user has as many as one may have.
    #[error("too many passkeys")]
    TooMany,
    /// There is no such passkey of this user.
    #[error("there is no such passkey")]
    NotFound,
    /// Without it nobody could sign in to the account any more.
    #[error("the last way in stays")]
    LastWayIn,
    /// The account has a second factor, and the session has not shown it.
    #[error("the second factor is due")]
    SecondFactorDue,
    /// The project asks for a second factor, and this is the last.
    #[error("the last second factor stays")]
    LastFactor,
    /// The account was banned or deleted meanwhile.
    #[error("the session has ended")]
    Ended,
    /// What signing in says.
    #[error(transparent)]
    SignIn(#[from] sign_in::Error),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}
