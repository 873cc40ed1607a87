//! The write of an intent: messages become `sending`, their attempts are opened.

use crate::claims::Claimed;
use crate::db::{Tx, ask, execute, rows};
use crate::error::Result;
use sendwright_workflows::clock::{Micros, Millis};
use serde_json::{Value, json};

/// A message that goes: what its row and its attempt's become.
pub(super) struct Going<'c> {
    attempt: i64,
    id: i64,
    fence: i64,
    slot: Micros,
    reasons: &'c str,
    provider: Option<&'c str>,
}

impl<'c> Going<'c> {
    /// It leaves at this slot.
    pub(super) fn at(attempt: i64, claimed: &'c Claimed, slot: Micros) -> Self {
        let Claimed { id, fence, reasons, provider, .. } = claimed;
        Going { attempt, id: *id, fence: *fence, slot, reasons, provider: provider.as_deref() }
    }
}

macro_rules! mark_sql {
    ($from:literal, $id:literal, $fence:literal, $slot:literal, $reasons:literal, $returning:literal) => {
        concat!(
            "UPDATE messages SET state = 'sending', attempts = attempts + 1, worker_id = $3, updated_at = $2,
                 fence = ",
            $fence,
            ", slot = ",
            $slot,
            ", reasons = ",
            $reasons,
            "
             FROM ",
            $from,
            "
             WHERE messages.id = ",
            $id,
            "
               AND ((messages.state = 'claimed' AND messages.fence = ",
            $fence,
            ")
                    OR (messages.state = 'drafted' AND messages.fence = ",
            $fence,
            " - 1))
             RETURNING ",
            $returning
        )
    };
}

/// Marks rows `sending` and opens their attempts; answers which were still claimed under their fence.
pub(super) async fn mark(
    tx: &mut Tx,
    account: i64,
    worker: i64,
    rows: Vec<Going<'_>>,
    now: Millis,
) -> Result<Vec<i64>> {
    match tx.is_postgres() {
        true => mark_in_one(tx, account, worker, &rows, now).await,
        false => mark_in_two(tx, account, worker, rows, now).await,
    }
}

/// Postgres reads the rows once for both tables, as arrays. The limit says nothing but how few they are: a plan by keys
/// stays right whatever the tables grow to.
async fn mark_in_one(
    tx: &mut Tx,
    account: i64,
    worker: i64,
    rows: &[Going<'_>],
    now: Millis,
) -> Result<Vec<i64>> {
    const SQL: &str = concat!(
        "WITH e AS MATERIALIZED (
             SELECT * FROM UNNEST($5::BIGINT[], $6::BIGINT[], $7::BIGINT[], $8::BIGINT[], $9::TEXT[], $10::TEXT[])
             AS e (attempt, id, fence, slot, reasons, provider) LIMIT $1
         ), marked AS (",
        mark_sql!(
            "e",
            "e.id",
            "e.fence",
            "e.slot",
            "e.reasons",
            "messages.id, messages.fence, messages.slot, e.attempt, e.provider"
        ),
        ") INSERT INTO attempts (id, account_id, message_id, worker_id, fence, slot, state, intent_at, provider)
         SELECT attempt, $4, id, $3, fence, slot, 'sending', $2, provider FROM marked RETURNING message_id"
    );
    let Tx::Postgres(postgres) = tx else { return Ok(Vec::new()) };
    let asked = sqlx::query_scalar(SQL)
        .bind(rows.len() as i64)
        .bind(now)
        .bind(worker)
        .bind(account)
        .bind(rows.iter().map(|r| r.attempt).collect::<Vec<_>>())
        .bind(rows.iter().map(|r| r.id).collect::<Vec<_>>())
        .bind(rows.iter().map(|r| r.fence).collect::<Vec<_>>())
        .bind(rows.iter().map(|r| r.slot).collect::<Vec<_>>())
        .bind(rows.iter().map(|r| r.reasons).collect::<Vec<_>>())
        .bind(rows.iter().map(|r| r.provider).collect::<Vec<_>>());
    let marked = ask!(postgres, asked, fetch_all)?;
    Ok(marked)
}

/// SQLite writes in no WITH.
async fn mark_in_two(
    tx: &mut Tx,
    account: i64,
    worker: i64,
    mut rows: Vec<Going<'_>>,
    now: Millis,
) -> Result<Vec<i64>> {
    const MARK: &str = mark_sql!(
        "json_each($1) AS e",
        "CAST(e.value ->> 1 AS BIGINT)",
        "CAST(e.value ->> 2 AS BIGINT)",
        "CAST(e.value ->> 3 AS BIGINT)",
        "e.value ->> 4",
        "messages.id"
    );
    let marked = rows!(&mut *tx, (i64,), MARK, lines(&rows), now, worker)?;
    let marked: Vec<i64> = marked.into_iter().map(|r| r.0).collect();
    rows.retain(|row| marked.contains(&row.id));
    execute!(
        tx,
        "INSERT INTO attempts (id, account_id, message_id, worker_id, fence, slot, state, intent_at, provider)
         SELECT CAST(e.value ->> 0 AS BIGINT), $2, CAST(e.value ->> 1 AS BIGINT), $3,
                CAST(e.value ->> 2 AS BIGINT), CAST(e.value ->> 3 AS BIGINT), 'sending', $4, e.value ->> 5
         FROM json_each($1) AS e",
        lines(&rows),
        account,
        worker,
        now
    )?;
    Ok(marked)
}

fn lines(rows: &[Going<'_>]) -> String {
    let line = |g: &Going<'_>| json!([g.attempt, g.id, g.fence, g.slot, g.reasons, g.provider]);
    Value::from(rows.iter().map(line).collect::<Vec<_>>()).to_string()
}
