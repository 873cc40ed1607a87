//! The SDKs (S0-09): packed as they are given away, installed, and used against a running server.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::process::{Environment, Process, run};

/// A server with a key, gone with the value.
struct Served {
    up: Process,
    key: String,
    _data: tempfile::TempDir,
}

impl Served {
    fn start() -> Served {
        let data = tempfile::tempdir().unwrap();
        let environment: Environment = vec![("SENDWRIGHT_DATA", data.path().display().to_string())];
        let key =
            run(&["key", "create", "--name", "sdk", "--tier", "unlimited"], &environment).trim().to_owned();
        let up = Process::start(&["up", "--bind", "127.0.0.1:0"], &environment);
        Served { up, key, _data: data }
    }

    fn url(&self) -> String {
        format!("http://{}", self.up.address())
    }
}

/// Whether a program is here; says so where it is not.
fn has(program: &str, argument: &str) -> bool {
    let found = Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!(
            "skipped: there is no {program} here, and the client for it cannot be packed or run without"
        );
    }
    found
}

/// Runs a command to a good end; what it printed.
fn done(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}{}", words(&output.stdout), words(&output.stderr));
    words(&output.stdout)
}

fn packed(language: &str) -> PathBuf {
    let printed = done(Command::new("sdks/pack").arg(language));
    PathBuf::from(printed.lines().last().expect("the path of the package"))
}

fn check(name: &str) -> PathBuf {
    Path::new("tests/it/sdks").join(name).canonicalize().unwrap()
}

#[test]
fn the_python_wheel_is_typed_pages_retries_and_verifies() {
    if !has("python3", "--version") {
        return;
    }
    let wheel = packed("python");
    let place = tempfile::tempdir().unwrap();
    let python = place.path().join("bin/python");
    done(Command::new("python3").args(["-m", "venv"]).arg(place.path()));
    done(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).arg(wheel));
    let served = Served::start();
    let said = done(Command::new(&python).arg(check("check.py")).args([&served.url(), &served.key]));
    assert_eq!(said.trim(), "python is served");
}

#[test]
fn the_javascript_package_is_typed_in_camel_case_pages_retries_and_verifies() {
    if !(has("node", "--version") && has("npm", "--version")) {
        return;
    }
    let package = packed("javascript");
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("package.json"), r#"{"private":true,"type":"module"}"#).unwrap();
    let install = ["install", "--silent", "--no-audit", "--no-fund"];
    done(Command::new("npm").args(install).arg(package).current_dir(place.path()));
    for name in ["check.mjs", "types.ts"] {
        std::fs::copy(check(name), place.path().join(name)).unwrap();
    }
    let compiler = Path::new("target/sdks/npm/node_modules/.bin/tsc").canonicalize().unwrap();
    let strict = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "types.ts"];
    done(Command::new(compiler).args(strict).current_dir(place.path()));
    let served = Served::start();
    let arguments = ["check.mjs".to_owned(), served.url(), served.key.clone()];
    let said = done(Command::new("node").args(arguments).current_dir(place.path()));
    assert_eq!(said.trim(), "javascript is served");
}
