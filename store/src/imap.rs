//! Where the reading of profiles' mailboxes stands: one worker reads each at a time, and what was read is counted in
//! the transaction that keeps it, so that nothing is missed or doubled.

use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use sendwright_workflows::clock::Millis;

/// A mailbox that a worker has taken to read.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Cursor {
    /// The profile.
    pub profile_id: i64,
    /// Whose it is.
    pub account_id: i64,
    /// The mailbox's UIDVALIDITY when it was last read, 0 before (RFC 9051, 2.3.1.1).
    pub uid_validity: i64,
    /// The highest UID that was read under it.
    pub last_uid: i64,
    /// Which taking of it counts.
    pub fence: i64,
    /// Readings that failed since one went well.
    pub failures: i64,
}

/// Profiles whose mailbox is to be read now.
pub async fn due(tx: &mut Tx, now: Millis, most: i64) -> Result<Vec<i64>> {
    let found = rows!(
        tx,
        (i64,),
        "SELECT p.id FROM sending_profiles p JOIN accounts a ON a.id = p.account_id
         LEFT JOIN imap_cursors c ON c.profile_id = p.id
         WHERE p.imap_sealed IS NOT NULL AND a.active AND COALESCE(c.next_at, 0) <= $1
           AND COALESCE(c.held_until, 0) <= $1
         ORDER BY COALESCE(c.next_at, 0), p.id LIMIT $2",
        now,
        most
    )?;
    Ok(found.into_iter().map(|r| r.0).collect())
}

/// Takes a mailbox until `until`; `None` where another has it, or it is not due.
pub async fn take(tx: &mut Tx, profile: i64, now: Millis, until: Millis) -> Result<Option<Cursor>> {
    execute!(
        &mut *tx,
        "INSERT INTO imap_cursors (profile_id, account_id)
         SELECT id, account_id FROM sending_profiles WHERE id = $1 ON CONFLICT (profile_id) DO NOTHING",
        profile
    )?;
    row!(
        tx,
        Cursor,
        "UPDATE imap_cursors SET held_until = $3, fence = fence + 1
         WHERE profile_id = $1 AND held_until <= $2 AND next_at <= $2
         RETURNING profile_id, account_id, uid_validity, last_uid, fence, failures",
        profile,
        now,
        until
    )
}

/// Counts everything up to `uid` as read. `false`: another has taken the mailbox since, and nothing may be kept.
pub async fn advance(tx: &mut Tx, cursor: &Cursor, validity: i64, uid: i64) -> Result<bool> {
    let done = execute!(
        tx,
        "UPDATE imap_cursors SET uid_validity = $3, last_uid = $4 WHERE profile_id = $1 AND fence = $2",
        cursor.profile_id,
        cursor.fence,
        validity,
        uid
    )?;
    Ok(done == 1)
}

/// Lets a mailbox go until `next`, with what went wrong.
pub async fn release(
    tx: &mut Tx,
    cursor: &Cursor,
    next: Millis,
    failures: i64,
    why: Option<&str>,
) -> Result<()> {
    execute!(
        tx,
        "UPDATE imap_cursors SET held_until = 0, next_at = $3, failures = $4, why = $5
         WHERE profile_id = $1 AND fence = $2",
        cursor.profile_id,
        cursor.fence,
        next,
        failures,
        why
    )?;
    Ok(())
}

/// Forgets where a mailbox stood: it is another one now.
pub async fn forget(tx: &mut Tx, profile: i64) -> Result<()> {
    let sql = "UPDATE imap_cursors SET uid_validity = 0, last_uid = 0, fence = fence + 1, held_until = 0, next_at = 0,
                      failures = 0, why = NULL WHERE profile_id = $1";
    execute!(tx, sql, profile)?;
    Ok(())
}
