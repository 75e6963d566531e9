//! What may be a password.

use std::collections::BTreeSet;

use secrecy::SecretString;
use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

use super::blocklist;

/// Fewest code points, whatever a deployment configures (NIST SP 800-63B-4 section 3.1.1.2 with a second
/// factor; 15 is advised where the password stands alone).
pub const MIN_LENGTH: usize = 8;
/// Most code points.
pub const MAX_LENGTH: usize = 256;
/// Most bytes of UTF-8; checked before any work is done.
pub const MAX_BYTES: usize = 1_024;

/// A context word shorter than this is not looked for: it would turn up by chance.
const SHORTEST_CONTEXT: usize = 3;

/// What a deployment asks of passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// Fewest code points; values outside [`MIN_LENGTH`] to [`MAX_LENGTH`] count as the nearer of the two.
    pub min_length: usize,
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self { min_length: MIN_LENGTH }
    }
}

/// One reason why a text may not be a password. Repeats nothing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyViolation {
    /// Stable code: `password_too_short`, `password_too_long`, `password_too_common`,
    /// `password_contains_context` or `password_breached`.
    pub code: &'static str,
    /// What to do about it, for people.
    pub detail: String,
}

impl PolicyViolation {
    pub(super) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

/// Whether `password` may be set. `context` holds what is easily known about its owner: the addresses (their
/// part before the `@` is looked for as well) and the name of the service.
///
/// Any character is allowed and none is required. The text is taken in its NFC form.
pub fn check_policy(
    password: &str,
    policy: &PasswordPolicy,
    context: &[&str],
) -> Result<(), Vec<PolicyViolation>> {
    let too_long = |what: String| PolicyViolation::new("password_too_long", what);
    if password.len() > MAX_BYTES {
        return Err(vec![too_long(format!("must be at most {MAX_BYTES} bytes"))]);
    }
    let password: zeroize::Zeroizing<String> = zeroize::Zeroizing::new(password.nfc().collect());
    let length = password.chars().count();
    // Composition can lengthen a text in bytes, so the normal form is measured as well.
    if length > MAX_LENGTH || password.len() > MAX_BYTES {
        return Err(vec![too_long(format!("must be at most {MAX_LENGTH} characters and {MAX_BYTES} bytes"))]);
    }
    let mut violations = Vec::new();
    let min_length = policy.min_length.clamp(MIN_LENGTH, MAX_LENGTH);
    if length < min_length {
        let detail = format!("must be at least {min_length} characters");
        violations.push(PolicyViolation::new("password_too_short", detail));
    }
    if consists_of_context(&password, context) {
        let detail = "must not be made of your address or the name of the service";
        violations.push(PolicyViolation::new("password_contains_context", detail));
    }
    if blocklist::is_common(&password) {
        let detail = "is among the passwords that are guessed first; a few unrelated words make a better one";
        violations.push(PolicyViolation::new("password_too_common", detail));
    }
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

/// Brings a password into its one spelling (NFC): the same word typed on two keyboards is the same password.
pub fn normalise(password: &str) -> SecretString {
    if is_nfc_quick(password.chars()) == IsNormalized::Yes {
        return SecretString::from(password);
    }
    // Full capacity at once: growing would leave copies of the password behind in freed memory.
    let mut normal = String::with_capacity(password.nfc().map(char::len_utf8).sum());
    normal.extend(password.nfc());
    SecretString::from(normal)
}

/// Whether the password is an address, its local part or the service's name, perhaps with a little around it:
/// what remains besides would be too short to be a password by itself.
fn consists_of_context(password: &str, context: &[&str]) -> bool {
    let password = squeeze(password);
    let length = password.chars().count();
    let words: BTreeSet<String> = context
        .iter()
        .flat_map(|word| [squeeze(word), squeeze(word.rsplit_once('@').map_or(word, |(local, _)| local))])
        .filter(|word| word.chars().count() >= SHORTEST_CONTEXT)
        .collect();
    words.iter().any(|word| {
        let found = password.matches(word.as_str()).count();
        found > 0 && length - found * word.chars().count() < MIN_LENGTH
    })
}

/// Lower case without signs: `Alice.Smith` and `alice_smith` are the same to a guesser.
fn squeeze(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn codes(password: &str, min_length: usize, context: &[&str]) -> Vec<&'static str> {
        check_policy(password, &PasswordPolicy { min_length }, context)
            .err()
            .unwrap_or_default()
            .into_iter()
            .map(|violation| violation.code)
            .collect()
    }

    #[test]
    fn phrases_and_any_script_are_accepted() {
        for password in ["correct horse battery staple", "x9$kQ!vL", "наш кот спит днём", "🐢🐇🦔🐿🦦🦥🦨🦡🐫"]
        {
            assert!(codes(password, 8, &["alice@example.com", "Example"]).is_empty(), "{password}");
        }
    }

    #[test]
    fn length_is_counted_in_code_points_of_the_normal_form() {
        assert_eq!(codes("x9$kQ!v", 8, &[]), ["password_too_short"]);
        assert!(codes("x9$kQ!vL", 8, &[]).is_empty());
        // Eight letters, one of them written as two code points.
        assert!(codes("x9$kQ!ve\u{301}", 8, &[]).is_empty());
        assert_eq!(codes("x9$kQ!e\u{301}", 8, &[]), ["password_too_short"]);
        assert_eq!(codes("x9$kQ!vL", 15, &[]), ["password_too_short"]);
        let long: String = "x9$kQ!vL zr4wTn".chars().cycle().take(257).collect();
        assert_eq!(codes(&long, 8, &[]), ["password_too_long"]);
        assert!(codes(&long[..256], 8, &[]).is_empty());
    }

    #[test]
    fn a_deployment_cannot_ask_for_less_than_eight() {
        assert_eq!(codes("x9$kQ!v", 1, &[]), ["password_too_short"]);
        assert_eq!(codes("x9$kQ!v", 0, &[]), ["password_too_short"]);
    }

    #[test]
    fn a_megabyte_is_refused_before_any_work() {
        let begun = std::time::Instant::now();
        assert_eq!(codes(&"\u{301}".repeat(1 << 19), 8, &[]), ["password_too_long"]);
        assert!(begun.elapsed().as_millis() < 200);
        assert_eq!(codes(&"🐢".repeat(257), 8, &[]), ["password_too_long"]);
        // 1,024 bytes that grow beyond the limit when composed.
        assert_eq!(codes(&"\u{1d160}".repeat(256), 8, &[]), ["password_too_long"]);
    }

    #[test]
    fn common_passwords_are_refused() {
        for password in ["password", "12345678", "qwertyuiop", "iloveyou", "Passw0rd!", "password1!"] {
            assert_eq!(codes(password, 8, &[]), ["password_too_common"], "{password}");
        }
        assert_eq!(codes("", 8, &[]), ["password_too_short", "password_too_common"]);
    }

    #[test]
    fn the_own_address_and_the_service_are_refused() {
        let context = ["alice.winterbottom@example.com", "Beyond Widgets"];
        for password in [
            "alice.winterbottom@example.com",
            "AliceWinterbottom",
            "alice_winterbottom99!",
            "beyond-widgets",
            "BeyondWidgets2026",
        ] {
            assert!(codes(password, 8, &context).contains(&"password_contains_context"), "{password}");
        }
        for password in ["beyond the hills lies a lake", "alice walked over frozen ponds", "x9$kQ!vL"] {
            assert!(codes(password, 8, &context).is_empty(), "{password}");
        }
        // A long phrase may mention the service; a local part of two letters is not looked for.
        assert!(codes("beyond widgets there be dragons", 8, &context).is_empty());
        assert!(codes("x9$kQ!vLjo", 8, &["jo@example.com"]).is_empty());
    }

    #[test]
    fn violations_do_not_repeat_the_password() {
        let violations = check_policy("iloveyou", &PasswordPolicy::default(), &["iloveyou@x.example"]);
        assert!(!format!("{violations:?}").contains("iloveyou"));
    }

    #[test]
    fn normalising_composes_and_is_stable() {
        assert_eq!(normalise("cafe\u{301}").expose_secret(), "caf\u{e9}");
        assert_eq!(normalise("caf\u{e9}").expose_secret(), "caf\u{e9}");
        // Compatibility forms stay apart: NFC, not NFKC.
        assert_eq!(normalise("ﬁ①").expose_secret(), "ﬁ①");
    }
}
