//! Posts events over keep-alive connections, one a request, and counts what its own receiver gets of them as webhooks.
//! With `--bulk` a request has many leads, each of them an event.
//! Without `--api` the posts go straight to the receiver: the bare rate of both ends.
//!
//! Prints one JSON line: events, duplicates, seconds until the last was accepted and until the last was received.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Parser;
use sendwright_bench::http::{To, post, read};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Post events and count their webhooks
#[derive(Parser)]
struct Options {
    /// The API; without it the posts go to the receiver itself
    #[arg(long)]
    api: Option<SocketAddr>,
    /// A key of the API
    #[arg(long, default_value = "")]
    key: String,
    /// Events in all
    #[arg(long, default_value_t = 20_000)]
    events: usize,
    /// Connections that post
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Leads in a request, instead of one event of the caller's own
    #[arg(long)]
    bulk: Option<usize>,
    /// Bytes of each event's text
    #[arg(long, default_value_t = 900)]
    bytes: usize,
    /// Longest time to wait for the last, in seconds
    #[arg(long, default_value_t = 120)]
    seconds: u64,
}

/// What the receiver has.
#[derive(Default)]
struct Received {
    ids: HashSet<String>,
    requests: usize,
    last: Option<Instant>,
}

type Shared = Arc<Mutex<Received>>;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Arc::new(Options::parse());
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let receiver = socket.local_addr()?;
    let received = Shared::default();
    tokio::spawn(receive(socket, received.clone()));
    if let Some(api) = options.api {
        let body = format!(
            r#"{{"url":"http://{receiver}/hook","events":["{}"]}}"#,
            if options.bulk.is_some() { "lead.created" } else { "custom.*" }
        );
        let mut stream = BufReader::new(TcpStream::connect(api).await?);
        let to = To { path: "/api/v1/webhooks", key: &options.key, headers: "" };
        let status = post(&mut stream, to, &body).await?;
        anyhow::ensure!(status == 201, "the endpoint was not registered: {status}");
    }
    let (begun, next) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let to = options.api.unwrap_or(receiver);
    let posts = (0..options.connections).map(|_| tokio::spawn(load(to, options.clone(), next.clone())));
    for one in posts.collect::<Vec<_>>() {
        one.await??;
    }
    let accepted = begun.elapsed().as_secs_f64();
    let patience = Duration::from_secs(options.seconds);
    while lock(&received).ids.len() < options.events && begun.elapsed() < patience {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let last = lock(&received).last.map_or(0.0, |last| (last - begun).as_secs_f64());
    // Long enough for a duplicate to show itself.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let received = lock(&received);
    let (events, requests) = (received.ids.len(), received.requests);
    println!(
        r#"{{"events":{events},"duplicates":{},"accepted_seconds":{accepted:.3},"seconds":{last:.3},"rate":{}}}"#,
        requests - events,
        (events as f64 / last.max(0.001)).round()
    );
    anyhow::ensure!(events == options.events, "{events} of {} arrived", options.events);
    Ok(())
}

fn lock(received: &Shared) -> std::sync::MutexGuard<'_, Received> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Posts events one after another over one connection.
async fn load(to: SocketAddr, options: Arc<Options>, next: Arc<AtomicUsize>) -> anyhow::Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(to).await?);
    let text = "x".repeat(options.bytes);
    loop {
        let number = next.fetch_add(options.bulk.unwrap_or(1), Ordering::Relaxed);
        if number >= options.events {
            return Ok(());
        }
        let id = format!("webhook-id: bare-{number}\r\n");
        let (path, body) = match options.bulk {
            Some(size) => ("/api/v1/leads/bulk", leads(number..options.events.min(number + size))),
            None => (
                "/api/v1/events",
                format!(r#"{{"type":"custom.bench","data":{{"number":{number},"text":"{text}"}}}}"#),
            ),
        };
        let status = post(&mut stream, To { path, key: &options.key, headers: &id }, &body).await?;
        if !(200..300).contains(&status) {
            bail!("an event was answered {status}");
        }
    }
}

fn leads(numbers: std::ops::Range<usize>) -> String {
    let leads = numbers.map(|n| format!(r#"{{"email":"lead{n}@bench.example","company":"{n}"}}"#));
    format!("[{}]", leads.collect::<Vec<_>>().join(","))
}

async fn receive(socket: TcpListener, received: Shared) -> anyhow::Result<()> {
    loop {
        let (stream, _) = socket.accept().await?;
        stream.set_nodelay(true)?;
        let received = received.clone();
        tokio::spawn(async move {
            let mut stream = BufReader::new(stream);
            while let Ok(Some(message)) = read(&mut stream).await {
                {
                    let mut received = lock(&received);
                    received.requests += 1;
                    received.last = Some(Instant::now());
                    received.ids.insert(message.id);
                }
                if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.is_err() {
                    return;
                }
            }
        });
    }
}
