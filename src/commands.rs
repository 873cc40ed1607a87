//! One file per command; this one says which is which.

mod account;
mod api;
mod backup;
mod campaign;
mod consents;
mod doctor;
mod drafts;
mod explain;
mod future;
mod import;
pub mod key;
mod leads;
mod messages;
mod migrate;
mod open;
mod openapi;
mod preview;
mod profile;
pub mod read;
mod recovery;
mod runs;
mod scheduler;
mod simulate;
mod suppress;
mod up;
mod users;
mod webhooks;
mod worker;

use crate::cli::{Cli, Command};
use crate::config::{Config, Overrides, Role, Sources};
use crate::failure::Failure;
use crate::telemetry;

/// Runs what the command line asks for.
///
/// # Errors
/// Why it did not succeed, with its exit code.
pub fn run(cli: Cli) -> Result<(), Failure> {
    let sources = Sources::of_process(cli.config);
    let over = Overrides { data: cli.data, ..Overrides::default() };
    match cli.command {
        // These three need no configuration: they read files, ask the planner, or print what is compiled in.
        Command::Simulate(args) => simulate::run(&args),
        Command::Preview(args) => preview::run(&args),
        Command::Openapi(args) => openapi::run(&args),
        Command::Up(args) => {
            let (role, bind) = (Role::Up { demo: args.demo }, args.listen.bind);
            up::run(&load(&sources, role, Overrides { bind, ..over })?, args.demo)
        }
        Command::Api(args) => api::run(&load(&sources, Role::Part, Overrides { bind: args.bind, ..over })?),
        Command::Worker(args) => {
            let over = Overrides { lanes: args.lanes, concurrency: args.concurrency, ..over };
            worker::run(&load(&sources, Role::Part, over)?)
        }
        Command::Scheduler => scheduler::run(&load(&sources, Role::Part, over)?),
        Command::Migrate => migrate::run(&load(&sources, Role::Command, over)?),
        Command::Doctor(args) => doctor::run(&load(&sources, Role::Command, over)?, args.send_to.as_deref()),
        Command::Account(command) => account::account(&load(&sources, Role::Command, over)?, command),
        Command::User(command) => account::user(&load(&sources, Role::Command, over)?, command),
        Command::Key(command) => key::run(&load(&sources, Role::Command, over)?, command),
        Command::Campaign(command) => campaign::run(&load(&sources, Role::Command, over)?, command),
        Command::Runs(command) => runs::run(&load(&sources, Role::Command, over)?, command),
        Command::Leads(command) => leads::run(&load(&sources, Role::Command, over)?, command),
        Command::Users(command) => users::run(&load(&sources, Role::Command, over)?, command),
        Command::Consents(command) => consents::run(&load(&sources, Role::Command, over)?, command),
        Command::Profile(command) => profile::run(&load(&sources, Role::Command, over)?, command),
        Command::Suppress(command) => suppress::run(&load(&sources, Role::Command, over)?, command),
        Command::Webhooks(command) => webhooks::run(&load(&sources, Role::Command, over)?, command),
        Command::Backup { file } => backup::run(&load(&sources, Role::Command, over)?, &file),
        Command::Recovery(command) => recovery::run(&load(&sources, Role::Command, over)?, &command),
        Command::Messages(command) => messages::run(&load(&sources, Role::Command, over)?, command),
        Command::Explain(args) => explain::run(&load(&sources, Role::Command, over)?, &args),
    }
}

/// Reads the configuration and starts logging by it.
fn load(sources: &Sources, role: Role, over: Overrides) -> Result<Config, Failure> {
    let config = Config::load(sources, role, over).map_err(Failure::config)?;
    // A demo is watched by its progress: what it logs would run through it.
    telemetry::start(&config.log, matches!(role, Role::Command | Role::Up { demo: true }));
    Ok(config)
}
