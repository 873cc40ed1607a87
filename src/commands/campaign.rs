//! `campaign create|list|start|pause|status|…`: what POST and GET /api/v1/campaigns do, by hand.

use super::{drafts, future, open, read, runs};
use crate::cli::{AccountArgs, CampaignArgs, CampaignCommand, ListArgs};
use crate::config::{Config, secret};
use crate::failure::Failure;
use crate::table;
use sendwright_api::operations::broadcasts;
use sendwright_api::operations::campaigns::{self, Begin, Counts, Full};
use sendwright_api::{Actor, Core, Work, shown};
use sendwright_store::{Page, campaigns as stored};
use sendwright_workflows::campaign::{Change, State};
use sendwright_workflows::clock::{Millis, rfc3339};
use sendwright_workflows::ids::{self, Kind};
use sendwright_workflows::message;
use sendwright_workflows::spec::CampaignBody;
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::path::Path;

/// States that a list shows: all but what was put away.
const LISTED: [State; 6] =
    [State::Draft, State::Scheduled, State::Running, State::Paused, State::Completed, State::Held];

/// Runs it.
///
/// # Errors
/// The file is refused, the campaign is unknown or cannot be changed so, or the database is not reached.
pub fn run(config: &Config, command: CampaignCommand) -> Result<(), Failure> {
    open::block_on(async {
        match command {
            CampaignCommand::Create { file, account } => create(config, &file, &account).await,
            CampaignCommand::List(args) => list(config, &args).await,
            CampaignCommand::Start(args) => change(config, &args, Change::Start).await,
            CampaignCommand::Pause(args) => change(config, &args, Change::Pause).await,
            CampaignCommand::Status(args) => status(config, &args).await,
            CampaignCommand::Generate(args) => runs::generate(config, &args).await,
            CampaignCommand::Send(args) => runs::send(config, &args).await,
            CampaignCommand::Trigger(args) => trigger(config, &args).await,
            CampaignCommand::Drafts { campaign, waiting } => drafts::list(config, &campaign, waiting).await,
            CampaignCommand::Approve { id, drafts: named, account } => {
                drafts::approve(config, &id, &named, &account).await
            }
            CampaignCommand::Simulate(args) => future::run(config, &args).await,
        }
    })
}

/// Reads a campaign's id as people write it.
///
/// # Errors
/// It is no campaign's id.
pub fn id(face: &str) -> Result<i64, Failure> {
    let refused =
        || Failure::input(vec!["a campaign is named by its id; `campaign list` shows them".to_owned()]);
    ids::parse(Kind::Campaign, face).ok_or_else(refused)
}

async fn create(config: &Config, file: &Path, account: &AccountArgs) -> Result<(), Failure> {
    let name = file.display().to_string();
    let body =
        CampaignBody::from_json(&read::value(file)?).map_err(|errors| Failure::body(&name, &errors))?;
    body.warnings.iter().for_each(|warning| eprintln!("warning: {name}: {warning}"));
    if body.sending_profile.as_ref().is_some_and(|profile| profile.smtp_url.is_some()) {
        secret::load(config)?;
    }
    let (core, account) = open::core_in(config, account).await?;
    let body = broadcasts::settle(&core, account.id, body).await?;
    let mut work = Work::new(&core, Actor::command(account.id))?;
    let made = campaigns::create(&mut work, &body, Begin::Draft).await?.campaign;
    work.commit().await?;
    match made.schedule_at.filter(|_| made.state == State::Scheduled) {
        Some(at) => eprintln!("it begins by itself at {}", rfc3339(at)),
        None => eprintln!("a draft; `sendwright campaign start {}` starts it", made.id),
    }
    Ok(writeln!(io::stdout(), "{}", made.id)?)
}

async fn list(config: &Config, args: &ListArgs) -> Result<(), Failure> {
    let (core, account) = open::core_in(config, &args.account).await?;
    let (all, _) = campaigns::list(&core, account.id, &LISTED, Page::first(100_000)).await?;
    let mut out = io::stdout().lock();
    if args.json {
        for Full { campaign: c, sequence, .. } in &all {
            let line = json!({"id": c.id, "name": c.name, "state": c.state.as_str(), "version": c.version,
                "steps": sequence.steps.len(), "started_at": c.started_at.map(rfc3339),
                "created_at": rfc3339(c.created_at)});
            writeln!(out, "{line}")?;
        }
        return Ok(());
    }
    let rows: Vec<Vec<String>> = all
        .into_iter()
        .map(|Full { campaign: c, sequence, .. }| {
            let state = c.state.as_str().to_owned();
            vec![c.id.to_string(), c.name, state, sequence.steps.len().to_string(), rfc3339(c.created_at)]
        })
        .collect();
    Ok(table::write(&mut out, &["id", "name", "state", "steps", "created"], &rows)?)
}

async fn change(config: &Config, args: &CampaignArgs, change: Change) -> Result<(), Failure> {
    let id = id(&args.id)?;
    let (core, account) = open::core_in(config, &args.list.account).await?;
    let mut work = Work::new(&core, Actor::command(account.id))?;
    let campaign = campaigns::change(&mut work, id, change).await?;
    work.commit().await?;
    if args.list.json {
        return Ok(writeln!(io::stdout(), "{}", json!({"id": id, "state": campaign.state.as_str()}))?);
    }
    match campaign.schedule_at.filter(|_| campaign.state == State::Scheduled) {
        Some(at) => eprintln!("campaign {id} is scheduled: it begins at {}", rfc3339(at)),
        None => eprintln!("campaign {id} is {}", campaign.state.as_str()),
    }
    Ok(())
}

async fn trigger(config: &Config, args: &CampaignArgs) -> Result<(), Failure> {
    let id = id(&args.id)?;
    let (core, account) = open::core_in(config, &args.list.account).await?;
    let mut work = Work::new(&core, Actor::command(account.id))?;
    let done = broadcasts::trigger(&mut work, id).await?;
    work.commit().await?;
    if args.list.json {
        return Ok(writeln!(io::stdout(), "{}", shown::triggered(&done))?);
    }
    let recipients = done.recipients;
    eprintln!("campaign {id} is {}, for an estimated {recipients}", done.campaign.state.as_str());
    match done.run {
        Some(run) => Ok(writeln!(io::stdout(), "{}", run.id)?),
        None => Ok(()),
    }
}

/// Where a campaign stands.
struct Status {
    full: Full,
    counts: Counts,
    /// Messages there will be, if everybody gets every step.
    expected: i64,
    sent: i64,
    next: Option<Millis>,
}

impl Status {
    async fn read(core: &Core, account: i64, id: i64) -> Result<Self, Failure> {
        let full = campaigns::get(core, account, id).await?;
        let counts = campaigns::counts(core, account, id).await?;
        let mut tx = core.store.read().await?;
        let next = stored::next_due(&mut tx, account, id).await?;
        tx.rollback().await?;
        let people: i64 = counts.enrolments.iter().map(|(_, n)| n).sum();
        let steps = full.sequence.steps.iter().filter(|step| step.active).count() as i64;
        let taken = |word: &str| message::State::parse(word).is_some_and(message::State::was_accepted);
        let sent = counts.messages.iter().filter(|(word, _)| taken(word)).map(|(_, n)| n).sum();
        Ok(Self { full, counts, expected: people * steps, sent, next })
    }

    fn json(&self) -> Value {
        let c = &self.full.campaign;
        let object = |rows: &[(String, i64)]| -> Map<String, Value> {
            rows.iter().map(|(state, n)| (state.clone(), (*n).into())).collect()
        };
        json!({"id": c.id, "name": c.name, "state": c.state.as_str(), "version": c.version, "round": c.round,
            "enrolments": object(&self.counts.enrolments), "messages": object(&self.counts.messages),
            "expected": self.expected, "sent": self.sent, "next_due": self.next.map(rfc3339)})
    }
}

async fn status(config: &Config, args: &CampaignArgs) -> Result<(), Failure> {
    let id = id(&args.id)?;
    let (core, account) = open::core_in(config, &args.list.account).await?;
    let status = Status::read(&core, account.id, id).await?;
    let mut out = io::stdout().lock();
    if args.list.json {
        return Ok(writeln!(out, "{}", status.json())?);
    }
    let campaign = &status.full.campaign;
    writeln!(out, "{} ({id}) is {}", campaign.name, campaign.state.as_str())?;
    writeln!(out, "people     {}", counted(&status.counts.enrolments, "nobody is enrolled"))?;
    writeln!(out, "messages   {}", counted(&status.counts.messages, "none yet"))?;
    writeln!(out, "progress   {} of {} sent", status.sent, status.expected)?;
    let now = core.now()?;
    let next = match (status.next, campaign.state) {
        (None, _) => "nothing".to_owned(),
        (Some(at), State::Running) if at <= now => "now".to_owned(),
        (Some(at), State::Running) => rfc3339(at),
        (Some(_), state) => format!("nothing while it is {}", state.as_str()),
    };
    Ok(writeln!(out, "next due   {next}")?)
}

fn counted(rows: &[(String, i64)], none: &str) -> String {
    match rows.iter().map(|(state, n)| format!("{n} {state}")).collect::<Vec<_>>() {
        rows if rows.is_empty() => none.to_owned(),
        rows => rows.join(", "),
    }
}
