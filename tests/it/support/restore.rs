//! A backup of an installation, and the installation as it is once that is restored.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sendwright_store::Db;

use super::plan;
use super::postgres::program;
use super::process::run;
use super::site::Site;

/// How long a start that is to be refused may take.
const SOON: Duration = Duration::from_secs(60);

impl Site {
    /// Makes a backup beside whatever runs: by our own command, or by `pg_dump`.
    pub fn back_up(&self, file: &Path) {
        plan::say("a backup is made");
        match self.url.starts_with("postgres") {
            true => pg("pg_dump", &["--format=custom", "--file", text(file), "--dbname", &self.url]),
            false => drop(self.say(&["backup", text(file)])),
        }
    }

    /// Puts a backup in the place of the database, as an operator does once nothing runs.
    pub async fn restore(&mut self, file: &Path) {
        plan::say("it is put in the place of the database");
        self.db.close().await;
        if self.url.starts_with("postgres") {
            let words = ["--clean", "--if-exists", "--no-owner", "--exit-on-error", "--dbname", &self.url];
            pg("pg_restore", &[&words[..], &[text(file)]].concat());
        } else {
            let database = self.data(0).join("sendwright.db");
            for ending in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{}{ending}", database.display()));
            }
            std::fs::copy(file, &database).unwrap();
        }
    }

    /// Looks into the database again, once everything has let go of it.
    pub async fn reopen(&mut self) {
        self.db = Db::connect(&self.url, 4).await.unwrap();
    }

    /// What our own command prints for machines.
    pub fn say(&self, words: &[&str]) -> String {
        run(words, &self.environment)
    }

    /// What our own command says that fails.
    pub fn fails(&self, words: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sendwright"));
        command.args(words).env_clear().envs(self.environment.iter().map(|(k, v)| (k, v)));
        let ended = command.output().unwrap();
        assert!(!ended.status.success(), "{words:?} did not fail");
        String::from_utf8_lossy(&ended.stderr).into_owned()
    }

    /// What a sender says that does not start.
    pub fn refused(&self) -> String {
        let (role, data) =
            if self.workers.is_empty() { ("up", self.data(0)) } else { ("worker", self.data(0)) };
        let mut command = Command::new(env!("CARGO_BIN_EXE_sendwright"));
        command.arg(role).env_clear().envs(self.environment.iter().map(|(k, v)| (k, v)));
        command.env("SENDWRIGHT_DATA", data).env("SENDWRIGHT_BIND", "127.0.0.1:0");
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() && begun.elapsed() < SOON {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = child.kill();
        let ended = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "it started: {told}");
        told
    }

    /// Waits until sender `n` has kept a beat later than now.
    pub async fn until_later(&self, n: usize) {
        let kept = self.data(n).join("latest");
        let now = || std::fs::read_to_string(&kept).unwrap_or_default();
        let (before, begun) = (now(), Instant::now());
        while now() == before {
            assert!(begun.elapsed() < SOON, "no beat is kept in {}", kept.display());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends every role: in good order, or by SIGKILL.
    pub fn end_all(&mut self, orderly: bool) {
        plan::say(if orderly { "every role ends" } else { "every role is killed" });
        let roles = self.workers.iter_mut().chain(&mut self.scheduler).chain([&mut self.front]);
        for role in roles {
            match orderly {
                true => assert_eq!(role.terminate().code(), Some(0)),
                false => role.kill(),
            }
        }
    }

    /// Starts every role again.
    pub fn start_all(&mut self) {
        let roles = [&mut self.front].into_iter().chain(&mut self.scheduler).chain(&mut self.workers);
        roles.for_each(|role| role.start_again());
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn pg(name: &str, words: &[&str]) {
    let program: PathBuf = program(name).unwrap();
    let done = Command::new(program).args(words).output().unwrap();
    assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
}
