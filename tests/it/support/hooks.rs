//! The API and a worker's webhook lanes over one database, under a clock that can be put forward.

use super::api::Reply;
use super::document;
use super::engine::{On, World, context, fresh_db};
use super::loops::{PATIENCE, ShiftedClock};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use sendwright_api::operations::keys::{self, KeyBody};
use sendwright_api::{Actor, ApiState, Core, Work, router};
use sendwright_queue::{Lane, Limiter, Queue};
use sendwright_store::accounts;
use sendwright_store::clock::wall_millis;
use sendwright_worker::context::{Context, Settings};
use sendwright_worker::engine;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::signing::Secret;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub struct Hooks {
    pub world: World,
    pub clock: Arc<ShiftedClock>,
    router: Router,
    core: Core,
    key: String,
    stop: CancellationToken,
    running: Option<JoinHandle<sendwright_store::Result<()>>>,
}

impl Hooks {
    /// With the worker's lanes running.
    pub async fn start(on: On) -> Hooks {
        Self::with(on, |_| {}).await
    }

    pub async fn with(on: On, change: impl FnOnce(&mut Settings)) -> Hooks {
        let (mut hooks, hints) = Self::prepare(on, change).await;
        let lanes = [Lane::Sequence, Lane::Deliver];
        let (ctx, stop) = (hooks.ctx().clone(), hooks.stop.clone());
        hooks.running = Some(tokio::spawn(async move { engine::run(ctx, &lanes, hints, 4, stop).await }));
        hooks
    }

    /// Without any lane: the test drives the passes.
    pub async fn still(on: On) -> Hooks {
        Self::prepare(on, |_| {}).await.0
    }

    async fn prepare(on: On, change: impl FnOnce(&mut Settings)) -> (Hooks, sendwright_queue::Receiver) {
        let (db, directory) = fresh_db(on).await;
        let clock = Arc::new(ShiftedClock::default());
        let ctx = context(db, clock.clone(), |settings| {
            settings.lease = Duration::from_secs(30);
            settings.webhooks_allow_private = true;
            change(settings);
        })
        .await;
        let (queue, hints) = Queue::embedded();
        let world = World::over(ctx.clone(), wall_millis(), directory).await;
        let core = Core { store: ctx.store.clone(), queue, clock: clock.clone(), seals: ctx.seals.clone() };
        let state = ApiState::new(core.clone(), Limiter::in_process(), &[Secret::new([42; 32])], vec![])
            .with_private_webhooks(true);
        let key = key(&core, world.account).await;
        let stop = CancellationToken::new();
        (Hooks { world, clock, router: router(state), core, key, stop, running: None }, hints)
    }

    pub fn ctx(&self) -> &Arc<Context> {
        &self.world.ctx
    }

    /// A further account's key.
    pub async fn tenant(&self, name: &str) -> String {
        let owner = format!("{name}@example.com");
        let made = accounts::create(&self.core.store, name, &owner, "UTC", wall_millis()).await.unwrap();
        key(&self.core, made.id).await
    }

    pub async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        self.ask_as(&self.key, &[], method, path, body).await
    }

    pub async fn ask_as(
        &self,
        key: &str,
        headers: &[(&str, &str)],
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let mut request =
            Request::builder().method(method).uri(format!("/api/v1{path}")).header("x-api-key", key);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string().into()),
            None => request.body(Body::empty()),
        };
        let response = self.router.clone().oneshot(request.unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let reply = Reply { status: parts.status, headers: parts.headers, text };
        let route = path.split('?').next().unwrap();
        document::hold(method, &format!("/api/v1{route}"), &reply);
        (reply.code(), reply.json())
    }

    /// An answer that must be a success.
    pub async fn done(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.ask(method, path, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// Registers an endpoint: its id and its secret.
    pub async fn register(&self, url: &str, more: Value) -> (String, String) {
        let mut body = json!({ "url": url, "events": ["*"] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = self.done("POST", "/webhooks", Some(body)).await;
        (made["id"].as_str().unwrap().into(), made["secret"].as_str().unwrap().into())
    }

    /// An event of the caller's own; its id.
    pub async fn tell(&self, kind: &str, data: Value) -> String {
        let told = self.done("POST", "/events", Some(json!({ "type": kind, "data": data }))).await;
        told["id"].as_str().unwrap().into()
    }

    /// So many events at once, in one transaction, unnumbered.
    pub async fn tell_many(&self, count: usize) {
        let ids = self.core.store.ids.take("events", count).await.unwrap();
        let rows: Vec<Value> = ids.map(|id| json!([id, self.world.account, "custom.n", "{}"])).collect();
        let mut tx = self.core.store.begin().await.unwrap();
        sendwright_store::events::insert_own(&mut tx, &rows, wall_millis()).await.unwrap();
        tx.commit().await.unwrap();
        self.ctx().bells.sequence.notify_one();
    }

    /// Puts the clock forward and wakes the lanes.
    pub fn forward(&self, by: Millis) {
        self.clock.pass(by);
        self.ctx().bells.deliver.notify_one();
        self.ctx().bells.sequence.notify_one();
    }

    /// Waits until a query counts `expected`.
    pub async fn until(&self, sql: &'static str, expected: i64) {
        let began = Instant::now();
        loop {
            let found = self.world.number(sql).await;
            if found == expected {
                return;
            }
            let states = "SELECT state || ' ' || attempts, CAST(number AS TEXT) FROM deliveries LIMIT 5";
            assert!(
                began.elapsed() < PATIENCE,
                "{sql}: {found}, not {expected}; {:?}",
                self.world.rows::<(String, String)>(states).await
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// An orderly end of the lanes.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        self.running.take().unwrap().await.unwrap().unwrap();
    }
}

async fn key(core: &Core, account: i64) -> String {
    let mut work = Work::new(core, Actor::command(account)).unwrap();
    let (_, key) = keys::create(&mut work, &KeyBody { tier: "unlimited".into(), ..KeyBody::named("test") })
        .await
        .unwrap();
    work.commit().await.unwrap();
    key.reveal().to_owned()
}
