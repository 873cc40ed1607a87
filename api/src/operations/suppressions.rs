//! Opt-outs: once one is answered, no hand-over to that address starts (promise 3).

use crate::operations::messages::Recipient;
use crate::refusal::Refusal;
use crate::state::Core;
use crate::work::{Actor, Barrier, Work};
use sendwright_queue::Job;
use sendwright_store::consents::{self, Said};
use sendwright_store::events::{self, NewEvent};
use sendwright_store::suppressions::{self, Suppression};
use sendwright_store::{Page, contacts, enrolments, texts};
use sendwright_workflows::address::Email;
use sendwright_workflows::consent::{Change, Grounds, State};
use sendwright_workflows::quiet_hours::G;
use sendwright_workflows::sequence::Channel;
use serde_json::json;
use std::time::{Duration, Instant};

const EMAIL: &[Channel] = &[Channel::Email];
const PHONES: &[Channel] = &[Channel::Sms, Channel::Whatsapp];

/// An address to suppress, and whose it is where that is known.
struct Subject {
    channels: &'static [Channel],
    contact: Option<i64>,
    hash: String,
    hint: String,
    /// The message whose link said so, with its campaign and enrolment.
    by: Option<[i64; 3]>,
}

/// Suppresses an address by hand, a number on every channel of it; again is no error. Answers for the first channel. The
/// caller commits, then waits with [`settle`].
pub async fn add(work: &mut Work<'_>, address: &Recipient, why: &str) -> Result<Suppression, Refusal> {
    let channels = match address {
        Recipient::Email(_) => EMAIL,
        Recipient::Phone(_) => PHONES,
    };
    let ids = Ids::take(work, channels).await?;
    work.begin(Barrier::Exclusive).await?;
    let account = work.account();
    let tx = work.tx()?;
    let contact = match address {
        Recipient::Email(email) => contacts::by_email(tx, account, &email.key()).await?,
        Recipient::Phone(phone) => contacts::by_phone(tx, account, phone.as_str()).await?,
    };
    let (contact, hash) = (contact.map(|contact| contact.id), address.hash(work.store().salt()));
    let subject = Subject { channels, contact, hash, hint: address.masked(), by: None };
    suppress(work, ids, subject, why).await
}

/// What a signed link says: the account, the contact, and the message it was in, 0 for none.
pub struct Link {
    /// The contact.
    pub contact: i64,
    /// The message.
    pub message: i64,
}

/// Reads the ids of a token: `[account, contact]` or `[account, contact, message]`.
pub fn of_token(ids: &[i64]) -> Option<(i64, Link)> {
    match *ids {
        [account, contact] => Some((account, Link { contact, message: 0 })),
        [account, contact, message] => Some((account, Link { contact, message })),
        _ => None,
    }
}

/// Opts out whoever a link was made for: the address it went to and, where that has changed since, the
/// contact's own. Whoever was sent a test speaks for their own address only. `false`: there is nobody.
pub async fn opt_out(core: &Core, account: i64, link: &Link) -> Result<bool, Refusal> {
    let who = Actor { account, who: "recipient".into(), source: "unsubscribe_link", request_id: None };
    let mut work = Work::new(core, who)?;
    let (own, sent_to) = (Ids::take(&work, EMAIL).await?, Ids::take(&work, EMAIL).await?);
    work.begin(Barrier::Exclusive).await?;
    let tx = work.tx()?;
    let of_contact = contacts::address(tx, account, link.contact).await?;
    let recipient = suppressions::recipient(tx, account, link.message).await?;
    let is_test = recipient.as_ref().is_some_and(|r| r.kind == "test");
    let by = recipient.as_ref().filter(|_| !is_test).map(|r| [link.message, r.campaign_id, r.enrolment_id]);
    let of_message = recipient.map(|r| (r.address, r.address_hash));
    let is_own = of_contact.as_ref().zip(of_message.as_ref()).is_some_and(|(own, to)| own.1 == to.1);
    let contact = Some(link.contact).filter(|_| is_own || !is_test);
    let of_contact = of_contact.filter(|_| contact.is_some());
    let mut hashes = Vec::new();
    for (ids, address) in [(own, of_contact), (sent_to, of_message)] {
        let Some((address, hash)) = address else { continue };
        if hashes.contains(&hash) {
            continue;
        }
        let hint = masked(&address);
        hashes.push(hash.clone());
        suppress(&mut work, ids, Subject { channels: EMAIL, contact, hash, hint, by }, "opt_out").await?;
    }
    work.commit().await?;
    settle(core, account, &hashes).await;
    Ok(!hashes.is_empty())
}

/// The masked address a link is about, for its page; `None` where there is nobody.
pub async fn hint(core: &Core, account: i64, link: &Link) -> Result<Option<String>, Refusal> {
    let mut tx = core.store.read().await?;
    let own = contacts::address(&mut tx, account, link.contact).await?;
    let recipient = suppressions::recipient(&mut tx, account, link.message).await?;
    tx.rollback().await?;
    let test = recipient.filter(|r| r.kind == "test").map(|r| r.address);
    Ok(own.map(|(own, _)| masked(&test.unwrap_or(own))))
}

pub(super) fn masked(address: &str) -> String {
    Email::parse(address).map(|e| e.masked()).unwrap_or_default()
}

/// Waits, outside any transaction and at most G, until no hand-over to the addresses that began before is open.
/// Normally that is at once.
pub async fn settle(core: &Core, account: i64, hashes: &[String]) {
    if hashes.is_empty() {
        return;
    }
    let began = Instant::now();
    let most = Duration::from_millis(G as u64);
    while began.elapsed() < most {
        let Some(now) = core.clock.now() else { break };
        let open = async {
            let mut tx = core.store.read().await?;
            let open = suppressions::open_hand_overs(&mut tx, account, hashes, now - G).await?;
            tx.rollback().await?;
            Ok::<_, sendwright_store::Error>(open)
        };
        if matches!(open.await, Ok(0)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // G has passed: whatever was open has been closed by its own age check.
    tokio::time::sleep(most.saturating_sub(began.elapsed())).await;
}

/// The rows of one suppression.
struct Ids {
    consent: consents::Numbers,
    event: i64,
}

impl Ids {
    async fn take(work: &Work<'_>, channels: &[Channel]) -> Result<Self, Refusal> {
        let words = channels.len();
        let consent = consents::Numbers::take(&work.store().ids, words, words).await?;
        Ok(Self { consent, event: work.ids("events", 1).await?.start })
    }
}

async fn suppress(
    work: &mut Work<'_>,
    ids: Ids,
    subject: Subject,
    why: &str,
) -> Result<Suppression, Refusal> {
    let (actor, now) = (work.actor().clone(), work.now());
    let account = actor.account;
    let evidence = json!({ "request_id": actor.request_id }).to_string();
    let said = |channel: &Channel| Said {
        contact: subject.contact,
        channel: *channel,
        address_hash: &subject.hash,
        hint: &subject.hint,
        state: State::OptOut,
        grounds: Grounds::Stated,
        why,
        source: actor.source,
        actor: &actor.who,
        wording: None,
        evidence: &evidence,
    };
    let tx = work.tx()?;
    let said: Vec<Said> = subject.channels.iter().map(said).collect();
    let changes = consents::record(tx, account, &said, ids.consent, now).await?;
    let first = subject.channels.first().ok_or(Refusal::Internal)?;
    if first.is_phone() {
        texts::silence(tx, account, subject.contact, &subject.hash, now).await?;
    } else if let Some(contact) = subject.contact {
        enrolments::stop_of_contact(tx, account, contact, "suppressed", now).await?;
    }
    let found = suppressions::find(tx, account, first.as_str(), &subject.hash).await?;
    let found = found.ok_or(Refusal::Internal)?;
    if !changes.contains(&Change::Holds) {
        work.audit("suppress", "suppression", Some(found.id), &json!({ "known": true }));
        return Ok(found);
    }
    let event = NewEvent {
        id: ids.event,
        account_id: account,
        kind: "contact.opted_out",
        campaign_id: subject.by.map(|[_, campaign, _]| campaign),
        contact_id: subject.contact,
        enrolment_id: subject.by.map(|[.., enrolment]| enrolment),
        message_id: subject.by.map(|[message, ..]| message),
        data: json!({ "source": actor.source, "why": why }).to_string(),
        at: now,
    };
    events::insert(tx, &[event]).await?;
    work.audit("suppress", "suppression", Some(found.id), &json!({ "why": why }));
    work.hint(Job::Sequence { account });
    Ok(found)
}

/// The account's suppressions, and how many there are.
pub async fn list(core: &Core, account: i64, page: Page) -> Result<(Vec<Suppression>, i64), Refusal> {
    let mut tx = core.store.read().await?;
    let found = suppressions::list(&mut tx, account, page).await?;
    let total = suppressions::count(&mut tx, account).await?;
    tx.rollback().await?;
    Ok((found, total))
}
