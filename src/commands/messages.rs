//! `messages list|release|cancel`: what waits for a person, and what a person decides.

use super::{campaign, open};
use crate::cli::{ListArgs, MessageArgs, MessagesCommand};
use crate::config::Config;
use crate::failure::Failure;
use crate::table;
use sendwright_api::operations::messages::{self, Filter};
use sendwright_api::{Actor, Core, Work};
use sendwright_store::Page;
use sendwright_store::messages::Message;
use sendwright_workflows::clock::rfc3339;
use sendwright_workflows::ids::{self, Kind};
use sendwright_workflows::message::State;
use sendwright_workflows::rate_limit::slot_millis;
use sendwright_workflows::reason::Reason;
use serde_json::{Value, json};
use std::io::{self, Write};

/// Messages read at once; a table of more is begun anew with its own widths.
const PAGE: i64 = 1_000;

/// Runs it.
///
/// # Errors
/// The state or the message is unknown, its state forbids it, or the database is not reached.
pub fn run(config: &Config, command: MessagesCommand) -> Result<(), Failure> {
    open::block_on(async {
        match command {
            MessagesCommand::List { campaign, state, list } => {
                let filter = filter(campaign.as_deref(), state.as_deref())?;
                let (core, account) = open::core_in(config, &list.account).await?;
                print(&core, account.id, filter, &list).await
            }
            MessagesCommand::Release(args) => decide(config, &args, true).await,
            MessagesCommand::Cancel(args) => decide(config, &args, false).await,
        }
    })
}

fn filter(campaign: Option<&str>, state: Option<&str>) -> Result<Filter, Failure> {
    let unknown = || {
        let words = State::ALL.map(State::as_str).join(", ");
        Failure::input(vec![format!("--state must be one of {words}")])
    };
    let state = state.map(|word| State::parse(&word.to_lowercase()).ok_or_else(unknown)).transpose()?;
    Ok(Filter { state, campaign: campaign.map(campaign::id).transpose()? })
}

/// Reads a message's id as people write it.
///
/// # Errors
/// It is no message's id.
pub fn id(face: &str) -> Result<i64, Failure> {
    let refused =
        || Failure::input(vec!["a message is named by its id; `messages list` shows them".to_owned()]);
    ids::parse(Kind::Message, face).ok_or_else(refused)
}

async fn print(core: &Core, account: i64, filter: Filter, args: &ListArgs) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let mut page = Page::first(PAGE);
    loop {
        let (found, _) = messages::list(core, account, filter, page).await?;
        let Some(last) = found.last() else { return Ok(()) };
        page.after = (last.created_at, last.id);
        if args.json {
            found.iter().try_for_each(|message| writeln!(out, "{}", line(message)))?;
        } else {
            let header = ["id", "campaign", "step", "to", "state", "at", "why"];
            table::write(&mut out, &header, &found.iter().map(row).collect::<Vec<_>>())?;
        }
    }
}

fn line(m: &Message) -> Value {
    json!({"id": m.id, "kind": m.kind, "campaign_id": m.campaign_id, "step": m.step_number, "to": m.address,
        "state": m.state, "planned_at": m.planned().map(rfc3339),
        "slot": m.slot.map(|slot| rfc3339(slot_millis(slot))), "attempts": m.attempts,
        "reasons": m.reasons(), "accepted_at": m.accepted_at.map(rfc3339)})
}

fn row(m: &Message) -> Vec<String> {
    let at = m.accepted_at.or(m.planned()).map_or("-".into(), rfc3339);
    // What moved a message that is out by now is for `explain`.
    let why = m.reasons().last().filter(|_| !m.state().was_accepted()).map(Reason::code);
    let campaign = if m.is_step() { m.campaign_id.to_string() } else { m.kind.clone() };
    let (step, address) = (m.step_number.to_string(), m.address.clone());
    vec![m.id.to_string(), campaign, step, address, m.state.clone(), at, why.unwrap_or_default()]
}

async fn decide(config: &Config, args: &MessageArgs, release: bool) -> Result<(), Failure> {
    let id = id(&args.id)?;
    let (core, account) = open::core_in(config, &args.account).await?;
    let mut work = Work::new(&core, Actor::command(account.id))?;
    let message = match release {
        true => messages::release(&mut work, id).await?,
        false => messages::cancel(&mut work, id).await?,
    };
    work.commit().await?;
    eprintln!("message {id} is {}", message.state);
    Ok(())
}
