//! Who this service is to passkeys.

use url::{Host, Url};

use super::origin::{is_bare, is_secure};

/// The WebAuthn relying party (W3C Web Authentication §4, "relying party identifier").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebauthnConfig {
    /// Domain the passkeys are bound to, lower-case ASCII, such as `example.com`. Changing it makes every
    /// enrolled passkey useless.
    pub rp_id: String,
    /// Origin of the pages that run the ceremonies; `rp_id` is its host or a parent domain of it.
    pub rp_origin: Url,
}

/// Reads the origin: https, or http on localhost, and a host that is a name.
pub(super) fn parse_rp_origin(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|_| "is not an origin; write it with its scheme, such as https://example.com".to_owned())?;
    if !matches!(url.host(), Some(Host::Domain(_))) {
        return Err(
            "must have a domain name as its host: passkeys cannot be bound to an IP address".to_owned()
        );
    }
    if !is_secure(&url) {
        return Err(
            "must be https: browsers offer passkeys to secure origins only (http is accepted for localhost)"
                .to_owned(),
        );
    }
    if !is_bare(&url) {
        return Err("is more than an origin; leave out path, query, fragment and credentials".to_owned());
    }
    Ok(url)
}

/// Reads the relying party's identifier by itself; [`check_pair`] says whether it suits the origin.
pub(super) fn parse_rp_id(text: &str) -> Result<String, String> {
    match Host::parse(text) {
        Ok(Host::Domain(name)) if !name.contains('*') && !name.starts_with('.') && !name.ends_with('.') => {
            Ok(name)
        }
        Ok(Host::Domain(_)) => Err("is not a domain name such as example.com".to_owned()),
        Ok(_) => Err("is an IP address; passkeys are bound to a domain name such as example.com".to_owned()),
        Err(_) => Err("is not a domain name such as example.com; leave out scheme, port and path".to_owned()),
    }
}

/// Whether `rp_id` is the origin's host or a registrable parent of it (HTML standard, "is a registrable
/// domain suffix of or is equal to").
///
/// A parent with a single label is refused here; that a longer one such as `co.uk` is a public suffix is
/// left to the browsers, which know the current list and refuse the ceremony.
pub(super) fn check_pair(rp_id: &str, rp_origin: &Url) -> Result<(), String> {
    let host = rp_origin.host_str().unwrap_or_default();
    let is_parent =
        rp_id.contains('.') && host.strip_suffix(rp_id).is_some_and(|labels| labels.ends_with('.'));
    if rp_id == host || is_parent {
        return Ok(());
    }
    Err(format!(
        "does not fit --webauthn-rp-origin: {rp_id:?} must be its host {host:?} or a parent domain of it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(rp_id: &str, origin: &str) -> bool {
        check_pair(&parse_rp_id(rp_id).unwrap(), &parse_rp_origin(origin).unwrap()).is_ok()
    }

    #[test]
    fn the_identifier_is_the_host_or_a_parent_domain() {
        assert!(fits("example.com", "https://example.com"));
        assert!(fits("Example.com", "https://login.example.com:8443"));
        assert!(fits("bücher.example", "https://xn--bcher-kva.example"));
        assert!(fits("localhost", "http://localhost:8080"));
        assert!(fits("app.localhost", "http://app.localhost:8080"));
    }

    #[test]
    fn an_identifier_beside_or_below_the_host_is_refused() {
        assert!(!fits("login.example.com", "https://example.com"));
        assert!(!fits("ample.com", "https://example.com"));
        assert!(!fits("example.org", "https://example.com"));
        assert!(!fits("com", "https://example.com"));
    }

    #[test]
    fn an_identifier_is_a_bare_domain_name() {
        for wrong in
            ["", "https://example.com", "example.com:443", "127.0.0.1", "[::1]", "*.example.com", "a b"]
        {
            assert!(parse_rp_id(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_origin_is_secure_and_bare() {
        for wrong in [
            "example.com",
            "http://example.com",
            "http://localhost.example.com",
            "https://127.0.0.1",
            "https://example.com/app",
            "https://user:pass@example.com",
            "android:apk-key-hash:x",
        ] {
            assert!(parse_rp_origin(wrong).is_err(), "{wrong}");
        }
    }
}
