//! `campaign generate|send` and `runs status|list`: what is asked of a whole campaign, and how far it is.

use super::{campaign, open};
use crate::cli::{CampaignArgs, ListArgs, RunsCommand};
use crate::config::Config;
use crate::failure::Failure;
use crate::table;
use sendwright_api::operations::runs::{self, Progress};
use sendwright_api::{Actor, Work, shown};
use sendwright_store::Page;
use sendwright_workflows::clock::rfc3339;
use sendwright_workflows::ids::{self, Kind};
use std::io::{self, Write};

/// Runs of a list.
const MOST: i64 = 1_000;

/// Runs `runs …`.
///
/// # Errors
/// There is no such run, or the database is not reached.
pub fn run(config: &Config, command: RunsCommand) -> Result<(), Failure> {
    open::block_on(async {
        match command {
            RunsCommand::Status(args) => status(config, &args).await,
            RunsCommand::List { campaign, list } => all(config, campaign.as_deref(), &list).await,
        }
    })
}

/// Has everybody's next text written; prints the run's id.
///
/// # Errors
/// There is no such campaign, or the database is not reached.
pub async fn generate(config: &Config, args: &CampaignArgs) -> Result<(), Failure> {
    let id = campaign::id(&args.id)?;
    let (core, account) = open::core_in(config, &args.list.account).await?;
    let mut work = Work::new(&core, Actor::command(account.id))?;
    let progress = runs::generate(&mut work, id).await?;
    work.commit().await?;
    tell(&progress, args.list.json, "texts are written by the workers; nothing is sent")
}

/// Starts a campaign and follows its round; prints the run's id.
///
/// # Errors
/// There is no such campaign, or the database is not reached.
pub async fn send(config: &Config, args: &CampaignArgs) -> Result<(), Failure> {
    let id = campaign::id(&args.id)?;
    let (core, account) = open::core_in(config, &args.list.account).await?;
    let mut work = Work::new(&core, Actor::command(account.id))?;
    let (started, progress) = runs::send(&mut work, id).await?;
    work.commit().await?;
    tell(&progress, args.list.json, &format!("campaign {id} is {}", started.state.as_str()))
}

fn tell(progress: &Progress, json: bool, words: &str) -> Result<(), Failure> {
    if json {
        return Ok(writeln!(io::stdout(), "{}", shown::run(progress))?);
    }
    eprintln!("{words}; `sendwright runs status {}` shows how far it is", progress.run.id);
    Ok(writeln!(io::stdout(), "{}", progress.run.id)?)
}

async fn status(config: &Config, args: &CampaignArgs) -> Result<(), Failure> {
    let refused = || Failure::input(vec!["a run is named by its id; `runs list` shows them".to_owned()]);
    let id = ids::parse(Kind::Run, &args.id).ok_or_else(refused)?;
    let (core, account) = open::core_in(config, &args.list.account).await?;
    let progress = runs::get(&core, account.id, id).await?;
    let mut out = io::stdout().lock();
    if args.list.json {
        return Ok(writeln!(out, "{}", shown::run(&progress))?);
    }
    let run = &progress.run;
    writeln!(out, "run {id} ({}) of campaign {} is {}", run.kind, run.campaign_id, run.state)?;
    writeln!(out, "progress   {} of {}", progress.done.0, progress.done.1)?;
    for (name, count) in
        progress.counts.as_object().into_iter().flatten().filter(|(name, _)| *name != "total")
    {
        writeln!(out, "{name:<10} {count}")?;
    }
    writeln!(out, "pace       {:.1} a minute", progress.per_minute)?;
    let (word, end) =
        if run.ended_at.is_some() { ("ended", run.ended_at) } else { ("end", progress.ends_at) };
    Ok(writeln!(out, "{word:<10} {}", end.map_or_else(|| "not known yet".to_owned(), rfc3339))?)
}

async fn all(config: &Config, of: Option<&str>, args: &ListArgs) -> Result<(), Failure> {
    let of = of.map(campaign::id).transpose()?;
    let (core, account) = open::core_in(config, &args.account).await?;
    let (found, _) = runs::list(&core, account.id, of, Page::first(MOST)).await?;
    let mut out = io::stdout().lock();
    if args.json {
        for progress in &found {
            writeln!(out, "{}", shown::run(progress))?;
        }
        return Ok(());
    }
    let row = |p: &Progress| {
        let (run, (done, of)) = (&p.run, p.done);
        let ids = [run.id.to_string(), run.campaign_id.to_string()];
        [
            ids.as_slice(),
            &[run.kind.clone(), run.state.clone(), format!("{done} of {of}"), rfc3339(run.created_at)],
        ]
        .concat()
    };
    let rows: Vec<Vec<String>> = found.iter().map(row).collect();
    Ok(table::write(&mut out, &["id", "campaign", "kind", "state", "progress", "created"], &rows)?)
}
