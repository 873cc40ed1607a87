//! Twilio's own Python library, where it can be installed.

use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A directory with the library in it; none, and a word of it, where there is no Python or no network.
pub fn installed() -> Option<TempDir> {
    let place = tempfile::tempdir().unwrap();
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
    let done = pip.arg(place.path()).arg("twilio").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if done.is_ok_and(|status| status.success()) {
        return Some(place);
    }
    println!(
        "skipped: the Python package twilio could not be installed here (no such program, or no network)"
    );
    None
}

/// Runs a script of the library's users.
pub async fn python(script: &'static str, place: &Path, said: Value) -> Value {
    let place = place.to_owned();
    let run = move || {
        let mut python = Command::new("python3");
        python.args(["-c", script]).env("PYTHONPATH", place).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = python.spawn().unwrap();
        child.stdin.take().unwrap().write_all(said.to_string().as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    serde_json::from_str(&tokio::task::spawn_blocking(run).await.unwrap()).unwrap()
}
