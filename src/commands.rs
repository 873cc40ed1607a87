//! One file per command; this one says which is which.

mod account;
mod doctor;
mod key;
mod migrate;
mod open;
mod preview;
mod read;
mod simulate;

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
        // These two need no configuration: they read two files and ask the planner.
        Command::Simulate(args) => simulate::run(&args),
        Command::Preview(args) => preview::run(&args),
        Command::Migrate => migrate::run(&load(&sources, Role::Command, over)?),
        Command::Doctor(args) if args.send_to.is_none() => doctor::run(&load(&sources, Role::Command, over)?),
        Command::Account(command) => account::account(&load(&sources, Role::Command, over)?, command),
        Command::User(command) => account::user(&load(&sources, Role::Command, over)?, command),
        Command::Key(command) => key::run(&load(&sources, Role::Command, over)?, command),
        _ => Err(Failure::new("this build does not have this command")),
    }
}

/// Reads the configuration and starts logging by it.
fn load(sources: &Sources, role: Role, over: Overrides) -> Result<Config, Failure> {
    let config = Config::load(sources, role, over).map_err(Failure::config)?;
    telemetry::start(&config.log, role == Role::Command);
    Ok(config)
}
