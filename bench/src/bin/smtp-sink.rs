//! A fast receiving SMTP server on loopback: takes everything, counts it by Message-ID, keeps nothing.
//!
//! Prints its two addresses as one JSON line. Whoever connects to `stats` gets the counts, as one JSON line too. It ends
//! with its standard input, so that it never outlives who started it.

use std::io::{Read, stdin};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use sendwright_bench::ledger::Ledger;
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
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let smtp = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
    let stats = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!(r#"{{"smtp":"{}","stats":"{}"}}"#, smtp.local_addr()?, stats.local_addr()?);

    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let ended = tokio::task::spawn_blocking(|| stdin().read_to_end(&mut Vec::new()));
    tokio::select! {
        result = receive(smtp, ledger.clone()) => result?,
        result = report(stats, ledger) => result?,
        _ = ended => {}
        () = tokio::time::sleep(Duration::from_secs(options.seconds)) => {}
    }
    // The thread that waits for the end of the input cannot be stopped otherwise.
    std::process::exit(0)
}

async fn receive(listener: TcpListener, ledger: Arc<Mutex<Ledger>>) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let ledger = ledger.clone();
        tokio::spawn(async move {
            // A client that goes away in the middle has sent nothing that counts.
            let _ = converse(stream, &ledger).await;
        });
    }
}

async fn converse(mut stream: TcpStream, ledger: &Mutex<Ledger>) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(BANNER).await?;
    let (mut session, mut input, mut replies) = (Session::default(), vec![0; 64 * 1024], Vec::new());
    loop {
        let length = stream.read(&mut input).await?;
        if length == 0 {
            return Ok(());
        }
        replies.clear();
        let next = session.feed(&input[..length], &mut replies, |message| {
            ledger.lock().unwrap_or_else(PoisonError::into_inner).record(message, Instant::now());
        });
        stream.write_all(&replies).await?;
        if next == Next::Close {
            return Ok(());
        }
    }
}

async fn report(listener: TcpListener, ledger: Arc<Mutex<Ledger>>) -> anyhow::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        let line = format!("{}\n", ledger.lock().unwrap_or_else(PoisonError::into_inner));
        // Who asks and does not listen misses the answer, no more.
        let _ = stream.write_all(line.as_bytes()).await;
    }
}
