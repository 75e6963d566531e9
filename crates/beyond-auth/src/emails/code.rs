//! The six digits of a verification mail.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::platform::crypto::random;

const DIGITS: usize = 6;
/// Longest text that is looked at: people copy the blanks that some mail programs show within.
const LONGEST: usize = 32;

/// Six decimal digits. Short enough to be guessed, so whoever checks one counts first.
#[derive(Clone)]
pub struct Code(SecretString);

/// The text is not six digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be six digits")]
pub struct MalformedCode;

impl Code {
    /// Draws one, each combination as likely as any other.
    pub fn draw() -> Self {
        const BOUND: u32 = u32::MAX - u32::MAX % 1_000_000;
        loop {
            // Rejection sampling: the few values that would favour small codes are drawn again.
            let draw = u32::from_le_bytes(random::bytes());
            if draw < BOUND {
                return Self(format!("{:06}", draw % 1_000_000).into());
            }
        }
    }

    /// Reads six ASCII digits with or without blanks around or between them.
    pub fn parse(text: &str) -> Result<Self, MalformedCode> {
        if text.len() > LONGEST {
            return Err(MalformedCode);
        }
        let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let sound = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        if sound { Ok(Self(digits.into())) } else { Err(MalformedCode) }
    }
}

impl ExposeSecret<str> for Code {
    fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_code_reads_back() {
        for _ in 0..100 {
            let code = Code::draw();
            assert_eq!(Code::parse(code.expose_secret()).unwrap().expose_secret(), code.expose_secret());
        }
    }

    #[test]
    fn blanks_do_not_matter_and_anything_else_does() {
        assert_eq!(Code::parse(" 123\u{a0}456\n").unwrap().expose_secret(), "123456");
        for text in ["", "12345", "1234567", "12345a", "１２３４５６", "-12345", "1 2 3 4 5", &" ".repeat(99)]
        {
            assert!(Code::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_code_is_not_in_its_debug_form() {
        let code = Code::parse("123456").unwrap();
        assert!(!format!("{code:?}").contains("123456"));
    }
}
