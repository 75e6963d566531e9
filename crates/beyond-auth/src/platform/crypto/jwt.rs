//! Signing JWTs: Ed25519 (RFC 8032) as `EdDSA` (RFC 8037), in the compact form (RFC 7515 section 3.1).
//!
//! There is no verifying here: the service never accepts a JWT. A verifier takes the public half from the JWKS.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::platform::crypto::random;

/// The one algorithm, as JWS names it.
pub const ALGORITHM: &str = "EdDSA";
/// Length of the private half, in bytes.
const SEED_LEN: usize = 32;

/// The bytes are not a private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the seed of an Ed25519 key")]
pub struct MalformedKey;

/// A key that signs.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    kid: String,
}

impl SigningKey {
    /// A new key and its private half, to be sealed.
    ///
    /// The seed comes from the operating system and not from the library's generator, which lives in the
    /// process: see [`random`].
    pub fn generate() -> (Self, Zeroizing<[u8; SEED_LEN]>) {
        let seed = Zeroizing::new(random::bytes());
        let Ok(key) = Self::from_seed(seed.as_slice()) else {
            unreachable!("every 32 bytes are an Ed25519 seed")
        };
        (key, seed)
    }

    /// The key of a private half (RFC 8032 section 5.1.5).
    pub fn from_seed(seed: &[u8]) -> Result<Self, MalformedKey> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| MalformedKey)?;
        let kid = thumbprint(&x_of(&pair));
        Ok(Self { pair, kid })
    }

    /// Names the key in headers and in the JWKS: the thumbprint of its public half (RFC 7638, RFC 8037
    /// appendix A.3).
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half, as it is published (RFC 8037 section 2).
    pub fn public_jwk(&self) -> Value {
        json!({
            "kty": "OKP",
            "crv": "Ed25519",
            "x": x_of(&self.pair),
            "kid": self.kid,
            "alg": ALGORITHM,
            "use": "sig",
        })
    }

    /// Signs claims as an access token (`typ: at+jwt`, RFC 9068 section 2.1).
    pub fn sign(&self, claims: &Map<String, Value>) -> String {
        let header = json!({ "alg": ALGORITHM, "typ": "at+jwt", "kid": self.kid });
        let mut token = String::new();
        URL_SAFE_NO_PAD.encode_string(header.to_string(), &mut token);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(claims).unwrap_or_default(), &mut token);
        let signature = self.pair.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        token
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.kid)
    }
}

fn x_of(pair: &Ed25519KeyPair) -> String {
    URL_SAFE_NO_PAD.encode(pair.public_key())
}

/// SHA-256 of the required members in their order (RFC 7638 section 3).
fn thumbprint(x: &str) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    fn decoded(part: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(part).unwrap()
    }

    #[test]
    fn the_key_of_rfc_8037_has_its_published_names() {
        // Appendix A.1 and A.3.
        let seed = decoded("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
        let key = SigningKey::from_seed(&seed).unwrap();
        assert_eq!(key.public_jwk()["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert!(SigningKey::from_seed(&seed[1..]).is_err());
    }

    #[test]
    fn a_signature_covers_header_and_claims() {
        let (key, seed) = SigningKey::generate();
        let claims = Map::from_iter([("sub".to_owned(), json!("ada"))]);
        let token = key.sign(&claims);
        let (message, signature) = token.rsplit_once('.').unwrap();
        let public = UnparsedPublicKey::new(&ED25519, key.pair.public_key().as_ref());
        assert!(public.verify(message.as_bytes(), &decoded(signature)).is_ok());
        assert!(public.verify(b"another", &decoded(signature)).is_err());
        let header: Value = serde_json::from_slice(&decoded(message.split('.').next().unwrap())).unwrap();
        assert_eq!(header, json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": key.kid() }));
        // The same private half signs the same way elsewhere.
        assert_eq!(SigningKey::from_seed(seed.as_slice()).unwrap().sign(&claims), token);
    }

    #[test]
    fn neither_debug_output_nor_the_published_half_shows_the_private_one() {
        let (key, seed) = SigningKey::generate();
        let private = URL_SAFE_NO_PAD.encode(seed.as_slice());
        let shown = format!("{key:?} {}", key.public_jwk());
        assert!(!shown.contains(&private) && key.public_jwk().get("d").is_none());
        assert_ne!(SigningKey::generate().0.kid(), key.kid());
    }
}
