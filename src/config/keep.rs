//! How long what has served its purpose is kept.

use super::read::Reader;
use sendwright_store::prune::Keep;
use sendwright_workflows::clock::{DAY, Millis};

pub(super) fn read(r: &mut Reader) -> Keep {
    Keep {
        deliveries: days(r, "keep.deliveries_days", "SENDWRIGHT_KEEP_DELIVERIES_DAYS"),
        dead_deliveries: days(r, "keep.dead_deliveries_days", "SENDWRIGHT_KEEP_DEAD_DELIVERIES_DAYS"),
        inbound: days(r, "keep.inbound_days", "SENDWRIGHT_KEEP_INBOUND_DAYS"),
        hits: days(r, "keep.hits_days", "SENDWRIGHT_KEEP_HITS_DAYS"),
        usage: days(r, "keep.usage_days", "SENDWRIGHT_KEEP_USAGE_DAYS"),
        imports: days(r, "keep.imports_days", "SENDWRIGHT_KEEP_IMPORTS_DAYS"),
        runs: days(r, "keep.runs_days", "SENDWRIGHT_KEEP_RUNS_DAYS"),
    }
}

/// Days in milliseconds; none for 0, which is for ever.
fn days(r: &mut Reader, key: &'static str, variable: &str) -> Option<Millis> {
    match r.number(key, variable, 0..=36_500) {
        0 => None,
        days => Some(Millis::from(days) * DAY),
    }
}
