//! A mailbox's address: `imaps://user:password@host[:port][/mailbox][?ca=FILE]`, or `imap://` with STARTTLS.

use percent_encoding::percent_decode_str;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use url::{Host, Url};

/// How the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// From its first byte.
    Implicit,
    /// By STARTTLS, or not at all used.
    Required,
    /// Not: on this machine alone.
    None,
}

/// A server and the mailbox on it.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is spoken to.
    pub security: Security,
    /// Who logs in.
    pub user: String,
    /// With what.
    pub password: String,
    /// A file of certificates to trust beside the system's.
    pub ca: Option<PathBuf>,
    /// The mailbox, `INBOX` where none is named.
    pub mailbox: String,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({}:{})", self.host, self.port)
    }
}

/// What is wrong with an address. The value is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// Not a URL of IMAP with a host.
    #[error("imap_url must read imaps://user:password@host/mailbox")]
    Url,
    /// No user or no password.
    #[error("imap_url needs user and password, special characters percent-encoded")]
    Login,
    /// Anything but `ca` and `tls=none`.
    #[error("imap_url takes ?ca=FILE, and ?tls=none for a server on this machine")]
    Parameter,
}

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        let url = Url::parse(text).map_err(|_| ServerError::Url)?;
        let implicit = match url.scheme() {
            "imaps" => true,
            "imap" => false,
            _ => return Err(ServerError::Url),
        };
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
        if host.is_empty() {
            return Err(ServerError::Url);
        }
        let decode = |text: &str| {
            let text = percent_decode_str(text).decode_utf8().ok()?;
            (!text.is_empty() && !text.contains(char::is_control)).then(|| text.into_owned())
        };
        let user = decode(url.username()).ok_or(ServerError::Login)?;
        let password = url.password().and_then(decode).ok_or(ServerError::Login)?;
        let (mut ca, mut none) = (None, false);
        for (name, value) in url.query_pairs() {
            match (&*name, &*value) {
                ("ca", file) => ca = Some(PathBuf::from(file)),
                ("tls", "none") if !implicit && is_loopback(&host) => none = true,
                _ => return Err(ServerError::Parameter),
            }
        }
        let security = match (implicit, none) {
            (true, _) => Security::Implicit,
            (false, true) => Security::None,
            (false, false) => Security::Required,
        };
        let mailbox = decode(url.path().trim_matches('/')).unwrap_or_else(|| "INBOX".to_owned());
        let port = url.port().unwrap_or(if implicit { 993 } else { 143 });
        match port {
            0 => Err(ServerError::Url),
            _ => Ok(Self { host, port, security, user, password, ca, mailbox }),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || match Host::parse(host) {
            Ok(Host::Ipv4(ip)) => ip.is_loopback(),
            _ => host == "::1",
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_what_it_leaves_out() {
        let server: Server = "imaps://ada%40example.com:p%3Aw@mail.example.com".parse().unwrap();
        assert_eq!(
            (server.port, server.mailbox.as_str(), server.security),
            (993, "INBOX", Security::Implicit)
        );
        assert_eq!((server.user.as_str(), server.password.as_str()), ("ada@example.com", "p:w"));
        assert_eq!(format!("{server:?}"), "Server(mail.example.com:993)");
        let server: Server = "imap://a:b@mail.example.com:1143/Replies%20in?ca=/x.pem".parse().unwrap();
        assert_eq!(
            (server.port, server.mailbox.as_str(), server.security),
            (1143, "Replies in", Security::Required)
        );
    }

    #[test]
    fn what_would_send_a_password_in_the_clear_is_refused() {
        for (text, error) in [
            ("imap://a:b@mail.example.com?tls=none", ServerError::Parameter),
            ("imaps://a:b@localhost?tls=none", ServerError::Parameter),
            ("imaps://mail.example.com", ServerError::Login),
            ("imaps://a@mail.example.com", ServerError::Login),
            ("imaps://a:b%0Ac@mail.example.com", ServerError::Login),
            ("https://a:b@mail.example.com", ServerError::Url),
            ("imaps:", ServerError::Url),
        ] {
            assert_eq!(text.parse::<Server>().unwrap_err(), error, "{text}");
        }
        let own: Server = "imap://a:b@127.0.0.1?tls=none".parse().unwrap();
        assert_eq!(own.security, Security::None);
    }
}
