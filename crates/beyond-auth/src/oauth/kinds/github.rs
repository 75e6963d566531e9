//! GitHub and GitHub Enterprise.

use serde_json::Value;
use url::Url;

use super::{Defaults, Endpoints, Known, ResponseMode, oidc};
use crate::emails::Email;
use crate::oauth::assertion::{Assertion, Claims, Evidence};
use crate::oauth::model::Definition;
use crate::oauth::refusal::Refusal;
use crate::platform::http::FieldErrors;

/// OAuth 2 without discovery or identity tokens.
pub const DEFAULTS: Defaults = Defaults {
    issuer: Some("https://github.com"),
    openid: false,
    scopes: &["read:user", "user:email"],
    response_mode: ResponseMode::Query,
};

/// An Enterprise server is named by its origin: paths follow from it.
pub fn check(definition: &Definition, errors: &mut FieldErrors) {
    if let Some(issuer) = &definition.issuer
        && !Url::parse(issuer).is_ok_and(|url| url.path() == "/" && url.query().is_none() && url.has_host())
    {
        errors.push(
            "/issuer",
            "invalid_url",
            "must be the origin of the server, such as https://github.example.com",
        );
    }
}

/// GitHub names no issuer; the operator may name an Enterprise server.
pub fn issuer(definition: &Definition) -> Option<String> {
    let named = definition.issuer.as_deref().map(|issuer| issuer.trim_end_matches('/').to_owned());
    named.or_else(|| DEFAULTS.issuer.map(str::to_owned))
}

/// Who it is, and the addresses.
pub fn documents(endpoints: &Endpoints) -> Vec<Url> {
    [&endpoints.userinfo, &endpoints.emails].into_iter().flatten().cloned().collect()
}

/// Questions about the person go to a host of its own at GitHub, below a path at an Enterprise server.
pub fn known(definition: &Definition) -> Known {
    let server = issuer(definition).and_then(|issuer| Url::parse(&issuer).ok());
    let Some(server) = server else { return Known::default() };
    let at = |path: &str| server.join(path).ok().map(String::from);
    let host = server.host_str().unwrap_or_default();
    let hosted = host == "github.com" || host.ends_with(".ghe.com");
    let mut api = server.clone();
    if hosted && api.set_host(Some(&format!("api.{host}"))).is_err() {
        return Known::default();
    }
    api.set_path(if hosted { "/" } else { "/api/v3/" });
    let ask = |path: &str| api.join(path).ok().map(String::from);
    Known {
        authorization: at("/login/oauth/authorize"),
        token: at("/login/oauth/access_token"),
        userinfo: ask("user"),
        emails: ask("user/emails"),
    }
}

/// Who somebody is: the number, since names change hands. The address is the primary one of the list, and proven only
/// if the list says so of that very entry; the one on the public profile is any text.
pub fn assertion(evidence: &Evidence<'_>) -> Result<Assertion, Refusal> {
    let [user, emails] = evidence.documents else { return Err(Refusal::invalid("user_missing")) };
    let user = user.as_object().ok_or(Refusal::invalid("user_malformed"))?;
    let number = user.get("id").and_then(Value::as_u64).filter(|number| *number > 0);
    let subject = number.ok_or(Refusal::invalid("subject_malformed"))?.to_string();
    let emails = emails.as_array().ok_or(Refusal::invalid("emails_malformed"))?;
    let primary = emails.iter().filter_map(Value::as_object).find(|entry| is_true(entry, "primary"));
    let email =
        primary.and_then(|entry| entry.get("email")?.as_str()).and_then(|text| Email::parse(text).ok());
    let email_verified = email.is_some() && primary.is_some_and(|entry| is_true(entry, "verified"));
    let text = |name: &str| user.get(name).and_then(Value::as_str);
    Ok(Assertion {
        issuer: evidence.issuer.to_owned(),
        subject,
        email,
        email_verified,
        authoritative: true,
        hosted_domain: None,
        name: text("name")
            .and_then(oidc::display_name)
            .or_else(|| text("login").and_then(oidc::display_name)),
        picture: text("avatar_url").and_then(oidc::picture),
    })
}

fn is_true(entry: &Claims, name: &str) -> bool {
    entry.get(name) == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(user: Value, emails: Value) -> Result<Assertion, Refusal> {
        let documents = [user, emails];
        assertion(&Evidence {
            issuer: "https://github.com",
            id_token: None,
            documents: &documents,
            posted_user: None,
        })
    }

    fn address(emails: Value) -> (Option<String>, bool) {
        let assertion = read(json!({ "id": 1, "login": "ada" }), emails).unwrap();
        (assertion.email.map(|email| email.address().to_owned()), assertion.email_verified)
    }

    #[test]
    fn the_number_is_who_somebody_is() {
        let user = json!({ "id": 9_007_199_254_740_993_u64, "login": "ada", "name": "Ada", "email": "x@example.com" });
        let assertion = read(user, json!([])).unwrap();
        assert_eq!(assertion.subject, "9007199254740993");
        assert_eq!((assertion.name.as_deref(), assertion.email), (Some("Ada"), None));
        for id in [json!(null), json!("1"), json!(0), json!(-1), json!(1.5), json!([1])] {
            assert!(read(json!({ "id": id, "login": "ada" }), json!([])).is_err(), "{id}");
        }
        assert!(read(json!([]), json!([])).is_err());
        assert!(read(json!({ "id": 1 }), json!({ "message": "Not Found" })).is_err());
    }

    #[test]
    fn only_the_primary_address_counts_and_only_by_its_own_word() {
        let entry = |email: &str, primary: Value, verified: Value| json!({ "email": email, "primary": primary, "verified": verified });
        let ada = "ada@example.com";
        assert_eq!(address(json!([entry(ada, json!(true), json!(true))])), (Some(ada.to_owned()), true));
        assert_eq!(address(json!([entry(ada, json!(true), json!(false))])), (Some(ada.to_owned()), false));
        for truth in [json!("true"), json!(1), json!(null)] {
            assert!(!address(json!([entry(ada, json!(true), truth.clone())])).1, "{truth}");
            assert_eq!(address(json!([entry(ada, truth, json!(true))])), (None, false));
        }
        let other = entry("other@example.com", json!(false), json!(true));
        assert_eq!(address(json!([other])), (None, false));
        assert_eq!(
            address(json!([other, entry(ada, json!(true), json!(false))])),
            (Some(ada.to_owned()), false)
        );
    }

    #[test]
    fn an_enterprise_server_answers_below_its_own_address() {
        let known = |issuer: Option<&str>| {
            super::known(&Definition { issuer: issuer.map(str::to_owned), ..Definition::default() })
        };
        let emails = |issuer| known(issuer).emails.unwrap();
        assert_eq!(emails(None), "https://api.github.com/user/emails");
        assert_eq!(emails(Some("https://acme.ghe.com")), "https://api.acme.ghe.com/user/emails");
        assert_eq!(emails(Some("https://git.example.com")), "https://git.example.com/api/v3/user/emails");
        assert_eq!(emails(Some("https://evil-ghe.com")), "https://evil-ghe.com/api/v3/user/emails");
        assert_eq!(emails(Some("http://127.0.0.1:81")), "http://127.0.0.1:81/api/v3/user/emails");
        let known = known(Some("https://git.example.com"));
        assert_eq!(known.token.unwrap(), "https://git.example.com/login/oauth/access_token");
    }
}
