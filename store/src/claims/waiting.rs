//! What waits for a claim: profiles with due rows, and when a profile's next row is due.

use crate::db::{Tx, rows};
use crate::error::Result;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::sequence::Channel;

/// A profile with due rows.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct DueProfile {
    /// The profile.
    #[sqlx(rename = "id")]
    pub profile: i64,
    channel: String,
}

impl DueProfile {
    /// The channel that it serves.
    pub fn channel(&self) -> Channel {
        Channel::parse(&self.channel).unwrap_or_default()
    }
}

/// Profiles that have a due row in a running campaign or a test send, by account.
pub async fn profiles_with_due(tx: &mut Tx, now: Millis) -> Result<Vec<DueProfile>> {
    const SQL: &str = concat!(
        "SELECT p.id, p.channel FROM sending_profiles p WHERE p.channel IN ('email', 'sms', 'whatsapp') AND (EXISTS (",
        campaigns_of_profile!(
            "p.id",
            "1 AS one",
            "c.state = 'running' AND c.mapped_version = c.version AND EXISTS (
                 SELECT 1 FROM messages m WHERE m.profile_id = p.id AND m.campaign_id = c.id AND m.waits = 'drafted'
                   AND m.kind IN ('step', 'test') AND m.planned_at <= $1)"
        ),
        ") OR EXISTS (SELECT 1 FROM messages m WHERE m.profile_id = p.id AND m.campaign_id = 0
                   AND m.waits = 'drafted' AND m.kind IN ('step', 'test') AND m.planned_at <= $1))
         ORDER BY p.account_id, p.id"
    );
    rows!(tx, DueProfile, SQL, now)
}

/// When the next drafted row of a profile is due, and how many are due at `now`, counted up to `most`.
pub async fn ahead(tx: &mut Tx, profile: i64, now: Millis, most: i64) -> Result<(usize, Option<Millis>)> {
    let found = rows!(
        tx,
        (Option<i64>, i64),
        concat!(
            "SELECT (SELECT MIN(m.planned_at) FROM messages m WHERE m.profile_id = $1 AND m.campaign_id = c.id
                   AND m.waits = 'drafted' AND m.kind IN ('step', 'test')),
                (SELECT COUNT(*) FROM (SELECT 1 AS one FROM messages m WHERE m.profile_id = $1
                   AND m.campaign_id = c.id AND m.waits = 'drafted' AND m.kind IN ('step', 'test')
                   AND m.planned_at <= $2 LIMIT $3) AS due)
         FROM (",
            campaigns_of_profile!("$1", "c.id", "c.state = 'running' AND c.mapped_version = c.version"),
            " UNION ALL SELECT CAST(0 AS BIGINT)) AS c"
        ),
        profile,
        now,
        most
    )?;
    let next = found.iter().filter_map(|r| r.0).min();
    Ok((found.iter().map(|r| r.1 as usize).sum(), next))
}
