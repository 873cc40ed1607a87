//! The engine without its loops: the passes of a worker, driven under a clock that moves only when nothing is
//! runnable, on a database of its own, into the captured mailbox.

use sendwright_queue::Queue;
use sendwright_store::campaigns::{self, Origin, Profiles, Settings as Campaign};
use sendwright_store::contacts::{self, Details};
use sendwright_store::secrets::Seals;
use sendwright_store::sending_profiles::{self, NewProfile};
use sendwright_store::{Db, Store, accounts, claims, enrolments, migrate};
use sendwright_worker::ai::{OfflineWriter, Permits, Writer};
use sendwright_worker::channels::twilio;
use sendwright_worker::context::{Bells, Context, Outlet, Settings};
use sendwright_worker::handlers::{plan, write};
use sendwright_worker::life::Life;
use sendwright_worker::recorder::Recorder;
use sendwright_worker::sender::Sender;
use sendwright_worker::sweep;
use sendwright_workflows::address::Email;
use sendwright_workflows::campaign::{Policy, State};
use sendwright_workflows::clock::{Clock, Millis};
use sendwright_workflows::phone::Phone;
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::sequence::{Channel, Step};
use sendwright_workflows::signing::Secret;
use sendwright_workflows::spend::Prices;
use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::postgres::Template;

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    Sqlite,
    Postgres,
}

/// How long a request to Twilio may take.
const TWILIO_ANSWER: Duration = Duration::from_secs(2);

/// Both databases: what holds on one holds on the other.
pub const BOTH: [On; 2] = [On::Sqlite, On::Postgres];

/// A clock that stands until it is moved.
pub struct HandClock(AtomicI64);

impl HandClock {
    pub fn at(now: Millis) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now)))
    }

    pub fn set(&self, now: Millis) {
        self.0.store(now, Ordering::Relaxed);
    }

    pub fn read(&self) -> Millis {
        self.0.load(Ordering::Relaxed)
    }
}

impl Clock for HandClock {
    fn now(&self) -> Option<Millis> {
        Some(self.read())
    }
}

/// A store on a fresh, migrated database.
pub async fn fresh_db(on: On) -> (Db, Option<TempDir>) {
    match on {
        On::Sqlite => {
            let directory = memory_directory();
            let url = format!("sqlite://{}", directory.path().join("sendwright.db").display());
            let db = Db::connect(&url, 4).await.unwrap();
            migrate::migrate(&db).await.unwrap();
            (db, Some(directory))
        }
        On::Postgres => {
            static MIGRATED: Template = Template::new();
            let url = MIGRATED.copy(async |url: String| {
                let db = Db::connect(&url, 1).await.unwrap();
                migrate::migrate(&db).await.unwrap();
                db.close().await;
            });
            (patient(&url).await, None)
        }
    }
}

/// A pool on a machine that is busy with other tests: what waits for its turn is no error here.
async fn patient(url: &str) -> Db {
    let Db::Postgres(pool) = Db::connect(url, 1).await.unwrap() else { panic!("{url} is no PostgreSQL") };
    let options = pool.connect_options().as_ref().clone();
    pool.close().await;
    let options = options.options([("idle_in_transaction_session_timeout", "60s"), ("lock_timeout", "60s")]);
    let pool = PgPoolOptions::new().max_connections(8).acquire_timeout(Duration::from_secs(60));
    Db::Postgres(pool.connect_with(options).await.unwrap())
}

/// In memory where the system has it: what these databases prove is not what a disk keeps.
fn memory_directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::tempdir_in(parent).unwrap()
}

/// One worker process's context.
pub async fn context(db: Db, clock: Arc<dyn Clock>, change: impl FnOnce(&mut Settings)) -> Arc<Context> {
    context_of(db, clock, Writer::Offline(OfflineWriter), change).await
}

/// The same, with another writer.
pub async fn context_of(
    db: Db,
    clock: Arc<dyn Clock>,
    writer: Writer,
    change: impl FnOnce(&mut Settings),
) -> Arc<Context> {
    let secret = Secret::new([42; 32]);
    let mut settings = Settings::new("test".into(), Outlet::Mailbox, vec![secret.clone()]);
    settings.public_url = "http://127.0.0.1:8080/".parse().ok();
    settings.write_ahead = 60_000;
    settings.lease = Duration::from_secs(5);
    change(&mut settings);
    let ctx = Arc::new(Context {
        store: Store::open(db).await.unwrap(),
        clock,
        queue: Queue::embedded().0,
        seals: Seals::new(&[secret]),
        twilio: twilio::Client::new(TWILIO_ANSWER).unwrap(),
        writer: Some(writer),
        writing: Permits::new(4),
        open: Arc::new(Semaphore::new(settings.open_limit)),
        life: Arc::new(Life::new(settings.lease)),
        scripts: Default::default(),
        recorder: Recorder::default(),
        bells: Bells::default(),
        unread: Default::default(),
        under_way: TaskTracker::new(),
        in_hand: sendwright_worker::in_hand::InHand::default(),
        settings,
    });
    Recorder::start(&ctx);
    ctx.life.begin(&ctx).await.unwrap();
    ctx
}

/// An engine with one account.
pub struct World {
    pub ctx: Arc<Context>,
    pub clock: Arc<HandClock>,
    pub account: i64,
    senders: HashMap<i64, Sender>,
    _directory: Option<TempDir>,
}

/// What a look at this instant found to do.
enum Look {
    /// Something: there may be more.
    Did,
    /// Nothing before this instant, or ever.
    Idle(Option<Millis>),
}

/// What may be runnable, and when more may be.
#[derive(sqlx::FromRow)]
struct Ahead {
    plan: Option<Millis>,
    runs: bool,
    texts: bool,
    due: bool,
    drafted: Option<Millis>,
}

/// A person to enrol.
pub struct Lead {
    pub email: String,
    pub zone: Option<&'static str>,
}

impl World {
    pub async fn new(on: On, now: Millis) -> World {
        let (db, directory) = fresh_db(on).await;
        let clock = HandClock::at(now);
        let ctx = context(db, clock.clone(), |_| {}).await;
        World { clock, ..World::over(ctx, now, directory).await }
    }

    /// With a writer of the caller's, and what its tokens cost.
    pub async fn written_by(on: On, now: Millis, writer: Writer, prices: Prices) -> World {
        let (db, directory) = fresh_db(on).await;
        let clock = HandClock::at(now);
        let ctx = context_of(db, clock.clone(), writer, |settings| settings.prices = prices).await;
        World { clock, ..World::over(ctx, now, directory).await }
    }

    /// Over a context of the caller's; its own clock only stamps what it inserts.
    pub async fn over(ctx: Arc<Context>, now: Millis, directory: Option<TempDir>) -> World {
        let clock = HandClock::at(now);
        let account = accounts::first_or_only(&ctx.store, now).await.unwrap().unwrap().id;
        World { ctx, clock, account, senders: HashMap::new(), _directory: directory }
    }

    /// A sending profile with limits.
    pub async fn profile(&self, name: &str, rates: &Rates) -> i64 {
        let id = self.ctx.store.ids.one("sending_profiles").await.unwrap();
        let new = NewProfile {
            id,
            account_id: self.account,
            name: name.into(),
            transport: "default".into(),
            from_email: Some("sender@example.com".into()),
            per_second: rates.per_second,
            per_minute: rates.per_minute.map(i64::from),
            per_day: rates.per_day.map(i64::from),
            timezone: rates.zone.name().into(),
            ..NewProfile::default()
        };
        let mut tx = self.ctx.store.begin().await.unwrap();
        sending_profiles::insert(&mut tx, &new, self.clock.read()).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    /// A running campaign.
    pub async fn campaign(&self, name: &str, profile: i64, policy: &Policy, steps: &[Step]) -> i64 {
        self.campaign_by(name, Profiles { email: profile, ..Profiles::default() }, policy, steps).await
    }

    /// A running campaign of several channels.
    pub async fn campaign_by(&self, name: &str, profiles: Profiles, policy: &Policy, steps: &[Step]) -> i64 {
        let id = self.ctx.store.ids.one("campaigns").await.unwrap();
        let step_ids = self.ctx.store.ids.take("steps", steps.len()).await.unwrap();
        let settings = Campaign {
            external_id: None,
            name: name.into(),
            description: None,
            profiles,
            origin: Origin::default(),
            policy: policy.clone(),
            schedule_at: None,
        };
        let mut tx = self.ctx.store.begin().await.unwrap();
        let of = (self.account, id);
        campaigns::insert(&mut tx, of, &settings, State::Running, (steps, step_ids), self.clock.read())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        id
    }

    /// Enrols people in order; their enrolments' ids come back in that order.
    pub async fn enrol(&self, campaign: i64, leads: &[Lead]) -> Vec<i64> {
        let contacts = self.contacts(leads).await;
        self.enrol_contacts(campaign, &contacts).await
    }

    /// Makes contacts, in order.
    async fn contacts(&self, leads: &[Lead]) -> Vec<i64> {
        let store = &self.ctx.store;
        let now = self.clock.read();
        let ids = store.ids.take("contacts", leads.len()).await.unwrap();
        let details: Vec<Details> = leads
            .iter()
            .map(|lead| {
                let email = Email::parse(&lead.email).unwrap();
                Details {
                    email: Some(email.as_str().into()),
                    email_key: Some(email.key()),
                    email_hash: Some(email.hash(store.salt())),
                    first_name: Some("Ada".into()),
                    company: Some("Acme".into()),
                    timezone: lead.zone.map(Into::into),
                    attributes: "{}".into(),
                    ..Details::default()
                }
            })
            .collect();
        let new: Vec<_> = ids.clone().zip(&details).collect();
        let mut tx = store.begin().await.unwrap();
        assert_eq!(contacts::insert(&mut tx, self.account, &new, now).await.unwrap().len(), leads.len());
        tx.commit().await.unwrap();
        ids.collect()
    }

    async fn enrol_contacts(&self, campaign: i64, contacts: &[i64]) -> Vec<i64> {
        let (store, now) = (&self.ctx.store, self.clock.read());
        let enrolment_ids = store.ids.take("enrolments", contacts.len()).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        let campaign = campaigns::lock(&mut tx, self.account, campaign).await.unwrap().unwrap();
        let made = enrolments::enrol(&mut tx, &campaign, contacts, enrolment_ids, now).await.unwrap();
        tx.commit().await.unwrap();
        made.into_iter().map(|(enrolment, _)| enrolment).collect()
    }

    /// Writes what one look finds is wanted soon; how many texts that are.
    pub async fn write(&self, now: Millis) -> usize {
        let mut texts = write::Texts::default();
        let begun = texts.fill(&self.ctx, now).await.unwrap();
        while texts.ended().await {}
        begun
    }

    /// Runs everything that happens up to `until`; the clock moves only when nothing is runnable.
    pub async fn run_until(&mut self, until: Millis) {
        loop {
            match self.step().await {
                Look::Did => {}
                Look::Idle(Some(next)) if next <= until => self.clock.set(next),
                Look::Idle(_) => break,
            }
        }
        sweep::pass(&self.ctx, self.clock.read()).await.unwrap();
    }

    /// What is runnable at this very instant: hand-overs first, then plans and texts, then claims. A pass is asked
    /// where there may be anything for it at all: `ahead` counts more rows than the passes themselves do.
    async fn step(&mut self) -> Look {
        let now = self.clock.read();
        let (mut did, mut next) = (false, Vec::new());
        for sender in self.senders.values_mut() {
            let turn = sender.turn(now, false).await.unwrap();
            did |= turn.did;
            next.push(turn.next);
        }
        if did {
            self.recorded().await;
            return Look::Did;
        }
        let ahead = self.ahead(now).await;
        let plans = ahead.runs || ahead.plan.is_some_and(|at| at <= now);
        if plans && plan::pass(&self.ctx, now).await.unwrap() > 0 {
            return Look::Did;
        }
        if ahead.texts && self.write(now).await > 0 {
            return Look::Did;
        }
        if ahead.due {
            for profile in self.due_profiles(now).await {
                let ctx = self.ctx.clone();
                let sender = self
                    .senders
                    .entry(profile)
                    .or_insert_with(|| Sender::new(ctx, profile, Arc::default(), Default::default()));
                let turn = sender.turn(now, true).await.unwrap();
                did |= turn.did;
                next.push(turn.next);
            }
        }
        if did {
            self.recorded().await;
            return Look::Did;
        }
        next.extend([ahead.plan, ahead.drafted]);
        Look::Idle(next.into_iter().flatten().filter(|at| *at > now).min())
    }

    /// Returns when every hand-over that has begun is recorded.
    pub async fn recorded(&self) {
        self.ctx.under_way.close();
        self.ctx.under_way.wait().await;
        self.ctx.under_way.reopen();
        self.ctx.recorder.flush().await;
    }

    async fn due_profiles(&self, now: Millis) -> Vec<i64> {
        let mut tx = self.ctx.store.read().await.unwrap();
        claims::profiles_with_due(&mut tx, now).await.unwrap().into_iter().map(|due| due.profile).collect()
    }

    /// In one look, since there are several for every message.
    async fn ahead(&self, now: Millis) -> Ahead {
        const SQL: &str = "SELECT
             (SELECT MIN(c.at) FROM (SELECT (SELECT MIN(e.next_run_at) FROM enrolments e
                 WHERE e.campaign_id = c.id AND e.next_run_at IS NOT NULL) AS at FROM campaigns c
                 UNION ALL SELECT next_at FROM runs WHERE state = 'running' AND next_at > $1) AS c) AS plan,
             EXISTS (SELECT 1 FROM runs WHERE state = 'running')
                 OR EXISTS (SELECT 1 FROM campaigns WHERE state = 'running' AND segment_id IS NOT NULL) AS runs,
             EXISTS (SELECT 1 FROM messages WHERE state = 'scheduled') AS texts,
             EXISTS (SELECT 1 FROM messages WHERE state = 'drafted' AND planned_at <= $1) AS due,
             (SELECT MIN(planned_at) FROM messages WHERE state = 'drafted' AND planned_at > $1) AS drafted";
        match &self.ctx.store.db {
            Db::Postgres(pool) => sqlx::query_as(SQL).bind(now).fetch_one(pool).await.unwrap(),
            Db::Sqlite { read, .. } => sqlx::query_as(SQL).bind(now).fetch_one(read).await.unwrap(),
        }
    }

    /// The account's default profile of a channel.
    pub async fn default_profile(&self, channel: Channel) -> i64 {
        let spare = self.ctx.store.ids.one("sending_profiles").await.unwrap();
        let mut tx = self.ctx.store.begin().await.unwrap();
        let (account, now) = (self.account, self.clock.read());
        let found = sending_profiles::default_or_new(&mut tx, account, channel, spare, now).await.unwrap();
        tx.commit().await.unwrap();
        found
    }

    /// Enrols people with these numbers, who have opted in to every phone channel.
    pub async fn people_with_phones(&self, campaign: i64, numbers: &[String]) {
        let digits = |number: &str| number.trim_start_matches('+').to_owned();
        let leads: Vec<Lead> = numbers
            .iter()
            .map(|number| Lead { email: format!("n{}@example.com", digits(number)), zone: None })
            .collect();
        let store = &self.ctx.store;
        let hashes: Vec<_> = numbers
            .iter()
            .zip(&leads)
            .map(|(number, lead)| {
                json!([lead.email, number, Phone::parse(number).unwrap().hash(store.salt())])
            })
            .collect();
        let contacts = self.contacts(&leads).await;
        let rows = serde_json::Value::from(hashes).to_string();
        for sql in [
            "UPDATE contacts SET phone_key = e.value ->> 1, phone_hash = e.value ->> 2 FROM json_each($1) AS e
             WHERE contacts.email_key = e.value ->> 0 AND contacts.account_id = $2",
            "INSERT INTO consent_states (account_id, channel, address_hash, state, at)
             SELECT $2, c.channel, e.value ->> 2, 'opt_in', 1
             FROM json_each($1) AS e, (SELECT 'sms' AS channel UNION ALL SELECT 'whatsapp') AS c",
        ] {
            match &store.db {
                Db::Postgres(pool) => {
                    sqlx::query(sql).bind(&rows).bind(self.account).execute(pool).await.unwrap();
                }
                Db::Sqlite { write, .. } => {
                    sqlx::query(sql).bind(&rows).bind(self.account).execute(write).await.unwrap();
                }
            }
        }
        self.enrol_contacts(campaign, &contacts).await;
    }

    /// Runs a statement, whatever the database.
    pub async fn execute(&self, sql: &'static str) -> u64 {
        match &self.ctx.store.db {
            Db::Postgres(pool) => sqlx::query(sql).execute(pool).await.unwrap().rows_affected(),
            Db::Sqlite { write, .. } => sqlx::query(sql).execute(write).await.unwrap().rows_affected(),
        }
    }

    /// Rows of a query, whatever the database.
    pub async fn rows<R>(&self, sql: &'static str) -> Vec<R>
    where
        R: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>
            + for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow>,
        R: Send + Unpin,
    {
        match &self.ctx.store.db {
            Db::Postgres(pool) => sqlx::query_as::<_, R>(sql).fetch_all(pool).await.unwrap(),
            Db::Sqlite { read, .. } => sqlx::query_as::<_, R>(sql).fetch_all(read).await.unwrap(),
        }
    }
}

/// A step with a template.
pub fn step(number: u32, delay: sendwright_workflows::sequence::Delay) -> Step {
    Step {
        id: 0,
        number,
        name: format!("Step {number}"),
        channel: Default::default(),
        subject: Some(format!("Subject {number}")),
        template: Some("Hi {{first_name}} of {{company_name}}".into()),
        syntax: Default::default(),
        enclosed: Default::default(),
        ai_prompt: None,
        delay,
        include_previous_emails: false,
        active: true,
    }
}
