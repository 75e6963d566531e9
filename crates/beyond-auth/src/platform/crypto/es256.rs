//! Signing JWTs with a key that somebody else has given us: ECDSA on P-256 (`ES256`, RFC 7518 section 3.4).

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// The text is not a private key on P-256, or does not sign. Never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a private key on P-256 in PEM (PKCS #8)")]
pub struct MalformedKey;

/// A key that signs.
pub struct Es256Key(EcdsaKeyPair);

impl Es256Key {
    /// Reads PKCS #8 in PEM (RFC 7468 section 10): the `.p8` file that Apple hands out.
    pub fn from_pem(pem: &SecretString) -> Result<Self, MalformedKey> {
        let body = pem.expose_secret().trim().strip_prefix("-----BEGIN PRIVATE KEY-----");
        let body =
            body.and_then(|body| body.strip_suffix("-----END PRIVATE KEY-----")).ok_or(MalformedKey)?;
        let packed: Zeroizing<String> = Zeroizing::new(body.split_whitespace().collect());
        let der = Zeroizing::new(STANDARD.decode(packed.as_bytes()).map_err(|_| MalformedKey)?);
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der);
        pair.map(Self).map_err(|_| MalformedKey)
    }

    /// A JWT of these claims, in the compact form.
    ///
    /// The library draws the nonce from its own generator, but mixes key and message into it: a machine that was resumed
    /// from a snapshot does not sign two messages with one nonce, which would give the key away.
    pub fn sign(&self, kid: &str, claims: &Value) -> Result<SecretString, MalformedKey> {
        let header = json!({ "alg": "ES256", "kid": kid, "typ": "JWT" });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(claims));
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).map_err(|_| MalformedKey)?;
        Ok(SecretString::from(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))))
    }
}

impl fmt::Debug for Es256Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Es256Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, KeyPair as _, UnparsedPublicKey};

    use super::*;

    fn key() -> (EcdsaKeyPair, SecretString) {
        let der =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
        (EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref()).unwrap(), pem.into())
    }

    #[test]
    fn a_signature_covers_header_and_claims() {
        let (pair, pem) = key();
        let token = Es256Key::from_pem(&pem).unwrap().sign("KEY", &json!({ "iss": "TEAM" })).unwrap();
        let (message, signature) = token.expose_secret().rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
        public.verify(message.as_bytes(), &signature).unwrap();
        assert!(public.verify(b"another", &signature).is_err());
        let (header, claims) = message.split_once('.').unwrap();
        let read =
            |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
        assert_eq!(read(header), json!({ "alg": "ES256", "kid": "KEY", "typ": "JWT" }));
        assert_eq!(read(claims), json!({ "iss": "TEAM" }));
    }

    #[test]
    fn what_is_no_such_key_is_refused() {
        let (_, pem) = key();
        let pem = pem.expose_secret();
        for text in ["", "hush hush", &pem.replace("PRIVATE", "PUBLIC"), &pem[..100], &pem.replace('M', "")] {
            assert_eq!(Es256Key::from_pem(&text.into()).unwrap_err(), MalformedKey, "{text}");
        }
    }
}
