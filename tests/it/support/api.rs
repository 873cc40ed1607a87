//! The API without its socket, on a database of its own, under a clock that is moved by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use sendwright_api::operations::keys::{self, KeyBody};
use sendwright_api::{Actor, ApiState, Core, Work, router};
use sendwright_queue::{Limiter, Queue, Receiver};
use sendwright_store::secrets::Seals;
use sendwright_store::{Db, Store, accounts, migrate};
use sendwright_workflows::clock::{Clock, Millis};
use sendwright_workflows::signing::Secret;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

use super::document;
use super::postgres::Template;

/// Where every test's clock begins: 2026-01-15T10:30:00Z.
pub const START: Millis = 1_768_473_000_000;

/// A clock that stands until it is moved.
pub struct HandClock(AtomicI64);

impl HandClock {
    /// Moves it on.
    pub fn pass(&self, millis: Millis) {
        self.0.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Option<Millis> {
        Some(self.0.load(Ordering::Relaxed))
    }
}

/// A served API with one account, its user and an unlimited key.
pub struct App {
    pub state: ApiState,
    pub clock: Arc<HandClock>,
    pub account: i64,
    pub key: String,
    pub queue: Receiver,
    router: Router,
    directory: Option<TempDir>,
}

impl App {
    /// On a SQLite file.
    pub async fn sqlite() -> App {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("sendwright.db").display());
        let db = Db::connect(&url, 4).await.unwrap();
        migrate::migrate(&db).await.unwrap();
        App { directory: Some(directory), ..App::on(db).await }
    }

    /// On a database of the tests' PostgreSQL.
    pub async fn postgres() -> App {
        static MIGRATED: Template = Template::new();
        let url = MIGRATED.copy(async |url: String| {
            let db = Db::connect(&url, 1).await.unwrap();
            migrate::migrate(&db).await.unwrap();
            db.close().await;
        });
        App::on(Db::connect(&url, 8).await.unwrap()).await
    }

    /// One on each database: what holds on one holds on the other.
    pub async fn both() -> [App; 2] {
        [App::sqlite().await, App::postgres().await]
    }

    async fn on(db: Db) -> App {
        let clock = Arc::new(HandClock(AtomicI64::new(START)));
        let secret = Secret::new([42; 32]);
        let (queue, receiver) = Queue::embedded();
        let core = Core {
            store: Store::open(db).await.unwrap(),
            queue,
            clock: clock.clone(),
            seals: Seals::new(std::slice::from_ref(&secret)),
        };
        let account = accounts::first_or_only(&core.store, START).await.unwrap().unwrap().id;
        let state = ApiState::new(core, Limiter::in_process(), &[secret], vec![]);
        let mut app = App {
            router: router(state.clone()),
            state,
            clock,
            account,
            key: String::new(),
            queue: receiver,
            directory: None,
        };
        app.key = app.new_key(account, "unlimited").await;
        app
    }

    /// Serves another state from now on.
    pub fn serve(&mut self, state: ApiState) {
        self.router = router(state.clone());
        self.state = state;
    }

    /// A further account with its user and its key.
    pub async fn tenant(&self, name: &str) -> (i64, String) {
        let owner = format!("{name}@example.com");
        let made = accounts::create(&self.state.core.store, name, &owner, "UTC", START).await.unwrap();
        (made.id, self.new_key(made.id, "unlimited").await)
    }

    /// A key of an account's only user.
    pub async fn new_key(&self, account: i64, tier: &str) -> String {
        self.key_of(account, KeyBody { tier: tier.into(), ..KeyBody::named("test") }).await.1
    }

    /// A key as asked for: its row and itself.
    pub async fn key_of(&self, account: i64, body: KeyBody) -> (i64, String) {
        let mut work = Work::new(&self.state.core, Actor::command(account)).unwrap();
        let (id, key) = keys::create(&mut work, &body).await.unwrap();
        work.commit().await.unwrap();
        (id, key.reveal().to_owned())
    }

    /// A call with the app's own key.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        self.call_as(&self.key, method, path, body).await
    }

    /// A call with another key.
    pub async fn call_as(&self, key: &str, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let request = Request::builder().method(method).uri(path).header("x-api-key", key);
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string().into()),
            None => request.body(Body::empty()),
        };
        self.send(request.unwrap()).await
    }

    /// Any request, and its answer before it is read.
    pub async fn raw(&self, request: Request<Body>) -> axum::response::Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Any request, as it stands.
    pub async fn send(&self, request: Request<Body>) -> Reply {
        let asked = (request.method().to_string(), request.uri().path().to_owned());
        let response = self.raw(request).await;
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let reply = Reply { status: parts.status, headers: parts.headers, text };
        document::hold(&asked.0, &asked.1, &reply);
        reply
    }

    /// One number of the database.
    pub async fn number(&self, sql: &'static str) -> i64 {
        match &self.state.core.store.db {
            Db::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await.unwrap(),
            Db::Sqlite { write, .. } => sqlx::query_scalar(sql).fetch_one(write).await.unwrap(),
        }
    }

    /// One text of the database.
    pub async fn text(&self, sql: &'static str) -> String {
        match &self.state.core.store.db {
            Db::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await.unwrap(),
            Db::Sqlite { write, .. } => sqlx::query_scalar(sql).fetch_one(write).await.unwrap(),
        }
    }

    /// A hand in the database.
    pub async fn run(&self, sql: &'static str) {
        match &self.state.core.store.db {
            Db::Postgres(pool) => drop(sqlx::query(sql).execute(pool).await.unwrap()),
            Db::Sqlite { write, .. } => drop(sqlx::query(sql).execute(write).await.unwrap()),
        }
    }

    /// Every byte of a SQLite database, its log included.
    pub fn bytes(&self) -> Vec<u8> {
        let directory = self.directory.as_ref().unwrap().path();
        let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        files.flat_map(|path| std::fs::read(path).unwrap()).collect()
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    /// The status as a number.
    pub fn code(&self) -> u16 {
        self.status.as_u16()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// A header, empty where it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The JSON of an answer that must be a success.
    pub fn done(&self) -> Value {
        assert!(self.status.is_success(), "{self:?}");
        self.json()
    }

    /// The `detail` of a refusal of the external dialect.
    pub fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap_or_else(|| panic!("no detail: {self:?}")).to_owned()
    }
}
