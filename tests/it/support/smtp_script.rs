//! What the SMTP receiver is told to do, and the certificates it shows.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::{self, ServerConfig};

/// The moments a script can act at. `Body(n)` is after `n` bytes of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum At {
    Banner,
    Ehlo,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    Body(usize),
    Dot,
    Rset,
    Noop,
}

/// What to do instead of the usual.
#[derive(Debug, Clone)]
pub enum Act {
    /// Send these bytes as the answer; anything but 2xx and 3xx refuses, 421 also hangs up.
    Reply(Vec<u8>),
    /// Send them one at a time.
    Trickle(Vec<u8>, Duration),
    /// Reset the connection.
    Drop,
    /// At the dot: keep the message as accepted, then reset the connection without a word.
    AcceptAndDrop,
    /// Say nothing until the other side hangs up.
    Stall,
}

/// One line of a script: when, to whom, how often, what. The first that fits is taken.
#[derive(Debug, Clone)]
pub struct Rule {
    pub(super) at: At,
    pub(super) to: String,
    pub(super) skip: usize,
    pub(super) times: usize,
    pub(super) act: Act,
}

impl Rule {
    /// Acts at every such moment, until narrowed.
    pub fn at(at: At) -> Self {
        Self { at, to: String::new(), skip: 0, times: usize::MAX, act: Act::Drop }
    }
    /// Only for recipients that contain `part` (from RCPT on).
    pub fn to(self, part: &str) -> Self {
        Self { to: part.into(), ..self }
    }
    /// Only after `n` such moments have passed: a daily limit, the nth message.
    pub fn after(self, n: usize) -> Self {
        Self { skip: n, ..self }
    }
    /// Only so many times.
    pub fn times(self, n: usize) -> Self {
        Self { times: n, ..self }
    }
    pub fn act(self, act: Act) -> Self {
        Self { act, ..self }
    }
    /// Answers with one line.
    pub fn reply(self, line: &str) -> Self {
        self.act(Act::Reply(format!("{line}\r\n").into_bytes()))
    }
}

/// Whether and how connections are encrypted.
#[derive(Clone, Default)]
pub enum Tls {
    #[default]
    Never,
    Upgrade(Arc<ServerConfig>),
    Implicit(Arc<ServerConfig>),
}

/// How the server behaves from its start; rules can be added later.
#[derive(Clone, Default)]
pub struct Script {
    pub rules: Vec<Rule>,
    pub tls: Tls,
    /// Demands this user and password before MAIL.
    pub login: Option<(String, String)>,
    /// Mechanisms offered with `login`; empty means `PLAIN LOGIN`.
    pub mechanisms: String,
    pub close_after_each: bool,
    pub close_after_idle: Option<Duration>,
    /// Leaves 8BITMIME and SMTPUTF8 out.
    pub ascii_only: bool,
    /// Leaves PIPELINING out.
    pub one_by_one: bool,
}

impl Script {
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }
    pub fn login(self, user: &str, password: &str) -> Self {
        Self { login: Some((user.into(), password.into())), ..self }
    }
    pub fn tls(self, tls: Tls) -> Self {
        Self { tls, ..self }
    }
}

/// A self-signed certificate, and its PEM file for `ca=`.
pub struct Certificate {
    pub config: Arc<ServerConfig>,
    pub pem: tempfile::NamedTempFile,
}

impl Certificate {
    /// Valid for `host` (a name or an IP address) until the year `until`.
    pub fn new(host: &str, until: i32) -> Self {
        let mut params = rcgen::CertificateParams::new(vec![host.to_owned()]).expect("a host");
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let mut pem = tempfile::NamedTempFile::new().expect("a file");
        pem.write_all(certificate.pem().as_bytes()).expect("written");
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a configuration");
        Self { config: Arc::new(config), pem }
    }

    /// Path of the PEM file.
    pub fn path(&self) -> String {
        self.pem.path().display().to_string()
    }
}
