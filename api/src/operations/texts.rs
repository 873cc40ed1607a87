//! Texts that people send: kept once, and where one is a STOP or a START, that is committed with it. Once a STOP is
//! answered, no hand-over to its number starts (promise 3).

use crate::operations::suppressions::settle;
use crate::refusal::Refusal;
use crate::state::Core;
use futures::future::join_all;
use sendwright_queue::Job;
use sendwright_store::audits::{self, Audit};
use sendwright_store::consents::{self, Numbers, Said};
use sendwright_store::events::{self, NewEvent};
use sendwright_store::texts::{self, Answered, NewText};
use sendwright_store::{Store, Tx, contacts};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::consent::{Change, Grounds, State as Consent};
use sendwright_workflows::keyword::{Keyword, keyword};
use sendwright_workflows::phone::Phone;
use sendwright_workflows::sequence::Channel;
use serde_json::json;
use std::collections::BTreeSet;

/// A text as the provider posted it.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// What the provider calls it.
    pub provider_id: &'a str,
    /// `sms` or `whatsapp`.
    pub channel: &'static str,
    /// The number it came from.
    pub from: &'a str,
    /// The number it was sent to.
    pub to: &'a str,
    /// What it says.
    pub body: &'a str,
    /// What the provider itself reads in it: Twilio's `OptOutType`.
    pub said: Option<&'a str>,
    /// The form as it was posted.
    pub raw: &'a [u8],
}

/// A sender that a text was addressed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addressed {
    /// Whose it is.
    pub account: i64,
    /// The profile.
    pub profile: Option<i64>,
}

/// Keeps a text, once, and does what its keyword says in every account that sends from the number it was addressed to.
/// Answers after that is committed, and for a STOP after no hand-over to its number is open any more (SEND_PROTOCOL 4).
/// The text itself belongs to the account whose message it answers; it is nobody else's to read.
pub async fn take(core: &Core, text: &Text<'_>, to: &[Addressed]) -> Result<(), Refusal> {
    let now = core.now()?;
    let number = Phone::parse(text.from).ok();
    let word = number.as_ref().and_then(|_| keyword(text.body, text.said));
    let accounts: BTreeSet<i64> = to.iter().map(|one| one.account).collect();
    let row = core.store.ids.one("inbound").await?;
    let binds = matches!(word, Some(Keyword::Stop | Keyword::Start | Keyword::Yes));
    let rows = Rows::take(&core.store, if binds { accounts.len() } else { 0 }).await?;
    let mut tx = core.store.begin().await?;
    if binds {
        for account in &accounts {
            tx.barrier(*account, true).await?;
        }
    }
    let hash = number.as_ref().map(|number| number.hash(core.store.salt())).unwrap_or_default();
    let Some((owner, answers)) = owner(&mut tx, to, &hash).await? else { return Ok(()) };
    let word = match word {
        // Who is written to anyway says yes to what was asked.
        Some(Keyword::Yes)
            if consents::of_number(&mut tx, owner.account, &hash).await? == Some(Consent::OptIn) =>
        {
            None
        }
        word => word,
    };
    let new = NewText {
        id: row,
        account_id: owner.account,
        profile_id: owner.profile,
        provider_id: text.provider_id.to_owned(),
        channel: text.channel,
        sender: plain(text.from),
        recipient: plain(text.to),
        body: plain(text.body),
        raw: text.raw.to_vec(),
        contact_id: contacts::by_phone(&mut tx, owner.account, text.from).await?.map(|contact| contact.id),
        kind: word.map(|word| match word {
            Keyword::Stop => "opt_out",
            Keyword::Start | Keyword::Yes => "opt_in",
            Keyword::Help => "help",
        }),
        received_at: now,
    };
    let is_new = texts::keep(&mut tx, &new).await?;
    if let (true, Some(number), Some(said)) = (is_new, &number, word.and_then(consent)) {
        let saying = Saying {
            number,
            hash: &hash,
            said,
            wording: &new.body,
            provider_id: text.provider_id,
            owner: owner.account,
            answers,
            row,
            now,
        };
        saying.record(&mut tx, &accounts, &rows).await?;
    }
    tx.commit().await?;
    match word {
        None => core.queue.push(Job::Inbound { inbound: row }),
        Some(_) => accounts.iter().for_each(|&account| {
            core.queue.push(Job::Sequence { account });
            core.queue.push(Job::Plan { account });
        }),
    }
    if word == Some(Keyword::Stop) {
        // Also where the provider asks again: the first answer may not have reached it.
        join_all(accounts.iter().map(|account| settle(core, *account, std::slice::from_ref(&hash)))).await;
    }
    Ok(())
}

/// Whose message is answered, and which: the last one to the number; of nobody's the oldest account's.
async fn owner(
    tx: &mut Tx,
    to: &[Addressed],
    hash: &str,
) -> Result<Option<(Addressed, Option<Answered>)>, Refusal> {
    let accounts: BTreeSet<i64> = to.iter().map(|one| one.account).collect();
    let mut last: Option<(Addressed, Answered)> = None;
    for account in accounts {
        let profiles: Vec<i64> =
            to.iter().filter(|a| a.account == account).filter_map(|a| a.profile).collect();
        if let Some(found) = texts::answered(tx, account, &profiles, hash).await?
            && last.is_none_or(|(_, before)| found.accepted_at > before.accepted_at)
        {
            last = Some((Addressed { account, profile: Some(found.profile_id) }, found));
        }
    }
    let oldest = || to.iter().min_by_key(|one| one.account).map(|one| (*one, None));
    Ok(last.map(|(owner, found)| (owner, Some(found))).or_else(oldest))
}

/// What a keyword says of the number's channels.
fn consent(word: Keyword) -> Option<Consent> {
    match word {
        Keyword::Stop => Some(Consent::Stop),
        Keyword::Start | Keyword::Yes => Some(Consent::OptIn),
        Keyword::Help => None,
    }
}

/// As a table can hold it; the form itself is kept byte by byte.
fn plain(text: &str) -> String {
    text.replace('\0', "")
}

/// A word of a person about their own number.
struct Saying<'a> {
    number: &'a Phone,
    hash: &'a str,
    said: Consent,
    wording: &'a str,
    provider_id: &'a str,
    owner: i64,
    answers: Option<Answered>,
    row: i64,
    now: Millis,
}

impl Saying<'_> {
    /// Writes it down in every account. A START goes to whom it answers; others that were stopped are taken back in.
    async fn record(&self, tx: &mut Tx, accounts: &BTreeSet<i64>, rows: &[Rows]) -> Result<(), Refusal> {
        for (account, rows) in accounts.iter().zip(rows) {
            let is_told = self.said == Consent::Stop || *account == self.owner;
            if is_told || consents::of_number(tx, *account, self.hash).await? == Some(Consent::Stop) {
                self.record_in(tx, *account, rows).await?;
            }
        }
        Ok(())
    }

    async fn record_in(&self, tx: &mut Tx, account: i64, rows: &Rows) -> Result<(), Refusal> {
        let contact = contacts::by_phone(tx, account, self.number.as_str()).await?.map(|contact| contact.id);
        let (hint, evidence) = (self.number.masked(), json!({ "provider_id": self.provider_id }).to_string());
        let before = consents::of_number(tx, account, self.hash).await?;
        let said = |channel| Said {
            contact,
            channel,
            address_hash: self.hash,
            hint: &hint,
            state: self.said,
            grounds: Grounds::Proven { at: self.now },
            why: self.said.as_str(),
            source: "inbound",
            actor: "recipient",
            wording: Some(self.wording),
            evidence: &evidence,
        };
        let both = [said(Channel::Sms), said(Channel::Whatsapp)];
        let changes = consents::record(tx, account, &both, rows.consents.clone(), self.now).await?;
        let (action, kind) = match self.said.forbids() {
            true => {
                texts::silence(tx, account, contact, self.hash, self.now).await?;
                ("suppress", "contact.opted_out")
            }
            false => ("opt_in", "contact.opted_in"),
        };
        let line = Audit {
            id: rows.audit,
            account_id: account,
            actor: "recipient".into(),
            action: action.into(),
            noun: "consent".into(),
            noun_id: None,
            request_id: None,
            data: json!({ "why": self.said.as_str(), "inbound": self.row }).to_string(),
            at: self.now,
        };
        audits::add(tx, &line).await?;
        if before != Some(self.said) && changes.contains(&Change::Holds) {
            let data =
                json!({ "phone": self.number.as_str(), "source": "inbound", "why": self.said.as_str() });
            let answers = self.answers.filter(|_| account == self.owner);
            let told = NewEvent {
                id: rows.event,
                account_id: account,
                kind,
                campaign_id: answers.map(|message| message.campaign_id).filter(|campaign| *campaign > 0),
                contact_id: contact,
                enrolment_id: None,
                message_id: answers.map(|message| message.id),
                data: data.to_string(),
                at: self.now,
            };
            events::insert(tx, &[told]).await?;
        }
        Ok(())
    }
}

/// Row numbers for what is written in one account, taken before the transaction.
struct Rows {
    consents: Numbers,
    event: i64,
    audit: i64,
}

impl Rows {
    async fn take(store: &Store, accounts: usize) -> Result<Vec<Self>, Refusal> {
        let mut rows = Vec::with_capacity(accounts);
        for _ in 0..accounts {
            let consents = Numbers::take(&store.ids, 2, 2).await?;
            rows.push(Self {
                consents,
                event: store.ids.one("events").await?,
                audit: store.ids.one("audits").await?,
            });
        }
        Ok(rows)
    }
}
