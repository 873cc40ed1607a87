//! The command line: every command, every flag, and what help says of them.

mod nouns;
mod recovery;
mod users;
mod webhooks;

pub use nouns::{
    AccountCommand, CampaignArgs, CampaignCommand, CampaignFutureArgs, KeyCommand, KeyCreateArgs,
    LeadsCommand, MessageArgs, MessagesCommand, ProfileArgs, ProfileCommand, RunsCommand, SuppressCommand,
    UserCommand,
};

pub use recovery::{RecoveryCommand, ReleaseArgs};
pub use users::{ConsentArgs, ConsentsCommand, UsersCommand};
pub use webhooks::{ListenArgs, ReplayArgs, TriggerArgs, WebhookArgs, WebhooksCommand};

use crate::failure::EXIT_CODES;
use clap::{Args, Parser, Subcommand};
use sendwright_queue::Lane;
use sendwright_workflows::clock::{Millis, parse_rfc3339};
use sendwright_workflows::reason::Reason;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A self-hosted outreach engine: sequences of steps go out by e-mail, every message at most once, every event
/// recorded.
///
/// Output for machines goes to stdout, everything for people to stderr. Settings come from the environment, a
/// file, and compiled-in defaults; the README lists them.
#[derive(Debug, Parser)]
#[command(name = "sendwright", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// Settings, in TOML; environment variables win over it [env: SENDWRIGHT_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The data directory: SQLite file, journal, secret
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// Everything `sendwright` does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in one process: API, workers, scheduler, mailbox
    Up(UpArgs),
    /// Run the API alone
    Api(BindArgs),
    /// Run a worker: plan, write, send
    Worker(WorkerArgs),
    /// Run the scheduler: offer what the database says is due
    Scheduler,
    /// Bring the database's schema to this program's version
    Migrate,
    /// Check the configuration and every dependency, and say what to do
    Doctor(DoctorArgs),
    /// Accounts: each is a tenant with its own rows
    #[command(subcommand)]
    Account(AccountCommand),
    /// The people who own keys
    #[command(subcommand)]
    User(UserCommand),
    /// API keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Campaigns: create from a file, start, pause, look at
    #[command(subcommand)]
    Campaign(CampaignCommand),
    /// Runs: what was asked of a whole campaign, and how far it is
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Leads
    #[command(subcommand)]
    Leads(LeadsCommand),
    /// People by their numbers, and what they said of SMS and WhatsApp
    #[command(subcommand)]
    Users(UsersCommand),
    /// The ledger of consent: export it, and check that it is whole
    #[command(subcommand)]
    Consents(ConsentsCommand),
    /// Sending profiles: who writes, over which server, how fast
    #[command(subcommand)]
    Profile(ProfileCommand),
    /// Messages: list, release or cancel what waits for a person
    #[command(subcommand)]
    Messages(MessagesCommand),
    /// Webhooks: list and test them, listen for them, send a sample, replay
    #[command(subcommand)]
    Webhooks(WebhooksCommand),
    /// Addresses that are never written to
    #[command(subcommand)]
    Suppress(SuppressCommand),
    /// Show the texts of a campaign for one lead; nothing is stored or sent
    Preview(PreviewArgs),
    /// Print every future message of a campaign; nothing is stored or sent
    #[command(after_help = simulate_help())]
    Simulate(SimulateArgs),
    /// Why a message went, waits or was held, and when it is looked at next
    Explain(ExplainArgs),
    /// Print the OpenAPI document of the API
    Openapi(OpenapiArgs),
    /// Copy the database into a new file, beside a running `up` (SQLite; Postgres has pg_dump)
    Backup {
        /// The file; it must not be there yet
        file: PathBuf,
    },
    /// A restored backup: hold everything that may have gone out since it was made, and release it
    #[command(subcommand)]
    Recovery(RecoveryCommand),
}

/// Where to listen.
#[derive(Debug, Args)]
pub struct BindArgs {
    /// Where the API listens
    #[arg(long, value_name = "HOST:PORT")]
    pub bind: Option<SocketAddr>,
}

/// `up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Where the API listens
    #[command(flatten)]
    pub listen: BindArgs,
    /// Load a sample campaign and follow it; ignores SMTP_*, OPENAI_*, TWILIO_*, DATABASE_URL and REDIS_URL,
    /// so that nobody is ever mailed
    #[arg(long)]
    pub demo: bool,
}

/// `worker`.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// The lanes to work on: plan, write, mail, sms, deliver, sequence, import, inbound [default: all]
    #[arg(long, value_name = "LANES", value_delimiter = ',')]
    pub lanes: Vec<Lane>,
    /// Most jobs of a lane at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub concurrency: Option<u32>,
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Send one test message to this address over the configured transport
    #[arg(long, value_name = "ME")]
    pub send_to: Option<String>,
}

/// The account a command works in.
#[derive(Debug, Args)]
pub struct AccountArgs {
    /// The account's name; needed where there are several
    #[arg(long, value_name = "A")]
    pub account: Option<String>,
}

/// How a list is printed.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The account
    #[command(flatten)]
    pub account: AccountArgs,
    /// One JSON object a line instead of a table
    #[arg(long)]
    pub json: bool,
}

/// `preview`.
#[derive(Debug, Args)]
pub struct PreviewArgs {
    /// The campaign, YAML or JSON
    #[arg(long, value_name = "FILE")]
    pub campaign: PathBuf,
    /// The lead's address
    #[arg(long, value_name = "EMAIL")]
    pub lead: String,
    /// Where the lead's fields are [default: an address is all that is known of the lead]
    #[arg(long, value_name = "CSV")]
    pub leads: Option<PathBuf>,
}

/// `simulate`.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// The campaign, YAML or JSON: the body of POST /api/v1/campaigns
    #[arg(long, value_name = "FILE")]
    pub campaign: PathBuf,
    /// Lead fields by header, any other column an attribute; `timezone` is the lead's zone
    #[arg(long, value_name = "CSV")]
    pub leads: PathBuf,
    /// When everybody is enrolled: RFC 3339 with an offset [default: now]
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub from: Option<Millis>,
    /// How many days to look ahead
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3660))]
    pub days: u32,
    /// One object a line: {"email","step","at","local","reasons":[…]}
    #[arg(long)]
    pub json: bool,
}

/// `openapi`.
#[derive(Debug, Args)]
pub struct OpenapiArgs {
    /// For tools that read OpenAPI 3.0 [default: 3.1]
    #[arg(long = "3.0")]
    pub older: bool,
    /// A Postman collection instead
    #[arg(long, conflicts_with = "older")]
    pub postman: bool,
}

/// `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A message's id, or a lead's address
    #[arg(value_name = "MESSAGE-OR-LEAD")]
    pub of: String,
    /// How it is printed, and the account
    #[command(flatten)]
    pub list: ListArgs,
}

pub(crate) fn instant(text: &str) -> Result<Millis, String> {
    parse_rfc3339(text)
        .ok_or_else(|| "write it with its offset, such as 2026-03-15T09:00:00+01:00".to_owned())
}

fn simulate_help() -> String {
    let mut text = "Reasons that move, hold or stop a message:\n".to_owned();
    for (code, meaning) in Reason::CODES {
        text.push_str(&format!("  {code:<21} {meaning}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_has_no_contradiction() {
        Cli::command().debug_assert();
    }
}
