//! Where everybody of a campaign stands, read for a run of the planner that changes nothing.

use crate::db::{Tx, row, rows};
use crate::error::Result;
use crate::gates::gate_of;
use crate::planning::{Said, phone_columns, phone_joins};
use sendwright_workflows::clock::{Micros, Millis};
use sendwright_workflows::enrolment::Reach;
use sendwright_workflows::message::UNPLANNED;
use sendwright_workflows::rate_limit::Gate;
use sendwright_workflows::reason::Owner;
use sendwright_workflows::sequence::Channel;

/// An active enrolment with its contact and, where there is one, the message it waits for.
#[derive(Debug, Clone, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns of enrolments, contacts and messages by their own names")]
pub struct Standing {
    pub id: i64,
    pub contact_id: i64,
    pub settled: i64,
    pub base_at: Millis,
    pub next_run_at: Option<Millis>,
    pub contact_state: String,
    pub email: Option<String>,
    pub email_hash: Option<String>,
    pub timezone: Option<String>,
    pub phone_key: Option<String>,
    pub phone_hash: Option<String>,
    /// What stands for and against writing to them.
    #[sqlx(flatten)]
    pub said: Said,
    pub open_step: Option<i64>,
    pub open_at: Option<Millis>,
    pub open_state: Option<String>,
    pub open_reasons: Option<String>,
    pub open_slot: Option<Micros>,
}

impl Standing {
    /// How a channel reaches the person.
    pub fn reach(&self, channel: Channel) -> Reach {
        let has_address = match channel.is_phone() {
            true => self.phone_key.is_some(),
            false => self.email.is_some() && self.email_hash.is_some(),
        };
        self.said.reach(channel, has_address)
    }
}

/// The parameter is `UNPLANNED`'s.
macro_rules! standing_sql {
    ($unplanned:literal) => {
        concat!(
            "SELECT e.id, e.contact_id, e.settled, e.base_at, e.next_run_at, c.state AS contact_state, c.email,
                c.email_hash, c.timezone, c.phone_key, c.phone_hash, s.why AS suppressed, ",
            phone_columns!(),
            ", m.step_number AS open_step,
                m.planned_at AS open_at, m.state AS open_state, m.reasons AS open_reasons, m.slot AS open_slot
         FROM enrolments e
         JOIN contacts c ON c.id = e.contact_id
         LEFT JOIN suppressions s ON s.account_id = e.account_id AND s.channel = 'email'
              AND s.address_hash = c.email_hash ",
            phone_joins!(),
            "
         LEFT JOIN messages m ON m.enrolment_id = e.id AND m.step_number > e.settled AND m.version = $2
              AND (m.state IN ('scheduled', 'writing', 'drafted', 'held', 'claimed', 'sending', 'uncertain')
                   -- Cancelled before the campaign had a start: the start passes over it.
                   OR (m.state = 'cancelled' AND m.planned_at = ",
            $unplanned,
            "))"
        )
    };
}

/// A campaign's active enrolments by number, those above `after`. Messages of an older version than `version`
/// are as good as discarded.
pub async fn standings(
    tx: &mut Tx,
    campaign: i64,
    version: i64,
    after: i64,
    limit: i64,
) -> Result<Vec<Standing>> {
    rows!(
        tx,
        Standing,
        concat!(
            standing_sql!("$5"),
            " WHERE e.campaign_id = $1 AND e.state = 'active' AND e.id > $3 ORDER BY e.id LIMIT $4"
        ),
        campaign,
        version,
        after,
        limit,
        UNPLANNED
    )
}

/// One enrolment, whatever its state, as [`standings`] gives it.
pub async fn standing(tx: &mut Tx, enrolment: i64, version: i64) -> Result<Option<Standing>> {
    const SQL: &str = concat!(standing_sql!("$3"), " WHERE e.id = $1 LIMIT 1");
    row!(tx, Standing, SQL, enrolment, version, UNPLANNED)
}

/// Contacts as they would stand in a campaign's round if they were enrolled at `now`, by number; who is in it already is
/// left out. Their enrolments have numbers above every one there is, in the contacts' order.
pub async fn prospects(
    tx: &mut Tx,
    (account, campaign, round): (i64, i64, i64),
    contacts: &[i64],
    (after, now): (i64, Millis),
) -> Result<Vec<Standing>> {
    const SQL: &str = concat!(
        "SELECT $4 + ROW_NUMBER() OVER (ORDER BY c.id) AS id, c.id AS contact_id, CAST(0 AS BIGINT) AS settled,
                CAST($5 AS BIGINT) AS base_at, CAST(NULL AS BIGINT) AS next_run_at, c.state AS contact_state, c.email,
                c.email_hash, c.timezone, c.phone_key, c.phone_hash, s.why AS suppressed, ",
        phone_columns!(),
        ", CAST(NULL AS BIGINT) AS open_step, CAST(NULL AS BIGINT) AS open_at, CAST(NULL AS TEXT) AS open_state,
                CAST(NULL AS TEXT) AS open_reasons, CAST(NULL AS BIGINT) AS open_slot
         FROM contacts c
         LEFT JOIN suppressions s ON s.account_id = c.account_id AND s.channel = 'email'
              AND s.address_hash = c.email_hash ",
        phone_joins!(),
        " WHERE c.account_id = $1 AND c.id IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM json_each($6) AS e)
            AND NOT EXISTS (SELECT 1 FROM enrolments n WHERE n.account_id = c.account_id AND n.contact_id = c.id
                AND n.campaign_id = $2 AND n.round = $3)
          ORDER BY c.id"
    );
    let ids = serde_json::json!(contacts.iter().map(|id| [id]).collect::<Vec<_>>()).to_string();
    rows!(tx, Standing, SQL, account, campaign, round, after, now, ids)
}

/// The last enrolment there is, of whatever campaign.
pub async fn last_enrolment(tx: &mut Tx) -> Result<i64> {
    let found = row!(tx, (Option<i64>,), "SELECT MAX(id) FROM enrolments")?;
    Ok(found.and_then(|r| r.0).unwrap_or(0))
}

/// A message that a person released and that no enrolment waits for: it goes out beside its sequence.
#[derive(Debug, Clone, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns of messages by their own names")]
pub struct Released {
    pub enrolment_id: i64,
    pub address: String,
    pub zone: String,
    pub step_number: i64,
    pub planned_at: Millis,
    pub reasons: String,
    pub slot: Option<Micros>,
}

/// The campaign's released messages that nobody waits for.
pub async fn released(tx: &mut Tx, account: i64, campaign: i64, limit: i64) -> Result<Vec<Released>> {
    rows!(
        tx,
        Released,
        "SELECT m.enrolment_id, m.address, m.zone, m.step_number, m.planned_at, m.reasons, m.slot
         FROM messages m
         WHERE m.account_id = (SELECT account_id FROM campaigns WHERE id = $1) AND m.campaign_id = $1
           AND m.state IN ('scheduled', 'writing', 'drafted', 'claimed', 'sending')
           AND m.approved AND NOT EXISTS (SELECT 1 FROM enrolments e WHERE e.id = m.enrolment_id
               AND e.state = 'active' AND e.settled < m.step_number)
         ORDER BY m.planned_at, m.enrolment_id LIMIT $2",
        campaign,
        limit,
        account
    )
}

/// The state of a limit as it stands, without a lock: claims go on beside it.
pub async fn gate(tx: &mut Tx, owner: Owner, id: i64) -> Result<Gate> {
    let owner = match owner {
        Owner::Profile => "profile",
        Owner::Campaign => "campaign",
    };
    let sql = "SELECT next, minute_start, minute_count, day_start, day_count FROM gates
               WHERE owner = $1 AND owner_id = $2";
    Ok(row!(tx, (i64, i64, i64, i64, i64), sql, owner, id)?.map(gate_of).unwrap_or_default())
}
