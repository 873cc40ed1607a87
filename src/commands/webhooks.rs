//! `webhooks list|listen|trigger|test|replay`.

mod listen;

use super::open;
use crate::cli::{ListArgs, ReplayArgs, TriggerArgs, WebhookArgs, WebhooksCommand};
use crate::config::Config;
use crate::failure::Failure;
use crate::table;
use sendwright_api::operations::{events, webhooks};
use sendwright_api::{Actor, Work};
use sendwright_store::Page;
use sendwright_store::clock::wall_millis;
use sendwright_store::deliveries::Health;
use sendwright_store::endpoints::Endpoint;
use sendwright_worker::http::{Http, signed};
use sendwright_workflows::clock::rfc3339;
use sendwright_workflows::event::{canonical, is_choice, is_custom};
use sendwright_workflows::ids::{self, Kind};
use sendwright_workflows::webhook::{self, About, SigningSecret};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::time::Duration;
use url::Url;

/// How long a test is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs it.
///
/// # Errors
/// A flag is refused, the webhook is not there, or the database or the URL is not reached.
pub fn run(config: &Config, command: WebhooksCommand) -> Result<(), Failure> {
    open::block_on(async {
        match command {
            WebhooksCommand::List(args) => list(config, &args).await,
            WebhooksCommand::Listen(args) => listen::run(args).await,
            WebhooksCommand::Trigger(args) => match args.to.clone() {
                Some(to) => sample(&args, to).await,
                None => trigger(config, &args).await,
            },
            WebhooksCommand::Test(args) => test(config, &args).await,
            WebhooksCommand::Replay(args) => replay(config, &args).await,
        }
    })
}

fn id(kind: Kind, face: &str) -> Result<i64, Failure> {
    let refused = || Failure::input(vec![format!("{face:?} is no id; `webhooks list` shows webhooks")]);
    ids::parse(kind, face).ok_or_else(refused)
}

fn secret(given: Option<&str>) -> Result<Option<SigningSecret>, Failure> {
    let read = given.map(SigningSecret::parse).transpose();
    read.map_err(|error| Failure::input(vec![format!("--secret: {error}")]))
}

async fn list(config: &Config, args: &ListArgs) -> Result<(), Failure> {
    let (core, account) = open::core_in(config, &args.account).await?;
    let (all, _) = webhooks::list(&core, account.id, Page::first(1_000)).await?;
    let mut rows = Vec::with_capacity(all.len());
    let mut out = io::stdout().lock();
    for endpoint in all {
        let health = webhooks::health(&core, endpoint.id).await?;
        if args.json {
            writeln!(out, "{}", line(&endpoint, &health))?;
        }
        rows.push(row(endpoint, &health));
    }
    let header = ["id", "url", "events", "state", "delivered", "pending", "dead", "last error"];
    if args.json { Ok(()) } else { Ok(table::write(&mut out, &header, &rows)?) }
}

fn rate(health: &Health) -> Option<f64> {
    (health.attempts > 0).then(|| health.successes as f64 / health.attempts as f64)
}

fn line(e: &Endpoint, h: &Health) -> Value {
    json!({"id": e.id, "url": e.url, "events": e.choices(), "state": e.state, "why": e.why,
        "success_rate": rate(h), "median_ms": h.median_ms, "pending": h.pending, "dead": h.dead,
        "last_error": h.last_error.as_ref().map(|(error, _)| error), "created_at": rfc3339(e.created_at)})
}

fn row(e: Endpoint, h: &Health) -> Vec<String> {
    let state = e.why.as_ref().map_or(e.state.clone(), |why| format!("{} ({why})", e.state));
    let share = rate(h).map_or("-".to_owned(), |rate| format!("{:.1} %", rate * 100.0));
    let error = h.last_error.as_ref().map(|(error, _)| error.clone()).unwrap_or_default();
    let (events, pending, dead) = (e.choices().join(","), h.pending.to_string(), h.dead.to_string());
    vec![e.id.to_string(), e.url, events, state, share, pending, dead, error]
}

/// Enters an event of the caller's own in the ledger; the workers deliver it.
async fn trigger(config: &Config, args: &TriggerArgs) -> Result<(), Failure> {
    if !is_custom(&args.event) {
        let text =
            "give --to URL for a sample, or an event of your own: custom. and a-z, 0-9 and _ between dots";
        return Err(Failure::input(vec![text.to_owned()]));
    }
    let data = read_payload(&args.payload)?;
    let (core, account) = open::core_in(config, &args.account).await?;
    let mut work = Work::new(&core, Actor::command(account.id))?;
    let event = events::create(&mut work, &args.event, &data).await?;
    work.commit().await?;
    Ok(writeln!(io::stdout(), "{}", ids::uuid(Kind::Event, event))?)
}

fn read_payload(text: &str) -> Result<String, Failure> {
    match serde_json::from_str(text) {
        Ok(data @ Value::Object(_)) => Ok(data.to_string()),
        Ok(_) => Err(Failure::input(vec!["--payload: must be a JSON object".to_owned()])),
        Err(error) => Err(Failure::input(vec![format!("--payload: {error}")])),
    }
}

/// Sends a signed sample straight to a URL, with the documents' fields where the caller gives none.
async fn sample(args: &TriggerArgs, to: Url) -> Result<(), Failure> {
    if !is_choice(&args.event) || args.event.contains('*') {
        return Err(Failure::input(vec![format!("there is no event {:?}", args.event)]));
    }
    let secrets: Vec<SigningSecret> = secret(args.secret.as_deref())?.into_iter().collect();
    let now = wall_millis();
    let mut data = json!({"subject": "A sample", "sentiment": "positive", "snippet": "A sample"});
    if let (Value::Object(data), Ok(Value::Object(given))) =
        (&mut data, serde_json::from_str(&read_payload(&args.payload)?))
    {
        data.extend(given);
    }
    let about = About {
        event: now,
        kind: canonical(&args.event),
        name: &args.event,
        sequence: None,
        number: None,
        at: now,
        campaign_id: Some("campaign_001".into()),
        business_id: Some("12345".into()),
        business_name: Some("Sample Company"),
        email: Some("sample@example.com"),
        data: &data.to_string(),
    };
    let body = webhook::body(&about).to_string();
    let headers = signed(&secrets, &ids::uuid(Kind::Event, now), now.div_euclid(1_000), body.as_bytes());
    let http = Http::new(true).map_err(|error| Failure::new(error.to_string()))?;
    let answer = http.post(to, headers.unwrap_or_default(), body.into_bytes()).await;
    let answer = answer.map_err(|fault| Failure::unavailable(fault.to_string()))?;
    eprintln!("{} answered {} {}", args.event, answer.status, answer.text);
    if (200..300).contains(&answer.status) { Ok(()) } else { Err(Failure::new("it was not taken")) }
}

async fn test(config: &Config, args: &WebhookArgs) -> Result<(), Failure> {
    let endpoint = id(Kind::Endpoint, &args.id)?;
    let (core, account) = open::core_in(config, &args.account).await?;
    let mut work = Work::new(&core, Actor::command(account.id))?;
    let delivery = webhooks::test(&mut work, endpoint).await?;
    work.commit().await?;
    let Some((listed, attempt)) = webhooks::outcome(&core, endpoint, delivery, PATIENCE).await? else {
        return Err(Failure::unavailable(
            "no answer within 10 s: does a worker run? It is sent once one does",
        ));
    };
    let answer = attempt.answer.unwrap_or_default();
    let how = attempt.error.unwrap_or_else(|| format!("it answered {}", attempt.status.unwrap_or_default()));
    eprintln!("{how} after {} ms {answer}", attempt.duration_ms);
    if listed.state == "delivered" { Ok(()) } else { Err(Failure::new("it was not taken")) }
}

async fn replay(config: &Config, args: &ReplayArgs) -> Result<(), Failure> {
    let endpoint = id(Kind::Endpoint, &args.id)?;
    let from = match (&args.delivery, &args.event, args.since) {
        (Some(face), ..) => webhooks::From::Delivery(id(Kind::Delivery, face)?),
        (_, Some(face), _) => webhooks::From::Event(id(Kind::Event, face)?),
        (.., since) => webhooks::From::Since(since.unwrap_or_default()),
    };
    let (core, account) = open::core_in(config, &args.account).await?;
    let mut work = Work::new(&core, Actor::command(account.id))?;
    let count = webhooks::replay(&mut work, endpoint, from, args.all).await?;
    work.commit().await?;
    eprintln!("{count} deliveries are made again");
    Ok(())
}
