//! Templates: made, read, changed, deleted, and rendered for somebody.

use super::users;
use crate::refusal::Refusal;
use crate::state::Core;
use crate::work::{Barrier, Work};
use sendwright_store::contacts;
use sendwright_store::templates::{self, Template};
use sendwright_store::{Page, Tx};
use sendwright_workflows::contact::Contact;
use sendwright_workflows::phone::Phone;
use sendwright_workflows::render::{self, Kind, RenderError};
use sendwright_workflows::spec::{FieldError, TemplateBody};
use sendwright_workflows::variables::{Fields, Variables};
use serde_json::{Map, Value, json};

/// A template, with what was odd about the body it was made of.
pub type Made = (Template, Vec<FieldError>);

/// Makes a template.
pub async fn create(work: &mut Work<'_>, body: TemplateBody) -> Result<Made, Refusal> {
    let id = work.ids("templates", 1).await?.start;
    work.begin(Barrier::None).await?;
    let (account, now) = (work.account(), work.now());
    let tx = work.tx()?;
    templates::insert(tx, (account, id), &body, now).await?;
    let made = templates::get(tx, account, id).await?.ok_or(Refusal::Internal)?;
    work.audit("create", "template", Some(id), &json!({ "variables": body.variables.len() }));
    Ok((made, body.warnings))
}

/// Changes what `change` names; the rest stays. Campaigns that took the text before keep what they copied.
pub async fn update(work: &mut Work<'_>, id: i64, change: &Value) -> Result<Made, Refusal> {
    work.begin(Barrier::None).await?;
    let (account, now) = (work.account(), work.now());
    let tx = work.tx()?;
    let before = existing(tx, account, id).await?;
    let body = TemplateBody::from_json(&changed(&before, change)?)
        .map_err(|errors| Refusal::faults_of(change, errors))?;
    templates::update(tx, (account, id), &body, now).await?;
    let made = existing(tx, account, id).await?;
    work.audit("update", "template", Some(id), &json!({ "variables": body.variables.len() }));
    Ok((made, body.warnings))
}

/// The template as a body, with the changes in it. A new text brings its own variables and its own syntax.
fn changed(before: &Template, change: &Value) -> Result<Value, Refusal> {
    let Value::Object(change) = change else {
        return Err(Refusal::field("body", "invalid_type", "must be an object"));
    };
    let mut body = json!({
        "name": before.name,
        "content": before.content,
        "subject": before.subject,
        "channel": before.channel,
        "is_active": before.active,
    });
    if !change.contains_key("content") && !change.contains_key("subject") {
        body["syntax"] = json!(before.syntax);
        body["variables"] = json!(before.variables);
    }
    if let Value::Object(body) = &mut body {
        body.extend(change.clone());
    }
    Ok(body)
}

/// Deletes a template. Campaigns keep what they copied.
pub async fn delete(work: &mut Work<'_>, id: i64) -> Result<(), Refusal> {
    work.begin(Barrier::None).await?;
    let (account, now) = (work.account(), work.now());
    if !templates::delete(work.tx()?, account, id, now).await? {
        return Err(missing(id));
    }
    work.audit("delete", "template", Some(id), &json!({}));
    Ok(())
}

/// One template.
pub async fn get(core: &Core, account: i64, id: i64) -> Result<Template, Refusal> {
    let mut tx = core.store.read().await?;
    let found = existing(&mut tx, account, id).await?;
    tx.rollback().await?;
    Ok(found)
}

/// Templates by age, active or not where that is asked for, and how many there are.
pub async fn list(
    core: &Core,
    account: i64,
    active: Option<bool>,
    page: Page,
) -> Result<(Vec<Template>, i64), Refusal> {
    let mut tx = core.store.read().await?;
    let found = templates::list(&mut tx, account, active, page).await?;
    let total = templates::count(&mut tx, account, active).await?;
    tx.rollback().await?;
    Ok((found, total))
}

async fn existing(tx: &mut Tx, account: i64, id: i64) -> Result<Template, Refusal> {
    templates::get(tx, account, id).await?.ok_or_else(|| missing(id))
}

/// The words for a template that is not there, or another tenant's.
pub fn missing(face: impl std::fmt::Display) -> Refusal {
    Refusal::NotFound(format!("Template {face} not found"))
}

/// Whom a template is rendered for.
pub enum Whom {
    /// The contact with this number.
    Phone(Phone),
    /// The contact with this id.
    Lead(i64),
    /// Nobody: these values are all there is.
    Values(Map<String, Value>),
}

/// A template rendered for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The subject, where the template has one and every value is there.
    pub subject: Option<String>,
    /// The text, where every value is there.
    pub content: Option<String>,
    /// The variables that nothing is known for; a message that needs one is held.
    pub missing: Vec<String>,
    /// What else keeps it from being rendered.
    pub fault: Option<String>,
}

/// Renders a template as the worker would for this person.
pub async fn preview(core: &Core, account: i64, id: i64, whom: &Whom) -> Result<Preview, Refusal> {
    let mut tx = core.store.read().await?;
    let template = existing(&mut tx, account, id).await?;
    let values = values(&mut tx, account, whom).await?;
    tx.rollback().await?;
    let compile = |kind, text: &str| {
        render::Template::compile_in(template.syntax, kind, text).map_err(|_| Refusal::Internal)
    };
    let mut preview = Preview { subject: None, content: None, missing: vec![], fault: None };
    let is_html = !template.channel.is_phone() && template.content.trim_start().starts_with('<');
    let kind = if is_html { Kind::Html } else { Kind::Text };
    preview.content = shown(compile(kind, &template.content)?, &values, &mut preview);
    if let Some(subject) = &template.subject {
        preview.subject = shown(compile(Kind::Subject, subject)?, &values, &mut preview);
    }
    preview.missing = template.variables.into_iter().filter(|name| !has(&values, name)).collect();
    Ok(preview)
}

fn shown(template: render::Template, values: &Variables, preview: &mut Preview) -> Option<String> {
    match template.render(values) {
        Ok(text) => Some(text),
        Err(RenderError::Missing { .. }) => None,
        Err(other) => {
            preview.fault = Some(other.to_string());
            None
        }
    }
}

/// Whether a variable has a value; a path is followed.
fn has(values: &Variables, name: &str) -> bool {
    let mut parts = name.split(['.', '/']).filter(|part| !matches!(*part, "" | "this" | "@root"));
    let first = parts.next().and_then(|part| values.get(part));
    parts.fold(first, |value, part| value?.get(part.trim_matches(['[', ']']))).is_some()
}

async fn values(tx: &mut Tx, account: i64, whom: &Whom) -> Result<Variables, Refusal> {
    let found = match whom {
        Whom::Values(values) => {
            let contact = Contact { attributes: values.clone(), ..Contact::default() };
            return Ok(Variables::new(&contact.fields()));
        }
        Whom::Phone(phone) => contacts::by_phone(tx, account, phone.as_str())
            .await?
            .ok_or_else(|| users::missing(phone.as_str()))?,
        Whom::Lead(id) => contacts::get(tx, account, *id)
            .await?
            .ok_or_else(|| Refusal::NotFound(format!("Lead {id} not found")))?,
    };
    let d = found.details;
    let attributes: Map<String, Value> = serde_json::from_str(&d.attributes).unwrap_or_default();
    Ok(Variables::new(&Fields {
        email: d.email.as_deref().unwrap_or_default(),
        first_name: d.first_name.as_deref(),
        last_name: d.last_name.as_deref(),
        company: d.company.as_deref(),
        title: d.title.as_deref(),
        phone: d.phone.as_deref(),
        website: d.website.as_deref(),
        industry: d.industry.as_deref(),
        attributes: Some(&attributes),
        ..Fields::default()
    }))
}
