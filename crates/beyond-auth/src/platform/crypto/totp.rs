//! One-time codes from a shared seed and the time (RFC 6238): SHA-1, six digits, 30 seconds, as every app has it.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use totp_rs::{Builder, Totp};
use zeroize::Zeroizing;

use crate::platform::crypto::random;

/// How long one code is shown. Steps are counted in these since 1970.
pub const STEP_SECONDS: i32 = 30;
/// RFC 4226 section 4 recommends 160 bits.
const SEED_BYTES: usize = 20;
const DIGITS: usize = 6;
/// Longest text that is looked at: people copy the blank in the middle.
const LONGEST: usize = 32;
/// Clocks differ, and people type slowly: one step to either side (RFC 6238 section 5.2).
const SKEW: i64 = 1;

/// What a device and the service share.
pub struct Seed(Zeroizing<[u8; SEED_BYTES]>);

impl Seed {
    /// Draws one.
    pub fn draw() -> Self {
        Self(Zeroizing::new(random::bytes()))
    }

    /// Reads what [`Seed::as_bytes`] gave. `None` when it has another length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// The bytes, to be sealed.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// For typing into an app: base32 without padding.
    pub fn base32(&self) -> SecretString {
        self.generator(Builder::new()).secret().to_base32().into()
    }

    /// For scanning into an app: `otpauth://totp/…`. The names are shown there; neither may be empty.
    pub fn uri(&self, issuer: &str, account: &str) -> SecretString {
        // The colon stands between the two.
        let plain = |text: &str| text.replace(':', " ");
        let builder = Builder::new().with_issuer(Some(plain(issuer))).with_account_name(plain(account));
        self.generator(builder).to_url().unwrap_or_default().into()
    }

    /// Which step a code belongs to, if it is one of this seed's: near `now`, and newer than the `last` accepted.
    pub fn step_of(&self, code: &TotpCode, now: i64, last: i64) -> Option<i64> {
        let generator = self.generator(Builder::new().with_skew(0));
        (now - SKEW..=now + SKEW).filter(|step| *step > last).find(|step| {
            let time = u64::try_from(step * i64::from(STEP_SECONDS));
            time.is_ok_and(|time| generator.check(code.0.expose_secret(), time).is_some())
        })
    }

    fn generator(&self, builder: Builder) -> Totp {
        // The seed has a sound length, so there is nothing that could be refused.
        builder.with_secret(*self.0).build_noncompliant()
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed([redacted])")
    }
}

/// The six digits that a device shows. Short enough to be guessed, so whoever checks one counts first.
#[derive(Clone)]
pub struct TotpCode(SecretString);

impl TotpCode {
    /// Reads six ASCII digits with or without blanks around or between them.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let sound = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        sound.then(|| Self(digits.into()))
    }
}

impl fmt::Debug for TotpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpCode([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238 appendix B, cut to six digits.
    const VECTORS: [(i64, &str); 5] = [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
    ];

    fn seed() -> Seed {
        Seed::from_bytes(b"12345678901234567890").unwrap()
    }

    fn step_of(code: &str, now: i64, last: i64) -> Option<i64> {
        seed().step_of(&TotpCode::parse(code).unwrap(), now, last)
    }

    #[test]
    fn the_codes_are_those_of_the_rfc() {
        for (time, code) in VECTORS {
            assert_eq!(step_of(code, time / 30, 0), Some(time / 30), "{time}");
        }
    }

    #[test]
    fn a_code_is_good_for_one_step_to_either_side() {
        let (time, code) = VECTORS[1];
        let step = time / 30;
        for now in [step - 1, step, step + 1] {
            assert_eq!(step_of(code, now, 0), Some(step));
        }
        for now in [step - 2, step + 2, 0, -5] {
            assert_eq!(step_of(code, now, 0), None);
        }
    }

    #[test]
    fn neither_the_last_accepted_step_nor_an_older_one_is_accepted_again() {
        let (time, code) = VECTORS[2];
        let step = time / 30;
        assert_eq!(step_of(code, step, step - 1), Some(step));
        assert_eq!(step_of(code, step, step), None);
        assert_eq!(step_of(code, step, step + 1), None);
    }

    #[test]
    fn what_is_scanned_names_both_sides_and_holds_the_seed() {
        let seed = seed();
        let uri = seed.uri("Shop: of Ada", "ada@example.com");
        let expected = format!(
            "otpauth://totp/Shop%20%20of%20Ada:ada%40example.com?secret={0}&issuer=Shop%20%20of%20Ada",
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
        );
        assert_eq!(uri.expose_secret(), expected);
        assert_eq!(seed.base32().expose_secret(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }

    #[test]
    fn blanks_do_not_matter_and_anything_else_does() {
        assert!(TotpCode::parse(" 123 456\n").is_some());
        for text in ["", "12345", "1234567", "12345a", "１２３４５６", "-12345", &" ".repeat(99)] {
            assert!(TotpCode::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn nothing_secret_is_in_a_debug_form() {
        assert!(!format!("{:?}{:?}", seed(), TotpCode::parse("123456")).contains("123"));
    }
}
