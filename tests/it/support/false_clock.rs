//! A wall clock that is wrong, for processes that are started with it (libfaketime). What only ever runs on, the monotonic and
//! the boot-time clock, stays as it is, as on a machine whose clock is set.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::plan;
use super::process::Environment;

/// The clock; it may be set while processes run that were started with it.
pub struct FalseClock(TempDir);

impl FalseClock {
    /// A clock that is right, so far.
    pub fn right() -> FalseClock {
        let clock = FalseClock(tempfile::tempdir().unwrap());
        clock.put_off(0);
        clock
    }

    /// Sets it so many seconds before the machine's, or behind it.
    pub fn put_off(&self, seconds: i64) {
        plan::say(format_args!("a clock is set {seconds:+} s off"));
        let (new, file) = (self.0.path().join("new"), self.file());
        fs::write(&new, format!("{seconds:+}\n")).unwrap();
        fs::rename(new, file).unwrap();
    }

    /// What a process must see to go by it.
    pub fn environment(&self) -> Environment {
        vec![
            ("LD_PRELOAD", library().display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("offset")
    }
}

fn library() -> PathBuf {
    const NAME: &str = "libfaketimeMT.so.1";
    let below = |place: &str| fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.path());
    below("/usr/lib")
        .chain(below("/usr/local/lib"))
        .flat_map(|place| [place.join("faketime").join(NAME), place.join(NAME)])
        .find(|file| file.is_file())
        .expect(
            "no libfaketime here, so that no clock can be wrong: `make test` installs what the tests need",
        )
}
