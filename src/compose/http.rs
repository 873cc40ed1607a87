//! The HTTP server: a bounded number of connections, none of which may dawdle, and an orderly end.

use crate::failure::Failure;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Most connections at once; the next one waits in the listener's backlog.
const MOST_CONNECTIONS: usize = 2_048;
/// How long a request's head may take to arrive.
const HEAD: Duration = Duration::from_secs(10);
/// How long requests under way may take once the server ends.
const ENDING: Duration = Duration::from_secs(10);
/// How long the server rests where the system gives it no more connections.
const NO_MORE: Duration = Duration::from_millis(100);

/// Listens at an address.
///
/// # Errors
/// It is taken, or not this machine's; `setting` is what to change.
pub async fn bind(at: SocketAddr, setting: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(at).await.map_err(|error| {
        Failure::new(match error.kind() {
            ErrorKind::AddrInUse => {
                format!("{at} is taken by another program: stop it, or choose another address with {setting}")
            }
            _ => format!("cannot listen at {at}: {error}; choose another address with {setting}"),
        })
    })
}

/// What answers: the routes once the process has opened its database, and until then that it is not ready.
#[derive(Clone, Default)]
pub struct Front(Arc<OnceLock<Router>>);

impl Front {
    /// From now on these routes answer.
    pub fn open(&self, routes: Router) {
        let _ = self.0.set(routes);
    }

    async fn answer(&self, request: Request) -> Response {
        match self.0.get() {
            Some(routes) => routes.clone().oneshot(request).await.unwrap_or_else(|never| match never {}),
            None if request.uri().path() == "/healthz" => json(StatusCode::OK, r#"{"status":"ok"}"#),
            None => json(
                StatusCode::SERVICE_UNAVAILABLE,
                r#"{"status":"not ready","code":"unavailable","detail":"waiting for the database; try again"}"#,
            ),
        }
    }
}

fn json(status: StatusCode, body: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::RETRY_AFTER, "1")];
    (status, headers, body).into_response()
}

/// Serves until `stop`; then nobody new comes in, and requests under way end.
pub async fn serve(listener: TcpListener, front: Front, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let connections = TaskTracker::new();
    let accept_all = async {
        while let Ok(place) = places.clone().acquire_owned().await {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let one = connection(stream, peer, front.clone(), stop.clone());
                    connections.spawn(async move {
                        one.await;
                        drop(place);
                    });
                }
                Err(error) if is_of_the_peer(error.kind()) => {}
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted for the moment");
                    tokio::time::sleep(NO_MORE).await;
                }
            }
        }
    };
    stop.run_until_cancelled(accept_all).await;
    drop(listener);
    connections.close();
    if tokio::time::timeout(ENDING, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "requests that do not end are cut off");
    }
}

fn is_of_the_peer(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused)
}

async fn connection(stream: TcpStream, peer: SocketAddr, front: Front, stop: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let answer = service_fn(move |request: hyper::Request<Incoming>| {
        let front = front.clone();
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            Ok::<_, Infallible>(front.answer(request).await)
        }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let mut connection = pin!(server.serve_connection(TokioIo::new(stream), answer));
    // How a connection ends is its peer's affair; a request that failed has been logged by its route.
    let _ = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::net::Ipv4Addr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn opened(routes: Router) -> Front {
        let front = Front::default();
        front.open(routes);
        front
    }

    async fn started(front: Front) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into(), "--bind").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        (address, stop.clone(), tokio::spawn(serve(listener, front, stop)))
    }

    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_front_says_that_it_waits_until_its_routes_are_there() {
        let front = Front::default();
        let (address, ..) = started(front.clone()).await;
        assert!(ask(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 503"));
        assert!(ask(address, "/api/external/status").await.contains(r#""code":"unavailable""#));
        front.open(Router::new().route("/readyz", get(async || "here")));
        assert!(ask(address, "/readyz").await.ends_with("here"));
    }

    #[tokio::test]
    async fn a_request_under_way_is_answered_and_an_idle_connection_does_not_hold_up_the_end() {
        let (begun, go_on) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
        let (told, waits) = (begun.clone(), go_on.clone());
        let slow = get(move || async move {
            told.notify_one();
            waits.notified().await;
            "done"
        });
        let (address, stop, ended) = started(opened(Router::new().route("/slow", slow))).await;
        let idle = TcpStream::connect(address).await.unwrap();
        let asked = tokio::spawn(ask(address, "/slow"));
        begun.notified().await;
        stop.cancel();
        go_on.notify_one();
        assert!(asked.await.unwrap().ends_with("done"));
        ended.await.unwrap();
        drop(idle);
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_taken_address_is_told_with_what_to_change() {
        let first = bind((Ipv4Addr::LOCALHOST, 0).into(), "--bind").await.unwrap();
        let second = bind(first.local_addr().unwrap(), "--bind HOST:PORT").await.unwrap_err();
        let told = format!("{second:?}");
        assert!(told.contains("is taken") && told.contains("--bind HOST:PORT"), "{told}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_does_not_arrive_ends_its_connection() {
        let (address, ..) = started(opened(Router::new())).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x").await.unwrap();
        let began = tokio::time::Instant::now();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty() && began.elapsed() >= HEAD);
    }
}
