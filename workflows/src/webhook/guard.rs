//! Where a webhook may not go: this machine, private networks, and everything that is a way to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::{Host, Url};

/// Longest URL of an endpoint, bytes.
const LONGEST: usize = 2_048;
/// The ports that are served: those of the web.
const PORTS: [u16; 4] = [80, 443, 8080, 8443];

/// Names that lead to this machine or this network, each with everything below it (RFC 6761, 6762, 7686, 8375).
const RESERVED: &[&str] = &[
    "localhost",
    "local",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "localdomain",
    "test",
    "example",
    "invalid",
    "onion",
    "arpa",
    "svc",
];

/// Networks of version 4 that are not the public internet: base and length of the prefix (RFC 6890 and after), with the
/// metadata addresses of clouds that lie elsewhere.
const CLOSED: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Why a URL is not called. A code and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct UrlFault {
    /// `invalid_format`, `too_long`, `insecure_url`, `blocked_port` or `blocked_address`.
    pub code: &'static str,
    /// For people.
    pub message: &'static str,
}

const fn fault(code: &'static str, message: &'static str) -> UrlFault {
    UrlFault { code, message }
}

/// Whether an address is one of the public internet. Of version 6 only global unicast is, without the forms that carry
/// an address of version 4 in them (mapped, translated, 6to4, Teredo).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let bits = u32::from(v4);
            !CLOSED.iter().any(|&(base, length)| (bits ^ u32::from(base)) >> (32 - length) == 0)
        }
        IpAddr::V6(v6) => is_global(v6),
    }
}

fn is_global(v6: Ipv6Addr) -> bool {
    let s = v6.segments();
    let closed = match (s[0], s[1]) {
        (0x2001, low) => low < 0x0200 || low == 0x0db8,
        (0x2002, _) => true,
        (0x3fff, low) => low < 0x1000,
        _ => false,
    };
    (s[0] & 0xe000) == 0x2000 && !closed
}

/// Reads an endpoint's URL. `allow_private` is for development: any address, port and `http`.
///
/// # Errors
/// What is wrong with it; nothing was resolved or called.
pub fn check_url(text: &str, allow_private: bool) -> Result<Url, UrlFault> {
    if text.len() > LONGEST {
        return Err(fault("too_long", "must have at most 2048 characters"));
    }
    let unreadable = || fault("invalid_format", "must read https://host/path");
    let url = Url::parse(text).map_err(|_| unreadable())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(unreadable());
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(fault("invalid_format", "must have neither user, password nor fragment"));
    }
    if allow_private {
        return Ok(url);
    }
    if url.scheme() != "https" {
        return Err(fault("insecure_url", "must begin with https://"));
    }
    check_host(&url)?;
    Ok(url)
}

/// Whether a URL's host and port may be called at all. A name still has to be resolved, and every address of it looked at
/// when it is connected to.
///
/// # Errors
/// Why not.
pub fn check_host(url: &Url) -> Result<(), UrlFault> {
    if !url.port_or_known_default().is_some_and(|port| PORTS.contains(&port)) {
        return Err(fault("blocked_port", "must use port 443, 80, 8443 or 8080"));
    }
    let closed = fault("blocked_address", "must be a host of the public internet");
    let is_open = match url.host() {
        Some(Host::Ipv4(v4)) => is_public(IpAddr::V4(v4)),
        Some(Host::Ipv6(v6)) => is_public(IpAddr::V6(v6)),
        Some(Host::Domain(name)) => !is_reserved(name),
        None => false,
    };
    if is_open { Ok(()) } else { Err(closed) }
}

/// A name of one word, or of a reserved family.
fn is_reserved(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let last = name.rsplit('.').next().unwrap_or_default();
    !name.contains('.') || RESERVED.contains(&last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_inside_is_refused_however_it_is_written() {
        let hosts = [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "0.0.0.0",
            "0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.254",
            "192.0.0.192",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "100.100.100.200",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:8.8.8.8]",
            "[::7f00:1]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::a00:1]",
            "[2002:7f00:1::]",
            "[2001:0:4136:e378::1]",
            "[fd00:ec2::254]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[2001:db8::1]",
            "[3fff::1]",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "a.localhost",
            "metadata.google.internal",
            "printer.local",
            "db",
            "router.lan",
            "x.home.arpa",
            "api.default.svc",
            "１２７.0.0.1",
            "hidden.onion",
        ];
        for host in hosts {
            let refused = check_url(&format!("https://{host}/hook"), false);
            assert_eq!(refused.map_err(|f| f.code), Err("blocked_address"), "{host}");
            assert!(check_url(&format!("http://{host}:9/hook"), true).is_ok(), "{host}");
        }
    }

    #[test]
    fn what_is_public_is_taken() {
        for url in [
            "https://example.com/hook?a=b",
            "https://hooks.example.com:8443",
            "https://8.8.8.8",
            "https://172.32.0.1",
            "https://100.128.0.1/",
            "https://[2606:4700::1111]/",
            "https://[2001:4860:4860::8888]/",
            "https://bücher.example.net",
        ] {
            assert!(check_url(url, false).is_ok(), "{url}");
        }
    }

    #[test]
    fn a_url_of_the_wrong_kind_is_refused_with_its_rule() {
        let long = format!("https://example.com/{}", "a".repeat(2_048));
        for (url, code) in [
            ("", "invalid_format"),
            ("example.com", "invalid_format"),
            ("ftp://example.com", "invalid_format"),
            ("https://", "invalid_format"),
            ("https://user@example.com", "invalid_format"),
            ("https://example.com@127.0.0.1", "invalid_format"),
            ("https://example.com/#f", "invalid_format"),
            ("http://example.com", "insecure_url"),
            ("https://example.com:22", "blocked_port"),
            ("https://example.com:6379", "blocked_port"),
            (&long, "too_long"),
        ] {
            assert_eq!(check_url(url, false).map_err(|f| f.code), Err(code), "{url}");
        }
    }
}
