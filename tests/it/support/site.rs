//! A whole installation of real processes: `up` on SQLite, or every role of its own on PostgreSQL and Redis.

use std::ops::Range;
use std::time::{Duration, Instant};

use sendwright_store::Db;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

use super::phones::{NUMBER, PUBLIC};
use super::plan;
use super::postgres::{self, Postgres};
use super::process::{Environment, Process, call, ended, run};
use super::redis::Redis;
use super::smtp_server::{Act, At, Rule, Script, SmtpServer};
use super::twilio_server::{SID, TOKEN, TwilioServer};
use super::wire::Wire;

/// D of every worker.
pub const D: usize = 16;
/// The lease of every worker, seconds.
pub const LEASE: u64 = 5;
/// How long a run may take before it counts as stuck.
const STUCK: Duration = Duration::from_secs(120);
/// The only secret of these installations.
const SECRET: &str = "5ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2";

/// One installation that works hard is enough for a machine: beats and slots are kept by real clocks.
static AT_WORK: Mutex<()> = Mutex::const_new(());

/// How an installation is made.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Worker processes on PostgreSQL; none means `up` on SQLite.
    pub workers: usize,
    /// Workers keep a journal.
    pub journal: bool,
    /// A Redis is there at the start.
    pub redis: bool,
    /// A PostgreSQL of its own, to be broken.
    pub own_postgres: bool,
    /// The receiver takes some milliseconds for its answer to a dot, so that hand-overs are under way at any instant.
    pub slow_answers: bool,
    /// It works hard: no other such installation beside it.
    pub hard: bool,
    /// It sends texts by the stand-in for Twilio, and says an address at which it is called back.
    pub phones: bool,
    /// Every process reaches the servers over wires of the test.
    pub wired: bool,
}

impl Shape {
    /// `up` on SQLite.
    pub const UP: Shape = Shape {
        workers: 0,
        journal: true,
        redis: false,
        own_postgres: false,
        slow_answers: true,
        hard: true,
        phones: false,
        wired: false,
    };
    /// An API, a scheduler and two workers with journals, on PostgreSQL and Redis.
    pub const PARTS: Shape = Shape { workers: 2, redis: true, ..Shape::UP };
}

/// The wires of an installation.
pub struct Wires {
    /// To the receiver, for everybody.
    pub smtp: Wire,
    /// To Redis, for everybody.
    pub redis: Wire,
    /// To PostgreSQL, where it is there: the API and the scheduler, then each worker.
    pub postgres: Vec<Wire>,
}

/// The installation; everything it is made of ends with it.
pub struct Site {
    /// `up`, or the API.
    pub front: Process,
    /// The workers, where they are processes of their own.
    pub workers: Vec<Process>,
    /// The scheduler, where it is one.
    pub scheduler: Option<Process>,
    /// Where messages arrive.
    pub smtp: SmtpServer,
    /// Where texts arrive.
    pub twilio: TwilioServer,
    /// Its own Redis.
    pub redis: Redis,
    /// Its own PostgreSQL, if it was asked for.
    pub postgres: Option<Postgres>,
    /// What lies between its processes and its servers, if it was asked for.
    pub wires: Option<Wires>,
    /// The database, from outside.
    pub db: Db,
    /// A key of its first account.
    pub key: String,
    /// The variables that all its processes have.
    pub environment: Environment,
    /// Where the database is.
    pub(super) url: String,
    _data: TempDir,
    _turn: Option<MutexGuard<'static, ()>>,
}

impl Site {
    /// Starts everything, once no other installation works hard.
    pub async fn start(shape: Shape) -> Site {
        Site::start_with(shape, Vec::new()).await
    }

    /// The same, with more variables for every process.
    pub async fn start_with(shape: Shape, more: Environment) -> Site {
        Self::start_scripted(shape, Script::default(), |_| more).await
    }

    /// The same with a receiver that does what a script says, and more variables for every process.
    pub async fn start_scripted(
        shape: Shape,
        mut script: Script,
        more: impl FnOnce(&SmtpServer) -> Environment,
    ) -> Site {
        let turn = if shape.hard { Some(AT_WORK.lock().await) } else { None };
        if shape.slow_answers {
            let slow = Act::Trickle(b"250 ok\r\n".to_vec(), Duration::from_millis(1));
            script = script.rule(Rule::at(At::Dot).act(slow));
        }
        let smtp = SmtpServer::start(script).await;
        let twilio = TwilioServer::start().await;
        let data = tempfile::tempdir().unwrap();
        let postgres = shape.own_postgres.then(Postgres::start);
        let mut redis = Redis::start();
        let mut environment: Environment = vec![
            ("SENDWRIGHT_SECRET", SECRET.to_owned()),
            ("SENDWRIGHT_LEASE_SECONDS", LEASE.to_string()),
            ("SENDWRIGHT_OPEN_HANDOVERS", D.to_string()),
            ("SENDWRIGHT_WEBHOOKS_ALLOW_PRIVATE", "1".to_owned()),
            ("RUST_BACKTRACE", "1".to_owned()),
        ];
        let url = match (shape.workers, &postgres) {
            (0, _) => format!("sqlite://{}", data.path().join("sendwright.db").display()),
            (_, Some(own)) => own.database(),
            (_, None) => postgres::database(),
        };
        let wires = if shape.wired { Some(wires(shape, &smtp, &redis, &url).await) } else { None };
        if shape.phones {
            environment.extend([
                ("TWILIO_ACCOUNT_SID", SID.to_owned()),
                ("TWILIO_AUTH_TOKEN", TOKEN.to_owned()),
                ("TWILIO_FROM", NUMBER.to_owned()),
                ("TWILIO_API_BASE", twilio.base()),
                ("SENDWRIGHT_PUBLIC_URL", PUBLIC.to_owned()),
            ]);
        }
        environment.extend(more(&smtp));
        let at = data.path().display().to_string();
        match shape.workers {
            0 => environment.push(("SENDWRIGHT_DATA", at)),
            _ => {
                let over = wires
                    .as_ref()
                    .map(|wires| (wires.postgres[0].over(&url), wires.redis.over(&redis.url())));
                let (database, queue) = over.unwrap_or_else(|| (url.clone(), redis.url()));
                environment.extend([("DATABASE_URL", database), ("REDIS_URL", queue)]);
                run(&["migrate"], &environment);
            }
        }
        if !shape.redis {
            redis.kill();
        }
        let key = run(&["key", "create", "--name", "site", "--tier", "unlimited"], &environment);
        let role = if shape.workers == 0 { "up" } else { "api" };
        let front = Process::start(&[role, "--bind", "127.0.0.1:0"], &environment);
        let scheduler = (shape.workers > 0).then(|| Process::start(&["scheduler"], &environment));
        let workers = (0..shape.workers).map(|n| {
            let mut own = environment.clone();
            if let Some(wires) = &wires {
                own.push(("DATABASE_URL", wires.postgres[n + 1].over(&url)));
            }
            if shape.journal {
                own.push(("SENDWRIGHT_DATA", data.path().join(format!("worker{n}")).display().to_string()));
            }
            Process::start(&["worker"], &own)
        });
        let workers = workers.collect();
        let db = Db::connect(&url, 4).await.unwrap();
        let key = key.trim_end().to_owned();
        Site {
            front,
            workers,
            scheduler,
            smtp,
            twilio,
            redis,
            postgres,
            wires,
            db,
            key,
            environment,
            url,
            _data: data,
            _turn: turn,
        }
    }

    /// The directory in which worker `n` keeps its journal; `up` has the only one.
    pub fn data(&self, n: usize) -> std::path::PathBuf {
        if self.workers.is_empty() {
            self._data.path().into()
        } else {
            self._data.path().join(format!("worker{n}"))
        }
    }

    /// One more process of a role, beside those that are there.
    pub fn another(&self, arguments: &[&str]) -> Process {
        Process::start(arguments, &self.environment)
    }

    /// Every process.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        self.workers.iter().chain(&self.scheduler).chain([&self.front])
    }

    /// The same, to be ended and started.
    pub fn processes_mut(&mut self) -> impl Iterator<Item = &mut Process> {
        self.workers.iter_mut().chain(&mut self.scheduler).chain([&mut self.front])
    }

    /// Runs a command to its end, whatever that is: its code, and what it told people.
    pub fn command(&self, arguments: &[&str]) -> (Option<i32>, String) {
        ended(arguments, &self.environment)
    }

    /// Its wires.
    pub fn wires(&self) -> &Wires {
        self.wires.as_ref().expect("it was made with wires")
    }

    fn smtp_url(&self) -> String {
        let url = self.smtp.url();
        self.wires.as_ref().map(|wires| wires.smtp.over(&url)).unwrap_or(url)
    }

    /// What sends: the workers, or `up`.
    pub fn senders(&self) -> impl Iterator<Item = &Process> {
        let up = self.workers.is_empty().then_some(&self.front);
        self.workers.iter().chain(up)
    }

    /// One request that must be answered with success.
    pub async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let answer = self.try_ask(method, path, &[], body).await;
        let (status, answer) = answer.expect("the API answers");
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// One request with headers of its own, whatever comes of it.
    pub async fn try_ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<(u16, Value), std::io::Error> {
        let headers = [&[("x-api-key", self.key.as_str())], headers].concat();
        call(self.front.address(), method, path, &headers, body).await
    }

    /// Makes a campaign of two steps a second apart that sends over the receiver, with more settings for the campaign
    /// and for its profile; enrols `people` over HTTP and starts it. Its id as paths take it.
    pub async fn campaign(&self, people: Range<usize>, settings: Value, profile: Value) -> String {
        self.campaign_of(&leads(people), settings, profile).await
    }

    /// The same for leads that are described.
    pub async fn campaign_of(&self, leads: &Value, settings: Value, profile: Value) -> String {
        let id = self.unstarted(leads, settings, profile).await;
        self.begin(id).await
    }

    /// The same, and nobody starts it.
    pub async fn unstarted(&self, leads: &Value, settings: Value, profile: Value) -> String {
        let mut own =
            json!({ "smtp_url": self.smtp_url(), "from_email": "ada@example.com", "from_name": "Ada" });
        extend(&mut own, profile);
        let mut settings = settings;
        extend(&mut settings, json!({ "sending_profile": own }));
        self.made(leads, settings).await
    }

    /// The same by the account's default profile.
    pub async fn campaign_by_default(&self, people: Range<usize>) -> String {
        let id = self.made(&leads(people), json!({})).await;
        self.begin(id).await
    }

    async fn begin(&self, campaign: String) -> String {
        self.ask("POST", &format!("/api/v1/campaigns/{campaign}/start"), None).await;
        campaign
    }

    async fn made(&self, leads: &Value, settings: Value) -> String {
        let mut body = json!({
            "name": "Two steps",
            "steps": [
                { "step_number": 1, "name": "First", "subject": "Hello {{email}}",
                  "template": "Hi {{email}}, hello" },
                { "step_number": 2, "name": "Second", "subject": "Again, {{email}}",
                  "template": "Hi {{email}}, once more", "delay_seconds": 1 },
            ],
        });
        extend(&mut body, settings);
        let campaign = self.ask("POST", "/api/v1/campaigns", Some(&body)).await;
        let id = campaign["id"].as_str().unwrap().to_owned();
        let enrolled = self.ask("POST", &format!("/api/v1/campaigns/{id}/leads"), Some(leads)).await;
        assert_eq!(enrolled["enrolled"], leads.as_array().unwrap().len(), "{}", enrolled["errors"]);
        id
    }

    /// Waits until every enrolment is through and no message is on its way.
    pub async fn wait_until_through(&self) {
        let begun = Instant::now();
        loop {
            let open = "SELECT (SELECT COUNT(*) FROM enrolments WHERE state = 'active')
                 + (SELECT COUNT(*) FROM messages
                    WHERE state IN ('scheduled', 'writing', 'drafted', 'claimed', 'sending'))";
            let open = self.try_rows::<(i64,)>(open).await;
            if open.as_ref().is_ok_and(|open| open[0].0 == 0) {
                return;
            }
            if begun.elapsed() > STUCK {
                let states: Vec<(String, i64, i64)> =
                    self.rows("SELECT state, COUNT(*), COUNT(worker_id) FROM messages GROUP BY state").await;
                let enrolments: Vec<(String, i64)> =
                    self.rows("SELECT state, COUNT(*) FROM enrolments GROUP BY state").await;
                panic!("stuck after {STUCK:?}: {open:?}, messages {states:?}, enrolments {enrolments:?}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Brings forward whatever waits to be tried again, and every rest of a profile, until everything is through; how long
    /// that took.
    pub async fn hasten(&self) -> Duration {
        let begun = Instant::now();
        let again = async {
            loop {
                tokio::time::sleep(Duration::from_millis(200)).await;
                // A database that is busy is told the next time.
                let _ = self
                    .tell(
                        "UPDATE messages SET planned_at = updated_at WHERE planned_at > updated_at
                           AND (state = 'drafted' AND attempts > 0 OR state = 'scheduled' AND reasons LIKE '%late%')",
                    )
                    .await;
                let rests = "UPDATE sending_profiles SET paused_until = 1 WHERE paused_until > 1";
                let _ = self.tell(rests).await;
            }
        };
        tokio::select! {
            () = self.wait_until_through() => begun.elapsed(),
            () = again => begun.elapsed(),
        }
    }

    /// Brings forward every delivery that waits to be tried again.
    pub async fn hasten_deliveries(&self) {
        // A database that is busy is told the next time.
        let _ = self
            .tell(
                "UPDATE deliveries SET next_at = created_at
                  WHERE state = 'pending' AND attempts > 0 AND next_at > created_at",
            )
            .await;
    }

    /// Rows of a query.
    pub async fn rows<R>(&self, sql: &'static str) -> Vec<R>
    where
        R: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
        R: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow> + Send + Unpin,
    {
        self.try_rows(sql).await.unwrap()
    }

    /// A hand in the database.
    pub async fn execute(&self, sql: &'static str) {
        plan::say(format_args!(
            "the database is told: {}",
            sql.split_whitespace().collect::<Vec<_>>().join(" ")
        ));
        self.tell(sql).await.unwrap();
    }

    async fn tell(&self, sql: &'static str) -> Result<(), sqlx::Error> {
        match &self.db {
            Db::Postgres(pool) => sqlx::query(sql).execute(pool).await.map(drop),
            Db::Sqlite { write, .. } => sqlx::query(sql).execute(write).await.map(drop),
        }
    }

    /// Waits until a query's one number is `wanted`.
    pub async fn until(&self, number: &'static str, wanted: i64) {
        let begun = Instant::now();
        loop {
            let found = self.rows::<(i64,)>(number).await[0].0;
            if found == wanted {
                return;
            }
            assert!(begun.elapsed() < STUCK, "{found} is not {wanted} after {STUCK:?}: {number}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn try_rows<R>(&self, sql: &'static str) -> Result<Vec<R>, sqlx::Error>
    where
        R: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
        R: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow> + Send + Unpin,
    {
        match &self.db {
            Db::Postgres(pool) => sqlx::query_as::<_, R>(sql).fetch_all(pool).await,
            Db::Sqlite { read, .. } => sqlx::query_as::<_, R>(sql).fetch_all(read).await,
        }
    }
}

async fn wires(shape: Shape, smtp: &SmtpServer, redis: &Redis, database: &str) -> Wires {
    let (smtp, redis) = (Wire::to(smtp.port()).await, Wire::to(redis.port()).await);
    let mut postgres = Vec::new();
    if let Some(port) = postgres::port(database) {
        for _ in 0..=shape.workers {
            postgres.push(Wire::to(port).await);
        }
    }
    Wires { smtp, redis, postgres }
}

/// Leads with an address of their own each.
pub fn leads(people: Range<usize>) -> Value {
    let lead =
        |n| json!({ "email": format!("p{n}@example.com"), "first_name": format!("P{n}"), "company": "Acme" });
    people.map(lead).collect()
}

/// Puts more fields into an object.
pub fn extend(body: &mut Value, more: Value) {
    let (Value::Object(body), Value::Object(more)) = (body, more) else { return };
    body.extend(more);
}
