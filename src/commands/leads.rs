//! `leads import`: a file of any length into a campaign, chunk by chunk in the order of its rows.

use super::{campaign, import, open};
use crate::cli::LeadsCommand;
use crate::config::Config;
use crate::failure::Failure;
use sendwright_api::operations::campaigns;
use sendwright_api::operations::imports::{self, Begun, Known, Whom};
use sendwright_api::{Actor, Refusal};
use sendwright_workflows::campaign::State;

/// Runs it. Who is there already is enrolled: a second run of the same file, or of one that was cut short, does no harm.
///
/// # Errors
/// The header is refused, the campaign is unknown, no row is good, or the database is not reached.
pub fn run(config: &Config, command: LeadsCommand) -> Result<(), Failure> {
    let LeadsCommand::Import { csv, campaign, account } = command;
    open::block_on(async {
        let campaign = campaign::id(&campaign)?;
        let (core, account) = open::core_in(config, &account).await?;
        let found = campaigns::get(&core, account.id, campaign).await?.campaign;
        if found.state == State::Archived {
            return Err(Refusal::no_campaign(campaign).into());
        }
        let whom = Whom::Leads { campaign };
        let begun = imports::begin(&core, Actor::command(account.id), whom, Known::New).await?;
        let Begun::Upload(mut upload) = begun else { return Ok(()) };
        import::take(&mut upload, &csv).await?;
        let (done, (enrolled, suppressed)) = (upload.import(), upload.enrolled());
        eprintln!(
            "{} rows: {} new leads, {} known; {enrolled} enrolled; {} refused",
            done.processed, done.created, done.updated, done.errors
        );
        if suppressed > 0 {
            eprintln!("{suppressed} of them are suppressed: nothing will be sent to them");
        }
        if found.state == State::Draft {
            eprintln!("the campaign is a draft; `sendwright campaign start {campaign}` starts it");
        }
        import::check(done)
    })
}
