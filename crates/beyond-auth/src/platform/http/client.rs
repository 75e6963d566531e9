//! Who is on the other end of the connection, as far as the network tells.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::FromRequestParts;
use http::{HeaderMap, header, request};
use ipnet::IpNet;
use secrecy::SecretString;

use super::credentials;

/// The peer's address, user agent and request id, for limits, audit and session lists.
#[derive(Clone, Debug)]
pub struct Client {
    /// The address that the request came from, seen through trusted proxies only.
    pub address: IpAddr,
    /// Capped at 512 characters.
    pub user_agent: Option<String>,
    /// First language of `Accept-Language`, primary subtag only, such as `en`.
    pub language: Option<String>,
    /// What the browser keeps to be known again, as it was presented.
    pub device: Option<SecretString>,
    /// The id of this request in logs and problems.
    pub request_id: String,
}

const USER_AGENT_LIMIT: usize = 512;

impl Client {
    /// Reads the headers of one request. `peer` is the other end of the TCP connection.
    pub fn new(headers: &HeaderMap, peer: SocketAddr, trusted: &[IpNet], request_id: String) -> Self {
        let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
        let user_agent = text(header::USER_AGENT)
            .map(|value| value.chars().filter(|c| !c.is_control()).take(USER_AGENT_LIMIT).collect());
        let language = text(header::ACCEPT_LANGUAGE)
            .and_then(|value| value.split([',', ';', '-']).next())
            .map(|value| value.trim().to_ascii_lowercase())
            .filter(|value| (2..=3).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_lowercase()));
        let (address, device) = (address(headers, peer.ip(), trusted), credentials::device(headers));
        Self { address, user_agent, language, device, request_id }
    }
}

/// Walks `X-Forwarded-For` from the right, over trusted proxies only. Anything that is not an address
/// ends the walk at the last address that could be trusted: a forged header never moves it further.
fn address(headers: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let mut seen = peer.to_canonical();
    if !is_trusted(&seen) {
        return seen;
    }
    let lines: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
    for hop in lines.join(",").rsplit(',') {
        let Some(address) = parse_hop(hop.trim()) else { return seen };
        seen = address;
        if !is_trusted(&seen) {
            return seen;
        }
    }
    seen
}

/// An address as proxies write it: bare, with a port, or an IPv6 one in brackets.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let address = hop
        .parse::<IpAddr>()
        .or_else(|_| hop.parse::<SocketAddr>().map(|socket| socket.ip()))
        .or_else(|_| hop.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>());
    address.ok().map(|address| address.to_canonical())
}

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self {
            address: IpAddr::from([0, 0, 0, 0]),
            user_agent: None,
            language: None,
            device: None,
            request_id: String::new(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        address(&headers, peer.parse().unwrap(), &trusted).to_string()
    }

    #[test]
    fn an_untrusted_peer_cannot_claim_another_address() {
        assert_eq!(seen("192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
    }

    #[test]
    fn trusted_hops_are_walked_from_the_right() {
        assert_eq!(seen("10.0.0.1", &["198.51.100.7, 203.0.113.9, 10.0.0.2"]), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["198.51.100.7", "203.0.113.9"]), "203.0.113.9");
        assert_eq!(seen("::1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(seen("::ffff:10.0.0.1", &["203.0.113.9"]), "203.0.113.9");
    }

    #[test]
    fn garbage_falls_back_to_the_last_trusted_hop() {
        assert_eq!(seen("10.0.0.1", &["203.0.113.9, nonsense"]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["nonsense, 10.0.0.3"]), "10.0.0.3");
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
    }
}
