//! The process's Twilio account: really asked for, and nothing sent.

use super::{Bad, Finding, Good, Note, bad};
use crate::compose::twilio_of;
use crate::config::Config;
use sendwright_worker::channels::twilio::{Client, Trouble};
use std::time::Duration;

/// How long Twilio may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Asks for the account's own resource, and says who sends where.
pub async fn account(config: &Config) -> Finding {
    let Some(own) = &config.phones.twilio else {
        return Note(
            "no TWILIO_ACCOUNT_SID: `up` keeps text messages in its mailbox, a worker holds them (no_transport)"
                .to_owned(),
        );
    };
    let client = match Client::new(PATIENCE) {
        Ok(client) => client,
        Err(error) => return Bad(format!("TLS cannot be set up: {error}")),
    };
    match client.account(&twilio_of(config, own).access).await {
        Ok(status) if status == "active" => ready(config),
        Ok(status) => bad(format!("the Twilio account is {status}"), "look into Twilio's console"),
        Err(trouble @ Trouble::Refused { status: 401 | 403 | 404, .. }) => bad(
            format!("Twilio refuses the credentials: {trouble}"),
            "check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN",
        ),
        Err(trouble) => bad(
            format!("{}: {trouble}", config.phones.api_base),
            "check TWILIO_API_BASE and that a firewall lets you out, or try again later",
        ),
    }
}

fn ready(config: &Config) -> Finding {
    let Some(own) = &config.phones.twilio else { return Bad("no account".to_owned()) };
    let senders = [("SMS", &own.from), ("WhatsApp", &own.whatsapp_from)];
    let senders =
        senders.into_iter().filter_map(|(what, from)| Some(format!("{what} from {}", from.as_ref()?)));
    let countries: Vec<&str> =
        config.phones.allowed_countries.iter().map(|country| country.as_str()).collect();
    let (senders, countries) = (senders.collect::<Vec<_>>().join(", "), countries.join(", "));
    let text = format!("the Twilio account is active: {senders}, to {countries} alone");
    match &config.http.public_url {
        Some(_) => Good(text),
        None => Note(format!(
            "{text}; without SENDWRIGHT_PUBLIC_URL Twilio cannot tell what became of a message, nor bring answers"
        )),
    }
}
