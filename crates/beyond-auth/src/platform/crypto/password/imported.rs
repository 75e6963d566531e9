//! Password hashes that were made elsewhere, verified until their owner signs in and gets one of ours.
//!
//! Bounded like our own: what costs more than a sign-in may cost is refused when it is imported, and would not be
//! computed if it were found in a row all the same.

use std::fmt;

use aws_lc_rs::cipher::{self, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::{digest, iv, pbkdf2};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use password_hash::phc::PasswordHash;
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

/// About a second on one core of today.
const MOST_BCRYPT_COST: u32 = 14;
/// About a second likewise.
const MOST_PBKDF2_ITERATIONS: u32 = 2_000_000;
/// Memory that scrypt may fill, in bytes.
const MOST_SCRYPT_MEMORY: u64 = 256 * 1024 * 1024;
/// Times that it may be filled.
const MOST_SCRYPT_LANES: u32 = 16;
/// Nothing that is a hash is longer.
const LONGEST: usize = 1_024;

/// Why a hash cannot be imported. Never repeats any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// No format that is known here.
    #[error(
        "must be a hash of argon2, bcrypt, scrypt, PBKDF2 or Firebase's scrypt, or {{SSHA}}, {{SSHA256}} or {{SSHA512}}"
    )]
    Unknown,
    /// The format is known, but some part of it is not as it has to be.
    #[error("is not a well-formed hash of its kind")]
    Malformed,
    /// Verifying it would take too much time or memory.
    #[error("costs more to verify than a sign-in may cost")]
    TooCostly,
}

/// A hash in one of the formats, read and found affordable.
pub(super) enum Imported {
    /// `$2a$`, `$2b$`, `$2y$` (the same for all but historical mistakes).
    Bcrypt(String),
    Scrypt {
        params: scrypt::Params,
        salt: Vec<u8>,
        tag: Vec<u8>,
    },
    Pbkdf2 {
        algorithm: pbkdf2::Algorithm,
        iterations: std::num::NonZeroU32,
        salt: Vec<u8>,
        tag: Vec<u8>,
    },
    /// scrypt, whose output encrypts a key of the project; the ciphertext is compared
    /// (<https://firebaseopensource.com/projects/firebase/scrypt/>).
    Firebase {
        params: scrypt::Params,
        salt: Vec<u8>,
        signer_key: Vec<u8>,
        tag: Vec<u8>,
    },
    /// Salted, once through: LDAP's `{SSHA}` and its successors.
    Salted {
        algorithm: &'static digest::Algorithm,
        salt: Vec<u8>,
        tag: Vec<u8>,
    },
}

impl fmt::Debug for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Imported(..)")
    }
}

/// Standard or crypt-like base64, padded or not: exporters differ.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

fn decode(text: &str) -> Result<Vec<u8>, Unusable> {
    // passlib writes `.` for `+`.
    LENIENT.decode(text.replace('.', "+")).map_err(|_| Unusable::Malformed)
}

impl Imported {
    /// Reads a hash. Argon2 is not among these: it is verified as our own.
    pub(super) fn parse(text: &str) -> Result<Self, Unusable> {
        if text.len() > LONGEST {
            return Err(Unusable::Malformed);
        }
        if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            Self::bcrypt(text)
        } else if text.starts_with("$scrypt$") {
            Self::scrypt(text)
        } else if text.starts_with("$fbscrypt$") {
            Self::firebase(text)
        } else if let Some(rest) = text.strip_prefix("$pbkdf2-") {
            Self::pbkdf2_phc(text, rest)
        } else if let Some(rest) = text.strip_prefix("$pbkdf2$") {
            // What passlib writes for SHA-1.
            let rest = rest.split_once('$').ok_or(Unusable::Malformed)?;
            Self::pbkdf2_parts("sha1", rest.0, rest.1)
        } else if let Some(rest) = text.strip_prefix("pbkdf2_") {
            Self::pbkdf2_django(rest)
        } else if text.starts_with('{') {
            Self::salted(text)
        } else {
            Err(Unusable::Unknown)
        }
    }

    fn bcrypt(text: &str) -> Result<Self, Unusable> {
        let parts: bcrypt::HashParts = text.parse().map_err(|_| Unusable::Malformed)?;
        if parts.get_cost() > MOST_BCRYPT_COST {
            return Err(Unusable::TooCostly);
        }
        Ok(Self::Bcrypt(text.to_owned()))
    }

    /// `$scrypt$ln=…,r=…,p=…$salt$tag`.
    fn scrypt(text: &str) -> Result<Self, Unusable> {
        let hash = PasswordHash::new(text).map_err(|_| Unusable::Malformed)?;
        let number = |name: &str| hash.params.get(name).and_then(|value| value.decimal().ok());
        let (Some(log_n), Some(r), Some(p)) = (number("ln"), number("r"), number("p")) else {
            return Err(Unusable::Malformed);
        };
        let params = scrypt_params(log_n, r, p)?;
        let (Some(salt), Some(tag)) = (hash.salt, hash.hash) else { return Err(Unusable::Malformed) };
        Ok(Self::Scrypt { params, salt: salt.to_vec(), tag: tag.as_bytes().to_vec() })
    }

    /// `$fbscrypt$v=1,n=…,r=…,p=1,ss=…,sk=…$salt$tag`: `n` is Firebase's `mem_cost`, `r` its `rounds`, `ss` its
    /// `salt_separator`, `sk` its `signer_key`, all in base64 like salt and tag.
    fn firebase(text: &str) -> Result<Self, Unusable> {
        let mut parts = text.split('$').skip(2);
        let (Some(params), Some(salt), Some(tag), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Unusable::Malformed);
        };
        let value = |name: &str| {
            params
                .split(',')
                .find_map(|param| param.strip_prefix(name)?.strip_prefix('='))
                .ok_or(Unusable::Malformed)
        };
        let number = |name: &str| value(name)?.parse::<u32>().map_err(|_| Unusable::Malformed);
        if value("v")? != "1" {
            return Err(Unusable::Malformed);
        }
        let cost = scrypt_params(number("n")?, number("r")?, number("p")?)?;
        let mut salt = decode(salt)?;
        salt.extend(decode(value("ss")?)?);
        let (signer_key, tag) = (decode(value("sk")?)?, decode(tag)?);
        // A tag of a few bytes would be matched by many passwords.
        if signer_key.len() < 16 || tag.len() != signer_key.len() {
            return Err(Unusable::Malformed);
        }
        Ok(Self::Firebase { params: cost, salt, signer_key, tag })
    }

    /// `$pbkdf2-sha256$i=…,l=…$salt$tag` (PHC), or with a bare number (passlib).
    fn pbkdf2_phc(text: &str, rest: &str) -> Result<Self, Unusable> {
        let mut parts = rest.splitn(3, '$');
        let (Some(name), Some(params), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Unusable::Malformed);
        };
        if params.bytes().all(|byte| byte.is_ascii_digit()) {
            return Self::pbkdf2_parts(name, params, rest);
        }
        let hash = PasswordHash::new(text).map_err(|_| Unusable::Malformed)?;
        let iterations = hash.params.get("i").and_then(|value| value.decimal().ok());
        let (Some(iterations), Some(salt), Some(tag)) = (iterations, hash.salt, hash.hash) else {
            return Err(Unusable::Malformed);
        };
        Self::pbkdf2(name, iterations, salt.to_vec(), tag.as_bytes().to_vec())
    }

    fn pbkdf2_parts(name: &str, iterations: &str, rest: &str) -> Result<Self, Unusable> {
        let (salt, tag) = rest.split_once('$').ok_or(Unusable::Malformed)?;
        let iterations = iterations.parse().map_err(|_| Unusable::Malformed)?;
        Self::pbkdf2(name, iterations, decode(salt)?, decode(tag)?)
    }

    /// `pbkdf2_sha256$…$salt$tag`: the salt is plain text.
    fn pbkdf2_django(rest: &str) -> Result<Self, Unusable> {
        let parts: Vec<&str> = rest.split('$').collect();
        let [name, iterations, salt, tag] = parts[..] else { return Err(Unusable::Malformed) };
        let iterations = iterations.parse().map_err(|_| Unusable::Malformed)?;
        Self::pbkdf2(name, iterations, salt.as_bytes().to_vec(), decode(tag)?)
    }

    fn pbkdf2(name: &str, iterations: u32, salt: Vec<u8>, tag: Vec<u8>) -> Result<Self, Unusable> {
        let algorithm = match name {
            "sha1" => pbkdf2::PBKDF2_HMAC_SHA1,
            "sha256" => pbkdf2::PBKDF2_HMAC_SHA256,
            "sha512" => pbkdf2::PBKDF2_HMAC_SHA512,
            _ => return Err(Unusable::Unknown),
        };
        if iterations > MOST_PBKDF2_ITERATIONS || tag.len() > 64 {
            return Err(Unusable::TooCostly);
        }
        let iterations = std::num::NonZeroU32::new(iterations).ok_or(Unusable::Malformed)?;
        // A tag of a few bytes would be matched by many passwords.
        if salt.is_empty() || tag.len() < 16 {
            return Err(Unusable::Malformed);
        }
        Ok(Self::Pbkdf2 { algorithm, iterations, salt, tag })
    }

    /// `{SSHA}` and base64 of digest and salt (RFC 2307's scheme, as `OpenLDAP` extends it).
    fn salted(text: &str) -> Result<Self, Unusable> {
        let (scheme, encoded) = text.split_once('}').ok_or(Unusable::Unknown)?;
        let algorithm = match scheme {
            "{SSHA" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            "{SSHA256" => &digest::SHA256,
            "{SSHA512" => &digest::SHA512,
            _ => return Err(Unusable::Unknown),
        };
        let mut tag = decode(encoded)?;
        if tag.len() <= algorithm.output_len() {
            return Err(Unusable::Malformed);
        }
        let salt = tag.split_off(algorithm.output_len());
        Ok(Self::Salted { algorithm, salt, tag })
    }

    /// Whether this is the password's hash.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        match self {
            // Everything past 72 bytes never counted where these hashes come from, nor anything past a NUL.
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Self::Scrypt { params, salt, tag } => {
                let mut made = Zeroizing::new(vec![0; tag.len()]);
                scrypt::scrypt(password, salt, params, &mut made).is_ok() && bool::from(made.ct_eq(tag))
            }
            Self::Pbkdf2 { algorithm, iterations, salt, tag } => {
                pbkdf2::verify(*algorithm, *iterations, salt, password, tag).is_ok()
            }
            Self::Firebase { params, salt, signer_key, tag } => {
                let mut key = Zeroizing::new([0; 64]);
                if scrypt::scrypt(password, salt, params, key.as_mut()).is_err() {
                    return false;
                }
                encrypt(&key[..32], signer_key).is_some_and(|made| bool::from(made.ct_eq(tag)))
            }
            Self::Salted { algorithm, salt, tag } => {
                let mut context = digest::Context::new(algorithm);
                context.update(password);
                context.update(salt);
                bool::from(context.finish().as_ref().ct_eq(tag))
            }
        }
    }
}

impl Drop for Imported {
    fn drop(&mut self) {
        if let Self::Firebase { signer_key, .. } = self {
            signer_key.zeroize();
        }
    }
}

fn scrypt_params(log_n: u32, r: u32, p: u32) -> Result<scrypt::Params, Unusable> {
    if !(1..=30).contains(&log_n) || r == 0 || p == 0 {
        return Err(Unusable::Malformed);
    }
    let memory = (128_u64 << log_n).saturating_mul(u64::from(r));
    // Beside the large block there is one of 128 · r bytes for each lane.
    let lanes = 128_u64.saturating_mul(u64::from(r)).saturating_mul(u64::from(p));
    if memory.saturating_add(lanes) > MOST_SCRYPT_MEMORY || p > MOST_SCRYPT_LANES {
        return Err(Unusable::TooCostly);
    }
    let log_n = u8::try_from(log_n).map_err(|_| Unusable::TooCostly)?;
    scrypt::Params::new(log_n, r, p).map_err(|_| Unusable::Malformed)
}

/// AES-256 in counter mode from zero; the counter mode runs the same way in both directions.
fn encrypt(key: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let key = UnboundCipherKey::new(&cipher::AES_256, key).ok()?;
    let mut text = text.to_vec();
    let zero = DecryptionContext::Iv128(iv::FixedLength::from([0; 16]));
    DecryptingKey::ctr(key).ok()?.decrypt(&mut text, zero).ok()?;
    Some(text)
}

#[cfg(test)]
#[path = "imported_tests.rs"]
mod tests;
