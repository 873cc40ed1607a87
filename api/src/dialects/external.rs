//! `/api/external`: integers as ids, bare arrays, 200 for everything that was done (S1).

mod view;

use crate::answer::Answer;
use crate::auth::Caller;
use crate::dialects::shape::Told;
use crate::intake::{Json, MOST_BULK_BYTES, NoBody};
use crate::openapi::bodies::campaign::CampaignInput;
use crate::openapi::bodies::external::{
    ExternalCampaign, ExternalChanged, ExternalFilter, ExternalImported, ExternalLead, ExternalStatus,
};
use crate::openapi::bodies::lead::{LeadInput, LeadsInput};
use crate::operations::campaigns::{self, Begin, Scope};
use crate::operations::leads::{self, Known};
use crate::refusal::{Refusal, printable};
use crate::state::ApiState;
use crate::work::Work;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use sendwright_store::Page;
use sendwright_workflows::campaign::{Change, State as CampaignState};
use sendwright_workflows::clock::rfc3339;
use sendwright_workflows::ids::{self, Kind};
use sendwright_workflows::spec::{CampaignBody, Demands, LeadBody, sentence};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Most campaigns in one answer; `X-Next-After` says where the rest begins.
const MOST_CAMPAIGNS: i64 = 1_000;
/// Most faults that one answer lists.
const MOST_FAULTS: usize = 20;

type Answered = Result<Answer, Refusal>;

/// Tells whether a key works (S1-07).
#[utoipa::path(
    get, path = "/status", operation_id = "external_status", tag = "External",
    responses((status = 200, body = ExternalStatus)),
    security(("key" = ["any"])),
)]
pub async fn status(State(state): State<ApiState>, caller: Caller) -> Answered {
    Ok(Answer::ok(&json!({
        "status": "active",
        "message": "External API is operational",
        "authenticated_user": caller.user_email,
        "timestamp": rfc3339(state.core.now()?),
    })))
}

/// Creates a lead (S1-08).
#[utoipa::path(
    post, path = "/leads", operation_id = "external_create_lead", tag = "External",
    request_body = LeadInput,
    responses((status = 200, body = ExternalLead)),
    security(("key" = ["leads:write"])),
)]
pub async fn create_lead(State(state): State<ApiState>, caller: Caller, body: Json) -> Answered {
    let lead = LeadBody::from_json(&body.value).map_err(Refusal::faults)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let taken = leads::create(&mut work, lead).await?;
    work.answer(Answer::ok(&view::lead(&taken))).await
}

/// Creates many leads (S1-09).
#[utoipa::path(
    post, path = "/leads/bulk", operation_id = "external_create_leads", tag = "External",
    request_body = LeadsInput,
    responses((status = 200, body = ExternalImported)),
    security(("key" = ["leads:write"])),
)]
pub async fn create_leads(
    State(state): State<ApiState>,
    caller: Caller,
    body: Json<MOST_BULK_BYTES>,
) -> Answered {
    let parsed = leads::read(&body.value)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let import = leads::import(&mut work, parsed, Known::Refuse).await?;
    work.answer(Answer::ok(&view::import(&import))).await
}

/// Lists campaigns, with their steps (S1-10, S1-11).
///
/// At most 1,000; `X-Next-After` says where the rest begins.
#[utoipa::path(
    get, path = "/campaigns", operation_id = "external_list_campaigns", tag = "External",
    params(ExternalFilter),
    responses((status = 200, body = Vec<ExternalCampaign>)),
    security(("key" = ["campaigns:read"])),
)]
pub async fn list_campaigns(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, Refusal> {
    let states: Vec<CampaignState> = match query.get("status").map(String::as_str) {
        None | Some("") => CampaignState::ALL.to_vec(),
        Some(word) => CampaignState::ALL.into_iter().filter(|s| s.external() == word).collect(),
    };
    if states.is_empty() {
        return Err(Refusal::field("status", "invalid_choice", "must be active, paused or inactive"));
    }
    let mut page = Page::first(MOST_CAMPAIGNS);
    if let Some(after) = query.get("after") {
        page.after = crate::dialects::v1::cursor(after)?;
    }
    let (found, total) = campaigns::list(&state.core, caller.actor.account, &states, page).await?;
    let body = Value::Array(found.iter().map(view::campaign_with_steps).collect());
    let mut response = Answer::ok(&body).into_response();
    let headers = response.headers_mut();
    headers.insert("x-total-count", total.into());
    if found.len() as i64 == MOST_CAMPAIGNS
        && let Some(last) = found.last()
        && let Ok(next) = format!("{}-{}", last.campaign.created_at, last.campaign.id).parse()
    {
        headers.insert("x-next-after", next);
    }
    Ok(response)
}

/// Shows a campaign (S1-12).
#[utoipa::path(
    get, path = "/campaigns/{id}", operation_id = "external_get_campaign", tag = "External",
    responses((status = 200, body = ExternalCampaign)),
    security(("key" = ["campaigns:read"])),
)]
pub async fn get_campaign(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
) -> Answered {
    let full = campaigns::get(&state.core, caller.actor.account, id(&face)?).await?;
    Ok(Answer::ok(&view::campaign_with_steps(&full)))
}

/// Creates a campaign, which runs at once (S1-13).
#[utoipa::path(
    post, path = "/campaigns", operation_id = "external_create_campaign", tag = "External",
    request_body = CampaignInput,
    responses((status = 200, body = ExternalCampaign)),
    security(("key" = ["campaigns:write"])),
)]
pub async fn create_campaign(State(state): State<ApiState>, caller: Caller, body: Json) -> Answered {
    let campaign = read_campaign(&body.value)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let full = campaigns::create(&mut work, &campaign, Begin::Running).await?;
    work.answer(Answer::ok(&view::campaign(&full.campaign))).await
}

/// Replaces a campaign's name, description and steps (S1-14).
#[utoipa::path(
    put, path = "/campaigns/{id}", operation_id = "external_update_campaign", tag = "External",
    request_body = CampaignInput,
    responses((status = 200, body = ExternalCampaign)),
    security(("key" = ["campaigns:write"])),
)]
pub async fn update_campaign(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    body: Json,
) -> Answered {
    let id = id(&face)?;
    let campaign = read_campaign(&body.value)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let full = campaigns::replace(&mut work, id, &campaign, Scope::Text).await?;
    work.answer(Answer::ok(&view::campaign(&full.campaign))).await
}

/// Pauses a campaign (S1-15).
#[utoipa::path(
    post, path = "/campaigns/{id}/pause", operation_id = "external_pause_campaign", tag = "External",
    responses((status = 200, body = ExternalChanged)),
    security(("key" = ["campaigns:write"])),
)]
pub async fn pause_campaign(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    NoBody(once): NoBody,
) -> Answered {
    let id = id(&face)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(once);
    let campaign = campaigns::change(&mut work, id, Change::Pause).await?;
    work.answer(Answer::ok(&view::changed("Campaign paused successfully", &campaign))).await
}

/// Goes on with a campaign (S1-16).
#[utoipa::path(
    post, path = "/campaigns/{id}/unpause", operation_id = "external_unpause_campaign", tag = "External",
    responses((status = 200, body = ExternalChanged)),
    security(("key" = ["campaigns:write"])),
)]
pub async fn unpause_campaign(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    NoBody(once): NoBody,
) -> Answered {
    let id = id(&face)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(once);
    let campaign = campaigns::change(&mut work, id, Change::Start).await?;
    work.answer(Answer::ok(&view::changed("Campaign unpaused successfully", &campaign))).await
}

/// Deletes a campaign that nobody is under way in (S1-17).
#[utoipa::path(
    delete, path = "/campaigns/{id}", operation_id = "external_delete_campaign", tag = "External",
    responses((status = 200, body = ExternalChanged)),
    security(("key" = ["campaigns:write"])),
)]
pub async fn delete_campaign(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    NoBody(once): NoBody,
) -> Answered {
    let id = id(&face)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(once);
    let campaign = campaigns::archive(&mut work, id, false).await?;
    work.answer(Answer::ok(&view::changed("Campaign deleted successfully", &campaign))).await
}

fn read_campaign(body: &Value) -> Result<CampaignBody, Refusal> {
    CampaignBody::from_json_with(body, Demands { require_step_names: true, require_steps: true })
        .map_err(Refusal::faults)
}

fn id(face: &str) -> Result<i64, Refusal> {
    ids::parse(Kind::Campaign, face).ok_or_else(|| Refusal::no_campaign(printable(face)))
}

/// `{"detail": …}` as the document has it, with code, faults and request id beside (S1-53 … S1-57).
pub fn error(refusal: &Refusal, told: &Told) -> Value {
    let detail = match refusal {
        Refusal::Internal => format!("Internal server error while {}", doing(told)),
        Refusal::Invalid(errors) if errors.len() > 5 => {
            format!("{}; and {} more", sentence(&errors[..5]), errors.len() - 5)
        }
        other => other.to_string(),
    };
    let faults = match refusal {
        Refusal::Invalid(errors) => json!(errors.iter().take(MOST_FAULTS).collect::<Vec<_>>()),
        _ => json!([]),
    };
    json!({ "detail": detail, "code": refusal.code(), "errors": faults, "request_id": told.request_id })
}

/// What a request was about to do, for S1-57.
fn doing(told: &Told) -> &'static str {
    let (method, route) = (told.asked.0.as_str(), told.asked.1.as_str());
    match (method, route.strip_prefix("/api/external").unwrap_or_default()) {
        ("POST", "/leads") => "creating lead",
        ("POST", "/leads/bulk") => "creating leads",
        ("GET", "/campaigns") => "listing campaigns",
        ("POST", "/campaigns") => "creating campaign",
        ("GET", _) if route.ends_with("}") => "reading campaign",
        ("PUT", _) => "updating campaign",
        ("DELETE", _) => "deleting campaign",
        ("POST", "/campaigns/{id}/pause") => "pausing campaign",
        ("POST", "/campaigns/{id}/unpause") => "unpausing campaign",
        _ => "answering",
    }
}
