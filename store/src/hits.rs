//! Pixels that were loaded and links that were followed.

use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use sendwright_workflows::clock::Millis;
use serde_json::{Value, json};

/// Most hits that are kept of a message: what comes after says nothing new.
const MOST: i64 = 200;

/// A hit as it came.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns of hits by their own names")]
pub struct Hit {
    pub id: i64,
    pub message_id: i64,
    pub kind: String,
    pub url: Option<String>,
    pub method: String,
    pub user_agent: String,
    pub address_prefix: String,
    pub at: Millis,
}

/// Keeps a hit of a message that was handed over, up to a bounded number of them.
pub async fn keep(tx: &mut Tx, hit: &Hit) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO hits (id, account_id, message_id, kind, url, method, user_agent, address_prefix, at)
         SELECT CAST($1 AS BIGINT), account_id, id, CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS TEXT),
                CAST($6 AS TEXT), CAST($7 AS TEXT), CAST($8 AS BIGINT)
         FROM messages WHERE id = $2 AND attempts > 0
           AND (SELECT COUNT(*) FROM hits WHERE message_id = $2) < $9",
        hit.id,
        hit.message_id,
        &hit.kind,
        &hit.url,
        &hit.method,
        &hit.user_agent,
        &hit.address_prefix,
        hit.at,
        MOST
    )?;
    Ok(())
}

/// The text of a message that was handed over: where its links stand.
pub async fn body(tx: &mut Tx, message: i64) -> Result<Option<String>> {
    let sql = "SELECT d.body FROM messages m JOIN drafts d ON d.message_id = m.id WHERE m.id = $1 AND m.attempts > 0";
    Ok(row!(tx, (String,), sql, message)?.map(|r| r.0))
}

/// Messages with a hit from before `until` that nobody has judged, as (account, message).
pub async fn unjudged(tx: &mut Tx, until: Millis, most: i64) -> Result<Vec<(i64, i64)>> {
    rows!(
        tx,
        (i64, i64),
        "SELECT DISTINCT account_id, message_id FROM hits
         WHERE judged IS NULL AND at <= $1 ORDER BY account_id, message_id LIMIT $2",
        until,
        most
    )
}

/// A hit with what was judged of it so far.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Known {
    /// The hit.
    #[sqlx(flatten)]
    pub hit: Hit,
    /// `person` or `scanner`.
    pub judged: Option<String>,
}

/// A message's hits, in their order.
pub async fn of_message(tx: &mut Tx, message: i64) -> Result<Vec<Known>> {
    rows!(
        tx,
        Known,
        "SELECT id, message_id, kind, url, method, user_agent, address_prefix, at, judged
         FROM hits WHERE message_id = $1 ORDER BY at, id",
        message
    )
}

/// Writes down what hits are, as (hit, `person` or `scanner`, why). Answers those that nobody had judged before.
pub async fn judge(tx: &mut Tx, verdicts: &[(i64, &'static str, Option<&'static str>)]) -> Result<Vec<i64>> {
    let rows: Vec<_> = verdicts.iter().map(|(id, judged, why)| json!([id, judged, why])).collect();
    let judged = rows!(
        tx,
        (i64,),
        "UPDATE hits SET judged = e.value ->> 1, why = e.value ->> 2 FROM json_each($1) AS e
         WHERE hits.id = CAST(e.value ->> 0 AS BIGINT) AND hits.judged IS NULL RETURNING hits.id",
        Value::from(rows).to_string()
    )?;
    Ok(judged.into_iter().map(|r| r.0).collect())
}

/// Writes down when a person first opened or clicked; neither forgets an earlier one.
pub async fn mark(tx: &mut Tx, message: i64, opened: Option<Millis>, clicked: Option<Millis>) -> Result<()> {
    execute!(
        tx,
        "UPDATE messages SET opened_at = COALESCE(opened_at, $2), clicked_at = COALESCE(clicked_at, $3) WHERE id = $1",
        message,
        opened,
        clicked
    )?;
    Ok(())
}
