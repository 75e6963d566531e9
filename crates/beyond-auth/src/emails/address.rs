//! An email address in its one canonical spelling.

use std::fmt;

use email_address::{EmailAddress, Options};
use unicode_normalization::UnicodeNormalization as _;

use crate::platform::http::fields::InvalidField;

/// RFC 5321 §4.5.3.1.3, less the angle brackets.
const MAX_LENGTH: usize = 254;
/// RFC 5321 §4.5.3.1.1.
const MAX_LOCAL: usize = 64;

/// A checked address. Two spellings of the same address have equal [`Email::canonical`] forms.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email {
    address: String,
    canonical: String,
}

/// The text is not an address that mail can be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an email address such as ada@example.com")]
pub struct InvalidEmail;

impl InvalidField for InvalidEmail {
    fn code(&self) -> &'static str {
        "invalid_email"
    }

    fn detail(&self) -> String {
        self.to_string()
    }
}

impl Email {
    /// Normalises first (NFKC, IDNA to A-labels), then validates, so that no character slips in behind the check.
    ///
    /// Local parts are plain ASCII without quoting: what mail servers agree upon, and free of look-alikes.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        // Nothing sensible grows past this; normalising more would be work for an attacker.
        if text.len() > 4 * MAX_LENGTH {
            return Err(InvalidEmail);
        }
        let text: String = text.trim_matches(' ').nfkc().collect();
        let (local, domain) = text.rsplit_once('@').ok_or(InvalidEmail)?;
        let atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-.".contains(&b);
        if local.is_empty() || local.len() > MAX_LOCAL || !local.bytes().all(atom) {
            return Err(InvalidEmail);
        }
        let domain = idna::domain_to_ascii_strict(domain).map_err(|_| InvalidEmail)?;
        let labels = || domain.split('.');
        let numeric = labels().next_back().is_some_and(|tld| tld.bytes().all(|b| b.is_ascii_digit()));
        if labels().count() < 2 || labels().any(str::is_empty) || numeric {
            return Err(InvalidEmail);
        }
        let address = format!("{local}@{domain}");
        let options = Options::default().without_display_text().without_domain_literal();
        if address.len() > MAX_LENGTH || EmailAddress::parse_with_options(&address, options).is_err() {
            return Err(InvalidEmail);
        }
        let canonical = address.to_ascii_lowercase();
        Ok(Self { address, canonical })
    }

    /// Where mail goes: as written, normalised.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// By what it is compared: all lower-case.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

/// Logs need not know who somebody is.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Option<String> {
        Email::parse(text).ok().map(|email| email.canonical().to_owned())
    }

    #[test]
    fn spellings_of_one_address_have_one_canonical_form() {
        for text in [
            "ada@example.com",
            " Ada@Example.COM ",
            "ADA@EXAMPLE.com",
            "ada\u{ff20}example.com",
            "\u{ff41}da@example\u{ff0e}com",
        ] {
            assert_eq!(canonical(text).as_deref(), Some("ada@example.com"), "{text}");
        }
        assert_eq!(canonical("ada@bücher.example").as_deref(), Some("ada@xn--bcher-kva.example"));
        assert_eq!(canonical("ada@xn--bcher-kva.example").as_deref(), Some("ada@xn--bcher-kva.example"));
        assert_eq!(canonical("Ada+tag@example.com").as_deref(), Some("ada+tag@example.com"));
    }

    #[test]
    fn tricks_are_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        for text in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@localhost",
            "ada@127.0.0.1",
            "ada@[127.0.0.1]",
            "ada@example",
            "ada@@example.com",
            "ada@evil.example@example.com",
            "a,b@example.com",
            "ada@example.com,eve@example.com",
            "ada@example.com\r\nBcc: eve@example.com",
            "ada@example.com\0",
            "\"ada\"@example.com",
            "ada(comment)@example.com",
            "Ada <ada@example.com>",
            "adı@example.com",
            "ada@exam ple.com",
            "ada@-example.com",
            "ada@example..com",
            ".ada@example.com",
            "ada.@example.com",
            "a..da@example.com",
            "ada\u{202e}@example.com",
            long.as_str(),
        ] {
            assert_eq!(canonical(text), None, "{text:?}");
        }
    }
}
