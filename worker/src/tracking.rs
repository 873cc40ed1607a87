//! Tracking, where it is asked for: the links of a letter, and what became of them. A machine that looks through
//! letters is told from a person, with what shows it.

use crate::context::Context;
use crate::outlet::Route;
use crate::proof::prove;
use sendwright_queue::Job;
use sendwright_store::answers::{self, Answered};
use sendwright_store::claims::Claimed;
use sendwright_store::events::{self, NewEvent};
use sendwright_store::hits::{self, Hit, Known};
use sendwright_store::{Result, Tx};
use sendwright_workflows::clock::{Millis, SECOND};
use sendwright_workflows::signing::{Secret, sign};
use sendwright_workflows::tracking::{CLICK, OPEN, name, rewrite};
use serde_json::json;
use url::Url;

/// What follows a hit within this time belongs to it: only then is it judged.
const SETTLED: Millis = 5 * SECOND;
/// Nobody opens a letter so soon after it was accepted.
const AT_ONCE: Millis = 3 * SECOND;
/// Messages judged in one pass.
const BATCH: i64 = 100;
/// Words in the names of programs that look through letters; all lower case.
const SCANNERS: &[&str] = &[
    "bot",
    "crawler",
    "spider",
    "scan",
    "proofpoint",
    "mimecast",
    "barracuda",
    "fortinet",
    "forcepoint",
    "symantec",
    "trendmicro",
    "sophos",
    "headless",
    "phantomjs",
    "python",
    "curl/",
    "wget/",
    "go-http-client",
    "java/",
    "okhttp",
    "libwww",
    "httpclient",
    "preview",
];

/// How a letter tells of its opens and clicks.
pub struct Track<'a> {
    base: &'a Url,
    secret: &'a Secret,
    epoch: &'a str,
    message: i64,
    opens: bool,
    clicks: bool,
}

impl<'a> Track<'a> {
    /// As campaign and profile ask for it; `None` where neither does, or recipients reach no address of ours.
    pub fn of(ctx: &'a Context, route: &Route, message: &Claimed) -> Option<Self> {
        let opens = message.policy.track_opens.unwrap_or(route.profile.track_opens);
        let clicks = message.policy.track_clicks.unwrap_or(route.profile.track_clicks);
        if message.kind != "step" || !(opens || clicks) {
            return None;
        }
        let (base, secret) = (route.base_url(&ctx.settings)?, ctx.settings.secrets.first()?);
        Some(Self { base, secret, epoch: ctx.store.epoch(), message: message.id, opens, clicks })
    }

    /// A body whose links lead through us; ours own, the unsubscribe link first of all, stay as they are.
    pub fn links(&self, body: &str) -> String {
        if !self.clicks {
            return body.to_owned();
        }
        rewrite(body, |url| {
            if url.starts_with(self.base.as_str()) {
                return None;
            }
            let token = sign(self.secret, CLICK, self.epoch, &[self.message, name(url)]);
            self.base.join(&format!("c/{token}")).ok().map(String::from)
        })
    }

    /// The pixel, as a piece of HTML.
    pub fn pixel(&self) -> Option<String> {
        let token = sign(self.secret, OPEN, self.epoch, &[self.message]);
        let url = self.base.join(&format!("o/{token}.gif")).ok().filter(|_| self.opens)?;
        Some(format!("<img src=\"{url}\" width=\"1\" height=\"1\" alt=\"\">\n"))
    }
}

/// Judges what was opened and clicked. Answers how many messages were judged.
pub async fn pass(ctx: &Context, now: Millis) -> Result<usize> {
    let mut tx = ctx.store.read().await?;
    let found = hits::unjudged(&mut tx, now - SETTLED, BATCH).await?;
    tx.commit().await?;
    let mut judged = 0;
    for (account, id) in found {
        let mut tx = ctx.store.read().await?;
        let message = answers::message(&mut tx, account, id).await?;
        tx.commit().await?;
        if let Some(message) = message {
            settle(ctx, message, now).await?;
            judged += 1;
        }
    }
    Ok(judged)
}

async fn settle(ctx: &Context, mut message: Answered, now: Millis) -> Result<()> {
    let mut tx = ctx.store.read().await?;
    let all = hits::of_message(&mut tx, message.id).await?;
    tx.commit().await?;
    // Whatever loaded the pixel or followed a link had the letter.
    prove(ctx, &message, "it was opened", now).await?;
    let unjudged: Vec<&Hit> =
        all.iter().filter(|k| k.judged.is_none() && k.hit.at <= now - SETTLED).map(|k| &k.hit).collect();
    let events = ctx.store.ids.take("events", unjudged.len()).await?;
    let mut tx = ctx.store.begin().await?;
    if message.accepted_at.is_none() {
        message = answers::message(&mut tx, message.account_id, message.id).await?.unwrap_or(message);
    }
    let verdicts: Vec<_> = unjudged.iter().map(|hit| scanner(hit, &all, message.accepted_at)).collect();
    let rows: Vec<_> = unjudged.iter().zip(&verdicts).map(|(hit, why)| (hit.id, by(*why), *why)).collect();
    let new = hits::judge(&mut tx, &rows).await?;
    let judged: Vec<(&Hit, Option<&'static str>)> =
        unjudged.into_iter().zip(verdicts).filter(|(hit, _)| new.contains(&hit.id)).collect();
    tell(&mut tx, &message, &all, &judged, events).await?;
    tx.commit().await?;
    ctx.queue.push(Job::Sequence { account: message.account_id });
    Ok(())
}

fn by(why: Option<&'static str>) -> &'static str {
    if why.is_some() { "scanner" } else { "person" }
}

/// By what a hit is a machine's; `None` for a person's.
fn scanner(hit: &Hit, all: &[Known], accepted: Option<Millis>) -> Option<&'static str> {
    let agent = hit.user_agent.to_lowercase();
    if hit.method == "HEAD" {
        return Some("head_request");
    }
    // Mail programs that load every image in advance call themselves no more than this.
    if agent.is_empty() || agent == "mozilla/5.0" || SCANNERS.iter().any(|word| agent.contains(word)) {
        return Some("user_agent");
    }
    if accepted.is_some_and(|accepted| hit.at - accepted < AT_ONCE) {
        return Some("at_once");
    }
    (hit.kind == "click" && is_sweep(hit, all)).then_some("many_links")
}

/// Several links within a breath: three within the settling time, or two within a second.
fn is_sweep(hit: &Hit, all: &[Known]) -> bool {
    let within = |span: Millis| {
        let near =
            all.iter().map(|known| &known.hit).filter(|h| h.kind == "click" && (h.at - hit.at).abs() <= span);
        let mut urls: Vec<_> = near.map(|h| &h.url).collect();
        urls.sort();
        urls.dedup();
        urls.len()
    };
    within(SETTLED) >= 3 || within(SECOND) >= 2
}

/// The events, and the instants of a person's first.
async fn tell(
    tx: &mut Tx,
    message: &Answered,
    all: &[Known],
    judged: &[(&Hit, Option<&'static str>)],
    ids: std::ops::Range<i64>,
) -> Result<()> {
    let person = |kind: &str| {
        let hit = judged.iter().find(|(hit, why)| why.is_none() && hit.kind == kind);
        hit.map(|(hit, _)| hit.at)
    };
    // Who clicks has opened.
    let (clicked, opened) = (person("click"), person("open").or(person("click")));
    hits::mark(tx, message.id, opened, clicked).await?;
    let told: Vec<NewEvent> = ids
        .zip(judged)
        .map(|(id, (hit, why))| {
            let before = |k: &&Known| k.hit.kind == hit.kind && k.judged.as_deref() == Some(by(*why));
            let is_new = !is_known(message, &hit.kind, *why) && !all.iter().any(|k| before(&k));
            let first = is_new && is_first(hit, *why, judged);
            let data = json!({
                "email": message.address, "subject": message.subject, "step": message.step_number,
                "link": hit.url, "by": by(*why), "why": why, "first": first,
                "evidence": {
                    "user_agent": hit.user_agent, "address_prefix": hit.address_prefix, "method": hit.method,
                    "ms_since_acceptance": message.accepted_at.map(|accepted| (hit.at - accepted).max(0)),
                },
            });
            let some = |id: i64| (id > 0).then_some(id);
            NewEvent {
                id,
                account_id: message.account_id,
                kind: if hit.kind == "click" { "email.clicked" } else { "email.opened" },
                campaign_id: some(message.campaign_id),
                contact_id: some(message.contact_id),
                enrolment_id: some(message.enrolment_id),
                message_id: Some(message.id),
                data: data.to_string(),
                at: hit.at,
            }
        })
        .collect();
    events::insert(tx, &told).await
}

/// Whether a person has done so before, by the message itself: hits are not kept for ever. Who only clicked has opened then.
fn is_known(message: &Answered, kind: &str, why: Option<&'static str>) -> bool {
    let at = match kind {
        "click" => message.clicked_at,
        _ => message.opened_at.filter(|_| message.opened_at != message.clicked_at),
    };
    why.is_none() && at.is_some()
}

/// Whether no earlier one of its kind is among those that are told together.
fn is_first(hit: &Hit, why: Option<&'static str>, judged: &[(&Hit, Option<&'static str>)]) -> bool {
    let same =
        |(other, verdict): &&(&Hit, Option<&'static str>)| other.kind == hit.kind && by(*verdict) == by(why);
    judged.iter().find(same).is_some_and(|(first, _)| first.id == hit.id)
}
