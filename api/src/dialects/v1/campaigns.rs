//! Campaigns on the native face.

use super::{Asked, view};
use crate::answer::Answer;
use crate::auth::Caller;
use crate::intake::{Json, MOST_BULK_BYTES, NoBody};
use crate::openapi::bodies::campaign::{
    ArchiveParams, Campaign, CampaignFilter, CampaignInput, CampaignList, Triggered as TriggeredShown,
};
use crate::openapi::bodies::common::{ByTime, Part, Shown};
use crate::openapi::bodies::edit::{ReplaceParams, Replaced};
use crate::openapi::bodies::lead::{EnrolInput, Enrolled};
use crate::operations::broadcasts::{self, Triggered};
use crate::operations::campaigns::{self, Begin, Scope};
use crate::operations::destinations;
use crate::operations::effect;
use crate::operations::leads::{self, Known};
use crate::operations::spending;
use crate::refusal::{Refusal, printable};
use crate::state::ApiState;
use crate::work::Work;
use axum::extract::{Path, Query, State};
use sendwright_workflows::campaign::{Change, State as CampaignState};
use sendwright_workflows::ids::{self, Kind, uuid};
use sendwright_workflows::spec::{CampaignBody, FieldError, LeadBody};
use serde_json::{Value, json};
use std::collections::HashMap;

type Answered = Result<Answer, Refusal>;

/// Reads any face of a campaign's id.
pub(super) fn id(face: &str) -> Result<i64, Refusal> {
    ids::parse(Kind::Campaign, face).ok_or_else(|| Refusal::no_campaign(printable(face)))
}

/// Creates a campaign.
///
/// It is a draft, or scheduled where it has a `schedule_time`.
#[utoipa::path(
    post, path = "/campaigns", operation_id = "create_campaign", tag = "Campaigns",
    request_body = CampaignInput,
    responses((status = 201, body = Campaign)),
    security(("key" = ["campaigns:write"])),
)]
pub async fn create(State(state): State<ApiState>, caller: Caller, body: Json) -> Answered {
    let campaign =
        CampaignBody::from_json(&body.value).map_err(|errors| Refusal::faults_of(&body.value, errors))?;
    let campaign = broadcasts::settle(&state.core, caller.actor.account, campaign).await?;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let full = campaigns::create(&mut work, &campaign, Begin::Draft).await?;
    work.answer(Answer::created(&with_warnings(view::full(&full), &campaign))).await
}

/// Lists campaigns.
#[utoipa::path(
    get, path = "/campaigns", operation_id = "list_campaigns", tag = "Campaigns",
    params(CampaignFilter, Part, ByTime),
    responses((status = 200, body = CampaignList)),
    security(("key" = ["campaigns:read"])),
)]
pub async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<HashMap<String, String>>,
) -> Answered {
    let states = match query.get("status").filter(|word| !word.is_empty()) {
        None => CampaignState::ALL.to_vec(),
        Some(word) => {
            let words = CampaignState::ALL.map(CampaignState::as_str).join(", ");
            let state = CampaignState::parse(&word.to_lowercase());
            let refusal = || Refusal::field("status", "invalid_choice", format!("must be one of {words}"));
            vec![state.ok_or_else(refusal)?]
        }
    };
    let asked = Asked::read(&query)?;
    let (found, total) = campaigns::list(&state.core, caller.actor.account, &states, asked.page).await?;
    let last = found.last().map(|full| (full.campaign.created_at, full.campaign.id));
    let rows = found.iter().map(view::full).collect();
    Ok(Answer::ok(&asked.envelope("campaigns", rows, total, last)))
}

/// Shows a campaign, with counts.
#[utoipa::path(
    get, path = "/campaigns/{id}", operation_id = "get_campaign", tag = "Campaigns",
    params(Shown),
    responses((status = 200, body = Campaign)),
    security(("key" = ["campaigns:read"])),
)]
pub async fn get(State(state): State<ApiState>, caller: Caller, Path(face): Path<String>) -> Answered {
    let (account, id) = (caller.actor.account, id(&face)?);
    let full = campaigns::get(&state.core, account, id).await?;
    let counts = campaigns::counts(&state.core, account, id).await?;
    Ok(Answer::ok(&view::counted(&full, &counts)))
}

/// Replaces a campaign, steps and all.
///
/// The answer's `effect` says what that does to the people who are under way. `?dry_run=1` answers the effect alone
/// and changes nothing.
#[utoipa::path(
    put, path = "/campaigns/{id}", operation_id = "replace_campaign", tag = "Campaigns",
    params(ReplaceParams),
    request_body = CampaignInput,
    responses((status = 200, body = Replaced)),
    security(("key" = ["campaigns:write"])),
)]
pub async fn replace(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    body: Json,
) -> Answered {
    let id = id(&face)?;
    let campaign =
        CampaignBody::from_json(&body.value).map_err(|errors| Refusal::faults_of(&body.value, errors))?;
    let campaign = broadcasts::settle(&state.core, caller.actor.account, campaign).await?;
    let effect = effect::of_edit(&state.core, caller.actor.account, id, &campaign).await?;
    if query.get("dry_run").is_some_and(|word| matches!(word.as_str(), "1" | "true")) {
        let shown =
            json!({ "dry_run": true, "id": uuid(Kind::Campaign, id), "effect": view::effect(&effect) });
        return Ok(Answer::ok(&with_warnings(shown, &campaign)));
    }
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let full = campaigns::replace(&mut work, id, &campaign, Scope::Whole).await?;
    let mut shown = with_warnings(view::full(&full), &campaign);
    shown["effect"] = view::effect(&effect);
    work.answer(Answer::ok(&shown)).await
}

fn with_warnings(mut shown: Value, body: &CampaignBody) -> Value {
    shown["warnings"] = json!(body.warnings);
    shown
}

/// Archives a campaign (C-23).
///
/// With people under way it is refused, unless `force=true` stops them.
#[utoipa::path(
    delete, path = "/campaigns/{id}", operation_id = "archive_campaign", tag = "Campaigns",
    params(ArchiveParams),
    responses((status = 200, body = Campaign)),
    security(("key" = ["campaigns:write"])),
)]
pub async fn archive(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    NoBody(once): NoBody,
) -> Answered {
    let id = id(&face)?;
    let force = query.get("force").is_some_and(|word| word == "true");
    let mut work = Work::new(&state.core, caller.actor)?.once(once);
    let campaign = campaigns::archive(&mut work, id, force).await?;
    work.answer(Answer::ok(&view::campaign(&campaign))).await
}

/// Starts a campaign, or goes on after a pause.
#[utoipa::path(
    post, path = "/campaigns/{id}/start", operation_id = "start_campaign", tag = "Campaigns",
    responses((status = 200, body = Campaign)),
    security(("key" = ["campaigns:write"])),
)]
pub async fn start(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    NoBody(once): NoBody,
) -> Answered {
    let id = id(&face)?;
    let cost = spending::cost(&state.core, caller.actor.account, id, &state.prices).await?;
    let mut work = Work::new(&state.core, caller.actor)?.once(once);
    let campaign = campaigns::change(&mut work, id, Change::Start).await?;
    let mut shown = view::campaign(&campaign);
    shown["cost"] = super::spending::cost(&cost);
    work.answer(Answer::ok(&shown)).await
}

/// Triggers a campaign (S2-18).
///
/// It starts at once, whatever its `schedule_time`, and whoever is in its segment is enrolled, as far as a channel of its
/// steps may reach them: a first part with the answer, the rest by the workers, which the run tells. Triggered again, it
/// adds who has come since; while the run goes on, the same one is answered. Without a segment it is a start.
#[utoipa::path(
    post, path = "/campaigns/{id}/trigger", operation_id = "trigger_campaign", tag = "Campaigns",
    responses((status = 200, body = TriggeredShown)),
    security(("key" = ["campaigns:write"])),
)]
pub async fn trigger(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    NoBody(once): NoBody,
) -> Answered {
    let id = id(&face)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(once);
    let triggered = broadcasts::trigger(&mut work, id).await?;
    work.answer(Answer::ok(&self::triggered(&triggered))).await
}

/// A campaign that was triggered (S2-18).
pub fn triggered(triggered: &Triggered) -> Value {
    let counts = triggered.run.as_ref().and_then(|run| run.counts.as_deref());
    let nobody = "nobody can be reached: the run's counts say why";
    json!({
        "message": "Campaign triggered successfully",
        "campaign_id": uuid(Kind::Campaign, triggered.campaign.id),
        "estimated_recipients": triggered.recipients,
        "execution_started": true,
        "status": triggered.campaign.state.as_str().to_uppercase(),
        "run_id": triggered.run.as_ref().map(|run| uuid(Kind::Run, run.id)),
        "counts": counts.and_then(|text| serde_json::from_str::<Value>(text).ok()),
        "warning": (triggered.recipients == 0).then_some(nobody),
    })
}

/// Goes on with a paused campaign: the same change as a start.
#[utoipa::path(
    post, path = "/campaigns/{id}/resume", operation_id = "resume_campaign", tag = "Campaigns",
    responses((status = 200, body = Campaign)),
    security(("key" = ["campaigns:write"])),
)]
pub async fn resume(state: State<ApiState>, caller: Caller, face: Path<String>, once: NoBody) -> Answered {
    start(state, caller, face, once).await
}

/// Pauses a campaign.
///
/// Nothing of it is handed over until it is started again.
#[utoipa::path(
    post, path = "/campaigns/{id}/pause", operation_id = "pause_campaign", tag = "Campaigns",
    responses((status = 200, body = Campaign)),
    security(("key" = ["campaigns:write"])),
)]
pub async fn pause(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    NoBody(once): NoBody,
) -> Answered {
    let id = id(&face)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(once);
    let campaign = campaigns::change(&mut work, id, Change::Pause).await?;
    work.answer(Answer::ok(&view::campaign(&campaign))).await
}

/// Enrols leads in a campaign.
///
/// A list of leads, new or known by their address, or `{"lead_ids": […]}`. In a campaign of texts alone a number of a country
/// that its sending profile may not send to is refused.
#[utoipa::path(
    post, path = "/campaigns/{id}/leads", operation_id = "enrol_leads", tag = "Campaigns",
    request_body = EnrolInput,
    responses((status = 200, body = Enrolled)),
    security(("key" = ["campaigns:write"])),
)]
pub async fn enrol(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    body: Json<MOST_BULK_BYTES>,
) -> Answered {
    let id = id(&face)?;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let leads = match &body.value {
        Value::Array(leads) => leads,
        Value::Object(object) => match (object.get("leads"), object.get("lead_ids")) {
            (Some(Value::Array(leads)), None) => leads,
            (None, Some(Value::Array(faces))) => {
                let people = read_ids(faces)?;
                let (enrolled, missing) = leads::enrol_existing(&mut work, id, &people).await?;
                let errors: Vec<Value> = missing.iter().map(|&index| no_lead(index, people[index])).collect();
                let shown = json!({ "enrolled": enrolled, "errors": errors });
                return work.answer(Answer::ok(&shown)).await;
            }
            _ => return Err(wrong_body()),
        },
        _ => return Err(wrong_body()),
    };
    let parsed = leads.iter().take(leads::MOST_LEADS + 1).map(|value| {
        let lead = LeadBody::from_json(value)?;
        match lead.campaign_id.is_none_or(|other| other == id) {
            true => Ok(LeadBody { campaign_id: Some(id), ..lead }),
            false => Err(vec![FieldError::new("campaign_id", "conflict", "must be the path's campaign")]),
        }
    });
    let mut parsed: Vec<leads::Parsed> = parsed.collect();
    let full = campaigns::get(&state.core, work.account(), id).await?;
    destinations::sift(&state.core, &full, &state.allowed_countries, &mut parsed).await?;
    let import = leads::import(&mut work, parsed, Known::Take).await?;
    work.answer(Answer::ok(&view::import(&import))).await
}

fn wrong_body() -> Refusal {
    Refusal::field("body", "invalid_type", "must be a list of leads, or {\"lead_ids\": […]}")
}

fn read_ids(faces: &[Value]) -> Result<Vec<i64>, Refusal> {
    let read = |(index, face): (usize, &Value)| {
        let text = face.as_str().map_or_else(|| face.to_string(), str::to_owned);
        ids::parse(Kind::Contact, &text).ok_or_else(|| {
            FieldError::new(format!("lead_ids[{index}]"), "reference_not_found", "is no lead's id")
        })
    };
    let (good, bad): (Vec<_>, Vec<_>) = faces.iter().enumerate().map(read).partition(Result::is_ok);
    let faults: Vec<FieldError> = bad.into_iter().filter_map(Result::err).collect();
    if faults.is_empty() { Ok(good.into_iter().flatten().collect()) } else { Err(Refusal::Invalid(faults)) }
}

fn no_lead(index: usize, id: i64) -> Value {
    json!({ "index": index, "error": "not_found", "message": format!("Lead {} not found", uuid(Kind::Contact, id)) })
}
