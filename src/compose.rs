//! From a configuration to a running process: what every role is made of.

mod context;
mod transport;
pub use context::twilio_of;

pub mod http;
pub mod metrics;

use crate::config::{Config, Role, secret};
use crate::failure::Failure;
use sendwright_api::{ApiState, Console, Core, Provider, ProviderAccount};
use sendwright_queue::{Limiter, Receiver};
use sendwright_store::clock::DatabaseClock;
use sendwright_store::secrets::Seals;
use sendwright_store::{Db, Store, migrate};
use sendwright_worker::context::Context;
use sendwright_worker::latest::Latest;
use sendwright_workflows::enrolment::Means;
use sendwright_workflows::sequence::{ByChannel, Channel};
use sendwright_workflows::signing::Secret;
use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the database is asked for its time.
const SAMPLE: Duration = Duration::from_secs(5);
/// How long a role waits before it asks again for a database that is away: at first, and at most.
const WAIT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// How long connections may take to close at the end.
const CLOSE: Duration = Duration::from_secs(2);

/// Runs a role's future to its end on every core. What it leaves behind is cut off, as by a crash.
///
/// # Errors
/// The role's own; or the runtime does not start.
pub fn run<T>(role: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(role);
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

/// What the parts of a process share.
pub struct Parts {
    /// Store, queue, clock and seals: what operations need.
    pub core: Core,
    /// The end of the queue that jobs come out of.
    pub receiver: Receiver,
    limiter: Limiter,
    secrets: Vec<Secret>,
}

impl Parts {
    /// Opens everything. A database that is away is waited for (FAULTS F21), Redis is not; `None`: `stop` came
    /// first. With `migrates` an SQLite file gets this program's schema: its caller holds both roles' locks.
    ///
    /// # Errors
    /// The schema is not this program's, or the configuration cannot work.
    pub async fn open(
        config: &Config,
        migrates: bool,
        stop: &CancellationToken,
    ) -> Result<Option<Self>, Failure> {
        let secrets = secret::load(config)?;
        let opening = wait_for_store(config, migrates);
        let Some(opened) = stop.run_until_cancelled(opening).await else { return Ok(None) };
        let (store, clock) = opened?;
        refuse_backup(config, &store).await?;
        tokio::spawn(keep_time(clock.clone()));
        let (queue, receiver, limiter) = transport::open(config).await?;
        if config.webhooks_allow_private {
            tracing::warn!(
                "SENDWRIGHT_WEBHOOKS_ALLOW_PRIVATE=1: webhooks may reach every machine that this one reaches; \
                 for development alone"
            );
        }
        let core = Core { store, queue, clock: Arc::new(clock), seals: Seals::new(&secrets) };
        Ok(Some(Self { core, receiver, limiter, secrets }))
    }

    /// The state of the API's routes; `bound` is where this process listens.
    pub fn api(&self, config: &Config, role: Role, bound: Option<SocketAddr>) -> ApiState {
        let is_up = matches!(role, Role::Up { .. });
        let model = match (&config.model, is_up) {
            (Some(model), _) => model.name.as_str(),
            (None, true) => "offline writer",
            (None, false) => "none",
        };
        let transport = match (&config.smtp, is_up) {
            (Some(_), _) => "smtp",
            (None, true) => "mailbox",
            (None, false) => "none",
        };
        let phones = match (&config.phones.twilio, is_up) {
            (Some(_), _) => "twilio",
            (None, true) => "mailbox",
            (None, false) => "none",
        };
        let notes = [("model", model), ("transport", transport), ("phones", phones)];
        let notes = notes.map(|(name, how)| (name.to_owned(), how.to_owned())).to_vec();
        // Of workers that run elsewhere nothing is known here: they are taken to have what they need.
        let has_model = |is_real: bool| !is_up || config.model.is_some() || !is_real;
        let means = |channel: Channel| {
            let is_real =
                if channel.is_phone() { config.phones.twilio.is_some() } else { config.smtp.is_some() };
            Means { model: has_model(is_real), transport: true }
        };
        ApiState::new(self.core.clone(), self.limiter.clone(), &self.secrets, notes)
            .with_means(ByChannel::new(means))
            .with_prices(config.model.as_ref().map(|model| model.prices).unwrap_or_default())
            .with_console(console(config, bound.filter(|_| is_up)))
            .with_private_webhooks(config.webhooks_allow_private)
            .with_countries(&config.phones.allowed_countries)
            .with_provider(provider(config))
    }

    /// What a worker's handlers and the scheduler hold; `bound` is where `up` listens.
    ///
    /// # Errors
    /// A setting of the transport or the model cannot work; its variable is named.
    pub fn context(
        &self,
        config: &Config,
        role: Role,
        bound: Option<SocketAddr>,
    ) -> Result<Arc<Context>, Failure> {
        context::build(&self.core, &self.secrets, config, role, bound)
    }

    /// Closes the database in good order; what does not close in time is left to its server.
    pub async fn close(self) {
        let _ = tokio::time::timeout(CLOSE, self.core.store.db.close()).await;
    }
}

/// Who may see the console: whoever sits at this machine where `up` listens on loopback, else whoever has a key. A
/// public address means that a proxy may stand in front, through which everybody comes from loopback.
fn console(config: &Config, up: Option<SocketAddr>) -> Console {
    let public = config.http.public_url.as_ref();
    match up.filter(|bound| bound.ip().is_loopback() && public.is_none()) {
        Some(bound) => Console::loopback(bound.port()),
        None => Console::keyed(public.is_some_and(|url| url.scheme() == "https")),
    }
}

/// The provider of text messages: how it reaches this installation, and the process's own account there.
fn provider(config: &Config) -> Provider {
    let account = config.phones.twilio.as_ref().map(|twilio| ProviderAccount {
        token: twilio.auth_token.reveal().to_owned(),
        senders: twilio.from.iter().chain(&twilio.whatsapp_from).cloned().collect(),
    });
    let public = config.http.public_url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned());
    Provider { public_url: public, account }
}

/// Opens the store and asks for its time, again and again while the database is merely away.
async fn wait_for_store(config: &Config, migrates: bool) -> Result<(Store, DatabaseClock), Failure> {
    let is_new = config.database.sqlite_path().is_some_and(|path| !path.exists());
    if config.database.is_embedded() {
        config.make_data().map_err(|error| Failure::new(format!("{}: {error}", config.data.display())))?;
    }
    let migrates = config.database.is_embedded() && (migrates || is_new);
    let mut wait = WAIT.0;
    loop {
        let error = match open_store(config, migrates).await {
            Err(error) if error.passes() => error,
            done => return Ok(done?),
        };
        let cause = error.source().map(ToString::to_string);
        tracing::warn!(%error, cause, again_in_ms = wait.as_millis() as u64, "waiting for the database");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(WAIT.1);
    }
}

async fn open_store(config: &Config, migrates: bool) -> sendwright_store::Result<(Store, DatabaseClock)> {
    let db = Db::connect(config.database.url.reveal(), config.database.connections).await?;
    if migrates {
        migrate::migrate(&db).await?;
    }
    let clock = DatabaseClock::new(db.clone());
    let store = Store::open(db).await?;
    clock.sample().await?;
    Ok((store, clock))
}

/// A database that is older than what was done here is a restored backup: whatever went out since would go again.
async fn refuse_backup(config: &Config, store: &Store) -> Result<(), Failure> {
    if !config.has_data() {
        return Ok(());
    }
    let path = config.data.join("latest");
    let latest = Latest::read(&path);
    let is_older = match &latest {
        Some(latest) => latest.is_ahead_of(store).await?,
        None => false,
    };
    match is_older {
        false => Ok(()),
        true => Err(Failure::new(format!(
            "the database is older than what {} knows of it: a backup was restored, and what went out since would go \
             again. Run `sendwright recovery begin` first, which holds everything until it is released",
            path.display()
        ))),
    }
}

/// Asks the database for its time every few seconds.
pub async fn keep_time(clock: DatabaseClock) {
    loop {
        tokio::time::sleep(SAMPLE).await;
        if let Err(error) = clock.sample().await {
            tracing::warn!(%error, "the database does not tell its time; after 30 s without, nothing is claimed");
        }
    }
}
