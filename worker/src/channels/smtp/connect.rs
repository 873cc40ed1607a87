//! From a profile to an authenticated session.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::Starttls;
use lettre::transport::smtp::extension::ClientId;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::profile::{Profile, Security};
use super::session::{Session, reply_of};
use super::wire::{Transport, Wire};
use super::{Timeouts, tls};

/// Addresses of one host that are tried in turn.
const MOST_ADDRESSES: usize = 4;

/// Why no session could be opened. Nothing of any message has been said: a definite no for all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address, or could not be looked up.
    #[error("{host} cannot be found: {detail}")]
    Dns {
        /// The host of the profile.
        host: String,
        /// What the system said.
        detail: String,
    },
    /// No connection: refused, unreachable, out of sockets.
    #[error("no connection to {peer}: {detail}")]
    Refused {
        /// Host and port.
        peer: String,
        /// What the system said.
        detail: String,
    },
    /// A phase took longer than its [`Timeouts`] allow.
    #[error("no answer in time ({phase})")]
    Timeout {
        /// connect, tls, banner, hello, starttls or auth.
        phase: &'static str,
    },
    /// No encrypted connection of the kind the profile demands; the text names the cause.
    #[error("tls: {0}")]
    Tls(String),
    /// The server greets with a refusal, e.g. 421 for too many connections.
    #[error("the server does not greet: {code} {reply}")]
    Banner {
        /// Reply code.
        code: u16,
        /// The server's words.
        reply: String,
    },
    /// EHLO or STARTTLS were refused.
    #[error("the server refuses {phase}: {code} {reply}")]
    Hello {
        /// hello or starttls.
        phase: &'static str,
        /// Reply code.
        code: u16,
        /// The server's words.
        reply: String,
    },
    /// The login was refused. 535 is a wrong password; 454 may pass.
    #[error("the login is refused: {code} {reply}")]
    Auth {
        /// Reply code.
        code: u16,
        /// The server's words.
        reply: String,
    },
    /// The server offers neither AUTH PLAIN nor AUTH LOGIN, but the profile has a login.
    #[error("the server offers no login (AUTH PLAIN or LOGIN): check port and tls")]
    NoMechanism,
    /// The connection broke, or the server does not speak SMTP.
    #[error("the connection failed ({phase}): {detail}")]
    Broken {
        /// banner, hello, starttls or auth.
        phase: &'static str,
        /// What happened.
        detail: String,
    },
}

impl ConnectError {
    /// True for a login that will be refused again: the profile should be disabled after a few.
    pub fn is_wrong_login(&self) -> bool {
        matches!(self, Self::Auth { code: 500..=599, .. } | Self::NoMechanism)
    }
}

/// Opens sessions for one profile.
#[derive(Debug)]
pub struct Dialer {
    profile: Profile,
    timeouts: Arc<Timeouts>,
    hello: ClientId,
    tls: OnceLock<Connector>,
}

struct Connector(TlsConnector);

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl Dialer {
    /// A dialer; nothing is connected yet. It introduces itself by this machine's host name.
    pub fn new(profile: Profile, timeouts: Timeouts) -> Self {
        Self { profile, timeouts: Arc::new(timeouts), hello: ClientId::default(), tls: OnceLock::new() }
    }

    /// Connects, encrypts and logs in, as the profile demands.
    ///
    /// # Errors
    /// [`ConnectError`] by cause.
    pub async fn open(&self) -> Result<Session, ConnectError> {
        let (socket, peer) = self.connect().await?;
        let transport = match self.profile.security {
            Security::Implicit => self.encrypt(socket).await?,
            _ => Transport::Plain(socket),
        };
        let (mut smtp, mut wire) = self.greet(transport, peer, None).await?;
        if matches!(self.profile.security, Security::Opportunistic | Security::Required) {
            (smtp, wire) = self.starttls(smtp, wire).await?;
        }
        self.log_in(&mut smtp, &wire).await?;
        Ok(Session::new(smtp, wire, Arc::clone(&self.timeouts)))
    }

    async fn connect(&self) -> Result<(TcpStream, SocketAddr), ConnectError> {
        let Profile { host, port, .. } = &self.profile;
        let slow = |_| ConnectError::Timeout { phase: "connect" };
        let dns = |detail: String| ConnectError::Dns { host: host.clone(), detail };
        let found = timeout(self.timeouts.connect, tokio::net::lookup_host((host.as_str(), *port)));
        let found = found.await.map_err(slow)?.map_err(|e| dns(e.to_string()))?;
        let mut last = dns("it has no address".into());
        for address in found.take(MOST_ADDRESSES) {
            match timeout(self.timeouts.connect, TcpStream::connect(address)).await {
                Ok(Ok(socket)) => {
                    // Without it a message waits 40 ms for the receiver's delayed acknowledgement.
                    socket.set_nodelay(true).map_err(|e| self.refused(&e))?;
                    return Ok((socket, address));
                }
                Ok(Err(e)) => last = self.refused(&e),
                Err(e) => last = slow(e),
            }
        }
        Err(last)
    }

    fn refused(&self, error: &io::Error) -> ConnectError {
        let Profile { host, port, .. } = &self.profile;
        ConnectError::Refused { peer: format!("{host}:{port}"), detail: error.to_string() }
    }

    /// Reads the greeting and says EHLO.
    async fn greet(
        &self,
        transport: Transport,
        peer: SocketAddr,
        banner: Option<&str>,
    ) -> Result<(AsyncSmtpConnection, Wire), ConnectError> {
        let wire = Wire::new(transport, peer, Arc::clone(&self.timeouts), banner);
        let smtp = AsyncSmtpConnection::connect_with_transport(Box::new(wire.clone()), &self.hello).await;
        match smtp {
            Ok(smtp) => Ok((smtp, wire)),
            Err(e) if wire.turns() > 0 => Err(trouble(&wire, &e, "hello")),
            Err(e) => Err(match trouble(&wire, &e, "banner") {
                ConnectError::Hello { code, reply, .. } => ConnectError::Banner { code, reply },
                other => other,
            }),
        }
    }

    /// Encrypts by STARTTLS. The first connection's state is thrown away, together with anything
    /// that was slipped into it in the clear (RFC 3207 4.2).
    async fn starttls(
        &self,
        mut smtp: AsyncSmtpConnection,
        wire: Wire,
    ) -> Result<(AsyncSmtpConnection, Wire), ConnectError> {
        if !smtp.can_starttls() {
            return match self.profile.security {
                Security::Opportunistic => Ok((smtp, wire)),
                _ => Err(ConnectError::Tls(
                    "the server does not offer STARTTLS: use smtps://, or tls=none to send in the clear"
                        .into(),
                )),
            };
        }
        wire.patience(self.timeouts.hello);
        smtp.command(Starttls).await.map_err(|e| trouble(&wire, &e, "starttls"))?;
        drop(smtp);
        let (socket, peer) = wire
            .take_plain()
            .ok_or(ConnectError::Broken { phase: "starttls", detail: "the connection was closed".into() })?;
        let transport = self.encrypt(socket).await?;
        self.greet(transport, peer, Some("220 encrypted\r\n")).await
    }

    async fn encrypt(&self, socket: TcpStream) -> Result<Transport, ConnectError> {
        let connector = match self.tls.get() {
            Some(connector) => connector,
            None => {
                let built = match self.profile.security {
                    Security::Opportunistic => tls::opportunistic()?,
                    _ => tls::verifying(self.profile.ca.as_deref())?,
                };
                self.tls.get_or_init(|| Connector(built))
            }
        };
        let name = tls::server_name(&self.profile.host)?;
        match timeout(self.timeouts.tls, connector.0.connect(name, socket)).await {
            Ok(Ok(stream)) => Ok(Transport::Tls(Box::new(stream))),
            Ok(Err(e)) => Err(ConnectError::Tls(tls::cause(&e))),
            Err(_) => Err(ConnectError::Timeout { phase: "tls" }),
        }
    }

    async fn log_in(&self, smtp: &mut AsyncSmtpConnection, wire: &Wire) -> Result<(), ConnectError> {
        let Some(login) = &self.profile.login else { return Ok(()) };
        if smtp.server_info().get_auth_mechanism(DEFAULT_MECHANISMS).is_none() {
            return Err(ConnectError::NoMechanism);
        }
        wire.patience(self.timeouts.auth);
        let credentials = Credentials::new(login.user.clone(), login.password.clone());
        match smtp.auth(DEFAULT_MECHANISMS, &credentials).await {
            Ok(_) => Ok(()),
            Err(e) => Err(match trouble(wire, &e, "auth") {
                ConnectError::Hello { code, reply, .. } => ConnectError::Auth { code, reply },
                other => other,
            }),
        }
    }
}

/// What went wrong while nothing of a message had been said.
fn trouble(wire: &Wire, error: &SmtpError, phase: &'static str) -> ConnectError {
    if let Some((code, reply)) = reply_of(error) {
        return ConnectError::Hello { phase, code, reply };
    }
    if wire.ran_out() {
        return ConnectError::Timeout { phase };
    }
    ConnectError::Broken { phase, detail: error.to_string() }
}
