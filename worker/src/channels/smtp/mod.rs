//! E-mail over SMTP: one message per hand-over, and the truth about each (SEND_PROTOCOL.md).
//!
//! ```text
//! Profile ─▶ Dialer ─▶ Session ─▶ hand_over(…, DotGate) ─▶ Outcome
//!              ▲          │
//!             Pool ◀──────┘   connections kept ready, so that nothing waits after its intent
//! ```
//! lettre speaks the protocol; beneath it lies our own stream ([`wire`]), because three things
//! must be decided at the socket and nowhere else: the clock of every phase, what of a server's
//! answer is let in, and whether the last byte of a message goes out.

mod connect;
mod pool;
mod profile;
mod reply;
mod session;
pub(crate) mod tls;
mod wire;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

pub use connect::{ConnectError, Dialer};
pub use pool::{Pool, PoolLimits, Ready, Trouble};
pub use profile::{Login, Profile, ProfileError, Security};
pub use reply::Replies;
pub use session::{Session, hand_over};

use super::Refusal;

/// How long each phase may take (RFC 5321 4.5.3.2). Each is a total for its phase, so an answer
/// that trickles in byte by byte does not prolong it.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// Name lookup, and each TCP connection attempt.
    pub connect: Duration,
    /// TLS handshake.
    pub tls: Duration,
    /// The server's greeting.
    pub banner: Duration,
    /// EHLO and STARTTLS.
    pub hello: Duration,
    /// AUTH, each step.
    pub auth: Duration,
    /// MAIL and RSET.
    pub mail: Duration,
    /// RCPT.
    pub rcpt: Duration,
    /// DATA, until its 354.
    pub data: Duration,
    /// Each stretch of the body: the longest time without a byte being taken.
    pub block: Duration,
    /// How long a body that is written may wait for its intent ([`DotGate::Await`]).
    pub at_dot: Duration,
    /// The answer after the dot.
    pub answer: Duration,
    /// NOOP, and the answer of a server that gave up in the middle of a body.
    pub noop: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connect: seconds(10),
            tls: seconds(30),
            banner: seconds(60),
            hello: seconds(60),
            auth: seconds(60),
            mail: seconds(60),
            rcpt: seconds(60),
            data: seconds(120),
            block: seconds(180),
            at_dot: seconds(30),
            answer: seconds(600),
            noop: seconds(5),
        }
    }
}

impl Timeouts {
    /// The same, but no phase longer than `most`.
    pub fn at_most(self, most: Duration) -> Self {
        Self {
            connect: self.connect.min(most),
            tls: self.tls.min(most),
            banner: self.banner.min(most),
            hello: self.hello.min(most),
            auth: self.auth.min(most),
            mail: self.mail.min(most),
            rcpt: self.rcpt.min(most),
            data: self.data.min(most),
            block: self.block.min(most),
            at_dot: self.at_dot.min(most),
            answer: self.answer.min(most),
            noop: self.noop.min(most),
        }
    }
}

/// The last question before the last byte: checks age and lease and writes the journal line.
/// It runs on the connection's task directly before the write, so it must not block for long.
/// In the rare case that the socket then takes nothing it is asked again before the next try.
pub type Ask = Box<dyn FnMut() -> Result<(), Refusal> + Send>;

/// An intent that is still being committed while the body is already written.
pub type Intent = Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>>;

/// What stands between a written body and its dot: an intent to wait for, if it is not committed
/// yet, and then the last question.
pub struct DotGate {
    intent: Option<Intent>,
    ask: Ask,
}

impl DotGate {
    /// The intent is committed: ask once the body is written, or is about to be with its dot, and write the dot.
    pub fn now(ask: impl FnMut() -> Result<(), Refusal> + Send + 'static) -> Self {
        Self { intent: None, ask: Box::new(ask) }
    }

    /// The intent at the dot (SEND_PROTOCOL.md, rule 3): with the body written, wait up to
    /// [`Timeouts::at_dot`] for `intent`, then ask. `intent` is first polled when the body is
    /// out, and dropped if the server hangs up meanwhile.
    pub fn after(
        intent: impl Future<Output = Result<(), Refusal>> + Send + 'static,
        ask: impl FnMut() -> Result<(), Refusal> + Send + 'static,
    ) -> Self {
        Self { intent: Some(Box::pin(intent)), ask: Box::new(ask) }
    }
}

impl std::fmt::Debug for DotGate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DotGate").field("waits", &self.intent.is_some()).finish_non_exhaustive()
    }
}
