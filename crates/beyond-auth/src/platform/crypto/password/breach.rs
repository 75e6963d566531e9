//! Whether a password is in a collection of breached ones, asked without giving it away: the question names the first 5
//! hexadecimal digits of its SHA-1, the answer is every suffix with that prefix (k-anonymity, as haveibeenpwned.com
//! serves it and others host it themselves).

use std::fmt::Write as _;

use aws_lc_rs::digest;
use zeroize::Zeroizing;

use super::policy::PolicyViolation;

/// What is asked, and what would be in the answer.
#[derive(Debug)]
pub struct Question {
    /// The 5 digits that are sent.
    pub prefix: String,
    suffix: Zeroizing<String>,
}

impl Question {
    /// The question about a password in its normal form.
    pub fn about(password: &str) -> Self {
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
        let mut hex = Zeroizing::new(String::with_capacity(40));
        for byte in hash.as_ref() {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02X}");
        }
        let (prefix, suffix) = hex.split_at(5);
        Self { prefix: prefix.to_owned(), suffix: Zeroizing::new(suffix.to_owned()) }
    }

    /// Reads an answer: lines of `SUFFIX:COUNT`. A count of 0 is padding.
    pub fn answered_by(&self, answer: &[u8]) -> Option<PolicyViolation> {
        let text = String::from_utf8_lossy(answer);
        let hit = text.lines().filter_map(|line| line.trim().split_once(':')).any(|(suffix, count)| {
            suffix.eq_ignore_ascii_case(&self.suffix) && count.trim().parse::<u64>() != Ok(0)
        });
        hit.then(|| {
            let detail = "is known from a breach of some other service; choose one that you use nowhere else";
            PolicyViolation::new("password_breached", detail)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_asked_about_by_five_digits_and_found_by_the_rest() {
        // SHA-1 of "password".
        let question = Question::about("password");
        assert_eq!(question.prefix, "5BAA6");
        let line = "1E4C9B93F3F0682250B6CF8331B7EE68FD8";
        for (answer, hit) in [
            (format!("{line}:3861493"), true),
            (format!("00AA:1\r\n{}:2\r\n", line.to_lowercase()), true),
            (format!("{line}:0"), false),
            (format!("{}:5", &line[1..]), false),
            (String::new(), false),
            ("<html>".to_owned(), false),
        ] {
            assert_eq!(question.answered_by(answer.as_bytes()).is_some(), hit, "{answer}");
        }
        assert!(question.answered_by(&[0xff, 0xfe]).is_none());
    }
}
