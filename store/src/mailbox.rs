//! The captured mailbox of `up` and of test keys: what would have gone out, byte for byte.

use crate::db::{Tx, row, rows};
use crate::error::Result;
use sendwright_workflows::clock::Millis;

/// A captured message.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Captured {
    /// Its row.
    pub id: i64,
    /// The message it is a hand-over of.
    pub message_id: i64,
    /// The envelope's sender.
    pub sender: String,
    /// The envelope's recipient.
    pub recipient: String,
    /// The subject, decoded.
    pub subject: String,
    /// The whole message as it would have gone over the wire.
    pub raw: String,
    /// When it was captured.
    pub received_at: Millis,
}

/// The account's captured messages below `before`, the newest first; `to` narrows to one recipient.
pub async fn list(
    tx: &mut Tx,
    account: i64,
    to: Option<&str>,
    before: i64,
    limit: i64,
) -> Result<Vec<Captured>> {
    rows!(
        tx,
        Captured,
        "SELECT id, message_id, sender, recipient, subject, raw, received_at FROM mailbox
         WHERE account_id = $1 AND id < $2 AND (CAST($3 AS TEXT) IS NULL OR LOWER(recipient) = LOWER($3))
         ORDER BY id DESC LIMIT $4",
        account,
        before,
        to,
        limit
    )
}

/// One captured message.
pub async fn get(tx: &mut Tx, account: i64, id: i64) -> Result<Option<Captured>> {
    row!(
        tx,
        Captured,
        "SELECT id, message_id, sender, recipient, subject, raw, received_at FROM mailbox
         WHERE account_id = $1 AND id = $2",
        account,
        id
    )
}

/// How many such messages the account has, counted up to `most`.
pub async fn count(tx: &mut Tx, account: i64, to: Option<&str>, most: i64) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM mailbox WHERE account_id = $1
         AND (CAST($2 AS TEXT) IS NULL OR LOWER(recipient) = LOWER($2)) LIMIT $3) AS found";
    Ok(row!(tx, (i64,), sql, account, to, most)?.map_or(0, |r| r.0))
}
