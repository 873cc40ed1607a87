//! The built program as a process that runs on: its log, its address, its signals, its end.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

/// How long anything may take that is not the demo itself.
pub const SOON: Duration = Duration::from_secs(60);

/// A running program; it is killed with the value.
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts it with its stderr in a file.
    pub fn start(mut command: Command, log: PathBuf) -> Self {
        let file = File::create(&log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn().unwrap();
        Self { child, log }
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it has said something.
    pub async fn says(&mut self, text: &str, within: Duration) {
        let deadline = Instant::now() + within;
        while !self.log().contains(text) {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended: {}", self.log());
            assert!(Instant::now() < deadline, "it did not say {text:?} within {within:?}: {}", self.log());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Where it listens, once it does.
    pub async fn address(&mut self) -> SocketAddr {
        until("it says where it listens", SOON, async || port(&self.log()).is_some()).await;
        SocketAddr::from(([127, 0, 0, 1], port(&self.log()).unwrap()))
    }

    /// Waits until `/readyz` answers 200, and gives the address.
    pub async fn ready(&mut self) -> SocketAddr {
        let address = self.address().await;
        until("it is ready", SOON, async || get(address, "/readyz", "").await.0 == 200).await;
        address
    }

    /// Sends it a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end: the exit code, or 128 and the signal that ended it.
    pub async fn end(mut self, within: Duration) -> i32 {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
            }
            assert!(Instant::now() < deadline, "it still runs after {within:?}: {}", self.log());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends it as a terminal or a platform does; it must end well.
    pub async fn stop(self, signal: &str) {
        self.signal(signal);
        assert_eq!(self.end(SOON).await, 0);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The port that a log names first; that of the metrics alone is another.
fn port(log: &str) -> Option<u16> {
    let mut places = log.lines().filter(|line| !line.contains("metrics are served"));
    let after = places.find_map(|line| line.split("127.0.0.1:").nth(1))?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Asks again and again until it is so.
pub async fn until(what: &str, within: Duration, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !is_so().await {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// `GET`, with a key where one is given; status 0 where nobody answers.
pub async fn get(address: SocketAddr, path: &str, key: &str) -> (u16, String) {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        let key = if key.is_empty() { String::new() } else { format!("X-API-Key: {key}\r\n") };
        let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{key}\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let Ok(answer) = ask.await else { return (0, String::new()) };
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status, body)
}
