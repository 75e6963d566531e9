//! Why somebody who comes from a provider is not let in: one word for the visitor, another for the operator.

/// What the visitor, and the application, learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The person said no, or the provider did.
    AccessDenied,
    /// The provider reports an error of its own.
    ProviderError,
    /// The provider does not answer, or not in time.
    ProviderUnavailable,
    /// The provider's answer cannot be believed.
    InvalidProviderResponse,
    /// The provider was switched off meanwhile.
    ProviderDisabled,
    /// The provider does not vouch for an address.
    EmailUnverified,
    /// The address is in none of the domains that are let in.
    DomainNotAllowed,
    /// The address has an account: sign in otherwise, then link.
    AccountExists,
    /// Strangers get no account.
    SignUpDisabled,
    /// The identity belongs to another account.
    IdentityTaken,
    /// The session that wanted to link has ended.
    SessionEnded,
    /// None of the visitor's business.
    SignInRefused,
}

impl Code {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::ProviderError => "provider_error",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::InvalidProviderResponse => "invalid_provider_response",
            Self::ProviderDisabled => "provider_disabled",
            Self::EmailUnverified => "email_unverified",
            Self::DomainNotAllowed => "domain_not_allowed",
            Self::AccountExists => "account_exists",
            Self::SignUpDisabled => "sign_up_disabled",
            Self::IdentityTaken => "identity_taken",
            Self::SessionEnded => "session_ended",
            Self::SignInRefused => "sign_in_refused",
        }
    }
}

/// A refusal. The reason goes into the audit log and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", code.as_str())]
pub struct Refusal {
    /// For the visitor.
    pub code: Code,
    /// For the operator: a stable word.
    pub reason: &'static str,
    /// For the operator: more words, of bounded length, with nothing secret in them.
    pub detail: Option<String>,
}

/// More of a foreign text than this helps nobody.
const DETAIL_LIMIT: usize = 200;

impl Refusal {
    /// A refusal for a reason.
    pub fn new(code: Code, reason: &'static str) -> Self {
        Self { code, reason, detail: None }
    }

    /// The provider's answer cannot be believed.
    pub fn invalid(reason: &'static str) -> Self {
        Self::new(Code::InvalidProviderResponse, reason)
    }

    /// The same, in more words: printable ones.
    #[must_use]
    pub fn with_detail(mut self, detail: &str) -> Self {
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        self.detail = Some(detail.chars().take(DETAIL_LIMIT).map(printable).collect());
        self
    }
}

/// Why something at a provider came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// For a reason that the visitor may know the half of.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}
