//! Files of users (S2-10, S2-11), taken as they come, and the imports that they are.

use super::{Asked, seconds};
use crate::answer::Answer;
use crate::auth::Caller;
use crate::intake::{self, FileForm, PATIENCE};
use crate::openapi::bodies::common::{ByTime, Part, Shown};
use crate::openapi::bodies::import::{
    Import as ImportShown, ImportList, RefusedRows, UploadInput, UploadOf, Uploaded,
};
use crate::operations::imports::{self, Begun, Known, MOST_TOLD, Upload, Whom};
use crate::refusal::{Refusal, printable};
use crate::state::ApiState;
use axum::extract::multipart::{Field, Multipart};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use sendwright_store::Page;
use sendwright_store::imports::{Import, Refused};
use sendwright_workflows::ids::{self, Kind, uuid};
use serde_json::{Value, json};
use std::collections::HashMap;

type Answered = Result<Answer, Refusal>;

/// The header that names the import of an upload.
const IMPORT: &str = "x-import-id";

/// Uploads users (S2-10).
///
/// Who is there is changed, who is not is made; each row is taken or refused by itself, a thousand in one transaction.
/// `X-Import-Id` names the import. A file that was cut short is sent again whole, under the same `Idempotency-Key` or
/// with `import_id`, and goes on behind the rows that are committed; one that was taken whole is answered the same. A
/// list opts in whoever never said no, and nobody else.
#[utoipa::path(
    post, path = "/users/bulk/upload", operation_id = "upload_users", tag = "Users",
    params(UploadOf),
    request_body(content = UploadInput, content_type = "multipart/form-data"),
    responses((status = 200, body = Uploaded)),
    security(("key" = ["users:write"])),
)]
pub async fn upload(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    form: FileForm,
) -> Result<Response, Refusal> {
    let most = state.most_upload;
    if intake::announced(&headers).is_some_and(|length| length > most) {
        return Err(Refusal::TooLarge(most));
    }
    let known = match (query.get("import_id").filter(|face| !face.is_empty()), form.once) {
        (Some(_), Some(_)) => {
            let text = "give either import_id or an Idempotency-Key";
            return Err(Refusal::field("import_id", "conflict", text));
        }
        (Some(face), None) => Known::Import(id(face)?),
        (None, Some(key)) => Known::Once(key),
        (None, None) => Known::New,
    };
    // A task of its own: whoever hangs up ends the import, and does not leave it as if it ran.
    let task = tokio::spawn(async move {
        let mut parts = Parts { form: form.parts, left: most };
        receive(&state, caller, known, &mut parts).await
    });
    task.await.map_err(|_| Refusal::Internal)?
}

async fn receive(
    state: &ApiState,
    caller: Caller,
    known: Known,
    parts: &mut Parts,
) -> Result<Response, Refusal> {
    let core = &state.core;
    let mut left = parts.left;
    let field = parts.file().await?.ok_or_else(|| {
        Refusal::Malformed("file_missing", "the form has no file; send CSV or JSON as its part `file`".into())
    })?;
    match imports::begin(core, caller.actor, Whom::Users, known).await? {
        Begun::Done(import) => {
            let page = Page::first(MOST_TOLD);
            let told = imports::refused(core, import.id, page).await?;
            let mut response = answer(&import, &told);
            response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
            Ok(response)
        }
        Begun::Upload(mut upload) => {
            let mut done = take(&mut upload, field, &mut left).await;
            if done.is_ok() {
                done = match parts.has_more().await {
                    true => Err(two_files()),
                    false => upload.finish().await.map(drop),
                };
            }
            if let Err(refusal) = done {
                let state = if is_cut(&refusal) { "interrupted" } else { "failed" };
                upload.give_up(state, &refusal.to_string()).await;
                return Err(named(refusal, upload.import()));
            }
            let told = imports::refused(core, upload.import().id, Page::first(MOST_TOLD)).await?;
            Ok(answer(upload.import(), &told))
        }
    }
}

/// The parts of a form, of which one is a file, and how many bytes it may still have.
struct Parts {
    form: Multipart,
    left: usize,
}

impl Parts {
    /// The file. Another part before it is a fault, so that no setting is passed over that somebody believes in.
    async fn file(&mut self) -> Result<Option<Field<'_>>, Refusal> {
        let next = tokio::time::timeout(PATIENCE, self.form.next_field());
        let Some(field) = next.await.map_err(|_| slow())?.map_err(broken)? else { return Ok(None) };
        if field.name() == Some("file") || field.file_name().is_some() {
            return Ok(Some(field));
        }
        let name = printable(field.name().unwrap_or_default());
        Err(Refusal::Malformed(
            "unknown_part",
            format!("the form has a part `{name}`; send the file alone, as `file`"),
        ))
    }

    async fn has_more(&mut self) -> bool {
        matches!(tokio::time::timeout(PATIENCE, self.form.next_field()).await, Ok(Ok(Some(_))))
    }
}

/// Takes the pieces of a file.
async fn take(upload: &mut Upload, mut field: Field<'_>, left: &mut usize) -> Result<(), Refusal> {
    let most = *left;
    loop {
        let piece = tokio::time::timeout(PATIENCE, field.chunk()).await.map_err(|_| slow())?;
        let Some(piece) = piece.map_err(broken)? else { return Ok(()) };
        *left = left.checked_sub(piece.len()).ok_or(Refusal::TooLarge(most))?;
        upload.feed(&piece).await?;
    }
}

fn broken(error: axum::extract::multipart::MultipartError) -> Refusal {
    // What was expected of the form, or that its connection was closed.
    Refusal::Malformed("broken_body", format!("the form does not read to its end: {}", error.body_text()))
}

fn slow() -> Refusal {
    Refusal::Malformed("slow_body", "nothing of the file came for 30 s".into())
}

fn two_files() -> Refusal {
    Refusal::Malformed("two_files", "the form has more than one part; send one file".into())
}

/// Whether the same file may go on where it was.
fn is_cut(refusal: &Refusal) -> bool {
    let is_body = matches!(refusal, Refusal::Malformed("broken_body" | "slow_body", _));
    is_body || matches!(refusal, Refusal::Unavailable | Refusal::Crossed)
}

/// A refusal in the middle of a file names the import, where something of it stands.
fn named(refusal: Refusal, import: &Import) -> Refusal {
    match refusal {
        Refusal::Malformed(code, text) if import.processed > 0 => {
            let (id, rows) = (uuid(Kind::Import, import.id), import.processed);
            Refusal::Malformed(code, format!("{text}; {rows} rows were taken, see import {id}"))
        }
        other => other,
    }
}

fn answer(import: &Import, told: &[Refused]) -> Response {
    let shown = json!({
        "message": "Bulk upload completed",
        "processed": import.processed,
        "created": import.created,
        "updated": import.updated,
        "errors": import.errors,
        "validation_errors": told.iter().map(refused).collect::<Value>(),
    });
    let mut response = Answer::ok(&shown).into_response();
    if let Ok(id) = HeaderValue::from_str(&uuid(Kind::Import, import.id)) {
        response.headers_mut().insert(IMPORT, id);
    }
    response
}

fn refused(row: &Refused) -> Value {
    json!({
        "row": row.place,
        "line": row.line,
        "field": row.field,
        "error": row.code,
        "message": row.message,
        "provided": row.provided,
    })
}

fn id(face: &str) -> Result<i64, Refusal> {
    ids::parse(Kind::Import, face).ok_or_else(|| imports::missing(&printable(face)))
}

/// Lists imports.
#[utoipa::path(
    get, path = "/imports", operation_id = "list_imports", tag = "Imports",
    params(Part, ByTime),
    responses((status = 200, body = ImportList)),
    security(("key" = ["imports:read"])),
)]
pub async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<HashMap<String, String>>,
) -> Answered {
    let asked = Asked::read(&query)?;
    let (found, total) = imports::list(&state.core, caller.actor.account, asked.page).await?;
    let last = found.last().map(|import| (import.created_at, import.id));
    let rows = found.iter().map(shown).collect();
    Ok(Answer::ok(&asked.envelope("imports", rows, total, last)))
}

/// Shows an import and how far it is.
#[utoipa::path(
    get, path = "/imports/{id}", operation_id = "get_import", tag = "Imports",
    params(Shown),
    responses((status = 200, body = ImportShown)),
    security(("key" = ["imports:read"])),
)]
pub async fn get(State(state): State<ApiState>, caller: Caller, Path(face): Path<String>) -> Answered {
    find(&state, &caller, &face).await.map(|import| Answer::ok(&shown(&import)))
}

/// Lists the rows of an import that were refused, by their place in the file.
#[utoipa::path(
    get, path = "/imports/{id}/errors", operation_id = "list_import_errors", tag = "Imports",
    params(Part),
    responses((status = 200, body = RefusedRows)),
    security(("key" = ["imports:read"])),
)]
pub async fn errors(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Answered {
    let asked = Asked::by("row", &query)?;
    let import = find(&state, &caller, &face).await?;
    let found = imports::refused(&state.core, import.id, asked.page).await?;
    let last = found.last().map(|row| (0, row.place));
    let rows = found.iter().map(refused).collect();
    Ok(Answer::ok(&asked.envelope("errors", rows, import.errors, last)))
}

async fn find(state: &ApiState, caller: &Caller, face: &str) -> Result<Import, Refusal> {
    let found = imports::get(&state.core, caller.actor.account, id(face)?).await?;
    found.ok_or_else(|| imports::missing(&printable(face)))
}

fn shown(import: &Import) -> Value {
    json!({
        "id": uuid(Kind::Import, import.id),
        "kind": import.kind,
        "campaign_id": import.campaign_id.map(|id| uuid(Kind::Campaign, id)),
        "state": import.state,
        "processed": import.processed,
        "created": import.created,
        "updated": import.updated,
        "errors": import.errors,
        "why": import.why,
        "created_at": seconds(import.created_at),
        "updated_at": seconds(import.updated_at),
        "ended_at": import.ended_at.map(seconds),
    })
}
