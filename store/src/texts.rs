//! Text messages that people send: kept once by the provider's id, beside the mail that comes back, and what a STOP does.

use crate::claims::with_reasons;
use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::reason::Reason;
use serde_json::{Value, json};

/// A text to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewText {
    /// Its row.
    pub id: i64,
    /// Whose it is.
    pub account_id: i64,
    /// The sender it was addressed to.
    pub profile_id: Option<i64>,
    /// What the provider calls it.
    pub provider_id: String,
    /// `sms` or `whatsapp`.
    pub channel: &'static str,
    /// The number it came from.
    pub sender: String,
    /// The number it was sent to.
    pub recipient: String,
    /// What it says.
    pub body: String,
    /// The form as it was posted.
    pub raw: Vec<u8>,
    /// Whose number that is.
    pub contact_id: Option<i64>,
    /// What it is where that is known at once, and nothing is left to be understood: `opt_out`, `opt_in` or `help`.
    pub kind: Option<&'static str>,
    /// When it came.
    pub received_at: Millis,
}

/// Keeps a text. `false`: the provider has posted it before.
pub async fn keep(tx: &mut Tx, new: &NewText) -> Result<bool> {
    let kept = execute!(
        tx,
        "INSERT INTO inbound (id, account_id, hash, source, profile_id, raw, state, look_at, kind, contact_id, sender,
             received_at, understood_at, channel, provider_id, recipient, body)
         VALUES ($1, $2, $3, 'provider', $4, $5, CASE WHEN CAST($6 AS TEXT) IS NULL THEN 'stored' ELSE 'understood' END,
                 $7, $6, $8, $9, $7, CASE WHEN CAST($6 AS TEXT) IS NULL THEN NULL ELSE $7 END, $10, $3, $11, $12)
         ON CONFLICT DO NOTHING",
        new.id,
        new.account_id,
        &new.provider_id,
        new.profile_id,
        &new.raw,
        new.kind,
        new.received_at,
        new.contact_id,
        &new.sender,
        new.channel,
        &new.recipient,
        &new.body
    )?;
    Ok(kept == 1)
}

/// The message that a text answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns of messages by their own names")]
pub struct Answered {
    pub id: i64,
    pub campaign_id: i64,
    pub profile_id: i64,
    pub contact_id: i64,
    pub accepted_at: Option<Millis>,
}

/// The last message of an account that one of these profiles has handed over to a number: the last that was accepted,
/// else one that may have been.
pub async fn answered(tx: &mut Tx, account: i64, profiles: &[i64], hash: &str) -> Result<Option<Answered>> {
    let profiles: Vec<[i64; 1]> = profiles.iter().map(|id| [*id]).collect();
    row!(
        tx,
        Answered,
        "SELECT id, campaign_id, profile_id, contact_id, accepted_at FROM messages
         WHERE account_id = $1 AND address_hash = $2 AND channel IN ('sms', 'whatsapp') AND attempts > 0
           AND (accepted_at IS NOT NULL OR state IN ('sending', 'uncertain'))
           AND profile_id IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM json_each($3) AS e)
         ORDER BY CASE WHEN accepted_at IS NULL THEN 1 ELSE 0 END, accepted_at DESC, id DESC LIMIT 1",
        account,
        hash,
        json!(profiles).to_string()
    )
}

/// Ends what is under way to a number: its waiting messages are not sent, and its owner's enrolments end, or pass over to
/// the e-mails that they still have. What is claimed is stopped by its intent. The caller has suppressed the number and
/// holds the account's barrier exclusively (SEND_PROTOCOL 4).
pub async fn silence(tx: &mut Tx, account: i64, contact: Option<i64>, hash: &str, now: Millis) -> Result<()> {
    let reason = Reason::Suppressed { why: "stop".into() };
    let waiting = rows!(
        &mut *tx,
        (i64, String),
        "SELECT id, reasons FROM messages
         WHERE account_id = $1 AND address_hash = $2 AND channel IN ('sms', 'whatsapp')
           AND state IN ('scheduled', 'writing', 'drafted', 'held') ORDER BY id",
        account,
        hash
    )?;
    let rows: Vec<Value> =
        waiting.iter().map(|(id, so_far)| json!([id, with_reasons(so_far, vec![reason.clone()])])).collect();
    execute!(
        &mut *tx,
        "UPDATE messages SET state = 'suppressed', reasons = e.value ->> 1, fence = fence + 1, worker_id = NULL,
             updated_at = $2
         FROM json_each($1) AS e
         WHERE messages.id = CAST(e.value ->> 0 AS BIGINT)
           AND messages.state IN ('scheduled', 'writing', 'drafted', 'held')",
        Value::from(rows).to_string(),
        now
    )?;
    let Some(contact) = contact else { return Ok(()) };
    macro_rules! whose_steps {
        ($head:literal) => {
            concat!(
                $head,
                " WHERE account_id = $1 AND contact_id = $2 AND state = 'active'
                    AND EXISTS (SELECT 1 FROM steps s WHERE s.account_id = enrolments.account_id
                        AND s.campaign_id = enrolments.campaign_id AND s.version = enrolments.version
                        AND s.step_number > enrolments.settled AND s.channel IN ('sms', 'whatsapp'))
                    AND EXISTS (SELECT 1 FROM steps s WHERE s.account_id = enrolments.account_id
                        AND s.campaign_id = enrolments.campaign_id AND s.version = enrolments.version
                        AND s.step_number > enrolments.settled AND s.channel = 'email') = $4"
            )
        };
    }
    execute!(
        &mut *tx,
        whose_steps!(
            "UPDATE enrolments SET state = 'stopped', reason = $5, next_run_at = NULL, updated_at = $3"
        ),
        account,
        contact,
        now,
        false,
        serde_json::to_string(&reason).unwrap_or_default()
    )?;
    let goes_on = whose_steps!("UPDATE enrolments SET next_run_at = $3, updated_at = $3");
    execute!(tx, goes_on, account, contact, now, true)?;
    Ok(())
}
