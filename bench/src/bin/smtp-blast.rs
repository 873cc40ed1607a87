//! The bare hand-over rate of SMTP on this machine: ready connections that do nothing but send, each waiting for every
//! reply. Nothing that also records what it does can be faster. Prints `{"messages","seconds","rate"}`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Measures the bare rate of SMTP hand-overs to a server on loopback
#[derive(Parser)]
struct Options {
    /// The receiving server, for example 127.0.0.1:2525
    #[arg(long)]
    to: SocketAddr,
    /// Connections kept open side by side
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=512))]
    connections: u16,
    /// Messages to hand over in all
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    messages: u32,
    /// Bytes of text in a message
    #[arg(long, default_value_t = 600)]
    bytes: usize,
    /// Longest time to run, in seconds
    #[arg(long, default_value_t = 120)]
    seconds: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    ensure!(
        options.to.ip().is_loopback(),
        "--to {} is not on this machine: only loopback is measured",
        options.to
    );
    tokio::time::timeout(Duration::from_secs(options.seconds), blast(&options))
        .await
        .with_context(|| format!("not done within {} seconds", options.seconds))?
}

async fn blast(options: &Options) -> anyhow::Result<()> {
    let mut ready = Vec::new();
    for _ in 0..options.connections {
        ready.push(Connection::open(options.to).await?);
    }
    let (messages, next) = (options.messages, Arc::new(AtomicU32::new(0)));
    let text: Arc<str> =
        "All work and no play makes a dull benchmark.\r\n".repeat(options.bytes / 46 + 1).into();
    let start = Instant::now();
    let mut senders = JoinSet::new();
    for mut connection in ready {
        let (next, text) = (next.clone(), text.clone());
        senders.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= messages {
                    return connection.say("QUIT\r\n", "221").await;
                }
                connection.hand_over(number, &text).await?;
            }
        });
    }
    while let Some(sender) = senders.join_next().await {
        sender??;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        r#"{{"messages":{messages},"seconds":{seconds:.3},"rate":{:.0}}}"#,
        f64::from(messages) / seconds
    );
    Ok(())
}

struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
}

impl Connection {
    async fn open(server: SocketAddr) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(server).await.with_context(|| format!("no server at {server}"))?;
        stream.set_nodelay(true)?;
        let mut connection = Connection { stream: BufReader::new(stream), line: String::new() };
        connection.expect("220").await?;
        connection.say("EHLO bench.example\r\n", "250").await?;
        Ok(connection)
    }

    async fn hand_over(&mut self, number: u32, text: &str) -> anyhow::Result<()> {
        self.say("MAIL FROM:<sender@bench.example>\r\n", "250").await?;
        self.say(&format!("RCPT TO:<lead{number}@bench.example>\r\n"), "250").await?;
        self.say("DATA\r\n", "354").await?;
        let message = format!(
            "Message-ID: <{number}@bench.example>\r\nFrom: sender@bench.example\r\nTo: lead{number}@bench.example\r\n\
             Subject: Number {number}\r\n\r\n{text}.\r\n"
        );
        self.say(&message, "250").await
    }

    async fn say(&mut self, words: &str, code: &str) -> anyhow::Result<()> {
        self.stream.get_mut().write_all(words.as_bytes()).await?;
        self.expect(code).await
    }

    /// Reads one reply, of as many lines as it has.
    async fn expect(&mut self, code: &str) -> anyhow::Result<()> {
        loop {
            self.line.clear();
            let length = self.stream.read_line(&mut self.line).await?;
            ensure!(length > 0, "the server closed the connection");
            ensure!(
                self.line.starts_with(code),
                "the server said {:?} where {code} was due",
                self.line.trim_end()
            );
            if self.line.as_bytes().get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }
}
