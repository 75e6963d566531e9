//! Public keys of authenticators: COSE (RFC 9052 section 7), in the three kinds that are asked for.
//!
//! Private keys never come here; they stay in the authenticator.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use ciborium::Value;

/// What a key signs with, by its number in the COSE registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `EdDSA` with Ed25519 (RFC 9053 section 2.2).
    EdDsa,
    /// ECDSA on P-256 with SHA-256 (RFC 9053 section 2.1).
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8812 section 2): TPMs of many a Windows machine have nothing else.
    Rs256,
}

impl Algorithm {
    /// All of them, the most wanted first.
    pub const ALL: [Self; 3] = [Self::EdDsa, Self::Es256, Self::Rs256];

    /// The number in the registry.
    pub const fn number(self) -> i32 {
        match self {
            Self::EdDsa => -8,
            Self::Es256 => -7,
            Self::Rs256 => -257,
        }
    }
}

/// The bytes are not a public key of a kind that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not CBOR, or not a COSE key.
    #[error("is not a COSE key")]
    Malformed,
    /// A COSE key of another algorithm.
    #[error("is of an algorithm that was not offered")]
    Algorithm,
    /// The numbers make no key: a point off the curve, a modulus too short.
    #[error("is no valid key of its algorithm")]
    Invalid,
}

/// A public key that can verify.
pub struct PublicKey {
    algorithm: Algorithm,
    key: ParsedPublicKey,
}

/// Shows the algorithm.
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// RSA keys of 2,048 to 4,096 bits: longer ones only cost.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=512;

impl PublicKey {
    /// Reads a `COSE_Key`, to the last byte.
    pub fn parse(mut bytes: &[u8]) -> Result<Self, KeyError> {
        let value = ciborium::de::from_reader_with_recursion_limit(&mut bytes, 4);
        let value: Value = value.map_err(|_| KeyError::Malformed)?;
        let map = Map(value.as_map().ok_or(KeyError::Malformed)?);
        if !bytes.is_empty() {
            return Err(KeyError::Malformed);
        }
        // Labels of RFC 9052 section 7.1 and RFC 9053 section 7: 1 kty, 3 alg, then by kind.
        match (map.integer(1)?, map.integer(3)?) {
            (1, -8) => Self::ed25519(&map),
            (2, -7) => Self::p256(&map),
            (3, -257) => Self::rsa(&map),
            (1..=3, _) => Err(KeyError::Algorithm),
            _ => Err(KeyError::Malformed),
        }
    }

    fn ed25519(map: &Map<'_>) -> Result<Self, KeyError> {
        let x = map.bytes(-2)?;
        if map.integer(-1)? != 6 || x.len() != 32 {
            return Err(KeyError::Invalid);
        }
        let key = ParsedPublicKey::new(&ED25519, x).map_err(|_| KeyError::Invalid)?;
        Ok(Self { algorithm: Algorithm::EdDsa, key })
    }

    fn p256(map: &Map<'_>) -> Result<Self, KeyError> {
        let (x, y) = (map.bytes(-2)?, map.bytes(-3)?);
        if map.integer(-1)? != 1 || x.len() != 32 || y.len() != 32 {
            return Err(KeyError::Invalid);
        }
        // SEC 1 section 2.3.3, uncompressed. Whether the point lies on the curve is checked by the library.
        let point = [&[4], x, y].concat();
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).map_err(|_| KeyError::Invalid)?;
        Ok(Self { algorithm: Algorithm::Es256, key })
    }

    fn rsa(map: &Map<'_>) -> Result<Self, KeyError> {
        let (n, e) = (map.bytes(-1)?, map.bytes(-2)?);
        // Every authenticator there is uses 65537; a small exponent is how forged signatures begin.
        if !RSA_BYTES.contains(&n.len()) || e != [1, 0, 1] {
            return Err(KeyError::Invalid);
        }
        let key = RsaPublicKeyComponents { n, e }
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            .map_err(|_| KeyError::Invalid)?;
        Ok(Self { algorithm: Algorithm::Rs256, key })
    }

    /// What it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether the signature, in the encoding of WebAuthn section 6.5.5, is this key's over the message.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// A CBOR map with integer labels. A label that is there twice is there for nobody.
struct Map<'a>(&'a [(Value, Value)]);

impl<'a> Map<'a> {
    fn get(&self, label: i64) -> Result<&'a Value, KeyError> {
        let mut found = self.0.iter().filter(|(key, _)| key.as_integer() == Some(label.into()));
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Ok(value),
            _ => Err(KeyError::Malformed),
        }
    }

    fn integer(&self, label: i64) -> Result<i64, KeyError> {
        let integer = self.get(label)?.as_integer().ok_or(KeyError::Malformed)?;
        i64::try_from(integer).map_err(|_| KeyError::Malformed)
    }

    fn bytes(&self, label: i64) -> Result<&'a [u8], KeyError> {
        self.get(label)?.as_bytes().map(Vec::as_slice).ok_or(KeyError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use ciborium::cbor;

    use super::*;

    fn encode(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        ciborium::into_writer(value, &mut bytes).unwrap();
        bytes
    }

    fn ed25519() -> (Ed25519KeyPair, Value) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let x = Value::Bytes(pair.public_key().as_ref().to_vec());
        (pair, cbor!({ 1 => 1, 3 => -8, -1 => 6, -2 => x }).unwrap())
    }

    #[test]
    fn a_signature_counts_for_its_message_and_its_key_alone() {
        let (pair, key) = ed25519();
        let key = PublicKey::parse(&encode(&key)).unwrap();
        assert_eq!(key.algorithm(), Algorithm::EdDsa);
        let signature = pair.sign(b"message");
        assert!(key.verifies(b"message", signature.as_ref()));
        assert!(!key.verifies(b"another", signature.as_ref()));
        assert!(!key.verifies(b"message", &signature.as_ref()[1..]));
        let other = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap();
        assert!(!key.verifies(b"message", other.sign(b"message").as_ref()));
    }

    #[test]
    fn a_point_off_the_curve_is_no_key() {
        let point = |x: u8| Value::Bytes(vec![x; 32]);
        let key = cbor!({ 1 => 2, 3 => -7, -1 => 1, -2 => point(1), -3 => point(2) }).unwrap();
        assert_eq!(PublicKey::parse(&encode(&key)).unwrap_err(), KeyError::Invalid);
    }

    #[test]
    fn algorithms_that_are_not_offered_are_refused() {
        let bytes = |len: usize| Value::Bytes(vec![0xc1; len]);
        for key in [
            cbor!({ 1 => 2, 3 => -35, -1 => 2, -2 => bytes(48), -3 => bytes(48) }),
            cbor!({ 1 => 3, 3 => -37, -1 => bytes(256), -2 => bytes(3) }),
            cbor!({ 1 => 3, 3 => -65535, -1 => bytes(256), -2 => bytes(3) }),
            // An Ed25519 key that calls itself ES256.
            cbor!({ 1 => 1, 3 => -7, -1 => 6, -2 => bytes(32) }),
        ] {
            assert_eq!(PublicKey::parse(&encode(&key.unwrap())).unwrap_err(), KeyError::Algorithm);
        }
    }

    #[test]
    fn weak_rsa_keys_are_refused() {
        for (n, e) in [(128, vec![1, 0, 1]), (1024, vec![1, 0, 1]), (256, vec![3]), (256, vec![1, 0, 0])] {
            let (n, e) = (Value::Bytes(vec![0xc1; n]), Value::Bytes(e));
            let key = cbor!({ 1 => 3, 3 => -257, -1 => n, -2 => e }).unwrap();
            assert_eq!(PublicKey::parse(&encode(&key)).unwrap_err(), KeyError::Invalid);
        }
    }

    #[test]
    fn what_is_not_exactly_one_key_is_malformed() {
        let (_, key) = ed25519();
        let good = encode(&key);
        let mut longer = good.clone();
        longer.push(0);
        let mut twice = key.into_map().unwrap();
        twice.push((Value::from(3), Value::from(-8)));
        let nested = [vec![0x81; 200], vec![0]].concat();
        // An array and a byte string that say they are endless.
        let (array, text) = ([0x9b, 0xff, 0, 0, 0, 0, 0, 0, 0], [0x5b, 0x7f, 0, 0, 0, 0, 0, 0, 0]);
        for bytes in
            [&[][..], &good[..good.len() - 1], &longer, &encode(&Value::Map(twice)), &nested, &array, &text]
        {
            assert_eq!(PublicKey::parse(bytes).unwrap_err(), KeyError::Malformed, "{bytes:?}");
        }
    }
}
