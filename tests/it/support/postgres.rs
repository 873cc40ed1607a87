//! A PostgreSQL of this test binary: one cluster, made at first use, and a database of its own for every test.

use std::fs;
use std::io::Error;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{Connection, Executor, PgConnection};

use super::process::Environment;
use super::server::{Server, find_program, on_a_free_port};

/// The URL of a new, empty database on the server all tests of this binary share.
///
/// Works inside a runtime and outside of one; the first call starts the server.
pub fn database() -> String {
    shared().database()
}

/// A database that is filled once and copied for every test that asks: migrations run once in a binary.
///
/// ```ignore
/// static MIGRATED: Template = Template::new();
/// let url = MIGRATED.copy(async |url| Db::connect(&url).await?.migrate().await);
/// ```
pub struct Template(OnceLock<String>);

impl Template {
    /// A template that nothing has filled yet.
    pub const fn new() -> Template {
        Template(OnceLock::new())
    }

    /// The URL of a new copy on the shared server; the first call lets `fill` work on the original, on a thread and
    /// runtime of its own, which it must not leave connections on.
    pub fn copy(&self, fill: impl AsyncFnOnce(String) + Send) -> String {
        let original = self.0.get_or_init(|| {
            let name = shared().create("");
            on_a_runtime(async || fill(shared().url(&name)).await);
            shared().say(&format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            ));
            name
        });
        shared().url(&shared().create(&format!("TEMPLATE {original}")))
    }
}

/// A PostgreSQL server of one test's own, to be broken at will; gone with the value.
pub struct Postgres {
    server: Server,
    port: u16,
    databases: AtomicU32,
    settings: Vec<&'static str>,
    environment: Environment,
}

impl Postgres {
    /// Makes a cluster and starts it on a free port of 127.0.0.1; commits are synchronous, the disk is not waited for.
    pub fn start() -> Postgres {
        let mut server = Server::create().expect("a directory for PostgreSQL");
        make_cluster(&mut server);
        let port = on_a_free_port(|port| serve(&mut server, port, &[], &Vec::new()));
        let (settings, environment) = (Vec::new(), Vec::new());
        Postgres { server, port, databases: AtomicU32::new(0), settings, environment }
    }

    /// Ends it as [`Postgres::kill`] does and starts it again with more settings and variables.
    pub fn start_with(&mut self, settings: &[&'static str], environment: Environment) {
        self.kill();
        self.settings.extend(settings);
        self.environment.extend(environment);
        self.start_again();
    }

    /// Where its files lie.
    pub fn data(&self) -> PathBuf {
        self.server.path().join("data")
    }

    /// The URL of a new, empty database.
    pub fn database(&self) -> String {
        self.url(&self.create(""))
    }

    /// Starts a standby that has all of it and follows, by way of a port.
    pub fn standby(&self, by: u16) -> Postgres {
        let mut server = Server::create().expect("a directory for PostgreSQL");
        let mut copy = server.command(&program("pg_basebackup").expect("PostgreSQL's pg_basebackup"));
        copy.args(["--host=127.0.0.1", "--username=postgres", "--pgdata=data", "--write-recovery-conf"]);
        copy.args(["--checkpoint=fast", "--no-sync", "--port", &by.to_string()]);
        server.run(copy).expect("pg_basebackup copies a cluster");
        let port = on_a_free_port(|port| serve(&mut server, port, &[], &Vec::new()));
        let (settings, environment) = (Vec::new(), Vec::new());
        Postgres { server, port, databases: AtomicU32::new(0), settings, environment }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends the server as a crash does, without a checkpoint; its data stays for [`Postgres::start_again`].
    pub fn kill(&mut self) {
        self.server.end("QUIT");
    }

    /// Starts the killed server again, on the same port and data.
    pub fn start_again(&mut self) {
        let started = serve(&mut self.server, self.port, &self.settings, &self.environment);
        started.expect("PostgreSQL starts again");
    }

    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    fn create(&self, options: &str) -> String {
        let name = format!("it_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.say(&format!("CREATE DATABASE {name} {options}"));
        name
    }

    /// Runs a statement, outside of every database of a test.
    pub fn say(&self, statement: &str) {
        on_a_runtime(async || {
            let mut connection =
                PgConnection::connect(&self.url("postgres")).await.expect("our own PostgreSQL answers");
            connection.execute(sqlx::AssertSqlSafe(statement)).await.expect("our own statement is right");
        });
    }
}

/// The port in a URL of one of these servers; none in any other.
pub fn port(url: &str) -> Option<u16> {
    url.strip_prefix("postgres://postgres@127.0.0.1:")?.split('/').next()?.parse().ok()
}

fn shared() -> &'static Postgres {
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    SHARED.get_or_init(Postgres::start)
}

fn make_cluster(server: &mut Server) {
    let mut initdb = server.command(&program("initdb").expect("PostgreSQL's initdb"));
    initdb.args([
        "--pgdata=data",
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
    ]);
    server.run(initdb).expect("initdb makes a cluster");
}

fn serve(server: &mut Server, port: u16, settings: &[&str], environment: &Environment) -> Result<(), Error> {
    let mut postgres = server.command(&program("postgres")?);
    postgres.args(["-D", "data", "-h", "127.0.0.1", "-p", &port.to_string(), "-k"]).arg(server.path());
    let usual = ["fsync=off", "full_page_writes=off", "synchronous_commit=on", "max_connections=400"];
    for setting in usual.iter().chain(settings) {
        postgres.args(["-c", setting]);
    }
    postgres.envs(environment.iter().map(|(name, value)| (name, value)));
    let status = server.path().join("data/postmaster.pid");
    server.start(postgres, |pid| is_ready(&status, pid))
}

/// PostgreSQL's own word, so that a stranger who took the port first is never mistaken for it.
fn is_ready(status: &Path, pid: u32) -> bool {
    let status = fs::read_to_string(status).unwrap_or_default();
    let mut lines = status.lines().map(str::trim);
    lines.next() == Some(&pid.to_string()) && matches!(lines.next_back(), Some("ready" | "standby"))
}

pub(super) fn program(name: &str) -> Result<PathBuf, Error> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter_map(|path| Some((path.file_name()?.to_str()?.parse().ok()?, path.join("bin"))))
        .collect();
    versions.sort();
    find_program(name, &versions.into_iter().rev().map(|(_, path)| path).collect::<Vec<_>>())
}

/// Runs async work from anywhere, also from a test that stands in a runtime already.
fn on_a_runtime(work: impl AsyncFnOnce() + Send) {
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work());
    std::thread::scope(|scope| {
        scope.spawn(run).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
}
