//! Requests to the world outside: one client for all, which no address can be talked into reaching inwards.
//!
//! https on 443 to public addresses, unless the operator has made an exception (`--outbound-allow`); no redirects, no
//! proxy; 3 seconds to connect, 10 seconds and 1 MiB in all. What counts is the address that is dialled: names are
//! resolved here, and each answer is looked at before anything connects to it. Link-local addresses, where clouds hand
//! out credentials, are never dialled.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use url::{Host, Url};

use super::config::OutboundRule;

const TO_CONNECT: Duration = Duration::from_secs(3);
const IN_ALL: Duration = Duration::from_secs(10);
const MOST_BYTES: usize = 1024 * 1024;

/// Why there is no answer. Repeats neither the URL nor anything that was sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL leads where this client does not go.
    #[error("the address may not be called: {0}")]
    Forbidden(&'static str),
    /// Nobody answered, or not in time.
    #[error("no answer: {0}")]
    Unreachable(String),
    /// The answer is not a success.
    #[error("the answer is {0}")]
    Status(u16),
    /// The answer is longer than what is read.
    #[error("the answer is larger than {MOST_BYTES} bytes")]
    TooLarge,
}

/// The client. Cheap to clone; what it needs is made at the first request.
#[derive(Clone)]
pub struct Outbound(Arc<Inner>);

struct Inner {
    rules: Arc<[OutboundRule]>,
    clients: [OnceLock<Result<Client, String>>; 3],
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("rules", &self.0.rules).finish_non_exhaustive()
    }
}

/// Which addresses a request may dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Public ones, and those of networks that the operator has named.
    Public,
    /// Only those of networks that the operator has named.
    Networks,
    /// Any: the operator has named the host.
    Named,
}

impl Outbound {
    /// A client with the operator's exceptions.
    pub fn new(rules: &[OutboundRule]) -> Self {
        Self(Arc::new(Inner { rules: rules.into(), clients: Default::default() }))
    }

    /// Reads what is at `url`.
    ///
    /// # Errors
    /// When the URL may not be called, nobody answers in time, or the answer is no success or too large.
    pub async fn get(&self, url: &Url, headers: &[(&'static str, &'static str)]) -> Result<Vec<u8>, Error> {
        let reach = reach(url, &self.0.rules)?;
        let client = self.0.clients[reach as usize].get_or_init(|| client(reach, Arc::clone(&self.0.rules)));
        let client = client.as_ref().map_err(|why| Error::Unreachable(why.clone()))?;
        let mut request = client.get(url.clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = request.send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(Error::Status(response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(Error::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// The innermost cause says most, and the URL may hold what nobody should read in a log.
fn unreachable(error: reqwest::Error) -> Error {
    let error = error.without_url();
    let mut inner: &dyn std::error::Error = &error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    Error::Unreachable(inner.to_string())
}

fn client(reach: Reach, rules: Arc<[OutboundRule]>) -> Result<Client, String> {
    Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(TO_CONNECT)
        .timeout(IN_ALL)
        .user_agent(concat!("beyond-auth/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(Arc::new(Resolver { reach, rules }))
        .build()
        .map_err(|error| error.to_string())
}

/// How far a request to `url` may reach. A host that is an address is looked at here: nobody resolves it.
fn reach(url: &Url, rules: &[OutboundRule]) -> Result<Reach, Error> {
    let plain = match url.scheme() {
        "https" => false,
        "http" => true,
        _ => return Err(Error::Forbidden("only https")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::Forbidden("it holds credentials"));
    }
    let port = url.port_or_known_default().unwrap_or_default();
    let usual = !plain && port == 443;
    let address = match url.host() {
        Some(Host::Domain(name)) => {
            // A dot at the end names the same host.
            let name = name.trim_end_matches('.');
            let named = rules.iter().any(|rule| rule.covers_host(name, port));
            return Ok(match (named, usual) {
                (true, _) => Reach::Named,
                (false, true) => Reach::Public,
                (false, false) => Reach::Networks,
            });
        }
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        None => return Err(Error::Forbidden("it has no host")),
    };
    let reach = if usual { Reach::Public } else { Reach::Networks };
    if may_dial(address, reach, rules) { Ok(reach) } else { Err(Error::Forbidden("not a public address")) }
}

fn may_dial(address: IpAddr, reach: Reach, rules: &[OutboundRule]) -> bool {
    let address = address.to_canonical();
    let covered = || rules.iter().any(|rule| rule.covers_address(address));
    !hands_out_credentials(address)
        && match reach {
            Reach::Public => is_public(address) || covered(),
            Reach::Networks => covered(),
            Reach::Named => true,
        }
}

/// Where clouds serve metadata and orders to their agents: link-local addresses, and some of their own making (Alibaba
/// Cloud, Azure, AWS, Google Cloud).
fn hands_out_credentials(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let own = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)];
            address.is_link_local() || own.contains(&address)
        }
        IpAddr::V6(address) => {
            let own = [
                Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
                Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
            ];
            address.is_unicast_link_local() || own.contains(&address)
        }
    }
}

/// Whether an address is reachable in the whole internet, after the registries of RFC 6890 as IANA keeps them.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            !(a == 0
                || address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_documentation()
                || (a == 100 && (64..=127).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 192 && b == 88 && c == 99)
                || (a == 198 && (18..=19).contains(&b))
                || a >= 224)
        }
        IpAddr::V6(address) => {
            // 2000::/3 is all that was ever given out; in it are special purposes, tunnels among them that
            // lead to an IPv4 address of the sender's choice.
            let [a, b, ..] = address.segments();
            a & 0xe000 == 0x2000
                && !(a == 0x2001 && b < 0x200)
                && !(a == 0x2001 && b == 0xdb8)
                && a != 0x2002
                && !(a == 0x3fff && b < 0x1000)
        }
    }
}

/// Resolves names and keeps back what may not be dialled.
struct Resolver {
    reach: Reach,
    rules: Arc<[OutboundRule]>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, rules) = (self.reach, Arc::clone(&self.rules));
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let dialled: Vec<_> = found.filter(|found| may_dial(found.ip(), reach, &rules)).collect();
            if dialled.is_empty() {
                return Err(io::Error::other("the name leads to no address that may be called").into());
            }
            Ok(Box::new(dialled.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> Vec<OutboundRule> {
        texts.iter().map(|text| OutboundRule::parse(text).unwrap()).collect()
    }

    fn may(url: &str, allowed: &[&str]) -> Option<Reach> {
        reach(&Url::parse(url).unwrap(), &rules(allowed)).ok()
    }

    #[test]
    fn without_exceptions_only_https_on_443_to_public_addresses() {
        assert_eq!(may("https://example.com/x", &[]), Some(Reach::Public));
        assert_eq!(may("https://1.1.1.1/", &[]), Some(Reach::Public));
        // Names on other ports reach named networks, of which there are none.
        assert_eq!(may("https://example.com:8443/", &[]), Some(Reach::Networks));
        assert_eq!(may("http://example.com/", &[]), Some(Reach::Networks));
        for url in [
            "ftp://example.com/",
            "file:///etc/passwd",
            "https://user@example.com/",
            "https://user:secret@example.com/",
            "http://1.1.1.1/",
            "https://1.1.1.1:8443/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0/",
            "https://10.1.2.3/",
            "https://169.254.169.254/latest/meta-data/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[2002:7f00:1::]/",
            "https://[2001:0:7f00:1::]/",
            "https://[fe80::1]/",
            "https://[fd00::1]/",
        ] {
            assert_eq!(may(url, &[]), None, "{url}");
        }
    }

    #[test]
    fn an_exception_opens_what_it_names_and_no_more() {
        assert_eq!(may("http://idp.internal/", &["idp.internal"]), Some(Reach::Named));
        assert_eq!(may("https://idp.internal.:8443/", &["idp.internal:8443"]), Some(Reach::Named));
        assert_eq!(may("https://idp.internal/", &["idp.internal:8443"]), Some(Reach::Public));
        assert_eq!(may("https://evil.idp.internal/", &["idp.internal"]), Some(Reach::Public));
        assert_eq!(may("http://10.1.2.3:8080/", &["10.0.0.0/8"]), Some(Reach::Networks));
        assert_eq!(may("https://10.1.2.3/", &["10.0.0.0/8"]), Some(Reach::Public));
        assert_eq!(may("https://192.168.0.1/", &["10.0.0.0/8"]), None);
        // Not even by wish.
        assert_eq!(may("http://169.254.169.254/", &["169.254.0.0/16"]), None);
        assert_eq!(may("http://[fd00:ec2::254]/", &["fd00::/8"]), None);
    }

    #[test]
    fn what_a_name_leads_to_is_looked_at() {
        let dial = |address: &str, reach| may_dial(address.parse().unwrap(), reach, &rules(&["10.0.0.0/8"]));
        assert!(dial("8.8.8.8", Reach::Public) && dial("2606:4700::1111", Reach::Public));
        assert!(dial("10.0.0.1", Reach::Public) && dial("::ffff:10.0.0.1", Reach::Networks));
        assert!(dial("192.168.0.1", Reach::Named) && !dial("192.168.0.1", Reach::Public));
        assert!(!dial("8.8.8.8", Reach::Networks));
        for reach in [Reach::Public, Reach::Networks, Reach::Named] {
            assert!(!dial("169.254.169.254", reach) && !dial("::ffff:169.254.169.254", reach));
            assert!(!dial("fe80::1", reach));
            assert!(!dial("168.63.129.16", reach) && !dial("fd20:ce::254", reach));
        }
        for address in [
            "0.1.2.3",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "2001:db8::1",
            "3fff::1",
            "4000::1",
        ] {
            assert!(!dial(address, Reach::Public), "{address}");
        }
    }

    #[tokio::test]
    async fn a_name_for_this_machine_is_not_dialled() {
        let error =
            Outbound::new(&[]).get(&Url::parse("https://localhost/").unwrap(), &[]).await.unwrap_err();
        assert!(error.to_string().contains("no address that may be called"), "{error}");
    }
}
