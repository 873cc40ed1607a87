//! Events: inserted unnumbered in the transaction of what happened; the sequencer numbers them later.

use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::event::TEST;
use sendwright_workflows::ids::{Kind, uuid};
use sendwright_workflows::webhook::About;
use serde_json::{Value, json};

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

/// What an event says, and of whom.
#[derive(Debug, Clone, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns of events by their own names, and of whom they are")]
pub struct Content {
    pub event_id: i64,
    pub sequence: Option<i64>,
    pub kind: String,
    pub data: String,
    pub at: i64,
    pub campaign_id: Option<i64>,
    pub campaign_external_id: Option<String>,
    pub contact_id: Option<i64>,
    pub contact_external_id: Option<String>,
    pub company: Option<String>,
    pub email: Option<String>,
}

impl Content {
    /// It as deliveries and the ledger tell it, under this name; `number` is its place in an endpoint's line.
    pub fn about<'a>(&'a self, name: &'a str, number: Option<i64>) -> About<'a> {
        let face =
            |kind, given: &Option<String>, id: Option<i64>| given.clone().or(id.map(|id| uuid(kind, id)));
        About {
            event: self.event_id,
            kind: &self.kind,
            name,
            // A test goes out before it is numbered: its body is the same at every attempt.
            sequence: self.sequence.filter(|_| self.kind != TEST),
            number,
            at: self.at,
            campaign_id: face(Kind::Campaign, &self.campaign_external_id, self.campaign_id),
            business_id: face(Kind::Contact, &self.contact_external_id, self.contact_id),
            business_name: self.company.as_deref(),
            email: self.email.as_deref(),
            data: &self.data,
        }
    }
}

macro_rules! content {
    () => {
        "SELECT v.id AS event_id, v.sequence, v.kind, v.data, v.at, v.campaign_id,
                c.external_id AS campaign_external_id, v.contact_id, l.external_id AS contact_external_id,
                l.company, l.email "
    };
}

macro_rules! of_whom {
    () => {
        " LEFT JOIN campaigns c ON c.id = v.campaign_id LEFT JOIN contacts l ON l.id = v.contact_id "
    };
}

/// What events say, by their rows.
pub async fn contents(tx: &mut Tx, ids: impl Iterator<Item = i64>) -> Result<Vec<Content>> {
    const SQL: &str = concat!(
        content!(),
        "FROM json_each($1) AS e JOIN events v ON v.id = CAST(e.value ->> 0 AS BIGINT)",
        of_whom!()
    );
    rows!(tx, Content, SQL, Value::from(ids.map(|id| json!([id])).collect::<Vec<_>>()).to_string())
}

/// An account's events numbered above `after` and up to `until`, of these kinds or of all, in that order.
pub async fn between(
    tx: &mut Tx,
    account: i64,
    (after, until): (i64, i64),
    kinds: Option<&[&str]>,
    limit: i64,
) -> Result<Vec<Content>> {
    const ALL: &str = concat!(
        content!(),
        "FROM events v",
        of_whom!(),
        "WHERE v.account_id = $1 AND v.sequence > $2 AND v.sequence <= $3 ORDER BY v.sequence LIMIT $4"
    );
    const SOME: &str = concat!(
        content!(),
        "FROM events v",
        of_whom!(),
        "WHERE v.account_id = $1 AND v.sequence > $2 AND v.sequence <= $3
           AND v.kind IN (SELECT e.value ->> 0 FROM json_each($5) AS e) ORDER BY v.sequence LIMIT $4"
    );
    match kinds {
        None => rows!(tx, Content, ALL, account, after, until, limit),
        Some(kinds) => {
            let kinds = Value::from(kinds.iter().map(|kind| json!([kind])).collect::<Vec<_>>()).to_string();
            rows!(tx, Content, SOME, account, after, until, limit, kinds)
        }
    }
}

/// The number of an account's last event.
pub async fn last_sequence(tx: &mut Tx, account: i64) -> Result<i64> {
    let sql = "SELECT last FROM event_counters WHERE account_id = $1";
    Ok(row!(tx, (i64,), sql, account)?.map_or(0, |r| r.0))
}

/// An event's number, if the account has it and it is numbered.
pub async fn sequence_of(tx: &mut Tx, account: i64, id: i64) -> Result<Option<i64>> {
    let sql = "SELECT sequence FROM events WHERE account_id = $1 AND id = $2";
    Ok(row!(tx, (Option<i64>,), sql, account, id)?.and_then(|r| r.0))
}

/// Inserts an event of the caller's own, unnumbered.
pub async fn insert_own(
    tx: &mut Tx,
    id: i64,
    account: i64,
    kind: &str,
    data: &str,
    at: Millis,
) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO events (id, account_id, kind, data, at) VALUES ($1, $2, $3, $4, $5)",
        id,
        account,
        kind,
        data,
        at
    )?;
    Ok(())
}
