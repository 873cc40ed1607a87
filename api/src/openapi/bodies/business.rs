//! Businesses of a campaign: leads by other names.

use super::lead::RefusedLead;
use serde_json::Value;
use std::collections::HashMap;
use utoipa::ToSchema;

/// A business to be enrolled. Beside these names it takes those of a lead; every other field becomes an attribute.
#[derive(ToSchema)]
#[schema(example = json!({"business_id": "12345", "business_name": "Smile Dental", "email": "info@smiledental.example", "attributes": {"rating": 4.5}}))]
pub struct BusinessInput {
    /// The caller's own id: a text, or a whole number.
    pub business_id: Option<Value>,
    /// What it is called.
    pub business_name: Option<String>,
    /// The address; unique in the account.
    pub email: String,
    /// More that templates may use.
    pub attributes: Option<HashMap<String, Value>>,
}

/// Businesses, as a list or by that name.
#[derive(ToSchema)]
#[schema(example = json!({"businesses": [{"business_id": "12345", "business_name": "Smile Dental", "email": "info@smiledental.example"}]}))]
#[serde(untagged)]
pub enum BusinessesInput {
    /// The list.
    List(Vec<BusinessInput>),
    /// The list by its name.
    Named(NamedBusinesses),
}

/// Businesses by name.
#[derive(ToSchema)]
pub struct NamedBusinesses {
    /// The businesses.
    pub businesses: Vec<BusinessInput>,
}

/// A business that was taken.
#[derive(ToSchema)]
pub struct Business {
    /// The lead's id.
    #[schema(example = "02000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// The caller's own id.
    #[schema(example = "12345")]
    pub business_id: Option<String>,
    /// What it is called.
    #[schema(example = "Smile Dental")]
    pub business_name: Option<String>,
    /// The address.
    #[schema(example = "info@smiledental.example")]
    pub email: String,
    /// More that templates may use.
    #[schema(example = json!({"rating": 4.5}))]
    pub attributes: HashMap<String, Value>,
    /// The lead's state.
    #[schema(example = "active")]
    pub status: String,
}

/// What became of many businesses.
#[derive(ToSchema)]
pub struct ImportedBusinesses {
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
    pub businesses: Vec<Business>,
}
