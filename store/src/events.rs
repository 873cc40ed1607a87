//! What happened, inserted unnumbered in the transaction of what happened; a sequencer numbers it later.

use crate::db::{Tx, execute};
use crate::error::Result;
use sendwright_workflows::clock::Millis;
use serde_json::json;

/// An event to insert. `id` is taken from the allocator before the transaction begins.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The row.
    pub id: i64,
    /// Whose.
    pub account_id: i64,
    /// A dotted name, such as `email.sent`.
    pub kind: &'static str,
    /// The campaign it is about.
    pub campaign_id: Option<i64>,
    /// The contact it is about.
    pub contact_id: Option<i64>,
    /// The enrolment it is about.
    pub enrolment_id: Option<i64>,
    /// The message it is about.
    pub message_id: Option<i64>,
    /// A JSON object with the rest.
    pub data: String,
    /// When, in business time.
    pub at: Millis,
}

/// Inserts events, all or none.
pub async fn insert(tx: &mut Tx, events: &[NewEvent]) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = events
        .iter()
        .map(|e| {
            let about = (e.campaign_id, e.contact_id, e.enrolment_id, e.message_id);
            json!([e.id, e.account_id, e.kind, about.0, about.1, about.2, about.3, e.data, e.at])
        })
        .collect();
    execute!(
        tx,
        "INSERT INTO events (id, account_id, kind, campaign_id, contact_id, enrolment_id, message_id, data, at)
         SELECT CAST(e.value ->> 0 AS BIGINT), CAST(e.value ->> 1 AS BIGINT), e.value ->> 2,
                CAST(e.value ->> 3 AS BIGINT), CAST(e.value ->> 4 AS BIGINT), CAST(e.value ->> 5 AS BIGINT),
                CAST(e.value ->> 6 AS BIGINT), e.value ->> 7, CAST(e.value ->> 8 AS BIGINT)
         FROM json_each($1) AS e",
        serde_json::Value::from(rows).to_string()
    )?;
    Ok(())
}
