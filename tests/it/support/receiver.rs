//! A receiver of webhooks on loopback: it keeps what arrives and answers as it is told.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures::stream;
use sendwright_workflows::webhook::{self, SigningSecret};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// One answer.
#[derive(Clone)]
pub enum Act {
    /// This status.
    Status(u16),
    /// This status with a header.
    With(u16, &'static str, String),
    /// 200 with this body.
    Says(Vec<u8>),
    /// 200 after so long.
    Slow(Duration),
    /// This status, with a body that has no end.
    Endless(u16),
    /// This status, and the connection breaks in the body.
    Breaks(u16),
}

impl Act {
    /// Whether it says yes.
    fn is_yes(&self) -> bool {
        match self {
            Act::Status(code) | Act::With(code, ..) | Act::Endless(code) | Act::Breaks(code) => {
                (200..300).contains(code)
            }
            Act::Says(_) | Act::Slow(_) => true,
        }
    }
}

/// What arrived.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Arrived {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The instant it was signed for, unix seconds.
    pub fn signed_at(&self) -> i64 {
        self.header(webhook::TIMESTAMP).parse().unwrap()
    }

    /// Whether it is signed by this secret, at the instant it says.
    pub fn is_by(&self, secret: &str) -> bool {
        let secret = SigningSecret::parse(secret).unwrap();
        let headers =
            (self.header(webhook::ID), self.header(webhook::TIMESTAMP), self.header(webhook::SIGNATURE));
        webhook::verify(&secret, headers, &self.body, self.signed_at()).is_ok()
    }
}

#[derive(Default)]
struct Inner {
    script: VecDeque<Act>,
    always: Option<Act>,
    arrived: Vec<Arrived>,
    /// Ids of what was answered with a 2xx.
    taken: Vec<String>,
    /// Requests that are being answered, and the most that ever were at once.
    open: usize,
    most_open: usize,
}

/// The receiver; it ends when dropped.
pub struct Receiver {
    address: std::net::SocketAddr,
    inner: Arc<Mutex<Inner>>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Answers by the script, and 200 once that is through.
    pub async fn start(script: impl IntoIterator<Item = Act>) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Mutex::new(Inner { script: script.into_iter().collect(), ..Inner::default() }));
        let app = Router::new().fallback(receive).with_state(inner.clone());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Receiver { address, inner, task }
    }

    /// From now on every request gets this answer.
    pub fn always(&self, act: Act) {
        self.inner.lock().unwrap().always = Some(act);
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn arrived(&self) -> Vec<Arrived> {
        self.inner.lock().unwrap().arrived.clone()
    }

    pub fn count(&self) -> usize {
        self.inner.lock().unwrap().arrived.len()
    }

    /// The ids of what was answered with a 2xx, in order; one more than once if it came more than once.
    pub fn taken(&self) -> Vec<String> {
        self.inner.lock().unwrap().taken.clone()
    }

    /// The most requests that were under way at once.
    pub fn most_open(&self) -> usize {
        self.inner.lock().unwrap().most_open
    }

    /// Waits until so many have arrived.
    pub async fn wait_for(&self, count: usize) -> Vec<Arrived> {
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while self.count() < count {
            assert!(std::time::Instant::now() < until, "{} of {count} arrived", self.count());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.arrived()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn receive(
    State(inner): State<Arc<Mutex<Inner>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let act = {
        let mut inner = inner.lock().unwrap();
        inner.open += 1;
        inner.most_open = inner.most_open.max(inner.open);
        let id = headers.get(webhook::ID).and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
        inner.arrived.push(Arrived { path: uri.path().to_owned(), headers, body });
        let act = inner.always.clone().or_else(|| inner.script.pop_front()).unwrap_or(Act::Status(200));
        if act.is_yes() {
            inner.taken.push(id);
        }
        act
    };
    let answer = answer(act).await;
    inner.lock().unwrap().open -= 1;
    answer
}

async fn answer(act: Act) -> Response {
    let status = |code| StatusCode::from_u16(code).unwrap();
    match act {
        Act::Status(code) => status(code).into_response(),
        Act::With(code, name, value) => (status(code), [(name, value)]).into_response(),
        Act::Says(body) => body.into_response(),
        Act::Slow(wait) => {
            tokio::time::sleep(wait).await;
            StatusCode::OK.into_response()
        }
        Act::Endless(code) => {
            let piece = || Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 64 << 10]));
            (status(code), Body::from_stream(stream::repeat_with(piece))).into_response()
        }
        Act::Breaks(code) => {
            let broken = stream::iter([Ok("half an ans"), Err(std::io::Error::other("broken off"))]);
            (status(code), Body::from_stream(broken)).into_response()
        }
    }
}
