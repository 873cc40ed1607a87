//! The installation's secrets: given in the environment, or made once in the data directory.

use super::{Config, unusable};
use crate::failure::Failure;
use sendwright_workflows::signing::Secret;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Whether a text holds secrets, separated by commas; it is given back as it is.
pub(super) fn check(text: &str) -> Result<String, String> {
    let secrets = parse(text).map_err(|error| format!("does not read: {error}"))?;
    let is_guessed = |secret: &Secret| secret.as_bytes().iter().all(|byte| *byte == secret.as_bytes()[0]);
    match secrets.iter().any(is_guessed) {
        true => {
            Err("is one byte over and over, which anybody guesses: `openssl rand -hex 32` makes one"
                .to_owned())
        }
        false => Ok(text.to_owned()),
    }
}

fn parse(text: &str) -> Result<Vec<Secret>, sendwright_workflows::signing::SecretError> {
    text.split(',').map(Secret::parse).collect()
}

/// The secrets: the first seals and signs, every one opens. On SQLite a missing one is made, DATA/secret, 0600;
/// of two processes that start together both get the same.
///
/// # Errors
/// There is none on Postgres; the file cannot be read, or does not hold one.
pub fn load(config: &Config) -> Result<Vec<Secret>, Failure> {
    if let Some(given) = &config.secret {
        return parse(given.reveal())
            .map_err(|error| Failure::config(vec![format!("SENDWRIGHT_SECRET {error}")]));
    }
    if !config.database.is_embedded() {
        let line = "SENDWRIGHT_SECRET is required with Postgres: `openssl rand -hex 32` makes one";
        return Err(Failure::config(vec![line.to_owned()]));
    }
    let path = config.data.join("secret");
    let explain = |error: io::Error| unusable(&path, &error);
    if !path.exists() {
        config.need_data()?;
        make(&config.data, &path).map_err(explain)?;
    }
    let text = fs::read_to_string(&path).map_err(explain)?;
    let mode = fs::metadata(&path).map_err(explain)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(file = %path.display(), "others can read the secret; run chmod 600 on it");
    }
    parse(&text).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

/// Writes a new secret beside its place and links it there: never half a file, never over an older one.
fn make(data: &Path, path: &Path) -> io::Result<()> {
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let draft = data.join(format!("secret.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    writeln!(file, "{}", hex::encode(random))?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => fs::File::open(data)?.sync_all(),
    }
}
