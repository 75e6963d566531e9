//! Sign in with Apple.

use secrecy::SecretString;
use serde_json::{Value, json};

use super::{Defaults, ResponseMode, oidc};
use crate::oauth::assertion::{Assertion, Evidence};
use crate::oauth::model::{Definition, Provider};
use crate::oauth::refusal::{Code, Refusal};
use crate::platform::crypto::es256::{Es256Key, MalformedKey};
use crate::platform::http::FieldErrors;

/// Discovery says the rest.
pub const DEFAULTS: Defaults = Defaults {
    issuer: Some(ISSUER),
    openid: true,
    scopes: &["openid", "email", "name"],
    response_mode: ResponseMode::FormPost,
};

const ISSUER: &str = "https://appleid.apple.com";
/// A client secret is made for one request. Apple would take half a year.
const SECRET_LIFE: i64 = 300;

/// The secret is made of the team's key, which goes by these names.
pub fn check(definition: &Definition, errors: &mut FieldErrors) {
    let id =
        |text: &str| text.len() == 10 && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    for (value, pointer) in [(&definition.team_id, "/team_id"), (&definition.key_id, "/key_id")] {
        match value {
            None => errors.push(pointer, "required", "must be given"),
            Some(text) if !id(text) => {
                errors.push(pointer, "invalid_value", "must be ten capital letters and digits");
            }
            Some(_) => {}
        }
    }
}

/// The answer is posted, since a name is asked for.
pub fn authorize_params() -> Vec<(&'static str, String)> {
    vec![("response_mode", "form_post".to_owned())]
}

/// A JWT that the team's key signs (ES256, RFC 7518 §3.4), good for a few minutes.
///
/// # Errors
/// When what is stored is not such a key.
pub fn client_secret(provider: &Provider, stored: &SecretString, now: i64) -> Result<SecretString, Refusal> {
    let Definition { issuer, team_id, key_id, .. } = &provider.definition;
    let claims = json!({
        "iss": team_id, "sub": provider.client_id, "aud": issuer.as_deref().unwrap_or(ISSUER),
        "iat": now, "exp": now + SECRET_LIFE,
    });
    Es256Key::from_pem(stored)
        .and_then(|key| key.sign(key_id.as_deref().unwrap_or_default(), &claims))
        .map_err(|MalformedKey| Refusal::new(Code::ProviderError, "client_secret"))
}

/// Whether the operator has handed in such a key.
pub fn is_key(secret: &SecretString) -> bool {
    Es256Key::from_pem(secret).is_ok()
}

/// Who somebody is. Apple writes some booleans as text; what it vouches for, it owns or has mailed to. The name comes
/// once, beside the token and unsigned: fit to be shown.
pub fn assertion(definition: &Definition, evidence: &Evidence<'_>) -> Result<Assertion, Refusal> {
    let mut assertion = oidc::assertion(definition, evidence)?;
    let verified = evidence.id_token.and_then(|claims| claims.get(&definition.claims.email_verified));
    assertion.email_verified |= assertion.email.is_some() && verified == Some(&Value::from("true"));
    assertion.name = evidence.posted_user.and_then(posted_name);
    Ok(assertion)
}

fn posted_name(user: &Value) -> Option<String> {
    let part = |name: &str| user.get("name")?.get(name)?.as_str().and_then(oidc::display_name);
    let parts: Vec<String> = ["firstName", "lastName"].into_iter().filter_map(part).collect();
    oidc::display_name(&parts.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(token: &Value, user: Option<&Value>) -> Assertion {
        let token = token.as_object().unwrap().clone();
        let evidence = Evidence { issuer: ISSUER, id_token: Some(&token), documents: &[], posted_user: user };
        assertion(&Definition::default(), &evidence).unwrap()
    }

    #[test]
    fn a_proven_address_may_be_called_so_in_text() {
        let verified = |value: Value| {
            read(&json!({ "sub": "1", "email": "ada@example.com", "email_verified": value }), None)
                .email_verified
        };
        assert!(verified(json!(true)) && verified(json!("true")));
        for value in [json!(false), json!("false"), json!("True"), json!(1), json!(null)] {
            assert!(!verified(value));
        }
        assert!(!read(&json!({ "sub": "1", "email_verified": "true" }), None).email_verified);
    }

    #[test]
    fn what_is_posted_beside_the_token_gives_a_name_and_nothing_else() {
        let token =
            json!({ "sub": "1", "email": "ada@example.com", "email_verified": true, "name": "Not Apple" });
        let user = json!({ "name": { "firstName": "Ada\u{0}", "lastName": "x".repeat(10_000) }, "email": "eve@evil.example" });
        let assertion = read(&token, Some(&user));
        let name = assertion.name.unwrap();
        assert!(name.starts_with("Ada xxx") && name.chars().count() <= 200, "{name}");
        assert_eq!(assertion.email.unwrap().address(), "ada@example.com");
        for user in [json!("Ada"), json!({}), json!({ "name": "Ada" }), json!({ "name": { "firstName": 1 } })]
        {
            assert_eq!(read(&token, Some(&user)).name, None, "{user}");
        }
    }
}
