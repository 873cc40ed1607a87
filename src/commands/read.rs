//! Campaigns and leads from files.

use crate::failure::Failure;
use sendwright_workflows::render::{Kind, check_in};
use sendwright_workflows::rows::{Content, Format, Row, Rows};
use sendwright_workflows::sequence::Syntax;
use sendwright_workflows::spec::{CampaignBody, Columns, FieldError, LeadBody};
use sendwright_workflows::variables::is_built_in;
use serde_json::Value;
use std::collections::VecDeque;
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

/// Tells what is odd in a campaign and does no harm; a variable that the leads have as a column is not odd. Leads in
/// JSON have no columns.
pub fn warn(path: &Path, campaign: &CampaignBody, leads: Option<&Leads>) {
    let name = path.display();
    let columns = leads.and_then(|leads| leads.columns.as_ref());
    let is_told = |warning: &&FieldError| columns.is_none() || warning.code != "unknown_variable";
    for warning in campaign.warnings.iter().filter(is_told) {
        eprintln!("warning: {name}: {warning}");
    }
    for (field, variable) in columns.map(|columns| missing(campaign, columns)).unwrap_or_default() {
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

/// A file of leads, read row by row: CSV under a header, or JSON.
pub struct Leads {
    file: Box<dyn BufRead>,
    name: String,
    rows: Rows,
    columns: Option<Columns>,
    found: VecDeque<Row>,
    is_whole: bool,
}

/// A row with its line, or why it was refused.
pub type LeadRow = Result<(u64, LeadBody), (u64, Vec<FieldError>)>;

impl Leads {
    /// Opens a file and reads its beginning; `-` is stdin.
    ///
    /// # Errors
    /// The file cannot be read, is none of rows, or its header names no `email`.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let file = open(path).map_err(|error| Failure::input(vec![format!("{name}: {error}")]))?;
        Self::over(file, name)
    }

    /// The same of what is read from somewhere else, by a name for people.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn over(file: Box<dyn BufRead>, name: String) -> Result<Self, Failure> {
        let (rows, found) = (Rows::new(), VecDeque::new());
        let mut leads = Self { file, name, rows, columns: None, found, is_whole: false };
        while leads.found.is_empty() && !leads.is_whole {
            leads.read()?;
        }
        match leads.found.pop_front() {
            Some(Row { content: Ok(Content::Header(cells)), .. }) => {
                let columns = Columns::read(cells.iter().map(String::as_str));
                leads.columns = Some(columns.map_err(|errors| Failure::body(&leads.name, &errors))?);
            }
            Some(Row { content: Err(error), .. }) if leads.rows.format() == Some(Format::Csv) => {
                return Err(Failure::input(vec![format!("{}: the header: {}", leads.name, error.message)]));
            }
            first => leads.found.extend(first),
        }
        Ok(leads)
    }

    fn read(&mut self) -> Result<(), Failure> {
        let refused = |what: String| Failure::input(vec![format!("{}: {what}", self.name)]);
        let mut found = Vec::new();
        let piece = self.file.fill_buf().map_err(|error| refused(error.to_string()))?;
        let read = piece.len();
        let fed = match read {
            0 => self.rows.finish(&mut found),
            _ => self.rows.feed(piece, &mut found),
        };
        fed.map_err(|error| refused(error.to_string()))?;
        self.file.consume(read);
        self.is_whole |= read == 0;
        self.found.extend(found);
        Ok(())
    }

    /// The next row with its line; a refused one does not stop the rest.
    ///
    /// # Errors
    /// The file cannot be read on.
    pub fn next_row(&mut self) -> Result<Option<LeadRow>, Failure> {
        while self.found.is_empty() && !self.is_whole {
            self.read()?;
        }
        let Some(Row { line, content }) = self.found.pop_front() else { return Ok(None) };
        let lead = match (content, &self.columns) {
            (Ok(Content::Header(cells) | Content::Cells(cells)), Some(columns)) => {
                LeadBody::from_csv(columns, cells.iter().map(String::as_str))
            }
            (Ok(Content::Json(text)), _) => match serde_json::from_str(&text) {
                Ok(value) => LeadBody::from_json(&value),
                Err(error) => Err(vec![FieldError::new("row", "malformed_json", error.to_string())]),
            },
            (Ok(_), None) => Err(vec![FieldError::new("row", "columns", "stands under no header")]),
            (Err(error), _) => Err(vec![error]),
        };
        Ok(Some(lead.map(|lead| (line, lead)).map_err(|errors| (line, errors))))
    }
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    Ok(Box::new(BufReader::new(File::open(path)?)))
}
