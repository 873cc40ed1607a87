//! The header of a file of people.

use super::{FieldError, LEAD_FIELDS, USER_FIELDS};
use serde_json::{Map, Value};

/// The header of a CSV file. The fields of a lead or a user are found whatever their case and spaces (`First Name`,
/// `E-Mail`); any other column is an attribute of that name, with `_` for its spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns(Vec<Option<String>>);

impl Columns {
    /// Reads the header row of a file of leads; a column without a name is passed over.
    ///
    /// # Errors
    /// No column for `email`, or two columns of one name.
    pub fn read<'r>(headers: impl IntoIterator<Item = &'r str>) -> Result<Self, Vec<FieldError>> {
        Self::of(headers.into_iter().map(|header| column(header, LEAD_FIELDS)).collect(), "email")
    }

    /// Reads the header row of a file of users (S2-11); a column `phone` is `phone_e164` where there is none.
    ///
    /// # Errors
    /// No column for `phone_e164`, or two columns of one name.
    pub fn of_users<'r>(headers: impl IntoIterator<Item = &'r str>) -> Result<Self, Vec<FieldError>> {
        let mut columns: Vec<Option<String>> =
            headers.into_iter().map(|header| column(header, USER_FIELDS)).collect();
        let is_named = |columns: &[Option<String>]| columns.iter().flatten().any(|name| name == "phone_e164");
        if !is_named(&columns) {
            let phone = columns.iter_mut().flatten().find(|name| name.eq_ignore_ascii_case("phone"));
            if let Some(name) = phone {
                *name = "phone_e164".to_owned();
            }
        }
        Self::of(columns, "phone_e164")
    }

    fn of(columns: Vec<Option<String>>, needed: &str) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        for (index, name) in columns.iter().enumerate() {
            if name.is_some() && columns[..index].contains(name) {
                let name = name.clone().unwrap_or_default();
                errors.push(FieldError::new(name, "columns", "is the name of two columns"));
            }
        }
        if !columns.iter().flatten().any(|name| name == needed) {
            let message = format!("the first line must name a column `{needed}`");
            errors.push(FieldError::new(needed, "columns", message));
        }
        if errors.is_empty() { Ok(Self(columns)) } else { Err(errors) }
    }

    /// Whether there is a column of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().flatten().any(|column| column == name)
    }

    /// A row as an object; an empty cell is an absent field.
    ///
    /// # Errors
    /// `columns` where the row is shorter or longer than the header.
    pub fn object<'r>(&self, row: impl IntoIterator<Item = &'r str>) -> Result<Value, Vec<FieldError>> {
        let mut object = Map::new();
        let mut cells = 0;
        for cell in row {
            if let Some(Some(name)) = self.0.get(cells)
                && !cell.trim().is_empty()
            {
                object.insert(name.clone(), Value::String(cell.to_owned()));
            }
            cells += 1;
        }
        if cells != self.0.len() {
            let message = format!("the row has {cells} cells where the header has {}", self.0.len());
            return Err(vec![FieldError::new("row", "columns", message)]);
        }
        Ok(Value::Object(object))
    }
}

fn column(header: &str, fields: &[&str]) -> Option<String> {
    let header = header.trim_start_matches('\u{feff}').trim();
    let plain = |c: char| c.is_alphanumeric();
    let folded: String = header.chars().filter(|c| plain(*c)).flat_map(char::to_lowercase).collect();
    let field = fields.iter().find(|field| field.chars().filter(|c| plain(*c)).eq(folded.chars()));
    match field {
        Some(field) => Some((*field).to_owned()),
        None => Some(header.split_whitespace().collect::<Vec<_>>().join("_")).filter(|name| !name.is_empty()),
    }
}
