//! What the browser saw (section 5.8.1), signed by the authenticator.

use serde::Deserialize;
use serde::de::IgnoredAny;
use subtle::ConstantTimeEq as _;

use super::Refusal;
use super::response::Base64Url;

/// `CollectedClientData`. Browsers may add members; none may be there twice.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClientData {
    r#type: String,
    challenge: Base64Url,
    origin: String,
    #[serde(default)]
    cross_origin: Option<bool>,
    #[serde(default)]
    top_origin: Option<IgnoredAny>,
}

impl ClientData {
    pub(super) fn parse(json: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(json).map_err(|_| Refusal::ClientData)
    }

    /// Compares texts exactly as browsers write them: nothing is normalised, so nothing can be smuggled past it.
    pub(super) fn check(&self, ceremony: &str, challenge: &[u8], origins: &[String]) -> Result<(), Refusal> {
        if self.r#type != ceremony {
            return Err(Refusal::Type);
        }
        if !bool::from(self.challenge.as_ref().ct_eq(challenge)) {
            return Err(Refusal::Challenge);
        }
        if !origins.contains(&self.origin) {
            return Err(Refusal::Origin);
        }
        if self.cross_origin == Some(true) || self.top_origin.is_some() {
            return Err(Refusal::CrossOrigin);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<(), Refusal> {
        let origins = ["https://example.com".to_owned()];
        ClientData::parse(json.as_bytes())?.check("webauthn.get", &[0, 1, 2], &origins)
    }

    #[test]
    fn what_browsers_write_is_taken() {
        for rest in ["", r#","crossOrigin":false"#, r#","other_keys_can_be_added_here":"do not compare""#] {
            let json = format!(
                r#"{{"type":"webauthn.get","challenge":"AAEC","origin":"https://example.com"{rest}}}"#
            );
            assert_eq!(check(&json), Ok(()), "{json}");
        }
    }

    #[test]
    fn every_other_word_is_refused() {
        let of = |kind: &str, challenge: &str, origin: &str| {
            check(&format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}"}}"#))
        };
        let (get, origin) = ("webauthn.get", "https://example.com");
        assert_eq!(of("webauthn.create", "AAEC", origin), Err(Refusal::Type));
        assert_eq!(of("payment.get", "AAEC", origin), Err(Refusal::Type));
        for challenge in ["", "AAED", "AAECAw"] {
            assert_eq!(of(get, challenge, origin), Err(Refusal::Challenge), "{challenge}");
        }
        // Padding, the other alphabet, bits that say nothing.
        for challenge in ["AAE=", "+AEC", "AAF", "AA EC"] {
            assert_eq!(of(get, challenge, origin), Err(Refusal::ClientData), "{challenge}");
        }
        for origin in [
            "",
            "null",
            "http://example.com",
            "https://example.com/",
            "https://example.com:443",
            "https://EXAMPLE.com",
            "https://example.com.evil.test",
            "https://login.example.com",
            "https://example.com@evil.test",
        ] {
            assert_eq!(of(get, "AAEC", origin), Err(Refusal::Origin), "{origin}");
        }
    }

    #[test]
    fn frames_of_other_sites_are_refused() {
        let head = r#"{"type":"webauthn.get","challenge":"AAEC","origin":"https://example.com""#;
        assert_eq!(check(&format!(r#"{head},"crossOrigin":true}}"#)), Err(Refusal::CrossOrigin));
        let framed = format!(r#"{head},"crossOrigin":false,"topOrigin":"https://evil.test"}}"#);
        assert_eq!(check(&framed), Err(Refusal::CrossOrigin));
    }

    #[test]
    fn two_readings_are_no_reading() {
        let json = r#"{"type":"webauthn.get","challenge":"AAEC","origin":"https://evil.test","origin":"https://example.com"}"#;
        assert_eq!(check(json), Err(Refusal::ClientData));
        for json in ["", "null", "[]", "{}", "\u{feff}{}"] {
            assert_eq!(check(json), Err(Refusal::ClientData), "{json}");
        }
    }
}
