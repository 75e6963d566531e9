//! Web origins, compared exactly.

use std::fmt;

use url::{Host, Url};

/// A web origin: scheme, host and port, nothing else (RFC 6454 §4).
///
/// Held in its ASCII serialization (RFC 6454 §6.2), so that equality of two values is equality of
/// origins: lower-case host, punycode, default port left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin(String);

/// Why a text is not an origin. The text itself is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Not an absolute URL with a host.
    #[error("is not an origin; write scheme, host and, if needed, port, such as https://app.example.com")]
    Malformed,
    /// Something follows the port, or credentials precede the host.
    #[error("is more than an origin; leave out path, query, fragment and credentials")]
    NotBare,
    /// `*` in the host. Matching is exact on purpose: one forgotten subdomain would receive sign-ins.
    #[error("holds a wildcard; list every origin by name")]
    Wildcard,
    /// Another scheme than https, or http on a host that is not this machine.
    #[error("must be https; plain http is accepted for localhost only")]
    Insecure,
}

impl Origin {
    /// Reads an origin that browsers treat as secure: https, or http on this machine.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let url = Url::parse(text).map_err(|_| OriginError::Malformed)?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(OriginError::Malformed)?;
        if host.contains('*') {
            return Err(OriginError::Wildcard);
        }
        if !is_bare(&url) {
            return Err(OriginError::NotBare);
        }
        if !is_secure(&url) {
            return Err(OriginError::Insecure);
        }
        Ok(Self(url.origin().ascii_serialization()))
    }

    /// The origin of `url`; none where it is opaque (`data:`, `file:`, an app's own scheme).
    pub fn of(url: &Url) -> Option<Self> {
        let origin = url.origin();
        origin.is_tuple().then(|| Self(origin.ascii_serialization()))
    }

    /// Whether `url` lies within this origin.
    pub fn covers(&self, url: &Url) -> bool {
        Self::of(url).as_ref() == Some(self)
    }

    /// The serialization, such as `https://app.example.com:8443`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// No path, query, fragment or credentials.
pub(super) fn is_bare(url: &Url) -> bool {
    matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

/// https, or http on this machine: what browsers call potentially trustworthy (W3C Secure Contexts §3.1).
pub(super) fn is_secure(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => url.host().is_some_and(|host| is_this_machine(&host)),
        _ => false,
    }
}

fn is_this_machine(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_held_in_its_canonical_form() {
        for (text, canonical) in [
            ("https://App.Example.com", "https://app.example.com"),
            ("https://app.example.com:443", "https://app.example.com"),
            ("https://app.example.com/", "https://app.example.com"),
            ("https://bücher.example:8443", "https://xn--bcher-kva.example:8443"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://[::1]:3000", "http://[::1]:3000"),
        ] {
            assert_eq!(Origin::parse(text).unwrap().as_str(), canonical);
        }
    }

    #[test]
    fn anything_beyond_an_origin_is_refused() {
        for (text, why) in [
            ("", OriginError::Malformed),
            ("app.example.com", OriginError::Malformed),
            ("null", OriginError::Malformed),
            ("mailto:a@example.com", OriginError::Malformed),
            ("https://app.example.com/callback", OriginError::NotBare),
            ("https://app.example.com?x", OriginError::NotBare),
            ("https://app.example.com#x", OriginError::NotBare),
            ("https://user@app.example.com", OriginError::NotBare),
            ("https://*.example.com", OriginError::Wildcard),
            ("http://app.example.com", OriginError::Insecure),
            ("http://localhost.example.com", OriginError::Insecure),
            ("ftp://localhost", OriginError::Insecure),
            ("myapp://callback", OriginError::Insecure),
        ] {
            assert_eq!(Origin::parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn an_origin_covers_its_own_urls_and_no_others() {
        let origin = Origin::parse("https://app.example.com").unwrap();
        let covers = |text: &str| origin.covers(&Url::parse(text).unwrap());
        assert!(covers("https://app.example.com/a?b#c"));
        assert!(covers("https://app.example.com:443/"));
        assert!(!covers("https://app.example.com.evil.test/"));
        assert!(!covers("https://app.example.com:8443/"));
        assert!(!covers("http://app.example.com/"));
        assert!(!covers("https://app.example.com@evil.test/"));
        assert!(!covers("data:text/html,x"));
    }
}
