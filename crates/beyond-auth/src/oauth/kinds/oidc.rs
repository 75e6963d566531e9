//! Any provider that speaks OpenID Connect, by the book.

use serde_json::Value;
use url::Url;

use super::{Defaults, Endpoints, ResponseMode};
use crate::emails::Email;
use crate::oauth::assertion::{Assertion, Claims, Evidence};
use crate::oauth::model::{Definition, Provider};
use crate::oauth::refusal::Refusal;
use crate::platform::http::FieldErrors;
use crate::users::model::NAME_LIMIT;

/// Nothing is known beforehand.
pub const DEFAULTS: Defaults = Defaults {
    issuer: None,
    openid: true,
    scopes: &["openid", "email", "profile"],
    response_mode: ResponseMode::Query,
};

/// Longest subject (OpenID Connect Core §2).
const SUBJECT_LIMIT: usize = 255;
/// Longest URL of a picture that is kept.
const PICTURE_LIMIT: usize = 1024;

/// The issuer has to be said.
pub fn check(definition: &Definition, errors: &mut FieldErrors) {
    if definition.issuer.is_none() {
        errors.push("/issuer", "required", "must be the provider's issuer, such as https://id.example.com");
    }
}

/// Exactly the expected issuer (OpenID Connect Core §3.1.3.7).
pub fn accepts_issuer(expected: &str, claims: &Claims) -> bool {
    claims.get("iss").and_then(Value::as_str) == Some(expected)
}

/// The userinfo document, where the identity token leaves out the address.
pub fn documents(provider: &Provider, endpoints: &Endpoints, id_token: Option<&Claims>) -> Vec<Url> {
    let told = id_token.is_some_and(|claims| claims.contains_key(&provider.definition.claims.email));
    endpoints.userinfo.iter().filter(|_| !told).cloned().collect()
}

/// Who somebody is by the identity token, and by the userinfo document if it is about the same person.
pub fn assertion(definition: &Definition, evidence: &Evidence<'_>) -> Result<Assertion, Refusal> {
    let id_token = evidence.id_token.ok_or(Refusal::invalid("id_token_missing"))?;
    let subject = subject(id_token)?;
    let userinfo = match evidence.documents.first() {
        Some(document) => {
            let document = document.as_object().ok_or(Refusal::invalid("userinfo_malformed"))?;
            // OpenID Connect Core §5.3.2.
            if document.get("sub").and_then(Value::as_str) != Some(subject) {
                return Err(Refusal::invalid("userinfo_subject"));
            }
            Some(document)
        }
        None => None,
    };
    let names = &definition.claims;
    // The address and the word that it is proven come from one document.
    let source = [Some(id_token), userinfo].into_iter().flatten();
    let (email, email_verified) = source
        .clone()
        .find(|document| document.contains_key(&names.email))
        .map_or((None, false), |document| email(document, &names.email, &names.email_verified));
    let text = |name: &str| source.clone().find_map(|document| document.get(name)?.as_str());
    Ok(Assertion {
        issuer: evidence.issuer.to_owned(),
        subject: subject.to_owned(),
        email,
        email_verified,
        authoritative: true,
        hosted_domain: None,
        name: text(&names.name).and_then(display_name),
        picture: text(&names.picture).and_then(picture),
    })
}

/// The subject: a string that is not empty and not too long (OpenID Connect Core §2).
pub fn subject(claims: &Claims) -> Result<&str, Refusal> {
    match claims.get("sub") {
        Some(Value::String(subject)) if !subject.is_empty() && subject.len() <= SUBJECT_LIMIT => {
            if subject.contains('\0') {
                return Err(Refusal::invalid("subject_malformed"));
            }
            Ok(subject)
        }
        Some(_) => Err(Refusal::invalid("subject_malformed")),
        None => Err(Refusal::invalid("subject_missing")),
    }
}

/// The address of a document, and whether the same document calls it proven: by `true`, and by nothing that merely
/// looks like it.
pub fn email(document: &Claims, email: &str, verified: &str) -> (Option<Email>, bool) {
    let email = document.get(email).and_then(Value::as_str).and_then(|text| Email::parse(text).ok());
    let verified = email.is_some() && document.get(verified) == Some(&Value::Bool(true));
    (email, verified)
}

/// A name as it may be shown: printable and of bounded length.
pub fn display_name(text: &str) -> Option<String> {
    let name: String = text.trim().chars().filter(|c| !c.is_control()).take(NAME_LIMIT).collect();
    (!name.is_empty()).then_some(name)
}

/// The URL of a picture, if pages may load it.
pub fn picture(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "https")?;
    (url.as_str().len() <= PICTURE_LIMIT).then(|| url.into())
}
