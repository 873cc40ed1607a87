//! Campaigns and leads from files.

use crate::failure::Failure;
use sendwright_workflows::render::{Kind, check_in};
use sendwright_workflows::sequence::Syntax;
use sendwright_workflows::spec::{CampaignBody, Columns, FieldError, LeadBody};
use sendwright_workflows::variables::is_built_in;
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Most bytes of a campaign file.
const MOST_CAMPAIGN: u64 = 16 * 1024 * 1024;

/// The JSON value of a YAML or JSON file; `-` is stdin. JSON is read as YAML, of which it is a part.
///
/// # Errors
/// The file cannot be read, or its line and column where it does not parse.
pub fn value(path: &Path) -> Result<Value, Failure> {
    let mut text = String::new();
    let read = open(path).and_then(|file| file.take(MOST_CAMPAIGN).read_to_string(&mut text));
    read.map_err(|error| Failure::input(vec![format!("{}: {error}", path.display())]))?;
    let text = text.trim_start_matches('\u{feff}');
    let refused = |what: String| Failure::input(vec![format!("{}: {what}", path.display())]);
    if path.extension().is_some_and(|ext| ext == "json") {
        return serde_json::from_str(text).map_err(|error| refused(error.to_string()));
    }
    serde_yaml_ng::from_str(text).map_err(|error| refused(error.to_string()))
}

/// A campaign that is looked at without a database: a profile's id means nothing here and is passed over with
/// a warning.
///
/// # Errors
/// Every fault of the file.
pub fn campaign(path: &Path) -> Result<CampaignBody, Failure> {
    let mut body = value(path)?;
    if let Some(object) = body.as_object_mut()
        && let Some(Value::String(_) | Value::Number(_)) = object.get("sending_profile_id")
    {
        object.remove("sending_profile_id");
        eprintln!("warning: sending_profile_id is ignored: without a database its limits are not known");
    }
    let name = path.display().to_string();
    let campaign = CampaignBody::from_json(&body).map_err(|errors| Failure::body(&name, &errors))?;
    if campaign.template_id.is_some() {
        let text = "is looked up in the database, which this command does not read; write the text as a step";
        return Err(Failure::body(&name, &[FieldError::new("template_id", "not_permitted", text)]));
    }
    Ok(campaign)
}

/// Tells what is odd in a campaign and does no harm; a variable that the leads have as a column is not odd.
pub fn warn(path: &Path, campaign: &CampaignBody, leads: Option<&Leads>) {
    let name = path.display();
    let is_told = |warning: &&FieldError| leads.is_none() || warning.code != "unknown_variable";
    for warning in campaign.warnings.iter().filter(is_told) {
        eprintln!("warning: {name}: {warning}");
    }
    for (field, variable) in leads.map(|leads| missing(campaign, &leads.columns)).unwrap_or_default() {
        eprintln!("warning: {name}: {field}: {variable} is neither built in nor a column of the leads");
    }
}

/// Fields that ask for a variable which is neither built in nor a column, with its name.
fn missing(campaign: &CampaignBody, columns: &Columns) -> Vec<(String, String)> {
    let mut missing = Vec::new();
    for (index, step) in campaign.steps.iter().enumerate() {
        let texts = [
            ("subject", step.syntax, Kind::Subject, &step.subject),
            ("template", step.syntax, Kind::Text, &step.template),
            ("ai_prompt", Syntax::Handlebars, Kind::Text, &step.ai_prompt),
        ];
        for (field, syntax, kind, source) in texts {
            let checked = source.as_deref().and_then(|source| check_in(syntax, kind, source).ok());
            for variable in checked.map(|checked| checked.variables).unwrap_or_default() {
                let first = variable.split('.').next().unwrap_or_default();
                if !is_built_in(first) && !columns.has(first) {
                    missing.push((format!("steps[{index}].{field}"), variable));
                }
            }
        }
    }
    missing
}

/// A CSV file of leads, read row by row.
pub struct Leads {
    rows: csv::Reader<Box<dyn Read>>,
    columns: Columns,
    record: csv::StringRecord,
}

/// A row that was refused: its line, and why.
pub type Refused = (u64, Vec<FieldError>);

impl Leads {
    /// Opens a file and reads its header; `-` is stdin. Commas, semicolons and tabs are told apart by it.
    ///
    /// # Errors
    /// The file cannot be read, is not UTF-8 in its header, or its header names no `email`.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let refused = |what: String| Failure::input(vec![format!("{}: {what}", path.display())]);
        let mut file = open(path).map_err(|error| refused(error.to_string()))?;
        let delimiter = delimiter(file.fill_buf().map_err(|error| refused(error.to_string()))?);
        let boxed: Box<dyn Read> = Box::new(file);
        let mut rows = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(boxed);
        let header = rows.headers().map_err(|error| refused(format!("the header: {}", because(&error))))?;
        let columns = Columns::read(header.iter())
            .map_err(|errors| Failure::body(&path.display().to_string(), &errors))?;
        Ok(Self { rows, columns, record: csv::StringRecord::new() })
    }

    /// The next row with its line; a refused one does not stop the rest.
    pub fn next_row(&mut self) -> Option<Result<(u64, LeadBody), Refused>> {
        let start = self.rows.position().line();
        match self.rows.read_record(&mut self.record) {
            Ok(false) => None,
            Ok(true) => {
                let line = self.record.position().map_or(start, csv::Position::line);
                let lead = LeadBody::from_csv(&self.columns, self.record.iter());
                Some(lead.map(|lead| (line, lead)).map_err(|errors| (line, errors)))
            }
            Err(error) => {
                let line = error.position().map_or(start, csv::Position::line);
                Some(Err((line, vec![FieldError::new("row", "columns", because(&error))])))
            }
        }
    }
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    Ok(Box::new(BufReader::new(File::open(path)?)))
}

/// What separates the header's cells: whichever of comma, semicolon and tab is there most.
fn delimiter(start: &[u8]) -> u8 {
    let header = start.split(|b| *b == b'\n').next().unwrap_or_default();
    let count = |delimiter: u8| header.iter().filter(|b| **b == delimiter).count();
    [b'\t', b';', b','].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

fn because(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8; save the file as CSV UTF-8".to_owned(),
        _ => error.to_string(),
    }
}
