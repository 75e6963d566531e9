//! Recovery codes: 80 random bits that a person can copy from paper.
//!
//! Sixteen characters in four groups, in an alphabet without look-alikes (Crockford's base32). Read leniently: case,
//! blanks and hyphens do not matter, and `o`, `i`, `l` are taken for what they resemble.

use std::fmt;

use secrecy::SecretString;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::platform::crypto::random;
use crate::platform::crypto::token::SecretHash;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const CHARACTERS: usize = 16;
const GROUP: usize = 4;
/// Longest text that is looked at.
const LONGEST: usize = 64;

/// One code, as five-bit values.
#[derive(Clone)]
pub struct RecoveryCode(Zeroizing<[u8; CHARACTERS]>);

impl RecoveryCode {
    /// Draws one.
    pub fn draw() -> Self {
        // 32 divides 256, so every character is as likely as any other.
        Self(Zeroizing::new(random::bytes::<CHARACTERS>().map(|byte| byte & 31)))
    }

    /// Reads what a person typed.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let mut values = Zeroizing::new([0; CHARACTERS]);
        let mut at = 0;
        for c in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
            let c = match c.to_ascii_lowercase() {
                'o' => '0',
                'i' | 'l' => '1',
                c => c,
            };
            let value = ALPHABET.iter().position(|known| char::from(*known) == c)?;
            *values.get_mut(at)? = u8::try_from(value).ok()?;
            at += 1;
        }
        (at == CHARACTERS).then_some(Self(values))
    }

    /// The text to hand to its owner, in groups.
    pub fn reveal(&self) -> SecretString {
        let mut text = String::with_capacity(CHARACTERS + CHARACTERS / GROUP);
        for (at, value) in self.0.iter().enumerate() {
            if at > 0 && at % GROUP == 0 {
                text.push('-');
            }
            text.push(char::from(ALPHABET[usize::from(*value & 31)]));
        }
        text.into()
    }

    /// What is stored of it: SHA-256 over the owner and the code, so that one search through a stolen dump tries one
    /// owner's codes only.
    pub fn hash(&self, owner: Uuid) -> SecretHash {
        SecretHash::of(&[b"recovery code", owner.as_bytes(), self.0.as_slice()])
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_drawn_code_reads_back_however_it_is_typed() {
        let owner = Uuid::from_u128(1);
        for _ in 0..100 {
            let code = RecoveryCode::draw();
            let text = code.reveal().expose_secret().to_owned();
            assert_eq!(text.len(), 19);
            let typed = [
                text.clone(),
                text.to_uppercase(),
                text.replace('-', ""),
                text.replace('-', " "),
                format!(" {}\n", text.replace('0', "O").replace('1', "l")),
            ];
            for typed in typed {
                let read = RecoveryCode::parse(&typed).unwrap();
                assert!(read.hash(owner).matches(code.hash(owner).as_bytes()), "{typed}");
            }
        }
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let sound = "abcd-efgh-jkmn-pqrs";
        assert!(RecoveryCode::parse(sound).is_some());
        let long = " ".repeat(99);
        for text in ["", "abcd", "abcd-efgh-jkmn-pqr", "abcd-efgh-jkmn-pqrst", "abcd-efgh-jkmn-pqru", &long] {
            assert!(RecoveryCode::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn the_same_code_of_another_owner_has_another_hash() {
        let code = RecoveryCode::draw();
        assert!(!code.hash(Uuid::from_u128(1)).matches(code.hash(Uuid::from_u128(2)).as_bytes()));
        assert!(!format!("{code:?}").contains(code.reveal().expose_secret()));
    }
}
