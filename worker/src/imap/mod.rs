//! Mailboxes of sending profiles are read over IMAP (RFC 9051): what is new in them is kept as inbound mail. Nothing
//! in the mailbox is changed.

mod line;
mod server;

use crate::context::Context;
use async_imap::Session;
use futures::{StreamExt, TryStreamExt};
use line::Line;
use sendwright_queue::Job;
use sendwright_store::imap::{self, Cursor};
use sendwright_store::inbound::{self, NewInbound};
use sendwright_store::{Result as Stored, sending_profiles};
use sendwright_workflows::clock::{DAY, MINUTE, Millis, SECOND, rfc3339};
use sha2::{Digest, Sha256};
use std::time::Duration;

pub use server::{Security, Server, ServerError};

/// Mailboxes read at once by one worker.
const AT_ONCE: usize = 8;
/// The longest that one reading takes, and, with some room, that a mailbox is held for it.
const READING: Duration = Duration::from_secs(90);
const HELD: Millis = 2 * MINUTE;
/// How often a mailbox is read.
const EVERY: Millis = 30 * SECOND;
/// The longest pause after failures, and the one after a refused login: nobody is locked out by our trying.
const PAUSE: Millis = 15 * MINUTE;
/// Most messages and bytes of one reading; the rest is read directly afterwards.
const MOST: usize = 200;
const MOST_BYTES: usize = 24 << 20;
/// A larger message is kept up to here: what was answered stands at its beginning.
const LARGEST: usize = 10 << 20;
const PIECE: usize = 1 << 20;
/// A mailbox that is read for the first time, or was made anew, is read from so long ago.
const BACK: Millis = 14 * DAY;

/// Why a mailbox was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The address does not read.
    #[error("{0}")]
    Address(#[from] ServerError),
    /// Nobody is there.
    #[error("no connection: {0}")]
    Connect(String),
    /// No encryption.
    #[error("no TLS: {0}")]
    Tls(String),
    /// Wrong user or password.
    #[error("the login is refused: check user and password in imap_url")]
    Login,
    /// It took too long.
    #[error("it took longer than {} s", READING.as_secs())]
    Slow,
    /// The conversation failed.
    #[error("the server: {0}")]
    Spoke(String),
    /// What was read could not be kept.
    #[error("it could not be kept: {0}")]
    Store(#[from] sendwright_store::Error),
}

impl Trouble {
    fn connect(error: std::io::Error) -> Self {
        Self::Connect(error.to_string())
    }
}

impl From<async_imap::error::Error> for Trouble {
    fn from(error: async_imap::error::Error) -> Self {
        Self::Spoke(error.to_string().chars().filter(|c| !c.is_control()).take(300).collect())
    }
}

/// Reads every mailbox that is due. Answers how many messages are new.
pub async fn pass(ctx: &Context, now: Millis) -> Stored<usize> {
    let mut tx = ctx.store.read().await?;
    let due = imap::due(&mut tx, now, 64).await?;
    tx.commit().await?;
    let read = futures::stream::iter(due).map(|profile| poll(ctx, profile, now)).buffer_unordered(AT_ONCE);
    read.try_fold(0, |sum, new| async move { Ok(sum + new) }).await
}

/// Reads one mailbox, unless another worker does, and writes down how that went.
async fn poll(ctx: &Context, profile: i64, now: Millis) -> Stored<usize> {
    let mut tx = ctx.store.begin().await?;
    let taken = imap::take(&mut tx, profile, now, now + HELD).await?;
    let sealed = sending_profiles::sealed(&mut tx, profile).await?.imap_sealed;
    tx.commit().await?;
    let (Some(cursor), Some(sealed)) = (taken, sealed) else { return Ok(0) };
    let read = async {
        let url = ctx.seals.open(sending_profiles::IMAP, profile, &sealed)?;
        let server: Server = url.parse()?;
        let reading = tokio::time::timeout(READING, read(ctx, &server, &cursor));
        reading.await.unwrap_or(Err(Trouble::Slow))
    };
    let (next, failures, why, new) = match read.await {
        Ok((new, more)) => (if more { now } else { now + EVERY }, 0, None, new),
        Err(trouble) => {
            tracing::warn!(profile, %trouble, "a mailbox could not be read");
            let wait = match trouble {
                Trouble::Login | Trouble::Address(_) => PAUSE,
                _ => (EVERY << cursor.failures.min(10)).min(PAUSE),
            };
            (now + wait, cursor.failures + 1, Some(trouble.to_string()), 0)
        }
    };
    let mut tx = ctx.store.begin().await?;
    imap::release(&mut tx, &cursor, next, failures, why.as_deref()).await?;
    tx.commit().await?;
    Ok(new)
}

/// Reads what is new; how much that is, and whether there is more.
async fn read(ctx: &Context, server: &Server, cursor: &Cursor) -> Result<(usize, bool), Trouble> {
    let client = line::open(server, 2 * MOST_BYTES).await?;
    let login = client.login(&server.user, &server.password).await;
    let mut session = login.map_err(|(error, _)| match error {
        async_imap::error::Error::No(_) => Trouble::Login,
        other => other.into(),
    })?;
    let mailbox = session.examine(&server.mailbox).await?;
    let validity = i64::from(mailbox.uid_validity.unwrap_or(1));
    let is_known = validity == cursor.uid_validity;
    let now = ctx.clock.now().unwrap_or_default();
    let query = match is_known {
        true => format!("UID {}:*", cursor.last_uid + 1),
        false => format!("SINCE {}", date(now - BACK)),
    };
    let after = if is_known { cursor.last_uid } else { 0 };
    let found = session.uid_search(query).await?;
    // `n:*` names the last message also where its number is below n.
    let mut uids: Vec<u32> = found.into_iter().filter(|uid| i64::from(*uid) > after).collect();
    uids.sort_unstable();
    let (mut new, mut bytes, mut read) = (0, 0, 0);
    for &uid in uids.iter().take(MOST) {
        if bytes > MOST_BYTES - LARGEST {
            break;
        }
        let raw = fetch(&mut session, uid).await?;
        bytes += raw.as_ref().map_or(0, Vec::len);
        read += 1;
        match keep(ctx, cursor, validity, uid, raw).await? {
            Some(is_new) => new += usize::from(is_new),
            None => return Ok((new, false)), // Another worker goes on.
        }
    }
    if !is_known && uids.is_empty() {
        // From here on everything is new.
        let last = mailbox.uid_next.map_or(0, |next| i64::from(next) - 1);
        let mut tx = ctx.store.begin().await?;
        imap::advance(&mut tx, cursor, validity, last).await?;
        tx.commit().await?;
    }
    let _ = tokio::time::timeout(Duration::from_secs(2), session.logout()).await;
    if new > 0 {
        ctx.bells.inbound.notify_one();
    }
    Ok((new, read < uids.len()))
}

/// One message, or its beginning where it is very large; `None` where it is gone.
async fn fetch(session: &mut Session<Line>, uid: u32) -> Result<Option<Vec<u8>>, Trouble> {
    let sizes: Vec<_> = session.uid_fetch(uid.to_string(), "(UID RFC822.SIZE)").await?.try_collect().await?;
    let Some(size) = sizes.iter().find(|f| f.uid == Some(uid)).and_then(|f| f.size) else { return Ok(None) };
    let query = match size as usize > LARGEST {
        true => format!("(UID BODY.PEEK[]<0.{PIECE}>)"),
        false => "(UID BODY.PEEK[])".to_owned(),
    };
    let whole: Vec<_> = session.uid_fetch(uid.to_string(), query).await?.try_collect().await?;
    Ok(whole.iter().find(|f| f.uid == Some(uid)).and_then(|f| f.body()).map(<[u8]>::to_vec))
}

/// Keeps a message and counts it as read in one transaction. `None`: the mailbox is another worker's by now.
async fn keep(
    ctx: &Context,
    cursor: &Cursor,
    validity: i64,
    uid: u32,
    raw: Option<Vec<u8>>,
) -> Result<Option<bool>, Trouble> {
    let (id, now) = (ctx.store.ids.one("inbound").await?, ctx.clock.now().unwrap_or_default());
    let mut tx = ctx.store.begin().await?;
    if !imap::advance(&mut tx, cursor, validity, i64::from(uid)).await? {
        tx.rollback().await?;
        return Ok(None);
    }
    let mut is_new = false;
    if let Some(raw) = raw.filter(|raw| !raw.is_empty()) {
        let new = NewInbound {
            id,
            account_id: cursor.account_id,
            hash: hex::encode(Sha256::digest(&raw)),
            source: "imap",
            profile_id: Some(cursor.profile_id),
            raw,
            received_at: now,
        };
        let kept = inbound::keep(&mut tx, &new).await?;
        is_new = kept.1;
        ctx.queue.push(Job::Inbound { inbound: kept.0 });
    }
    tx.commit().await?;
    Ok(Some(is_new))
}

/// A day as SEARCH has it: `15-Jan-2026`.
fn date(at: Millis) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = rfc3339(at.max(0));
    let number = |range: std::ops::Range<usize>| text.get(range).unwrap_or("01");
    let month = number(5..7).parse().unwrap_or(1_usize);
    format!("{}-{}-{}", number(8..10), MONTHS[(month - 1) % 12], number(0..4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_written_as_the_protocol_has_it() {
        assert_eq!(date(1_768_473_000_000), "15-Jan-2026");
        assert_eq!(date(-5), "01-Jan-1970");
    }
}
