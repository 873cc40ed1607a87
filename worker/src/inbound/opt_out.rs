//! An opt-out by mail: the address is suppressed, in the transaction of what else its mail does.

use crate::context::Context;
use sendwright_store::audits::{self, Audit};
use sendwright_store::consents::{self, Consent};
use sendwright_store::suppressions::{self, Suppression};
use sendwright_store::{Result, Tx, enrolments};
use sendwright_workflows::address::Email;
use sendwright_workflows::clock::Millis;
use serde_json::json;

/// Row numbers, taken before the transaction.
pub(super) struct Rows {
    suppression: i64,
    consent: i64,
    audit: i64,
}

impl Rows {
    /// Takes them.
    pub(super) async fn take(ctx: &Context) -> Result<Self> {
        let ids = &ctx.store.ids;
        let (suppression, consent) = (ids.one("suppressions").await?, ids.one("consents").await?);
        Ok(Self { suppression, consent, audit: ids.one("audits").await? })
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

/// Suppresses an address and ends all that its contact is in. `false`: it was suppressed before. The caller holds
/// the account's barrier exclusively.
pub(super) async fn opt_out(tx: &mut Tx, ids: &Rows, subject: &Subject<'_>, now: Millis) -> Result<bool> {
    let new = Suppression {
        id: ids.suppression,
        account_id: subject.account,
        channel: "email".into(),
        address_hash: subject.hash.to_owned(),
        hint: Email::parse(subject.address).map(|e| e.masked()).unwrap_or_default(),
        why: subject.why.into(),
        source: subject.source.into(),
        created_at: now,
    };
    let added = suppressions::add(tx, &new).await?;
    if let Some(contact) = subject.contact {
        enrolments::stop_of_contact(tx, subject.account, contact, "suppressed", now).await?;
    }
    if added {
        let line = Consent {
            id: ids.consent,
            account_id: subject.account,
            contact_id: subject.contact,
            channel: "email".into(),
            address_hash: subject.hash.to_owned(),
            state: "opt_out".into(),
            source: subject.source.into(),
            actor: "recipient".into(),
            evidence: json!({ "inbound": subject.inbound }).to_string(),
            at: now,
        };
        consents::add(tx, &line).await?;
        let line = Audit {
            id: ids.audit,
            account_id: subject.account,
            actor: "recipient".into(),
            action: "suppress".into(),
            noun: "suppression".into(),
            noun_id: Some(new.id),
            request_id: None,
            data: json!({ "why": new.why, "inbound": subject.inbound }).to_string(),
            at: now,
        };
        audits::add(tx, &line).await?;
    }
    Ok(added)
}
