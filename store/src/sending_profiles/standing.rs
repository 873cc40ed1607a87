//! What an account is told of how its profiles stand.

use super::Profile;
use crate::db::Tx;
use crate::error::Result;
use crate::events::{self, NewEvent};
use sendwright_workflows::clock::{Millis, rfc3339};
use sendwright_workflows::ids::{Kind, uuid};
use serde_json::json;

/// Tells of a profile's new state: `profile.paused`, `profile.disabled` or `profile.resumed`. `by`: `worker` or
/// `person`.
pub async fn tell(tx: &mut Tx, event: i64, profile: &Profile, by: &str, now: Millis) -> Result<()> {
    let kind = match profile.state.as_str() {
        "paused" => "profile.paused",
        "disabled" => "profile.disabled",
        _ => "profile.resumed",
    };
    let data = json!({
        "sending_profile_id": uuid(Kind::Profile, profile.id), "name": profile.name, "state": profile.state,
        "why": profile.why, "paused_until": profile.paused_until.map(rfc3339), "by": by,
    });
    let told = NewEvent {
        id: event,
        account_id: profile.account_id,
        kind,
        campaign_id: None,
        contact_id: None,
        enrolment_id: None,
        message_id: None,
        data: data.to_string(),
        at: now,
    };
    events::insert(tx, &[told]).await
}
