//! Addresses and networks: where to listen, whom to believe, whom to call.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use url::Host;

/// Reads `address:port`. Names are refused: which of its addresses would be bound is not ours to guess.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "is not an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080".to_owned())
}

/// Where a client on this machine reaches a server bound to `address`: the unspecified address (0.0.0.0,
/// `[::]`) becomes loopback.
pub fn reachable_locally(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Reads a network in CIDR notation, or a single address as the network that holds just it.
pub(super) fn parse_network(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map(|network| network.trunc())
        .map_err(|_| format!("holds {text:?}, which is not an address or a network such as 10.0.0.0/8"))
}

/// An exception for the outbound HTTP client: a place it may reach although the address is private, and
/// over plain http.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutboundRule {
    /// A host by name, on one port or on any.
    Host {
        /// Lower-case ASCII name, compared exactly: subdomains are not covered.
        name: String,
        /// None: every port.
        port: Option<u16>,
    },
    /// Every address of a network.
    Network(IpNet),
}

impl OutboundRule {
    /// Reads `host`, `host:port`, an address or a network in CIDR notation.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Ok(network) = parse_network(text) {
            return Ok(Self::Network(network));
        }
        let malformed = || {
            format!("holds {text:?}, which is not a host, host:port, address or network such as 10.0.0.0/8")
        };
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse::<u16>().map_err(|_| malformed())?)),
            None => (text, None),
        };
        match Host::parse(name) {
            Ok(Host::Domain(name)) if !name.contains('*') => Ok(Self::Host { name, port }),
            _ => Err(malformed()),
        }
    }

    /// Whether a request to the host `name` on `port` falls under this rule by name.
    pub fn covers_host(&self, name: &str, port: u16) -> bool {
        match self {
            Self::Host { name: allowed, port: on } => {
                allowed.eq_ignore_ascii_case(name) && on.is_none_or(|on| on == port)
            }
            Self::Network(_) => false,
        }
    }

    /// Whether a connection to `address` falls under this rule by network.
    pub fn covers_address(&self, address: IpAddr) -> bool {
        match self {
            Self::Host { .. } => false,
            Self::Network(network) => network.contains(&address),
        }
    }
}

impl fmt::Display for OutboundRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { name, port: None } => f.write_str(name),
            Self::Host { name, port: Some(port) } => write!(f, "{name}:{port}"),
            Self::Network(network) => network.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_address_is_an_ip_address_and_a_port() {
        assert!(parse_address("0.0.0.0:8080").is_ok());
        assert!(parse_address("[::]:0").is_ok());
        for wrong in ["localhost:8080", "127.0.0.1", ":8080", "127.0.0.1:65536", "8080"] {
            assert!(parse_address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_unspecified_address_is_reached_over_loopback() {
        let local = |text: &str| reachable_locally(text.parse().unwrap()).to_string();
        assert_eq!(local("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(local("[::]:8080"), "[::1]:8080");
        assert_eq!(local("10.0.0.7:80"), "10.0.0.7:80");
    }

    #[test]
    fn a_single_address_is_the_network_of_itself() {
        assert_eq!(parse_network("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
        assert_eq!(parse_network("10.1.2.3/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(parse_network("fd00::/8").unwrap().to_string(), "fd00::/8");
        assert!(parse_network("10.0.0.0/33").is_err());
        assert!(parse_network("proxy.internal").is_err());
    }

    #[test]
    fn an_outbound_rule_covers_what_it_names_exactly() {
        let host = OutboundRule::parse("Idp.Internal:8443").unwrap();
        assert!(host.covers_host("idp.internal", 8443));
        assert!(!host.covers_host("idp.internal", 443));
        assert!(!host.covers_host("a.idp.internal", 8443));
        assert!(!host.covers_address("10.0.0.1".parse().unwrap()));
        assert_eq!(host.to_string(), "idp.internal:8443");

        let network = OutboundRule::parse("10.0.0.0/8").unwrap();
        assert!(network.covers_address("10.255.0.1".parse().unwrap()));
        assert!(!network.covers_address("11.0.0.1".parse().unwrap()));
        assert!(!network.covers_host("10.0.0.1", 80));

        for wrong in ["*.internal", "http://idp.internal", "idp.internal:x", "a b", "10.0.0.0/33"] {
            assert!(OutboundRule::parse(wrong).is_err(), "{wrong}");
        }
    }
}
