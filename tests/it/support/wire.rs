//! A wire between two processes that a test holds in its hand: silent, slow, led elsewhere. A silent wire loses nothing, as
//! TCP does: what was written waits, also what a process wrote that is dead by then, and arrives when the wire speaks again.
//! Only connections that it has forgotten by then hang for ever, as behind a firewall.

use std::io::Result;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::plan;

/// Most bytes that travel in one piece.
const PIECE: usize = 16 << 10;
/// Most pieces under way in one direction of a connection.
const UNDER_WAY: usize = 256;

/// The wire; every connection over it ends with it.
pub struct Wire {
    near: NearEnd,
    mood: Arc<watch::Sender<Mood>>,
}

/// Where connections are taken; they end with it.
pub(super) struct NearEnd {
    /// A port of 127.0.0.1.
    pub(super) port: u16,
    accepting: JoinHandle<()>,
}

impl NearEnd {
    /// Takes connections on a free port, each to be carried in a task of its own.
    pub(super) async fn open<F>(carry: impl Fn(TcpStream) -> F + Send + 'static) -> NearEnd
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(carry(socket));
                while connections.try_join_next().is_some() {}
            }
        });
        NearEnd { port, accepting }
    }
}

impl Drop for NearEnd {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// How it is.
#[derive(Debug, Clone, Copy)]
struct Mood {
    /// Where new connections go.
    to: u16,
    is_silent: bool,
    /// How long each piece travels.
    delay: Duration,
    /// Bytes a second in each direction of a connection.
    rate: Option<u32>,
    /// Connections made before so many times of leading it elsewhere are cut.
    cuts: u32,
    /// Connections made before so many times of forgetting hang.
    forgettings: u32,
}

impl Wire {
    /// A wire to a port of 127.0.0.1, quick and silent about nothing.
    pub async fn to(port: u16) -> Wire {
        let mood =
            Mood { to: port, is_silent: false, delay: Duration::ZERO, rate: None, cuts: 0, forgettings: 0 };
        let mood = Arc::new(watch::Sender::new(mood));
        let moods = Arc::clone(&mood);
        let near = NearEnd::open(move |socket| carry(socket, moods.subscribe())).await;
        Wire { near, mood }
    }

    /// Its near end.
    pub fn port(&self) -> u16 {
        self.near.port
    }

    /// The same URL over this wire: its port is another.
    pub fn over(&self, url: &str) -> String {
        let to = self.mood.borrow().to;
        url.replacen(&format!("127.0.0.1:{to}"), &format!("127.0.0.1:{}", self.near.port), 1)
    }

    /// Nothing passes any more, in no direction, and nobody is told.
    pub fn fall_silent(&self) {
        self.say("falls silent");
        self.mood.send_modify(|mood| mood.is_silent = true);
    }

    /// What waited arrives, and what follows.
    pub fn speak(&self) {
        self.say("speaks again");
        self.mood.send_modify(|mood| mood.is_silent = false);
    }

    /// New connections work; those of before hang for ever, and nobody is told.
    pub fn forget(&self) {
        self.say("forgets its connections");
        self.mood.send_modify(|mood| {
            mood.forgettings += 1;
            mood.is_silent = false;
        });
    }

    /// Cuts every connection; new ones go to another port.
    pub fn lead_to(&self, port: u16) {
        self.say(&format!("leads to port {port}"));
        self.mood.send_modify(|mood| {
            mood.cuts += 1;
            (mood.to, mood.is_silent) = (port, false);
        });
    }

    /// From now on every piece travels so long, and a connection takes so many bytes a second in each direction.
    pub fn slow(&self, delay: Duration, rate: u32) {
        self.say(&format!("takes {delay:?}, and {rate} bytes a second"));
        self.mood.send_modify(|mood| (mood.delay, mood.rate) = (delay, Some(rate)));
    }

    fn say(&self, what: &str) {
        plan::say(format_args!(
            "the wire at port {}, to port {}, {what}",
            self.near.port,
            self.mood.borrow().to
        ));
    }
}

/// The life of one connection.
async fn carry(socket: TcpStream, mut mood: watch::Receiver<Mood>) {
    let made = *mood.borrow();
    let (pieces, mut changes) = (mood.clone(), mood.clone());
    let over = async {
        mood.wait_for(|now| !now.is_silent).await.ok()?;
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, mood.borrow().to));
        let other = TcpStream::connect(to).await.ok()?;
        socket.set_nodelay(true).and(other.set_nodelay(true)).ok()?;
        let ((from_here, to_here), (from_there, to_there)) = (socket.into_split(), other.into_split());
        let _ = tokio::join!(
            travel(from_here, to_there, pieces.clone()),
            travel(from_there, to_here, pieces.clone())
        );
        Some(())
    };
    tokio::pin!(over);
    loop {
        tokio::select! {
            biased;
            changed = changes.changed() => {
                let now = *changes.borrow_and_update();
                if changed.is_err() || now.cuts != made.cuts {
                    return;
                }
                if now.forgettings != made.forgettings {
                    // Both sockets stay open, and nothing moves: until the wire itself is gone, or is led elsewhere.
                    let _ = changes.wait_for(|now| now.cuts != made.cuts).await;
                    return;
                }
            }
            _ = &mut over => return,
        }
    }
}

/// One direction, to its end: what is read is written later, in order.
async fn travel(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mood: watch::Receiver<Mood>,
) -> Result<()> {
    let (sender, mut pieces) = mpsc::channel(UNDER_WAY);
    let own = mood.clone();
    let read = async move {
        loop {
            let mut piece = vec![0; PIECE];
            match from.read(&mut piece).await {
                Ok(length) if length > 0 => piece.truncate(length),
                _ => return,
            }
            let arrives = Instant::now() + own.borrow().delay;
            if sender.send((arrives, piece)).await.is_err() {
                return;
            }
        }
    };
    let write = async {
        while let Some((arrives, piece)) = pieces.recv().await {
            sleep_until(arrives).await;
            let rate = mood.borrow().rate;
            if let Some(rate) = rate {
                sleep(Duration::from_secs_f64(piece.len() as f64 / f64::from(rate))).await;
            }
            if mood.wait_for(|now| !now.is_silent).await.is_err() {
                break;
            }
            to.write_all(&piece).await?;
        }
        to.shutdown().await
    };
    tokio::join!(read, write).1
}
