//! Forms: read within their size, and believed only with the token that the visitor's own page gave them.

use super::guard::Visitor;
use crate::intake;
use crate::refusal::Refusal;
use crate::state::ApiState;
use axum::extract::Request;
use sendwright_workflows::clock::HOUR;
use sendwright_workflows::signing;
use std::collections::HashMap;

const PURPOSE: &str = "form";
/// Most bytes of a form.
const MOST_BYTES: usize = 16 * 1024;
/// How many hours a page's forms may be used.
const HOURS: i64 = 24;

/// The token of every form on a page of this visitor's.
pub fn token(state: &ApiState, visitor: &Visitor) -> Result<String, Refusal> {
    let secret = state.secrets.first().ok_or(Refusal::Internal)?;
    let ids = [visitor.actor.account, visitor.key, state.core.now()? / HOUR];
    Ok(signing::sign(secret, PURPOSE, state.core.store.epoch(), &ids))
}

/// The fields of a form.
pub async fn read(request: Request) -> Result<HashMap<String, String>, Refusal> {
    let (parts, body) = request.into_parts();
    let bytes = intake::read(&parts.headers, body, MOST_BYTES).await?;
    Ok(url::form_urlencoded::parse(&bytes).into_owned().collect())
}

/// Reads a form and believes it where its token is this visitor's own and not older than a day. The account it
/// acts in is the token's.
pub async fn check(state: &ApiState, visitor: &mut Visitor, request: Request) -> Result<(), Refusal> {
    let fields = read(request).await?;
    let token = fields.get("token").map_or("", String::as_str);
    let ids = signing::verify(&state.secrets, PURPOSE, state.core.store.epoch(), token);
    let age = state.core.now()? / HOUR;
    match ids.as_deref() {
        Some(&[account, key, hour]) if key == visitor.key && (0..=HOURS).contains(&(age - hour)) => {
            // On loopback every account is the visitor's; a key's token names its own.
            if key != 0 && account != visitor.actor.account {
                return Err(stale());
            }
            visitor.actor.account = account;
            Ok(())
        }
        _ => Err(stale()),
    }
}

fn stale() -> Refusal {
    Refusal::Conflict("stale_form", "this form is not yours or is too old; load the page again".into())
}
