//! The state of send limits: one row per sending profile and per campaign.

use crate::db::{Tx, execute, row};
use crate::error::Result;
use sendwright_workflows::rate_limit::{Gate, Period};
use sendwright_workflows::reason::Owner;
use serde_json::{Value, json};

fn word(owner: Owner) -> &'static str {
    match owner {
        Owner::Profile => "profile",
        Owner::Campaign => "campaign",
    }
}

type Row = (i64, i64, i64, i64, i64);

pub(crate) fn gate_of(row: Row) -> Gate {
    let (next, minute_start, minute_count, day_start, day_count) = row;
    Gate {
        next,
        minute: Period { start: minute_start, count: minute_count as u32 },
        day: Period { start: day_start, count: day_count as u32 },
    }
}

/// Makes a gate that gives its first slot at once.
pub async fn create(tx: &mut Tx, owner: Owner, id: i64, account: i64) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO gates (owner, owner_id, account_id) VALUES ($1, $2, $3) ON CONFLICT (owner, owner_id) DO NOTHING",
        word(owner),
        id,
        account
    )?;
    Ok(())
}

/// Reads a gate and holds its row until the transaction ends. Lock the profile's before the campaign's.
pub async fn lock(tx: &mut Tx, owner: Owner, id: i64) -> Result<Gate> {
    let sql = match tx.is_postgres() {
        true => {
            "SELECT next, minute_start, minute_count, day_start, day_count FROM gates
             WHERE owner = $1 AND owner_id = $2 FOR UPDATE"
        }
        false => {
            "SELECT next, minute_start, minute_count, day_start, day_count FROM gates
             WHERE owner = $1 AND owner_id = $2"
        }
    };
    Ok(row!(tx, Row, sql, word(owner), id)?.map(gate_of).unwrap_or_default())
}

/// Writes gates that [`lock`] read, or that lie behind one that it did.
pub async fn save(tx: &mut Tx, gates: &[(Owner, i64, Gate)]) -> Result<()> {
    if gates.is_empty() {
        return Ok(());
    }
    let line = |(owner, id, gate): &(Owner, i64, Gate)| {
        let Gate { next, minute, day } = gate;
        json!([word(*owner), id, next, minute.start, minute.count, day.start, day.count])
    };
    execute!(
        tx,
        "UPDATE gates SET next = CAST(e.value ->> 2 AS BIGINT),
             minute_start = CAST(e.value ->> 3 AS BIGINT), minute_count = CAST(e.value ->> 4 AS BIGINT),
             day_start = CAST(e.value ->> 5 AS BIGINT), day_count = CAST(e.value ->> 6 AS BIGINT)
         FROM json_each($1) AS e
         WHERE gates.owner = e.value ->> 0 AND gates.owner_id = CAST(e.value ->> 1 AS BIGINT)",
        Value::from(gates.iter().map(line).collect::<Vec<_>>()).to_string()
    )?;
    Ok(())
}
