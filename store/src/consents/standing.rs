//! What the ledger comes to, by address: the last state, and where the chain ends.
//!
//! Addresses are looked up by CROSS JOIN: SQLite, which knows no counts of these tables, would else walk all of an account's
//! for every one that is asked for.

use super::Said;
use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::consent::State;
use sendwright_workflows::sequence::Channel;
use serde_json::{Value, json};
use std::collections::HashMap;

/// What the channels of a number come to: `standing!(hash, account)`. Of the words the strictest comes last, as it does
/// in the alphabet.
macro_rules! standing {
    ($hash:literal, $account:literal) => {
        concat!(
            "(SELECT MAX(s.state) FROM consent_states s WHERE s.account_id = ",
            $account,
            " AND s.channel IN ('sms', 'whatsapp') AND s.address_hash = ",
            $hash,
            ")"
        )
    };
}

pub(crate) use standing;

/// Where a chain ends.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    pub state: Option<State>,
    pub at: Millis,
    pub place: i64,
    pub hash: String,
}

type Key<'a> = (Channel, &'a str);

/// The heads of the addresses that something was said about. The caller holds the lock of the account's addresses.
pub(super) async fn heads<'a>(
    tx: &mut Tx,
    account: i64,
    said: &[Said<'a>],
) -> Result<HashMap<Key<'a>, Head>> {
    let keys: HashMap<(&str, &str), Key<'a>> = said
        .iter()
        .map(|word| ((word.channel.as_str(), word.address_hash), (word.channel, word.address_hash)))
        .collect();
    let asked: Vec<_> = keys.keys().map(|(channel, hash)| json!([channel, hash])).collect();
    let found = rows!(
        tx,
        (String, String, String, i64, i64, String),
        "SELECT s.channel, s.address_hash, s.state, s.at, s.place, s.hash FROM json_each($2) AS e
          CROSS JOIN consent_states s
          WHERE s.account_id = $1 AND s.channel = e.value ->> 0 AND s.address_hash = e.value ->> 1",
        account,
        Value::Array(asked).to_string()
    )?;
    let head = |(channel, address, state, at, place, hash): (String, String, String, i64, i64, String)| {
        let key = keys.get(&(channel.as_str(), address.as_str()))?;
        Some((*key, Head { state: State::parse(&state), at, place, hash }))
    };
    Ok(found.into_iter().filter_map(head).collect())
}

/// Moves heads on, and with them what contacts show of their numbers.
pub(super) async fn advance(tx: &mut Tx, account: i64, moved: &HashMap<Key<'_>, Head>) -> Result<()> {
    let mut rows: Vec<_> = moved.iter().collect();
    rows.sort_unstable_by_key(|((channel, hash), _)| (*hash, channel.as_str()));
    let row = |((channel, hash), head): &(&Key<'_>, &Head)| {
        json!([channel.as_str(), hash, head.state.map(State::as_str), head.at, head.place, head.hash])
    };
    let phones: Vec<_> =
        rows.iter().filter(|((c, _), _)| *c != Channel::Email).map(|((_, hash), _)| json!([hash])).collect();
    let rows: Vec<_> = rows.iter().map(row).collect();
    execute!(
        &mut *tx,
        "INSERT INTO consent_states (account_id, channel, address_hash, state, at, place, hash)
         SELECT $2, e.value ->> 0, e.value ->> 1, e.value ->> 2, CAST(e.value ->> 3 AS BIGINT),
                CAST(e.value ->> 4 AS BIGINT), e.value ->> 5
           FROM json_each($1) AS e WHERE TRUE
         ON CONFLICT (account_id, channel, address_hash) DO UPDATE
         SET state = excluded.state, at = excluded.at, place = excluded.place, hash = excluded.hash",
        Value::Array(rows).to_string(),
        account
    )?;
    if !phones.is_empty() {
        execute!(
            tx,
            concat!(
                "UPDATE contacts SET consent = ",
                standing!("contacts.phone_hash", "$2"),
                "
                  WHERE id IN (SELECT c.id FROM json_each($1) AS e
                                CROSS JOIN contacts c WHERE c.account_id = $2 AND c.phone_hash = e.value ->> 0)"
            ),
            Value::Array(phones).to_string(),
            account
        )?;
    }
    Ok(())
}

/// What was last said about addresses on a channel; who said nothing is not there.
pub async fn states(
    tx: &mut Tx,
    account: i64,
    channel: Channel,
    hashes: &[&str],
) -> Result<HashMap<String, (State, Millis)>> {
    let asked: Vec<[&str; 1]> = hashes.iter().map(|hash| [*hash]).collect();
    let found = rows!(
        tx,
        (String, String, i64),
        "SELECT s.address_hash, s.state, s.at FROM json_each($3) AS e
          CROSS JOIN consent_states s
          WHERE s.account_id = $1 AND s.channel = $2 AND s.address_hash = e.value ->> 0",
        account,
        channel.as_str(),
        json!(asked).to_string()
    )?;
    let state = |(hash, state, at): (String, String, i64)| Some((hash, (State::parse(&state)?, at)));
    Ok(found.into_iter().filter_map(state).collect())
}

/// What a number's owner said, the strictest word of its channels.
pub async fn of_number(tx: &mut Tx, account: i64, hash: &str) -> Result<Option<State>> {
    let sql = concat!("SELECT ", standing!("$2", "$1"));
    let found = row!(tx, (Option<String>,), sql, account, hash)?;
    Ok(found.and_then(|(word,)| State::parse(&word?)))
}

/// When something was last said about numbers, on any of their channels.
pub async fn said_at(tx: &mut Tx, account: i64, hashes: &[&str]) -> Result<HashMap<String, Millis>> {
    let asked: Vec<[&str; 1]> = hashes.iter().map(|hash| [*hash]).collect();
    let found = rows!(
        tx,
        (String, i64),
        "SELECT s.address_hash, MAX(s.at) FROM json_each($2) AS e
          CROSS JOIN consent_states s
          WHERE s.account_id = $1 AND s.channel IN ('sms', 'whatsapp') AND s.address_hash = e.value ->> 0
          GROUP BY s.address_hash",
        account,
        json!(asked).to_string()
    )?;
    Ok(found.into_iter().collect())
}
