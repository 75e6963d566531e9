//! Microsoft accounts and Entra ID.
//!
//! Anybody may have a directory there, and what it says about its people is its own affair: an address that a foreign
//! directory names is no more than a text ("nOAuth"). Who somebody is follows from directory and object, `tid` and `oid`.

use serde_json::Value;
use uuid::Uuid;

use super::{Defaults, ResponseMode, oidc};
use crate::emails::Email;
use crate::oauth::assertion::{Assertion, Claims, Evidence};
use crate::oauth::model::Definition;
use crate::oauth::refusal::Refusal;
use crate::platform::http::FieldErrors;

/// Discovery says the rest.
pub const DEFAULTS: Defaults = Defaults {
    issuer: None,
    openid: true,
    // `profile` brings `oid`.
    scopes: &["openid", "email", "profile"],
    response_mode: ResponseMode::Query,
};

/// The directory of all personal accounts.
const CONSUMERS: Uuid = Uuid::from_u128(0x9188_040d_6c67_4c5b_b112_36a3_04b6_6dad);
/// What stands for the directory in the discovered issuer of several.
const PLACEHOLDER: &str = "{tenantid}";

/// Whose people may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tenant {
    /// Everybody's.
    Common,
    /// Those of companies and schools.
    Organizations,
    /// Personal accounts.
    Consumers,
    /// One directory's.
    One(Uuid),
}

impl Tenant {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "common" => Some(Self::Common),
            "organizations" => Some(Self::Organizations),
            "consumers" => Some(Self::Consumers),
            id => directory(id).map(Self::One),
        }
    }

    fn admits(self, tid: Uuid) -> bool {
        match self {
            Self::Common => true,
            Self::Organizations => tid != CONSUMERS,
            Self::Consumers => tid == CONSUMERS,
            Self::One(id) => tid == id,
        }
    }
}

/// An id of a directory, or of an object in one: in the one spelling that tokens have.
fn directory(text: &str) -> Option<Uuid> {
    Uuid::parse_str(text).ok().filter(|id| id.hyphenated().to_string() == text)
}

/// `https://login.microsoftonline.com/common/v2.0` as what stands around the directory, and the directory.
fn split(issuer: &str) -> Option<(&str, Tenant)> {
    let (base, tenant) = issuer.strip_suffix("/v2.0")?.rsplit_once('/')?;
    Some((base, Tenant::parse(tenant)?))
}

/// The directory has to be said; in an issuer where it is not in the usual cloud.
pub fn check(definition: &Definition, errors: &mut FieldErrors) {
    let known = |tenant: &String| Tenant::parse(tenant).is_some();
    let tenant = "must be the directory's id, `common`, `organizations` or `consumers`";
    match (&definition.issuer, &definition.tenant) {
        (None, None) => errors.push("/tenant", "required", tenant),
        (None, Some(name)) if !known(name) => errors.push("/tenant", "invalid_value", tenant),
        (Some(_), Some(_)) => errors.push("/tenant", "invalid_value", "is part of the issuer already"),
        (Some(issuer), None) if split(issuer).is_none() => errors.push(
            "/issuer",
            "invalid_value",
            "must end in the directory's id, `common`, `organizations` or `consumers`, and `/v2.0`",
        ),
        _ => {}
    }
}

/// Of the directory.
pub fn issuer(definition: &Definition) -> Option<String> {
    definition.issuer.clone().or_else(|| {
        let tenant = definition.tenant.as_deref()?;
        Some(format!("https://login.microsoftonline.com/{tenant}/v2.0"))
    })
}

/// What stands for several directories names none of them, and that of personal accounts is called by its id.
pub fn accepts_discovered_issuer(expected: &str, found: &str) -> bool {
    match split(expected) {
        Some((base, Tenant::Common | Tenant::Organizations)) => found == format!("{base}/{PLACEHOLDER}/v2.0"),
        Some((base, Tenant::Consumers)) => found == format!("{base}/{CONSUMERS}/v2.0"),
        Some((_, Tenant::One(_))) => found == expected,
        None => false,
    }
}

/// That of the directory which the token says it comes from, if people of that one may come.
pub fn accepts_issuer(expected: &str, claims: &Claims) -> bool {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let tid = text("tid").and_then(directory);
    let (Some((base, tenant)), Some(tid)) = (split(expected), tid) else { return false };
    tenant.admits(tid) && text("iss") == Some(format!("{base}/{tid}/v2.0").as_str())
}

/// Who somebody is. `email`, `upn` and `preferred_username` are for the directory's administrators to choose: an address
/// counts where Microsoft says that the directory owns its domain (`xms_edov`), or where the operator has named this one
/// directory and trusts it.
pub fn assertion(definition: &Definition, evidence: &Evidence<'_>) -> Result<Assertion, Refusal> {
    let claims = evidence.id_token.ok_or(Refusal::invalid("id_token_missing"))?;
    // It must be there as in every identity token, although it differs from application to application.
    oidc::subject(claims)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let oid = text("oid").and_then(directory).ok_or(Refusal::invalid("object_missing"))?;
    let issuer = text("iss").ok_or(Refusal::invalid("issuer"))?.to_owned();
    let email = text("email").and_then(|text| Email::parse(text).ok());
    let pinned = split(evidence.issuer)
        .is_some_and(|(_, tenant)| matches!(tenant, Tenant::One(id) if id != CONSUMERS));
    let owned = match claims.get("xms_edov") {
        Some(value) => is_owned(value),
        None => pinned && definition.trust_email,
    };
    Ok(Assertion {
        issuer,
        subject: oid.to_string(),
        email_verified: email.is_some() && owned,
        email,
        authoritative: true,
        hosted_domain: None,
        name: text("name").and_then(oidc::display_name),
        picture: None,
    })
}

/// "Email domain owner verified": documented as a boolean, seen as a number and as text too.
fn is_owned(value: &Value) -> bool {
    match value {
        Value::Bool(owned) => *owned,
        Value::Number(number) => number.as_u64() == Some(1),
        Value::String(text) => text == "1" || text == "true",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BASE: &str = "https://login.microsoftonline.com";
    const ONE: &str = "11111111-2222-3333-4444-555555555555";
    const OTHER: &str = "99999999-2222-3333-4444-555555555555";
    const OID: &str = "aaaaaaaa-2222-3333-4444-555555555555";

    fn of(tenant: &str) -> String {
        format!("{BASE}/{tenant}/v2.0")
    }

    fn claims(value: &Value) -> Claims {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn the_issuer_is_that_of_a_directory_that_may_come() {
        let consumers = CONSUMERS.to_string();
        let accepts = |tenant: &str, tid: &str, iss: &str| {
            accepts_issuer(&of(tenant), &claims(&json!({ "tid": tid, "iss": of(iss) })))
        };
        assert!(accepts("common", ONE, ONE) && accepts("common", &consumers, &consumers));
        assert!(accepts("organizations", ONE, ONE) && !accepts("organizations", &consumers, &consumers));
        assert!(!accepts("consumers", ONE, ONE) && accepts("consumers", &consumers, &consumers));
        assert!(accepts(ONE, ONE, ONE) && !accepts(ONE, OTHER, OTHER));
        for tenant in ["common", "organizations", ONE] {
            assert!(!accepts(tenant, ONE, OTHER) && !accepts(tenant, OTHER, ONE));
            assert!(!accepts(tenant, "common", "common") && !accepts(tenant, "{tenantid}", "{tenantid}"));
            assert!(!accepts(tenant, &ONE.replace('1', "A"), &ONE.replace('1', "A")));
        }
        let elsewhere = json!({ "tid": ONE, "iss": format!("https://evil.example/{ONE}/v2.0") });
        assert!(!accepts_issuer(&of("common"), &claims(&elsewhere)));
        assert!(!accepts_issuer(&of("common"), &claims(&json!({ "iss": of(ONE) }))));
    }

    #[test]
    fn discovery_names_the_place_of_the_directory() {
        assert!(accepts_discovered_issuer(&of("common"), &of("{tenantid}")));
        assert!(accepts_discovered_issuer(&of("consumers"), &of(&CONSUMERS.to_string())));
        assert!(accepts_discovered_issuer(&of(ONE), &of(ONE)));
        assert!(!accepts_discovered_issuer(&of(ONE), &of("{tenantid}")));
        assert!(!accepts_discovered_issuer(&of("common"), &of(ONE)));
        assert!(!accepts_discovered_issuer(&of("common"), "https://evil.example/{tenantid}/v2.0"));
    }

    fn read(tenant: &str, trust_email: bool, more: &Value) -> Result<Assertion, Refusal> {
        let mut token =
            claims(&json!({ "iss": of(ONE), "tid": ONE, "sub": "pairwise", "oid": OID, "name": "Ada" }));
        token.extend(claims(more));
        let definition = Definition { trust_email, ..Definition::default() };
        let issuer = of(tenant);
        assertion(
            &definition,
            &Evidence { issuer: &issuer, id_token: Some(&token), documents: &[], posted_user: None },
        )
    }

    #[test]
    fn directory_and_object_are_who_somebody_is() {
        let assertion =
            read("common", true, &json!({ "email": "ada@example.com", "upn": "ada@example.com" })).unwrap();
        assert_eq!((assertion.issuer.as_str(), assertion.subject.as_str()), (of(ONE).as_str(), OID));
        for oid in [json!(null), json!("ada@example.com"), json!(1), json!("")] {
            assert!(read("common", true, &json!({ "oid": oid })).is_err(), "{oid}");
        }
    }

    #[test]
    fn an_address_counts_where_the_directory_owns_it() {
        let verified = |tenant: &str, trust: bool, edov: Option<Value>| {
            let mut more = json!({ "email": "ada@example.com", "email_verified": true });
            if let Some(edov) = edov {
                more["xms_edov"] = edov;
            }
            read(tenant, trust, &more).unwrap().email_verified
        };
        for edov in [json!(true), json!(1), json!("1"), json!("true")] {
            assert!(verified("common", false, Some(edov)));
        }
        for edov in [json!(false), json!(0), json!("0"), json!(null), json!("yes"), json!([true])] {
            assert!(!verified("common", true, Some(edov.clone())));
            assert!(!verified(ONE, true, Some(edov)), "a denial is not passed over");
        }
        assert!(!verified("common", true, None) && !verified("organizations", true, None));
        assert!(verified(ONE, true, None) && !verified(ONE, false, None));
    }

    #[test]
    fn the_operator_names_a_directory() {
        let errors = |issuer: Option<&str>, tenant: Option<&str>| {
            let own = |text: Option<&str>| text.map(str::to_owned);
            let mut errors = FieldErrors::default();
            check(
                &Definition { issuer: own(issuer), tenant: own(tenant), ..Definition::default() },
                &mut errors,
            );
            errors.finish().is_err()
        };
        for tenant in ["common", "organizations", "consumers", ONE] {
            assert!(!errors(None, Some(tenant)) && !errors(Some(&of(tenant)), None));
        }
        assert!(!errors(Some(&format!("https://login.microsoftonline.us/{ONE}/v2.0")), None));
        for tenant in ["", "Common", "contoso.onmicrosoft.com", "../common", "common/x"] {
            assert!(errors(None, Some(tenant)), "{tenant}");
        }
        assert!(errors(None, None) && errors(Some(&of(ONE)), Some(ONE)));
        assert!(errors(Some("https://login.microsoftonline.com/common"), None));
    }
}
