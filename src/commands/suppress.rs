//! `suppress add|list`: addresses that are never written to.

use super::open;
use crate::cli::{AccountArgs, ListArgs, SuppressCommand};
use crate::config::Config;
use crate::failure::Failure;
use crate::table;
use sendwright_api::operations::messages::Recipient;
use sendwright_api::operations::suppressions;
use sendwright_api::{Actor, Work};
use sendwright_store::Page;
use sendwright_workflows::address::Email;
use sendwright_workflows::clock::rfc3339;
use sendwright_workflows::phone::Phone;
use serde_json::json;
use std::io::{self, Write};

/// Runs it.
///
/// # Errors
/// The address does not read, or the database is not reached.
pub fn run(config: &Config, command: SuppressCommand) -> Result<(), Failure> {
    open::block_on(async {
        match command {
            SuppressCommand::Add { address, why, account } => add(config, &address, &why, &account).await,
            SuppressCommand::List(args) => list(config, &args).await,
        }
    })
}

/// Once it returns, no hand-over to the address begins.
async fn add(config: &Config, address: &str, why: &str, account: &AccountArgs) -> Result<(), Failure> {
    let address = recipient(address).map_err(|error| Failure::input(vec![error]))?;
    let (core, account) = open::core_in(config, account).await?;
    let mut work = Work::new(&core, Actor::command(account.id))?;
    let stored = suppressions::add(&mut work, &address, why).await?;
    work.commit().await?;
    suppressions::settle(&core, account.id, std::slice::from_ref(&stored.address_hash)).await;
    eprintln!("{} is not written to from now on", stored.hint);
    Ok(())
}

/// A number where it begins with a plus, an e-mail address otherwise.
fn recipient(text: &str) -> Result<Recipient, String> {
    match text.starts_with('+') {
        true => Phone::parse(text)
            .map(Recipient::Phone)
            .map_err(|error| format!("{error}: E.164 is expected, such as +14155551234")),
        false => Email::parse(text).map(Recipient::Email).map_err(|error| error.to_string()),
    }
}

async fn list(config: &Config, args: &ListArgs) -> Result<(), Failure> {
    let (core, account) = open::core_in(config, &args.account).await?;
    let mut out = io::stdout().lock();
    let mut page = Page::first(1_000);
    let mut rows = Vec::new();
    loop {
        let (found, _) = suppressions::list(&core, account.id, page).await?;
        let Some(last) = found.last() else { break };
        page.after = (last.created_at, last.id);
        for s in found {
            let at = rfc3339(s.created_at);
            if args.json {
                let line = json!({"id": s.id, "channel": s.channel, "hint": s.hint, "why": s.why,
                    "source": s.source, "created_at": at});
                writeln!(out, "{line}")?;
            } else {
                rows.push(vec![s.id.to_string(), s.channel, s.hint, s.why, s.source, at]);
            }
        }
    }
    if !args.json {
        table::write(&mut out, &["id", "channel", "address", "why", "source", "since"], &rows)?;
    }
    Ok(())
}
