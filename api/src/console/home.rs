//! `/`: campaigns with what they have done, keys, and how everything is; pause, start and revoke.

use super::guard::Visitor;
use super::{form, page};
use crate::health;
use crate::operations::{campaigns, keys};
use crate::refusal::Refusal;
use crate::state::ApiState;
use crate::work::Work;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sendwright_store::Page;
use sendwright_store::keys::Key;
use sendwright_workflows::campaign::{Change, State as CampaignState};
use serde_json::{Value, json};

/// Campaigns on the page: the newest ones.
const SHOWN: i64 = 50;

/// `GET /`.
pub async fn show(State(state): State<ApiState>, visitor: Visitor) -> Response {
    match data(&state, &visitor).await {
        Ok(data) => page::render(StatusCode::OK, "home", &data),
        Err(refusal) => page::refused(&refusal),
    }
}

async fn data(state: &ApiState, visitor: &Visitor) -> Result<Value, Refusal> {
    let account = visitor.actor.account;
    let states: Vec<CampaignState> =
        CampaignState::ALL.into_iter().filter(|s| *s != CampaignState::Archived).collect();
    let first = Page::first(1);
    let (_, total) = campaigns::list(&state.core, account, &states, first).await?;
    let newest = Page { skip: (total - SHOWN).max(0), ..Page::first(SHOWN) };
    let (mut found, _) = campaigns::list(&state.core, account, &states, newest).await?;
    found.reverse();
    let mut rows = Vec::with_capacity(found.len());
    for full in &found {
        let counts = campaigns::counts(&state.core, account, full.campaign.id).await?;
        rows.push(campaign(full, &counts));
    }
    let (keys, _) = keys::list(&state.core, account, Page::first(1_000)).await?;
    let (ready, checks) = health::checks(state).await;
    let checks: Vec<Value> = checks.iter().map(|(name, how)| json!({ "name": name, "how": how })).collect();
    Ok(json!({
        "title": "Sendwright",
        "token": form::token(state, visitor)?,
        "account": account,
        "accounts": others(visitor),
        "is_keyed": visitor.key != 0,
        "campaigns": rows,
        "more": (total - SHOWN).max(0),
        "keys": keys.iter().map(key).collect::<Value>(),
        "status": ready,
        "checks": checks,
    }))
}

/// The accounts to choose from, where there is a choice.
pub fn others(visitor: &Visitor) -> Value {
    let some = visitor.accounts.iter().filter(|_| visitor.accounts.len() > 1);
    some.map(|(id, name)| json!({ "id": id, "name": name, "is_shown": *id == visitor.actor.account }))
        .collect()
}

fn campaign(full: &campaigns::Full, counts: &campaigns::Counts) -> Value {
    let sum = |words: &[&str]| -> i64 {
        counts.messages.iter().filter(|(state, _)| words.contains(&state.as_str())).map(|(_, n)| n).sum()
    };
    let active = counts.enrolments.iter().find(|(state, _)| state == "active").map_or(0, |(_, n)| *n);
    let state = full.campaign.state;
    json!({
        "id": full.campaign.id,
        "name": full.campaign.name,
        "state": state.as_str(),
        "steps": full.sequence.steps.len(),
        "active": active,
        "accepted": sum(&["accepted", "delivered", "complained"]),
        "waiting": sum(&["scheduled", "writing", "drafted", "claimed", "sending"]),
        "held": sum(&["held"]),
        "uncertain": sum(&["uncertain"]),
        "failed": sum(&["failed", "bounced"]),
        "can_pause": matches!(state, CampaignState::Running | CampaignState::Scheduled),
        "can_start": matches!(state, CampaignState::Draft | CampaignState::Paused),
    })
}

/// A key as it may be looked at: its public part alone.
fn key(key: &Key) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "user": key.user_email,
        "tier": key.tier,
        "created": page::at(key.created_at),
        "used": key.last_used_at.map_or("never".to_owned(), page::at),
        "is_open": key.revoked_at.is_none(),
    })
}

/// `POST /console/campaigns/{id}/start`.
pub async fn start(
    State(state): State<ApiState>,
    visitor: Visitor,
    Path(id): Path<i64>,
    request: Request,
) -> Response {
    change(&state, visitor, id, Change::Start, request).await
}

/// `POST /console/campaigns/{id}/pause`.
pub async fn pause(
    State(state): State<ApiState>,
    visitor: Visitor,
    Path(id): Path<i64>,
    request: Request,
) -> Response {
    change(&state, visitor, id, Change::Pause, request).await
}

async fn change(
    state: &ApiState,
    mut visitor: Visitor,
    id: i64,
    change: Change,
    request: Request,
) -> Response {
    let done = async {
        form::check(state, &mut visitor, request).await?;
        let mut work = Work::new(&state.core, visitor.actor.clone())?;
        campaigns::change(&mut work, id, change).await?;
        work.commit().await
    };
    let done = done.await;
    answer(done, &visitor)
}

/// `POST /console/keys/{id}/revoke`.
pub async fn revoke(
    State(state): State<ApiState>,
    mut visitor: Visitor,
    Path(id): Path<i64>,
    request: Request,
) -> Response {
    let done = async {
        form::check(&state, &mut visitor, request).await?;
        let mut work = Work::new(&state.core, visitor.actor.clone())?;
        keys::revoke(&mut work, id).await?;
        work.commit().await
    };
    let done = done.await;
    answer(done, &visitor)
}

/// Back to the page, so that a reload repeats nothing.
fn answer(done: Result<(), Refusal>, visitor: &Visitor) -> Response {
    if let Err(refusal) = done {
        return page::refused(&refusal);
    }
    let mut headers = HeaderMap::new();
    let place = match visitor.accounts.len() {
        0 | 1 => "/".to_owned(),
        _ => format!("/?account={}", visitor.actor.account),
    };
    if let Ok(place) = HeaderValue::from_str(&place) {
        headers.insert(header::LOCATION, place);
    }
    (StatusCode::SEE_OTHER, headers).into_response()
}
