//! How many people of a campaign stand where.

use crate::db::{Tx, rows};
use crate::error::Result;

/// The people of a round who are under way, as (last settled step, how many), ascending.
pub async fn groups(tx: &mut Tx, campaign: i64, round: i64) -> Result<Vec<(u32, i64)>> {
    let found = rows!(
        tx,
        (i64, i64),
        "SELECT settled, COUNT(*) FROM enrolments WHERE campaign_id = $1 AND round = $2 AND state = 'active'
         GROUP BY settled ORDER BY settled",
        campaign,
        round
    )?;
    Ok(found.into_iter().map(|(settled, n)| (settled as u32, n)).collect())
}
