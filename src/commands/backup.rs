//! `backup`: one consistent copy of an SQLite database, beside a running `up`.

use super::open;
use crate::config::Config;
use crate::failure::Failure;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Runs it.
///
/// # Errors
/// The file is there already, the disk does not take it, or the database is Postgres, which has its own ways.
pub fn run(config: &Config, file: &Path) -> Result<(), Failure> {
    if !config.database.is_embedded() {
        return Err(Failure::new(
            "on Postgres `pg_dump --format=custom --file=FILE \"$DATABASE_URL\"` makes the backup",
        ));
    }
    let Some(source) = config.database.sqlite_path().filter(|path| path.exists()) else {
        return Err(Failure::new(format!("{} holds no database yet", config.data.display())));
    };
    let explain = |error: std::io::Error| Failure::new(format!("{}: {error}", file.display()));
    if file.exists() {
        return Err(Failure::new(format!("{} is there already: a backup replaces nothing", file.display())));
    }
    let draft = file.with_file_name(format!(
        "{}.{}",
        file.file_name().unwrap_or_default().to_string_lossy(),
        std::process::id()
    ));
    let copied = open::block_on(async {
        let store = open::store(config).await?;
        Ok(store.db.copy_to(&draft).await?)
    });
    if let Err(failure) = copied {
        let _ = fs::remove_file(&draft);
        return Err(failure);
    }
    // It holds people's addresses: for nobody else's eyes.
    fs::set_permissions(&draft, Permissions::from_mode(0o600)).map_err(explain)?;
    File::open(&draft).and_then(|copy| copy.sync_all()).map_err(explain)?;
    fs::rename(&draft, file).map_err(explain)?;
    let (file, source, secret) = (file.display(), source.display(), config.data.join("secret"));
    eprintln!("{file} holds what {source} held; keep {} with it", secret.display());
    Ok(())
}
