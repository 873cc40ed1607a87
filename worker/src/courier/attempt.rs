//! One attempt: what is sent, and what its answer means.

use crate::context::{Context, random_unit};
use crate::http::{Answer, Fault, Http, signed};
use sendwright_fail::point;
use sendwright_store::deliveries::{Claimed, End, Ended};
use sendwright_store::endpoints::{Endpoint, TABLE};
use sendwright_store::events::Content;
use sendwright_store::{Error, Result};
use sendwright_workflows::clock::{Clock, HOUR, Millis};
use sendwright_workflows::event::{TEST, canonical, chosen};
use sendwright_workflows::ids::{Kind, uuid};
use sendwright_workflows::webhook::{self, Schedule, SigningSecret, retry_after};
use std::collections::HashMap;
use tokio::time::Instant;
use url::Url;

/// An endpoint as attempts need it.
pub struct Target {
    /// Whose it is.
    pub account: i64,
    url: Url,
    choices: Vec<String>,
    schedule: Schedule,
    secrets: Vec<SigningSecret>,
}

impl Target {
    /// Reads an endpoint and opens its secrets: the present one, and the one before while it still signs.
    pub fn of(ctx: &Context, endpoint: &Endpoint, now: Millis) -> Result<Self> {
        let stored = |column, detail: String| Error::Stored { table: TABLE, column, id: endpoint.id, detail };
        let previous = endpoint.previous_sealed.as_ref().filter(|_| endpoint.previous_until > Some(now));
        let mut secrets = Vec::with_capacity(2);
        for sealed in std::iter::once(&endpoint.secret_sealed).chain(previous) {
            let text = ctx.seals.open(TABLE, endpoint.id, sealed)?;
            secrets.push(SigningSecret::parse(&text).map_err(|e| stored("secret_sealed", e.to_string()))?);
        }
        Ok(Self {
            account: endpoint.account_id,
            url: Url::parse(&endpoint.url).map_err(|e| stored("url", e.to_string()))?,
            choices: endpoint.choices(),
            schedule: endpoint.schedule(),
            secrets,
        })
    }
}

/// A delivery that is ready to go.
pub struct Parcel {
    /// The claim.
    pub claimed: Claimed,
    id: String,
    body: String,
    is_test: bool,
}

/// Claimed deliveries with what they say, in the order of their numbers.
pub fn parcels(target: &Target, claimed: Vec<Claimed>, contents: Vec<Content>) -> Vec<Parcel> {
    let contents: HashMap<i64, Content> = contents.into_iter().map(|c| (c.event_id, c)).collect();
    let parcel = |claimed: Claimed| {
        let content = contents.get(&claimed.event_id)?;
        // Chosen when it was sequenced; where the choice was changed since, it comes by its own name.
        let name = chosen(&target.choices, &content.kind).unwrap_or(canonical(&content.kind));
        let body = webhook::body(&content.about(name, Some(claimed.number))).to_string();
        let (id, is_test) = (uuid(Kind::Event, content.event_id), content.kind == TEST);
        Some(Parcel { claimed, id, body, is_test })
    };
    claimed.into_iter().filter_map(parcel).collect()
}

/// An attempt and what it means beyond its delivery.
pub struct Made {
    /// What to record.
    pub ended: Ended,
    /// The endpoint said 410: it wants nothing more.
    pub is_gone: bool,
    /// The endpoint asks to be left alone for so long.
    pub hold: Option<Millis>,
}

/// Sends a parcel once, signed for the instant `now`.
pub async fn make(http: &Http, target: &Target, parcel: Parcel, now: Millis, clock: &dyn Clock) -> Made {
    let began = Instant::now();
    let claimed = &parcel.claimed;
    point("delivery-asked");
    let answer = match signed(&target.secrets, &parcel.id, now.div_euclid(1_000), parcel.body.as_bytes()) {
        Some(headers) => http.post(target.url.clone(), headers, parcel.body.into_bytes()).await,
        None => Err(Fault::Broken),
    };
    point("delivery-answered");
    let duration_ms = began.elapsed().as_millis() as i64;
    let at = clock.now().unwrap_or(now + duration_ms);
    let asked = answer.as_ref().ok().and_then(|a| retry_after(a.retry_after.as_deref()?, at));
    let status = answer.as_ref().ok().map(|answer| answer.status);
    let end = match status {
        Some(200..300) => End::Delivered,
        Some(410) => End::Dead,
        _ if parcel.is_test => End::Dead,
        _ => match target.schedule.wait(claimed.attempts as u32 + 1, random_unit()) {
            Some(wait) => End::Again(at + wait.max(asked.unwrap_or(0))),
            None => End::Dead,
        },
    };
    let hold = asked.filter(|_| matches!(status, Some(429 | 503))).map(|wait| wait.min(HOUR));
    let (text, error) = words(answer);
    let (delivery_id, fence) = (claimed.id, claimed.fence);
    let ended = Ended { delivery_id, fence, end, status, duration_ms, answer: text, error, at };
    Made { ended, is_gone: status == Some(410), hold }
}

/// The first bytes of the answer, and what is wrong with it.
fn words(answer: std::result::Result<Answer, Fault>) -> (Option<String>, Option<String>) {
    match answer {
        Ok(Answer { status: 200..300, text, .. }) => (Some(text).filter(|text| !text.is_empty()), None),
        Ok(Answer { status: status @ 300..400, text, .. }) => {
            (Some(text), Some(format!("it answered {status}: redirects are not followed")))
        }
        Ok(Answer { status, text, .. }) => (Some(text), Some(format!("it answered {status}"))),
        Err(fault) => (None, Some(fault.to_string())),
    }
}
