//! One process per role and data directory: a second one is refused by name (DESIGN, One SQL text).

use crate::config::{Config, unusable};
use crate::failure::Failure;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

/// A role's lock in a data directory; given back when it is dropped, or when the process dies.
#[derive(Debug)]
pub struct RoleLock(#[allow(dead_code, reason = "held, not read")] File);

impl RoleLock {
    /// Takes `role` on SQLite. On Postgres any number may run: nothing is taken.
    ///
    /// # Errors
    /// Who has it; or the data directory cannot be written to.
    pub fn of(config: &Config, role: &str) -> Result<Option<Self>, Failure> {
        if !config.database.is_embedded() {
            return Ok(None);
        }
        config.need_data()?;
        Self::take(&config.data, role).map(Some)
    }

    /// Takes `role` in `data`, or says who has it.
    pub fn take(data: &Path, role: &str) -> Result<Self, Failure> {
        let path = data.join(format!("{role}.lock"));
        let explain = |error: std::io::Error| unusable(&path, &error);
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = options.map_err(explain)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                return Err(Failure::new(format!(
                    "{}: process {} already runs the {role} here; stop it first, or give --data another directory",
                    data.display(),
                    pid.trim()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(explain(error)),
        }
        file.set_len(0).map_err(explain)?;
        writeln!(file, "{}", std::process::id()).map_err(explain)?;
        Ok(Self(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_by_pid_and_the_lock_is_free_again_afterwards() {
        let data = tempfile::tempdir().unwrap();
        let first = RoleLock::take(data.path(), "worker").unwrap();
        let refused = format!("{:?}", RoleLock::take(data.path(), "worker").unwrap_err());
        assert!(refused.contains(&std::process::id().to_string()), "{refused}");
        assert!(RoleLock::take(data.path(), "scheduler").is_ok());
        drop(first);
        assert!(RoleLock::take(data.path(), "worker").is_ok());
    }
}
