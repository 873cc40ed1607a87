//! What a sending profile keeps sealed, and what that is bound to.

use crate::db::{Tx, row};
use crate::error::Result;

/// The table's name, which sealed URLs are bound to.
pub const TABLE: &str = "sending_profiles";
/// What sealed DKIM keys are bound to: a secret of one column opens in no other.
pub const DKIM: &str = "sending_profiles.dkim";
/// What sealed URLs of mailboxes are bound to.
pub const IMAP: &str = "sending_profiles.imap";
/// What sealed tokens of Twilio accounts are bound to.
pub const TWILIO: &str = "sending_profiles.twilio";

/// The profile's sealed secrets.
#[derive(Debug, Clone, Default, sqlx::FromRow)]
pub struct Sealed {
    /// Its server's URL.
    pub url_sealed: Option<String>,
    /// Its key.
    pub dkim_sealed: Option<String>,
    /// Its mailbox's URL.
    pub imap_sealed: Option<String>,
    /// The token of its own Twilio account.
    pub twilio_sealed: Option<String>,
}

/// Reads a profile's sealed secrets, for whoever opens them.
pub async fn sealed(tx: &mut Tx, id: i64) -> Result<Sealed> {
    let sql =
        "SELECT url_sealed, dkim_sealed, imap_sealed, twilio_sealed FROM sending_profiles WHERE id = $1";
    Ok(row!(tx, Sealed, sql, id)?.unwrap_or_default())
}

/// A profile's sealed URL, for whoever connects: `None` where it follows the process's transport.
pub async fn sealed_url(tx: &mut Tx, id: i64) -> Result<Option<String>> {
    let sql = "SELECT url_sealed FROM sending_profiles WHERE id = $1";
    Ok(row!(tx, (Option<String>,), sql, id)?.and_then(|r| r.0))
}
