//! Proof Key for Code Exchange (RFC 7636), method S256 and no other.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

/// SHA-256 of a verifier: what the one who began a flow commits to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge([u8; 32]);

/// The text is not base64url of 32 bytes in its one canonical spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be the SHA-256 of the verifier in base64url without padding: 43 characters")]
pub struct MalformedChallenge;

impl Challenge {
    /// Reads the text that an application sends.
    pub fn parse(text: &str) -> Result<Self, MalformedChallenge> {
        if text.len() != 43 {
            return Err(MalformedChallenge);
        }
        let decoded = URL_SAFE_NO_PAD.decode(text).map_err(|_| MalformedChallenge)?;
        decoded.try_into().map(Self).map_err(|_| MalformedChallenge)
    }

    /// What was stored.
    pub fn stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().map(Self).ok()
    }

    /// Of a verifier.
    pub fn of(verifier: &str) -> Self {
        let mut challenge = [0; 32];
        challenge.copy_from_slice(digest::digest(&digest::SHA256, verifier.as_bytes()).as_ref());
        Self(challenge)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As it is sent.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Whether the verifier is the one that was committed to, in time that tells nothing. It has 43 to 128 characters
    /// (RFC 7636 section 4.1).
    pub fn is_met_by(&self, verifier: &str) -> bool {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        (43..=128).contains(&verifier.len())
            && verifier.bytes().all(unreserved)
            && bool::from(self.0.ct_eq(&Self::of(verifier).0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636 appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_example_of_the_rfc_holds() {
        assert_eq!(Challenge::of(VERIFIER).text(), CHALLENGE);
        assert!(Challenge::parse(CHALLENGE).unwrap().is_met_by(VERIFIER));
    }

    #[test]
    fn only_one_spelling_is_a_challenge() {
        for text in ["", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cN", VERIFIER.get(1..).unwrap()] {
            assert_eq!(Challenge::parse(text), Err(MalformedChallenge), "{text}");
        }
        assert_eq!(Challenge::parse(&format!("{CHALLENGE}=")), Err(MalformedChallenge));
        assert_eq!(Challenge::parse(&CHALLENGE.replace('-', "+")), Err(MalformedChallenge));
    }

    #[test]
    fn another_or_a_short_verifier_meets_nothing() {
        let challenge = Challenge::parse(CHALLENGE).unwrap();
        assert!(!challenge.is_met_by(CHALLENGE));
        assert!(!challenge.is_met_by(""));
        assert!(!Challenge::of("short").is_met_by("short"));
        // The plain method is none.
        assert!(!Challenge::parse(CHALLENGE).unwrap().is_met_by(CHALLENGE));
    }
}
