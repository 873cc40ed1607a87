//! A submitted lead, from JSON or from a row of a CSV file.

use super::fields::{Fields, Lines};
use super::{Columns, FieldError, attributes, zone};
use crate::address::Email;
use crate::contact::Contact;
use crate::ids::Kind;
use crate::zone::Zone;
use serde_json::{Map, Value};

/// The fields of a lead; every other name is an attribute.
pub const LEAD_FIELDS: &[&str] = &[
    "email",
    "first_name",
    "last_name",
    "company",
    "title",
    "phone",
    "website",
    "industry",
    "timezone",
    "external_id",
    "campaign_id",
];

/// A lead that passed every check.
#[derive(Debug, Clone, PartialEq)]
pub struct LeadBody {
    /// The address.
    pub email: Email,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Company; templates call it `company_name` too.
    pub company: Option<String>,
    /// Job title.
    pub title: Option<String>,
    /// Free form, kept as given.
    pub phone: Option<String>,
    /// Website.
    pub website: Option<String>,
    /// Industry.
    pub industry: Option<String>,
    /// The zone that quiet hours and calendar days are reckoned in.
    pub timezone: Option<Zone>,
    /// The caller's own id, kept and echoed.
    pub external_id: Option<String>,
    /// The campaign to enrol it in; whether it exists is for the caller to look up.
    pub campaign_id: Option<i64>,
    /// Every other field, as JSON.
    pub attributes: Map<String, Value>,
}

impl LeadBody {
    /// Reads and checks a lead. Unknown fields and those of `attributes` become attributes; the former win.
    ///
    /// # Errors
    /// Every fault at once, never an empty list. A `campaign_id` that can be nobody's is
    /// `reference_not_found` with the external dialect's words (S1-57).
    pub fn from_json(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        read(body, &mut errors).filter(|_| errors.is_empty()).ok_or(errors)
    }

    /// Reads and checks a row under `columns`; an empty cell is an absent field.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json); `columns` where the row is shorter or longer than the header.
    pub fn from_csv<'r>(
        columns: &Columns,
        row: impl IntoIterator<Item = &'r str>,
    ) -> Result<Self, Vec<FieldError>> {
        Self::from_json(&columns.object(row)?)
    }

    /// The contact it becomes.
    pub fn into_contact(self, id: i64) -> Contact {
        Contact {
            id,
            email: Some(self.email.into()),
            first_name: self.first_name,
            last_name: self.last_name,
            company: self.company,
            title: self.title,
            phone: self.phone,
            website: self.website,
            industry: self.industry,
            timezone: self.timezone,
            external_id: self.external_id,
            attributes: self.attributes,
        }
    }
}

fn read(body: &Value, errors: &mut Vec<FieldError>) -> Option<LeadBody> {
    let mut fields = Fields::open("", body, errors)?;
    let email = read_email(&mut fields);
    let mut line = |name| fields.text(name, 500, Lines::One);
    Some(LeadBody {
        first_name: line("first_name"),
        last_name: line("last_name"),
        company: line("company"),
        title: line("title"),
        phone: line("phone"),
        industry: line("industry"),
        external_id: line("external_id"),
        website: fields.text("website", 2_048, Lines::One),
        timezone: read_zone(&mut fields),
        campaign_id: fields.reference("campaign_id", Kind::Campaign, "Campaign {} not found or inactive"),
        attributes: read_attributes(&mut fields),
        // Last: the other fields have told their faults by now.
        email: email?,
    })
}

/// A blank zone is none: exports are full of them.
fn read_zone(fields: &mut Fields) -> Option<Zone> {
    let text = fields.string("timezone").filter(|text| !text.trim().is_empty())?;
    zone(text).map_err(|why| fields.fault("timezone", "invalid_timezone", why)).ok()
}

fn read_email(fields: &mut Fields) -> Option<Email> {
    if fields.value("email").is_none() {
        fields.fault("email", "required", "is required");
    }
    fields.email("email")
}

fn read_attributes(fields: &mut Fields) -> Map<String, Value> {
    let mut attributes = attributes::read(fields, LEAD_FIELDS, "the lead");
    attributes.retain(|_, value| !value.is_null());
    attributes::cap(fields, &attributes);
    attributes
}
