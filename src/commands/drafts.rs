//! `campaign drafts|approve`: texts before they go.

use super::{campaign, messages, open};
use crate::cli::{AccountArgs, CampaignArgs};
use crate::config::Config;
use crate::failure::Failure;
use sendwright_api::operations::drafts::{self, Draft, Shown};
use sendwright_api::{Actor, Work, shown};
use sendwright_store::Page;
use std::io::{self, Write};

/// Drafts read at once.
const PAGE: i64 = 1_000;

/// Prints a campaign's texts that were not tried yet.
///
/// # Errors
/// There is no such campaign, or the database is not reached.
pub async fn list(config: &Config, args: &CampaignArgs, waiting: bool) -> Result<(), Failure> {
    let id = campaign::id(&args.id)?;
    let (core, account) = open::core_in(config, &args.list.account).await?;
    let which = if waiting { Shown::ForApproval } else { Shown::All };
    let mut out = io::stdout().lock();
    let (mut page, mut seen) = (Page::first(PAGE), 0);
    loop {
        let (found, total) = drafts::list(&core, account.id, id, which, page).await?;
        let Some(last) = found.last() else { break };
        page.after = (last.message.created_at, last.message.id);
        seen += found.len() as i64;
        for draft in &found {
            match args.list.json {
                true => writeln!(out, "{}", shown::draft(draft))?,
                false => write(&mut out, draft)?,
            }
        }
        if seen >= total {
            break;
        }
    }
    if seen == 0 && !args.list.json {
        eprintln!("nothing is drafted; `sendwright campaign generate {id}` has the next texts written");
    }
    Ok(())
}

fn write(out: &mut impl Write, draft: &Draft) -> io::Result<()> {
    let m = &draft.message;
    let state = if draft.waits_for_approval() { "waits for approval" } else { m.state.as_str() };
    writeln!(out, "draft {} to {}, step {}: {state}", m.id, m.address, m.step_number)?;
    let Some((subject, body, writer)) = &draft.text else { return writeln!(out, "  (not written yet)\n") };
    writeln!(out, "  Subject: {subject}   [{writer}]")?;
    body.lines().try_for_each(|line| writeln!(out, "  {line}"))?;
    writeln!(out)
}

/// Approves a campaign's texts: those named, or all that wait.
///
/// # Errors
/// There is no such campaign, or one of those named does not wait.
pub async fn approve(
    config: &Config,
    face: &str,
    named: &[String],
    args: &AccountArgs,
) -> Result<(), Failure> {
    let id = campaign::id(face)?;
    let ids: Vec<i64> = named.iter().map(|face| messages::id(face)).collect::<Result<_, _>>()?;
    let (core, account) = open::core_in(config, args).await?;
    let mut work = Work::new(&core, Actor::command(account.id))?;
    let only = (!ids.is_empty()).then_some(&ids[..]);
    let (approved, others) = drafts::approve_many(&mut work, id, only).await?;
    work.commit().await?;
    eprintln!("{approved} approved");
    let others: Vec<String> = others.into_iter().map(|place| ids[place].to_string()).collect();
    match others.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(format!("these do not wait for approval: {}", others.join(", ")))),
    }
}
