//! What has served its purpose goes, a piece at a time. No event, message, attempt or consent ever does, nor anything
//! that is counted.

mod deliveries;

use crate::db::{Tx, execute, row};
use crate::error::Result;
use crate::idempotency;
use sendwright_workflows::clock::Millis;

/// Most rows of a piece: whoever else writes waits for no more.
pub const MOST: i64 = 1_000;

/// Kinds of rows that are pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Deliveries that arrived or were given up, with their attempts.
    Deliveries,
    /// The wording of what came back; what was understood of it stays.
    Inbound,
    /// Opens and clicks that were judged; their events stay.
    Hits,
    /// Answers by `Idempotency-Key`.
    Answers,
    /// Requests by key and hour.
    Usage,
    /// Imports that nobody moves on, with the rows that were refused.
    Imports,
    /// Runs that have ended.
    Runs,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 7] =
        [Kind::Deliveries, Kind::Inbound, Kind::Hits, Kind::Answers, Kind::Usage, Kind::Imports, Kind::Runs];

    /// Its word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Deliveries => "deliveries",
            Kind::Inbound => "inbound",
            Kind::Hits => "hits",
            Kind::Answers => "answers",
            Kind::Usage => "usage",
            Kind::Imports => "imports",
            Kind::Runs => "runs",
        }
    }
}

/// How long rows are kept from their end on, milliseconds; none: for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// Deliveries that arrived.
    pub deliveries: Option<Millis>,
    /// Deliveries that were given up.
    pub dead_deliveries: Option<Millis>,
    /// The wording of what came back.
    pub inbound: Option<Millis>,
    /// Opens and clicks as they came.
    pub hits: Option<Millis>,
    /// Requests by key and hour.
    pub usage: Option<Millis>,
    /// Imports.
    pub imports: Option<Millis>,
    /// Runs.
    pub runs: Option<Millis>,
}

/// How far a walk through deliveries is; the beginning by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// The endpoint.
    pub endpoint: i64,
    /// The number that was looked at last.
    pub number: i64,
}

/// A piece that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Rows that are gone.
    pub gone: u64,
    /// Where the next piece begins; none where the kind is through.
    pub next: Option<Place>,
}

impl Piece {
    /// Of rows whose oldest always go first.
    fn of(gone: u64) -> Self {
        Self { gone, next: (gone >= MOST as u64).then(Place::default) }
    }
}

/// Prunes the next piece of a kind. It waits for nobody's rows: what somebody has in hand is left for another time.
pub async fn piece(tx: &mut Tx, kind: Kind, keep: &Keep, place: Place, now: Millis) -> Result<Piece> {
    let kept = match kind {
        Kind::Deliveries => return deliveries::piece(tx, keep, place, now).await,
        Kind::Inbound => keep.inbound,
        Kind::Hits => keep.hits,
        Kind::Answers => Some(idempotency::KEPT),
        Kind::Usage => keep.usage,
        Kind::Imports => keep.imports,
        Kind::Runs => keep.runs,
    };
    let Some(kept) = kept else { return Ok(Piece::of(0)) };
    let before = now - kept;
    match kind {
        Kind::Inbound => inbound(tx, before).await.map(Piece::of),
        Kind::Hits => hits(tx, before).await.map(Piece::of),
        Kind::Answers => answers(tx, before).await.map(Piece::of),
        Kind::Usage => usage(tx, before).await.map(Piece::of),
        Kind::Runs => runs(tx, before).await.map(Piece::of),
        Kind::Imports => import(tx, before).await,
        Kind::Deliveries => Ok(Piece::of(0)),
    }
}

/// Does something to the oldest rows of a kind, which it calls `old`, passing over those that somebody has in hand.
/// `$1` is the instant before which they are old, `$2` how many at most, `$3` a parameter of the caller's.
macro_rules! oldest {
    ($tx:expr, $old:literal, $of:literal, $done:literal, $before:expr $(, $bind:expr)* $(,)?) => {{
        const LOCKED: &str =
            concat!("WITH old AS MATERIALIZED (", $old, " LIMIT $2 FOR UPDATE OF ", $of, " SKIP LOCKED) ", $done);
        const PLAIN: &str = concat!("WITH old AS MATERIALIZED (", $old, " LIMIT $2) ", $done);
        let sql = if $tx.is_postgres() { LOCKED } else { PLAIN };
        execute!($tx, sql, $before, MOST $(, $bind)*)
    }};
}

async fn inbound(tx: &mut Tx, before: Millis) -> Result<u64> {
    oldest!(
        tx,
        "SELECT i.id FROM inbound i WHERE length(i.raw) > 0 AND i.received_at <= $1 AND i.state <> 'stored'
         ORDER BY i.received_at, i.id",
        "i",
        "UPDATE inbound SET raw = $3 WHERE id IN (SELECT id FROM old)",
        before,
        Vec::<u8>::new()
    )
}

async fn hits(tx: &mut Tx, before: Millis) -> Result<u64> {
    oldest!(
        tx,
        "SELECT h.id FROM hits h WHERE h.judged IS NOT NULL AND h.at <= $1 ORDER BY h.at, h.id",
        "h",
        "DELETE FROM hits WHERE id IN (SELECT id FROM old)",
        before
    )
}

async fn answers(tx: &mut Tx, before: Millis) -> Result<u64> {
    oldest!(
        tx,
        "SELECT k.account_id, k.key FROM idempotency_keys k WHERE k.created_at <= $1 ORDER BY k.created_at",
        "k",
        "DELETE FROM idempotency_keys WHERE (account_id, key) IN (SELECT account_id, key FROM old)",
        before
    )
}

/// Of one account at a time, in the order of its hours.
async fn usage(tx: &mut Tx, before: Millis) -> Result<u64> {
    oldest!(
        tx,
        "SELECT u.account_id, u.hour, u.key_id, u.method, u.route FROM usage u
         WHERE u.hour <= $1 AND u.account_id = (SELECT a.id FROM accounts a WHERE EXISTS (
             SELECT 1 FROM usage o WHERE o.account_id = a.id AND o.hour <= $1) ORDER BY a.id LIMIT 1)
         ORDER BY u.hour",
        "u",
        "DELETE FROM usage WHERE (account_id, hour, key_id, method, route) IN (
             SELECT account_id, hour, key_id, method, route FROM old)",
        before
    )
}

/// That a segment was looked at in the present round of its campaign is known by the run that did.
async fn runs(tx: &mut Tx, before: Millis) -> Result<u64> {
    oldest!(
        tx,
        "SELECT r.id FROM accounts a JOIN runs r ON r.account_id = a.id AND r.created_at <= $1
         WHERE r.ended_at <= $1 AND r.state <> 'running' AND NOT EXISTS (
             SELECT 1 FROM campaigns c WHERE c.id = r.campaign_id AND c.round <= r.round AND r.kind = 'expand')
         ORDER BY r.created_at, r.id",
        "r",
        "DELETE FROM runs WHERE id IN (SELECT id FROM old)",
        before
    )
}

/// The rows that were refused, then the import. Whoever takes it up meanwhile moves it on.
async fn import(tx: &mut Tx, before: Millis) -> Result<Piece> {
    const LOCKED: &str =
        "SELECT i.id FROM accounts a JOIN imports i ON i.account_id = a.id AND i.created_at <= $1
         WHERE i.updated_at <= $1 ORDER BY i.created_at, i.id LIMIT 1 FOR UPDATE OF i SKIP LOCKED";
    const PLAIN: &str =
        "SELECT i.id FROM accounts a JOIN imports i ON i.account_id = a.id AND i.created_at <= $1
         WHERE i.updated_at <= $1 ORDER BY i.created_at, i.id LIMIT 1";
    let sql = if tx.is_postgres() { LOCKED } else { PLAIN };
    let Some((id,)) = row!(&mut *tx, (i64,), sql, before)? else { return Ok(Piece::of(0)) };
    let refused = execute!(
        &mut *tx,
        "DELETE FROM import_errors WHERE import_id = $1 AND place IN (
             SELECT place FROM import_errors WHERE import_id = $1 ORDER BY place LIMIT $2)",
        id,
        MOST
    )?;
    let gone = match refused < MOST as u64 {
        true => execute!(tx, "DELETE FROM imports WHERE id = $1", id)?,
        false => 0,
    };
    Ok(Piece { gone, next: Some(Place::default()) })
}
