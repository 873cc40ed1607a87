//! What the sweep asks of campaigns: which begin, and which are through.

use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use crate::events::{self, NewEvent};
use crate::statistics::{self, Scope};
use sendwright_workflows::clock::Millis;

/// Starts campaigns whose `schedule_time` has come. Answers how many.
pub async fn start_scheduled(tx: &mut Tx, now: Millis) -> Result<u64> {
    execute!(
        tx,
        "UPDATE campaigns SET state = 'running', started_at = COALESCE(started_at, schedule_at), updated_at = $1
         WHERE state = 'scheduled' AND schedule_at <= $1",
        now
    )
}

/// Running campaigns that have enrolments in their round, or a segment whose people have been looked for, and nobody
/// active. What was released by hand, or proven unsent, keeps a campaign running until it is settled: [`complete`]
/// looks.
pub async fn campaigns_through(tx: &mut Tx) -> Result<Vec<i64>> {
    let found = rows!(
        tx,
        (i64,),
        // One probe of an index per campaign, whatever its size: a join would read all its rows every second, and with
        // the account named SQLite walks all of the account's where a campaign has nobody.
        "SELECT c.id FROM campaigns c WHERE c.state = 'running' AND c.mapped_version = c.version
           AND (SELECT e.id FROM enrolments e WHERE e.campaign_id = c.id AND e.round = c.round
                  AND e.state = 'active' LIMIT 1) IS NULL
           AND CASE WHEN c.segment_id IS NULL THEN
                 (SELECT e.id FROM enrolments e WHERE e.campaign_id = c.id AND e.round = c.round LIMIT 1) IS NOT NULL
               ELSE EXISTS (SELECT 1 FROM runs r
                            WHERE r.campaign_id = c.id AND r.round = c.round AND r.kind = 'expand') END
           AND NOT EXISTS (SELECT 1 FROM runs r
                           WHERE r.campaign_id = c.id AND r.state = 'running' AND r.kind = 'expand')
         ORDER BY c.id"
    )?;
    Ok(found.into_iter().map(|r| r.0).collect())
}

/// Completes a campaign under its lock, if it is still through; the event goes out once per round.
pub async fn complete(tx: &mut Tx, campaign: i64, event: i64, now: Millis) -> Result<bool> {
    tx.door(campaign, true).await?;
    let sql = match tx.is_postgres() {
        true => {
            "SELECT account_id, round, completed_round FROM campaigns WHERE id = $1 AND state = 'running' FOR UPDATE"
        }
        false => {
            "SELECT account_id, round, completed_round FROM campaigns WHERE id = $1 AND state = 'running'"
        }
    };
    let Some((account, round, told)) = row!(&mut *tx, (i64, i64, i64), sql, campaign)? else {
        return Ok(false);
    };
    let open = "SELECT id FROM enrolments WHERE campaign_id = $1 AND round = $2 AND state = 'active'
         UNION ALL SELECT m.id FROM messages m JOIN enrolments e ON e.id = m.enrolment_id
         WHERE m.account_id = $3 AND m.campaign_id = $1 AND e.state = 'completed'
           AND m.state IN ('scheduled', 'writing', 'drafted', 'claimed', 'sending')
         UNION ALL SELECT id FROM runs WHERE campaign_id = $1 AND state = 'running' AND kind = 'expand' LIMIT 1";
    if row!(&mut *tx, (i64,), open, campaign, round, account)?.is_some() {
        return Ok(false);
    }
    execute!(
        &mut *tx,
        "UPDATE campaigns SET state = 'completed', completed_at = $2, completed_round = $3, updated_at = $2
         WHERE id = $1",
        campaign,
        now,
        round
    )?;
    if told < round {
        let scope = Scope { account, campaign: Some(campaign), round: Some(round) };
        let totals = statistics::totals(&mut *tx, scope).await?;
        let data = serde_json::json!({"round": round, "totals": totals}).to_string();
        let event = NewEvent {
            id: event,
            account_id: account,
            kind: "campaign.completed",
            campaign_id: Some(campaign),
            contact_id: None,
            enrolment_id: None,
            message_id: None,
            data,
            at: now,
        };
        events::insert(tx, &[event]).await?;
    }
    Ok(true)
}
