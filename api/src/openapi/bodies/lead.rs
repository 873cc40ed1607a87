//! Leads and suppressions.

use super::common::{Fault, Listing};
use serde_json::Value;
use std::collections::HashMap;
use utoipa::{IntoParams, ToSchema};

/// A lead to be made. Every field that is not named here becomes an attribute.
#[derive(ToSchema)]
#[schema(example = json!({"email": "ada@example.com", "first_name": "Ada", "company": "Example", "timezone": "Europe/Paris", "attributes": {"plan": "pro"}}))]
pub struct LeadInput {
    /// The address; unique in the account.
    pub email: String,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Company.
    pub company: Option<String>,
    /// Job title.
    pub title: Option<String>,
    /// Telephone number, kept as given.
    pub phone: Option<String>,
    /// Website.
    pub website: Option<String>,
    /// Industry.
    pub industry: Option<String>,
    /// The zone that quiet hours and calendar days are reckoned in, an IANA name.
    pub timezone: Option<String>,
    /// The caller's own id, kept and echoed.
    pub external_id: Option<String>,
    /// The campaign to enrol it in.
    pub campaign_id: Option<String>,
    /// More that templates may use.
    pub attributes: Option<HashMap<String, Value>>,
}

/// A lead.
#[derive(ToSchema)]
pub struct Lead {
    /// Its id.
    #[schema(example = "02000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// The caller's own id.
    #[schema(example = "crm-17")]
    pub external_id: Option<String>,
    /// The address.
    #[schema(example = "ada@example.com")]
    pub email: Option<String>,
    /// First name.
    #[schema(example = "Ada")]
    pub first_name: Option<String>,
    /// Last name.
    #[schema(example = "Lovelace")]
    pub last_name: Option<String>,
    /// Company.
    #[schema(example = "Example")]
    pub company: Option<String>,
    /// Job title.
    #[schema(example = "Engineer")]
    pub title: Option<String>,
    /// Telephone number.
    #[schema(example = "+33 1 23 45 67 89")]
    pub phone: Option<String>,
    /// Website.
    #[schema(example = "https://example.com")]
    pub website: Option<String>,
    /// Industry.
    #[schema(example = "Computing")]
    pub industry: Option<String>,
    /// Its zone, an IANA name.
    #[schema(example = "Europe/Paris")]
    pub timezone: Option<String>,
    /// What else is known of it.
    #[schema(example = json!({"plan": "pro"}))]
    pub attributes: HashMap<String, Value>,
    /// `active`.
    #[schema(example = "active")]
    pub status: String,
    /// Whether its address is suppressed; told where it was just made. (sometimes)
    #[schema(example = false)]
    pub suppressed: Option<bool>,
    /// When it was made.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub created_at: String,
    /// When it was last changed.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub updated_at: String,
}

/// Leads.
#[derive(ToSchema)]
pub struct LeadList {
    /// The rows.
    pub leads: Vec<Lead>,
    /// Where the list stands.
    #[serde(flatten)]
    pub listing: Listing,
}

/// Which leads a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LeadFilter {
    /// The one with this id of the caller's own.
    #[param(example = "crm-17")]
    pub external_id: Option<String>,
    /// Another word for `external_id`.
    #[param(example = "crm-17")]
    pub business_id: Option<String>,
}

/// Leads to be made: a bare list, or an object with `leads`.
#[derive(ToSchema)]
#[schema(example = json!([{"email": "ada@example.com"}, {"email": "bob@example.com"}]))]
#[serde(untagged)]
pub enum LeadsInput {
    /// The list.
    List(Vec<LeadInput>),
    /// The list by its name.
    Named(NamedLeads),
}

/// Leads by name.
#[derive(ToSchema)]
pub struct NamedLeads {
    /// The leads.
    pub leads: Vec<LeadInput>,
}

/// A lead that was not taken.
#[derive(ToSchema)]
pub struct RefusedLead {
    /// Its place in the list, from 0.
    #[schema(example = 2)]
    pub index: i64,
    /// Its address, as given. (sometimes)
    #[schema(example = "x")]
    pub email: Option<String>,
    /// Why, for programs.
    #[schema(example = "invalid_email")]
    pub error: String,
    /// Why, for people.
    #[schema(example = "email must be an address")]
    pub message: String,
    /// Its fields that are wrong. (sometimes)
    pub details: Option<Vec<Fault>>,
}

/// What became of many leads.
#[derive(ToSchema)]
pub struct Imported {
    /// How many are new.
    #[schema(example = 1)]
    pub created: i64,
    /// How many are enrolled now that were not before.
    #[schema(example = 1)]
    pub enrolled: i64,
    /// How many of them are never written to.
    #[schema(example = 0)]
    pub suppressed: i64,
    /// Those not taken.
    pub errors: Vec<RefusedLead>,
    /// Those taken.
    pub leads: Vec<Lead>,
}

/// People to enrol: leads, new or known by their address, or the ids of leads.
#[derive(ToSchema)]
#[schema(example = json!({"leads": [{"email": "ada@example.com"}]}))]
#[serde(untagged)]
pub enum EnrolInput {
    /// Leads.
    Leads(LeadsInput),
    /// Ids.
    Ids(LeadIds),
}

/// Leads by their ids.
#[derive(ToSchema)]
pub struct LeadIds {
    /// The ids, in any face.
    pub lead_ids: Vec<String>,
}

/// What became of people to enrol.
#[derive(ToSchema)]
pub struct Enrolled {
    /// How many are enrolled now that were not before.
    #[schema(example = 1)]
    pub enrolled: i64,
    /// Those not taken.
    pub errors: Vec<RefusedLead>,
    /// How many are new, where leads were given. (sometimes)
    #[schema(example = 1)]
    pub created: Option<i64>,
    /// How many of them are never written to, where leads were given. (sometimes)
    #[schema(example = 0)]
    pub suppressed: Option<i64>,
    /// Those taken, where leads were given. (sometimes)
    pub leads: Option<Vec<Lead>>,
}

/// What was deleted.
#[derive(ToSchema)]
pub struct Deleted {
    /// For people.
    #[schema(example = "Lead deleted successfully")]
    pub message: String,
    /// The row.
    #[schema(example = "02000000-0000-8000-8000-000000000001")]
    pub id: String,
}

/// An address to suppress.
#[derive(ToSchema)]
#[schema(example = json!({"email": "stop@example.com", "why": "manual"}))]
pub struct SuppressionInput {
    /// The address; or `phone`.
    pub email: Option<String>,
    /// The number in E.164.
    pub phone: Option<String>,
    /// `manual`, `opt_out` or `complained`.
    pub why: Option<String>,
}

/// An address that is never written to: the hint, never the address.
#[derive(ToSchema)]
pub struct Suppression {
    /// `email`, `sms` or `whatsapp`.
    #[schema(example = "email")]
    pub channel: String,
    /// The masked address.
    #[schema(example = "s…@example.com")]
    pub hint: String,
    /// `opt_out`, `stop`, `bounced`, `complained` or `manual`.
    #[schema(example = "manual")]
    pub why: String,
    /// Where it came from.
    #[schema(example = "api")]
    pub source: String,
    /// When.
    #[schema(format = DateTime, example = "2026-01-15T10:30:00Z")]
    pub created_at: String,
}

/// Suppressions.
#[derive(ToSchema)]
pub struct SuppressionList {
    /// The rows.
    pub suppressions: Vec<Suppression>,
    /// Where the list stands.
    #[serde(flatten)]
    pub listing: Listing,
}
