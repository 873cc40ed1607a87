//! The lines of text messages, over all accounts: what leaves by a Twilio account, and whose answers come back to it.

use crate::db::{Tx, row, rows};
use crate::error::Result;

/// What text messages leave by and answers come back to.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns of sending_profiles by their own names")]
pub struct Line {
    pub id: i64,
    pub account_id: i64,
    pub from_phone: Option<String>,
    pub messaging_service_sid: Option<String>,
    /// Its own token, sealed for this row under [`TWILIO`](super::TWILIO).
    pub twilio_sealed: Option<String>,
}

/// The profiles, of every account, that have this Twilio account of their own.
pub async fn of_twilio(tx: &mut Tx, account_sid: &str) -> Result<Vec<Line>> {
    rows!(
        tx,
        Line,
        "SELECT p.id, p.account_id, p.from_phone, p.messaging_service_sid, p.twilio_sealed
         FROM sending_profiles p JOIN accounts a ON a.id = p.account_id
         WHERE p.twilio_account_sid = $1 AND a.mode = 'live' ORDER BY p.id",
        account_sid
    )
}

/// The profiles, of every account but test twins, that send text messages as this process is set up.
pub async fn followers(tx: &mut Tx) -> Result<Vec<Line>> {
    rows!(
        tx,
        Line,
        "SELECT p.id, p.account_id, p.from_phone, p.messaging_service_sid, p.twilio_sealed
         FROM sending_profiles p JOIN accounts a ON a.id = p.account_id
         WHERE p.transport = 'default' AND p.channel IN ('sms', 'whatsapp') AND a.mode = 'live' ORDER BY p.id"
    )
}

/// Whether any profile has a Twilio account of its own.
pub async fn any_twilio(tx: &mut Tx) -> Result<bool> {
    let sql = "SELECT id FROM sending_profiles WHERE twilio_account_sid IS NOT NULL LIMIT 1";
    Ok(row!(tx, (i64,), sql)?.is_some())
}
