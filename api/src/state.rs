//! What a process that serves the API holds.

use sendwright_queue::{Limiter, Queue};
use sendwright_store::Store;
use sendwright_store::clock::boot_millis;
use sendwright_store::secrets::Seals;
use sendwright_workflows::clock::{Clock, Millis};
use sendwright_workflows::country::Country;
use sendwright_workflows::enrolment::Means;
use sendwright_workflows::sequence::ByChannel;
use sendwright_workflows::signing::Secret;
use sendwright_workflows::spend::Prices;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::holders::{self, Holders};
use crate::inbound::Tokens;
use crate::meter::Meter;
use crate::operations::callbacks::{self, Callbacks};
use crate::operations::events::{self, Intake};
use crate::{Console, Refusal};
use tokio::sync::Semaphore;

/// Most bytes of an uploaded file: some millions of rows.
pub const MOST_UPLOAD: usize = 512 << 20;
/// Most hits that are written down at once: the database is for others too.
const MOST_NOTED: usize = 64;
/// Most texts that are taken at once; a provider that posts more is told to come again.
const MOST_TEXTS: usize = 256;

/// The provider of text messages, as this process knows it.
#[derive(Clone, Default)]
pub struct Provider {
    /// How the provider reaches this installation, without a slash at its end: what it signs begins with it.
    pub public_url: Option<String>,
    /// The process's own account there.
    pub account: Option<ProviderAccount>,
}

/// An account at Twilio, in a process's own settings.
#[derive(Clone)]
pub struct ProviderAccount {
    /// Its token, which its callbacks are signed with.
    pub token: String,
    /// What it sends from: numbers, or messaging services' SIDs.
    pub senders: Vec<String>,
}

/// What an operation needs, whoever asks for it: the API, the page, the command line.
#[derive(Clone)]
pub struct Core {
    /// The truth.
    pub store: Store,
    /// Where hints are left.
    pub queue: Queue,
    /// Business time.
    pub clock: Arc<dyn Clock>,
    /// Secrets at rest.
    pub seals: Seals,
}

impl Core {
    /// The present instant; without one nothing is changed.
    pub fn now(&self) -> Result<Millis, Refusal> {
        self.clock.now().ok_or(Refusal::Unavailable)
    }
}

/// The state of every route.
#[derive(Clone)]
pub struct ApiState {
    /// What operations need.
    pub core: Core,
    /// Counts calls.
    pub limiter: Limiter,
    /// What links are signed with, the newest first.
    pub secrets: Arc<[Secret]>,
    /// Named in `/readyz` beside what the API itself can see: `model`, `transport`.
    pub notes: Arc<[(String, String)]>,
    /// What the workers have, as far as this process knows: for what lies ahead.
    pub means: ByChannel<Means>,
    /// What the model's tokens cost, as far as this process knows.
    pub prices: Prices,
    /// Where text messages may go, unless a sending profile says otherwise.
    pub allowed_countries: Arc<[Country]>,
    /// Who may see the console.
    pub console: Console,
    /// Whose keys requests show.
    pub(crate) holders: Holders,
    /// Takes events of callers' own to the database.
    pub intake: Intake,
    /// Most bytes of an uploaded file.
    pub most_upload: usize,
    /// Webhooks may be registered for private addresses, any port, and without TLS: for development.
    pub webhooks_allow_private: bool,
    /// The provider of text messages.
    pub provider: Arc<Provider>,
    /// Takes callbacks to the database.
    pub(crate) callbacks: Callbacks,
    /// Tokens of Twilio accounts, as they were read lately.
    pub(crate) tokens: Tokens,
    /// Texts that are being taken.
    pub(crate) texts: Arc<Semaphore>,
    /// Hits of pixels and links that are being written down.
    pub(crate) noting: Arc<Semaphore>,
    /// Since when the process serves, by the boot-time clock.
    pub began: i64,
    /// Counts what keys are used for.
    pub meter: Meter,
    closing: Arc<AtomicBool>,
}

impl ApiState {
    /// The state of a serving process.
    pub fn new(core: Core, limiter: Limiter, secrets: &[Secret], notes: Vec<(String, String)>) -> Self {
        Self {
            limiter,
            secrets: secrets.into(),
            notes: notes.into(),
            means: Means::EVERYWHERE,
            prices: Prices::default(),
            allowed_countries: ["US", "CA", "GB"].into_iter().filter_map(Country::parse).collect(),
            console: Console::keyed(false),
            holders: holders::holders(),
            intake: events::intake(),
            most_upload: MOST_UPLOAD,
            webhooks_allow_private: false,
            provider: Arc::default(),
            callbacks: callbacks::intake(),
            tokens: Tokens::default(),
            texts: Arc::new(Semaphore::new(MOST_TEXTS)),
            noting: Arc::new(Semaphore::new(MOST_NOTED)),
            began: boot_millis(),
            meter: Meter::default(),
            core,
            closing: Arc::default(),
        }
    }

    /// The same, with what the workers have: both are taken to be there otherwise.
    pub fn with_means(self, means: ByChannel<Means>) -> Self {
        Self { means, ..self }
    }

    /// The same, with what the model's tokens cost: nothing otherwise.
    pub fn with_prices(self, prices: Prices) -> Self {
        Self { prices, ..self }
    }

    /// The same, with other countries that text messages may go to.
    pub fn with_countries(self, allowed: &[Country]) -> Self {
        Self { allowed_countries: allowed.into(), ..self }
    }

    /// The same, with the console guarded so; by a key otherwise.
    pub fn with_console(self, console: Console) -> Self {
        Self { console, ..self }
    }

    /// The same, with uploaded files of at most so many bytes.
    pub fn with_uploads_up_to(self, most_upload: usize) -> Self {
        Self { most_upload, ..self }
    }

    /// The same, with webhooks that may go to private addresses; not otherwise.
    pub fn with_private_webhooks(self, allowed: bool) -> Self {
        Self { webhooks_allow_private: allowed, ..self }
    }

    /// The same, with a provider of text messages; without one otherwise.
    pub fn with_provider(self, provider: Provider) -> Self {
        Self { provider: Arc::new(provider), ..self }
    }

    /// How long the process has served.
    pub fn uptime(&self) -> Millis {
        boot_millis() - self.began
    }

    /// From now on `/readyz` says 503, so that a balancer sends nobody new; requests are still served.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Whether the process is ending.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }
}
