//! Enrols people over the API at a fixed rate, whatever the API does: an open loop. Each request has an instant at which it
//! is meant to begin, and its time counts from there, also while it waits for a free connection: an API that stands still
//! for a second is charged that second by everybody who came in it.
//!
//! Prints one JSON line: `offered` and `answered` requests, `refused` among them, `seconds` to the last answer, `rate` of
//! the answers a second, and `p50`, `p99`, `p999` and `max` in milliseconds. What has no answer when `--patience` ends
//! counts with the time it has waited until then.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::ensure;
use clap::Parser;
use sendwright_bench::http::{self, To};
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Enrol people at a fixed rate and print how long the answers took
#[derive(Parser)]
struct Options {
    /// The API
    #[arg(long)]
    api: SocketAddr,
    /// A key of the API
    #[arg(long)]
    key: String,
    /// The campaign that they are enrolled in
    #[arg(long)]
    campaign: String,
    /// Requests a second
    #[arg(long)]
    rate: f64,
    /// For how many seconds requests begin
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// For how many seconds more answers are waited for
    #[arg(long, default_value_t = 10.0)]
    patience: f64,
    /// Most requests under way at once
    #[arg(long, default_value_t = 256)]
    connections: usize,
    /// What every address begins with: another for each run
    #[arg(long)]
    name: String,
}

/// What came of the requests of one connection.
#[derive(Default)]
struct Seen {
    took: Vec<Duration>,
    refused: usize,
    last: Option<Instant>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Arc::new(Options::parse());
    ensure!(options.api.ip().is_loopback(), "--api {} is not on this machine", options.api);
    ensure!(options.rate > 0.0 && options.seconds > 0.0, "--rate and --seconds are above 0");
    let offered = (options.rate * options.seconds).ceil() as usize;
    let mut streams = Vec::new();
    for _ in 0..options.connections.min(offered) {
        let stream = TcpStream::connect(options.api).await?;
        stream.set_nodelay(true)?;
        streams.push(BufReader::new(stream));
    }
    let (next, begun) = (Arc::new(AtomicUsize::new(0)), Instant::now() + Duration::from_millis(100));
    let end = begun + Duration::from_secs_f64(options.seconds + options.patience);
    let loads: JoinSet<anyhow::Result<Seen>> = streams
        .into_iter()
        .map(|stream| load(stream, options.clone(), next.clone(), (offered, begun, end)))
        .collect();
    let mut all = Seen::default();
    for seen in loads.join_all().await {
        let seen = seen?;
        all.took.extend(seen.took);
        all.refused += seen.refused;
        all.last = all.last.max(seen.last);
    }
    let answered = all.took.len();
    // Who has no answer yet, or had no turn, has waited since the instant that was meant.
    let unanswered = offered - answered;
    let waited = |number: usize| end.saturating_duration_since(meant(begun, options.rate, number));
    all.took.extend((answered..offered).map(waited));
    all.took.sort_unstable();
    let seconds = all.last.map_or(0.0, |last| last.saturating_duration_since(begun).as_secs_f64());
    println!(
        r#"{{"offered":{offered},"answered":{answered},"unanswered":{unanswered},"refused":{},"seconds":{seconds:.3},"rate":{:.1},"p50":{:.2},"p99":{:.2},"p999":{:.2},"max":{:.2}}}"#,
        all.refused,
        answered as f64 / seconds.max(options.seconds),
        quantile(&all.took, 0.5),
        quantile(&all.took, 0.99),
        quantile(&all.took, 0.999),
        quantile(&all.took, 1.0)
    );
    Ok(())
}

/// When request `number` is meant to begin.
fn meant(begun: Instant, rate: f64, number: usize) -> Instant {
    begun + Duration::from_secs_f64(number as f64 / rate)
}

/// Takes the next request whenever this connection is free.
async fn load(
    mut stream: BufReader<TcpStream>,
    options: Arc<Options>,
    next: Arc<AtomicUsize>,
    (offered, begun, end): (usize, Instant, Instant),
) -> anyhow::Result<Seen> {
    let mut seen = Seen::default();
    let to = To { path: "/api/v1/leads", key: &options.key, headers: "" };
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let at = meant(begun, options.rate, number);
        if number >= offered || at >= end {
            return Ok(seen);
        }
        tokio::time::sleep_until(at).await;
        let body = format!(
            r#"{{"email":"{}-{number}@bench.example","company":"{number}","campaign_id":{}}}"#,
            options.name,
            quoted(&options.campaign)
        );
        let Ok(status) = tokio::time::timeout_at(end, http::post(&mut stream, to, &body)).await else {
            return Ok(seen);
        };
        seen.last = Some(Instant::now());
        seen.took.push(at.elapsed());
        seen.refused += usize::from(!(200..300).contains(&status?));
    }
}

/// A campaign's number, or its other face as a text.
fn quoted(id: &str) -> String {
    if id.bytes().all(|byte| byte.is_ascii_digit()) { id.to_owned() } else { format!("\"{id}\"") }
}

/// Milliseconds within which the part `q` of all was done; `sorted` is that.
fn quantile(sorted: &[Duration], q: f64) -> f64 {
    let place = ((sorted.len() as f64 * q).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(place).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_time_within_which_so_many_were_done() {
        let took: Vec<Duration> = (1..=1000).map(Duration::from_millis).collect();
        assert_eq!([0.5, 0.99, 0.999, 1.0].map(|q| quantile(&took, q)), [500.0, 990.0, 999.0, 1000.0]);
        assert_eq!(quantile(&[Duration::from_millis(7)], 0.5), 7.0);
        assert_eq!(quantile(&[], 0.99), 0.0);
    }
}
