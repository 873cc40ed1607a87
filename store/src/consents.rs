//! The ledger of consent: who said yes or no on a channel, when, how, and on whose word. Lines are only added, each with
//! the hash of the one before it; what they come to stands beside, in `consent_states`, and forbids by `suppressions`.

mod chains;
mod ledger;
mod standing;

pub use chains::Chains;
pub use ledger::{Consent, chain, count, list, torn, walk};
pub(crate) use standing::standing;
pub use standing::{of_number, said_at, states};

use crate::db::{Tx, execute};
use crate::error::{Error, Result};
use crate::ids::Ids;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::consent::{Change, Grounds, Line, State, after};
use sendwright_workflows::sequence::Channel;
use serde_json::{Value, json};
use standing::Head;
use std::collections::HashMap;
use std::ops::Range;

/// Something that was said about an address on a channel.
#[derive(Debug, Clone)]
pub struct Said<'a> {
    /// The contact, where one is known.
    pub contact: Option<i64>,
    /// The channel.
    pub channel: Channel,
    /// The salted hash of the address.
    pub address_hash: &'a str,
    /// The masked address, for people.
    pub hint: &'a str,
    /// What was said.
    pub state: State,
    /// On what grounds.
    pub grounds: Grounds,
    /// What a suppression is put down to where it forbids: `opt_out`, `stop`, `manual` or `complained`.
    pub why: &'a str,
    /// Where it was said: `unsubscribe_link`, `api`, `command`, `import`, `reply`, `report`, `inbound`.
    pub source: &'a str,
    /// Who wrote it down, as in the audit.
    pub actor: &'a str,
    /// The words it was asked or said in.
    pub wording: Option<&'a str>,
    /// A JSON object with what proves it.
    pub evidence: &'a str,
}

/// Row numbers for what [`record`] writes, taken before the transaction.
#[derive(Debug, Clone)]
pub struct Numbers {
    lines: Range<i64>,
    suppressions: Range<i64>,
}

impl Numbers {
    /// Takes them for this many words, of which so many forbid.
    pub async fn take(ids: &Ids, words: usize, noes: usize) -> Result<Self> {
        let suppressions = if noes > 0 { ids.take("suppressions", noes).await? } else { 0..0 };
        Ok(Self { lines: ids.take("consents", words).await?, suppressions })
    }

    /// The first of them, for a part of those words.
    pub fn split(&mut self, words: usize, noes: usize) -> Self {
        fn first(of: &mut Range<i64>, count: usize) -> Range<i64> {
            let end = of.end.min(of.start + count as i64);
            std::mem::replace(of, end..of.end).start..end
        }
        Self { lines: first(&mut self.lines, words), suppressions: first(&mut self.suppressions, noes) }
    }
}

/// Writes down what was said, in the order given: the line, what it comes to, and the suppression that it adds or lifts,
/// and answers for each what became of it. Whoever records a no holds the account's barrier exclusively where a promise
/// rests on it (SEND_PROTOCOL 4). Takes the lock of the account's addresses.
pub async fn record(
    tx: &mut Tx,
    account: i64,
    said: &[Said<'_>],
    mut ids: Numbers,
    now: Millis,
) -> Result<Vec<Change>> {
    tx.lock_addresses(account).await?;
    let mut heads = standing::heads(tx, account, said).await?;
    let mut batch = Batch { account, now, lines: Vec::new(), forbidden: Vec::new(), lifted: Vec::new() };
    let mut changes = Vec::with_capacity(said.len());
    let mut moved = HashMap::new();
    for word in said {
        let key = (word.channel, word.address_hash);
        let head = heads.entry(key).or_default();
        let change = after(head.state.map(|state| (state, head.at)), word.state, word.grounds);
        if change == Change::Holds {
            let line = ids.lines.next().ok_or_else(too_few)?;
            let suppression =
                if word.state.forbids() { Some(ids.suppressions.next().ok_or_else(too_few)?) } else { None };
            batch.add(word, head, line, suppression);
            moved.insert(key, head.clone());
        }
        changes.push(change);
    }
    if !moved.is_empty() {
        batch.write(tx).await?;
        standing::advance(tx, account, &moved).await?;
    }
    Ok(changes)
}

fn too_few() -> Error {
    Error::Defect(sqlx::Error::Protocol("fewer row numbers were taken than words are recorded".into()))
}

/// What [`record`] will write.
struct Batch<'a> {
    account: i64,
    now: Millis,
    lines: Vec<Value>,
    /// Suppressions, by address: the last word counts.
    forbidden: Vec<(i64, &'a Said<'a>)>,
    lifted: Vec<[&'a str; 2]>,
}

impl<'a> Batch<'a> {
    fn add(&mut self, word: &'a Said<'a>, head: &mut Head, id: i64, suppression: Option<i64>) {
        let (channel, state) = (word.channel.as_str(), word.state.as_str());
        let line = Line {
            account_id: self.account,
            contact_id: word.contact,
            channel,
            address_hash: word.address_hash,
            place: head.place + 1,
            state,
            source: word.source,
            actor: word.actor,
            wording: word.wording,
            evidence: word.evidence,
            at: self.now,
            previous: &head.hash,
        };
        let hash = line.hash();
        self.lines.push(json!([
            id,
            word.contact,
            channel,
            word.address_hash,
            line.place,
            state,
            word.source,
            word.actor,
            word.wording,
            word.evidence,
            head.hash,
            hash
        ]));
        let is_lifted = head.state.is_some_and(State::forbids) && !word.state.forbids();
        let is_same =
            |other: &Said<'_>| (other.channel, other.address_hash) == (word.channel, word.address_hash);
        self.forbidden.retain(|(_, earlier)| !is_same(earlier));
        self.forbidden.extend(suppression.map(|id| (id, word)));
        if is_lifted {
            self.lifted.push([channel, word.address_hash]);
        }
        *head = Head { state: Some(word.state), at: self.now, place: line.place, hash };
    }

    async fn write(self, tx: &mut Tx) -> Result<()> {
        execute!(
            &mut *tx,
            "INSERT INTO consents (id, account_id, contact_id, channel, address_hash, place, state, source, actor,
                                   wording, evidence, previous, hash, at)
             SELECT CAST(e.value ->> 0 AS BIGINT), $2, CAST(e.value ->> 1 AS BIGINT), e.value ->> 2, e.value ->> 3,
                    CAST(e.value ->> 4 AS BIGINT), e.value ->> 5, e.value ->> 6, e.value ->> 7, e.value ->> 8,
                    e.value ->> 9, e.value ->> 10, e.value ->> 11, $3
               FROM json_each($1) AS e",
            Value::Array(self.lines).to_string(),
            self.account,
            self.now
        )?;
        if !self.lifted.is_empty() {
            // What a server or a person at the desk put there is no consent, and stays.
            execute!(
                &mut *tx,
                "DELETE FROM suppressions WHERE id IN (
                     SELECT s.id FROM json_each($1) AS e
                      CROSS JOIN suppressions s
                      WHERE s.account_id = $2 AND s.channel = e.value ->> 0 AND s.address_hash = e.value ->> 1
                        AND s.why IN ('opt_out', 'stop'))",
                json!(self.lifted).to_string(),
                self.account
            )?;
        }
        if !self.forbidden.is_empty() {
            let rows: Vec<_> = self
                .forbidden
                .iter()
                .map(|(id, word)| {
                    json!([id, word.channel.as_str(), word.address_hash, word.hint, word.why, word.source])
                })
                .collect();
            // A STOP is told from any other reason, whatever stood there first.
            execute!(
                &mut *tx,
                "INSERT INTO suppressions (id, account_id, channel, address_hash, hint, why, source, created_at)
                 SELECT CAST(e.value ->> 0 AS BIGINT), $2, e.value ->> 1, e.value ->> 2, e.value ->> 3, e.value ->> 4,
                        e.value ->> 5, $3
                   FROM json_each($1) AS e WHERE TRUE
                 ON CONFLICT (account_id, channel, address_hash) DO UPDATE SET why = excluded.why
                  WHERE excluded.why = 'stop'",
                Value::Array(rows).to_string(),
                self.account,
                self.now
            )?;
        }
        Ok(())
    }
}
