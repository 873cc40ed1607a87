//! Events: inserted unnumbered in the transaction of what happened; the sequencer numbers them later.

use crate::db::{Tx, execute};
use crate::error::Result;
use sendwright_workflows::clock::Millis;

/// An event that has just happened.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Its row, taken from the `events` ids.
    pub id: i64,
    /// Whose it is.
    pub account_id: i64,
    /// The dotted name, `lead.created`.
    pub kind: &'static str,
    /// The campaign it is about.
    pub campaign_id: Option<i64>,
    /// The contact it is about.
    pub contact_id: Option<i64>,
    /// The enrolment it is about.
    pub enrolment_id: Option<i64>,
    /// The message it is about.
    pub message_id: Option<i64>,
    /// A JSON object with what the rows do not say.
    pub data: String,
    /// When it happened.
    pub at: Millis,
}

/// Inserts events, unnumbered, in one statement.
pub async fn insert(tx: &mut Tx, events: &[NewEvent]) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = events
        .iter()
        .map(|e| {
            serde_json::json!([
                e.id,
                e.account_id,
                e.kind,
                e.campaign_id,
                e.contact_id,
                e.enrolment_id,
                e.message_id,
                e.data,
                e.at
            ])
        })
        .collect();
    execute!(
        tx,
        "INSERT INTO events
             (id, account_id, kind, campaign_id, contact_id, enrolment_id, message_id, data, at)
         SELECT CAST(e.value ->> 0 AS BIGINT), CAST(e.value ->> 1 AS BIGINT), e.value ->> 2,
                CAST(e.value ->> 3 AS BIGINT), CAST(e.value ->> 4 AS BIGINT), CAST(e.value ->> 5 AS BIGINT),
                CAST(e.value ->> 6 AS BIGINT), e.value ->> 7, CAST(e.value ->> 8 AS BIGINT)
           FROM json_each($1) AS e",
        serde_json::Value::Array(rows).to_string()
    )?;
    Ok(())
}
