//! What every handler of a worker process holds.

use crate::ai::{Permits, Writer};
use crate::channels::mime::Party;
use crate::channels::smtp::{Profile as Server, Timeouts};
use crate::channels::twilio;
use crate::in_hand::InHand;
use crate::life::Life;
use crate::recorder::Recorder;
use crate::scripts::Scripts;
use crate::unread::Unread;
use sendwright_queue::Queue;
use sendwright_store::Store;
use sendwright_store::prune::Keep;
use sendwright_store::secrets::Seals;
use sendwright_workflows::clock::{Clock, MINUTE, Millis, SECOND};
use sendwright_workflows::country::Country;
use sendwright_workflows::signing::Secret;
use sendwright_workflows::spend::Prices;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio_util::task::TaskTracker;

/// Where messages of profiles without a server of their own go.
#[derive(Debug, Clone)]
pub enum Outlet {
    /// The process's SMTP_URL and SMTP_FROM.
    Smtp {
        /// The server.
        server: Server,
        /// Who sends where a profile does not say.
        from: Party,
    },
    /// The captured mailbox of `up`.
    Mailbox,
    /// Nowhere: messages are held, `no_transport`.
    None,
}

/// Where messages to phones go, of profiles without a Twilio account of their own.
#[derive(Debug, Clone)]
pub enum PhoneOutlet {
    /// The process's TWILIO_ACCOUNT_SID and what goes with it.
    Twilio(Box<twilio::Own>),
    /// The captured mailbox of `up`.
    Mailbox,
    /// Nowhere: messages are held, `no_transport`.
    None,
}

/// A worker process's settings.
pub struct Settings {
    /// Host and process, for people.
    pub name: String,
    /// D: most hand-overs open at once.
    pub open_limit: usize,
    /// Most connections to one profile's server.
    pub connections: usize,
    /// How long a silent worker's claims stand.
    pub lease: Duration,
    /// Where journals lie, if there is a directory that outlives the process.
    pub journal: Option<PathBuf>,
    /// Where the latest beat is kept, if there is a directory that outlives the process.
    pub latest: Option<PathBuf>,
    /// The process's own transport.
    pub outlet: Outlet,
    /// The process's own way to phones.
    pub phones: PhoneOutlet,
    /// Where Twilio's API is, for profiles with an account of their own.
    pub twilio_base: String,
    /// Where text messages may go, unless a profile has a list of its own; and where the process's own account sends at all.
    pub allowed_countries: Vec<Country>,
    /// A demo never mails anyone: every profile's messages go to the mailbox.
    pub only_mailbox: bool,
    /// The address recipients reach this installation at.
    pub public_url: Option<url::Url>,
    /// The address on this machine, for links in messages that never leave it: those of the mailbox.
    pub mailbox_url: Option<url::Url>,
    /// Signs links; the first is the present one.
    pub secrets: Vec<Secret>,
    /// How long before its planned instant a text is written by a model.
    pub write_ahead: Millis,
    /// What the model's tokens cost; nothing where no price is known.
    pub prices: Prices,
    /// How long before its planned instant a message is planned.
    pub plan_ahead: Millis,
    /// Timeouts of every SMTP phase.
    pub timeouts: Timeouts,
    /// How long an orderly end waits for open hand-overs.
    pub grace: Duration,
    /// Webhooks may go to private addresses, any port, and without TLS: for development.
    pub webhooks_allow_private: bool,
    /// How long what has served its purpose is kept; everything for ever by default.
    pub keep: Keep,
}

impl Settings {
    /// The defaults of everything but where messages go.
    pub fn new(name: String, outlet: Outlet, secrets: Vec<Secret>) -> Self {
        let phones = match outlet {
            Outlet::Mailbox => PhoneOutlet::Mailbox,
            _ => PhoneOutlet::None,
        };
        Self {
            phones,
            twilio_base: twilio::BASE.to_owned(),
            allowed_countries: ["US", "CA", "GB"].into_iter().filter_map(Country::parse).collect(),
            name,
            open_limit: 256,
            connections: 128,
            lease: Duration::from_secs(60),
            journal: None,
            latest: None,
            outlet,
            only_mailbox: false,
            public_url: None,
            mailbox_url: None,
            secrets,
            write_ahead: 10 * MINUTE,
            prices: Prices::default(),
            plan_ahead: 5 * SECOND,
            timeouts: Timeouts::default(),
            grace: Duration::from_secs(25),
            webhooks_allow_private: false,
            keep: Keep::default(),
        }
    }
}

/// Bells that wake the loops of this process before their next look.
#[derive(Default)]
pub struct Bells {
    /// There may be enrolments to plan.
    pub plan: Notify,
    /// There may be texts to write.
    pub write: Notify,
    /// There may be e-mail to send.
    pub mail: Notify,
    /// There may be messages to phones to send.
    pub sms: Notify,
    /// There may be deliveries to make.
    pub deliver: Notify,
    /// There may be events to number.
    pub sequence: Notify,
    /// There may be inbound messages to understand.
    pub inbound: Notify,
}

impl Bells {
    /// There may be messages to send, on whatever channel.
    pub fn send(&self) {
        self.mail.notify_one();
        self.sms.notify_one();
    }
}

/// What every handler holds. One per process.
pub struct Context {
    /// The truth.
    pub store: Store,
    /// Business time.
    pub clock: Arc<dyn Clock>,
    /// Hints for other processes.
    pub queue: Queue,
    /// How it is set up.
    pub settings: Settings,
    /// Opens stored secrets.
    pub seals: Seals,
    /// Sends to phones.
    pub twilio: twilio::Client,
    /// Writes texts, where a model or the offline writer is there.
    pub writer: Option<Writer>,
    /// Model calls per account.
    pub writing: Permits,
    /// D as permits, taken before an intent and released after its outcome is committed.
    pub open: Arc<Semaphore>,
    /// The worker's lease.
    pub life: Arc<Life>,
    /// Sequences and compiled templates.
    pub scripts: Scripts,
    /// Commits outcomes.
    pub recorder: Recorder,
    /// Wakes this process's loops.
    pub bells: Bells,
    /// Rows that this program does not understand.
    pub unread: Unread,
    /// Hand-overs under way: an orderly end waits for them.
    pub under_way: TaskTracker,
    /// Messages in hand: from their claim to the commit of what became of it.
    pub in_hand: InHand,
}

impl Context {
    /// Eight random hexadecimal digits, for names.
    pub fn random_word(&self) -> String {
        let mut bytes = [0_u8; 4];
        let _ = getrandom::fill(&mut bytes);
        hex::encode(bytes)
    }
}

/// A random number in 0..1, for jitter: spreading needs no more than this.
pub fn random_unit() -> f64 {
    let mut bytes = [0_u8; 4];
    let _ = getrandom::fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}
