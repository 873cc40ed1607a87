//! `users list|import|consent`: people by their numbers.

use super::open;
use crate::cli::{AccountArgs, ConsentArgs, ListArgs, UsersCommand};
use crate::config::Config;
use crate::failure::Failure;
use crate::table;
use sendwright_api::operations::imports::{self, Begun, Known, Whom};
use sendwright_api::operations::{suppressions, users};
use sendwright_api::{Actor, Work};
use sendwright_store::Page;
use sendwright_workflows::clock::rfc3339;
use sendwright_workflows::consent::State;
use sendwright_workflows::phone::{EXPECTED, Phone};
use sendwright_workflows::sequence::Channel;
use sendwright_workflows::spec::{Evidence, UserBody};
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::path::Path;

/// Runs it.
///
/// # Errors
/// The input is refused, or the database is not reached.
pub fn run(config: &Config, command: UsersCommand) -> Result<(), Failure> {
    open::block_on(async {
        match command {
            UsersCommand::List { consent, list: args } => list(config, consent.as_deref(), &args).await,
            UsersCommand::Import { file, account } => import(config, &file, &account).await,
            UsersCommand::Consent(args) => consent(config, args).await,
        }
    })
}

async fn list(config: &Config, consent: Option<&str>, args: &ListArgs) -> Result<(), Failure> {
    let consent = consent.and_then(State::parse);
    let (core, account) = open::core_in(config, &args.account).await?;
    let mut out = io::stdout().lock();
    let mut page = Page::first(1_000);
    let mut rows = Vec::new();
    loop {
        let (found, _) = users::list(&core, account.id, consent, page).await?;
        let Some(last) = found.last() else { break };
        page.after = (last.contact.created_at, last.contact.id);
        for user in found {
            let (contact, phone) = (&user.contact, user.contact.details.phone_key.clone());
            let attributes = Value::Object(users::attributes(&contact.details));
            let said = user.said_at.map(rfc3339);
            if args.json {
                let line = json!({"id": contact.id, "phone_e164": phone, "consent_state": contact.consent,
                    "consent_updated_at": said, "attributes": attributes, "created_at": rfc3339(contact.created_at)});
                writeln!(out, "{line}")?;
            } else {
                let cells = [phone, contact.consent.clone(), said, Some(attributes.to_string())];
                let cells = cells.into_iter().map(Option::unwrap_or_default);
                rows.push([contact.id.to_string()].into_iter().chain(cells).collect());
            }
        }
    }
    if !args.json {
        table::write(&mut out, &["id", "phone", "consent", "since", "attributes"], &rows)?;
    }
    Ok(())
}

/// A second run of the same file changes nothing: who is there is there.
async fn import(config: &Config, file: &Path, account: &AccountArgs) -> Result<(), Failure> {
    let (core, account) = open::core_in(config, account).await?;
    let begun = imports::begin(&core, Actor::command(account.id), Whom::Users, Known::New).await?;
    let Begun::Upload(mut upload) = begun else { return Ok(()) };
    super::import::take(&mut upload, file).await?;
    let done = upload.import();
    eprintln!(
        "{} rows: {} new users, {} known; {} refused",
        done.processed, done.created, done.updated, done.errors
    );
    super::import::check(done)
}

async fn consent(config: &Config, args: ConsentArgs) -> Result<(), Failure> {
    let refused = |line: String| Failure::input(vec![line]);
    let phone =
        Phone::parse(&args.phone).map_err(|error| refused(format!("{error}: expected {EXPECTED}")))?;
    let state = State::parse(&args.said);
    let evidence = match (args.wording, args.source, args.at) {
        (Some(wording), Some(source), Some(at)) => Some(Evidence { wording, source, at }),
        _ => None,
    };
    let channel = args.channel.as_deref().and_then(Channel::parse);
    let body = UserBody { phone, consent: state, channel, evidence, attributes: Map::new() };
    let (core, account) = open::core_in(config, &args.account).await?;
    let mut work = Work::new(&core, Actor::command(account.id))?;
    let user = users::change(&mut work, &body).await?;
    work.commit().await?;
    suppressions::settle(&core, account.id, &users::forbidden(&body, &user)).await;
    let stands = user.contact.consent.unwrap_or_else(|| "nothing".into());
    eprintln!("{}: {stands}", body.phone.as_str());
    Ok(())
}
