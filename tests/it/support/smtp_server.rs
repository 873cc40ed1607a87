//! A real SMTP receiver on a free loopback port that does what a script says.
//!
//! It keeps every message it has accepted, byte for byte, with the instants of its MAIL, dot and
//! answer; tests wait on that log and never sleep. Without a script it accepts everything.
//!
//! ```ignore
//! let server = SmtpServer::start(Script::default().rule(Rule::at(At::Rcpt).times(1).reply("450 later"))).await;
//! // … point a sending profile at server.url() …
//! let mails = server.wait_for(10, Duration::from_secs(5)).await;
//! ```
#![allow(dead_code, unused_imports, clippy::expect_used, clippy::unwrap_used)]

#[path = "smtp_dialogue.rs"]
mod dialogue;
#[path = "smtp_script.rs"]
mod script;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub use script::{Act, At, Certificate, Rule, Script, Tls};

/// One message the server has taken responsibility for.
#[derive(Debug, Clone)]
pub struct Received {
    /// Number of the connection, from 1.
    pub connection: usize,
    pub from: String,
    pub to: Vec<String>,
    /// As sent, dots unstuffed, without the final dot.
    pub data: Vec<u8>,
    pub login: Option<String>,
    pub encrypted: bool,
    pub mail_at: Instant,
    pub dot_at: Instant,
    /// `None` where the script dropped the connection instead of answering.
    pub answered_at: Option<Instant>,
}

impl Received {
    /// The value of a header, folded lines joined.
    pub fn header(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.data);
        let head = text.split("\r\n\r\n").next()?.replace("\r\n ", " ").replace("\r\n\t", " ");
        let mut fields = head.split("\r\n").filter_map(|line| line.split_once(": "));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    }
}

/// The running server; dropping it closes its port and every connection.
pub struct SmtpServer {
    port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    script: Script,
    rules: Mutex<Vec<Rule>>,
    logins: Mutex<Vec<(String, String)>>,
    tls: Mutex<Tls>,
    seen: Mutex<HashMap<At, usize>>,
    log: Mutex<Vec<Received>>,
    accepted: watch::Sender<usize>,
    /// Connections made and connections still open.
    connections: watch::Sender<(usize, usize)>,
}

impl SmtpServer {
    pub async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            rules: Mutex::new(script.rules.clone()),
            logins: Mutex::new(script.login.iter().cloned().collect()),
            tls: Mutex::new(script.tls.clone()),
            script,
            seen: Mutex::default(),
            log: Mutex::default(),
            accepted: watch::Sender::new(0),
            connections: watch::Sender::new((0, 0)),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { port, shared, accepting }
    }

    pub fn port(&self) -> u16 {
        self.port
    }
    /// A profile URL in the clear.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}?tls=none", self.port)
    }
    /// Puts a rule before all others.
    pub fn add(&self, rule: Rule) {
        self.shared.rules.lock().unwrap().insert(0, rule);
    }
    /// How many rules of a fixed number of times have some of them left.
    pub fn rules_left(&self) -> usize {
        self.shared
            .rules
            .lock()
            .unwrap()
            .iter()
            .filter(|rule| (1..usize::MAX / 2).contains(&rule.times))
            .count()
    }
    pub fn clear_rules(&self) {
        self.shared.rules.lock().unwrap().clear();
    }
    /// From now on demands one of these users and passwords before MAIL.
    pub fn demand(&self, logins: &[(&str, &str)]) {
        let logins = logins.iter().map(|(user, password)| ((*user).into(), (*password).into()));
        *self.shared.logins.lock().unwrap() = logins.collect();
    }
    /// Encrypts connections so from now on.
    pub fn encrypt(&self, tls: Tls) {
        *self.shared.tls.lock().unwrap() = tls;
    }
    /// Every message accepted so far, in the order of their dots.
    pub fn received(&self) -> Vec<Received> {
        self.shared.log.lock().unwrap().clone()
    }
    /// The same but for the first so many.
    pub fn received_after(&self, count: usize) -> Vec<Received> {
        self.shared.log.lock().unwrap()[count..].to_vec()
    }
    /// How often a moment has come; for bodies ask `Data`, for their ends `Dot`.
    pub fn seen(&self, at: At) -> usize {
        self.shared.seen.lock().unwrap().get(&at).copied().unwrap_or(0)
    }
    /// Connections made so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.borrow().0
    }
    /// Connections open now.
    pub fn open(&self) -> usize {
        self.shared.connections.borrow().1
    }
    /// Waits until `n` messages are accepted.
    pub async fn wait_for(&self, n: usize, within: Duration) -> Vec<Received> {
        let mut accepted = self.shared.accepted.subscribe();
        let enough = accepted.wait_for(|count| *count >= n);
        if tokio::time::timeout(within, enough).await.is_err() {
            panic!("{} of {n} messages came within {within:?}", self.received().len());
        }
        self.received()
    }
    /// Waits until every connection is closed: nothing more can come.
    pub async fn wait_closed(&self, within: Duration) {
        let mut connections = self.shared.connections.subscribe();
        let closed = connections.wait_for(|(_, open)| *open == 0);
        assert!(tokio::time::timeout(within, closed).await.is_ok(), "{} connections stay open", self.open());
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut running = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        shared.connections.send_modify(|(made, open)| (*made, *open) = (*made + 1, *open + 1));
        let connection = shared.connections.borrow().0;
        let shared = Arc::clone(&shared);
        running.spawn(async move {
            if socket.set_nodelay(true).is_ok() {
                let _ = dialogue::serve(socket, connection, &shared).await;
            }
            shared.connections.send_modify(|(_, open)| *open -= 1);
        });
        while running.try_join_next().is_some() {}
    }
}

impl Shared {
    fn tls(&self) -> Tls {
        self.tls.lock().unwrap().clone()
    }

    fn act(&self, at: At, to: &[String]) -> Option<Act> {
        *self.seen.lock().unwrap().entry(at).or_default() += 1;
        self.rules.lock().unwrap().iter_mut().find_map(|rule| {
            let fits = rule.at == at && (rule.to.is_empty() || to.iter().any(|to| to.contains(&rule.to)));
            if !fits || rule.times == 0 {
                return None;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                return None;
            }
            rule.times -= 1;
            Some(rule.act.clone())
        })
    }

    fn demands_login(&self) -> bool {
        !self.logins.lock().unwrap().is_empty()
    }

    /// The shortest body length a rule waits for.
    fn body_limit(&self) -> Option<usize> {
        let rules = self.rules.lock().unwrap();
        let lengths = rules.iter().filter(|rule| rule.times > 0);
        lengths.filter_map(|rule| if let At::Body(n) = rule.at { Some(n) } else { None }).min()
    }
}
