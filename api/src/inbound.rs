//! What the provider of text messages posts: texts that people send, and how far our own have come (S2-34 to S2-38).
//!
//! Nothing is believed that is not signed, and nothing is counted against a limit: a provider that is told to come again
//! does so. Each is answered once it is on disk.

mod tokens;
mod verify;

pub(crate) use tokens::Tokens;

use crate::intake::Form;
use crate::openapi::bodies::callback::{StatusForm, StatusReceived, TextForm};
use crate::openapi::bodies::common::Error;
use crate::operations::texts::{self, Text};
use crate::refusal::{Refusal, printable};
use crate::state::ApiState;
use axum::extract::{OriginalUri, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use sendwright_store::callbacks::NewCallback;
use sendwright_workflows::callback::bare;
use sendwright_workflows::receipt::ATTEMPT;
use sendwright_workflows::signing;
use sendwright_workflows::spec::FieldError;
use verify::Proof;

/// An answer that sends nothing back.
const TWIML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response></Response>";
const RECEIVED: &str = r#"{"status":"received"}"#;

/// Takes a text that somebody sent (S2-34).
///
/// Twilio posts it where a number or a messaging service names this address, and signs it; posted again it is the same
/// text. STOP and its like have taken effect once this is answered. There is no limit; where more come at once than can be
/// written down, 503 asks for it again.
#[utoipa::path(
    post, path = "/webhooks/inbound", operation_id = "take_text", tag = "Callbacks",
    request_body(content = TextForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "Taken; nothing is sent back.", content_type = "text/xml", body = String,
         example = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response></Response>"),
        (status = 403, description = "The signature is not that of the account which sends from the number.", body = Error),
    ),
    security(("signature" = [])),
)]
pub async fn text(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let (form, proof, _) = read(&state, request).await?;
    require(&form, &["MessageSid"])?;
    // A place is for who has proven to be the provider: nobody else can take them all.
    let _place = state.texts.clone().try_acquire_owned().map_err(|_| Refusal::Unavailable)?;
    let (from, is_whatsapp) = bare(form.get("From").unwrap_or_default());
    let (to, _) = bare(form.get("To").unwrap_or_default());
    let text = Text {
        provider_id: form.get("MessageSid").unwrap_or_default(),
        channel: if is_whatsapp { "whatsapp" } else { "sms" },
        from,
        to,
        body: form.get("Body").unwrap_or_default(),
        said: form.get("OptOutType"),
        raw: &form.raw,
    };
    let addressed = proof.addressed(&state, to, form.get("MessagingServiceSid")).await?;
    match addressed.is_empty() {
        true => tracing::warn!(
            provider_id = printable(text.provider_id),
            "a text to a number that nobody sends from"
        ),
        false => texts::take(&state.core, &text, &addressed).await?,
    }
    Ok(([(header::CONTENT_TYPE, "text/xml")], TWIML).into_response())
}

/// Takes how far a message has come (S2-35).
///
/// Every message that leaves by Twilio names this address itself, with `attempt`. Repeats and disorder do no harm: a message
/// only ever moves forward. There is no limit; where more come at once than can be written down, 503 asks for it again.
#[utoipa::path(
    post, path = "/webhooks/status", operation_id = "take_status", tag = "Callbacks",
    params(("attempt" = Option<String>, Query, description = "Which attempt it is about: a signed token.", example = "0a1b2c")),
    request_body(content = StatusForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, body = StatusReceived),
        (status = 403, description = "The signature is not that of an account which messages leave by.", body = Error),
    ),
    security(("signature" = [])),
)]
pub async fn status(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let (form, proof, query) = read(&state, request).await?;
    require(&form, &["MessageSid", "MessageStatus"])?;
    let token = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "attempt");
    let ids = token.and_then(|(_, token)| {
        signing::verify_hex_in(&state.secrets, ATTEMPT, state.core.store.epochs(), &token)
    });
    let plain = |name| form.get(name).map(|text| text.replace('\0', "")).unwrap_or_default();
    let new = NewCallback {
        attempt_id: ids.and_then(|ids| ids.first().copied()),
        provider_id: plain("MessageSid"),
        status: plain("MessageStatus").to_ascii_lowercase(),
        code: form.get("ErrorCode").and_then(|code| code.parse().ok()),
        raw: String::from_utf8_lossy(&form.raw).replace('\0', ""),
        proof: proof.profiles(),
    };
    state.callbacks.add(&state.core, new).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], RECEIVED).into_response())
}

/// The form of a request, who vouches for it, and the query it came with.
async fn read(state: &ApiState, request: Request) -> Result<(Form, Proof, String), Refusal> {
    let (parts, body) = request.into_parts();
    let form = Form::read(&parts.headers, body).await?;
    let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |uri| &uri.0);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let proof = verify::proof(state, &parts.headers, path, &form).await?;
    Ok((form, proof, uri.query().unwrap_or_default().to_owned()))
}

fn require(form: &Form, names: &[&str]) -> Result<(), Refusal> {
    let missing = names.iter().filter(|name| form.get(name).is_none());
    let errors: Vec<_> = missing.map(|name| FieldError::new(*name, "required", "is required")).collect();
    if errors.is_empty() { Ok(()) } else { Err(Refusal::Invalid(errors)) }
}
