//! Real `sendwright` processes: started, broken and ended by process id; a test that fails prints their logs.

use std::fs;
use std::io::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::server::Server;

/// Most bytes of a log that a failing test prints.
const SHOWN: usize = 8_000;

/// How long a point may take that is to be passed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Variables of a process, beyond which it sees none.
pub type Environment = Vec<(&'static str, String)>;

/// A role that runs, or may be started again where it ran. Gone with the value, by SIGKILL.
pub struct Process {
    server: Server,
    arguments: Vec<String>,
    environment: Environment,
    /// Where in the log the present life begins.
    since: usize,
}

impl Process {
    /// Starts `sendwright` and waits until it is at work.
    pub fn start(arguments: &[&str], environment: &Environment) -> Process {
        let mut process = Process {
            server: Server::create_own().expect("a directory for a process"),
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            environment: environment.clone(),
            since: 0,
        };
        process.start_again();
        process
    }

    /// Variables that it sees from its next start on.
    pub fn set(&mut self, more: Environment) {
        self.environment.extend(more);
    }

    /// Starts it again with the same words, in the same directory.
    pub fn start_again(&mut self) {
        self.spawn_again();
        self.wait_until_at_work();
    }

    /// The same, and does not wait until it is at work.
    pub fn spawn_again(&mut self) {
        let log = self.server.path().join("log");
        self.since = fs::metadata(&log).map_or(0, |log| log.len() as usize);
        let mut command = self.server.command(Path::new(env!("CARGO_BIN_EXE_sendwright")));
        command.args(&self.arguments).env_clear().envs(self.environment.iter().map(|(k, v)| (k, v)));
        self.server.start(command, |_| true).expect("the process starts");
    }

    /// Waits until it is at work.
    pub fn wait_until_at_work(&mut self) {
        let (log, since) = (self.server.path().join("log"), self.since);
        let words = at_work(&self.arguments[0]);
        self.server.wait_until(|_| said(&log, since).contains(words)).expect("the process is at work");
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// Waits until it ends by itself, and tells how.
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        self.ended(within).unwrap_or_else(|| panic!("it runs on after {within:?}"))
    }

    /// How it ended by itself; none where it has not within so long.
    pub fn ended(&mut self, within: Duration) -> Option<ExitStatus> {
        self.server.wait(within)
    }

    /// Ends it in good order and starts it again with more variables.
    pub fn start_with(&mut self, more: Environment) {
        self.terminate();
        self.environment.extend(more);
        self.start_again();
    }

    /// The directory that it runs and logs in.
    pub fn path(&self) -> &Path {
        self.server.path()
    }

    /// Has it break at a point from its next start on: see `sendwright_fail`. `None`: it breaks nowhere.
    pub fn arm(&mut self, plan: Option<&str>) {
        self.environment.retain(|(name, _)| *name != "SENDWRIGHT_FAIL");
        self.environment.extend(plan.map(|plan| ("SENDWRIGHT_FAIL", plan.to_owned())));
    }

    /// Waits until it has passed the point that it is armed with.
    pub async fn until_it_fails(&self) {
        let begun = Instant::now();
        while !self.log().contains("fail point ") {
            assert!(begun.elapsed() < PATIENCE, "the point was never passed");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What it has logged since its last start.
    pub fn log(&self) -> String {
        said(&self.server.path().join("log"), self.since)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        let log = self.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut addresses = lines.filter_map(|line| line["address"].as_str()?.parse().ok());
        addresses.next().expect("a process that listens says where")
    }

    /// How much memory it has now, MiB.
    pub fn memory(&self) -> u64 {
        self.server.memory()
    }

    /// Ends it with SIGKILL, wherever it stands.
    pub fn kill(&mut self) {
        self.server.end("KILL");
    }

    /// Strikes it with SIGKILL and does not wait; [`Process::kill`] sees it off.
    pub fn strike(&self) {
        self.server.signal("KILL");
    }

    /// Asks it to end and waits until it has.
    pub fn terminate(&mut self) -> ExitStatus {
        self.server.end("TERM")
    }

    /// Asks it to end and does not wait.
    pub fn ask_to_end(&self) {
        self.server.signal("TERM");
    }

    /// Stops it where it stands (SIGSTOP).
    pub fn pause(&self) {
        self.server.signal("STOP");
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        self.server.signal("CONT");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = said(&self.server.path().join("log"), 0);
            let start = log.len().saturating_sub(SHOWN);
            let shown = log.get(start..).unwrap_or(&log);
            eprintln!("--- sendwright {} ---\n{shown}", self.arguments.join(" "));
        }
        if self.server.runs() {
            self.kill();
        }
    }
}

/// What a role says once it is at work.
fn at_work(role: &str) -> &'static str {
    match role {
        "api" => "\"message\":\"ready\"",
        "scheduler" => "the scheduler ticks",
        _ => "worker begins",
    }
}

fn said(log: &Path, since: usize) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(bytes.get(since..).unwrap_or_default()).into_owned()
}

/// Runs a command to its end, whatever that is: its code, and what it told people.
pub fn ended(arguments: &[&str], environment: &Environment) -> (Option<i32>, String) {
    let output = command(arguments, environment).output().expect("our own program runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Runs a command to its end, whatever that is; what it printed for machines.
pub fn run_whole(arguments: &[&str], environment: &Environment) -> String {
    let output = command(arguments, environment).output().expect("our own program runs");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The program with these words and variables, and no others.
pub fn command(arguments: &[&str], environment: &Environment) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sendwright"));
    command.args(arguments).env_clear().envs(environment.iter().map(|(k, v)| (k, v)));
    command.current_dir(std::env::temp_dir());
    command
}

/// Runs a command to its end, which must be a good one; what it printed for machines.
pub fn run(arguments: &[&str], environment: &Environment) -> String {
    let output = command(arguments, environment).output().expect("our own program runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Every line of every journal below a data directory, as written.
pub fn journal_lines(data: &Path) -> Vec<Value> {
    let files = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let segments = files(data.join("journal")).flat_map(files);
    let texts = segments.filter_map(|path| fs::read_to_string(path).ok());
    let lines = |text: String| {
        let json = |line: &str| serde_json::from_str(line.split_once(' ')?.1).ok();
        text.lines().filter_map(json).collect::<Vec<Value>>()
    };
    texts.flat_map(lines).collect()
}

/// One request with a JSON body over a connection of its own: the status and the answer, or that the server was not
/// there for it.
pub async fn call(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Result<(u16, Value), Error> {
    let json = [("content-type", "application/json")];
    let headers = if body.is_some() { [headers, &json].concat() } else { headers.to_vec() };
    let body = body.map(Value::to_string).unwrap_or_default();
    let (status, answer) = exchange(to, method, path, &headers, body.as_bytes()).await?;
    Ok((status, serde_json::from_str(&answer).unwrap_or_default()))
}

/// The same with any body.
pub async fn exchange(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<(u16, String), Error> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n");
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    if !body.is_empty() {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    let mut stream = TcpStream::connect(to).await?;
    stream.write_all(&[format!("{head}\r\n").as_bytes(), body].concat()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| Error::other("no answer"))?;
    let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok());
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    if length.is_some_and(|length: usize| length != body.len()) {
        return Err(Error::other("half an answer"));
    }
    let status = status.ok_or_else(|| Error::other("no status"))?;
    Ok((status, body.to_owned()))
}
