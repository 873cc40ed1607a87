//! One connection of the SMTP receiver, from its greeting to its end.

use std::time::Instant;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::script::{Act, At, Tls};
use super::{Received, Shared};

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    fn reset(&self);
}

impl Stream for TcpStream {
    fn reset(&self) {
        let _ = self.set_zero_linger();
    }
}

impl Stream for tokio_rustls::server::TlsStream<Box<dyn Stream>> {
    fn reset(&self) {
        self.get_ref().0.reset();
    }
}

/// The connection is to end here.
pub(super) struct Gone;

impl From<std::io::Error> for Gone {
    fn from(_: std::io::Error) -> Self {
        Gone
    }
}

struct Peer<'a> {
    io: BufReader<Box<dyn Stream>>,
    shared: &'a Shared,
    /// How this connection is encrypted, or may be.
    tls: Tls,
    connection: usize,
    encrypted: bool,
    login: Option<String>,
    mail: Option<(String, Instant)>,
    to: Vec<String>,
}

pub(super) async fn serve(socket: TcpStream, connection: usize, shared: &Shared) -> Result<(), Gone> {
    let mut stream: Box<dyn Stream> = Box::new(socket);
    let tls = shared.tls();
    let implicit = if let Tls::Implicit(config) = &tls { Some(config.clone()) } else { None };
    let encrypted = implicit.is_some();
    if let Some(config) = implicit {
        stream = Box::new(TlsAcceptor::from(config).accept(stream).await?);
    }
    let io = BufReader::new(stream);
    let mut peer = Peer { io, shared, tls, connection, encrypted, login: None, mail: None, to: vec![] };
    if !peer.answer(At::Banner, "220 receiver.test ESMTP").await? {
        return Ok(());
    }
    loop {
        let line = match shared.script.close_after_idle {
            None => peer.line().await?,
            Some(idle) => match tokio::time::timeout(idle, peer.line()).await {
                Ok(line) => line?,
                Err(_) => return Ok(peer.write(b"421 4.4.2 idle for too long\r\n").await?),
            },
        };
        peer = peer.command(&line).await?;
    }
}

impl<'a> Peer<'a> {
    async fn line(&mut self) -> Result<String, Gone> {
        let mut line = Vec::new();
        if self.io.read_until(b'\n', &mut line).await? == 0 {
            return Err(Gone);
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.io.write_all(bytes).await?;
        self.io.flush().await
    }

    /// Does what the script says for this moment, else answers as usual; true if that was a yes.
    async fn answer(&mut self, at: At, usual: &str) -> Result<bool, Gone> {
        match self.shared.act(at, &self.to) {
            Some(act) => self.perform(act).await,
            None => {
                self.write(format!("{usual}\r\n").as_bytes()).await?;
                Ok(usual.starts_with(['2', '3']))
            }
        }
    }

    async fn perform(&mut self, act: Act) -> Result<bool, Gone> {
        let reply = match act {
            Act::Reply(reply) => {
                self.write(&reply).await?;
                reply
            }
            Act::Trickle(reply, every) => {
                for byte in &reply {
                    self.write(&[*byte]).await?;
                    tokio::time::sleep(every).await;
                }
                reply
            }
            Act::Drop | Act::AcceptAndDrop => {
                self.io.get_ref().reset();
                return Err(Gone);
            }
            Act::Stall => {
                let mut ignored = vec![0; 4096];
                while self.io.read(&mut ignored).await? > 0 {}
                return Err(Gone);
            }
        };
        if reply.starts_with(b"421") { Err(Gone) } else { Ok(matches!(reply.first(), Some(b'2' | b'3'))) }
    }

    async fn command(mut self, line: &str) -> Result<Peer<'a>, Gone> {
        let upper = line.to_ascii_uppercase();
        let (verb, path) = (upper.split_whitespace().next().unwrap_or_default(), || path_of(line));
        match verb {
            "EHLO" | "HELO" => {
                let hello = self.hello();
                self.answer(At::Ehlo, &hello).await?;
            }
            "STARTTLS" => return self.starttls().await,
            "AUTH" => self.auth(line).await?,
            "MAIL" if self.shared.demands_login() && self.login.is_none() => {
                self.write(b"530 5.7.0 log in first\r\n").await?;
            }
            "MAIL" if self.answer(At::Mail, "250 2.1.0 ok").await? => {
                self.mail = Some((path(), Instant::now()));
                self.to.clear();
            }
            "RCPT" => {
                self.to.push(path());
                if !self.answer(At::Rcpt, "250 2.1.5 ok").await? {
                    self.to.pop();
                }
            }
            "DATA" if self.mail.is_none() || self.to.is_empty() => {
                self.write(b"503 5.5.1 MAIL and RCPT first\r\n").await?;
            }
            "DATA" if self.answer(At::Data, "354 go on").await? => self.message().await?,
            "RSET" if self.answer(At::Rset, "250 2.0.0 ok").await? => self.mail = None,
            "NOOP" => drop(self.answer(At::Noop, "250 2.0.0 ok").await?),
            "QUIT" => {
                self.write(b"221 2.0.0 bye\r\n").await?;
                return Err(Gone);
            }
            "MAIL" | "DATA" | "RSET" => {}
            _ => self.write(b"500 5.5.2 what?\r\n").await?,
        }
        Ok(self)
    }

    fn hello(&self) -> String {
        let script = &self.shared.script;
        let mut lines =
            vec!["receiver.test".to_owned(), "SIZE 52428800".into(), "ENHANCEDSTATUSCODES".into()];
        if !script.ascii_only {
            lines.extend(["8BITMIME".to_owned(), "SMTPUTF8".into()]);
        }
        if !script.one_by_one {
            lines.push("PIPELINING".into());
        }
        if matches!(self.tls, Tls::Upgrade(_)) && !self.encrypted {
            lines.push("STARTTLS".into());
        }
        if self.shared.demands_login() {
            let mechanisms = if script.mechanisms.is_empty() { "PLAIN LOGIN" } else { &script.mechanisms };
            lines.push(format!("AUTH {mechanisms}"));
        }
        let last = lines.len() - 1;
        let mark = |(i, line): (usize, &String)| format!("250{}{line}", if i == last { ' ' } else { '-' });
        lines.iter().enumerate().map(mark).collect::<Vec<_>>().join("\r\n")
    }

    async fn starttls(mut self) -> Result<Peer<'a>, Gone> {
        let Tls::Upgrade(config) = self.tls.clone() else {
            self.write(b"502 5.5.1 not here\r\n").await?;
            return Ok(self);
        };
        if !self.answer(At::StartTls, "220 2.0.0 go on").await? {
            return Ok(self);
        }
        let stream = TlsAcceptor::from(config).accept(self.io.into_inner()).await?;
        Ok(Peer { io: BufReader::new(Box::new(stream)), encrypted: true, ..self })
    }

    async fn auth(&mut self, line: &str) -> Result<(), Gone> {
        let mut words = line.split_whitespace().skip(1);
        let plain = words.next().is_some_and(|mechanism| mechanism.eq_ignore_ascii_case("PLAIN"));
        let given = if plain {
            let token = unbase64(words.next().unwrap_or_default());
            let mut parts = token.split('\0').skip(1).map(str::to_owned);
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
        } else {
            self.write(b"334 VXNlcm5hbWU6\r\n").await?;
            let user = unbase64(&self.line().await?);
            self.write(b"334 UGFzc3dvcmQ6\r\n").await?;
            (user, unbase64(&self.line().await?))
        };
        let right = self.shared.logins.lock().unwrap().contains(&given);
        let usual = if right { "235 2.7.0 welcome" } else { "535 5.7.8 wrong user or password" };
        if self.answer(At::Auth, usual).await? {
            self.login = Some(given.0);
        }
        Ok(())
    }

    /// The body, up to its dot and the answer to it.
    async fn message(&mut self) -> Result<(), Gone> {
        let limit = self.shared.body_limit();
        let (mut data, mut raw) = (Vec::new(), 0);
        loop {
            let start = data.len();
            let taken = self.io.read_until(b'\n', &mut data).await?;
            raw += taken;
            if taken == 0 {
                return Err(Gone);
            }
            if let Some(limit) = limit.filter(|limit| raw >= *limit)
                && let Some(act) = self.shared.act(At::Body(limit), &self.to)
            {
                self.perform(act).await?;
            }
            // Only CRLF.CRLF ends a message: the line before must have ended in CRLF as well.
            let whole = start == 0 || data[..start].ends_with(b"\r\n");
            if whole && &data[start..] == b".\r\n" {
                data.truncate(start);
                break;
            }
            if whole && data[start] == b'.' {
                data.remove(start);
            }
        }
        self.settle(data).await
    }

    async fn settle(&mut self, data: Vec<u8>) -> Result<(), Gone> {
        let dot_at = Instant::now();
        let (from, mail_at) = self.mail.take().ok_or(Gone)?;
        let act = self.shared.act(At::Dot, &self.to).unwrap_or(Act::Reply(b"250 2.0.0 queued\r\n".to_vec()));
        let (accepts, answers) = match &act {
            Act::Reply(reply) | Act::Trickle(reply, _) => (reply.starts_with(b"2"), true),
            act => (matches!(act, Act::AcceptAndDrop), false),
        };
        if accepts {
            // Before the answer: whoever has read the 250 finds the message in the log.
            self.keep(Received {
                connection: self.connection,
                from,
                to: self.to.clone(),
                data,
                login: self.login.clone(),
                encrypted: self.encrypted,
                mail_at,
                dot_at,
                answered_at: answers.then(Instant::now),
            });
        }
        self.perform(act).await?;
        if accepts && self.shared.script.close_after_each { Err(Gone) } else { Ok(()) }
    }

    fn keep(&self, received: Received) {
        let mut log = self.shared.log.lock().unwrap();
        log.push(received);
        self.shared.accepted.send_replace(log.len());
    }
}

/// What stands between the angle brackets.
fn path_of(line: &str) -> String {
    let after = line.split_once('<').map_or("", |(_, after)| after);
    after.split_once('>').map_or(after, |(path, _)| path).to_owned()
}

fn unbase64(text: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut out) = (0u32, 0, Vec::new());
    for value in text.bytes().filter_map(|b| ALPHABET.iter().position(|a| *a == b)) {
        (bits, count) = ((bits << 6) | value as u32, count + 6);
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
