//! What campaigns have done: counted from messages and from the ledger of events, at one instant.

use crate::db::{Tx, rows};
use crate::error::Result;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::reason::Reason;
use sendwright_workflows::sequence::Channel;
use sendwright_workflows::statistics::{Totals, what};
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
        " v.kind IN ('email.opened', 'email.clicked', 'email.bounced', 'email.failed', 'sms.bounced', 'sms.failed',
          'whatsapp.opened', 'whatsapp.bounced', 'whatsapp.failed', 'reply.received', 'contact.opted_out') "
    };
}

/// What people did: openings and clicks that machines are not held to have made, and answers that none wrote. The data is
/// JSON without blanks; a quote within one of its texts has a backslash before it.
macro_rules! is_by_person {
    () => {
        r#" ((v.kind IN ('email.opened', 'email.clicked', 'whatsapp.opened') AND v.data LIKE '%"by":"person"%')
             OR (v.kind = 'reply.received' AND v.data NOT LIKE '%"automatic":true%')) "#
    };
}

/// What counts are of: a step, and the channel that its messages went by. What belongs to no message (an opt-out by
/// hand) is of step 0 and of no channel.
pub type Part = (i64, Option<Channel>);

/// Counts by step and channel, ascending.
pub async fn parts(tx: &mut Tx, scope: Scope) -> Result<BTreeMap<Part, Totals>> {
    let mut parts: BTreeMap<Part, Totals> = BTreeMap::new();
    let states = rows!(
        &mut *tx,
        (i64, String, String, i64, i64, i64),
        concat!(
            "SELECT m.step_number, m.channel, m.state,
                    CAST(CASE WHEN m.accepted_at IS NULL THEN 0 ELSE 1 END AS BIGINT) AS taken,
                    COUNT(*), COUNT(d.message_id)
             FROM messages m LEFT JOIN drafts d ON d.message_id = m.id WHERE",
            of_scope!(),
            "GROUP BY m.step_number, m.channel, m.state, taken"
        ),
        scope.account,
        scope.campaign,
        scope.round
    )?;
    for (step, channel, state, accepted, n, written) in states {
        let totals = parts.entry((step, Channel::parse(&channel))).or_default();
        totals.add(&state, accepted == 1, n);
        totals.written += written;
    }
    let reactions = rows!(
        &mut *tx,
        (i64, Option<String>, String, i64),
        concat!(
            "SELECT m.step_number, m.channel, v.kind, COUNT(DISTINCT v.message_id) FROM events v
             JOIN messages m ON m.id = v.message_id
             WHERE v.account_id = $1 AND (CAST($2 AS BIGINT) IS NULL OR v.campaign_id = $2) AND",
            is_reaction!(),
            "AND",
            is_by_person!(),
            "AND",
            of_scope!(),
            "GROUP BY m.step_number, m.channel, v.kind"
        ),
        scope.account,
        scope.campaign,
        scope.round
    )?;
    let opt_outs = rows!(
        tx,
        (i64, Option<String>, String, i64),
        concat!(
            "SELECT COALESCE(m.step_number, 0) AS step, m.channel, v.kind, COUNT(*) FROM events v
             LEFT JOIN messages m ON m.id = v.message_id AND m.kind = 'step'
             WHERE v.account_id = $1 AND (CAST($2 AS BIGINT) IS NULL OR v.campaign_id = $2)
               AND (CAST($3 AS BIGINT) IS NULL OR m.id IS NULL OR m.round = $3) AND",
            is_reaction!(),
            "AND v.kind = 'contact.opted_out' GROUP BY step, m.channel, v.kind"
        ),
        scope.account,
        scope.campaign,
        scope.round
    )?;
    for (step, channel, kind, n) in reactions.into_iter().chain(opt_outs) {
        let channel = channel.as_deref().and_then(Channel::parse);
        parts.entry((step, channel)).or_default().react(&kind, n);
    }
    Ok(parts)
}

/// Everything in one.
pub async fn totals(tx: &mut Tx, scope: Scope) -> Result<Totals> {
    Ok(parts(tx, scope).await?.values().fold(Totals::default(), |sum, part| sum.plus(part)))
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
            "OR (v.kind LIKE '%.bounced' AND m.state = 'bounced')
                    OR (v.kind LIKE '%.failed' AND m.state = 'failed'))
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
    points.extend(reactions.into_iter().filter_map(|(first, kind, n)| Some((first, what(&kind)?, n))));
    points.extend(opt_outs.into_iter().map(|(first, n)| (first, "opted_out", n)));
    points.sort_by_key(|point| (point.0, point.1));
    Ok(points)
}
