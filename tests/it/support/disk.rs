//! A disk of the test's own making, between one process and the system's real one: full when the test says so, or unable to
//! sync. A small library (`disk.c`) that the process loads before all others stands for it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::plan;
use super::process::Environment;

const SOURCE: &str = include_str!("disk.c");
const LIBRARY: &str = "disk.so";

/// The disk that some directories lie on; gone with the value, which outlives who writes to it.
pub struct Disk {
    state: TempDir,
    directories: Vec<PathBuf>,
}

impl Disk {
    /// A sound one with room, under these directories.
    pub fn under(directories: &[&Path]) -> Disk {
        let state = tempfile::tempdir().expect("a directory for a disk's state");
        // A server may run as somebody else.
        fs::set_permissions(state.path(), Permissions::from_mode(0o777)).expect("it is ours");
        compile(state.path());
        let directories = directories.iter().map(|path| path.canonicalize().expect("it is there"));
        Disk { directories: directories.collect(), state }
    }

    /// What a process is told that it may find the disk.
    pub fn environment(&self) -> Environment {
        let directories = self.directories.iter().map(|path| path.display().to_string());
        vec![
            ("LD_PRELOAD", self.state.path().join(LIBRARY).display().to_string()),
            ("DISK_OF", directories.collect::<Vec<_>>().join(":")),
            ("DISK_STATE", self.state.path().display().to_string()),
        ]
    }

    /// From now on nothing grows.
    pub fn fill(&self) {
        self.set("full");
    }

    /// From now on nothing is synced.
    pub fn break_syncs(&self) {
        self.set("broken");
    }

    /// The next sync fails, and no other.
    pub fn break_a_sync(&self) {
        self.set("once");
    }

    /// It has room and syncs again.
    pub fn mend(&self) {
        plan::say("the disk is mended");
        for state in ["full", "broken", "once"] {
            let _ = fs::remove_file(self.state.path().join(state));
        }
    }

    fn set(&self, state: &str) {
        plan::say(format_args!("the disk of {:?} is {state}", self.directories));
        fs::write(self.state.path().join(state), "").expect("the state of a disk is written down");
    }
}

/// Compiles the library into a directory.
fn compile(directory: &Path) {
    let source = directory.join("disk.c");
    fs::write(&source, SOURCE).expect("its source is written");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O2", "-o"]).args([&directory.join(LIBRARY), &source]).arg("-ldl");
    let compiled = compiler.output().expect("cc, which links what is tested, is there");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
}
