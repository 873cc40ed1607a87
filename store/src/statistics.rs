//! What campaigns have done: counted from messages and from the ledger of events, at one instant.

use crate::db::{Tx, rows};
use crate::error::Result;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::reason::Reason;
use sendwright_workflows::statistics::Totals;
use std::collections::BTreeMap;

/// Whose numbers: an account's, or one campaign's, over all rounds or in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// The account.
    pub account: i64,
    /// The campaign; all of them where none is named.
    pub campaign: Option<i64>,
    /// The round; all of them where none is named.
    pub round: Option<i64>,
}

/// The condition of a scope over messages `m`: $1 account, $2 campaign, $3 round.
macro_rules! of_scope {
    () => {
        " m.account_id = $1 AND (CAST($2 AS BIGINT) IS NULL OR m.campaign_id = $2)
          AND (CAST($3 AS BIGINT) IS NULL OR m.round = $3) AND m.kind = 'step' "
    };
}

/// The kinds that the index of reactions holds, as its own text says them.
macro_rules! is_reaction {
    () => {
        " v.kind IN ('email.delivered', 'email.opened', 'email.clicked', 'reply.received', 'email.bounced',
          'email.complained', 'email.failed', 'contact.opted_out') "
    };
}

/// What people did: openings and clicks that machines are not held to have made, and answers that none wrote. The data is
/// JSON without blanks; a quote within one of its texts has a backslash before it.
macro_rules! is_by_person {
    () => {
        r#" ((v.kind IN ('email.opened', 'email.clicked') AND v.data LIKE '%"by":"person"%')
             OR (v.kind = 'reply.received' AND v.data NOT LIKE '%"automatic":true%')) "#
    };
}

/// Counts by step, ascending. What has no step (an opt-out without a message) is under step 0.
pub async fn by_step(tx: &mut Tx, scope: Scope) -> Result<BTreeMap<i64, Totals>> {
    let mut steps: BTreeMap<i64, Totals> = BTreeMap::new();
    let states = rows!(
        &mut *tx,
        (i64, String, i64, i64, i64),
        concat!(
            "SELECT m.step_number, m.state, CAST(CASE WHEN m.accepted_at IS NULL THEN 0 ELSE 1 END AS BIGINT) AS taken,
                    COUNT(*), COUNT(d.message_id)
             FROM messages m LEFT JOIN drafts d ON d.message_id = m.id WHERE",
            of_scope!(),
            "GROUP BY m.step_number, m.state, taken"
        ),
        scope.account,
        scope.campaign,
        scope.round
    )?;
    for (step, state, accepted, n, written) in states {
        let totals = steps.entry(step).or_default();
        totals.add(&state, accepted == 1, n);
        totals.written += written;
    }
    let reactions = rows!(
        &mut *tx,
        (i64, String, i64),
        concat!(
            "SELECT m.step_number, v.kind, COUNT(DISTINCT v.message_id) FROM events v
             JOIN messages m ON m.id = v.message_id
             WHERE v.account_id = $1 AND (CAST($2 AS BIGINT) IS NULL OR v.campaign_id = $2) AND",
            is_reaction!(),
            "AND",
            is_by_person!(),
            "AND",
            of_scope!(),
            "GROUP BY m.step_number, v.kind"
        ),
        scope.account,
        scope.campaign,
        scope.round
    )?;
    let opt_outs = rows!(
        tx,
        (i64, String, i64),
        concat!(
            "SELECT COALESCE(m.step_number, 0) AS step, v.kind, COUNT(*) FROM events v
             LEFT JOIN messages m ON m.id = v.message_id AND m.kind = 'step'
             WHERE v.account_id = $1 AND (CAST($2 AS BIGINT) IS NULL OR v.campaign_id = $2)
               AND (CAST($3 AS BIGINT) IS NULL OR m.id IS NULL OR m.round = $3) AND",
            is_reaction!(),
            "AND v.kind = 'contact.opted_out' GROUP BY step, v.kind"
        ),
        scope.account,
        scope.campaign,
        scope.round
    )?;
    for (step, kind, n) in reactions.into_iter().chain(opt_outs) {
        steps.entry(step).or_default().react(&kind, n);
    }
    Ok(steps)
}

/// Everything in one.
pub async fn totals(tx: &mut Tx, scope: Scope) -> Result<Totals> {
    Ok(by_step(tx, scope).await?.values().fold(Totals::default(), |sum, step| sum.plus(step)))
}

/// Why messages are held, by the code of what holds them; the most first.
pub async fn held(tx: &mut Tx, scope: Scope) -> Result<Vec<(String, i64)>> {
    let found = rows!(
        tx,
        (String, i64),
        concat!(
            "SELECT m.reasons, COUNT(*) FROM messages m WHERE m.state = 'held' AND",
            of_scope!(),
            "GROUP BY m.reasons"
        ),
        scope.account,
        scope.campaign,
        scope.round
    )?;
    let mut codes: BTreeMap<String, i64> = BTreeMap::new();
    for (reasons, n) in found {
        let reasons: Vec<Reason> = serde_json::from_str(&reasons).unwrap_or_default();
        let code = reasons.last().map_or_else(|| "unknown".to_owned(), Reason::code);
        *codes.entry(code).or_default() += n;
    }
    let mut codes: Vec<(String, i64)> = codes.into_iter().collect();
    codes.sort_by_key(|(_, n)| -n);
    Ok(codes)
}

/// What happened in each interval, as (its first instant, what, how many). Each message counts once per kind, when
/// it happened first, so that the intervals of a kind sum up to its total: `sent`, `opened`, `clicked`, `replied`, `bounced`,
/// `failed`, `opted_out`.
pub async fn over_time(
    tx: &mut Tx,
    scope: Scope,
    interval: Millis,
) -> Result<Vec<(Millis, &'static str, i64)>> {
    let sent = rows!(
        &mut *tx,
        (i64, i64),
        concat!(
            "SELECT m.accepted_at - m.accepted_at % $4 AS first, COUNT(*) FROM messages m
             WHERE m.accepted_at IS NOT NULL AND m.state IN ('accepted', 'delivered', 'bounced', 'complained') AND",
            of_scope!(),
            "GROUP BY first ORDER BY first"
        ),
        scope.account,
        scope.campaign,
        scope.round,
        interval
    )?;
    let reactions = rows!(
        &mut *tx,
        (i64, String, i64),
        concat!(
            "SELECT f.at - f.at % $4 AS first, f.kind, COUNT(*) FROM (
                 SELECT v.message_id, v.kind, MIN(v.at) AS at FROM events v JOIN messages m ON m.id = v.message_id
                 WHERE v.account_id = $1 AND (CAST($2 AS BIGINT) IS NULL OR v.campaign_id = $2) AND",
            is_reaction!(),
            "AND",
            of_scope!(),
            "AND (",
            is_by_person!(),
            "OR (v.kind = 'email.bounced' AND m.state = 'bounced')
                    OR (v.kind = 'email.failed' AND m.state = 'failed'))
                 GROUP BY v.message_id, v.kind) AS f
             GROUP BY first, f.kind ORDER BY first, f.kind"
        ),
        scope.account,
        scope.campaign,
        scope.round,
        interval
    )?;
    let opt_outs = rows!(
        tx,
        (i64, i64),
        concat!(
            "SELECT v.at - v.at % $4 AS first, COUNT(*) FROM events v
             LEFT JOIN messages m ON m.id = v.message_id AND m.kind = 'step'
             WHERE v.account_id = $1 AND (CAST($2 AS BIGINT) IS NULL OR v.campaign_id = $2)
               AND (CAST($3 AS BIGINT) IS NULL OR m.id IS NULL OR m.round = $3) AND",
            is_reaction!(),
            "AND v.kind = 'contact.opted_out' GROUP BY first ORDER BY first"
        ),
        scope.account,
        scope.campaign,
        scope.round,
        interval
    )?;
    let mut points: Vec<(Millis, &'static str, i64)> =
        sent.into_iter().map(|(first, n)| (first, "sent", n)).collect();
    points.extend(reactions.into_iter().filter_map(|(first, kind, n)| Some((first, word(&kind)?, n))));
    points.extend(opt_outs.into_iter().map(|(first, n)| (first, "opted_out", n)));
    points.sort_by_key(|point| (point.0, point.1));
    Ok(points)
}

fn word(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "email.opened" => "opened",
        "email.clicked" => "clicked",
        "reply.received" => "replied",
        "email.bounced" => "bounced",
        "email.failed" => "failed",
        _ => return None,
    })
}
