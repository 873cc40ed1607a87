//! `webhooks …` on the command line.

use super::{AccountArgs, ListArgs};
use clap::{Args, Subcommand};
use std::net::SocketAddr;
use url::Url;

/// `webhooks …`
#[derive(Debug, Subcommand)]
pub enum WebhooksCommand {
    /// List webhooks with their health, without their secrets
    List(ListArgs),
    /// Listen for webhooks: print and verify what arrives, and forward it
    Listen(ListenArgs),
    /// Send a sample to a URL, or an event of your own to every webhook that chose it
    Trigger(TriggerArgs),
    /// Send a webhook a signed sample and show its answer; a worker must run
    Test(WebhookArgs),
    /// Deliver again what was given up
    Replay(ReplayArgs),
}

/// One webhook.
#[derive(Debug, Args)]
pub struct WebhookArgs {
    /// The webhook's id
    pub id: String,
    /// The account
    #[command(flatten)]
    pub account: AccountArgs,
}

/// `webhooks listen`.
#[derive(Debug, Args)]
pub struct ListenArgs {
    /// Where to listen
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8090")]
    pub bind: SocketAddr,
    /// The webhook's secret, whsec_…: what it has not signed is answered with 400; better in the environment, where
    /// no process list shows it
    #[arg(long, value_name = "SECRET", env = "SENDWRIGHT_WEBHOOK_SECRET", hide_env_values = true)]
    pub secret: Option<String>,
    /// Pass on what arrives, with its headers, and answer as this URL answers
    #[arg(long, value_name = "URL")]
    pub forward: Option<Url>,
}

/// `webhooks trigger`.
#[derive(Debug, Args)]
pub struct TriggerArgs {
    /// With --to the name of any event, such as email_sent; without it an event of your own, custom.…
    pub event: String,
    /// Send a sample straight to this URL; nothing is stored
    #[arg(long, value_name = "URL")]
    pub to: Option<Url>,
    /// Sign the sample with this secret, whsec_…
    #[arg(long, value_name = "SECRET", env = "SENDWRIGHT_WEBHOOK_SECRET", hide_env_values = true)]
    pub secret: Option<String>,
    /// What the event says, a JSON object
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub payload: String,
    /// The account
    #[command(flatten)]
    pub account: AccountArgs,
}

/// `webhooks replay`.
#[derive(Debug, Args)]
#[group(id = "from", required = true, multiple = false, args = ["delivery", "event", "since"])]
pub struct ReplayArgs {
    /// The webhook's id
    pub id: String,
    /// This delivery, whatever became of it
    #[arg(long, value_name = "ID")]
    pub delivery: Option<String>,
    /// Everything given up from this event on
    #[arg(long, value_name = "ID")]
    pub event: Option<String>,
    /// Everything given up of events since this instant: RFC 3339 with an offset
    #[arg(long, value_name = "INSTANT", value_parser = super::instant)]
    pub since: Option<i64>,
    /// What had arrived as well
    #[arg(long)]
    pub all: bool,
    /// The account
    #[command(flatten)]
    pub account: AccountArgs,
}
