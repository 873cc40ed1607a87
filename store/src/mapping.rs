//! After a live edit: unsent texts of the old version are discarded, and everybody is planned anew.

use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use sendwright_workflows::clock::Millis;

/// Campaigns whose enrolments are not yet mapped to the present version.
pub async fn owed(tx: &mut Tx) -> Result<Vec<i64>> {
    let found = rows!(
        tx,
        (i64,),
        "SELECT id FROM campaigns WHERE mapped_version < version AND state IN ('draft', 'running', 'paused', 'scheduled')
         ORDER BY id"
    )?;
    Ok(found.into_iter().map(|r| r.0).collect())
}

/// Maps one campaign. `false`: hand-overs of an old version are under way; call again when they have ended,
/// since their end decides where those enrolments stand.
pub async fn map(tx: &mut Tx, campaign: i64, now: Millis) -> Result<bool> {
    tx.door(campaign, true).await?;
    let sql = match tx.is_postgres() {
        true => "SELECT version, account_id FROM campaigns WHERE id = $1 FOR UPDATE",
        false => "SELECT version, account_id FROM campaigns WHERE id = $1",
    };
    let Some((version, _)) = row!(&mut *tx, (i64, i64), sql, campaign)? else { return Ok(true) };
    let busy = row!(
        &mut *tx,
        (i64,),
        "SELECT id FROM messages WHERE campaign_id = $1 AND version < $2 AND waits IN ('writing', 'claimed')
         UNION ALL
         SELECT m.id FROM attempts a JOIN messages m ON m.id = a.message_id
         WHERE a.state = 'sending' AND m.campaign_id = $1 AND m.version < $2 AND m.state = 'sending' LIMIT 1",
        campaign,
        version
    )?;
    if busy.is_some() {
        return Ok(false);
    }
    discard(tx, campaign, version, now).await?;
    execute!(
        &mut *tx,
        "UPDATE enrolments SET next_run_at = $2, version = $3, updated_at = $2
         WHERE campaign_id = $1 AND state = 'active' AND version < $3 AND NOT EXISTS (
             SELECT 1 FROM messages m WHERE m.enrolment_id = enrolments.id AND m.version = $3
               AND m.state IN ('scheduled', 'writing', 'drafted', 'held', 'claimed', 'sending'))
           -- Whose step is uncertain, and who is to wait for a person, still does.
           AND NOT EXISTS (SELECT 1 FROM messages u WHERE u.enrolment_id = enrolments.id
               AND u.state = 'uncertain' AND u.step_number > enrolments.settled)",
        campaign,
        now,
        version
    )?;
    execute!(tx, "UPDATE campaigns SET mapped_version = version WHERE id = $1", campaign)?;
    Ok(true)
}

/// Unsent messages of an old version: one that was never tried goes altogether; one that was refused before
/// keeps its row, and so its Message-ID, and is written anew for the step that has its number now.
async fn discard(tx: &mut Tx, campaign: i64, version: i64, now: Millis) -> Result<()> {
    const OLD: &str = "SELECT id FROM messages WHERE campaign_id = $1 AND version < $2
         AND state IN ('scheduled', 'drafted', 'held')";
    let old = rows!(&mut *tx, (i64,), OLD, campaign, version)?;
    if old.is_empty() {
        return Ok(());
    }
    let ids = serde_json::json!(old.iter().map(|r| [r.0]).collect::<Vec<_>>()).to_string();
    execute!(
        &mut *tx,
        "DELETE FROM drafts WHERE message_id IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM json_each($1) AS e)",
        &ids
    )?;
    execute!(
        &mut *tx,
        "DELETE FROM messages WHERE attempts = 0 AND id IN (
             SELECT CAST(e.value ->> 0 AS BIGINT) FROM json_each($1) AS e)",
        &ids
    )?;
    execute!(
        &mut *tx,
        "UPDATE messages SET version = $3, step_id = s.id, state = 'scheduled',
             profile_id = CASE messages.channel WHEN 'sms' THEN COALESCE(c.sms_profile_id, messages.profile_id)
                 WHEN 'whatsapp' THEN COALESCE(c.whatsapp_profile_id, messages.profile_id) ELSE c.profile_id END,
             updated_at = $4, reasons = '[{\"code\":\"edited\"}]'
         FROM steps s JOIN campaigns c ON c.id = s.campaign_id
         WHERE s.campaign_id = $2 AND s.version = $3 AND s.step_number = messages.step_number AND s.active
           AND s.channel = messages.channel
           AND messages.id IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM json_each($1) AS e)",
        &ids,
        campaign,
        version,
        now
    )?;
    execute!(
        tx,
        "UPDATE messages SET state = 'cancelled', reasons = '[{\"code\":\"edited\"}]', updated_at = $3
         WHERE version < $2 AND id IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM json_each($1) AS e)",
        &ids,
        version,
        now
    )?;
    Ok(())
}
