//! The secrets that open the admin endpoints.

use std::fmt;

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use subtle::{Choice, ConstantTimeEq};

/// Shortest admin secret, in bytes: below this, guessing over the network becomes thinkable.
pub const MIN_ADMIN_SECRET_BYTES: usize = 32;

/// One accepted admin secret, or two while one replaces the other. Only their SHA-256 is kept.
#[derive(Clone)]
pub struct AdminSecrets(Vec<[u8; SHA256_OUTPUT_LEN]>);

/// Why a text is not a list of admin secrets. Never repeats any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminSecretsError {
    /// One of them has fewer than [`MIN_ADMIN_SECRET_BYTES`] bytes.
    #[error("must be at least 32 bytes long")]
    TooShort,
    /// None, or more than two.
    #[error("must be one secret, or two separated by a comma while one replaces the other")]
    Count,
    /// A secret that no HTTP header could carry, so that no request could ever present it.
    #[error("must be printable ASCII without spaces, as it travels in a header")]
    NotPrintable,
}

impl AdminSecrets {
    /// Reads one secret or two separated by a comma; blanks around each are not part of it.
    pub fn parse(text: &str) -> Result<Self, AdminSecretsError> {
        let secrets: Vec<&str> = text.split(',').map(str::trim).filter(|secret| !secret.is_empty()).collect();
        if secrets.is_empty() || secrets.len() > 2 {
            return Err(AdminSecretsError::Count);
        }
        if secrets.iter().any(|secret| !secret.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(AdminSecretsError::NotPrintable);
        }
        if secrets.iter().any(|secret| secret.len() < MIN_ADMIN_SECRET_BYTES) {
            return Err(AdminSecretsError::TooShort);
        }
        Ok(Self(secrets.into_iter().map(sha256).collect()))
    }

    /// Whether `presented` is one of the secrets. Takes the same time whichever it is, and whether or not
    /// it is one: the hashes have equal length and every one is compared to its end.
    pub fn matches(&self, presented: &str) -> bool {
        let presented = sha256(presented);
        let mut found = Choice::from(0);
        for secret in &self.0 {
            found |= secret.ct_eq(&presented);
        }
        found.into()
    }
}

impl fmt::Debug for AdminSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AdminSecrets({} of them)", self.0.len())
    }
}

fn sha256(text: &str) -> [u8; SHA256_OUTPUT_LEN] {
    let mut hash = [0; SHA256_OUTPUT_LEN];
    hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "0123456789abcdef0123456789abcdef";
    const SECOND: &str = "fedcba9876543210fedcba9876543210";

    #[test]
    fn either_of_two_secrets_matches_and_nothing_else_does() {
        let secrets = AdminSecrets::parse(&format!("{FIRST}, {SECOND}")).unwrap();
        assert!(secrets.matches(FIRST));
        assert!(secrets.matches(SECOND));
        for wrong in ["", "0", &FIRST[1..], &format!("{FIRST}0"), &format!("{FIRST},{SECOND}")] {
            assert!(!secrets.matches(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_short_a_missing_and_a_third_secret_are_refused() {
        let refusal = |text: &str| AdminSecrets::parse(text).unwrap_err();
        assert_eq!(refusal(&FIRST[1..]), AdminSecretsError::TooShort);
        assert_eq!(refusal(&format!("{FIRST},short")), AdminSecretsError::TooShort);
        assert_eq!(refusal(" , "), AdminSecretsError::Count);
        assert_eq!(refusal(&format!("{FIRST},{SECOND},{FIRST}")), AdminSecretsError::Count);
        assert_eq!(refusal(&format!("{FIRST} {SECOND}")), AdminSecretsError::NotPrintable);
    }

    #[test]
    fn debug_output_tells_nothing_of_the_secrets() {
        let shown = format!("{:?}", AdminSecrets::parse(FIRST).unwrap());
        assert_eq!(shown, "AdminSecrets(1 of them)");
    }
}
