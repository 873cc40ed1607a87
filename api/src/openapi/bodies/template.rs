//! Templates, and what becomes of one for somebody.

use super::common::{Listing, Warning};
use serde_json::Value;
use std::collections::HashMap;
use utoipa::{IntoParams, ToSchema};

/// A template to be made.
#[derive(ToSchema)]
#[schema(example = json!({"name": "Order Confirmation", "content": "Hi {customer_name}! Your order #{order_id} for ${total_amount} has been confirmed.", "variables": ["customer_name", "order_id", "total_amount"]}))]
pub struct TemplateInput {
    /// What people call it.
    pub name: String,
    /// The text: at most 1,600 characters, and 256 KiB for `channel: email`.
    pub content: String,
    /// The variables of the text; its own where they are left out. One that the text names and the list lacks is a
    /// fault, one that it does not name is dropped with a warning.
    pub variables: Option<Vec<String>>,
    /// `brace` or `handlebars`; where it is left out, handlebars if the text has any `{{`.
    pub syntax: Option<String>,
    /// `sms`, `whatsapp` or `email`; `sms` where it is left out.
    pub channel: Option<String>,
    /// The subject, for `channel: email` alone.
    pub subject: Option<String>,
    /// Whether campaigns may take it; they may where it is left out.
    pub is_active: Option<bool>,
}

/// What of a template is to change: what is left out stays.
#[derive(ToSchema)]
#[schema(example = json!({"is_active": false}))]
pub struct TemplateChange {
    /// What people call it.
    pub name: Option<String>,
    /// The text; it brings its own variables and, unless it is named, its own syntax.
    pub content: Option<String>,
    /// The variables of the text.
    pub variables: Option<Vec<String>>,
    /// `brace` or `handlebars`.
    pub syntax: Option<String>,
    /// `sms`, `whatsapp` or `email`.
    pub channel: Option<String>,
    /// The subject, for `channel: email` alone.
    pub subject: Option<String>,
    /// Whether campaigns may take it.
    pub is_active: Option<bool>,
}

/// A template.
#[derive(ToSchema)]
pub struct Template {
    /// Its id.
    #[schema(example = "0b000000-0000-8000-8000-000000000001")]
    pub id: String,
    /// What people call it.
    #[schema(example = "Welcome Template")]
    pub name: String,
    /// The text.
    #[schema(example = "Hi {name}! Welcome to {company}. Your account in {city} is ready!")]
    pub content: String,
    /// The subject, for e-mail.
    #[schema(example = json!(null))]
    pub subject: Option<String>,
    /// `brace` or `handlebars`.
    #[schema(example = "brace")]
    pub syntax: String,
    /// What it is made for: `sms`, `whatsapp` or `email`.
    #[schema(example = "sms")]
    pub channel: String,
    /// The variables it asks for.
    #[schema(example = json!(["name", "company", "city"]))]
    pub variables: Vec<String>,
    /// The characters of the text as it stands, variables as they are written.
    #[schema(example = 65)]
    pub character_count: i64,
    /// What the text as it stands would be sent as: `GSM-7` or `UCS-2`.
    #[schema(example = "GSM-7")]
    pub encoding: String,
    /// The messages it would be cut into and charged for.
    #[schema(example = 1)]
    pub segments: i64,
    /// Whether campaigns may take it.
    #[schema(example = true)]
    pub is_active: bool,
    /// When it was made.
    #[schema(format = DateTime, example = "2024-01-10T14:30:00Z")]
    pub created_at: String,
    /// When it was last changed.
    #[schema(format = DateTime, example = "2024-01-10T14:30:00Z")]
    pub updated_at: String,
    /// What was odd about its body and did no harm; where it was just given. (sometimes)
    pub warnings: Option<Vec<Warning>>,
}

/// Templates.
#[derive(ToSchema)]
pub struct TemplateList {
    /// The rows.
    pub templates: Vec<Template>,
    /// Where the list stands.
    #[serde(flatten)]
    pub listing: Listing,
}

/// Which templates a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TemplateFilter {
    /// `true` for those that campaigns may take, `false` for the others.
    #[param(example = true)]
    pub is_active: Option<bool>,
}

/// Whom a template is rendered for: one of the three.
#[derive(ToSchema)]
#[schema(example = json!({"attributes": {"name": "John Doe", "company": "Acme", "city": "Austin"}}))]
pub struct PreviewInput {
    /// A contact's number, E.164.
    pub phone: Option<String>,
    /// A contact's id.
    pub lead: Option<String>,
    /// Values by name, for nobody.
    pub attributes: Option<HashMap<String, Value>>,
}

/// A template rendered for somebody.
#[derive(ToSchema)]
pub struct Preview {
    /// The template.
    #[schema(example = "0b000000-0000-8000-8000-000000000001")]
    pub template_id: String,
    /// The subject; null where there is none, or something is missing.
    #[schema(example = json!(null))]
    pub subject: Option<String>,
    /// The text; null where something is missing.
    #[schema(example = "Hi John Doe! Welcome to Acme. Your account in Austin is ready!")]
    pub content: Option<String>,
    /// The variables that nothing is known for.
    #[schema(example = json!([]))]
    pub missing_variables: Vec<String>,
    /// What else keeps it from being rendered.
    #[schema(example = json!(null))]
    pub fault: Option<String>,
    /// The characters of the text.
    #[schema(example = 62)]
    pub character_count: Option<i64>,
    /// What it is sent as: `GSM-7` or `UCS-2`.
    #[schema(example = "GSM-7")]
    pub encoding: Option<String>,
    /// The messages it is cut into and charged for.
    #[schema(example = 1)]
    pub segments: Option<i64>,
    /// Whether it is short enough for a text message: at most 1,600 characters.
    #[schema(example = true)]
    pub fits_sms: Option<bool>,
}
