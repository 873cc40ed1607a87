//! What people write: texts and mail as they came, without what machines send back (bounces, delays, complaints).

use crate::db::{Tx, row, rows};
use crate::error::Result;
use sendwright_workflows::clock::Millis;

/// Something that somebody wrote.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
#[allow(missing_docs, reason = "columns of inbound by their own names")]
pub struct Inbound {
    pub id: i64,
    pub channel: String,
    pub kind: Option<String>,
    pub campaign_id: Option<i64>,
    pub contact_id: Option<i64>,
    pub sender: Option<String>,
    pub recipient: Option<String>,
    pub subject: Option<String>,
    pub body: Option<String>,
    pub snippet: Option<String>,
    pub provider_id: Option<String>,
    pub received_at: Millis,
}

/// How much was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Activity {
    /// All of it.
    pub messages: i64,
    /// Of that, texts by SMS and WhatsApp.
    pub texts: i64,
    /// By how many senders.
    pub senders: i64,
    /// Texts that were a STOP or its like.
    pub stops: i64,
}

/// What people wrote from $2 on, of account $1.
macro_rules! written {
    () => {
        " FROM inbound WHERE account_id = $1 AND received_at >= $2
            AND (kind IS NULL OR kind NOT IN ('bounce', 'delay', 'complaint')) "
    };
}

/// Counts it, from an instant on.
pub async fn activity(tx: &mut Tx, account: i64, from: Millis) -> Result<Activity> {
    const SQL: &str = concat!(
        "SELECT COUNT(*) AS messages, COUNT(CASE WHEN channel IN ('sms', 'whatsapp') THEN 1 END) AS texts,
                COUNT(DISTINCT sender) AS senders,
                COUNT(CASE WHEN channel IN ('sms', 'whatsapp') AND kind = 'opt_out' THEN 1 END) AS stops",
        written!()
    );
    Ok(row!(tx, Activity, SQL, account, from)?.unwrap_or_default())
}

/// The newest of it, from an instant on.
pub async fn inbound(tx: &mut Tx, account: i64, from: Millis, limit: i64) -> Result<Vec<Inbound>> {
    const SQL: &str = concat!(
        "SELECT id, channel, kind, campaign_id, contact_id, sender, recipient, subject, body, snippet, provider_id,
                received_at",
        written!(),
        "ORDER BY received_at DESC, id DESC LIMIT $3"
    );
    rows!(tx, Inbound, SQL, account, from, limit)
}
