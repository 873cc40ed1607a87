//! Segments.

use super::common::{Listing, Warning};
use serde_json::Value;
use utoipa::ToSchema;

/// A segment to be made.
#[derive(ToSchema)]
#[schema(example = json!({"name": "Recent Signups", "description": "Users who signed up in the last 30 days", "filter_criteria": {"attribute": "signup_date", "operator": "after", "value": "2024-01-01"}}))]
pub struct SegmentInput {
    /// What people call it.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// One condition, or a group `{operator: AND, OR or NOT, conditions: […]}` of conditions and groups.
    ///
    /// A condition is `{attribute, operator, value}` with `equals`, `not_equals`, `in`, `not_in`, `contains`,
    /// `not_contains`, `starts_with`, `ends_with`, `exists`, `not_exists`, `greater_than`, `greater_than_or_equal`,
    /// `less_than`, `less_than_or_equal`, `before`, `after`, `within_last_days` or `between`; or `{consent: sms,
    /// whatsapp or email, operator, value: OPT_IN, OPT_OUT or STOP}`; or `{behaviour: sent, opened, clicked or replied,
    /// within_days, campaign, operator: exists or not_exists}`. An operator with `not_` holds for whoever lacks the
    /// value too, and NOT where none of its conditions holds.
    #[schema(value_type = Object)]
    pub filter_criteria: Value,
}

/// What of a segment is to change: what is left out stays.
#[derive(ToSchema)]
#[schema(example = json!({"name": "Signups of 2024"}))]
pub struct SegmentChange {
    /// What people call it.
    pub name: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// The conditions.
    #[schema(value_type = Option<Object>)]
    pub filter_criteria: Option<Value>,
}

/// A segment.
#[derive(ToSchema)]
pub struct Segment {
    /// Its id.
    #[schema(example = "0a000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// What people call it.
    #[schema(example = "Premium SF Users")]
    pub name: String,
    /// For people.
    #[schema(example = "Premium tier users in San Francisco")]
    pub description: Option<String>,
    /// Its conditions, as they were given.
    #[schema(value_type = Object, example = json!({"operator": "AND", "conditions": [{"attribute": "city", "operator": "equals", "value": "San Francisco"}, {"attribute": "tier", "operator": "equals", "value": "premium"}]}))]
    pub filter_criteria: Value,
    /// How many people are in it; where counting takes too long, how many there were when it was counted last.
    #[schema(example = 1250)]
    pub estimated_audience_size: i64,
    /// When it was made.
    #[schema(format = DateTime, example = "2024-01-12T11:15:00Z")]
    pub created_at: String,
    /// When it was last changed.
    #[schema(format = DateTime, example = "2024-01-12T11:15:00Z")]
    pub updated_at: String,
    /// What was odd about its body and did no harm; where it was just given. (sometimes)
    pub warnings: Option<Vec<Warning>>,
}

/// Segments.
#[derive(ToSchema)]
pub struct SegmentList {
    /// The rows.
    pub segments: Vec<Segment>,
    /// Where the list stands.
    #[serde(flatten)]
    pub listing: Listing,
}

/// What an evaluation found.
#[derive(ToSchema)]
pub struct Evaluation {
    /// The segment.
    #[schema(example = "0a000000-0000-8000-8000-000000000001")]
    pub segment_id: String,
    /// How many people are in it.
    #[schema(example = 1250)]
    pub matching_users: i64,
    /// Some of them: their numbers, or addresses where they have none.
    #[schema(example = json!(["+14155551234", "+14155555678", "+14155559999"]))]
    pub sample_users: Vec<String>,
    /// How long it took.
    #[schema(example = 150)]
    pub evaluation_time_ms: i64,
}
