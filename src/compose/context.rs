//! What a worker works with, from the configuration: where messages go, who writes, what is kept where.

use crate::config::{self, Config, Role};
use crate::failure::Failure;
use sendwright_api::Core;
use sendwright_worker::ai::{ModelSettings, ModelWriter, OfflineWriter, Permits, Writer};
use sendwright_worker::channels::mime::Party;
use sendwright_worker::channels::smtp::{Profile as Server, Timeouts};
use sendwright_worker::channels::twilio;
use sendwright_worker::context::{Bells, Context, Outlet, PhoneOutlet, Settings};
use sendwright_worker::in_hand::InHand;
use sendwright_worker::life::Life;
use sendwright_worker::recorder::Recorder;
use sendwright_worker::scripts::Scripts;
use sendwright_worker::unread::Unread;
use sendwright_workflows::signing::Secret;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use url::Url;

/// Builds it; `bound` is where `up` listens.
pub fn build(
    core: &Core,
    secrets: &[Secret],
    config: &Config,
    role: Role,
    bound: Option<SocketAddr>,
) -> Result<Arc<Context>, Failure> {
    let is_up = matches!(role, Role::Up { .. });
    let open_limit = config.worker.open_handovers as usize;
    let settings = Settings {
        open_limit,
        connections: config.worker.smtp_connections as usize,
        lease: config.worker.lease,
        journal: config.has_data().then(|| config.data.join("journal")),
        latest: config.has_data().then(|| config.data.join("latest")),
        only_mailbox: role == Role::Up { demo: true },
        public_url: public_url(config),
        webhooks_allow_private: config.webhooks_allow_private,
        timeouts: Timeouts::default().at_most(config.worker.smtp_timeout),
        keep: config.keep,
        prices: config.model.as_ref().map(|model| model.prices).unwrap_or_default(),
        phones: phones(config, is_up),
        twilio_base: config.phones.api_base.clone(),
        allowed_countries: config.phones.allowed_countries.clone(),
        mailbox_url: bound.filter(|_| is_up).and_then(own_url),
        ..Settings::new(process_name(), outlet(config, is_up)?, secrets.to_vec())
    };
    Ok(Arc::new(Context {
        store: core.store.clone(),
        clock: core.clock.clone(),
        queue: core.queue.clone(),
        settings,
        seals: core.seals.clone(),
        twilio: twilio::Client::new(twilio::ANSWER).map_err(|error| Failure::new(error.to_string()))?,
        writer: writer(config, is_up)?,
        writing: Permits::new(config.worker.model_concurrency as usize),
        open: Arc::new(Semaphore::new(open_limit)),
        life: Arc::new(Life::new(config.worker.lease)),
        scripts: Scripts::default(),
        recorder: Recorder::default(),
        bells: Bells::default(),
        unread: Unread::default(),
        under_way: TaskTracker::new(),
        in_hand: InHand::default(),
    }))
}

fn outlet(config: &Config, is_up: bool) -> Result<Outlet, Failure> {
    let Some(smtp) = &config.smtp else {
        return Ok(if is_up { Outlet::Mailbox } else { Outlet::None });
    };
    let read = smtp.url.reveal().parse::<Server>();
    let server = read.map_err(|error| Failure::config(vec![format!("SMTP_URL: {error}")]))?;
    let name = smtp.from.name.clone().unwrap_or_default();
    Ok(Outlet::Smtp { server, from: Party { name, address: smtp.from.email.as_str().to_owned() } })
}

fn phones(config: &Config, is_up: bool) -> PhoneOutlet {
    let Some(own) = &config.phones.twilio else {
        return if is_up { PhoneOutlet::Mailbox } else { PhoneOutlet::None };
    };
    PhoneOutlet::Twilio(Box::new(twilio_of(config, own)))
}

/// The process's own Twilio account, as a worker and `doctor` use it.
pub fn twilio_of(config: &Config, own: &config::twilio::Twilio) -> twilio::Own {
    let from = |text: &Option<String>| text.as_deref().map(twilio::From::parse);
    let access = twilio::Access {
        base: config.phones.api_base.clone(),
        sid: own.account_sid.clone(),
        token: own.auth_token.reveal().to_owned(),
    };
    twilio::Own { access, sms: from(&own.from), whatsapp: from(&own.whatsapp_from) }
}

/// The model; under `up` without one, the offline writer, whose texts only ever go to the mailbox.
fn writer(config: &Config, is_up: bool) -> Result<Option<Writer>, Failure> {
    let Some(model) = &config.model else {
        return Ok(is_up.then_some(Writer::Offline(OfflineWriter)));
    };
    let key = model.api_key.as_ref().map(|key| key.reveal().to_owned());
    let settings = ModelSettings {
        request_timeout: model.patience,
        total_timeout: 2 * model.patience,
        ..ModelSettings::new(model.base_url.clone(), key, model.name.clone())
    };
    let writer = ModelWriter::new(settings).map_err(|error| Failure::config(vec![error.to_string()]))?;
    Ok(Some(Writer::Model(Box::new(writer))))
}

/// The configured address with a slash at its end: links are joined to it.
fn public_url(config: &Config) -> Option<Url> {
    let mut url = config.http.public_url.clone()?;
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Some(url)
}

/// How the person in front of this machine reaches an `up` on loopback.
fn own_url(bound: SocketAddr) -> Option<Url> {
    bound.ip().is_loopback().then(|| Url::parse(&format!("http://{bound}/")).ok()).flatten()
}

/// Host and process, for people who look at the list of workers.
fn process_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    format!("{}:{}", if host.is_empty() { "localhost" } else { host }, std::process::id())
}
