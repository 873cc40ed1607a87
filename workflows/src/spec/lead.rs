//! A submitted lead, from JSON or from a row of a CSV file.

use super::fields::{Fields, Lines, check_text};
use super::{FieldError, zone};
use crate::address::Email;
use crate::contact::Contact;
use crate::ids::Kind;
use chrono_tz::Tz;
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

/// Most attributes of a lead.
const MOST_ATTRIBUTES: usize = 100;
/// Most bytes of one attribute, as JSON.
const MOST_BYTES: usize = 8 * 1024;
/// Most bytes of all attributes, names included.
const MOST_TOTAL: usize = 64 * 1024;
/// Most characters of an attribute's name.
const MOST_NAME: usize = 200;

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
    pub timezone: Option<Tz>,
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
        let mut object = Map::new();
        let mut cells = 0;
        for cell in row {
            if let Some(Some(name)) = columns.0.get(cells)
                && !cell.trim().is_empty()
            {
                object.insert(name.clone(), Value::String(cell.to_owned()));
            }
            cells += 1;
        }
        if cells != columns.0.len() {
            let message = format!("the row has {cells} cells where the header has {}", columns.0.len());
            return Err(vec![FieldError::new("row", "columns", message)]);
        }
        Self::from_json(&Value::Object(object))
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

/// The header of a CSV file. Fields of a lead are found whatever their case and spaces (`First Name`,
/// `E-Mail`); any other column is an attribute of that name, with `_` for its spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns(Vec<Option<String>>);

impl Columns {
    /// Reads a header row; a column without a name is passed over.
    ///
    /// # Errors
    /// No column for `email`, or two columns of one name.
    pub fn read<'r>(headers: impl IntoIterator<Item = &'r str>) -> Result<Self, Vec<FieldError>> {
        let columns: Vec<Option<String>> = headers.into_iter().map(column).collect();
        let mut errors = Vec::new();
        for (index, name) in columns.iter().enumerate() {
            if name.is_some() && columns[..index].contains(name) {
                let name = name.clone().unwrap_or_default();
                errors.push(FieldError::new(name, "columns", "is the name of two columns"));
            }
        }
        if !columns.iter().flatten().any(|name| name == "email") {
            errors.push(FieldError::new("email", "columns", "the first line must name a column `email`"));
        }
        if errors.is_empty() { Ok(Self(columns)) } else { Err(errors) }
    }
}

fn column(header: &str) -> Option<String> {
    let header = header.trim_start_matches('\u{feff}').trim();
    let plain = |c: char| c.is_alphanumeric();
    let folded: String = header.chars().filter(|c| plain(*c)).flat_map(char::to_lowercase).collect();
    let field = LEAD_FIELDS.iter().find(|field| field.chars().filter(|c| plain(*c)).eq(folded.chars()));
    match field {
        Some(field) => Some((*field).to_owned()),
        None => Some(header.split_whitespace().collect::<Vec<_>>().join("_")).filter(|name| !name.is_empty()),
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
fn read_zone(fields: &mut Fields) -> Option<Tz> {
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
    let mut attributes = Map::new();
    if let Some(value) = fields.value("attributes") {
        let path = fields.path("attributes");
        if let Some(own) =
            Fields::open(&path, value, fields.errors()).map(|own| own.names().collect::<Vec<_>>())
        {
            for name in own {
                if LEAD_FIELDS.contains(&name.as_str()) {
                    let message = "is a field of the lead itself; put it beside `attributes`, not in it";
                    fields.fault(&format!("attributes.{name}"), "reserved_name", message);
                }
                attributes.insert(name.clone(), value[name].clone());
            }
        }
    }
    let others = fields.names().filter(|name| !LEAD_FIELDS.contains(&name.as_str()) && *name != "attributes");
    for name in others {
        attributes.insert(name.clone(), fields.value(name).cloned().unwrap_or_default());
    }
    attributes.retain(|_, value| !value.is_null());
    cap_attributes(fields, &attributes);
    attributes
}

fn cap_attributes(fields: &mut Fields, attributes: &Map<String, Value>) {
    if attributes.len() > MOST_ATTRIBUTES {
        fields.fault("attributes", "too_many", format!("must be at most {MOST_ATTRIBUTES}"));
        return;
    }
    let mut total = 0;
    for (name, value) in attributes {
        let bytes = value.to_string().len();
        total += name.len() + bytes;
        let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        if let Err((code, message)) = check_text(name, MOST_NAME, Lines::One) {
            fields.fault(&shown, code, format!("an attribute's name {message}"));
        }
        if bytes > MOST_BYTES {
            fields.fault(&shown, "too_long", format!("must have at most {MOST_BYTES} bytes as JSON"));
        }
        if holds_nul(value) {
            fields.fault(&shown, "control_character", "holds a NUL character");
        }
    }
    if total > MOST_TOTAL {
        fields.fault("attributes", "too_long", format!("must have at most {MOST_TOTAL} bytes together"));
    }
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(object) => object.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
        _ => false,
    }
}
