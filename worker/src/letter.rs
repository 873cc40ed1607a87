//! A claimed message as the bytes of one e-mail.

use crate::channels::mime::{Letter, MimeError, Party, Unsubscribe};
use crate::context::Context;
use crate::inbound::REPLY;
use crate::outlet::Route;
use crate::scripts::body_kind;
use crate::text::unsubscribe_url;
use crate::tracking::Track;
use sendwright_store::claims::Claimed;
use sendwright_store::writing::Earlier;
use sendwright_workflows::clock::{Millis, rfc3339};
use sendwright_workflows::message::message_id;
use sendwright_workflows::render::Kind;
use sendwright_workflows::sequence::Enclosed;
use sendwright_workflows::signing::sign_hex;

/// The earlier messages that are quoted, at most.
const QUOTED: usize = 5;

/// A message's bytes and the subject it got.
pub struct Sealed {
    /// The subject as sent.
    pub subject: String,
    /// The whole message, CRLF line ends.
    pub bytes: Vec<u8>,
    /// The earlier messages it threads under and quotes.
    pub thread: Vec<i64>,
    /// What goes with a text message.
    pub enclosed: Enclosed,
}

/// Builds the message: an e-mail, or the text itself for a phone. The same draft, profile and history give the same bytes, whichever attempt it is.
pub fn seal(
    ctx: &Context,
    route: &Route,
    message: &Claimed,
    campaign: &str,
    earlier: &[Earlier],
    now: Millis,
) -> Result<Sealed, MimeError> {
    if message.channel.is_phone() {
        let bytes = message.body.trim_end().as_bytes().to_vec();
        let stored = message.enclosed.as_deref().map(serde_json::from_str).transpose();
        let enclosed = stored.map_err(|error| MimeError::Build(error.to_string()))?.unwrap_or_default();
        return Ok(Sealed { subject: String::new(), bytes, thread: Vec::new(), enclosed });
    }
    let epoch = |message| ctx.store.epoch_of(message);
    let id = |message| format!("<{}>", message_id(message, epoch(message), route.domain()));
    let subject = subject(message, campaign, earlier);
    let answers = answers(ctx, route, message.id);
    let track = Track::of(ctx, route, message);
    let link = unsubscribe_url(ctx, route, [message.account_id, message.contact_id, message.id]);
    let (text, html) = bodies(message, link.as_deref(), earlier, route, track.as_ref());
    let letter = Letter {
        message_id: id(message.id),
        from: route.from.clone(),
        reply_to: answers.clone(),
        to: Party { name: String::new(), address: message.address.clone() },
        subject: subject.clone(),
        text,
        html,
        in_reply_to: earlier.last().map(|e| id(e.message_id)),
        references: earlier.iter().map(|e| id(e.message_id)).collect(),
        list_unsubscribe: Some(unsubscribe(link, answers.as_ref().unwrap_or(&route.from))),
        date: now,
        headers: Vec::new(),
    };
    let thread = earlier.iter().map(|e| e.message_id).collect();
    let bytes = signed(route, letter.to_bytes()?, now)?;
    Ok(Sealed { subject, bytes, thread, enclosed: Enclosed::default() })
}

/// A message as the captured mailbox keeps it: an e-mail byte by byte, a text message as people read it.
pub fn captured(ctx: &Context, message: &Claimed, sender: &str, sealed: &Sealed) -> String {
    let text = String::from_utf8_lossy(&sealed.bytes);
    if !message.channel.is_phone() {
        return text.into_owned();
    }
    let (channel, to) = (message.channel.as_str(), &message.address);
    let id = message_id(message.id, ctx.store.epoch_of(message.id), channel);
    let mut raw = format!("Message-ID: <{id}>\nChannel: {channel}\nFrom: {sender}\nTo: {to}\n");
    if let Some(sid) = &sealed.enclosed.content_sid {
        raw.push_str(&format!("Content-Sid: {sid}\n"));
    }
    for (name, value) in &sealed.enclosed.content_variables {
        raw.push_str(&format!("Content-Variable: {name}={}\n", value.replace(['\r', '\n'], " ")));
    }
    for url in &sealed.enclosed.media_urls {
        raw.push_str(&format!("Media-Url: {url}\n"));
    }
    raw + "\n" + &text + "\n"
}

/// Where answers go: with a token, where the profile has a domain that takes them.
fn answers(ctx: &Context, route: &Route, message: i64) -> Option<Party> {
    let (domain, secret) = (route.profile.reply_domain.as_ref(), ctx.settings.secrets.first());
    let (Some(domain), Some(secret)) = (domain, secret) else { return route.reply_to.clone() };
    let token = sign_hex(secret, REPLY, ctx.store.epoch(), &[message]);
    let name = route.reply_to.as_ref().map_or("", |party| &party.name).to_owned();
    Some(Party { name, address: format!("reply+{token}@{domain}") })
}

/// With the profile's signature, where it has a key: what cannot be signed is not sent.
fn signed(route: &Route, bytes: Vec<u8>, now: Millis) -> Result<Vec<u8>, MimeError> {
    match &route.dkim {
        Some(signer) => {
            signer.sign(&bytes, now).ok_or_else(|| MimeError::Build("it cannot be signed (DKIM)".into()))
        }
        None => Ok(bytes),
    }
}

/// The draft's subject; a thread's where the step has none, else the campaign's name.
fn subject(message: &Claimed, campaign: &str, earlier: &[Earlier]) -> String {
    if !message.subject.is_empty() {
        return message.subject.clone();
    }
    match earlier.iter().find(|e| !e.subject.is_empty()) {
        Some(first) if first.subject.starts_with("Re: ") => first.subject.clone(),
        Some(first) => format!("Re: {}", first.subject),
        None => campaign.to_owned(),
    }
}

/// One-click only where a stranger's POST reaches us safely: over https (RFC 8058). Without any public address
/// an answer to the sender is the way out.
fn unsubscribe(link: Option<String>, answers: &Party) -> Unsubscribe {
    Unsubscribe {
        one_click: link.as_deref().is_some_and(|l| l.starts_with("https://")),
        mailto: link.is_none().then(|| format!("mailto:{}?subject=unsubscribe", answers.address)),
        web: link,
    }
}

fn bodies(
    message: &Claimed,
    link: Option<&str>,
    earlier: &[Earlier],
    route: &Route,
    track: Option<&Track>,
) -> (String, Option<String>) {
    let body = track.map_or_else(|| message.body.clone(), |track| track.links(&message.body));
    let footer = match link {
        Some(link) if !message.body.contains(link) => Some(link),
        _ => None,
    };
    match body_kind(&message.body) {
        Kind::Html => {
            let mut html = body;
            if let Some(link) = footer {
                html.push_str(&format!("\n<p style=\"color:#666\"><a href=\"{link}\">Unsubscribe</a></p>\n"));
            }
            let text = nanohtml2text::html2text(&html);
            html.extend(track.and_then(Track::pixel));
            (text, Some(html))
        }
        _ => {
            let mut text = body.trim_end().to_owned();
            text.push('\n');
            quote(&mut text, earlier, &route.from);
            if let Some(link) = footer {
                text.push_str(&format!("\n-- \nUnsubscribe: {link}\n"));
            }
            (text, None)
        }
    }
}

/// Quotes the thread below the text, the latest first.
fn quote(text: &mut String, earlier: &[Earlier], from: &Party) {
    for email in earlier.iter().rev().take(QUOTED) {
        let writer = if from.name.is_empty() { &from.address } else { &from.name };
        text.push_str(&format!("\nOn {}, {writer} wrote:\n", rfc3339(email.accepted_at)));
        for line in email.body.trim_end().lines() {
            text.push_str(if line.starts_with('>') { ">" } else { "> " });
            text.push_str(line);
            text.push('\n');
        }
    }
}
