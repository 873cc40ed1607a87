//! What became of messages, by status: counted, listed, and what they failed by. A message belongs to the instant at which
//! it was sent, else tried, else planned (decision 13).

use super::{Scope, Way, of_account, of_campaign, of_most, on_way};
use crate::db::{Tx, rows};
use crate::error::Result;
use crate::page::Page;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::fault::Fault;
use sendwright_workflows::message::State;
use sendwright_workflows::reason::Reason;
use sendwright_workflows::report::{Report, Status};
use sendwright_workflows::sequence::Channel;
use std::collections::BTreeMap;

/// Which messages a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filter {
    /// Whose.
    pub scope: Scope,
    /// Those of this instant and later.
    pub from: Option<Millis>,
    /// Those before this instant.
    pub until: Option<Millis>,
    /// Those of this status.
    pub status: Option<Status>,
}

impl Filter {
    /// All of a scope.
    pub fn all(scope: Scope) -> Self {
        Self { scope, from: None, until: None, status: None }
    }
}

/// A message in a list of a report.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns of messages and campaigns by their own names")]
pub struct Line {
    pub id: i64,
    pub campaign_id: i64,
    pub campaign_name: String,
    pub channel: String,
    pub address: String,
    state: String,
    provider_status: Option<String>,
    pub accepted_at: Option<Millis>,
    pub delivered_at: Option<Millis>,
    pub provider_code: Option<i64>,
    reasons: String,
    pub created_at: Millis,
}

impl Line {
    /// The channel that it goes by.
    pub fn channel(&self) -> Channel {
        Channel::parse(&self.channel).unwrap_or_default()
    }

    /// Its status.
    pub fn status(&self) -> Status {
        status(&self.state, self.accepted_at.is_some(), self.provider_status.as_deref())
    }

    /// What it failed by, where it did.
    pub fn fault(&self) -> Option<Fault> {
        let failed = matches!(self.status(), Status::Failed | Status::Undelivered);
        failed.then(|| fault(self.channel(), self.provider_code, Some(&self.reasons)))
    }

    /// How long its delivery took.
    pub fn took(&self) -> Option<Millis> {
        self.delivered_at.zip(self.accepted_at).map(|(delivered, accepted)| (delivered - accepted).max(0))
    }
}

/// What messages failed by, how often, and when last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// The channel they went by.
    pub channel: Channel,
    /// What by.
    pub fault: Fault,
    /// How many.
    pub count: i64,
    /// The last of them.
    pub last: Millis,
}

/// A state that this program does not know reads as held, as everywhere.
fn status(state: &str, taken: bool, word: Option<&str>) -> Status {
    Status::of(State::parse(state).unwrap_or(State::Held), taken, word)
}

/// The instant that a message belongs to; never more than an hour behind the last change of it.
macro_rules! instant {
    () => {
        "COALESCE(m.accepted_at, m.slot / 1000, m.created_at)"
    };
}

/// A message's status, as [`Status::of`] has it.
macro_rules! status {
    () => {
        "CASE m.state WHEN 'accepted' THEN 'SENT' WHEN 'delivered' THEN 'DELIVERED' WHEN 'complained' THEN 'DELIVERED'
             WHEN 'bounced' THEN CASE WHEN m.accepted_at IS NULL OR COALESCE(m.provider_status, '') IN ('failed', 'canceled')
                 THEN 'FAILED' ELSE 'UNDELIVERED' END
             WHEN 'failed' THEN 'FAILED' WHEN 'uncertain' THEN 'UNCERTAIN' WHEN 'suppressed' THEN 'SUPPRESSED'
             WHEN 'cancelled' THEN 'CANCELLED' WHEN 'scheduled' THEN 'PENDING' WHEN 'writing' THEN 'PENDING'
             WHEN 'drafted' THEN 'PENDING' WHEN 'claimed' THEN 'PENDING' WHEN 'sending' THEN 'PENDING' ELSE 'HELD' END"
    };
}

/// The rest of a filter: $4 from, $5 until, $6 status.
macro_rules! filtered {
    () => {
        concat!(
            " AND (CAST($4 AS BIGINT) IS NULL OR ",
            instant!(),
            " >= $4 AND m.updated_at >= $4 - 3600000) AND (CAST($5 AS BIGINT) IS NULL OR ",
            instant!(),
            " < $5) AND (CAST($6 AS TEXT) IS NULL OR ",
            status!(),
            " = $6) "
        )
    };
}

fn fault(channel: Channel, provider_code: Option<i64>, reasons: Option<&str>) -> Fault {
    let reasons: Vec<Reason> = reasons.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    Fault::of(channel, provider_code, &reasons)
}

/// Counts messages by channel and status.
pub async fn report(tx: &mut Tx, filter: &Filter) -> Result<Report> {
    macro_rules! sql {
        ($of:ident) => {
            concat!(
                "SELECT m.channel, m.state, m.provider_status,
                     CAST(CASE WHEN m.accepted_at IS NULL THEN 0 ELSE 1 END AS BIGINT) AS taken, COUNT(*),
                 COUNT(CASE WHEN m.delivered_at IS NOT NULL AND m.accepted_at IS NOT NULL THEN 1 END),
                 CAST(COALESCE(SUM(CASE WHEN m.delivered_at > m.accepted_at THEN m.delivered_at - m.accepted_at
                     ELSE 0 END), 0) AS BIGINT)
                 FROM messages m WHERE",
                $of!(m),
                filtered!(),
                "GROUP BY m.channel, m.state, m.provider_status, taken"
            )
        };
    }
    let Filter { scope, from, until, .. } = *filter;
    let sql = on_way!(Way::of(tx, scope).await?, sql);
    let word = filter.status.map(Status::as_str);
    let found = rows!(
        tx,
        (String, String, Option<String>, i64, i64, i64, i64),
        sql,
        scope.account,
        scope.campaign,
        scope.round,
        from,
        until,
        word
    )?;
    let mut report = Report::default();
    for (channel, state, word, taken, n, timed, took) in found {
        let tally = report.channels.of_mut(Channel::parse(&channel).unwrap_or_default());
        let status = status(&state, taken == 1, word.as_deref());
        tally.add(status, n);
        if status == Status::Delivered {
            tally.time(timed, took);
        }
    }
    Ok(report)
}

/// What messages failed by; the last first.
pub async fn faults(tx: &mut Tx, filter: &Filter) -> Result<Vec<Faults>> {
    macro_rules! sql {
        ($of:ident) => {
            concat!(
                "SELECT m.channel, m.provider_code, CASE WHEN m.provider_code IS NULL THEN m.reasons END AS why,
                     COUNT(*), MAX(m.updated_at)
                 FROM messages m WHERE m.state IN ('failed', 'bounced') AND",
                $of!(m),
                filtered!(),
                "GROUP BY m.channel, m.provider_code, why"
            )
        };
    }
    let Filter { scope, from, until, .. } = *filter;
    let sql = on_way!(Way::of(tx, scope).await?, sql);
    let word = filter.status.map(Status::as_str);
    let found = rows!(
        tx,
        (String, Option<i64>, Option<String>, i64, i64),
        sql,
        scope.account,
        scope.campaign,
        scope.round,
        from,
        until,
        word
    )?;
    let mut faults: BTreeMap<(Channel, Fault), (i64, Millis)> = BTreeMap::new();
    for (channel, code, why, n, last) in found {
        let channel = Channel::parse(&channel).unwrap_or_default();
        let entry = faults.entry((channel, fault(channel, code, why.as_deref()))).or_default();
        *entry = (entry.0 + n, entry.1.max(last));
    }
    let faults = faults.into_iter();
    let mut faults: Vec<_> =
        faults.map(|((channel, fault), (count, last))| Faults { channel, fault, count, last }).collect();
    faults.sort_by_key(|faults| (-faults.last, -faults.count));
    Ok(faults)
}

/// Lists messages by number: those behind the page's last one.
pub async fn list(tx: &mut Tx, filter: &Filter, page: Page) -> Result<Vec<Line>> {
    macro_rules! sql {
        ($of:ident, $order:literal) => {
            concat!(
                "SELECT m.id, m.campaign_id, c.name AS campaign_name, m.channel, m.address, m.state, m.provider_status,
                     m.accepted_at, m.delivered_at, m.provider_code, m.reasons, m.created_at
                 FROM messages m JOIN campaigns c ON c.id = m.campaign_id WHERE",
                $of!(m),
                filtered!(),
                $order,
                " LIMIT $8 OFFSET $9"
            )
        };
    }
    let Filter { scope, from, until, .. } = *filter;
    let sql = match (Way::of(tx, scope).await?, page.descending) {
        (Way::Campaign, false) => sql!(of_campaign, "AND m.id > $7 ORDER BY m.id"),
        (Way::Campaign, true) => sql!(of_campaign, "AND m.id < $7 ORDER BY m.id DESC"),
        (Way::Account, false) => sql!(of_account, "AND m.id > $7 ORDER BY m.id"),
        (Way::Account, true) => sql!(of_account, "AND m.id < $7 ORDER BY m.id DESC"),
        (Way::Most, false) => sql!(of_most, "AND m.id > $7 ORDER BY m.id"),
        (Way::Most, true) => sql!(of_most, "AND m.id < $7 ORDER BY m.id DESC"),
    };
    let word = filter.status.map(Status::as_str);
    rows!(
        tx,
        Line,
        sql,
        scope.account,
        scope.campaign,
        scope.round,
        from,
        until,
        word,
        page.after.1,
        page.limit,
        page.skip
    )
}
