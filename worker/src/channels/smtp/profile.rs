//! The address of an SMTP server: `smtp[s]://[user:password@]host[:port][?tls=…][&ca=…]`.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use url::Url;

/// Where and how to hand mail over. Printed, it shows everything but the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Host name or IP address, IPv6 without brackets.
    pub host: String,
    /// Port: 465 for `smtps`, 587 where TLS or a login is asked for, else 25.
    pub port: u16,
    /// When the connection is encrypted.
    pub security: Security,
    /// User and password for AUTH.
    pub login: Option<Login>,
    /// A PEM file of certificates trusted besides the system's.
    pub ca: Option<PathBuf>,
}

/// When the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Never (`tls=none`).
    None,
    /// By STARTTLS if the server offers it, without looking at its certificate
    /// (`tls=opportunistic`; the default for loopback hosts).
    Opportunistic,
    /// By STARTTLS with a valid certificate, or not at all (`tls=required`; the default).
    Required,
    /// From the first byte, with a valid certificate (`smtps://`, RFC 8314).
    Implicit,
}

/// User and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Name to log in as.
    pub user: String,
    /// Never printed.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What is wrong with the URL. Its content is never repeated, since it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Not a URL at all.
    #[error("not a URL ({0}): write smtp://user:password@host:port, percent-encoding @ : / # ? % in both")]
    NotAUrl(url::ParseError),
    /// Another scheme.
    #[error("the scheme must be smtp or smtps")]
    Scheme,
    /// No host.
    #[error("the host is missing or not a host name")]
    Host,
    /// Port 0.
    #[error("the port must be between 1 and 65535")]
    Port,
    /// A path or fragment, mostly the rest of a password that was not percent-encoded.
    #[error("nothing but ?tls= and &ca= may follow the host: percent-encode / and # in the password")]
    Trailing,
    /// User or password are not UTF-8 or hold a control character.
    #[error("user and password must be percent-encoded UTF-8 without control characters")]
    LoginText,
    /// A password without a user, or a user without a password.
    #[error("user and password go together: write both or neither")]
    HalfALogin,
    /// A `tls` value that is not known, or one that contradicts the scheme.
    #[error("tls must be none, opportunistic or required (smtps:// is always required)")]
    Tls,
    /// `ca=` without TLS that would look at it.
    #[error("ca= needs a path, and tls=required or smtps://")]
    Ca,
    /// An unknown or doubled parameter.
    #[error("the only parameters are tls and ca, each once")]
    Parameter,
    /// A password that anybody between here and there could read.
    #[error("a password for a host that is not loopback needs tls=required (or, in the clear, tls=none)")]
    PasswordNeedsTls,
}

impl FromStr for Profile {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let url = Url::parse(text).map_err(ProfileError::NotAUrl)?;
        let implicit = match url.scheme() {
            "smtp" => false,
            "smtps" => true,
            _ => return Err(ProfileError::Scheme),
        };
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(ProfileError::Trailing);
        }
        let host = host(&url)?;
        let login = login(&url)?;
        let (tls, ca) = parameters(&url)?;
        let security = match (implicit, tls.as_deref()) {
            (true, None | Some("required")) => Security::Implicit,
            (false, Some("required")) => Security::Required,
            (false, Some("opportunistic")) => Security::Opportunistic,
            (false, Some("none")) => Security::None,
            (false, None) if is_loopback(&host) => Security::Opportunistic,
            (false, None) => Security::Required,
            _ => return Err(ProfileError::Tls),
        };
        let verifies = matches!(security, Security::Required | Security::Implicit);
        if ca.is_some() && !verifies {
            return Err(ProfileError::Ca);
        }
        if login.is_some() && security == Security::Opportunistic && !is_loopback(&host) {
            return Err(ProfileError::PasswordNeedsTls);
        }
        let usual = match security {
            Security::Implicit => 465,
            Security::Required => 587,
            _ if login.is_some() => 587,
            _ => 25,
        };
        let port = url.port().unwrap_or(usual);
        if port == 0 { Err(ProfileError::Port) } else { Ok(Self { host, port, security, login, ca }) }
    }
}

fn host(url: &Url) -> Result<String, ProfileError> {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
    if host.is_empty() || !host.chars().all(plain) { Err(ProfileError::Host) } else { Ok(host) }
}

fn login(url: &Url) -> Result<Option<Login>, ProfileError> {
    let decode = |text: &str| {
        let text = percent_decode_str(text).decode_utf8().map_err(|_| ProfileError::LoginText)?;
        if text.contains(char::is_control) { Err(ProfileError::LoginText) } else { Ok(text.into_owned()) }
    };
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        ("", Some(_)) | (_, None | Some("")) => Err(ProfileError::HalfALogin),
        (user, Some(password)) => Ok(Some(Login { user: decode(user)?, password: decode(password)? })),
    }
}

fn parameters(url: &Url) -> Result<(Option<String>, Option<PathBuf>), ProfileError> {
    let (mut tls, mut ca) = (None, None);
    for (key, value) in url.query_pairs() {
        match key.as_ref() {
            "tls" if tls.is_none() => tls = Some(value.into_owned()),
            "ca" if ca.is_none() && value.is_empty() => return Err(ProfileError::Ca),
            "ca" if ca.is_none() => ca = Some(PathBuf::from(value.into_owned())),
            _ => return Err(ProfileError::Parameter),
        }
    }
    Ok((tls, ca))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Profile {
        url.parse().unwrap()
    }

    #[test]
    fn the_port_follows_from_what_is_asked() {
        for (url, port, security) in [
            ("smtp://localhost", 25, Security::Opportunistic),
            ("smtp://127.0.0.1:2525", 2525, Security::Opportunistic),
            ("smtp://[::1]", 25, Security::Opportunistic),
            ("smtp://Mail.Example.com", 587, Security::Required),
            ("smtp://relay.example.com?tls=none", 25, Security::None),
            ("smtp://relay.example.com?tls=opportunistic", 25, Security::Opportunistic),
            ("smtp://u:p@relay.example.com?tls=none", 587, Security::None),
            ("smtps://u:p@mail.example.com", 465, Security::Implicit),
            ("smtps://mail.example.com/?tls=required&ca=/etc/ca.pem", 465, Security::Implicit),
        ] {
            let profile = read(url);
            assert_eq!((profile.port, profile.security), (port, security), "{url}");
        }
        assert_eq!(read("smtp://[::1]").host, "::1");
        assert_eq!(read("smtp://Mail.Example.com").host, "mail.example.com");
    }

    #[test]
    fn a_login_is_percent_decoded_and_never_printed() {
        let profile = read("smtps://ann%40example.com:p%40ss%3A%2F%23%25+%C3%BC@mail.example.com");
        let login = profile.login.clone().unwrap();
        assert_eq!((login.user.as_str(), login.password.as_str()), ("ann@example.com", "p@ss:/#%+ü"));
        assert!(!format!("{profile:?}").contains("p@ss"));
    }

    #[test]
    fn an_error_names_what_is_wrong_and_never_the_password() {
        for (url, error) in [
            ("http://u:hunter2@host", ProfileError::Scheme),
            ("smtp://u:hunter2@", ProfileError::NotAUrl(url::ParseError::EmptyHost)),
            ("smtp://u:hunter2/x@host", ProfileError::NotAUrl(url::ParseError::InvalidPort)),
            ("smtp://u:hunter2@host/x", ProfileError::Trailing),
            ("smtp://u:hunter2@host#x", ProfileError::Trailing),
            ("smtp://u:hunter2%00@host", ProfileError::LoginText),
            ("smtp://:hunter2@host", ProfileError::HalfALogin),
            ("smtp://hunter2@host", ProfileError::HalfALogin),
            ("smtp://u:hunter2@host:0", ProfileError::Port),
            ("smtp://u:hunter2@host?tls=maybe", ProfileError::Tls),
            ("smtps://u:hunter2@host?tls=none", ProfileError::Tls),
            ("smtp://u:hunter2@host?tls=none&ca=/x", ProfileError::Ca),
            ("smtp://u:hunter2@host?ca=", ProfileError::Ca),
            ("smtp://u:hunter2@host?hunter2=1", ProfileError::Parameter),
            ("smtp://u:hunter2@host?tls=opportunistic", ProfileError::PasswordNeedsTls),
            ("smtp://u:hunter2@ho st", ProfileError::NotAUrl(url::ParseError::InvalidDomainCharacter)),
        ] {
            let found = url.parse::<Profile>().unwrap_err();
            assert!(!format!("{found} {found:?}").contains("hunter2"), "{found}");
            assert_eq!(std::mem::discriminant(&found), std::mem::discriminant(&error), "{url}: {found}");
        }
    }
}
