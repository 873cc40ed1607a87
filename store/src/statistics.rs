//! What campaigns have done: counted from messages and from the ledger of events, at one instant.

mod activity;
mod report;

pub use activity::{Activity, Inbound, activity, inbound};
pub use report::{Faults, Filter, Line, faults, list, report};

use crate::db::{Tx, row, rows};
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

/// The condition of a scope that names a campaign, over messages `m`: $1 account, $2 campaign, $3 round. There are two
/// texts, and [`of_most`], since an index is only used where the text itself says that it can be.
macro_rules! of_campaign {
    (m) => {
        " m.account_id = $1 AND m.campaign_id = $2 AND (CAST($3 AS BIGINT) IS NULL OR m.round = $3)
          AND m.kind = 'step' "
    };
    (v) => {
        " v.account_id = $1 AND v.campaign_id = $2 "
    };
}

/// The same over a whole account. `v` is for its events.
macro_rules! of_account {
    (m) => {
        " m.account_id = $1 AND CAST($2 AS BIGINT) IS NULL AND (CAST($3 AS BIGINT) IS NULL OR m.round = $3)
          AND m.kind = 'step' "
    };
    (v) => {
        " v.account_id = $1 AND CAST($2 AS BIGINT) IS NULL "
    };
}

/// The same of most of a table, on SQLite: `+` keeps it from the index, whose rows lie all over the file.
macro_rules! of_most {
    (m) => {
        " +m.account_id = $1 AND (CAST($2 AS BIGINT) IS NULL OR m.campaign_id = $2)
          AND (CAST($3 AS BIGINT) IS NULL OR m.round = $3) AND m.kind = 'step' "
    };
    (v) => {
        " v.account_id = $1 AND (CAST($2 AS BIGINT) IS NULL OR v.campaign_id = $2) "
    };
}

/// How the messages of a scope are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By the campaign.
    Campaign,
    /// By the account.
    Account,
    /// By looking at all there are.
    Most,
}

impl Way {
    /// Postgres knows from its statistics how much a scope has; SQLite is told.
    async fn of(tx: &mut Tx, scope: Scope) -> Result<Self> {
        if tx.is_postgres() {
            tx.read_widely().await?;
        } else if has_most(tx, scope).await? {
            return Ok(Way::Most);
        }
        Ok(if scope.campaign.is_some() { Way::Campaign } else { Way::Account })
    }
}

/// Whether a scope has an eighth of all messages or more: its rows are read faster in their order then.
async fn has_most(tx: &mut Tx, scope: Scope) -> Result<bool> {
    let all = row!(&mut *tx, (i64,), "SELECT COALESCE(MAX(id), 0) FROM messages")?.map_or(0, |r| r.0);
    let enough = all / 8 + 1;
    let found = match scope.campaign {
        Some(campaign) => {
            let sql = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM messages
                        WHERE account_id = $1 AND campaign_id = $2 LIMIT $3) AS some";
            row!(tx, (i64,), sql, scope.account, campaign, enough)?
        }
        None => {
            let sql =
                "SELECT COUNT(*) FROM (SELECT 1 AS one FROM messages WHERE account_id = $1 LIMIT $2) AS some";
            row!(tx, (i64,), sql, scope.account, enough)?
        }
    };
    Ok(found.is_some_and(|(n,)| n >= enough))
}

/// The text of a statement for a scope: `sql!` makes it with each condition.
macro_rules! on_way {
    ($way:expr, $sql:ident) => {
        match $way {
            Way::Campaign => $sql!(of_campaign),
            Way::Account => $sql!(of_account),
            Way::Most => $sql!(of_most),
        }
    };
}

use {of_account, of_campaign, of_most, on_way};

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
    macro_rules! sql {
        ($of:ident) => {
            concat!(
                "SELECT m.step_number, m.channel, m.state,
                        CAST(CASE WHEN m.accepted_at IS NULL THEN 0 ELSE 1 END AS BIGINT) AS taken,
                        COUNT(*), COUNT(d.message_id)
                 FROM messages m LEFT JOIN drafts d ON d.message_id = m.id WHERE",
                $of!(m),
                "GROUP BY m.step_number, m.channel, m.state, taken"
            )
        };
    }
    let sql = on_way!(Way::of(tx, scope).await?, sql);
    let states = rows!(
        &mut *tx,
        (i64, String, String, i64, i64, i64),
        sql,
        scope.account,
        scope.campaign,
        scope.round
    )?;
    for (step, channel, state, accepted, n, written) in states {
        let totals = parts.entry((step, Channel::parse(&channel))).or_default();
        totals.add(&state, accepted == 1, n);
        totals.written += written;
    }
    for (step, channel, kind, n) in reactions(tx, scope).await? {
        let channel = channel.as_deref().and_then(Channel::parse);
        parts.entry((step, channel)).or_default().react(&kind, n);
    }
    Ok(parts)
}

/// What people did, by step, channel and kind of event; opt-outs without a message are of step 0.
async fn reactions(tx: &mut Tx, scope: Scope) -> Result<Vec<(i64, Option<String>, String, i64)>> {
    macro_rules! sql {
        ($of:ident) => {
            concat!(
                "SELECT m.step_number, m.channel, v.kind, COUNT(DISTINCT v.message_id) FROM events v
                 JOIN messages m ON m.id = v.message_id WHERE",
                $of!(v),
                "AND",
                is_reaction!(),
                "AND",
                is_by_person!(),
                "AND",
                $of!(m),
                "GROUP BY m.step_number, m.channel, v.kind
                 UNION ALL
                 SELECT COALESCE(m.step_number, 0) AS step, m.channel, v.kind, COUNT(*) FROM events v
                 LEFT JOIN messages m ON m.id = v.message_id AND m.kind = 'step' WHERE",
                $of!(v),
                "AND (CAST($3 AS BIGINT) IS NULL OR m.id IS NULL OR m.round = $3) AND",
                is_reaction!(),
                "AND v.kind = 'contact.opted_out' GROUP BY step, m.channel, v.kind"
            )
        };
    }
    let sql = on_way!(Way::of(tx, scope).await?, sql);
    rows!(tx, (i64, Option<String>, String, i64), sql, scope.account, scope.campaign, scope.round)
}

/// Everything in one.
pub async fn totals(tx: &mut Tx, scope: Scope) -> Result<Totals> {
    Ok(parts(tx, scope).await?.values().fold(Totals::default(), |sum, part| sum.plus(part)))
}

/// Why messages are held, by the code of what holds them; the most first.
pub async fn held(tx: &mut Tx, scope: Scope) -> Result<Vec<(String, i64)>> {
    macro_rules! sql {
        ($of:ident) => {
            concat!(
                "SELECT m.reasons, COUNT(*) FROM messages m WHERE m.waits IN ('held', 'uncertain')
                   AND m.waits = 'held' AND",
                $of!(m),
                "GROUP BY m.reasons"
            )
        };
    }
    let sql = on_way!(Way::of(tx, scope).await?, sql);
    let found = rows!(tx, (String, i64), sql, scope.account, scope.campaign, scope.round)?;
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
    let mut points: Vec<(Millis, &'static str, i64)> = Vec::new();
    for (first, kind, n) in intervals(tx, scope, interval).await? {
        points.extend(what(&kind).or((kind == "sent").then_some("sent")).map(|what| (first, what, n)));
    }
    points.sort_by_key(|point| (point.0, point.1));
    Ok(points)
}

/// The same by kind of event; what was sent is in no index of events and is counted from its messages.
async fn intervals(tx: &mut Tx, scope: Scope, interval: Millis) -> Result<Vec<(Millis, String, i64)>> {
    macro_rules! sql {
        ($of:ident) => {
            concat!(
                "SELECT m.accepted_at - m.accepted_at % $4 AS first, 'sent' AS kind, COUNT(*) FROM messages m
                 WHERE m.accepted_at IS NOT NULL AND m.state IN ('accepted', 'delivered', 'bounced', 'complained') AND",
                $of!(m),
                "GROUP BY first
                 UNION ALL
                 SELECT f.at - f.at % $4 AS first, f.kind, COUNT(*) FROM (
                     SELECT v.message_id, v.kind, MIN(v.at) AS at FROM events v JOIN messages m ON m.id = v.message_id
                     WHERE",
                $of!(v),
                "AND",
                is_reaction!(),
                "AND",
                $of!(m),
                "AND (",
                is_by_person!(),
                "OR (v.kind LIKE '%.bounced' AND m.state = 'bounced')
                        OR (v.kind LIKE '%.failed' AND m.state = 'failed'))
                     GROUP BY v.message_id, v.kind) AS f
                 GROUP BY first, f.kind
                 UNION ALL
                 SELECT v.at - v.at % $4 AS first, v.kind, COUNT(*) FROM events v
                 LEFT JOIN messages m ON m.id = v.message_id AND m.kind = 'step' WHERE",
                $of!(v),
                "AND (CAST($3 AS BIGINT) IS NULL OR m.id IS NULL OR m.round = $3) AND",
                is_reaction!(),
                "AND v.kind = 'contact.opted_out' GROUP BY first, v.kind"
            )
        };
    }
    let sql = on_way!(Way::of(tx, scope).await?, sql);
    rows!(tx, (i64, String, i64), sql, scope.account, scope.campaign, scope.round, interval)
}
