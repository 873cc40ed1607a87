//! Templates on the native face (S2-19 to S2-22).

use super::{Asked, seconds};
use crate::answer::Answer;
use crate::auth::Caller;
use crate::intake::{Json, NoBody};
use crate::openapi::bodies::common::{ByTime, Deletion, Part, Shown};
use crate::openapi::bodies::template::{
    Preview as PreviewShown, PreviewInput, Template as TemplateShown, TemplateChange, TemplateFilter,
    TemplateInput, TemplateList,
};
use crate::operations::templates::{self, Preview, Whom};
use crate::refusal::{Refusal, printable};
use crate::state::ApiState;
use crate::work::Work;
use axum::extract::{Path, Query, State};
use sendwright_store::templates::Template;
use sendwright_workflows::ids::{self, Kind, uuid};
use sendwright_workflows::phone::{EXPECTED, Phone};
use sendwright_workflows::sms;
use sendwright_workflows::spec::TemplateBody;
use serde_json::{Value, json};
use std::collections::HashMap;

type Answered = Result<Answer, Refusal>;

fn id(face: &str) -> Result<i64, Refusal> {
    ids::parse(Kind::Template, face).ok_or_else(|| templates::missing(printable(face)))
}

/// Creates a template.
///
/// Without `syntax` a text that has any `{{` is handlebars, any other has single braces: `{name}` is a variable, `${x}`
/// a dollar sign and a variable, `#{x}` a number sign and a variable.
#[utoipa::path(
    post, path = "/templates", operation_id = "create_template", tag = "Templates",
    request_body = TemplateInput,
    responses((status = 201, body = TemplateShown)),
    security(("key" = ["templates:write"])),
)]
pub async fn create(State(state): State<ApiState>, caller: Caller, body: Json) -> Answered {
    let template =
        TemplateBody::from_json(&body.value).map_err(|errors| Refusal::faults_of(&body.value, errors))?;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let (made, warnings) = templates::create(&mut work, template).await?;
    let mut shown = show(&made);
    shown["warnings"] = json!(warnings);
    work.answer(Answer::created(&shown)).await
}

/// Lists templates.
#[utoipa::path(
    get, path = "/templates", operation_id = "list_templates", tag = "Templates",
    params(TemplateFilter, Part, ByTime),
    responses((status = 200, body = TemplateList)),
    security(("key" = ["templates:read"])),
)]
pub async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<HashMap<String, String>>,
) -> Answered {
    let active = match query.get("is_active").map(String::as_str) {
        None | Some("") => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(_) => return Err(Refusal::field("is_active", "invalid_choice", "must be true or false")),
    };
    let asked = Asked::read(&query)?;
    let (found, total) = templates::list(&state.core, caller.actor.account, active, asked.page).await?;
    let last = found.last().map(|template| (template.created_at, template.id));
    let rows = found.iter().map(show).collect();
    Ok(Answer::ok(&asked.envelope("templates", rows, total, last)))
}

/// Shows a template.
#[utoipa::path(
    get, path = "/templates/{id}", operation_id = "get_template", tag = "Templates",
    params(Shown),
    responses((status = 200, body = TemplateShown)),
    security(("key" = ["templates:read"])),
)]
pub async fn get(State(state): State<ApiState>, caller: Caller, Path(face): Path<String>) -> Answered {
    Ok(Answer::ok(&show(&templates::get(&state.core, caller.actor.account, id(&face)?).await?)))
}

/// Changes a template.
///
/// What is left out stays as it is. A campaign copies the text when it is saved: those that have, send what they copied.
#[utoipa::path(
    put, path = "/templates/{id}", operation_id = "update_template", tag = "Templates",
    request_body = TemplateChange,
    responses((status = 200, body = TemplateShown)),
    security(("key" = ["templates:write"])),
)]
pub async fn update(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    body: Json,
) -> Answered {
    let id = id(&face)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let (made, warnings) = templates::update(&mut work, id, &body.value).await?;
    let mut shown = show(&made);
    shown["warnings"] = json!(warnings);
    work.answer(Answer::ok(&shown)).await
}

/// Deletes a template.
///
/// Campaigns that copied its text keep it.
#[utoipa::path(
    delete, path = "/templates/{id}", operation_id = "delete_template", tag = "Templates",
    responses((status = 200, body = Deletion)),
    security(("key" = ["templates:write"])),
)]
pub async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    NoBody(once): NoBody,
) -> Answered {
    let id = id(&face)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(once);
    templates::delete(&mut work, id).await?;
    let shown = json!({ "message": "Template deleted successfully", "id": uuid(Kind::Template, id) });
    work.answer(Answer::ok(&shown)).await
}

/// Renders a template for somebody.
///
/// For a contact by `phone` or by `lead`, or with the given `attributes` alone. What nothing is known for is named; a
/// message that needs it would be held.
#[utoipa::path(
    post, path = "/templates/{id}/preview", operation_id = "preview_template", tag = "Templates",
    request_body = PreviewInput,
    responses((status = 200, body = PreviewShown)),
    security(("key" = ["templates:read"])),
)]
pub async fn preview(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    body: Json,
) -> Answered {
    let id = id(&face)?;
    let whom = whom(&body.value)?;
    let preview = templates::preview(&state.core, caller.actor.account, id, &whom).await?;
    Ok(Answer::ok(&rendered(id, &preview)))
}

fn whom(body: &Value) -> Result<Whom, Refusal> {
    let given = |name: &str| body.get(name).filter(|value| !value.is_null());
    match (given("phone"), given("lead"), given("attributes")) {
        (Some(Value::String(phone)), None, None) => {
            let refused = |_| Refusal::field("phone", "invalid_phone", format!("must be in {EXPECTED}"));
            Ok(Whom::Phone(Phone::parse(phone).map_err(refused)?))
        }
        (None, Some(face @ (Value::String(_) | Value::Number(_))), None) => {
            let text = face.as_str().map_or_else(|| face.to_string(), str::to_owned);
            let missing = || Refusal::NotFound(format!("Lead {} not found", printable(&text)));
            Ok(Whom::Lead(ids::parse(Kind::Contact, &text).ok_or_else(missing)?))
        }
        (None, None, Some(Value::Object(values))) => Ok(Whom::Values(values.clone())),
        _ => {
            let text =
                "must have one of phone (+14155551234), lead (an id) and attributes (an object of values)";
            Err(Refusal::field("body", "invalid_type", text))
        }
    }
}

fn show(template: &Template) -> Value {
    let size = sms::size(&template.content);
    json!({
        "id": uuid(Kind::Template, template.id),
        "name": template.name,
        "content": template.content,
        "subject": template.subject,
        "syntax": template.syntax,
        "channel": template.channel,
        "variables": template.variables,
        "character_count": size.characters,
        "encoding": size.encoding,
        "segments": size.segments,
        "is_active": template.active,
        "created_at": seconds(template.created_at),
        "updated_at": seconds(template.updated_at),
    })
}

fn rendered(id: i64, preview: &Preview) -> Value {
    let size = preview.content.as_deref().map(sms::size);
    json!({
        "template_id": uuid(Kind::Template, id),
        "subject": preview.subject,
        "content": preview.content,
        "missing_variables": preview.missing,
        "fault": preview.fault,
        "character_count": size.map(|size| size.characters),
        "encoding": size.map(|size| size.encoding),
        "segments": size.map(|size| size.segments),
        "fits_sms": size.map(|size| size.characters <= sms::MOST_CHARACTERS),
    })
}
