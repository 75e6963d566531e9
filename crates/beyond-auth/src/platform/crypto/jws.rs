//! Verifying what others have signed: JWTs (RFC 7519) by the keys of a JWK set (RFC 7517).
//!
//! The key decides which algorithms it verifies, never the token's header (RFC 8725 section 3.1); there are four, all
//! asymmetric. What the claims mean is for whoever asked.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Longest token that is looked at.
const TOKEN_LIMIT: usize = 64 * 1024;
/// Keys of a set that are looked at.
const KEY_LIMIT: usize = 100;
/// RSA keys of 2,048 to 8,192 bits, by the length of the modulus in bytes.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not three parts, not base64url, not JSON, or far too long.
    #[error("not a signed token")]
    Malformed,
    /// A token of another kind, or with critical extensions.
    #[error("a token of another kind")]
    Kind,
    /// Not one of the four, or not one that the key verifies.
    #[error("the algorithm is not accepted")]
    Algorithm,
    /// No key of the set is meant: they may have changed.
    #[error("no such key")]
    UnknownKey,
    /// The key is there and has not signed this.
    #[error("the signature is wrong")]
    Signature,
}

/// The bytes are not a JWK set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a set of keys")]
pub struct MalformedKeys;

/// The keys of a JWK set that verify signatures of a known kind; others are passed over.
#[derive(Debug)]
pub struct KeySet(Vec<Key>);

struct Key {
    id: Option<String>,
    algorithms: &'static [Algorithm],
    /// What the JWK itself says it is for.
    only: Option<String>,
    public: DecodingKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

impl KeySet {
    /// Reads a set.
    pub fn parse(bytes: &[u8]) -> Result<Self, MalformedKeys> {
        let set: Value = serde_json::from_slice(bytes).map_err(|_| MalformedKeys)?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or(MalformedKeys)?;
        Ok(Self(keys.iter().take(KEY_LIMIT).filter_map(read_key).collect()))
    }

    /// Whether there is nothing to verify with.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The claims of a token, if a key of the set has signed it.
    pub fn verify(&self, token: &str) -> Result<Map<String, Value>, Error> {
        let header = header_of(token)?;
        let algorithm = match header.alg.as_str() {
            "ES256" => Algorithm::ES256,
            "RS256" => Algorithm::RS256,
            "PS256" => Algorithm::PS256,
            "EdDSA" => Algorithm::EdDSA,
            _ => return Err(Error::Algorithm),
        };
        let named = |key: &&Key| header.kid.is_none() || key.id == header.kid;
        let mut candidates = self.0.iter().filter(named).peekable();
        if candidates.peek().is_none() {
            return Err(Error::UnknownKey);
        }
        let fits = |key: &Key| {
            key.algorithms.contains(&algorithm) && key.only.as_ref().is_none_or(|only| *only == header.alg)
        };
        let mut validation = Validation::new(algorithm);
        // Only the signature: time, audience and the rest are looked at by whoever knows what they should be.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let mut outcome = Err(Error::Algorithm);
        for key in candidates.filter(|key| fits(key)) {
            match jsonwebtoken::decode::<Map<String, Value>>(token, &key.public, &validation) {
                Ok(verified) => return Ok(verified.claims),
                Err(error) => {
                    outcome = Err(match error.kind() {
                        jsonwebtoken::errors::ErrorKind::Json(_)
                        | jsonwebtoken::errors::ErrorKind::Base64(_)
                        | jsonwebtoken::errors::ErrorKind::Utf8(_) => Error::Malformed,
                        _ => Error::Signature,
                    });
                }
            }
        }
        outcome
    }
}

/// SHA-256 of what a token's signature covers, for remembering that it was used.
///
/// Not of the signature: of an ECDSA signature anybody makes a second one that is as good (SEC 1 section 4.1.4 accepts
/// `s` and `n - s` alike).
pub fn fingerprint(token: &str) -> [u8; 32] {
    sha256(token.rsplit_once('.').map_or(token, |(signed, _)| signed))
}

fn sha256(text: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    hash
}

/// SHA-256 of any text, as hexadecimal digits.
pub fn sha256_hex(text: &str) -> String {
    use std::fmt::Write as _;
    sha256(text).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn header_of(token: &str) -> Result<Header, Error> {
    if token.len() > TOKEN_LIMIT {
        return Err(Error::Malformed);
    }
    let mut parts = token.split('.');
    let (Some(header), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Error::Malformed);
    };
    let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| Error::Malformed)?;
    let header: Header = serde_json::from_slice(&header).map_err(|_| Error::Malformed)?;
    // An access or logout token signed by the same keys is no identity token (RFC 8725 section 3.11).
    let plain = header.typ.as_deref().is_none_or(|typ| typ.eq_ignore_ascii_case("jwt"));
    if header.crit.is_some() || !plain {
        return Err(Error::Kind);
    }
    Ok(header)
}

fn read_key(jwk: &Value) -> Option<Key> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    if text("use").is_some_and(|usage| usage != "sig") {
        return None;
    }
    let verifies = |operations: &Vec<Value>| operations.iter().any(|operation| operation == "verify");
    if jwk.get("key_ops").and_then(Value::as_array).is_some_and(|operations| !verifies(operations)) {
        return None;
    }
    let (algorithms, key): (&'static [Algorithm], _) = match (text("kty")?, text("crv")) {
        ("EC", Some("P-256")) => {
            (&[Algorithm::ES256], DecodingKey::from_ec_components(text("x")?, text("y")?).ok()?)
        }
        ("OKP", Some("Ed25519")) => (&[Algorithm::EdDSA], DecodingKey::from_ed_components(text("x")?).ok()?),
        ("RSA", _) => {
            let (modulus, exponent) = (text("n")?, text("e")?);
            let length = URL_SAFE_NO_PAD.decode(modulus).ok()?.iter().skip_while(|byte| **byte == 0).count();
            if !RSA_BYTES.contains(&length) {
                return None;
            }
            let key = DecodingKey::from_rsa_components(modulus, exponent).ok()?;
            (&[Algorithm::RS256, Algorithm::PS256], key)
        }
        _ => return None,
    };
    let (id, only) = (text("kid").map(str::to_owned), text("alg").map(str::to_owned));
    Some(Key { id, algorithms, only, public: key })
}
