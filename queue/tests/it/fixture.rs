//! A private Redis, and a consumer that writes down what it got.

use std::{
    future::Future,
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use redis::aio::MultiplexedConnection;
use sendwright_queue::{Handler, Job, Lane, Receiver, consume};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The longest a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A `redis-server` on a free port that keeps nothing; it dies with this value.
pub struct RedisServer {
    port: u16,
    dir: tempfile::TempDir,
    process: Child,
}

impl RedisServer {
    pub async fn start() -> RedisServer {
        let port = free_port();
        let dir = tempfile::tempdir().unwrap();
        let process = spawn(port, &dir);
        let server = RedisServer { port, dir, process };
        server.answers().await;
        server
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub async fn connection(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// `kill -9`, and gone.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Comes back, empty, on its old port.
    pub async fn revive(&mut self) {
        self.process = spawn(self.port, &self.dir);
        self.answers().await;
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    async fn answers(&self) {
        eventually("redis-server answers", || async {
            let client = redis::Client::open(self.url()).unwrap();
            match client.get_multiplexed_async_connection().await {
                Ok(mut connection) => redis::cmd("PING").exec_async(&mut connection).await.is_ok(),
                Err(_) => false,
            }
        })
        .await;
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(port: u16, dir: &tempfile::TempDir) -> Child {
    Command::new("redis-server")
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
        ])
        .arg(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}

/// A port nothing listens on.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Polls until `done`, or fails saying what never came.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut done: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !done().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A running `consume` of every lane, and all it was given.
pub struct Consumer {
    got: Arc<Mutex<Vec<Job>>>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Consumer {
    pub fn of(receiver: Receiver) -> Consumer {
        Consumer::with(receiver, 8, |_| async {})
    }

    /// `then` runs after each job was written down.
    pub fn with<F>(
        receiver: Receiver,
        concurrency: usize,
        then: impl Fn(Job) -> F + Send + Sync + 'static,
    ) -> Consumer
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let got = Arc::new(Mutex::new(Vec::new()));
        let log = got.clone();
        let handler: Handler = Arc::new(move |job| {
            log.lock().unwrap().push(job);
            Box::pin(then(job))
        });
        let shutdown = CancellationToken::new();
        let task = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { consume(receiver, &Lane::ALL, concurrency, shutdown, handler).await }
        });
        Consumer { got, shutdown, task }
    }

    pub fn got(&self) -> Vec<Job> {
        self.got.lock().unwrap().clone()
    }

    pub async fn gets(&self, job: Job) {
        eventually(&format!("{job:?} arrives"), || async { self.got().contains(&job) }).await;
    }

    /// Pushes fresh jobs until one arrives: how the sweep would.
    pub async fn works_again(&self, queue: &sendwright_queue::Queue) {
        let mut next = 1_000_000;
        eventually("the consumer works again", || {
            next += 1;
            queue.push(Job::Mail { profile: next });
            let works =
                self.got().iter().any(|job| matches!(job, Job::Mail { profile } if *profile > 1_000_000));
            async move { works }
        })
        .await;
    }

    pub fn is_running(&self) -> bool {
        !self.task.is_finished()
    }

    pub fn shut_down(&self) {
        self.shutdown.cancel();
    }

    /// Waits for the end, at most `within`.
    pub async fn ends(self, within: Duration) {
        tokio::time::timeout(within, self.task).await.expect("consume returns in time").unwrap();
    }
}
