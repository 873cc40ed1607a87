//! The stream beneath lettre: one socket, one clock, and the gate before the dot.
//!
//! A [`Wire`] is a handle: lettre's connection holds one, the session another, and both mean the
//! same line. lettre writes the end of a message as one piece of its own, and a dot-stuffed body
//! can never contain that piece, so the gate stands exactly there.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use lettre::transport::smtp::client::AsyncTokioStream;
use sendwright_fail::point;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::client::TlsStream;

use super::reply::Replies;
use super::{DotGate, Timeouts};
use crate::channels::Refusal;

/// The end of a message, as lettre writes it.
const DOT: &[u8] = b"\r\n.\r\n";
/// A body of at most so many bytes goes out together with its dot: any socket that takes anything has room for it.
const SMALL: usize = 8 * 1_024;

/// A handle to one line.
#[derive(Debug, Clone)]
pub(super) struct Wire(Arc<Mutex<Line>>);

#[derive(Debug)]
struct Line {
    transport: Transport,
    peer: SocketAddr,
    replies: Replies,
    dot: Dot,
    /// A small body, kept until its dot is asked for: one piece on the wire instead of two.
    kept: Vec<u8>,
    timeouts: Arc<Timeouts>,
    clock: Pin<Box<Sleep>>,
    /// Time for the next command and its answer.
    patience: Duration,
    /// Whether our side is speaking; the first byte of a turn starts the clock.
    speaking: bool,
    turns: u32,
    /// The server takes commands in groups (RFC 2920).
    pipelines: bool,
    /// The clock ran out: nothing more is said or heard until it is set again. Otherwise lettre,
    /// which says QUIT after an error, would wait all over again.
    ran_out: bool,
}

#[derive(Debug)]
pub(super) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Closed,
}

/// How far the end of the current message has come.
#[derive(Debug)]
pub(super) enum Dot {
    /// No message is open.
    None,
    /// The body is being written.
    Body(DotGate),
    /// The body is written; the gate is being asked.
    Asking(DotGate),
    /// The gate refused; the line is closed.
    Refused(Refusal),
    /// A byte of the dot has gone out, or may have.
    Out,
}

impl Wire {
    /// A line on which nothing has been said. `banner` is given where the greeting has already
    /// been read: after STARTTLS a server does not greet again, but lettre waits for it.
    pub(super) fn new(
        transport: Transport,
        peer: SocketAddr,
        timeouts: Arc<Timeouts>,
        banner: Option<&str>,
    ) -> Self {
        Self(Arc::new(Mutex::new(Line {
            transport,
            peer,
            replies: banner.map(Replies::preloaded).unwrap_or_default(),
            dot: Dot::None,
            kept: Vec::new(),
            clock: Box::pin(tokio::time::sleep(timeouts.banner)),
            patience: timeouts.hello,
            timeouts,
            speaking: false,
            turns: 0,
            pipelines: false,
            ran_out: false,
        })))
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the next command, its answer included, `limit`.
    pub(super) fn patience(&self, limit: Duration) {
        let mut line = self.line();
        line.patience = limit;
        line.ran_out = false;
        line.wait(limit);
    }

    /// How many commands have been begun on this line.
    pub(super) fn turns(&self) -> u32 {
        self.line().turns
    }

    /// Whether the server has offered PIPELINING, which lettre does not look for.
    pub(super) fn pipelines(&self) -> bool {
        self.line().pipelines
    }

    /// True when the clock of the current phase has run out.
    pub(super) fn ran_out(&self) -> bool {
        self.line().ran_out
    }

    /// Puts `gate` before the dot of the message that is written next.
    pub(super) fn open_message(&self, gate: DotGate) {
        self.line().dot = Dot::Body(gate);
    }

    /// How far the dot came; the next message starts afresh.
    pub(super) fn close_message(&self) -> Dot {
        let mut line = self.line();
        line.kept.clear();
        std::mem::replace(&mut line.dot, Dot::None)
    }

    /// True when the server has hung up or said something unasked, as far as this machine knows.
    pub(super) fn is_disturbed(&self) -> bool {
        let mut line = self.line();
        line.look(&mut Context::from_waker(std::task::Waker::noop())).is_err()
    }

    /// True when the line may not be used for another message.
    pub(super) fn is_spent(&self) -> bool {
        let line = self.line();
        line.replies.is_cut() || matches!(line.transport, Transport::Closed)
    }

    /// True when what is said on it is encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.line().transport, Transport::Tls(_))
    }

    /// Closes the line at once and for both handles.
    pub(super) fn close(&self) {
        self.line().transport.close();
    }

    /// Takes the bare socket out, to encrypt it.
    pub(super) fn take_plain(&self) -> Option<(TcpStream, SocketAddr)> {
        let mut line = self.line();
        match std::mem::replace(&mut line.transport, Transport::Closed) {
            Transport::Plain(socket) => Some((socket, line.peer)),
            _ => None,
        }
    }
}

impl Line {
    fn wait(&mut self, limit: Duration) {
        self.clock.as_mut().reset(Instant::now() + limit);
    }

    /// What to answer when the socket has nothing to say: wait on, or time is up.
    fn poll_clock<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        ready!(self.clock.as_mut().poll(cx));
        self.ran_out = true;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.ran_out {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if !self.speaking {
            self.speaking = true;
            self.turns += 1;
            self.wait(self.patience);
            self.replies.new_turn()?;
        }
        if bytes == DOT && matches!(self.dot, Dot::Body(_) | Dot::Asking(_)) {
            return self.poll_dot(cx);
        }
        if matches!(&self.dot, Dot::Body(gate) if gate.intent.is_none()) {
            if self.kept.len() + bytes.len() <= SMALL {
                self.kept.extend_from_slice(bytes);
                return Poll::Ready(Ok(bytes.len()));
            }
            while !self.kept.is_empty() {
                match self.transport.poll_write(cx, &self.kept) {
                    Poll::Ready(taken) => drop(self.kept.drain(..taken?)),
                    Poll::Pending => return self.poll_clock(cx),
                }
            }
        }
        match self.transport.poll_write(cx, bytes) {
            Poll::Ready(Ok(taken)) => {
                if matches!(self.dot, Dot::Body(_)) {
                    self.wait(self.timeouts.block);
                }
                Poll::Ready(Ok(taken))
            }
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Pending => self.poll_clock(cx),
        }
    }

    /// The dot. Whatever fails before the socket has taken its first byte is a definite no.
    fn poll_dot(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut gate = match std::mem::replace(&mut self.dot, Dot::None) {
            Dot::Body(gate) => {
                self.wait(self.timeouts.at_dot);
                gate
            }
            Dot::Asking(gate) => gate,
            other => {
                self.dot = other;
                return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
            }
        };
        let polled = self.poll_gate(cx, &mut gate);
        if matches!(self.dot, Dot::None) {
            self.dot = Dot::Asking(gate);
        }
        polled
    }

    /// Leaves `self.dot` alone unless the gate refused or the dot went out.
    fn poll_gate(&mut self, cx: &mut Context<'_>, gate: &mut DotGate) -> Poll<io::Result<usize>> {
        // First, so that no intent is awaited for a server that has gone or has already said no.
        self.look(cx)?;
        if let Some(intent) = &mut gate.intent {
            match intent.as_mut().poll(cx) {
                Poll::Ready(Ok(())) => gate.intent = None,
                Poll::Ready(Err(reason)) => return self.refuse(reason),
                Poll::Pending if self.clock.as_mut().poll(cx).is_ready() => {
                    return self.refuse(Refusal::WaitedTooLong);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        let body = self.kept.len();
        self.kept.extend_from_slice(DOT);
        let polled = self.poll_end(cx, gate, body);
        self.kept.truncate(self.kept.len().saturating_sub(DOT.len()));
        polled
    }

    /// Writes what is kept of the body and, behind it, the dot.
    fn poll_end(
        &mut self,
        cx: &mut Context<'_>,
        gate: &mut DotGate,
        mut body: usize,
    ) -> Poll<io::Result<usize>> {
        loop {
            // A large body must be out, and the socket ready, before the question, so that the answer is still true when
            // the byte goes.
            match self.transport.poll_clear(cx) {
                Poll::Ready(clear) => clear?,
                Poll::Pending => return self.poll_clock(cx),
            }
            if let Err(reason) = (gate.ask)() {
                return self.refuse(reason);
            }
            match self.transport.poll_write(cx, &self.kept) {
                Poll::Ready(Ok(taken)) if taken > body => {
                    point("dot-written");
                    self.dot = Dot::Out;
                    self.wait(self.timeouts.answer);
                    return Poll::Ready(Ok(taken - body));
                }
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(taken)) => {
                    body -= taken;
                    self.kept.drain(..taken);
                }
                Poll::Ready(Err(e)) => {
                    // A plain socket that fails has taken nothing. Of TLS that cannot be said.
                    if matches!(self.transport, Transport::Tls(_)) {
                        self.dot = Dot::Out;
                    }
                    return Poll::Ready(Err(e));
                }
                Poll::Pending => return self.poll_clock(cx),
            }
        }
    }

    fn refuse(&mut self, reason: Refusal) -> Poll<io::Result<usize>> {
        self.dot = Dot::Refused(reason);
        self.transport.close();
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }

    /// Reads what has arrived without waiting.
    ///
    /// # Errors
    /// If the server has hung up or has said something nobody asked for.
    fn look(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.replies.is_silent() {
            match self.transport.poll_read(cx, &mut self.replies) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(e)) => return Err(e),
            }
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the server spoke out of turn"))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.speaking = false;
        loop {
            // lettre reads into 8 KiB, a line here has at most 0.5.
            if let Some(line) = self.replies.next_line() {
                self.pipelines |=
                    line.get(4..).is_some_and(|text| text.eq_ignore_ascii_case(b"PIPELINING\r\n"));
                let fits = line.len().min(buf.remaining());
                buf.put_slice(&line[..fits]);
                return Poll::Ready(Ok(()));
            }
            match self.transport.poll_read(cx, &mut self.replies) {
                Poll::Pending => return self.poll_clock(cx),
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
            }
        }
    }
}

impl Transport {
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Ready when everything written has left this process and the socket takes more.
    fn poll_clear(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        match self {
            Self::Plain(socket) => socket.poll_write_ready(cx),
            Self::Tls(stream) => stream.get_ref().0.poll_write_ready(cx),
            Self::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Reads once; 0 is the end.
    fn poll_read(&mut self, cx: &mut Context<'_>, replies: &mut Replies) -> Poll<io::Result<usize>> {
        let mut bytes = [0; 2048];
        let mut buf = ReadBuf::new(&mut bytes);
        ready!(match self {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, &mut buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, &mut buf),
            Self::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        })?;
        replies.push(buf.filled())?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    /// Resets the connection rather than ending it, so that no server can take the end of the
    /// stream for the end of a message.
    fn close(&mut self) {
        let socket = match self {
            Self::Plain(socket) => &*socket,
            Self::Tls(stream) => stream.get_ref().0,
            Self::Closed => return,
        };
        if let Err(error) = socket.set_zero_linger() {
            tracing::debug!(%error, "a connection could not be reset");
        }
        *self = Self::Closed;
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.line().poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.line().poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut line = self.line();
        match line.transport.poll_flush(cx) {
            Poll::Pending => line.poll_clock(cx),
            done => done,
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line().transport.close();
        Poll::Ready(Ok(()))
    }
}

impl AsyncTokioStream for Wire {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.line().peer)
    }
}
