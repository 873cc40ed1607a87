//! T1, the claim: the slot transaction of one sending profile (DESIGN, Limits; SEND_PROTOCOL).

use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use crate::gates;
use crate::heads::policy_of;
use crate::intents::Seen;
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{Micros, Millis};
use sendwright_workflows::rate_limit::{Due, Gate, HORIZON, Rates, Seat, TOLERANCE, seat, slot_millis};
use sendwright_workflows::reason::{Owner, Reason};
use sendwright_workflows::sequence::Channel;
use sendwright_workflows::simulate::extend;
use sendwright_workflows::zone::Zone;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// A claimed message: everything its hand-over needs.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "columns of messages and drafts by their own names")]
pub struct Claimed {
    pub id: i64,
    pub account_id: i64,
    pub campaign_id: i64,
    pub kind: String,
    pub round: i64,
    pub enrolment_id: i64,
    pub contact_id: i64,
    pub profile_id: i64,
    pub channel: Channel,
    pub step_number: u32,
    pub version: i64,
    pub address: String,
    pub address_hash: String,
    pub zone: Zone,
    pub planned_at: Millis,
    pub fence: i64,
    pub attempts: i64,
    pub slot: Micros,
    pub subject: String,
    pub body: String,
    /// What goes with a text message, a JSON object.
    pub enclosed: Option<String>,
    /// Every reason so far, JSON.
    pub reasons: String,
    /// The account of a provider's that it will go by.
    pub provider: Option<String>,
    /// The campaign's settings when it was claimed.
    pub policy: Policy,
}

#[derive(Debug, sqlx::FromRow)]
struct DueMessage {
    id: i64,
    account_id: i64,
    kind: String,
    round: i64,
    enrolment_id: i64,
    contact_id: i64,
    step_number: i64,
    version: i64,
    address: String,
    address_hash: String,
    zone: String,
    planned_at: i64,
    reasons: String,
    fence: i64,
    attempts: i64,
    crashes: i64,
    subject: String,
    body: String,
    enclosed: Option<String>,
    approved: bool,
    enrolment_state: Option<String>,
    replied_at: Option<i64>,
    asked_at: Option<i64>,
    contact_state: Option<String>,
    suppressed: Option<String>,
    consent: Option<String>,
}

/// The way out: a sending profile, as much of it as a claim needs.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// The profile.
    pub profile: i64,
    /// The channel that it serves.
    pub channel: Channel,
    /// Its limits.
    pub rates: &'a Rates,
}

/// A campaign's waiting rows with its own limit.
struct Line {
    id: i64,
    version: i64,
    gate: Gate,
    rates: Rates,
    policy: Policy,
    rows: VecDeque<DueMessage>,
    touched: bool,
}

/// What one slot transaction did.
#[derive(Debug, Default)]
pub struct Claim {
    /// Rows with a slot that is to come.
    pub claimed: Vec<Claimed>,
    /// Rows whose slot has come, from [`claim_at_once`]: locked, and not yet written.
    pub ready: Vec<Claimed>,
    /// What was read of these together with them, in their order.
    pub seen: Vec<Seen>,
    /// Rows planned anew or held: there may be more to claim at once.
    pub moved: usize,
    /// When the next slot is free, where rows wait for one.
    pub next: Option<Millis>,
}

/// The campaigns of profile `$1` in a state: it serves one channel, so that one of the three finds them.
macro_rules! campaigns_of_profile {
    ($columns:literal, $which:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM campaigns c WHERE c.profile_id = $1 AND ",
            $which,
            " UNION ALL SELECT ",
            $columns,
            " FROM campaigns c WHERE c.sms_profile_id = $1 AND ",
            $which,
            " UNION ALL SELECT ",
            $columns,
            " FROM campaigns c WHERE c.whatsapp_profile_id = $1 AND ",
            $which
        )
    };
}

/// Consent is asked for where the channel needs it: e-mail pays nothing for it.
macro_rules! due_sql {
    ($consent:literal, $join:literal, $lock:literal) => {
        concat!("SELECT m.id, m.account_id, m.kind, m.round, m.enrolment_id, m.contact_id, m.step_number, m.version,
            m.address, m.address_hash, m.zone, m.planned_at, m.reasons, m.fence, m.attempts, m.crashes,
            d.subject, d.body, d.enclosed, m.approved, n.state AS enrolment_state, n.replied_at, n.asked_at,
            k.state AS contact_state, s.why AS suppressed, ", $consent, " AS consent
         FROM messages m JOIN drafts d ON d.message_id = m.id
         LEFT JOIN enrolments n ON n.id = m.enrolment_id LEFT JOIN contacts k ON k.id = m.contact_id
         LEFT JOIN suppressions s ON s.account_id = m.account_id AND s.channel = m.channel
              AND s.address_hash = m.address_hash ", $join, "
         WHERE m.profile_id = $1 AND m.campaign_id = $2 AND m.state = 'drafted' AND m.planned_at <= $3 ORDER BY m.planned_at, m.enrolment_id LIMIT $4", $lock)
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

/// Gives slots to at most `most` due rows of a profile and claims them for `worker`.
pub async fn claim(tx: &mut Tx, way: Way<'_>, worker: i64, most: usize, now: Millis) -> Result<Claim> {
    let mut claim = take_slots(tx, way, worker, most, now, false).await?;
    claim.claimed.append(&mut claim.ready);
    claim.seen.clear(); // By the time of their intent it is old.
    Ok(claim)
}

/// The same, for a caller that commits the intent of those whose slot has come in this very transaction: they
/// come back as `ready` and are written once, by [`crate::intents::intend`] or [`crate::intents::put_back`].
pub async fn claim_at_once(
    tx: &mut Tx,
    way: Way<'_>,
    worker: i64,
    most: usize,
    now: Millis,
) -> Result<Claim> {
    take_slots(tx, way, worker, most, now, true).await
}

async fn take_slots(
    tx: &mut Tx,
    way: Way<'_>,
    worker: i64,
    most: usize,
    now: Millis,
    at_once: bool,
) -> Result<Claim> {
    let Way { profile, rates, .. } = way;
    let mut profile_gate = gates::lock(tx, Owner::Profile, profile).await?;
    let before = profile_gate;
    let (mut lines, next) = lines(tx, way, most, now).await?;
    let mut done = Seating { claim: Claim { next, ..Claim::default() }, changes: Vec::new(), now, at_once };
    while done.given() < most {
        let Some(best) = first(&lines, &profile_gate) else { break };
        let line = &mut lines[best];
        let Some(row) = line.rows.pop_front() else { break };
        // A row that may have killed a worker goes alone: one such row in a worker's hands (SEND_PROTOCOL 15).
        let alone = row.crashes > 0;
        if alone && (done.given() > 0 || has_suspect(tx, worker).await?) {
            continue;
        }
        let due = Due { planned: row.planned_at, zone: zone_of(&row.zone), quiet: line.policy.quiet_hours };
        let got = seat(
            (&mut profile_gate, rates),
            (&mut line.gate, &line.rates),
            &due,
            now - TOLERANCE,
            now + HORIZON,
        );
        match got {
            Seat::Beyond { at } => {
                done.claim.next = Some(done.claim.next.map_or(at, |next| next.min(at)));
                line.rows.clear();
                continue;
            }
            Seat::At { slot, reasons } => {
                line.touched = true;
                done.give(way, line, row, slot, reasons);
            }
            Seat::Moved { to, reasons } => done.put_off(row, "drafted", to, reasons),
            Seat::Held(reason) => {
                let planned = row.planned_at;
                done.put_off(row, "held", planned, vec![reason]);
            }
        }
        if alone {
            break;
        }
    }
    done.save(tx, worker, now).await?;
    if profile_gate != before {
        gates::save(tx, Owner::Profile, profile, &profile_gate).await?;
    }
    for line in lines.iter().filter(|l| l.touched && l.id > 0) {
        gates::save(tx, Owner::Campaign, line.id, &line.gate).await?;
    }
    Ok(done.claim)
}

/// The line whose head takes the next slot: the earliest slot first, then (planned instant, enrolment).
fn first(lines: &[Line], profile: &Gate) -> Option<usize> {
    let head = |line: &Line| {
        line.rows.front().map(|row| {
            let slot = profile.next.max(line.gate.next).max(row.planned_at * 1_000);
            (slot, row.planned_at, row.enrolment_id)
        })
    };
    (0..lines.len()).filter(|i| !lines[*i].rows.is_empty()).min_by_key(|i| head(&lines[*i]))
}

/// The profile's campaigns with due rows, and when the first shut gate among them opens. A campaign whose own
/// gate is shut beyond the horizon is not read: its backlog must not hide the others'.
async fn lines(tx: &mut Tx, way: Way<'_>, most: usize, now: Millis) -> Result<(Vec<Line>, Option<Millis>)> {
    type Row = (i64, i64, String, i64, i64, i64, i64, i64);
    const AT_WORK: &str = concat!(
        "SELECT c.id, c.version, c.policy, g.next, g.minute_start, g.minute_count, g.day_start, g.day_count FROM (",
        campaigns_of_profile!(
            "c.id, c.version, c.policy",
            "c.state = 'running' AND c.mapped_version = c.version AND EXISTS (
                 SELECT 1 FROM messages m WHERE m.profile_id = $1 AND m.campaign_id = c.id AND m.state = 'drafted'
                   AND m.planned_at <= $2)"
        ),
        ") AS c JOIN gates g ON g.owner = 'campaign' AND g.owner_id = c.id ORDER BY c.id"
    );
    // A campaign of several channels has its gate asked by several profiles at once: their rows are locked, in
    // ascending order, behind the profile's own.
    const LOCKED: &str = "SELECT g.owner_id FROM gates g JOIN campaigns c ON c.id = g.owner_id
         WHERE g.owner = 'campaign' AND c.state = 'running' AND (c.sms_profile_id IS NOT NULL
               OR c.whatsapp_profile_id IS NOT NULL)
           AND (c.profile_id = $1 OR c.sms_profile_id = $1 OR c.whatsapp_profile_id = $1)
         ORDER BY g.owner_id FOR UPDATE OF g";
    let profile = way.profile;
    if tx.is_postgres() && (way.channel.is_phone() || has_mixed(tx, profile).await?) {
        rows!(&mut *tx, (i64,), LOCKED, profile)?;
    }
    let campaigns = rows!(&mut *tx, Row, AT_WORK, profile, now)?;
    let (mut open, mut opens) = (Vec::new(), None::<Millis>);
    for (id, version, policy, next, ms, mc, ds, dc) in campaigns {
        let gate = gates::gate_of((next, ms, mc, ds, dc));
        if slot_millis(gate.next) > now + HORIZON {
            let at = slot_millis(gate.next);
            opens = Some(opens.map_or(at, |first| first.min(at)));
            continue;
        }
        open.push(Line::new((id, version), gate, policy_of(id, &policy)?));
    }
    // Test sends belong to no campaign's line: their limits are the profile's alone.
    open.push(Line::new((0, 0), Gate::default(), Policy::default()));
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

/// Whether a profile for e-mail sends for a campaign of other channels too.
async fn has_mixed(tx: &mut Tx, profile: i64) -> Result<bool> {
    let sql = "SELECT c.id FROM campaigns c WHERE c.profile_id = $1 AND c.state = 'running'
                 AND (c.sms_profile_id IS NOT NULL OR c.whatsapp_profile_id IS NOT NULL) LIMIT 1";
    Ok(row!(tx, (i64,), sql, profile)?.is_some())
}

async fn has_suspect(tx: &mut Tx, worker: i64) -> Result<bool> {
    let sql = "SELECT id FROM messages WHERE worker_id = $1 AND state IN ('writing', 'claimed', 'sending')
         AND crashes > 0 LIMIT 1";
    Ok(row!(tx, (i64,), sql, worker)?.is_some())
}

fn zone_of(name: &str) -> Zone {
    name.parse().unwrap_or(Zone::UTC)
}

impl Seen {
    /// Of a row that is drafted, locked, and in a campaign that runs.
    fn with(campaign_version: i64, row: &DueMessage) -> Self {
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
            suppressed: row.suppressed.clone(),
            consent: row.consent.clone(),
        }
    }
}

struct Seating {
    claim: Claim,
    /// id, state, planned_at, slot, reasons, fence added
    changes: Vec<Value>,
    now: Millis,
    at_once: bool,
}

impl Seating {
    fn given(&self) -> usize {
        self.claim.claimed.len() + self.claim.ready.len()
    }

    fn give(&mut self, way: Way<'_>, line: &Line, row: DueMessage, slot: Micros, late: Vec<Reason>) {
        let reasons = with_reasons(&row.reasons, late);
        let is_ready = slot_millis(slot) <= self.now;
        if !(is_ready && self.at_once) {
            self.changes.push(json!([row.id, "claimed", row.planned_at, slot, reasons, 1]));
        }
        let line_of = if is_ready { &mut self.claim.ready } else { &mut self.claim.claimed };
        if is_ready {
            self.claim.seen.push(Seen::with(line.version, &row));
        }
        line_of.push(Claimed {
            id: row.id,
            account_id: row.account_id,
            campaign_id: line.id,
            kind: row.kind,
            round: row.round,
            enrolment_id: row.enrolment_id,
            contact_id: row.contact_id,
            profile_id: way.profile,
            channel: way.channel,
            step_number: row.step_number as u32,
            version: row.version,
            address: row.address,
            address_hash: row.address_hash,
            zone: zone_of(&row.zone),
            planned_at: row.planned_at,
            fence: row.fence + 1,
            attempts: row.attempts,
            slot,
            subject: row.subject,
            body: row.body,
            enclosed: row.enclosed,
            reasons,
            provider: None,
            policy: line.policy.clone(),
        });
    }

    fn put_off(&mut self, row: DueMessage, state: &str, to: Millis, why: Vec<Reason>) {
        let reasons = with_reasons(&row.reasons, why);
        self.changes.push(json!([row.id, state, to, null, reasons, 0]));
        self.claim.moved += 1;
    }

    async fn save(&self, tx: &mut Tx, worker: i64, now: Millis) -> Result<()> {
        if self.changes.is_empty() {
            return Ok(());
        }
        execute!(
            tx,
            "UPDATE messages SET state = e.value ->> 1, planned_at = CAST(e.value ->> 2 AS BIGINT),
                 slot = CAST(e.value ->> 3 AS BIGINT), reasons = e.value ->> 4,
                 fence = fence + CAST(e.value ->> 5 AS BIGINT),
                 worker_id = CASE WHEN e.value ->> 1 = 'claimed' THEN $2 ELSE NULL END, updated_at = $3
             FROM json_each($1) AS e WHERE messages.id = CAST(e.value ->> 0 AS BIGINT)",
            Value::from(self.changes.clone()).to_string(),
            worker,
            now
        )?;
        Ok(())
    }
}

/// The stored reasons with more; each once.
pub(crate) fn with_reasons(stored: &str, more: Vec<Reason>) -> String {
    let mut reasons: Vec<Reason> = serde_json::from_str(stored).unwrap_or_default();
    extend(&mut reasons, more);
    serde_json::to_string(&reasons).unwrap_or_else(|_| "[]".into())
}

/// A profile with due rows.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct DueProfile {
    /// The profile.
    #[sqlx(rename = "id")]
    pub profile: i64,
    channel: String,
}

impl DueProfile {
    /// The channel that it serves.
    pub fn channel(&self) -> Channel {
        Channel::parse(&self.channel).unwrap_or_default()
    }
}

/// Profiles that have a due row in a running campaign or a test send, by account.
pub async fn profiles_with_due(tx: &mut Tx, now: Millis) -> Result<Vec<DueProfile>> {
    rows!(
        tx,
        DueProfile,
        "SELECT p.id, p.channel FROM sending_profiles p
         WHERE (p.channel = 'email' AND EXISTS (SELECT 1 FROM campaigns c WHERE c.profile_id = p.id
                 AND c.state = 'running' AND c.mapped_version = c.version AND EXISTS (
                 SELECT 1 FROM messages m WHERE m.profile_id = p.id AND m.campaign_id = c.id
                   AND m.state = 'drafted' AND m.planned_at <= $1)))
            OR (p.channel = 'sms' AND EXISTS (SELECT 1 FROM campaigns c WHERE c.sms_profile_id = p.id
                 AND c.state = 'running' AND c.mapped_version = c.version AND EXISTS (
                 SELECT 1 FROM messages m WHERE m.profile_id = p.id AND m.campaign_id = c.id
                   AND m.state = 'drafted' AND m.planned_at <= $1)))
            OR (p.channel = 'whatsapp' AND EXISTS (SELECT 1 FROM campaigns c WHERE c.whatsapp_profile_id = p.id
                 AND c.state = 'running' AND c.mapped_version = c.version AND EXISTS (
                 SELECT 1 FROM messages m WHERE m.profile_id = p.id AND m.campaign_id = c.id
                   AND m.state = 'drafted' AND m.planned_at <= $1)))
            OR EXISTS (SELECT 1 FROM messages m WHERE m.profile_id = p.id AND m.campaign_id = 0
                   AND m.state = 'drafted' AND m.planned_at <= $1)
         ORDER BY p.account_id, p.id",
        now
    )
}

/// When the next drafted row of a profile is due, and how many are due at `now`, counted up to `most`.
pub async fn ahead(tx: &mut Tx, profile: i64, now: Millis, most: i64) -> Result<(usize, Option<Millis>)> {
    let found = rows!(
        tx,
        (Option<i64>, i64),
        concat!(
            "SELECT (SELECT MIN(m.planned_at) FROM messages m WHERE m.profile_id = $1 AND m.campaign_id = c.id
                   AND m.state = 'drafted'),
                (SELECT COUNT(*) FROM (SELECT 1 AS one FROM messages m WHERE m.profile_id = $1
                   AND m.campaign_id = c.id AND m.state = 'drafted' AND m.planned_at <= $2 LIMIT $3) AS due)
         FROM (",
            campaigns_of_profile!("c.id", "c.state = 'running' AND c.mapped_version = c.version"),
            " UNION ALL SELECT CAST(0 AS BIGINT)) AS c"
        ),
        profile,
        now,
        most
    )?;
    let next = found.iter().filter_map(|r| r.0).min();
    Ok((found.iter().map(|r| r.1 as usize).sum(), next))
}
