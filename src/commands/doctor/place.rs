//! What can be seen without asking anybody: files and settings.

use super::{Bad, Finding, Good, Note, bad};
use crate::config::{Config, secret};
use sendwright_workflows::clock::{DAY, Millis};
use std::io;
use std::path::Path;

/// Whether the data directory can be written to, and the journal in it where there is one already.
pub fn data(config: &Config) -> Finding {
    let shown = config.data.display();
    if !config.has_data() {
        return Note(
            "no data directory, so no journal: after a crash of the whole machine more stays uncertain; \
             give SENDWRIGHT_DATA a directory of this process's own"
                .to_owned(),
        );
    }
    let journal = config.data.join("journal");
    let is_new = !config.data.is_dir();
    let tried = config.make_data().and_then(|()| probe(&config.data)).and_then(|()| match journal.is_dir() {
        true => probe(&journal),
        false => Ok(()),
    });
    if is_new {
        // Looking changes nothing. Where it is not empty any more somebody else has moved in.
        let _ = std::fs::remove_dir(&config.data);
    }
    match tried {
        Ok(()) => Good(format!("{shown} can be written to; the worker's journal is kept in it")),
        Err(error) => {
            bad(format!("{shown}: {error}"), "give SENDWRIGHT_DATA or --data a directory of its own")
        }
    }
}

/// Writes a file to the disk and removes it.
fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".doctor.{}", std::process::id()));
    let file = std::fs::File::create(&path)?;
    let written = file.sync_all();
    std::fs::remove_file(&path)?;
    written
}

/// Whether links and stored secrets can be signed and sealed.
pub fn secret(config: &Config) -> Finding {
    match (&config.secret, config.database.is_embedded()) {
        (Some(_), _) => Good("SENDWRIGHT_SECRET is given".to_owned()),
        (None, true) if config.data.join("secret").exists() => match secret::load(config) {
            Ok(_) => Good("in the data directory; keep a copy beside your backups".to_owned()),
            Err(_) => Bad("the file `secret` in the data directory does not read: restore it".to_owned()),
        },
        (None, true) => Note("none yet; the first start makes one in the data directory".to_owned()),
        (None, false) => {
            Bad("SENDWRIGHT_SECRET is required with Postgres: `openssl rand -hex 32` makes one".to_owned())
        }
    }
}

/// How a recipient opts out.
pub fn public_url(config: &Config) -> Finding {
    match (config.http.public_url.as_ref().map(|url| url.scheme()), &config.smtp) {
        (Some("https"), _) => Good("https: unsubscribe links and one-click unsubscribe (RFC 8058)".to_owned()),
        (Some(_), _) => Note(
            "not https: links work, one-click unsubscribe (RFC 8058) is off, which large providers ask for"
                .to_owned(),
        ),
        (None, Some(_)) => Note(
            "none: no link to unsubscribe in any message, only a List-Unsubscribe header with a mailto, whose \
             answers you must heed by hand (`suppress add`); set SENDWRIGHT_PUBLIC_URL"
                .to_owned(),
        ),
        (None, None) => Note("none; before real mail goes out, set SENDWRIGHT_PUBLIC_URL".to_owned()),
    }
}

/// D, the most a crash of one worker can leave unknown (promise 2), and the lease.
pub fn hand_overs(config: &Config) -> Finding {
    let (d, lease) = (config.worker.open_handovers, config.worker.lease.as_secs());
    Good(format!(
        "D = {d}: a crash of one worker leaves at most {d} messages uncertain; known after {lease} s, the lease"
    ))
}

/// How long what has served its purpose is kept.
pub fn kept(config: &Config) -> Finding {
    let days = |kept: Option<Millis>| match kept {
        Some(kept) => format!("{} days", kept / DAY),
        None => "for ever".to_owned(),
    };
    let keep = &config.keep;
    let kinds = [
        ("deliveries", keep.deliveries),
        ("those given up", keep.dead_deliveries),
        ("inbound wording", keep.inbound),
        ("opens and clicks", keep.hits),
        ("usage", keep.usage),
        ("imports", keep.imports),
        ("runs", keep.runs),
    ];
    Good(kinds.map(|(what, kept)| format!("{what} {}", days(kept))).join(", "))
}
