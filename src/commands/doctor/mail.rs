//! The transport of default sending profiles: a real connection, and on demand one real message.

use super::{Bad, Finding, Good, Note, bad};
use crate::commands::open;
use crate::config::{Config, Smtp};
use sendwright_store::clock::wall_millis;
use sendwright_store::{accounts, suppressions};
use sendwright_worker::channels::Outcome;
use sendwright_worker::channels::mime::{Letter, Party};
use sendwright_worker::channels::smtp::{
    ConnectError, Dialer, DotGate, Profile, Security, Session, Timeouts, hand_over,
};
use sendwright_workflows::address::Email;
use std::time::Duration;

const TEXT: &str = "This is a test message from `sendwright doctor --send-to`.\n\n\
    It belongs to no campaign and is not recorded. That you read it shows that the server in SMTP_URL takes \
    messages from the sender in SMTP_FROM, and that they arrive.\n";

/// Most accounts that are asked at once whether they have suppressed an address.
const PAGE: i64 = 100;

/// Connects, encrypts and logs in; nothing of a message is said.
pub async fn connect(config: &Config) -> Finding {
    let Some(smtp) = &config.smtp else {
        return Note(
            "no SMTP_URL: `up` keeps mail in its mailbox, a worker holds it (no_transport)".to_owned(),
        );
    };
    match dial(smtp).await {
        Ok((profile, session)) => {
            let found = describe(&profile, &session);
            session.quit().await;
            found
        }
        Err(finding) => finding,
    }
}

async fn dial(smtp: &Smtp) -> Result<(Profile, Session), Finding> {
    let profile: Profile = smtp.url.reveal().parse().map_err(|error| Bad(format!("SMTP_URL: {error}")))?;
    let soon = Duration::from_secs(15);
    let timeouts =
        Timeouts { connect: soon, tls: soon, banner: soon, hello: soon, auth: soon, ..Timeouts::default() };
    match Dialer::new(profile.clone(), timeouts).open().await {
        Ok(session) => Ok((profile, session)),
        Err(error) => Err(bad(format!("{}:{}: {error}", profile.host, profile.port), advice(&error))),
    }
}

fn advice(error: &ConnectError) -> &'static str {
    match error {
        ConnectError::Dns { .. } => "check the host in SMTP_URL",
        ConnectError::Refused { .. } | ConnectError::Timeout { .. } => {
            "check host and port in SMTP_URL, and that a firewall lets you out (587 and 465 mostly, 25 seldom)"
        }
        ConnectError::Tls(_) => {
            "check the port and ?tls= in SMTP_URL; ?ca=FILE trusts a certificate of your own"
        }
        ConnectError::Auth { .. } | ConnectError::NoMechanism => {
            "check user and password in SMTP_URL; special characters are percent-encoded"
        }
        _ => "check host and port in SMTP_URL, or try again later",
    }
}

fn describe(profile: &Profile, session: &Session) -> Finding {
    let tls = match (session.is_encrypted(), profile.security) {
        (false, _) => "in the clear",
        (true, Security::Opportunistic) => "TLS, certificate not checked",
        (true, _) => "TLS, certificate checked",
    };
    let login = match profile.login {
        Some(_) => "logged in",
        None => "no login",
    };
    let text = format!("{}:{} is ready: {tls}, {login}", profile.host, profile.port);
    match profile.login.is_some() && !session.is_encrypted() {
        true => Note(format!("{text}; the password can be read on the way")),
        false => Good(text),
    }
}

/// Hands one labelled test message over, and tells the server's answer. Whoever has opted out gets none.
pub async fn send(config: &Config, to: &str) -> Finding {
    let Some(smtp) = &config.smtp else {
        return Bad("nothing is sent: without SMTP_URL and SMTP_FROM all mail goes to the mailbox".to_owned());
    };
    let to = match Email::parse(to) {
        Ok(to) => to,
        Err(error) => return Bad(format!("--send-to: {error}")),
    };
    match is_suppressed(config, &to).await {
        Ok(false) => {}
        Ok(true) => return Bad("nothing is sent: this address has opted out or is suppressed".to_owned()),
        Err(_) => return Bad("nothing is sent: the database must tell first who has opted out".to_owned()),
    }
    let (_, mut session) = match dial(smtp).await {
        Ok(line) => line,
        Err(finding) => return finding,
    };
    let bytes = match letter(smtp, &to).to_bytes() {
        Ok(bytes) => bytes,
        Err(error) => return bad(error, "check SMTP_FROM"),
    };
    let (sender, recipient) = (smtp.from.email.as_str(), to.as_str());
    let said = hand_over(&mut session, sender, recipient, &bytes, DotGate::now(|| Ok(()))).await;
    session.quit().await;
    answer(said)
}

fn answer(said: Outcome) -> Finding {
    match said {
        Outcome::Accepted { code, reply } => {
            Good(format!("the server answered {code} {reply}; look into the inbox, and the spam folder"))
        }
        Outcome::Refused { stage, code, reply, .. } => {
            bad(format!("refused at {stage}: {code} {reply}"), "the server's own words say why")
        }
        Outcome::Unknown { detail } => bad(
            format!("no answer after the whole message: {detail}"),
            "it may have arrived: look before you repeat",
        ),
        Outcome::Failed { stage, detail } => {
            bad(format!("failed at {stage}: {detail}"), "it was not sent: try again")
        }
        Outcome::NotStarted { reason } => bad(reason, "it was not sent: try again"),
    }
}

fn letter(smtp: &Smtp, to: &Email) -> Letter {
    let (sender, now) = (smtp.from.email.as_str(), wall_millis());
    let domain = sender.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
    Letter {
        message_id: format!("<doctor.{now}.{}@{domain}>", std::process::id()),
        from: Party { name: smtp.from.name.clone().unwrap_or_default(), address: sender.to_owned() },
        reply_to: None,
        to: Party { name: String::new(), address: to.as_str().to_owned() },
        subject: "Test message from Sendwright".to_owned(),
        text: TEXT.to_owned(),
        html: None,
        in_reply_to: None,
        references: Vec::new(),
        list_unsubscribe: None,
        date: now,
        headers: vec![("Auto-Submitted".to_owned(), "auto-generated".to_owned())],
    }
}

/// Whether any account has the address on its list (promise 3 knows no exception).
async fn is_suppressed(config: &Config, to: &Email) -> Result<bool, crate::failure::Failure> {
    if config.database.sqlite_path().is_some_and(|path| !path.exists()) {
        return Ok(false);
    }
    let store = open::store(config).await?;
    let hash = to.hash(store.salt());
    let mut tx = store.read().await?;
    let mut after = 0;
    loop {
        let accounts = accounts::list(&mut tx, after, PAGE).await?;
        let Some(last) = accounts.last() else { break };
        after = last.id;
        for account in &accounts {
            if suppressions::find(&mut tx, account.id, "email", &hash).await?.is_some() {
                return Ok(true);
            }
        }
    }
    tx.rollback().await?;
    Ok(false)
}
