//! The prune: what has served its purpose and is kept no longer goes, a few pieces at every tick, so that nobody waits for it.
//! Every piece is idempotent, so any number of schedulers is harmless.

use crate::context::Context;
use sendwright_store::Result;
use sendwright_store::prune::{self, Kind, Piece, Place};
use sendwright_workflows::clock::{HOUR, Millis};

/// Pieces at one tick.
const PIECES: usize = 4;
/// How long it rests when it is through.
const REST: Millis = HOUR;

/// How far it is; the beginning by default.
#[derive(Debug, Default)]
pub struct Prune {
    /// The kind's place among [`Kind::ALL`].
    kind: usize,
    place: Place,
    again_at: Millis,
}

impl Prune {
    /// Prunes a few pieces. `false`: it is through, and rests.
    ///
    /// # Errors
    /// The database's. It goes on with the next kind.
    pub async fn pass(&mut self, ctx: &Context, now: Millis) -> Result<bool> {
        if now < self.again_at {
            return Ok(false);
        }
        for _ in 0..PIECES {
            let Some(&kind) = Kind::ALL.get(self.kind) else {
                *self = Self { again_at: now + REST, ..Self::default() };
                return Ok(false);
            };
            let done = piece(ctx, kind, self.place, now).await;
            match done.as_ref().ok().and_then(|piece| piece.next) {
                Some(place) => self.place = place,
                None => (self.kind, self.place) = (self.kind + 1, Place::default()),
            }
            let gone = done?.gone;
            if gone > 0 {
                metrics::counter!("sendwright_pruned_rows_total", "kind" => kind.as_str()).increment(gone);
            }
        }
        Ok(true)
    }
}

async fn piece(ctx: &Context, kind: Kind, place: Place, now: Millis) -> Result<Piece> {
    let mut tx = ctx.store.begin().await?;
    let piece = prune::piece(&mut tx, kind, &ctx.settings.keep, place, now).await?;
    tx.commit().await?;
    Ok(piece)
}
