//! The credential that a request carries: exactly one, or none.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::problem::Problem;

/// Name of the session cookie over https. The prefix makes browsers insist on Secure, Path=/ and no Domain
/// (draft-ietf-httpbis-rfc6265bis §4.1.3).
pub const SESSION_COOKIE: &str = "__Host-beyond_session";
/// Name of the session cookie in development over plain http, where browsers drop Secure cookies.
pub const INSECURE_SESSION_COOKIE: &str = "beyond_session";

/// Name of the cookie by which an account knows a browser again, over https.
const DEVICE_COOKIE: &str = "__Host-beyond_device";
/// The same in development over plain http.
const INSECURE_DEVICE_COOKIE: &str = "beyond_device";

/// The device cookie's name for a deployment reached at `public_url`.
pub fn device_cookie_name(public_url: &Url) -> &'static str {
    if public_url.scheme() == "https" { DEVICE_COOKIE } else { INSECURE_DEVICE_COOKIE }
}

/// The first device cookie, under either name: its value is authenticated and bound to an account, so one that a
/// sibling domain has planted is worth nothing.
pub(super) fn device(headers: &HeaderMap) -> Option<SecretString> {
    let value = cookies(headers, DEVICE_COOKIE).next();
    let value = value.or_else(|| cookies(headers, INSECURE_DEVICE_COOKIE).next())?;
    Some(SecretString::from(std::str::from_utf8(value).ok()?))
}

/// The session cookie's name for a deployment reached at `public_url`.
pub fn session_cookie_name(public_url: &Url) -> &'static str {
    if public_url.scheme() == "https" { SESSION_COOKIE } else { INSECURE_SESSION_COOKIE }
}

/// Whether the request says that it comes from a page of our own: browsers send `Origin` with every write,
/// and no page can forge it.
pub fn is_same_origin(headers: &HeaderMap, public_url: &Url) -> bool {
    let own = public_url.origin().ascii_serialization();
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let origin = origins.next().and_then(|origin| origin.to_str().ok());
    origins.next().is_none() && origin == Some(own.as_str())
}

/// What a request presented, and how.
#[derive(Debug)]
pub enum Credential {
    /// Nothing.
    None,
    /// `Authorization: Bearer …`.
    Bearer(SecretString),
    /// The session cookie.
    Cookie(SecretString),
}

/// Reads the credential. Two different ones are refused: guessing which was meant is how confused
/// deputies are made.
pub fn read(headers: &HeaderMap, cookie_name: &str) -> Result<Credential, Problem> {
    match (bearer(headers)?, cookie(headers, cookie_name)?) {
        (Some(bearer), Some(cookie)) if bearer.expose_secret() != cookie.expose_secret() => Err(ambiguous()),
        (Some(bearer), _) => Ok(Credential::Bearer(bearer)),
        (None, Some(cookie)) => Ok(Credential::Cookie(cookie)),
        (None, None) => Ok(Credential::None),
    }
}

/// The one value of a cookie; two different ones are refused.
pub fn cookie(headers: &HeaderMap, name: &str) -> Result<Option<SecretString>, Problem> {
    let mut cookies = cookies(headers, name);
    let cookie = cookies.next();
    if cookies.any(|further| Some(further) != cookie) {
        return Err(ambiguous());
    }
    Ok(cookie.map(|value| SecretString::from(&*String::from_utf8_lossy(value))))
}

/// The cookies whose names begin like that, names in full, in the order they were sent.
pub fn cookies_like(headers: &HeaderMap, prefix: &str) -> Vec<(String, SecretString)> {
    let lines = headers.get_all(header::COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let named = pairs.filter_map(|pair| {
        let (name, value) = std::str::from_utf8(pair).ok()?.split_once('=')?;
        let name = name.trim_start_matches([' ', '\t']);
        let token = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        (name.starts_with(prefix) && token)
            .then(|| (name.to_owned(), SecretString::from(value.trim_ascii_end())))
    });
    named.collect()
}

/// The values sent under exactly that cookie name, byte for byte.
///
/// Read by hand, since a lenient parser undoes the `__Host-` prefix: one that decodes percent signs or strips more
/// than blanks from names takes `%5F%5FHost-…`, which browsers let a sibling domain set, for the protected name; one
/// that keeps a name only once hides that there were two.
fn cookies<'h>(headers: &'h HeaderMap, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
    let lines = headers.get_all(header::COOKIE).iter();
    lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';')).filter_map(move |pair| {
        let blanks = pair.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        pair[blanks..].strip_prefix(name.as_bytes())?.strip_prefix(b"=").map(<[u8]>::trim_ascii_end)
    })
}

/// The token of `Authorization: Bearer …`, whatever it is for.
pub fn bearer(headers: &HeaderMap) -> Result<Option<SecretString>, Problem> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err(ambiguous());
    }
    // RFC 6750 §2.1; the scheme is case-insensitive (RFC 9110 §11.1).
    let token = line.to_str().ok().and_then(|line| {
        let (scheme, token) = line.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    });
    match token {
        Some(token) if !token.is_empty() => Ok(Some(SecretString::from(token))),
        _ => Err(Problem::unauthenticated(
            "invalid_credentials_format",
            "Send the credential as `Authorization: Bearer <token>`.",
        )),
    }
}

/// What we send in `Authorization` where a name and a secret are asked of us (RFC 7617).
pub fn basic(name: &str, secret: &SecretString) -> SecretString {
    let both = SecretString::from(format!("{name}:{}", secret.expose_secret()));
    SecretString::from(format!("Basic {}", STANDARD.encode(both.expose_secret())))
}

/// The answer to a request with two different credentials.
pub fn ambiguous() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "ambiguous_credentials",
        "The request carries more than one credential. Send exactly one.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(lines: &[&[u8]]) -> Result<Option<String>, u16> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, http::HeaderValue::from_bytes(line).unwrap());
        }
        match read(&headers, SESSION_COOKIE) {
            Ok(Credential::Cookie(value)) => Ok(Some(value.expose_secret().to_owned())),
            Ok(_) => Ok(None),
            Err(problem) => Err(problem.status().as_u16()),
        }
    }

    #[test]
    fn a_cookie_is_found_among_others_whatever_they_hold() {
        assert_eq!(cookie(&[b"a=1; __Host-beyond_session=x ;b=\xff"]), Ok(Some("x".into())));
        assert_eq!(cookie(&[b"a=1", b"__Host-beyond_session=x=y"]), Ok(Some("x=y".into())));
        assert_eq!(cookie(&[b"a=__Host-beyond_session=x", b"beyond_session=x"]), Ok(None));
    }

    #[test]
    fn a_name_that_only_resembles_the_protected_one_is_another_cookie() {
        for name in [
            &b"%5F%5FHost-beyond_session"[..],
            b"__Host-beyond%5Fsession",
            b"__host-beyond_session",
            b"\xc2\xa0__Host-beyond_session",
            b"\xe2\x80\x80__Host-beyond_session",
            b"__Host-beyond_session\x20",
            b"\"__Host-beyond_session\"",
            b"__Host-beyond_session[0]",
        ] {
            assert_eq!(cookie(&[&[name, b"=x"].concat()]), Ok(None), "{}", name.escape_ascii());
        }
    }

    #[test]
    fn a_value_is_taken_as_it_stands() {
        assert_eq!(cookie(&[b"__Host-beyond_session=%41"]), Ok(Some("%41".into())));
        assert_eq!(cookie(&[b"__Host-beyond_session=\"x\""]), Ok(Some("\"x\"".into())));
    }

    #[test]
    fn two_different_cookies_of_the_name_are_refused() {
        assert_eq!(cookie(&[b"__Host-beyond_session=x; __Host-beyond_session=y"]), Err(400));
        assert_eq!(cookie(&[b"__Host-beyond_session=x", b"__Host-beyond_session=y"]), Err(400));
        assert_eq!(cookie(&[b"__Host-beyond_session=x", b"__Host-beyond_session=x"]), Ok(Some("x".into())));
    }
}
