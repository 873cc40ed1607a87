//! The nouns of the command line, with what can be done to each.

use super::{AccountArgs, ListArgs};
use clap::{Args, Subcommand};
use sendwright_workflows::clock::Millis;
use std::path::PathBuf;

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
    /// Set what an account's texts may cost, in the currency of the model's prices; without an amount, say where it
    /// stands
    Cap {
        /// The most that may be spent, or none
        #[arg(value_name = "AMOUNT|none")]
        amount: Option<String>,
        /// What it is counted over: total, monthly or daily, in the account's zone; as before where it is not given
        #[arg(long, value_name = "PERIOD", requires = "amount", value_parser = ["total", "monthly", "daily"])]
        period: Option<String>,
        /// The account
        #[command(flatten)]
        account: AccountArgs,
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
    /// Its limits: standard (100 calls a minute; external 1000 an hour, 10 a second) or unlimited
    #[arg(long, value_name = "T", default_value = "standard")]
    pub tier: String,
    /// The account
    #[command(flatten)]
    pub account: AccountArgs,
    /// Whose key it is [default: the account's first user]
    #[arg(long, value_name = "EMAIL")]
    pub user: Option<String>,
    /// What it may do, such as leads:read, or read for every noun; repeat it [default: everything its user may]
    #[arg(long = "scope", value_name = "S")]
    pub scopes: Vec<String>,
    /// A test key: its messages only ever go to the mailbox
    #[arg(long)]
    pub test: bool,
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
    /// Have everybody's next text written, without sending any; prints the run's id
    Generate(CampaignArgs),
    /// Start a campaign and follow its round; prints the run's id
    Send(CampaignArgs),
    /// Start a campaign at once and enrol who is in its segment; prints the run's id
    Trigger(CampaignArgs),
    /// Show the texts that were not sent yet
    Drafts {
        /// The campaign
        #[command(flatten)]
        campaign: CampaignArgs,
        /// Only those that wait for approval
        #[arg(long)]
        waiting: bool,
    },
    /// Approve texts: those named, or all that wait
    Approve {
        /// The campaign's id
        id: String,
        /// Drafts, by their ids
        drafts: Vec<String>,
        /// The account
        #[command(flatten)]
        account: AccountArgs,
    },
    /// Print every future message of a stored campaign; nothing is stored or sent
    Simulate(CampaignFutureArgs),
}

/// `campaign simulate`.
#[derive(Debug, Args)]
pub struct CampaignFutureArgs {
    /// The campaign
    #[command(flatten)]
    pub campaign: CampaignArgs,
    /// From when to look: RFC 3339 with an offset [default: now]
    #[arg(long, value_name = "INSTANT", value_parser = super::instant)]
    pub from: Option<Millis>,
    /// How many days to look ahead
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3660))]
    pub days: u32,
}

/// `runs …`
#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// How far a run is
    Status(CampaignArgs),
    /// List runs
    List {
        /// Of this campaign
        #[arg(long, value_name = "N")]
        campaign: Option<String>,
        /// How it is printed, and the account
        #[command(flatten)]
        list: ListArgs,
    },
}

/// One campaign, or one run.
#[derive(Debug, Args)]
pub struct CampaignArgs {
    /// Its id
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
    Create(Box<ProfileArgs>),
    /// List sending profiles, without their passwords
    List(ListArgs),
}

/// `profile create`.
#[derive(Debug, Args)]
pub struct ProfileArgs {
    /// Its name, unique in the account
    #[arg(long, value_name = "N")]
    pub name: String,
    /// email, sms or whatsapp
    #[arg(long, value_name = "C", default_value = "email")]
    pub channel: String,
    /// The number that sends, such as +14155550100, of a profile for sms or whatsapp
    #[arg(long, value_name = "NUMBER")]
    pub from_phone: Option<String>,
    /// The messaging service that sends, MG…, in place of a number
    #[arg(long, value_name = "SID")]
    pub messaging_service: Option<String>,
    /// A Twilio account of its own, AC… [default: the process's TWILIO_ACCOUNT_SID]
    #[arg(long, value_name = "SID")]
    pub twilio_account: Option<String>,
    /// That account's token; better in the environment, where no process list shows it
    #[arg(long, value_name = "TOKEN", env = "SENDWRIGHT_PROFILE_TWILIO_TOKEN", hide_env_values = true)]
    pub twilio_token: Option<String>,
    /// Where messages may go, US,CA,… [default: TWILIO_ALLOWED_COUNTRIES]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub allow_country: Vec<String>,
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
    /// A private key in PEM to sign with (DKIM): RSA of 2048 bits and more, or Ed25519
    #[arg(long, value_name = "FILE", requires = "dkim_selector")]
    pub dkim_key: Option<PathBuf>,
    /// The name its public key is published under
    #[arg(long, value_name = "NAME", requires = "dkim_key")]
    pub dkim_selector: Option<String>,
    /// Whom it signs for [default: the domain of --from-email]
    #[arg(long, value_name = "DOMAIN", requires = "dkim_key")]
    pub dkim_domain: Option<String>,
    /// imaps://user:password@host/INBOX, where answers and bounces are read; better in the environment
    #[arg(long, value_name = "URL", env = "SENDWRIGHT_PROFILE_IMAP_URL", hide_env_values = true)]
    pub imap_url: Option<String>,
    /// The domain that takes answers at reply+TOKEN@DOMAIN
    #[arg(long, value_name = "DOMAIN")]
    pub reply_domain: Option<String>,
    /// Tell of opens, unless a campaign says otherwise
    #[arg(long)]
    pub track_opens: bool,
    /// Tell of clicks, unless a campaign says otherwise
    #[arg(long)]
    pub track_clicks: bool,
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
        /// The e-mail address, or the number in E.164: +14155551234
        address: String,
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
