//! A server process of this test binary, in a directory of its own, that cannot outlive it.

use std::fs::{self, File};
use std::io::{Error, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::plan;

/// Is told the process id of the server, an empty line once it has ended. Its input ends with the server's value or
/// with this process, however that ends: then it ends the server and removes the directory.
const WATCHDOG: &str = r#"
    while read -r line; do pid=$line; done
    if [ -n "$pid" ]; then
        kill -CONT "$pid"; kill -INT "$pid"
        for _ in $(seq 50); do kill -0 "$pid" || break; sleep 0.1; done
        kill -0 "$pid" && kill -KILL "$pid"
    fi
    rm -rf "$1"
"#;

/// A directory, and the server that runs in it or may be started there again.
pub struct Server {
    path: PathBuf,
    /// What the plan calls it: its program and first word.
    name: String,
    user: Option<(u32, u32)>,
    child: Option<Child>,
    watchdog: Child,
}

impl Server {
    /// Makes an empty directory below the system's temporary one; nothing runs yet. Where the tests run as root it
    /// belongs to another user, as whom the server will run: PostgreSQL refuses to run as root.
    pub fn create() -> Result<Server, Error> {
        let path = directory()?;
        let user = if fs::metadata(&path)?.uid() == 0 { Some(unprivileged_user()?) } else { None };
        if let Some((uid, gid)) = user {
            chown(&path, Some(uid), Some(gid))?;
        }
        Server::watched(path, user)
    }

    /// The same for a program that runs as whoever runs the tests.
    pub fn create_own() -> Result<Server, Error> {
        Server::watched(directory()?, None)
    }

    fn watched(path: PathBuf, user: Option<(u32, u32)>) -> Result<Server, Error> {
        let watchdog = as_user(&mut Command::new("sh"), user)
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Server { path, name: String::new(), user, child: None, watchdog })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A command that runs in the directory, as the user who owns it.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        as_user(&mut command, self.user).current_dir(&self.path);
        command
    }

    /// Runs a command to its end, which must be a good one.
    pub fn run(&mut self, mut command: Command) -> Result<(), Error> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        self.tell_watchdog(&child.id().to_string());
        let output = child.wait_with_output()?;
        self.tell_watchdog("");
        let words = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(()) } else { Err(Error::other(format!("{command:?}: {words}"))) }
    }

    /// Starts the server and waits until `ready` says of its process id that it serves.
    ///
    /// An error carries the server's log, to which every start adds.
    pub fn start(&mut self, mut command: Command, ready: impl Fn(u32) -> bool) -> Result<(), Error> {
        let log = File::options().create(true).append(true).open(self.path.join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let child = command.spawn()?;
        let pid = child.id();
        self.name = format!("{} {pid}", shown(&command));
        plan::say(format_args!("{} starts", self.name));
        self.tell_watchdog(&pid.to_string());
        self.child = Some(child);
        self.wait_until(ready)
    }

    /// Waits until `ready` says of the process id of what was started that it serves.
    pub fn wait_until(&mut self, ready: impl Fn(u32) -> bool) -> Result<(), Error> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !ready(self.id()) {
            if self.wait(Duration::ZERO).is_some() {
                let log = fs::read_to_string(self.path.join("log"))?;
                return Err(Error::other(format!("{} ended: {log}", self.name)));
            }
            assert!(Instant::now() < deadline, "{} is not ready after a minute", self.name);
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// The process id of what was started.
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// How the running server ended by itself; none where it has not within so long.
    pub fn wait(&mut self, within: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + within;
        loop {
            let ended = self.child.as_mut().expect("the server runs").try_wait().expect("our own child");
            if let Some(status) = ended {
                plan::say(format_args!("{} has ended: {status}", self.name));
                self.child = None;
                self.tell_watchdog("");
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Sends the running server the signal of that name (`STOP`, `CONT`, …).
    pub fn signal(&self, name: &str) {
        let child = self.child.as_ref().expect("the server runs");
        plan::say(format_args!("{} gets SIG{name}", self.name));
        let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -s {name} of our own server failed");
    }

    /// Ends the running server with a signal that it does not survive, and tells how it ended; the directory stays
    /// for another start.
    pub fn end(&mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        let mut child = self.child.take().expect("the server runs");
        let status = child.wait().expect("our own server can be waited for");
        self.tell_watchdog("");
        status
    }

    /// How much memory the running server has now, MiB; 0 where the system does not say.
    pub fn memory(&self) -> u64 {
        let child = self.child.as_ref().expect("the server runs");
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() / 1_024
    }

    /// Whether it runs, as far as this side has heard.
    pub fn runs(&self) -> bool {
        self.child.is_some()
    }

    fn tell_watchdog(&mut self, pid: &str) {
        let input = self.watchdog.stdin.as_mut().expect("the watchdog listens while the server lives");
        writeln!(input, "{pid}").expect("the watchdog listens");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.child.take().map(|mut child| child.wait());
        let _ = self.watchdog.wait();
    }
}

fn directory() -> Result<PathBuf, Error> {
    Ok(tempfile::Builder::new().prefix("sendwright-it-").tempdir()?.keep())
}

/// Its program and its first word, `sendwright worker`.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy();
    let role = command.get_args().next().filter(|word| !word.to_string_lossy().starts_with('-'));
    role.map_or_else(|| program.to_string(), |role| format!("{program} {}", role.to_string_lossy()))
}

fn as_user(command: &mut Command, user: Option<(u32, u32)>) -> &mut Command {
    match user {
        Some((uid, gid)) => command.uid(uid).gid(gid),
        None => command,
    }
}

/// Starts a server on a port of 127.0.0.1 that was free a moment before; where it is taken by then, on another.
pub fn on_a_free_port(mut start: impl FnMut(u16) -> Result<(), Error>) -> u16 {
    let mut attempt = || {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        start(port).map(|()| port)
    };
    (0..4)
        .find_map(|_| attempt().ok())
        .unwrap_or_else(|| attempt().expect("the server starts on a free port"))
}

/// The first directory of `PATH`, then of `elsewhere`, that holds a program of this name.
pub fn find_program(name: &str, elsewhere: &[PathBuf]) -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(elsewhere.iter().cloned())
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
        .ok_or_else(|| Error::other(format!("no {name} here: `make test` installs what the tests need")))
}

fn unprivileged_user() -> Result<(u32, u32), Error> {
    let users = fs::read_to_string(Path::new("/etc/passwd"))?;
    let ids = |name: &str| {
        let mut fields =
            users.lines().map(|line| line.split(':')).find(|line| line.clone().next() == Some(name))?;
        Some((fields.nth(2)?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    ["postgres", "nobody"].into_iter().find_map(ids).ok_or_else(|| {
        Error::other("PostgreSQL refuses to run as root, and there is no user postgres or nobody")
    })
}
