//! A server process of this test binary, in a directory of its own, that cannot outlive it.

use std::fs::{self, File};
use std::io::{Error, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Waits for the end of its input, which comes with the server's value or with this process, however that ends; then
/// ends the server and removes its directory. A line of input says that the server was ended already.
const WATCHDOG: &str = r#"
    read -r _ && exit
    kill -CONT "$1"; kill -INT "$1"
    for _ in $(seq 50); do
        kill -0 "$1" || { rm -rf "$2"; exit; }
        sleep 0.1
    done
    kill -KILL "$1"; rm -rf "$2"
"#;

/// One running server process.
pub struct Server {
    child: Child,
    watchdog: Child,
}

impl Server {
    /// Starts `command` for `home` and waits until `ready` says of its process id that it serves.
    ///
    /// An error carries the end of the server's log.
    pub fn start(command: &mut Command, home: &Home, ready: impl Fn(u32) -> bool) -> Result<Server, Error> {
        let log = File::create(home.path().join("log"))?;
        home.owned_by_its_user(command)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        let child = command.spawn()?;
        let mut server = Server { watchdog: home.watchdog(child.id())?, child };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !ready(server.child.id()) {
            if server.child.try_wait()?.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(home.path().join("log")).unwrap_or_default();
                return Err(Error::other(format!("{command:?} did not come up: {log}")));
            }
            sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    /// Sends the signal of that name (`STOP`, `CONT`, …).
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -s {name} of our own server failed");
    }

    /// Ends the process with a signal that it does not survive, and leaves its directory for another start.
    pub fn end(mut self, signal: &str) {
        self.signal(signal);
        self.child.wait().expect("our own server can be waited for");
        if let Some(mut watchdog) = self.watchdog.stdin.take() {
            let _ = writeln!(watchdog);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.child.wait();
        let _ = self.watchdog.wait();
    }
}

/// The directory a server lives in, and the user it runs as: PostgreSQL refuses to run as root.
#[derive(Clone)]
pub struct Home {
    directory: Arc<TempDir>,
    user: Option<(u32, u32)>,
}

impl Home {
    /// Makes an empty directory below the system's temporary one; it goes with the last clone.
    pub fn create() -> Result<Home, Error> {
        let directory = tempfile::Builder::new().prefix("sendwright-it-").tempdir()?;
        let user = if fs::metadata(&directory)?.uid() == 0 { Some(unprivileged_user()?) } else { None };
        if let Some((uid, gid)) = user {
            chown(&directory, Some(uid), Some(gid))?;
        }
        Ok(Home { directory: Arc::new(directory), user })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Lets `command` run in the directory as the user who owns it.
    pub fn owned_by_its_user<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command.current_dir(self.path())
    }

    fn watchdog(&self, pid: u32) -> Result<Child, Error> {
        let mut command = Command::new("sh");
        command.args(["-c", WATCHDOG, "watchdog", &pid.to_string()]).arg(self.path());
        self.owned_by_its_user(&mut command)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
    }
}

/// A port of 127.0.0.1 that was free a moment ago.
pub fn free_port() -> Result<u16, Error> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
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
