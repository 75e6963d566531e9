//! What a factor proves, and what comes of it.

use http::StatusCode;
use secrecy::SecretString;
use serde::Serialize;
use utoipa::ToSchema;

use super::attempts::IssuedAttempt;
use super::devices::Device;
use crate::platform::crypto::password::HashError;
use crate::platform::http::Problem;
use crate::platform::ids::UserId;
use crate::refresh::Issued;
use crate::sessions::Session;
use crate::users::User;

/// What a first factor has proven.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Who presented it.
    pub user_id: UserId,
    /// The method (RFC 8176: `pwd`, `otp`, …).
    pub amr: &'static str,
    /// The one ceremony has proven two factors (a passkey with user verification): no second one is due.
    pub multi_factor: bool,
}

/// What can be presented as a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    /// A code from an authenticator app.
    Totp,
    /// A passkey.
    Passkey,
    /// A code from the list for when the device is lost.
    RecoveryCode,
}

/// What somebody wants to get for signing in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// A refresh token beside the session.
    pub refresh_token: bool,
}

/// A finished sign-in.
#[derive(Debug)]
pub struct SignedIn {
    /// The new session.
    pub session: Session,
    /// Its token, shown once.
    pub token: SecretString,
    /// Who signed in.
    pub user: User,
    /// Renews the session, where that was wished for.
    pub refresh_token: Option<Issued>,
    /// The device it came from, where a person proved who they are: a browser is told, to be known again.
    pub device: Option<Device>,
}

/// What a first factor leads to.
#[derive(Debug)]
pub enum Outcome {
    /// In.
    SignedIn(Box<SignedIn>),
    /// Half-way: the second factor is due.
    FactorDue(IssuedAttempt),
}

/// Why nobody came in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Unknown, wrong, banned, unverified, without password: one answer for all.
    #[error("the credentials are not valid")]
    Refused,
    /// The second factor was wrong, used before, or is none of the account's.
    #[error("the code is not valid")]
    WrongCode,
    /// The half-finished sign-in is unknown, spent, expired, was tried too often or has been cancelled.
    #[error("the attempt has ended")]
    AttemptEnded,
    /// The method is switched off for the project.
    #[error("this method is switched off")]
    MethodDisabled,
    /// A limit was hit.
    #[error("too many attempts")]
    Limited(Box<Problem>),
    /// All hashing threads are busy.
    #[error("too busy to check the password")]
    Busy,
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<HashError> for Error {
    fn from(_: HashError) -> Self {
        Self::Busy
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused => Self::unauthenticated(
                "invalid_credentials",
                "The credentials are not valid. If you signed up just now, prove your address first.",
            ),
            Error::WrongCode => Self::unauthenticated(
                "invalid_code",
                "The code is not valid: mistyped, too old, or used before. Take the one that is shown now.",
            ),
            Error::AttemptEnded => Self::unauthenticated(
                "invalid_attempt",
                "The sign-in has ended: it took too long, or too many codes were wrong. Begin again.",
            ),
            Error::MethodDisabled => Self::new(
                StatusCode::FORBIDDEN,
                "method_disabled",
                "This way of signing in is switched off for the project.",
            ),
            Error::Limited(problem) => *problem,
            Error::Busy => Self::unavailable(2),
            Error::Database(error) => error.into(),
        }
    }
}
