//! A fast receiving SMTP server on loopback: takes everything, counts it by Message-ID, keeps nothing.
//!
//! Prints its two addresses as one JSON line. Whoever connects to `stats` gets the counts, as one JSON line too. It ends
//! with its standard input, so that it never outlives who started it. With `--arrivals` it writes down when each message
//! came; the file is whole whenever the counts are told.

use std::io::{Read, stdin};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use sendwright_bench::arrivals::Arrivals;
use sendwright_bench::ledger::{Ledger, message_id};
use sendwright_bench::session::{BANNER, Next, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A fast receiving SMTP server on loopback that counts and keeps nothing
#[derive(Parser)]
struct Options {
    /// Port for SMTP; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Longest time to run, in seconds
    #[arg(long, default_value_t = 900)]
    seconds: u64,
    /// A file to write down the instant of each message in
    #[arg(long)]
    arrivals: Option<PathBuf>,
}

/// What is known of what arrived.
#[derive(Default)]
struct Seen {
    ledger: Ledger,
    arrivals: Option<Arrivals>,
}

type Shared = Arc<Mutex<Seen>>;

fn lock(seen: &Shared) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let smtp = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
    let stats = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!(r#"{{"smtp":"{}","stats":"{}"}}"#, smtp.local_addr()?, stats.local_addr()?);

    let arrivals = options.arrivals.as_deref().map(Arrivals::create).transpose()?;
    let seen = Arc::new(Mutex::new(Seen { arrivals, ..Seen::default() }));
    let ended = tokio::task::spawn_blocking(|| stdin().read_to_end(&mut Vec::new()));
    tokio::select! {
        result = receive(smtp, seen.clone()) => result?,
        result = report(stats, seen) => result?,
        _ = ended => {}
        () = tokio::time::sleep(Duration::from_secs(options.seconds)) => {}
    }
    // The thread that waits for the end of the input cannot be stopped otherwise.
    std::process::exit(0)
}

async fn receive(listener: TcpListener, seen: Shared) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let seen = seen.clone();
        tokio::spawn(async move {
            // A client that goes away in the middle has sent nothing that counts.
            let _ = converse(stream, &seen).await;
        });
    }
}

async fn converse(mut stream: TcpStream, seen: &Shared) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(BANNER).await?;
    let (mut session, mut input, mut replies) = (Session::default(), vec![0; 64 * 1024], Vec::new());
    let mut written = Ok(());
    loop {
        let length = stream.read(&mut input).await?;
        if length == 0 {
            return Ok(());
        }
        replies.clear();
        let next = session.feed(&input[..length], &mut replies, |message| {
            let (id, mut seen) = (message_id(message), lock(seen));
            seen.ledger.record(id, Instant::now());
            if let (Some(arrivals), Some(id)) = (&mut seen.arrivals, id) {
                written = arrivals.record(id);
            }
        });
        std::mem::replace(&mut written, Ok(()))?;
        stream.write_all(&replies).await?;
        if next == Next::Close {
            return Ok(());
        }
    }
}

async fn report(listener: TcpListener, seen: Shared) -> anyhow::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        let line = {
            let mut seen = lock(&seen);
            seen.arrivals.as_mut().map_or(Ok(()), Arrivals::flush)?;
            format!("{}\n", seen.ledger)
        };
        // Who asks and does not listen misses the answer, no more.
        let _ = stream.write_all(line.as_bytes()).await;
    }
}
