//! `doctor`: every setting and every dependency, looked at from here, with what to do about each.

use super::open;
use crate::config::{Config, secret};
use crate::failure::Failure;
use sendwright_queue::{Health, Queue};
use sendwright_store::migrate;
use std::io::{self, Write};
use std::time::Duration;

/// What one look found.
enum Finding {
    /// As it should be.
    Good(String),
    /// Works, with a consequence to know of.
    Note(String),
    /// Must be put right.
    Bad(String),
}

use Finding::{Bad, Good, Note};

/// Runs it.
///
/// # Errors
/// Something must be put right; what, stands in the list.
pub fn run(config: &Config) -> Result<(), Failure> {
    let findings = open::block_on(async {
        Ok(vec![
            ("data", data(config)),
            ("secret", secret(config)),
            ("database", database(config).await),
            ("redis", redis(config).await),
            ("mail", mail(config)),
            ("model", model(config)),
            ("public url", public_url(config)),
            ("hand-overs", hand_overs(config)),
        ])
    })?;
    let mut out = io::stdout().lock();
    for (subject, finding) in &findings {
        let (mark, text) = match finding {
            Good(text) => ("ok  ", text),
            Note(text) => ("note", text),
            Bad(text) => ("BAD ", text),
        };
        writeln!(out, "{mark}  {subject:<10}  {text}")?;
    }
    match findings.iter().filter(|(_, finding)| matches!(finding, Bad(_))).count() {
        0 => Ok(()),
        bad => Err(Failure::new(format!("{bad} things must be put right"))),
    }
}

/// Whether the data directory can be written to; a worker keeps its journal there.
fn data(config: &Config) -> Finding {
    let probe = config.data.join(format!("doctor.{}", std::process::id()));
    let tried = config.make_data().and_then(|()| std::fs::write(&probe, b""));
    let shown = config.data.display();
    match tried.and_then(|()| std::fs::remove_file(&probe)) {
        Ok(()) => Good(format!("{shown} can be written to")),
        Err(error) => Bad(format!("{shown}: {error}; give SENDWRIGHT_DATA or --data a directory of its own")),
    }
}

fn secret(config: &Config) -> Finding {
    match (&config.secret, config.database.is_embedded()) {
        (Some(_), _) => Good("SENDWRIGHT_SECRET is given".to_owned()),
        (None, true) if config.data.join("secret").exists() => match secret::load(config) {
            Ok(_) => Good("in the data directory; keep a copy beside your backups".to_owned()),
            Err(_) => Bad("DATA/secret does not read: restore it from a backup".to_owned()),
        },
        (None, true) => Note("none yet; the first start makes one in the data directory".to_owned()),
        (None, false) => {
            Bad("SENDWRIGHT_SECRET is required with Postgres: `openssl rand -hex 32`".to_owned())
        }
    }
}

async fn database(config: &Config) -> Finding {
    let kind = if config.database.is_embedded() { "SQLite" } else { "Postgres" };
    let fresh = config.database.sqlite_path().is_some_and(|path| !path.exists());
    if fresh {
        return Note(format!("{kind}, no file yet; the first start makes it"));
    }
    let db = match open::connect(config).await {
        Ok(db) => db,
        Err(_) => return Bad(format!("{kind} is not reached; check DATABASE_URL and that the server runs")),
    };
    match migrate::check(&db).await {
        Ok(()) => Good(format!("{kind}, schema up to date")),
        Err(error) => Bad(format!("{kind}: {error}")),
    }
}

async fn redis(config: &Config) -> Finding {
    let Some(redis) = &config.redis else {
        return match config.database.is_embedded() {
            true => Good("none; the queue lives in the process".to_owned()),
            false => {
                Note("none; processes find work by asking the database, up to a second later".to_owned())
            }
        };
    };
    let Ok(queue) = Queue::redis(redis.url.reveal(), &redis.prefix).await else {
        return Bad("REDIS_URL does not read".to_owned());
    };
    // The connection is made in the background: a first answer may come before it stands.
    let mut health = queue.ping().await;
    for _ in 0..20 {
        if health == Health::Up {
            return Good("answers".to_owned());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        health = queue.ping().await;
    }
    Note("does not answer; nothing is lost, work goes on a little later".to_owned())
}

fn mail(config: &Config) -> Finding {
    match &config.smtp {
        Some(_) => Good("SMTP_URL and SMTP_FROM are given".to_owned()),
        None => {
            Note("no SMTP_URL: `up` keeps mail in its mailbox, a worker holds it (no_transport)".to_owned())
        }
    }
}

fn model(config: &Config) -> Finding {
    match &config.model {
        Some(model) => Good(format!("{} at {}", model.name, model.base_url.host_str().unwrap_or_default())),
        None => Note(
            "none: `up` writes offline into its mailbox, a worker holds such steps (no_model)".to_owned(),
        ),
    }
}

fn public_url(config: &Config) -> Finding {
    match config.http.public_url.as_ref().map(|url| url.scheme()) {
        Some("https") => Good("unsubscribe links and one-click unsubscribe are on".to_owned()),
        Some(_) => Note("not https: links work, one-click unsubscribe (RFC 8058) is off".to_owned()),
        None => {
            Note("no SENDWRIGHT_PUBLIC_URL: List-Unsubscribe carries a mailto instead of a link".to_owned())
        }
    }
}

/// D, the most a crash of one worker can leave unknown (promise 2).
fn hand_overs(config: &Config) -> Finding {
    let (d, lease) = (config.worker.open_handovers, config.worker.lease.as_secs());
    Good(format!(
        "D = {d}: a crash of one worker leaves at most {d} messages uncertain; known after {lease} s"
    ))
}
