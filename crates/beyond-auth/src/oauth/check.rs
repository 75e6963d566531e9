//! Whether a description of a provider is one.

use url::Url;

use super::flow::RESERVED;
use super::kinds;
use super::model::{Definition, Kind, is_id};
use crate::platform::http::FieldErrors;

/// Longest URL.
const URL_LIMIT: usize = 1024;
/// Longest list.
const LIST_LIMIT: usize = 50;
/// Longest member of a list, in bytes.
const TEXT_LIMIT: usize = 512;

/// A word for paths.
pub fn slug(id: &str, errors: &mut FieldErrors) {
    if !is_id(id) {
        errors.push("/id", "invalid_id", "must be 1 to 40 of a-z, 0-9 and -, and must not begin with -");
    }
}

/// What to write on the button.
pub fn name(name: &str, errors: &mut FieldErrors) {
    if !(1..=60).contains(&name.chars().count()) {
        errors.push("/name", "invalid_length", "must have 1 to 60 characters");
    }
    if name.chars().any(char::is_control) {
        errors.push("/name", "invalid_character", "must not contain control characters");
    }
}

/// Who we are there.
pub fn client_id(id: &str, errors: &mut FieldErrors) {
    if !(1..=TEXT_LIMIT).contains(&id.len()) || !id.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        errors.push("/client_id", "invalid_value", "must be 1 to 512 printable ASCII characters");
    }
}

/// The rest; domains are brought into their one spelling.
pub fn definition(kind: Kind, definition: &mut Definition, errors: &mut FieldErrors) {
    kinds::check(kind, definition, errors);
    if let Some(issuer) = &definition.issuer {
        let url = Url::parse(issuer).ok().filter(|url| {
            matches!(url.scheme(), "https" | "http") && url.query().is_none() && url.fragment().is_none()
        });
        // Compared as text: what a parser would write differently could never match.
        let same =
            url.is_some_and(|url| url.as_str() == issuer || url.as_str().trim_end_matches('/') == issuer);
        if !same || issuer.len() > URL_LIMIT {
            errors.push(
                "/issuer",
                "invalid_url",
                "must be an https URL without query, as the provider writes it",
            );
        }
    }
    let addresses = [
        ("/authorization_endpoint", &definition.authorization_endpoint),
        ("/token_endpoint", &definition.token_endpoint),
        ("/userinfo_endpoint", &definition.userinfo_endpoint),
        ("/emails_endpoint", &definition.emails_endpoint),
        ("/jwks_uri", &definition.jwks_uri),
        ("/revocation_endpoint", &definition.revocation_endpoint),
    ];
    for (pointer, address) in addresses {
        if address.as_ref().is_some_and(|address| address.len() > URL_LIMIT) {
            errors.push(pointer, "too_long", format!("at most {URL_LIMIT} bytes"));
        }
    }
    scopes(kind, definition, errors);
    parameters(definition, errors);
    if definition.audiences.len() > LIST_LIMIT
        || definition.audiences.iter().any(|audience| !(1..=TEXT_LIMIT).contains(&audience.len()))
    {
        errors.push("/audiences", "invalid_value", "must be at most 50 client ids");
    }
    let names = &definition.claims;
    for (pointer, name) in [
        ("/claims/email", &names.email),
        ("/claims/email_verified", &names.email_verified),
        ("/claims/name", &names.name),
        ("/claims/picture", &names.picture),
    ] {
        if !(1..=100).contains(&name.len()) {
            errors.push(pointer, "invalid_length", "must have 1 to 100 characters");
        }
    }
    domains(definition, errors);
}

/// RFC 6749 §3.3.
fn scopes(kind: Kind, definition: &Definition, errors: &mut FieldErrors) {
    let Some(scopes) = &definition.scopes else { return };
    let token = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    let fits = |scope: &String| (1..=200).contains(&scope.len()) && scope.bytes().all(token);
    if scopes.len() > LIST_LIMIT || !scopes.iter().all(fits) {
        errors.push("/scopes", "invalid_value", "must be at most 50 scopes without blanks");
    }
    if kinds::defaults(kind).openid && !scopes.iter().any(|scope| scope == "openid") {
        errors.push("/scopes", "required", "must contain openid");
    }
}

fn parameters(definition: &Definition, errors: &mut FieldErrors) {
    let parameters = &definition.authorize_params;
    if parameters.len() > LIST_LIMIT {
        errors.push("/authorize_params", "too_many", format!("at most {LIST_LIMIT}"));
    }
    for (name, value) in parameters {
        let pointer = format!("/authorize_params/{}", name.replace('~', "~0").replace('/', "~1"));
        if RESERVED.contains(&name.as_str()) || name == "request_uri" {
            errors.push(pointer, "reserved_name", "belongs to the protocol and cannot be set");
        } else if !(1..=100).contains(&name.len()) || value.len() > TEXT_LIMIT {
            errors.push(pointer, "invalid_length", "names of 1 to 100, values of at most 512 bytes");
        }
    }
}

fn domains(definition: &mut Definition, errors: &mut FieldErrors) {
    if definition.allowed_domains.len() > LIST_LIMIT {
        errors.push("/allowed_domains", "too_many", format!("at most {LIST_LIMIT}"));
    }
    for (index, domain) in definition.allowed_domains.iter_mut().enumerate() {
        match idna::domain_to_ascii_strict(domain) {
            Ok(ascii) if ascii.contains('.') && ascii.len() <= 253 => *domain = ascii,
            _ => errors.push(
                format!("/allowed_domains/{index}"),
                "invalid_domain",
                "must be a domain such as example.com",
            ),
        }
    }
}
