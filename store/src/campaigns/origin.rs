//! What campaigns were made of, and whom they are for.

use super::Campaign;
use crate::db::{Tx, execute, rows};
use crate::error::Result;
use sendwright_workflows::campaign::Audience;
use sendwright_workflows::clock::Millis;
use serde_json::json;
use std::collections::HashMap;

/// What a campaign was made of, and whom it is for (S2-13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origin {
    /// The template whose text its step copied.
    pub template: Option<i64>,
    /// The segment whose people it enrols.
    pub segment: Option<i64>,
    /// Who of the segment.
    pub audience: Audience,
}

impl Origin {
    /// `broadcast` where it was made of a template or for a segment, else `outreach` (C-2).
    pub fn kind(&self) -> &'static str {
        if self.template.or(self.segment).is_some() { "broadcast" } else { "outreach" }
    }

    pub(super) fn audience_word(&self) -> Option<&'static str> {
        self.segment.map(|_| self.audience.as_str())
    }
}

/// A campaign that waits for its `schedule_time` waits no longer: that time is now.
pub async fn bring_forward(tx: &mut Tx, campaign: &Campaign, now: Millis) -> Result<Campaign> {
    let mut campaign = campaign.clone();
    if campaign.schedule_at.is_some_and(|at| at > now) {
        execute!(tx, "UPDATE campaigns SET schedule_at = $2 WHERE id = $1", campaign.id, now)?;
        campaign.schedule_at = Some(now);
    }
    Ok(campaign)
}

/// The names of what these campaigns were made of and are for, also of what was deleted since: template and segment.
pub async fn names(
    tx: &mut Tx,
    account: i64,
    ids: &[i64],
) -> Result<HashMap<i64, (Option<String>, Option<String>)>> {
    let found = rows!(
        tx,
        (i64, Option<String>, Option<String>),
        "SELECT c.id, t.name, s.name FROM campaigns c
           LEFT JOIN templates t ON t.id = c.template_id LEFT JOIN segments s ON s.id = c.segment_id
          WHERE c.account_id = $1 AND c.id IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM json_each($2) AS e)",
        account,
        json!(ids.iter().map(|id| [id]).collect::<Vec<_>>()).to_string()
    )?;
    Ok(found.into_iter().map(|(id, template, segment)| (id, (template, segment))).collect())
}
