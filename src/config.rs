//! The configuration: every setting, read once at the start, all problems told at once.
//!
//! [`defaults.toml`](../src/config/defaults.toml) is the reference: it is compiled in and is what holds where
//! nothing else is said.

mod keep;
mod read;
pub mod secret;
pub mod twilio;

pub use read::Sources;

use crate::failure::Failure;
use read::Reader;
use sendwright_queue::Lane;
use sendwright_store::prune::Keep;
use sendwright_worker::channels::smtp::{Profile as Server, ProfileError};
use sendwright_workflows::spend::Prices;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// What runs; it decides which settings are heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Every role in one process.
    Up {
        /// A demo hears nothing of transports, models and other databases: it never mails anyone.
        demo: bool,
    },
    /// `api`, `worker`, `scheduler`: a part of a larger installation.
    Part,
    /// A command that ends by itself.
    Command,
}

/// What a demo does not hear, by the beginning of the key.
const DEMO_DEAF: &[&str] = &["smtp.", "twilio.", "model.", "database.url", "redis.url"];

/// Every setting.
#[derive(Debug)]
pub struct Config {
    /// The data directory.
    pub data: PathBuf,
    /// Somebody named it; else it is the default.
    pub data_is_named: bool,
    /// The database.
    pub database: Database,
    /// Redis, where there is one.
    pub redis: Option<Redis>,
    /// The HTTP face.
    pub http: Http,
    /// The default sending profile's transport.
    pub smtp: Option<Smtp>,
    /// What goes to phones.
    pub phones: twilio::Phones,
    /// The server that `doctor` asks for what is published of senders, if not the system's.
    pub dns: Option<SocketAddr>,
    /// The model.
    pub model: Option<Model>,
    /// What a worker does at once.
    pub worker: Worker,
    /// How long what has served its purpose is kept.
    pub keep: Keep,
    /// Webhooks may go to private addresses, any port, and without TLS: for development.
    pub webhooks_allow_private: bool,
    /// `SENDWRIGHT_SECRET` as given; [`secret::load`] reads or makes it.
    pub secret: Option<Hidden>,
    /// Logs.
    pub log: Log,
}

/// A value that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    /// The value.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden(…)")
    }
}

/// Where the truth lives.
#[derive(Debug)]
pub struct Database {
    /// `postgres://…` or `sqlite://PATH`.
    pub url: Hidden,
    /// Most connections of this process.
    pub connections: u32,
}

impl Database {
    /// Whether it is SQLite: one machine, a secret of its own, a schema that is made at the first start.
    pub fn is_embedded(&self) -> bool {
        self.sqlite_path().is_some()
    }

    /// The SQLite file, if it is one.
    pub fn sqlite_path(&self) -> Option<&Path> {
        self.url.reveal().strip_prefix("sqlite://").map(Path::new)
    }
}

/// Where hints travel.
#[derive(Debug)]
pub struct Redis {
    /// `redis://…`
    pub url: Hidden,
    /// What every key begins with.
    pub prefix: String,
}

/// Where people and programs come in.
#[derive(Debug)]
pub struct Http {
    /// Where the API listens.
    pub bind: SocketAddr,
    /// Where `/metrics` is served, if apart.
    pub metrics_bind: Option<SocketAddr>,
    /// How recipients reach us, without a slash at its end.
    pub public_url: Option<Url>,
}

/// The transport of default sending profiles.
#[derive(Debug)]
pub struct Smtp {
    /// `smtp[s]://…`
    pub url: Hidden,
    /// Whom mail comes from: `Name <address>` or an address.
    pub from: Sender,
}

/// Whom mail comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The address.
    pub email: sendwright_workflows::address::Email,
    /// The name, if given.
    pub name: Option<String>,
}

/// An OpenAI-compatible server.
#[derive(Debug)]
pub struct Model {
    /// Without the `/chat/completions`.
    pub base_url: Url,
    /// Local servers need none.
    pub api_key: Option<Hidden>,
    /// The model's name.
    pub name: String,
    /// What its tokens cost.
    pub prices: Prices,
    /// The longest one answer may take.
    pub patience: Duration,
}

/// What a worker does at once.
#[derive(Debug)]
pub struct Worker {
    /// The lanes it works on.
    pub lanes: Vec<Lane>,
    /// Most jobs of a lane at once.
    pub concurrency: u32,
    /// D: most hand-overs between intent and outcome (SEND_PROTOCOL).
    pub open_handovers: u32,
    /// Most connections to one sending profile's server.
    pub smtp_connections: u32,
    /// Most texts written for one account at once.
    pub model_concurrency: u32,
    /// How long a worker may be silent.
    pub lease: Duration,
    /// The longest that any phase of a conversation with a mail server may take.
    pub smtp_timeout: Duration,
}

/// How logs look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Their form.
    pub format: LogFormat,
    /// What is in them, where that was said.
    pub filter: Option<String>,
}

/// A log line's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// What the command line says; it wins over every layer.
#[derive(Debug, Default)]
pub struct Overrides {
    /// `--data`.
    pub data: Option<PathBuf>,
    /// `--bind`.
    pub bind: Option<SocketAddr>,
    /// `--lanes`.
    pub lanes: Vec<Lane>,
    /// `--concurrency`.
    pub concurrency: Option<u32>,
}

impl Config {
    /// Makes the data directory where it is missing, for nobody else's eyes: it holds people's addresses.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make_data(&self) -> std::io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.data)
    }

    /// The same for whoever cannot do without it.
    ///
    /// # Errors
    /// It cannot be made; the failure says which setting names it.
    pub fn need_data(&self) -> Result<(), Failure> {
        self.make_data().map_err(|error| unusable(&self.data, &error))
    }

    /// Whether a process of this configuration may keep files of its own: a part that runs on Postgres alone has
    /// no directory unless somebody says so.
    pub fn has_data(&self) -> bool {
        self.database.is_embedded() || self.data_is_named || self.data.is_dir()
    }

    /// Reads every layer for `role`.
    ///
    /// # Errors
    /// Every problem, each naming its variable, its key in the file, or both; none repeats a value.
    pub fn load(sources: &Sources, role: Role, over: Overrides) -> Result<Self, Vec<String>> {
        let demo = role == Role::Up { demo: true };
        let mut reader = Reader::open(sources, if demo { DEMO_DEAF } else { &[] });
        let r = &mut reader;
        let data_is_named = over.data.is_some() || r.says("data", "SENDWRIGHT_DATA");
        let data = r.text("data", "SENDWRIGHT_DATA").map(PathBuf::from).unwrap_or_default();
        let data = over.data.unwrap_or(data);
        let config = Config {
            database: read_database(r, &data),
            redis: read_redis(r),
            http: read_http(r, role, over.bind),
            dns: r.parsed("dns.server", "SENDWRIGHT_DNS"),
            smtp: read_smtp(r),
            phones: twilio::read(r),
            model: read_model(r),
            worker: read_worker(r, over.lanes, over.concurrency),
            keep: keep::read(r),
            webhooks_allow_private: read_switch(
                r,
                "webhooks.allow_private",
                "SENDWRIGHT_WEBHOOKS_ALLOW_PRIVATE",
            ),
            secret: r.read("security.secret", "SENDWRIGHT_SECRET", secret::check).map(Hidden),
            log: read_log(r),
            data,
            data_is_named,
        };
        if role != Role::Command && !config.database.is_embedded() && config.secret.is_none() {
            reader
                .problem("SENDWRIGHT_SECRET", "is required with Postgres: `openssl rand -hex 32` makes one");
        }
        reader.finish(config)
    }
}

/// What is said of a data directory, or a file in it, that cannot be used.
pub fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::config(vec![format!("SENDWRIGHT_DATA, or --data: {}: {error}", path.display())])
}

fn read_database(r: &mut Reader, data: &Path) -> Database {
    let given = r.read("database.url", "DATABASE_URL", |text| {
        let known =
            ["postgres://", "postgresql://", "sqlite://"].iter().any(|scheme| text.starts_with(scheme));
        let readable = text.starts_with("sqlite://") || Url::parse(text).is_ok_and(|url| url.has_host());
        match known && readable {
            true => Ok(text.to_owned()),
            false => Err("must read postgres://user:password@host/name or sqlite://PATH".to_owned()),
        }
    });
    let url = given.unwrap_or_else(|| format!("sqlite://{}", data.join("sendwright.db").display()));
    let connections = r.number("database.connections", "SENDWRIGHT_DATABASE_CONNECTIONS", 2..=200);
    Database { url: Hidden(url), connections }
}

fn read_redis(r: &mut Reader) -> Option<Redis> {
    let prefix = r.text("redis.prefix", "SENDWRIGHT_REDIS_PREFIX").unwrap_or_default();
    let url = r.read("redis.url", "REDIS_URL", |text| {
        let known = Url::parse(text).is_ok_and(|url| match url.scheme() {
            "redis" | "rediss" => url.has_host(),
            "redis+unix" => url.path().len() > 1,
            _ => false,
        });
        if known {
            Ok(text.to_owned())
        } else {
            Err("must read redis://host:6379, rediss://host:6379 (TLS) or redis+unix:///path".to_owned())
        }
    })?;
    Some(Redis { url: Hidden(url), prefix })
}

fn read_http(r: &mut Reader, role: Role, over: Option<SocketAddr>) -> Http {
    let port = r.read("http.port", "PORT", |text| match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err("must be a port, 1 to 65535".to_owned()),
    });
    let bind: Option<SocketAddr> = r.parsed("http.bind", "SENDWRIGHT_BIND");
    let said = r.says("http.bind", "SENDWRIGHT_BIND");
    let default = bind.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)));
    // A platform that sets PORT reaches us from outside; on somebody's own machine nobody should.
    let host = if role == Role::Part { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
    let by_port = port.filter(|_| !said).map(|port| SocketAddr::new(IpAddr::V4(host), port));
    Http {
        bind: over.or(by_port).unwrap_or(default),
        metrics_bind: r.parsed("http.metrics_bind", "SENDWRIGHT_METRICS_BIND"),
        public_url: r.read("http.public_url", "SENDWRIGHT_PUBLIC_URL", |text| {
            let url = Url::parse(text.trim_end_matches('/')).ok();
            let plain =
                |url: &Url| url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
            url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host() && plain(url))
                .ok_or_else(|| "must read https://host, without query or user".to_owned())
        }),
    }
}

fn read_smtp(r: &mut Reader) -> Option<Smtp> {
    let url = r.read("smtp.url", "SMTP_URL", |text| {
        let what =
            "must read smtp://user:password@host:port or smtps://…, with @ : / # % in both percent-encoded";
        match text.parse::<Server>() {
            Ok(_) => Ok(text.to_owned()),
            Err(ProfileError::NotAUrl(_) | ProfileError::Scheme) => Err(what.to_owned()),
            Err(error) => Err(format!("does not work: {error}")),
        }
    });
    let from = r.read("smtp.from", "SMTP_FROM", read_sender);
    match (r.says("smtp.url", "SMTP_URL"), r.says("smtp.from", "SMTP_FROM")) {
        (true, false) => r.problem("SMTP_FROM", "is required with SMTP_URL"),
        (false, true) => r.problem("SMTP_URL", "is required with SMTP_FROM"),
        _ => {}
    }
    Some(Smtp { url: Hidden(url?), from: from? })
}

fn read_sender(text: &str) -> Result<Sender, String> {
    use sendwright_workflows::address::{Email, display_name};
    let (name, address) = match text.trim().strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        Some((name, address)) => {
            (Some(name.trim().trim_matches('"')).filter(|name| !name.is_empty()), address)
        }
        None => (None, text),
    };
    let email =
        Email::parse(address).map_err(|error| format!("must be an address or Name <address>: {error}"))?;
    let name = name.map(display_name).transpose().map_err(|error| error.to_string())?;
    Ok(Sender { email, name: name.map(str::to_owned) })
}

fn read_model(r: &mut Reader) -> Option<Model> {
    let api_key = r.read("model.api_key", "OPENAI_API_KEY", |text| {
        match text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Hidden(text.to_owned())),
            false => Err("must be a key: letters, digits and signs, without spaces or line ends".to_owned()),
        }
    });
    let base_url = r.read("model.base_url", "OPENAI_BASE_URL", |text| {
        let url = Url::parse(text.trim_end_matches('/')).ok();
        url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| "must read https://host/v1".to_owned())
    });
    let name = r.text("model.name", "OPENAI_MODEL")?;
    let prices = Prices {
        input: r.read("model.price_in", "OPENAI_PRICE_IN", price).unwrap_or_default(),
        output: r.read("model.price_out", "OPENAI_PRICE_OUT", price).unwrap_or_default(),
    };
    // A text is given up after twice as long, which is below what a handler may take.
    let patience =
        Duration::from_secs(u64::from(r.number("model.timeout_seconds", "OPENAI_TIMEOUT_SECONDS", 1..=240)));
    let wanted = api_key.is_some() || base_url.is_some();
    let base_url = base_url.or_else(|| Url::parse("https://api.openai.com/v1").ok())?;
    wanted.then_some(Model { base_url, api_key, name, prices, patience })
}

fn price(text: &str) -> Result<f64, String> {
    let price = text.trim().parse().ok().filter(|price: &f64| (0.0..=100_000.0).contains(price));
    price.ok_or_else(|| "must be a price per million tokens, such as 0.15".to_owned())
}

fn read_worker(r: &mut Reader, lanes: Vec<Lane>, concurrency: Option<u32>) -> Worker {
    let configured = r.read("worker.lanes", "SENDWRIGHT_LANES", read_lanes).unwrap_or_default();
    let jobs = r.number("worker.concurrency", "SENDWRIGHT_CONCURRENCY", 1..=1_024);
    Worker {
        lanes: if lanes.is_empty() { configured } else { lanes },
        concurrency: concurrency.unwrap_or(jobs),
        open_handovers: r.number("worker.open_handovers", "SENDWRIGHT_OPEN_HANDOVERS", 1..=1_024),
        smtp_connections: r.number("worker.smtp_connections", "SENDWRIGHT_SMTP_CONNECTIONS", 1..=1_024),
        model_concurrency: r.number("worker.model_concurrency", "SENDWRIGHT_MODEL_CONCURRENCY", 1..=256),
        lease: Duration::from_secs(u64::from(r.number(
            "worker.lease_seconds",
            "SENDWRIGHT_LEASE_SECONDS",
            5..=3_600,
        ))),
        smtp_timeout: Duration::from_secs(u64::from(r.number(
            "worker.smtp_timeout_seconds",
            "SENDWRIGHT_SMTP_TIMEOUT_SECONDS",
            1..=600,
        ))),
    }
}

/// Lanes as a list with commas, or `all`.
pub fn read_lanes(text: &str) -> Result<Vec<Lane>, String> {
    if text.trim() == "all" {
        return Ok(Lane::ALL.to_vec());
    }
    let what = || format!("must be all, or some of {}", Lane::ALL.map(Lane::as_str).join(","));
    text.split(',').map(|name| name.trim().parse().map_err(|_| what())).collect()
}

fn read_switch(r: &mut Reader, key: &'static str, variable: &str) -> bool {
    let read = |text: &str| match text {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err("must be 1 or 0".to_owned()),
    };
    r.read(key, variable, read).unwrap_or(false)
}

fn read_log(r: &mut Reader) -> Log {
    let format = r.read("log.format", "SENDWRIGHT_LOG_FORMAT", |text| match text {
        "auto" => Ok(LogFormat::Auto),
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be auto, text or json".to_owned()),
    });
    let readable = |text: &str| match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("must read like info or sendwright=debug,info".to_owned()),
    };
    let variable = if r.has_variable("SENDWRIGHT_LOG") { "SENDWRIGHT_LOG" } else { "RUST_LOG" };
    let filter = r.read("log.filter", variable, readable);
    Log { format: format.unwrap_or(LogFormat::Auto), filter }
}

#[cfg(test)]
mod tests;
