//! Users, people by their numbers (S2-03 … S2-09), and what they said of consent.

use super::{Asked, seconds};
use crate::answer::Answer;
use crate::auth::Caller;
use crate::intake::{Json, NoBody};
use crate::openapi::bodies::common::{ByTime, Part, Shown};
use crate::openapi::bodies::user::{
    ConsentList, DeletedUser, UserChange, UserCreated, UserDetails, UserFilter, UserInput, UserList,
};
use crate::operations::destinations;
use crate::operations::suppressions;
use crate::operations::users::{self, By, User};
use crate::refusal::Refusal;
use crate::state::ApiState;
use crate::work::Work;
use axum::extract::{Path, Query, State};
use sendwright_store::consents::Consent;
use sendwright_workflows::consent;
use sendwright_workflows::ids::{Kind, uuid};
use sendwright_workflows::phone::Phone;
use sendwright_workflows::spec::{FieldError, UserBody};
use serde_json::{Value, json};
use std::collections::HashMap;

type Answered = Result<Answer, Refusal>;

/// Lists users (S2-03).
///
/// Whoever has a number in E.164 is one, leads as well.
#[utoipa::path(
    get, path = "/users", operation_id = "list_users", tag = "Users",
    params(UserFilter, Part, ByTime),
    responses((status = 200, body = UserList)),
    security(("key" = ["users:read"])),
)]
pub async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<HashMap<String, String>>,
) -> Answered {
    let asked = Asked::read(&query);
    let consent = query.get("consent_state").filter(|word| !word.is_empty());
    let consent = match consent.map(|word| (word, consent::State::of_face(word))) {
        None => None,
        Some((_, Some(state))) => Some(state),
        Some((word, None)) => {
            let fault = FieldError::new("consent_state", "invalid_consent_state", "Invalid consent state");
            let mut faults = vec![fault.instead(word, "OPT_IN, OPT_OUT or STOP")];
            if let Err(Refusal::Invalid(others)) = asked {
                faults.extend(others);
            }
            return Err(Refusal::Invalid(faults));
        }
    };
    let asked = asked?;
    let (found, total) = users::list(&state.core, caller.actor.account, consent, asked.page).await?;
    let last = found.last().map(|user| (user.contact.created_at, user.contact.id));
    let rows = found.iter().map(shown).collect();
    Ok(Answer::ok(&asked.envelope("users", rows, total, last)))
}

/// Creates a user (S2-06).
///
/// A number of a country that none of the account's senders may send to is refused, unless it says no. Without
/// `consent_state` nothing is written down, and nobody is written to by SMS or WhatsApp. Whoever is there as a
/// lead by `attributes.email` is the same contact from now on; whoever was deleted comes back, and what they said holds.
#[utoipa::path(
    post, path = "/users", operation_id = "create_user", tag = "Users",
    request_body = UserInput,
    responses((status = 201, body = UserCreated)),
    security(("key" = ["users:write"])),
)]
pub async fn create(State(state): State<ApiState>, caller: Caller, body: Json) -> Answered {
    let user = UserBody::from_json(&body.value).map_err(|errors| Refusal::faults_of(&body.value, errors))?;
    let account = caller.actor.account;
    destinations::admit(&state.core, account, &state.allowed_countries, &user).await?;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let made = users::create(&mut work, &user).await?;
    let shown = json!({
        "phone_e164": user.phone.as_str(),
        "created_at": seconds(made.contact.created_at),
        "consent_state": face(&made),
        "message": "User created successfully",
    });
    let answer = work.answer(Answer::created(&shown)).await?;
    suppressions::settle(&state.core, account, &users::forbidden(&user, &made)).await;
    Ok(answer)
}

/// Shows a user (S2-07).
#[utoipa::path(
    get, path = "/users/{id}", operation_id = "get_user", tag = "Users",
    params(("id" = String, Path, description = "The number in E.164, or the contact's id.", example = "+14155551234"), Shown),
    responses((status = 200, body = UserDetails)),
    security(("key" = ["users:read"])),
)]
pub async fn get(State(state): State<ApiState>, caller: Caller, Path(by): Path<String>) -> Answered {
    let user = find(&state, caller.actor.account, &by).await?;
    details(&state, caller.actor.account, &user).await.map(|shown| Answer::ok(&shown))
}

/// Changes a user (S2-08).
///
/// Attributes are merged; `null` takes one away. Saying `OPT_OUT` or `STOP` holds back everything that has not begun once
/// this is answered. A STOP is lifted by the person's own START, or by `consent_evidence` of a yes after it; without
/// that, 409.
#[utoipa::path(
    put, path = "/users/{id}", operation_id = "change_user", tag = "Users",
    params(("id" = String, Path, description = "The number in E.164, or the contact's id.", example = "+14155551234")),
    request_body = UserChange,
    responses((status = 200, body = UserDetails)),
    security(("key" = ["users:write"])),
)]
pub async fn change(
    State(state): State<ApiState>,
    caller: Caller,
    Path(by): Path<String>,
    body: Json,
) -> Answered {
    let account = caller.actor.account;
    let known = find(&state, account, &by).await?;
    let phone = known.contact.details.phone_key.as_deref().map(Phone::parse);
    let Some(Ok(phone)) = phone else { return Err(users::missing(&by)) };
    let user =
        UserBody::change(&body.value, &phone).map_err(|errors| Refusal::faults_of(&body.value, errors))?;
    let mut work = Work::new(&state.core, caller.actor)?.once(body.once);
    let changed = users::change(&mut work, &user).await?;
    let shown = users::said(work.tx()?, account, &changed.contact).await?;
    let answer = work.answer(Answer::ok(&whole(&changed, &shown))).await?;
    suppressions::settle(&state.core, account, &users::forbidden(&user, &changed)).await;
    Ok(answer)
}

/// Deletes a user (S2-09).
///
/// What is under way to them stops. What they said of consent stays, and holds if they come back.
#[utoipa::path(
    delete, path = "/users/{id}", operation_id = "delete_user", tag = "Users",
    params(("id" = String, Path, description = "The number in E.164, or the contact's id.", example = "+14155551234")),
    responses((status = 200, body = DeletedUser)),
    security(("key" = ["users:write"])),
)]
pub async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    Path(face): Path<String>,
    NoBody(once): NoBody,
) -> Answered {
    let by = By::read(&face).ok_or_else(|| users::missing(&face))?;
    let mut work = Work::new(&state.core, caller.actor)?.once(once);
    let phone = users::delete(&mut work, &by).await?.ok_or_else(|| users::missing(&face))?;
    let shown = json!({ "message": "User deleted successfully", "phone_e164": phone });
    work.answer(Answer::ok(&shown)).await
}

/// Lists what a user said of consent.
///
/// Every line holds the hash of the line before it of the same channel: `sendwright consents verify` checks an export.
#[utoipa::path(
    get, path = "/users/{id}/consents", operation_id = "list_consents", tag = "Users",
    params(("id" = String, Path, description = "The number in E.164, or the contact's id.", example = "+14155551234"), Part, ByTime),
    responses((status = 200, body = ConsentList)),
    security(("key" = ["users:read"])),
)]
pub async fn consents(
    State(state): State<ApiState>,
    caller: Caller,
    Path(by): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Answered {
    let asked = Asked::read(&query)?;
    let user = find(&state, caller.actor.account, &by).await?;
    let (found, total) = users::ledger(&state.core, caller.actor.account, &user.contact, asked.page).await?;
    let last = found.last().map(|line| (line.at, line.id));
    let rows = found.iter().map(line).collect();
    Ok(Answer::ok(&asked.envelope("consents", rows, total, last)))
}

async fn find(state: &ApiState, account: i64, face: &str) -> Result<User, Refusal> {
    let by = By::read(face).ok_or_else(|| users::missing(face))?;
    users::get(&state.core, account, &by).await?.ok_or_else(|| users::missing(face))
}

fn face(user: &User) -> Option<&'static str> {
    user.contact.consent.as_deref().and_then(consent::State::parse).map(consent::State::face)
}

/// A user, field by field as S2-05 has it.
fn shown(user: &User) -> Value {
    json!({
        "phone_e164": user.contact.details.phone_key,
        "created_at": seconds(user.contact.created_at),
        "consent_state": face(user),
        "consent_updated_at": user.said_at.map(seconds),
        "attributes": users::attributes(&user.contact.details),
        "last_message_received": user.last_message.map(seconds),
    })
}

async fn details(state: &ApiState, account: i64, user: &User) -> Result<Value, Refusal> {
    let mut tx = state.core.store.read().await?;
    let said = users::said(&mut tx, account, &user.contact).await?;
    tx.rollback().await?;
    Ok(whole(user, &said))
}

fn whole(user: &User, said: &users::Said) -> Value {
    let mut shown = shown(user);
    let state = |name: &str| said.iter().find(|(channel, _)| channel.as_str() == name).map(|(_, s)| s.face());
    shown["id"] = uuid(Kind::Contact, user.contact.id).into();
    shown["updated_at"] = seconds(user.contact.updated_at).into();
    shown["channels"] =
        json!({ "email": state("email"), "sms": state("sms"), "whatsapp": state("whatsapp") });
    shown
}

fn line(line: &Consent) -> Value {
    json!({
        "channel": line.channel,
        "consent_state": consent::State::parse(&line.state).map(consent::State::face),
        "at": seconds(line.at),
        "source": line.source,
        "actor": line.actor,
        "wording": line.wording,
        "evidence": serde_json::from_str::<Value>(&line.evidence).unwrap_or_default(),
        "place": (line.place > 0).then_some(line.place),
        "previous": line.previous,
        "hash": line.hash,
    })
}
