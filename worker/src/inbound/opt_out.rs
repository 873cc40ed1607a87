//! An opt-out by mail: the address is suppressed, in the transaction of what else its mail does.

use crate::context::Context;
use sendwright_store::audits::{self, Audit};
use sendwright_store::consents::{self, Said};
use sendwright_store::{Result, Tx, enrolments, suppressions};
use sendwright_workflows::address::Email;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::consent::{Change, Grounds, State};
use sendwright_workflows::sequence::Channel;
use serde_json::json;

/// Row numbers, taken before the transaction.
pub(super) struct Rows {
    consent: consents::Numbers,
    audit: i64,
}

impl Rows {
    /// Takes them.
    pub(super) async fn take(ctx: &Context) -> Result<Self> {
        let ids = &ctx.store.ids;
        Ok(Self { consent: consents::Numbers::take(ids, 1, 1).await?, audit: ids.one("audits").await? })
    }
}

/// Who asked to be left alone, and where that stands.
pub(super) struct Subject<'a> {
    /// In which account.
    pub account: i64,
    /// Whose enrolments end.
    pub contact: Option<i64>,
    /// The address.
    pub address: &'a str,
    /// Its hash.
    pub hash: &'a str,
    /// The mail that asks for it.
    pub inbound: i64,
    /// `opt_out` or `complained`.
    pub why: &'static str,
    /// `reply` or `report`.
    pub source: &'static str,
}

/// Suppresses an address and ends all that its contact is in. `false`: it had opted out before. The caller holds the
/// account's barrier exclusively.
pub(super) async fn opt_out(tx: &mut Tx, ids: &Rows, subject: &Subject<'_>, now: Millis) -> Result<bool> {
    let hint = Email::parse(subject.address).map(|e| e.masked()).unwrap_or_default();
    let evidence = json!({ "inbound": subject.inbound });
    let said = Said {
        contact: subject.contact,
        channel: Channel::Email,
        address_hash: subject.hash,
        hint: &hint,
        state: State::OptOut,
        grounds: Grounds::Stated,
        why: subject.why,
        source: subject.source,
        actor: "recipient",
        wording: None,
        evidence: &evidence.to_string(),
    };
    let changes = consents::record(tx, subject.account, &[said], ids.consent.clone(), now).await?;
    if let Some(contact) = subject.contact {
        enrolments::stop_of_contact(tx, subject.account, contact, "suppressed", now).await?;
    }
    if changes != [Change::Holds] {
        return Ok(false);
    }
    let found = suppressions::find(tx, subject.account, "email", subject.hash).await?;
    let line = Audit {
        id: ids.audit,
        account_id: subject.account,
        actor: "recipient".into(),
        action: "suppress".into(),
        noun: "suppression".into(),
        noun_id: found.map(|suppression| suppression.id),
        request_id: None,
        data: json!({ "why": subject.why, "inbound": subject.inbound }).to_string(),
        at: now,
    };
    audits::add(tx, &line).await?;
    Ok(true)
}
