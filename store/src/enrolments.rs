//! Enrolments: one person in one round of one campaign.

use crate::campaigns::Campaign;
use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use crate::page::Page;
use sendwright_workflows::clock::Millis;
use serde_json::json;
use std::ops::Range;

/// A stored enrolment.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Enrolment {
    /// Its row.
    pub id: i64,
    /// Whose it is.
    pub account_id: i64,
    /// The campaign.
    pub campaign_id: i64,
    /// The campaign's round.
    pub round: i64,
    /// The person.
    pub contact_id: i64,
    /// The version of the steps it was last mapped to.
    pub version: i64,
    /// `active`, `completed`, `stopped` or `failed`.
    pub state: String,
    /// Why it stopped or failed.
    pub reason: Option<String>,
    /// The last settled step.
    pub settled: i64,
    /// The instant the next delay counts from.
    pub base_at: Millis,
    /// When the planner looks next.
    pub next_run_at: Option<Millis>,
    /// When it was made.
    pub created_at: Millis,
}

/// Enrols contacts into a campaign that the caller has locked and reopened where it was completed. Ids are
/// given in the order of `contacts`. Who is in the round already is passed over; the rest comes back as
/// (enrolment, contact), by enrolment.
pub async fn enrol(
    tx: &mut Tx,
    campaign: &Campaign,
    contacts: &[i64],
    ids: Range<i64>,
    now: Millis,
) -> Result<Vec<(i64, i64)>> {
    if contacts.is_empty() {
        return Ok(vec![]);
    }
    let new: Vec<(i64, &i64)> = ids.zip(contacts).collect();
    let mut enrolled = rows!(
        tx,
        (i64, i64),
        "INSERT INTO enrolments (id, account_id, campaign_id, round, contact_id, version, state, base_at,
                next_run_at, created_at, updated_at)
         SELECT CAST(e.value ->> 0 AS BIGINT), $2, $3, $4, CAST(e.value ->> 1 AS BIGINT), $5, 'active', $6, $6, $6, $6
           FROM json_each($1) AS e WHERE TRUE
         ON CONFLICT (account_id, contact_id, campaign_id, round) DO NOTHING
         RETURNING id, contact_id",
        json!(new).to_string(),
        campaign.account_id,
        campaign.id,
        campaign.round,
        campaign.version,
        now
    )?;
    enrolled.sort_unstable();
    Ok(enrolled)
}

/// How many people of the campaign's present round are still under way.
pub async fn active(tx: &mut Tx, campaign: &Campaign) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM enrolments WHERE campaign_id = $1 AND round = $2 AND state = 'active'";
    Ok(row!(tx, (i64,), sql, campaign.id, campaign.round)?.map_or(0, |r| r.0))
}

/// How many enrolments of the campaign are in each state, over all rounds.
pub async fn counts(tx: &mut Tx, account: i64, campaign: i64) -> Result<Vec<(String, i64)>> {
    rows!(
        tx,
        (String, i64),
        "SELECT state, COUNT(*) FROM enrolments WHERE account_id = $1 AND campaign_id = $2
          GROUP BY state ORDER BY state",
        account,
        campaign
    )
}

/// Ends every active enrolment of a contact, for a reason (`suppressed`, `contact_deleted`); which.
pub async fn stop_of_contact(
    tx: &mut Tx,
    account: i64,
    contact: i64,
    reason: &str,
    now: Millis,
) -> Result<Vec<(i64, i64)>> {
    rows!(
        tx,
        (i64, i64),
        "UPDATE enrolments SET state = 'stopped', reason = $3, next_run_at = NULL, updated_at = $4
          WHERE account_id = $1 AND contact_id = $2 AND state = 'active' RETURNING id, campaign_id",
        account,
        contact,
        reason,
        now
    )
}

/// Ends every active enrolment of a campaign; how many.
pub async fn stop_of_campaign(tx: &mut Tx, campaign: &Campaign, reason: &str, now: Millis) -> Result<u64> {
    execute!(
        tx,
        "UPDATE enrolments SET state = 'stopped', reason = $3, next_run_at = NULL, updated_at = $4
          WHERE account_id = $1 AND campaign_id = $2 AND state = 'active'",
        campaign.account_id,
        campaign.id,
        reason,
        now
    )
}

/// The enrolments of a campaign.
pub async fn of_campaign(tx: &mut Tx, account: i64, campaign: i64, page: Page) -> Result<Vec<Enrolment>> {
    rows!(
        tx,
        Enrolment,
        "SELECT id, account_id, campaign_id, round, contact_id, version, state, reason, settled, base_at,
                next_run_at, created_at
           FROM enrolments
          WHERE account_id = $1 AND campaign_id = $2 AND (created_at, id) > ($3, $4)
          ORDER BY created_at, id LIMIT $5 OFFSET $6",
        account,
        campaign,
        page.after.0,
        page.after.1,
        page.limit,
        page.skip
    )
}

/// The enrolments of a contact.
pub async fn of_contact(tx: &mut Tx, account: i64, contact: i64) -> Result<Vec<Enrolment>> {
    rows!(
        tx,
        Enrolment,
        "SELECT id, account_id, campaign_id, round, contact_id, version, state, reason, settled, base_at,
                next_run_at, created_at
           FROM enrolments WHERE account_id = $1 AND contact_id = $2 ORDER BY created_at, id",
        account,
        contact
    )
}
