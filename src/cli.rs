//! The command line: every command, every flag, and what help says of them.

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
    /// Leads
    #[command(subcommand)]
    Leads(LeadsCommand),
    /// Sending profiles: who writes, over which server, how fast
    #[command(subcommand)]
    Profile(ProfileCommand),
    /// Messages: list, release or cancel what waits for a person
    #[command(subcommand)]
    Messages(MessagesCommand),
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
    /// Copy the database into a new file, beside a running `up` (SQLite; Postgres has pg_dump)
    Backup {
        /// The file; it must not be there yet
        file: PathBuf,
    },
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

/// `account …`
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Make an account and its owner; prints the account's id
    Create {
        /// Its name, unique
        name: String,
        /// The owner's address
        #[arg(long, value_name = "EMAIL", default_value = "owner@localhost")]
        owner: String,
        /// The zone of contacts and campaigns that have none
        #[arg(long, value_name = "ZONE", default_value = "UTC")]
        timezone: String,
    },
    /// List accounts
    List {
        /// One JSON object a line instead of a table
        #[arg(long)]
        json: bool,
    },
}

/// `user …`
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make a user; prints the user's id
    Create {
        /// Unique in the account
        email: String,
        /// The account
        #[command(flatten)]
        account: AccountArgs,
    },
    /// Disable a user: every key of theirs is answered with 403 from now on
    Disable {
        /// The user's address
        email: String,
        /// The account
        #[command(flatten)]
        account: AccountArgs,
    },
}

/// `key …`
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key; prints it, alone, on stdout: it is shown this once
    Create(KeyCreateArgs),
    /// List keys, without their secrets
    List(ListArgs),
    /// Revoke a key: it opens nothing from now on
    Revoke {
        /// Its id, or the beginning it is listed with
        key: String,
        /// The account
        #[command(flatten)]
        account: AccountArgs,
    },
}

/// `key create`.
#[derive(Debug, Args)]
pub struct KeyCreateArgs {
    /// What people call it
    #[arg(long, value_name = "N")]
    pub name: String,
    /// Its limits: standard (1000 calls an hour, 10 a second) or unlimited
    #[arg(long, value_name = "T", default_value = "standard")]
    pub tier: String,
    /// The account
    #[command(flatten)]
    pub account: AccountArgs,
    /// Whose key it is [default: the account's first user]
    #[arg(long, value_name = "EMAIL")]
    pub user: Option<String>,
    /// What it may do, read or write; repeat it for both [default: everything its user may]
    #[arg(long = "scope", value_name = "S", value_parser = ["read", "write"])]
    pub scopes: Vec<String>,
}

/// `campaign …`
#[derive(Debug, Subcommand)]
pub enum CampaignCommand {
    /// Create a campaign from YAML or JSON, the body of POST /api/v1/campaigns; prints its id
    Create {
        /// The file; - is stdin
        file: PathBuf,
        /// The account
        #[command(flatten)]
        account: AccountArgs,
    },
    /// List campaigns
    List(ListArgs),
    /// Start a campaign, or go on after a pause
    Start(CampaignArgs),
    /// Pause a campaign: nothing of it is handed over until it is started again
    Pause(CampaignArgs),
    /// Where a campaign stands: its counts by state
    Status(CampaignArgs),
}

/// One campaign.
#[derive(Debug, Args)]
pub struct CampaignArgs {
    /// The campaign's id
    pub id: String,
    /// How it is printed, and the account
    #[command(flatten)]
    pub list: ListArgs,
}

/// `leads …`
#[derive(Debug, Subcommand)]
pub enum LeadsCommand {
    /// Import leads and enrol them; bad rows are told by line and do not stop the rest
    Import {
        /// Lead fields by header, any other column an attribute; - is stdin
        csv: PathBuf,
        /// The campaign's id
        #[arg(long, value_name = "N")]
        campaign: String,
        /// The account
        #[command(flatten)]
        account: AccountArgs,
    },
}

/// `profile …`
#[derive(Debug, Subcommand)]
pub enum ProfileCommand {
    /// Create a sending profile; prints its id
    Create(ProfileArgs),
    /// List sending profiles, without their passwords
    List(ListArgs),
}

/// `profile create`.
#[derive(Debug, Args)]
pub struct ProfileArgs {
    /// Its name, unique in the account
    #[arg(long, value_name = "N")]
    pub name: String,
    /// smtp://user:password@host:port [default: the process's own SMTP_URL]; better in the environment, where
    /// no process list shows it
    #[arg(long, value_name = "URL", env = "SENDWRIGHT_PROFILE_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<String>,
    /// Whom mail comes from
    #[arg(long, value_name = "EMAIL")]
    pub from_email: Option<String>,
    /// The sender's name
    #[arg(long, value_name = "NAME")]
    pub from_name: Option<String>,
    /// Where answers go
    #[arg(long, value_name = "EMAIL")]
    pub reply_to: Option<String>,
    /// Most messages in any second
    #[arg(long, value_name = "R")]
    pub per_second: Option<f64>,
    /// Most messages in a clock minute
    #[arg(long, value_name = "N")]
    pub per_minute: Option<u32>,
    /// Most messages in a calendar day
    #[arg(long, value_name = "N")]
    pub per_day: Option<u32>,
    /// The zone that day is counted in
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,
    /// The account
    #[command(flatten)]
    pub account: AccountArgs,
}

/// `messages …`
#[derive(Debug, Subcommand)]
pub enum MessagesCommand {
    /// List messages
    List {
        /// Of this campaign
        #[arg(long, value_name = "N")]
        campaign: Option<String>,
        /// In this state: scheduled, writing, drafted, held, claimed, sending, accepted, delivered, bounced,
        /// complained, failed, uncertain, suppressed or cancelled
        #[arg(long, value_name = "S")]
        state: Option<String>,
        /// How it is printed, and the account
        #[command(flatten)]
        list: ListArgs,
    },
    /// Send a held or uncertain message after all; an uncertain one may arrive twice
    Release(MessageArgs),
    /// Never send a message that waits
    Cancel(MessageArgs),
}

/// One message.
#[derive(Debug, Args)]
pub struct MessageArgs {
    /// The message's id
    pub id: String,
    /// The account
    #[command(flatten)]
    pub account: AccountArgs,
}

/// `suppress …`
#[derive(Debug, Subcommand)]
pub enum SuppressCommand {
    /// Never write to an address again
    Add {
        /// The address
        email: String,
        /// Why: manual, opt_out or complained
        #[arg(long, value_name = "WHY", default_value = "manual", value_parser = ["manual", "opt_out", "complained"])]
        why: String,
        /// The account
        #[command(flatten)]
        account: AccountArgs,
    },
    /// List suppressed addresses, masked
    List(ListArgs),
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

fn instant(text: &str) -> Result<Millis, String> {
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
