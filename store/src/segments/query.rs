//! Trees of conditions, asked of the database.

use super::sql::{Bind, Maker, hash_of};
use crate::db::Tx;
use crate::error::Result;
use sendwright_workflows::clock::Millis;
use sendwright_workflows::segment::Filter;
use sendwright_workflows::sequence::Channel;
use sqlx::AssertSqlSafe;

/// Runs a made statement, once: its text is one of many and not worth a place among those that are kept.
macro_rules! fetch {
    ($tx:expr, $row:ty, $sql:expr, $binds:expr) => {
        match $tx {
            Tx::Postgres(t) => crate::db::ask!(t, fetch!(@query $row, $sql, $binds), fetch_all),
            Tx::Sqlite(t) => fetch!(@query $row, $sql, $binds).fetch_all(&mut **t).await,
        }
        .map_err(crate::error::Error::from)
    };
    (@query $row:ty, $sql:expr, $binds:expr) => {{
        let mut query = sqlx::query_as::<_, $row>(AssertSqlSafe($sql)).persistent(false);
        for bind in $binds {
            query = match bind {
                Bind::Text(text) => query.bind(text),
                Bind::Int(number) => query.bind(number),
                Bind::Real(number) => query.bind(number),
            };
        }
        query
    }};
}

/// Everybody who is meant, as a SELECT of their numbers.
pub struct People {
    maker: Maker,
    select: String,
}

/// Who of an account is meant by a tree, now.
pub fn people(account: i64, filter: &Filter, now: Millis) -> People {
    let mut maker = Maker::new(account, filter, now);
    let select = maker.people(filter);
    People { maker, select }
}

impl People {
    /// How many they are.
    pub async fn count(self, tx: &mut Tx) -> Result<i64> {
        let sql = format!("SELECT COUNT(*) FROM ({}) AS p", self.select);
        let found = fetch!(tx, (i64,), sql, self.maker.binds)?;
        Ok(found.first().map_or(0, |r| r.0))
    }

    /// The numbers of all of them.
    pub async fn ids(self, tx: &mut Tx) -> Result<Vec<i64>> {
        let sql = format!("SELECT p.id FROM ({}) AS p ORDER BY p.id", self.select);
        let found = fetch!(tx, (i64,), sql, self.maker.binds)?;
        Ok(found.into_iter().map(|r| r.0).collect())
    }

    /// How many of them one of these channels reaches.
    pub async fn reachable(self, tx: &mut Tx, channels: &[Channel]) -> Result<i64> {
        let sql = format!(
            "SELECT COUNT(*) FROM ({}) AS p JOIN contacts c ON c.id = p.id WHERE {}",
            self.select,
            may_reach(channels)
        );
        let found = fetch!(tx, (i64,), sql, self.maker.binds)?;
        Ok(found.first().map_or(0, |r| r.0))
    }

    /// Some of them, by number or address.
    pub async fn sample(mut self, tx: &mut Tx, most: i64) -> Result<Vec<String>> {
        let most = self.maker.bind(Bind::Int(most));
        let sql = format!(
            "SELECT COALESCE(c.phone_key, c.email, c.external_id, '') FROM ({}) AS p JOIN contacts c ON c.id = p.id
             LIMIT {most}",
            self.select
        );
        let found = fetch!(tx, (String,), sql, self.maker.binds)?;
        Ok(found.into_iter().map(|r| r.0).filter(|address| !address.is_empty()).collect())
    }
}

/// Somebody in a window of contacts who is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// The contact.
    pub contact: i64,
    /// Whether a channel has an address of theirs.
    pub has_address: bool,
    /// Whether a channel may be used.
    pub may: bool,
}

/// Who is meant among the contacts above `window.0` up to `window.1`, made before `before`, ascending; and whether one
/// of these channels reaches them.
pub async fn in_window(
    tx: &mut Tx,
    account: i64,
    filter: &Filter,
    channels: &[Channel],
    window: (i64, i64),
    (before, now): (Millis, Millis),
) -> Result<Vec<Reached>> {
    let mut maker = Maker::new(account, filter, now);
    // SQLite would carry the window's bounds over to the values of all its contacts, and walk those for each of them; the
    // sign keeps it from that.
    let id = if tx.is_postgres() { "c.id" } else { "+c.id" };
    let holds = maker.holds(filter, id);
    let [after, upto, before] = [window.0, window.1, before].map(|bound| maker.bind(Bind::Int(bound)));
    let has = either(channels, |channel| format!("c.{} IS NOT NULL", hash_of(channel)));
    // The sign keeps SQLite from the index by age, which would have it walk the whole account for a window of numbers.
    let sql = format!(
        "SELECT c.id, CAST(CASE WHEN {} THEN 2 WHEN {has} THEN 1 ELSE 0 END AS BIGINT)
           FROM contacts c
          WHERE c.id > {after} AND c.id <= {upto} AND c.account_id = $1 AND c.state = 'active'
            AND +c.created_at <= {before} AND {holds} ORDER BY c.id",
        may_reach(channels)
    );
    let found = fetch!(tx, (i64, i64), sql, maker.binds)?;
    let reached = |(contact, how): (i64, i64)| Reached { contact, has_address: how > 0, may: how > 1 };
    Ok(found.into_iter().map(reached).collect())
}

/// Whether one of the channels may be used for contact `c`: an address, no suppression, and a yes where one is needed.
fn may_reach(channels: &[Channel]) -> String {
    either(channels, |channel| {
        let (hash, word) = (hash_of(channel), channel.as_str());
        let consent = match channel {
            Channel::Email => String::new(),
            Channel::Sms | Channel::Whatsapp => format!(
                " AND EXISTS (SELECT 1 FROM consent_states q WHERE q.account_id = c.account_id
                      AND q.channel = '{word}' AND q.address_hash = c.{hash} AND q.state = 'opt_in')"
            ),
        };
        format!(
            "(c.{hash} IS NOT NULL{consent} AND NOT EXISTS (SELECT 1 FROM suppressions x
              WHERE x.account_id = c.account_id AND x.channel = '{word}' AND x.address_hash = c.{hash}))"
        )
    })
}

fn either(channels: &[Channel], one: impl Fn(Channel) -> String) -> String {
    match channels {
        [] => "FALSE".into(),
        _ => format!("({})", channels.iter().map(|channel| one(*channel)).collect::<Vec<_>>().join(" OR ")),
    }
}
