//! An address row, and by what it is proven.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::ids::{EmailId, UserId};

/// An address of a user.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Email)]
pub struct EmailRow {
    /// The row.
    pub id: EmailId,
    /// Whose it is, or is claimed to be.
    #[serde(skip)]
    pub user_id: UserId,
    /// Where mail goes.
    pub address: String,
    /// By what it is compared.
    #[serde(skip)]
    pub canonical: String,
    /// Whether it stands for the user.
    pub primary: bool,
    /// When it was proven; `null` while it is a mere claim.
    pub verified_at: Option<DateTime<Utc>>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
}

/// What was redeemed by somebody who reads mail at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The link of a verification mail.
    VerificationLink,
    /// The code of a verification mail.
    VerificationCode,
    /// The link of a mail to sign in with.
    MagicLink,
    /// The code of a mail to sign in with.
    EmailCode,
    /// The link of a mail to set a new password with.
    PasswordReset,
    /// Nothing: a provider that is trusted with addresses has said so.
    Provider,
}

impl By {
    /// As the audit says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::VerificationLink => "link",
            Self::VerificationCode => "code",
            Self::MagicLink => "magic_link",
            Self::EmailCode => "email_code",
            Self::PasswordReset => "password_reset",
            Self::Provider => "provider",
        }
    }

    /// Whether it answers the mail that the sign-up itself had sent. Anything else may have been asked for by somebody
    /// other than the person who signed up.
    pub(super) fn finishes_sign_up(self) -> bool {
        matches!(self, Self::VerificationLink | Self::VerificationCode)
    }
}
