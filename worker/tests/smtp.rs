//! The SMTP channel against a real receiver: every answer, every failure, every stage.
#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "../../tests/it/support/smtp_server.rs"]
mod smtp_server;

#[path = "smtp/connect.rs"]
mod connect;
#[path = "smtp/gate.rs"]
mod gate;
#[path = "smtp/hand_over.rs"]
mod hand_over;
#[path = "smtp/letter.rs"]
mod letter;
#[path = "smtp/pipelining.rs"]
mod pipelining;
#[path = "smtp/pool.rs"]
mod pool;

use std::time::Duration;

use sendwright_worker::channels::Outcome;
use sendwright_worker::channels::smtp::{self, ConnectError, Dialer, DotGate, Session, Timeouts};
use smtp_server::{Script, SmtpServer};

/// Longer than anything takes that does not hang.
const SOON: Duration = Duration::from_secs(60);
/// The one timeout a test shortens to see it run out.
const BRIEFLY: Duration = Duration::from_millis(150);

const FROM: &str = "ann@example.com";
const TO: &str = "bob@example.net";

fn dialer(url: &str, timeouts: Timeouts) -> Dialer {
    Dialer::new(url.parse().expect("a profile"), timeouts)
}

async fn open(url: &str) -> Result<Session, ConnectError> {
    dialer(url, Timeouts::default()).open().await
}

async fn started(script: Script) -> (SmtpServer, Session) {
    started_with(script, Timeouts::default()).await
}

async fn started_with(script: Script, timeouts: Timeouts) -> (SmtpServer, Session) {
    let server = SmtpServer::start(script).await;
    let session = dialer(&server.url(), timeouts).open().await.expect("a session");
    (server, session)
}

/// Shortens one timeout.
type Shorten = fn(&mut Timeouts);

/// A message of about `size` bytes.
fn message(size: usize) -> Vec<u8> {
    let mut bytes = b"Subject: hello\r\n\r\n".to_vec();
    while bytes.len() < size {
        bytes.extend_from_slice(b"a line like many others, of some sixty characters or so.\r\n");
    }
    bytes
}

/// Hands a small message over through an open gate.
async fn send(session: &mut Session) -> Outcome {
    smtp::hand_over(session, FROM, TO, &message(200), DotGate::now(|| Ok(()))).await
}

fn accepted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Accepted { code: 250, .. })
}
