//! The lines of a claim: the due rows of each campaign that a profile sends for, locked, behind the campaign's own gate.

use super::Way;
use crate::db::{Tx, rows};
use crate::error::Result;
use crate::gates;
use crate::heads::policy_of;
use crate::intents::Seen;
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::contact::own_zone;
use sendwright_workflows::rate_limit::{Gate, HORIZON, Rates, slot_millis};
use sendwright_workflows::zone::Zone;
use std::collections::VecDeque;

#[derive(Debug, sqlx::FromRow)]
pub(super) struct DueMessage {
    pub(super) id: i64,
    pub(super) account_id: i64,
    pub(super) kind: String,
    pub(super) round: i64,
    pub(super) enrolment_id: i64,
    pub(super) contact_id: i64,
    pub(super) step_number: i64,
    pub(super) version: i64,
    pub(super) address: String,
    pub(super) address_hash: String,
    pub(super) zone: String,
    pub(super) planned_at: i64,
    pub(super) reasons: String,
    pub(super) fence: i64,
    pub(super) attempts: i64,
    pub(super) crashes: i64,
    pub(super) subject: String,
    pub(super) body: String,
    pub(super) enclosed: Option<String>,
    pub(super) approved: bool,
    pub(super) enrolment_state: Option<String>,
    pub(super) replied_at: Option<i64>,
    pub(super) asked_at: Option<i64>,
    pub(super) contact_state: Option<String>,
    pub(super) timezone: Option<String>,
    pub(super) phone_key: Option<String>,
    pub(super) suppressed: Option<String>,
    pub(super) consent: Option<String>,
}

/// A campaign's waiting rows with its own limit.
pub(super) struct Line {
    pub(super) id: i64,
    pub(super) version: i64,
    pub(super) gate: Gate,
    pub(super) rates: Rates,
    pub(super) policy: Policy,
    pub(super) rows: VecDeque<DueMessage>,
    pub(super) touched: bool,
}

/// Consent is asked for where the channel needs it: e-mail pays nothing for it.
macro_rules! due_sql {
    ($consent:literal, $join:literal, $lock:literal) => {
        concat!("SELECT m.id, m.account_id, m.kind, m.round, m.enrolment_id, m.contact_id, m.step_number, m.version,
            m.address, m.address_hash, m.zone, m.planned_at, m.reasons, m.fence, m.attempts, m.crashes,
            d.subject, d.body, d.enclosed, m.approved, n.state AS enrolment_state, n.replied_at, n.asked_at,
            k.state AS contact_state, k.timezone, k.phone_key, s.why AS suppressed, ", $consent, " AS consent
         FROM messages m JOIN drafts d ON d.message_id = m.id
         LEFT JOIN enrolments n ON n.id = m.enrolment_id LEFT JOIN contacts k ON k.id = m.contact_id
         LEFT JOIN suppressions s ON s.account_id = m.account_id AND s.channel = m.channel
              AND s.address_hash = m.address_hash ", $join, "
         WHERE m.profile_id = $1 AND m.campaign_id = $2 AND m.waits = 'drafted' AND m.planned_at <= $3
           AND m.kind IN ('step', 'test') ORDER BY m.planned_at, m.enrolment_id LIMIT $4", $lock)
    };
    ($lock:literal) => {
        due_sql!("CAST(NULL AS TEXT)", "", $lock)
    };
    (phone $lock:literal) => {
        due_sql!(
            "y.state",
            "LEFT JOIN consent_states y ON y.account_id = m.account_id AND y.channel = m.channel AND y.address_hash = m.address_hash",
            $lock
        )
    };
}

/// The profile's campaigns with due rows, and when the first shut gate among them opens. A campaign whose own
/// gate is shut beyond the horizon is not read: its backlog must not hide the others'.
pub(super) async fn lines(
    tx: &mut Tx,
    way: Way<'_>,
    most: usize,
    now: Millis,
) -> Result<(Vec<Line>, Option<Millis>)> {
    type Row = (i64, i64, String, bool, i64, i64, i64, i64, i64);
    // Test sends belong to no campaign's line: their limits are the profile's alone.
    const AT_WORK: &str = concat!(
        "SELECT c.id, c.version, c.policy, c.is_mixed, g.next, g.minute_start, g.minute_count, g.day_start, g.day_count
         FROM (",
        campaigns_of_profile!(
            "$1",
            "c.id, c.version, c.policy, c.sms_profile_id IS NOT NULL OR c.whatsapp_profile_id IS NOT NULL AS is_mixed",
            "c.state = 'running' AND c.mapped_version = c.version AND EXISTS (
                 SELECT 1 FROM messages m WHERE m.profile_id = $1 AND m.campaign_id = c.id AND m.waits = 'drafted'
                   AND m.planned_at <= $2)"
        ),
        ") AS c JOIN gates g ON g.owner = 'campaign' AND g.owner_id = c.id
         UNION ALL
         SELECT CAST(0 AS BIGINT), CAST(0 AS BIGINT), '{}', FALSE, CAST(0 AS BIGINT), CAST(0 AS BIGINT), CAST(0 AS BIGINT),
             CAST(0 AS BIGINT), CAST(0 AS BIGINT)
         WHERE EXISTS (SELECT 1 FROM messages m WHERE m.profile_id = $1 AND m.campaign_id = 0 AND m.waits = 'drafted'
             AND m.planned_at <= $2)
         ORDER BY 1"
    );
    // A campaign of several channels has its gate asked by several profiles at once: their rows are locked, in
    // ascending order, behind the profile's own.
    const LOCKED: &str = "SELECT g.owner_id FROM gates g JOIN campaigns c ON c.id = g.owner_id
         WHERE g.owner = 'campaign' AND c.state = 'running' AND (c.sms_profile_id IS NOT NULL
               OR c.whatsapp_profile_id IS NOT NULL)
           AND (c.profile_id = $1 OR c.sms_profile_id = $1 OR c.whatsapp_profile_id = $1)
         ORDER BY g.owner_id FOR UPDATE OF g";
    let profile = way.profile;
    let mut found = rows!(&mut *tx, Row, AT_WORK, profile, now)?;
    if tx.is_postgres() && found.iter().any(|row| row.3) {
        rows!(&mut *tx, (i64,), LOCKED, profile)?;
        found = rows!(&mut *tx, Row, AT_WORK, profile, now)?;
    }
    let (mut open, mut opens) = (Vec::new(), None::<Millis>);
    for (id, version, policy, _, next, ms, mc, ds, dc) in found {
        // Whoever plans for it says that it does not read.
        let Ok(policy) = policy_of(id, &policy) else { continue };
        let gate = gates::gate_of((next, ms, mc, ds, dc)).at(now, &policy.rates());
        if slot_millis(gate.next) > now + HORIZON {
            let at = slot_millis(gate.next);
            opens = Some(opens.map_or(at, |first| first.min(at)));
            continue;
        }
        open.push(Line::new((id, version), gate, policy));
    }
    for line in &mut open {
        line.rows = due(tx, way, line.id, now, most as i64).await?.into();
    }
    Ok((open, opens))
}

impl Line {
    fn new((id, version): (i64, i64), gate: Gate, policy: Policy) -> Self {
        Line { id, version, gate, rates: policy.rates(), policy, rows: VecDeque::new(), touched: false }
    }
}

async fn due(tx: &mut Tx, way: Way<'_>, campaign: i64, now: Millis, most: i64) -> Result<Vec<DueMessage>> {
    let sql = match (way.channel.needs_consent(), tx.is_postgres()) {
        (false, true) => due_sql!(" FOR UPDATE OF m SKIP LOCKED"),
        (false, false) => due_sql!(""),
        (true, true) => due_sql!(phone " FOR UPDATE OF m SKIP LOCKED"),
        (true, false) => due_sql!(phone ""),
    };
    rows!(tx, DueMessage, sql, way.profile, campaign, now, most)
}

impl DueMessage {
    /// The zone that its quiet hours are reckoned in: the contact's as it is now, which may have changed since the
    /// message was planned.
    pub(super) fn zone(&self, policy: &Policy) -> Zone {
        let planned = self.zone.parse().unwrap_or(Zone::UTC);
        policy.zone(own_zone(self.timezone.as_deref(), self.phone_key.as_deref()), planned)
    }
}

impl Seen {
    /// Of a row that is drafted, locked, and in a campaign that runs.
    pub(super) fn with(campaign_version: i64, row: &DueMessage) -> Self {
        Seen {
            id: row.id,
            kind: row.kind.clone(),
            state: "drafted".into(),
            fence: row.fence,
            worker_id: None,
            version: row.version,
            approved: row.approved,
            campaign_state: Some("running".into()),
            campaign_version: Some(campaign_version),
            policy: None,
            enrolment_state: row.enrolment_state.clone(),
            replied_at: row.replied_at,
            asked_at: row.asked_at,
            contact_state: row.contact_state.clone(),
            timezone: row.timezone.clone(),
            phone_key: row.phone_key.clone(),
            suppressed: row.suppressed.clone(),
            consent: row.consent.clone(),
        }
    }
}
