//! What an edit of a campaign does.

use super::campaign::Campaign;
use super::common::Warning;
use utoipa::{IntoParams, ToSchema};

/// How a campaign is replaced.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReplaceParams {
    /// `true` or `1`: only tells what the edit would do, and changes nothing.
    #[param(example = false)]
    pub dry_run: Option<bool>,
}

/// A campaign that was replaced, or what a dry run told.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum Replaced {
    /// The campaign as it is now.
    Done(Box<Campaign>),
    /// What would be done.
    Told(EditPreview),
}

/// What an edit would do.
#[derive(ToSchema)]
pub struct EditPreview {
    /// `true`: nothing was changed.
    #[schema(example = true)]
    pub dry_run: bool,
    /// The campaign.
    #[schema(example = "01000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// What the edit would do to the people who are under way.
    pub effect: Effect,
    /// What was odd about the body and did no harm.
    pub warnings: Vec<Warning>,
}

/// What an edit does to the people who are under way.
#[derive(ToSchema)]
pub struct Effect {
    /// People under way.
    #[schema(example = 12)]
    pub people: i64,
    /// Who goes from which next step to which.
    pub moves: Vec<Move>,
    /// Steps that somebody is not sent again, because the same text went to them under another number.
    #[schema(example = 3)]
    pub repeats_avoided: i64,
    /// Steps of the new version that nobody who is under way will get.
    #[schema(example = json!([1]))]
    pub steps_nobody_gets: Vec<i64>,
    /// Messages not yet sent that are discarded and planned anew.
    #[schema(example = 12)]
    pub messages_discarded: i64,
    /// Whether people were asked for by where they stand, because there are many: the numbers are near.
    #[schema(example = false)]
    pub estimated: bool,
}

/// People who go from one next step to another.
#[derive(ToSchema)]
pub struct Move {
    /// Their next step now; null for none.
    #[schema(example = 2)]
    pub from_step: Option<i64>,
    /// Their next step then; null for none.
    #[schema(example = 3)]
    pub to_step: Option<i64>,
    /// How many.
    #[schema(example = 12)]
    pub people: i64,
}
