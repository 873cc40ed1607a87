//! A STOP that the provider tells of: its owner said it there, and the provider heeds it by itself, so that no promise
//! rests on the barrier (SEND_PROTOCOL 4). It comes as the answer to a request or by a callback, and is the same word.

use sendwright_store::consents::{self, Numbers, Said};
use sendwright_store::ids::Ids;
use sendwright_store::{Result, Tx};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::consent::{Grounds, State as Consent};
use sendwright_workflows::phone::Phone;
use sendwright_workflows::sequence::Channel;

/// Whose word it is.
pub struct Stopped<'a> {
    /// The account that wrote to them.
    pub account: i64,
    /// The contact; 0 where there is none any more.
    pub contact: i64,
    /// The number.
    pub address: &'a str,
    /// Its salted hash.
    pub address_hash: &'a str,
    /// A JSON object with what proves it.
    pub evidence: String,
}

/// The number as people may see it.
pub fn hint(address: &str) -> String {
    Phone::parse(address).map(|phone| phone.masked()).unwrap_or_default()
}

/// Row numbers for one word, taken before the transaction.
pub async fn numbers(ids: &Ids) -> Result<Numbers> {
    Numbers::take(ids, 2, 2).await
}

/// Writes it down, on every channel of the number.
pub async fn record(tx: &mut Tx, whose: &Stopped<'_>, numbers: Numbers, at: Millis) -> Result<()> {
    let hint = hint(whose.address);
    let said = |channel| Said {
        contact: (whose.contact > 0).then_some(whose.contact),
        channel,
        address_hash: whose.address_hash,
        hint: &hint,
        state: Consent::Stop,
        grounds: Grounds::Proven { at },
        why: Consent::Stop.as_str(),
        source: "provider",
        actor: "recipient",
        wording: None,
        evidence: &whose.evidence,
    };
    let both = [said(Channel::Sms), said(Channel::Whatsapp)];
    consents::record(tx, whose.account, &both, numbers, at).await?;
    Ok(())
}
