//! The dependencies but mail, each really asked.

use super::{Bad, Finding, Good, Note, bad};
use crate::config::Config;
use sendwright_queue::{Health, Queue};
use sendwright_store::{Db, migrate, restored};
use sendwright_worker::ai::{ModelSettings, ModelWriter};
use std::error::Error;
use std::time::Duration;
use tokio::time::timeout;

/// How long the database may take.
const DATABASE: Duration = Duration::from_secs(15);
/// How often Redis is asked, a tenth of a second apart.
const REDIS_TRIES: u32 = 30;
/// How long the model may take: a local one may have to be loaded first.
const MODEL: Duration = Duration::from_secs(30);
/// Enough for one word, and for what some models think before it.
const MODEL_TOKENS: u32 = 64;

/// Whether the database answers and has this program's schema.
pub async fn database(config: &Config) -> Finding {
    let (kind, advice) = match config.database.sqlite_path() {
        Some(path) if !path.exists() => {
            return Note("SQLite, no file yet; the first start makes it".to_owned());
        }
        Some(_) => ("SQLite", "look at the file and the disk"),
        None => ("Postgres", "check DATABASE_URL and that the server runs"),
    };
    let asked = async {
        let db = Db::connect(config.database.url.reveal(), 2).await?;
        let looked = look(&db).await;
        db.close().await;
        looked
    };
    match timeout(DATABASE, asked).await {
        Ok(Ok(0)) => Good(format!("{kind}, schema up to date")),
        Ok(Ok(held)) => Note(format!(
            "{kind}, schema up to date; a backup was restored, and {held} campaigns are held: `sendwright recovery \
             release` lets them go on"
        )),
        Ok(Err(error @ sendwright_store::Error::Schema(_))) => Bad(format!("{kind}: {error}")),
        Ok(Err(error)) => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            bad(format!("{kind}: {error}{cause}"), advice)
        }
        Err(_) => bad(format!("{kind} does not answer within {} s", DATABASE.as_secs()), advice),
    }
}

/// Whether the schema is this program's, and how many campaigns a restored backup holds.
async fn look(db: &Db) -> sendwright_store::Result<usize> {
    migrate::check(db).await?;
    let mut tx = db.read().await?;
    let held = restored::held(&mut tx, None).await?.len();
    tx.rollback().await?;
    Ok(held)
}

/// Whether Redis answers, where there is one.
pub async fn redis(config: &Config) -> Finding {
    let Some(redis) = &config.redis else {
        return match config.database.is_embedded() {
            true => Good("none; the queue lives in the process".to_owned()),
            false => {
                Note("none; processes find work by asking the database, up to a second later".to_owned())
            }
        };
    };
    let Ok(queue) = Queue::redis(redis.url.reveal(), &redis.prefix).await else {
        return Bad("REDIS_URL does not read: redis://host:6379".to_owned());
    };
    // The connection is made in the background: a first answer may come before it stands.
    for _ in 0..REDIS_TRIES {
        match queue.ping().await {
            Health::Up => return Good("answers".to_owned()),
            Health::Evicting(policy) => {
                return Note(format!(
                    "answers, and throws keys away when its memory is full ({policy}): nothing is lost, but hints come \
                     later and API rate limits forget calls; set maxmemory-policy noeviction"
                ));
            }
            Health::Embedded | Health::Down(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    bad(
        "does not answer",
        "check REDIS_URL and that the server runs. Without it nothing is lost; work goes on a little later",
    )
}

/// Whether the model answers: one request for one word.
pub async fn model(config: &Config) -> Finding {
    let Some(model) = &config.model else {
        return Note(
            "none: `up` writes offline into its mailbox, a worker holds such steps (no_model)".to_owned(),
        );
    };
    let shown = format!("{} at {}", model.name, model.base_url.host_str().unwrap_or_default());
    let key = model.api_key.as_ref().map(|key| key.reveal().to_owned());
    let settings = ModelSettings {
        request_timeout: MODEL,
        total_timeout: MODEL,
        max_tokens: MODEL_TOKENS,
        ..ModelSettings::new(model.base_url.clone(), key, model.name.clone())
    };
    let writer = match ModelWriter::new(settings) {
        Ok(writer) => writer,
        Err(error) => return Bad(error.to_string()),
    };
    match writer.probe().await {
        Ok(named) if named == model.name => Good(format!("{shown} answers")),
        Ok(named) => Good(format!("{shown} answers as {named}")),
        Err(error) => {
            bad(format!("{shown}: {error}"), "check OPENAI_BASE_URL, OPENAI_API_KEY and OPENAI_MODEL")
        }
    }
}
