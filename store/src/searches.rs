//! Uncertain messages whose provider can be asked: when each is looked for, and what was found (SEND_PROTOCOL 9, 16).

use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use sendwright_workflows::clock::{MINUTE, Millis};
use serde_json::{Value, json};
use std::collections::HashSet;

/// How long a look may take before another worker takes it up.
const TAKEN: Millis = 5 * MINUTE;

/// An uncertain message that is looked for.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Sought {
    /// The message.
    pub id: i64,
    /// Whose it is.
    pub account_id: i64,
    /// Its sending profile.
    pub profile_id: i64,
    /// Where it went.
    pub address: String,
    /// The address's hash.
    pub address_hash: String,
    /// Its text.
    pub body: String,
    /// What went with it, a JSON object.
    pub enclosed: Option<String>,
    /// Looks before this one.
    pub looks: i64,
    /// The newest attempt whose end is not known: a proof is its own.
    pub attempt_id: i64,
    /// The account of the provider's that it went by.
    pub provider: Option<String>,
    /// The first intent whose end is not known.
    pub since: Millis,
    /// The last one.
    pub until: Millis,
}

/// Takes up to `most` messages whose time to be looked for has come.
pub async fn take(tx: &mut Tx, most: i64, now: Millis) -> Result<Vec<Sought>> {
    macro_rules! sql {
        ($skip:literal) => {
            concat!(
                "WITH due AS MATERIALIZED (
                     SELECT id FROM messages WHERE look_at IS NOT NULL AND look_at <= $1 ORDER BY look_at, id LIMIT $2",
                $skip,
                ") UPDATE messages SET look_at = CASE WHEN messages.state = 'uncertain' THEN $1 + $3 END
                   FROM due WHERE messages.id = due.id RETURNING messages.id"
            )
        };
    }
    let taken = match tx.is_postgres() {
        true => rows!(&mut *tx, (i64,), sql!(" FOR UPDATE SKIP LOCKED"), now, most, TAKEN)?,
        false => rows!(&mut *tx, (i64,), sql!(""), now, most, TAKEN)?,
    };
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    rows!(
        tx,
        Sought,
        "SELECT m.id, m.account_id, m.profile_id, m.address, m.address_hash, d.body, d.enclosed, m.looks,
                u.attempt_id, a.provider, u.since, u.until
         FROM (SELECT t.message_id, MAX(t.id) AS attempt_id, MIN(t.intent_at) AS since, MAX(t.intent_at) AS until
               FROM json_each($1) AS e JOIN attempts t ON t.message_id = CAST(e.value ->> 0 AS BIGINT)
               WHERE t.state = 'uncertain' GROUP BY t.message_id) AS u
         JOIN messages m ON m.id = u.message_id JOIN drafts d ON d.message_id = m.id
         JOIN attempts a ON a.id = u.attempt_id
         WHERE m.state = 'uncertain' ORDER BY u.since, m.id",
        Value::from(taken.iter().map(|r| json!([r.0])).collect::<Vec<_>>()).to_string()
    )
}

/// Says when a message is looked for next, after so many looks; `None`: no more, it waits for a person. `false`: it is not
/// uncertain any more.
pub async fn again(tx: &mut Tx, message: i64, looks: i64, at: Option<Millis>) -> Result<bool> {
    let sql = "UPDATE messages SET looks = $2, look_at = $3 WHERE id = $1 AND state = 'uncertain'";
    Ok(execute!(tx, sql, message, looks, at)? == 1)
}

/// Whether a hand-over to the same address is under way: what is found may be its own.
pub async fn has_open(tx: &mut Tx, sought: &Sought) -> Result<bool> {
    let sql = "SELECT a.id FROM messages m JOIN attempts a ON a.message_id = m.id AND a.state = 'sending'
                WHERE m.account_id = $1 AND m.address_hash = $2 AND m.channel IN ('sms', 'whatsapp')
                  AND m.state = 'sending' LIMIT 1";
    Ok(row!(tx, (i64,), sql, sought.account_id, &sought.address_hash)?.is_some())
}

/// Whether another message to the same address, whosoever it is, has been looked for less often: what is found may be that one,
/// and its own look would say so. Of two, one never waits for the other.
pub async fn has_rival(tx: &mut Tx, sought: &Sought) -> Result<bool> {
    let sql = "SELECT id FROM messages WHERE look_at IS NOT NULL AND state = 'uncertain' AND address = $1 AND id <> $2
                  AND looks < $3 LIMIT 1";
    Ok(row!(tx, (i64,), sql, &sought.address, sought.id, sought.looks)?.is_some())
}

/// Which of these names of the provider's are another attempt's.
pub async fn taken(tx: &mut Tx, names: &[&str], attempt: i64) -> Result<HashSet<String>> {
    let found = rows!(
        tx,
        (String,),
        "SELECT a.provider_id FROM json_each($1) AS e JOIN attempts a ON a.provider_id = e.value ->> 0 WHERE a.id <> $2",
        Value::from(names.iter().map(|name| json!([name])).collect::<Vec<_>>()).to_string(),
        attempt
    )?;
    Ok(found.into_iter().map(|r| r.0).collect())
}

/// Writes down what the provider calls an attempt, under the account's exclusive barrier: no two attempts get one name.
/// `false`: another has it.
pub async fn name(tx: &mut Tx, account: i64, attempt: i64, name: &str) -> Result<bool> {
    tx.barrier(account, true).await?;
    if !taken(tx, &[name], attempt).await?.is_empty() {
        return Ok(false);
    }
    execute!(tx, "UPDATE attempts SET provider_id = $2 WHERE id = $1", attempt, name)?;
    Ok(true)
}
