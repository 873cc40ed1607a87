//! The engine with the API over its very store: what a person does to messages that a worker is about to send.

use axum::body::Body;
use axum::http::Request;
use sendwright_api::operations::keys::{self, KeyBody};
use sendwright_api::{Actor, ApiState, Core, Refusal, Work, router};
use sendwright_queue::Limiter;
use sendwright_store::Db;
use sendwright_store::messages::Message;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::signing::Secret;
use serde_json::Value;
use tower::ServiceExt;

use super::engine::{On, World};

/// 2026-01-15T10:30:00Z, a Thursday.
pub const START: Millis = 1_768_473_000_000;

/// A world and a desk in it.
pub struct Desk {
    pub world: World,
    pub state: ApiState,
    pub key: String,
}

impl Desk {
    pub async fn new(on: On) -> Desk {
        Desk::in_world(World::new(on, START).await).await
    }

    /// A desk in a world of the caller's.
    pub async fn in_world(world: World) -> Desk {
        let core = Core {
            store: world.ctx.store.clone(),
            queue: world.ctx.queue.clone(),
            clock: world.clock.clone(),
            seals: world.ctx.seals.clone(),
        };
        let state = ApiState::new(core, Limiter::in_process(), &[Secret::new([42; 32])], vec![]);
        let mut desk = Desk { key: String::new(), state, world };
        desk.key = desk.new_key(&[]).await.1;
        desk
    }

    /// A key of the world's account: its row and itself.
    pub async fn new_key(&self, scopes: &[&str]) -> (i64, String) {
        let scopes = scopes.iter().map(|s| (*s).to_owned()).collect();
        let body = KeyBody { scopes, tier: "unlimited".into(), ..KeyBody::named("desk") };
        let mut work = self.work();
        let (id, key) = keys::create(&mut work, &body).await.unwrap();
        work.commit().await.unwrap();
        (id, key.reveal().to_owned())
    }

    pub fn core(&self) -> &Core {
        &self.state.core
    }

    pub fn work(&self) -> Work<'_> {
        Work::new(self.core(), Actor::command(self.world.account)).unwrap()
    }

    pub async fn release(&self, id: i64) -> Result<Message, Refusal> {
        let mut work = self.work();
        let done = sendwright_api::operations::messages::release(&mut work, id).await?;
        work.commit().await?;
        Ok(done)
    }

    pub async fn cancel(&self, id: i64) -> Result<Message, Refusal> {
        let mut work = self.work();
        let done = sendwright_api::operations::messages::cancel(&mut work, id).await?;
        work.commit().await?;
        Ok(done)
    }

    /// A call of the native API: its status and its body.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path).header("x-api-key", &self.key);
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string().into()),
            None => request.body(Body::empty()),
        };
        let (status, _, text) = self.send(request.unwrap()).await;
        (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: {text}")))
    }

    /// Any request: status, headers, body.
    pub async fn send(&self, request: Request<Body>) -> (u16, axum::http::HeaderMap, String) {
        let asked = (request.method().to_string(), request.uri().path().to_owned());
        let response = router(self.state.clone()).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let reply = super::api::Reply { status: parts.status, headers: parts.headers, text };
        super::document::hold(&asked.0, &asked.1, &reply);
        (reply.code(), reply.headers, reply.text)
    }

    /// A hand in the database.
    pub async fn run(&self, sql: &'static str) {
        match &self.world.ctx.store.db {
            Db::Postgres(pool) => {
                sqlx::query(sql).execute(pool).await.unwrap();
            }
            Db::Sqlite { write, .. } => {
                sqlx::query(sql).execute(write).await.unwrap();
            }
        }
    }

    /// One number.
    pub async fn number(&self, sql: &'static str) -> i64 {
        self.world.rows::<(i64,)>(sql).await[0].0
    }

    /// The texts of a column, in the query's order.
    pub async fn texts(&self, sql: &'static str) -> Vec<String> {
        self.world.rows::<(String,)>(sql).await.into_iter().map(|r| r.0).collect()
    }

    /// Lets everything happen up to an instant, then lets it be that instant.
    pub async fn until(&mut self, at: Millis) {
        self.world.run_until(at).await;
        self.world.clock.set(at.max(self.now()));
    }

    /// The world's clock.
    pub fn now(&self) -> Millis {
        self.world.clock.read()
    }
}
