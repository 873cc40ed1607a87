//! Acceptances on Postgres: every table in one statement, its rows as arrays.
//!
//! They are what a throughput consists of. One statement in place of four saves three round trips and reads the rows
//! once, and arrays cost less than JSON does (bench/README.md). SQLite writes in no WITH and has no arrays.

use super::sql::{accept_sql, close_sql};
use super::{Outcome, event_of};
use crate::db::{Tx, ask};
use crate::error::Result;
use crate::events::NewEvent;
use crate::planning::{Advance, advance_sql};
use sendwright_workflows::clock::Millis;

/// Records acceptances; answers those whose message had not been accepted before.
pub(super) async fn record<'o>(
    tx: &mut Tx,
    accepted: &[&'o Outcome],
    now: Millis,
) -> Result<Vec<&'o Outcome>> {
    // The limit says nothing but how few they are: a plan is made for one row, by the keys of the other tables, and
    // stays right whatever those grow to.
    const SQL: &str = concat!(
        "WITH e AS MATERIALIZED (
             SELECT * FROM UNNEST($3::BIGINT[], $4::BIGINT[], $5::BIGINT[], $6::BIGINT[], $7::TEXT[], $8::BIGINT[],
                 $9::TEXT[], $10::TEXT[], $11::TEXT[], $12::BIGINT[], $13::BIGINT[], $14::TEXT[], $15::BIGINT[],
                 $16::BIGINT[], $17::BIGINT[], $18::TEXT[])
             AS e (attempt, message, at, slot, stage, reply, detail, provider, status, account, event, kind, campaign,
                 contact, enrolment, data) LIMIT $2
         ), s AS MATERIALIZED (
             SELECT * FROM UNNEST($19::BIGINT[], $20::BIGINT[], $21::BIGINT[], $22::TEXT[], $23::TEXT[], $24::BIGINT[],
                 $25::BIGINT[], $26::BIGINT[])
             AS s (message, id, version, state, reason, settled, base, next) LIMIT $2
         ), closed AS (",
        close_sql!("e", "e.attempt", "'accepted'", "e.stage", "e.reply", "e.detail", "e.at", "e.provider"),
        "), taken AS (",
        accept_sql!("e", "e.message", "e.at", "e.slot", "e.status", "$1"),
        "), told AS (
             INSERT INTO events (id, account_id, kind, campaign_id, contact_id, enrolment_id, message_id, data, at)
             SELECT event, account, kind, campaign, contact, enrolment, message, data, at
             FROM e WHERE event IS NOT NULL AND message IN (SELECT id FROM taken)
         ), moved AS (",
        advance_sql!(
            "(SELECT s.* FROM s WHERE s.message IN (SELECT id FROM taken)) AS s",
            "s.id",
            "s.version",
            "s.state",
            "s.reason",
            "s.settled",
            "s.base",
            "s.next",
            "FALSE",
            "$1"
        ),
        ") SELECT id FROM taken"
    );
    let Tx::Postgres(postgres) = tx else { return Ok(Vec::new()) };
    if accepted.is_empty() {
        return Ok(Vec::new());
    }
    let events: Vec<Option<NewEvent>> = accepted.iter().map(|o| event_of(o)).collect();
    let steps: Vec<(i64, &Advance)> =
        accepted.iter().filter_map(|o| o.then.as_ref().map(|then| (o.message_id, then))).collect();
    let asked = sqlx::query_scalar(SQL)
        .bind(now)
        .bind(accepted.len() as i64)
        .bind(each(accepted, |o| o.attempt_id))
        .bind(each(accepted, |o| o.message_id))
        .bind(each(accepted, |o| o.at))
        .bind(each(accepted, |o| o.slot))
        .bind(each(accepted, |o| o.stage))
        .bind(each(accepted, |o| o.reply.map(i64::from)))
        .bind(each(accepted, |o| o.detail.as_deref()))
        .bind(each(accepted, |o| o.receipt.id.as_deref()))
        .bind(each(accepted, |o| o.receipt.status.as_deref()))
        .bind(each(&events, |e| e.as_ref().map(|e| e.account_id)))
        .bind(each(&events, |e| e.as_ref().map(|e| e.id)))
        .bind(each(&events, |e| e.as_ref().map(|e| e.kind)))
        .bind(each(&events, |e| e.as_ref().and_then(|e| e.campaign_id)))
        .bind(each(&events, |e| e.as_ref().and_then(|e| e.contact_id)))
        .bind(each(&events, |e| e.as_ref().and_then(|e| e.enrolment_id)))
        .bind(each(&events, |e| e.as_ref().map(|e| e.data.as_str())))
        .bind(each(&steps, |(message, _)| *message))
        .bind(each(&steps, |(_, then)| then.id))
        .bind(each(&steps, |(_, then)| then.version))
        .bind(each(&steps, |(_, then)| then.state))
        .bind(each(&steps, |(_, then)| then.reason.as_deref()))
        .bind(each(&steps, |(_, then)| i64::from(then.settled)))
        .bind(each(&steps, |(_, then)| then.base_at))
        .bind(each(&steps, |(_, then)| then.next_run_at));
    let taken: Vec<i64> = ask!(postgres, asked, fetch_all)?;
    Ok(accepted.iter().copied().filter(|o| taken.contains(&o.message_id)).collect())
}

/// One column of rows.
fn each<'r, R, T>(rows: &'r [R], column: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(column).collect()
}
