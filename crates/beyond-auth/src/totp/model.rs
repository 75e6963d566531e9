//! What a second factor is, and what can be presented of one.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::platform::crypto::recovery_code::RecoveryCode;
use crate::platform::crypto::totp::TotpCode;
use crate::platform::http::FieldErrors;
use crate::platform::ids::FactorId;
use crate::platform::limits::Decision;
use crate::sign_in;

/// Authenticator apps that one account may have.
pub const MAX_FACTORS: i64 = 5;
/// Recovery codes in a set.
pub const RECOVERY_CODES: usize = 10;
/// Longest name of a factor, in characters.
pub const NAME_LIMIT: usize = 100;

/// A factor as its owner sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FactorRow {
    /// The factor.
    pub id: FactorId,
    /// Always `totp`: passkeys have a list of their own.
    #[serde(rename = "type")]
    #[schema(rename = "type")]
    pub kind: Kind,
    /// The owner's own name for the device.
    pub name: Option<String>,
    /// Whether a code has proven the enrolment. Until then it is no factor.
    pub active: bool,
    /// When it was enrolled.
    pub created_at: DateTime<Utc>,
    /// When it became a factor.
    pub activated_at: Option<DateTime<Utc>>,
    /// When a code of it was last accepted.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Which kind of factor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Codes from an authenticator app.
    #[default]
    Totp,
}

/// A factor that was just enrolled, with what the device needs to know; shown once.
#[derive(Debug)]
pub struct Enrolled {
    /// The factor; not active yet.
    pub id: FactorId,
    /// The owner's own name for the device.
    pub name: Option<String>,
    /// The seed, for typing.
    pub secret: SecretString,
    /// The seed, for scanning.
    pub uri: SecretString,
    /// The picture to scan.
    pub qr_svg: SecretString,
}

/// A factor that a code has just proven.
#[derive(Debug)]
pub struct Activated {
    /// The factor.
    pub factor: FactorRow,
    /// Shown once; empty where the account has some already.
    pub recovery_codes: Vec<SecretString>,
}

/// What somebody presents as a second factor.
#[derive(Clone, Debug)]
pub enum Code {
    /// From an authenticator app.
    Totp(TotpCode),
    /// From the list.
    Recovery(RecoveryCode),
}

impl Code {
    /// Reads either kind: six digits, or the sixteen characters of a recovery code.
    pub fn parse(text: &str) -> Option<Self> {
        TotpCode::parse(text).map(Self::Totp).or_else(|| RecoveryCode::parse(text).map(Self::Recovery))
    }

    /// The method, as sessions carry it.
    pub fn amr(&self) -> &'static str {
        match self {
            Self::Totp(_) => "otp",
            Self::Recovery(_) => "recovery_code",
        }
    }
}

/// Checks a factor's name: printable, of bounded length, `None` when nothing is left of it.
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

/// Why an account's factors were not changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such factor.
    #[error("there is no such factor")]
    NotFound,
    /// It has been proven already.
    #[error("the factor is active already")]
    Active,
    /// There are as many as an account may have.
    #[error("the account has as many factors as it may")]
    TooMany,
    /// The project asks for one and it is the last.
    #[error("the project asks for a second factor and this is the last")]
    Last,
    /// Recovery codes are for accounts that have a factor.
    #[error("the account has no second factor")]
    None,
    /// The account has a second factor, and the session has not proven it.
    #[error("the session has proven one factor only")]
    SecondDue,
    /// Removing a factor takes a code.
    #[error("a code is needed")]
    CodeMissing,
    /// Wrong, too old or used before.
    #[error("the code is not valid")]
    WrongCode,
    /// Second factors are switched off.
    #[error("second factors are switched off")]
    Disabled,
    /// Too many guesses.
    #[error("too many attempts")]
    Limited(Decision),
    /// The account was banned or deleted meanwhile.
    #[error("the session has ended")]
    Ended,
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Whether something among these is a factor in its own right; recovery codes only stand in for one.
pub fn has_factor(factors: &[sign_in::Factor]) -> bool {
    factors.iter().any(|factor| *factor != sign_in::Factor::RecoveryCode)
}
