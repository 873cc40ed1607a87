//! `recovery …`: what follows a restored backup.

use super::{ListArgs, instant};
use clap::{Args, Subcommand};
use sendwright_workflows::clock::Millis;

/// `recovery …`
#[derive(Debug, Subcommand)]
pub enum RecoveryCommand {
    /// Hold everything, once, before any role starts on a restored backup; safe to repeat
    Begin,
    /// What is held
    Status(ListArgs),
    /// Let what is held go on
    Release(ReleaseArgs),
}

/// `recovery release`.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// One campaign, by its id
    #[arg(long, value_name = "ID", required_unless_present = "all")]
    pub campaign: Option<String>,
    /// Every campaign of the account, or of all accounts where none is named, and test sends
    #[arg(long, conflicts_with = "campaign")]
    pub all: bool,
    /// When the lost database last ran, such as 2026-03-15T09:00:00+01:00: what was planned up to then may have gone
    /// out, is uncertain, and is not sent again
    #[arg(long, value_name = "INSTANT", value_parser = instant, required_unless_present = "again")]
    pub until: Option<Millis>,
    /// Send everything, also what may have gone out since the backup was made
    #[arg(long, conflicts_with = "until")]
    pub again: bool,
    /// The account
    #[arg(long, value_name = "A")]
    pub account: Option<String>,
}
