//! Whether an identity token is for us, now, and about this very sign-in (OpenID Connect Core §3.1.3.7).
//!
//! Its signature has been verified before.

use serde_json::Value;
use subtle::ConstantTimeEq as _;

use super::assertion::Claims;
use super::kinds;
use super::model::Kind;
use super::refusal::Refusal;

/// Clocks differ by this much, in seconds.
const LEEWAY: i64 = 60;

/// What a token has to say.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Whose rules.
    pub kind: Kind,
    /// Who says it.
    pub issuer: &'a str,
    /// Who we are there.
    pub client_id: &'a str,
    /// Who else we are there.
    pub audiences: &'a [String],
    /// The spellings of the nonce that fit: one, or two where the application made it.
    pub nonces: &'a [&'a str],
    /// The time, in seconds since 1970.
    pub now: i64,
}

/// Checks everything but the subject, which the kinds read.
pub fn check(claims: &Claims, expected: &Expected<'_>) -> Result<(), Refusal> {
    if !kinds::accepts_issuer(expected.kind, expected.issuer, claims) {
        return Err(Refusal::invalid("id_token_issuer"));
    }
    let ours = |audience: &str| {
        audience == expected.client_id || expected.audiences.iter().any(|known| known == audience)
    };
    // One that is for others as well could be replayed by them.
    let audience = match claims.get("aud") {
        Some(Value::String(audience)) => ours(audience),
        Some(Value::Array(audiences)) => {
            !audiences.is_empty() && audiences.iter().all(|audience| audience.as_str().is_some_and(ours))
        }
        _ => false,
    };
    if !audience {
        return Err(Refusal::invalid("id_token_audience"));
    }
    match claims.get("azp") {
        None => {}
        Some(Value::String(party)) if ours(party) => {}
        Some(_) => return Err(Refusal::invalid("id_token_authorized_party")),
    }
    let time = |name: &str| claims.get(name).and_then(seconds);
    match time("exp") {
        Some(exp) if exp > expected.now - LEEWAY => {}
        Some(_) => return Err(Refusal::invalid("id_token_expired")),
        None => return Err(Refusal::invalid("id_token_expiry_missing")),
    }
    match time("iat") {
        Some(iat) if iat <= expected.now + LEEWAY => {}
        Some(_) => return Err(Refusal::invalid("id_token_from_the_future")),
        None => return Err(Refusal::invalid("id_token_issue_time_missing")),
    }
    match (claims.get("nbf"), time("nbf")) {
        (None, _) => {}
        (Some(_), Some(nbf)) if nbf <= expected.now + LEEWAY => {}
        (Some(_), _) => return Err(Refusal::invalid("id_token_from_the_future")),
    }
    match claims.get("nonce") {
        Some(Value::String(nonce)) => {
            let same = |fits: &&str| bool::from(fits.as_bytes().ct_eq(nonce.as_bytes()));
            if expected.nonces.iter().any(same) { Ok(()) } else { Err(Refusal::invalid("id_token_nonce")) }
        }
        Some(_) => Err(Refusal::invalid("id_token_nonce")),
        None => Err(Refusal::invalid("id_token_nonce_missing")),
    }
}

/// When a checked token ends.
pub fn expiry(claims: &Claims) -> i64 {
    claims.get("exp").and_then(seconds).unwrap_or_default()
}

/// Latest time that is one: the end of the year 9999.
const LATEST: i64 = 253_402_300_799;

/// A time, in whole seconds since 1970; some write a fraction.
fn seconds(value: &Value) -> Option<i64> {
    let whole = value.as_i64().or_else(|| {
        let seconds = value.as_f64().filter(|seconds| (0.0..1e12).contains(seconds))?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "bounded just before; the fraction is not wanted"
        )]
        let whole = seconds as i64;
        Some(whole)
    })?;
    (0..=LATEST).contains(&whole).then_some(whole)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn expected() -> Expected<'static> {
        Expected {
            kind: Kind::Oidc,
            issuer: "https://id.example",
            client_id: "us",
            audiences: &[],
            nonces: &["n"],
            now: 1_000_000,
        }
    }

    fn reason(change: &Value) -> Option<&'static str> {
        let mut claims = json!({
            "iss": "https://id.example", "aud": "us", "sub": "1", "exp": 1_000_300, "iat": 999_990, "nonce": "n",
        });
        for (name, value) in change.as_object().unwrap() {
            if value == "absent" {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        check(claims.as_object().unwrap(), &expected()).err().map(|refusal| refusal.reason)
    }

    #[test]
    fn a_token_by_the_book_is_taken() {
        for change in [
            json!({}),
            json!({ "aud": ["us"] }),
            json!({ "azp": "us" }),
            json!({ "exp": 1_000_300.5 }),
            json!({ "exp": 999_941 }),
            json!({ "iat": 1_000_060, "nbf": 1_000_060 }),
        ] {
            assert_eq!(reason(&change), None, "{change}");
        }
    }

    #[test]
    fn everything_else_has_a_reason() {
        for (change, expected) in [
            (json!({ "iss": "https://id.example/" }), "id_token_issuer"),
            (json!({ "iss": "absent" }), "id_token_issuer"),
            (json!({ "iss": ["https://id.example"] }), "id_token_issuer"),
            (json!({ "aud": "them" }), "id_token_audience"),
            (json!({ "aud": ["us", "them"] }), "id_token_audience"),
            (json!({ "aud": [] }), "id_token_audience"),
            (json!({ "aud": [["us"]] }), "id_token_audience"),
            (json!({ "aud": "absent" }), "id_token_audience"),
            (json!({ "aud": null }), "id_token_audience"),
            (json!({ "azp": "them" }), "id_token_authorized_party"),
            (json!({ "azp": null }), "id_token_authorized_party"),
            (json!({ "exp": 999_940 }), "id_token_expired"),
            (json!({ "exp": "1000300" }), "id_token_expiry_missing"),
            (json!({ "exp": "absent" }), "id_token_expiry_missing"),
            (json!({ "exp": -1 }), "id_token_expiry_missing"),
            (json!({ "exp": 1e300 }), "id_token_expiry_missing"),
            (json!({ "exp": u64::MAX }), "id_token_expiry_missing"),
            (json!({ "iat": 1_000_061 }), "id_token_from_the_future"),
            (json!({ "iat": "absent" }), "id_token_issue_time_missing"),
            (json!({ "nbf": 1_000_061 }), "id_token_from_the_future"),
            (json!({ "nbf": "soon" }), "id_token_from_the_future"),
            (json!({ "nonce": "m" }), "id_token_nonce"),
            (json!({ "nonce": null }), "id_token_nonce"),
            (json!({ "nonce": ["n"] }), "id_token_nonce"),
            (json!({ "nonce": "absent" }), "id_token_nonce_missing"),
        ] {
            assert_eq!(reason(&change), Some(expected), "{change}");
        }
    }
}
