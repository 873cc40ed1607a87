//! How often somebody may call: counted under every rule there is for them, whose state goes on the answer.

use super::Refused;
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::state::ApiState;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sendwright_queue::{Allowance, Rule};
use sendwright_store::tiers;
use sendwright_workflows::clock::Millis;
use std::time::Duration;

/// Calls an address may make a minute where no key is asked for.
const MOST_OPEN: Rule = Rule::per_minute(300);

/// Which limits of a tier a route is under (C-18).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// `/api/external` (S1).
    External,
    /// `/api/v1`, where it is S0's as well.
    Native,
    /// What S2 alone has: it allows far more in an hour than S0 would in a minute.
    Messaging,
}

impl Class {
    /// The name that tiers know it by.
    pub fn name(self) -> &'static str {
        self.names()[0]
    }

    /// The same, and the one that counts where a tier does not have it.
    fn names(self) -> &'static [&'static str] {
        match self {
            Class::External => &["external"],
            Class::Native => &["v1"],
            Class::Messaging => &["messaging", "v1"],
        }
    }
}

/// Calls counted under rules: what goes on the answer.
pub struct Counted {
    rules: Vec<Rule>,
    allowance: Allowance,
}

impl Counted {
    /// Counts a call of `who` under rules; none where there are none.
    pub async fn under(state: &ApiState, who: &str, rules: Vec<Rule>) -> Option<Self> {
        if rules.is_empty() {
            return None;
        }
        let allowance = state.limiter.check(who, &rules).await;
        Some(Self { rules, allowance })
    }

    /// Counts a call under every limit that a tier, as the store has it, has for routes of a class.
    pub async fn by_tier(
        state: &ApiState,
        tier: &str,
        class: Class,
        who: &str,
    ) -> Result<Option<Self>, Refused> {
        let limits = tiers::limits(tier, class.names()).map_err(|error| (error.into(), None))?;
        let rule = |l: &tiers::Limit| Rule { limit: l.limit, window: Duration::from_secs(l.seconds.into()) };
        Ok(Self::under(state, who, limits.iter().map(rule).collect()).await)
    }

    /// The refusal of a call beyond a limit.
    pub fn refused(&self) -> Option<Refusal> {
        (!self.allowance.allowed).then_some(Refusal::TooMany(self.allowance.retry_after_seconds))
    }
}

/// Counts a call that asks for no key under its address.
pub async fn per_address(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let peer = Peer::of(request.extensions());
    let counted = Counted::under(&state, &format!("open:{}", peer.0), vec![MOST_OPEN]).await;
    let response = match counted.as_ref().and_then(Counted::refused) {
        None => next.run(request).await,
        Some(refusal) => refusal.into_response(),
    };
    told(response, counted.as_ref(), state.core.clock.now().unwrap_or_default())
}

/// Puts the limits' state on an answer: by the names in use, and by those of the IETF's draft
/// (draft-ietf-httpapi-ratelimit-headers).
pub fn told(mut response: Response, counted: Option<&Counted>, now: Millis) -> Response {
    let Some(Counted { rules, allowance }) = counted else { return response };
    let headers = response.headers_mut();
    let reset = now.div_euclid(1_000) as u64 + allowance.reset_seconds;
    headers.insert("x-ratelimit-limit", HeaderValue::from(allowance.limit));
    headers.insert("x-ratelimit-remaining", HeaderValue::from(allowance.remaining));
    headers.insert("x-ratelimit-reset", HeaderValue::from(reset));
    let policies: Vec<String> = rules
        .iter()
        .map(|rule| {
            let seconds = rule.window.as_secs();
            format!("\"{seconds}s\";q={};w={seconds}", rule.limit)
        })
        .collect();
    let wait = allowance.reset_seconds.max(allowance.retry_after_seconds);
    let state = format!("\"{}s\";r={};t={wait}", allowance.window_seconds, allowance.remaining);
    for (name, text) in [("ratelimit-policy", policies.join(", ")), ("ratelimit", state)] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    }
    response
}
