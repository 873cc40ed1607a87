//! `users` and `consents` of the command line.

use super::{AccountArgs, ListArgs};
use clap::{Args, Subcommand};
use sendwright_workflows::clock::Millis;
use std::path::PathBuf;

/// `users …`
#[derive(Debug, Subcommand)]
pub enum UsersCommand {
    /// List people who have a number
    List {
        /// Those who said so last: opt_in, opt_out or stop
        #[arg(long, value_name = "S", value_parser = ["opt_in", "opt_out", "stop"])]
        consent: Option<String>,
        /// How it is printed, and the account
        #[command(flatten)]
        list: ListArgs,
    },
    /// Import users from CSV or JSON; bad rows are told by line and do not stop the rest
    Import {
        /// A column phone_e164, any other an attribute; - is stdin
        file: PathBuf,
        /// The account
        #[command(flatten)]
        account: AccountArgs,
    },
    /// Write down what somebody said
    Consent(ConsentArgs),
}

/// `users consent`.
#[derive(Debug, Args)]
pub struct ConsentArgs {
    /// The number, in E.164
    pub phone: String,
    /// What they said: opt_in, opt_out or stop
    #[arg(value_parser = ["opt_in", "opt_out", "stop"])]
    pub said: String,
    /// Of this channel alone: sms, whatsapp or email [default: sms and whatsapp]
    #[arg(long, value_name = "C", value_parser = ["sms", "whatsapp", "email"])]
    pub channel: Option<String>,
    /// The words they agreed to, or said; lifts a STOP that came before
    #[arg(long, value_name = "TEXT", requires = "source", requires = "at")]
    pub wording: Option<String>,
    /// Where they said it: a form, a call, a paper
    #[arg(long, value_name = "TEXT", requires = "wording")]
    pub source: Option<String>,
    /// When they said it: RFC 3339 with an offset
    #[arg(long, value_name = "INSTANT", requires = "wording", value_parser = super::instant)]
    pub at: Option<Millis>,
    /// The account
    #[command(flatten)]
    pub account: AccountArgs,
}

/// `consents …`
#[derive(Debug, Subcommand)]
pub enum ConsentsCommand {
    /// Print the ledger of consent, one JSON object a line, chain by chain
    Export {
        /// The account
        #[command(flatten)]
        account: AccountArgs,
    },
    /// Check that no line of the ledger was changed or taken away, and say where one was
    Verify {
        /// An export; - is stdin [default: the database]
        file: Option<PathBuf>,
        /// The account
        #[command(flatten)]
        account: AccountArgs,
    },
}
