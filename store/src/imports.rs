//! Imports: files of people that are taken chunk by chunk, how far each is, and what was refused.

use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use crate::page::{Page, in_order};
use sendwright_workflows::clock::Millis;
use serde_json::{Value, json};

/// A stored import.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Import {
    /// Its row.
    pub id: i64,
    /// Whose it is.
    pub account_id: i64,
    /// `users` or `leads`.
    pub kind: String,
    /// The campaign that leads are enrolled in.
    pub campaign_id: Option<i64>,
    /// The `Idempotency-Key` it came with.
    pub once: Option<String>,
    /// `running`, `completed`, `interrupted` or `failed`.
    pub state: String,
    /// How often it was taken up.
    pub attempt: i64,
    /// Rows that are committed: the sum of the next three.
    pub processed: i64,
    /// People that are new.
    pub created: i64,
    /// People that were there.
    pub updated: i64,
    /// Rows that were refused.
    pub errors: i64,
    /// What those rows were: the digest of each chunk upon that of the one before.
    pub digest: String,
    /// Why it did not come to its end.
    pub why: Option<String>,
    /// When it was begun.
    pub created_at: Millis,
    /// When a chunk was last committed, or it was taken up.
    pub updated_at: Millis,
    /// When it came to its end.
    pub ended_at: Option<Millis>,
}

/// A row that was refused.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Refused {
    /// Its place in the file, from 1; a CSV's header is none.
    pub place: i64,
    /// Its line in the file, from 1.
    pub line: i64,
    /// The field; `row` for the whole.
    pub field: String,
    /// The rule.
    pub code: String,
    /// For people.
    pub message: String,
    /// What was given.
    pub provided: Option<String>,
}

macro_rules! columns {
    () => {
        "id, account_id, kind, campaign_id, once, state, attempt, processed, created, updated, errors, digest, why,
         created_at, updated_at, ended_at"
    };
}

/// Inserts an import that begins. The same `once` as another's is [`crate::Error::Duplicate`].
pub async fn insert(tx: &mut Tx, import: &Import) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO imports (id, account_id, kind, campaign_id, once, state, attempt, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
        import.id,
        import.account_id,
        &import.kind,
        import.campaign_id,
        &import.once,
        &import.state,
        import.attempt,
        import.created_at
    )?;
    Ok(())
}

/// The account's import with this number.
pub async fn get(tx: &mut Tx, account: i64, id: i64) -> Result<Option<Import>> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM imports WHERE account_id = $1 AND id = $2");
    row!(tx, Import, SQL, account, id)
}

/// The account's import with this `Idempotency-Key`; keys of imports from before `since` are forgotten first.
pub async fn by_once(tx: &mut Tx, account: i64, once: &str, since: Millis) -> Result<Option<Import>> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM imports WHERE account_id = $1 AND once = $2");
    let forget = "UPDATE imports SET once = NULL WHERE account_id = $1 AND once = $2 AND created_at < $3";
    execute!(&mut *tx, forget, account, once, since)?;
    row!(tx, Import, SQL, account, once)
}

/// The account's imports by age.
pub async fn list(tx: &mut Tx, account: i64, page: Page) -> Result<Vec<Import>> {
    rows!(
        tx,
        Import,
        in_order!(page, "", "SELECT ", columns!(), " FROM imports WHERE account_id = $1"),
        account,
        page.after.0,
        page.after.1,
        page.limit,
        page.skip
    )
}

/// How many of them there are.
pub async fn count(tx: &mut Tx, account: i64) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM imports WHERE account_id = $1";
    Ok(row!(tx, (i64,), sql, account)?.map_or(0, |r| r.0))
}

/// Takes an unfinished import up again. Whoever had it before commits no more of it. `false`: somebody else was faster.
pub async fn take_up(tx: &mut Tx, import: &Import, now: Millis) -> Result<bool> {
    let sql = "UPDATE imports SET state = 'running', attempt = attempt + 1, why = NULL, updated_at = $3
                WHERE id = $1 AND attempt = $2 AND state <> 'completed'";
    Ok(execute!(tx, sql, import.id, import.attempt, now)? == 1)
}

/// What a chunk adds.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// People that are new.
    pub created: i64,
    /// People that were there.
    pub updated: i64,
    /// Rows that were refused.
    pub refused: Vec<Refused>,
    /// The digest of everything up to here.
    pub digest: String,
}

/// Moves an import on by a chunk, in the transaction of its people. `false`: it was taken up by somebody else.
pub async fn advance(tx: &mut Tx, import: &Import, step: &Step, now: Millis) -> Result<bool> {
    let refused: Vec<_> = step
        .refused
        .iter()
        .map(|r| json!([r.place, r.line, r.field, r.code, r.message, r.provided]))
        .collect();
    let errors = refused.len() as i64;
    if errors > 0 {
        execute!(
            &mut *tx,
            "INSERT INTO import_errors (import_id, place, line, field, code, message, provided)
             SELECT $2, CAST(e.value ->> 0 AS BIGINT), CAST(e.value ->> 1 AS BIGINT), e.value ->> 2, e.value ->> 3,
                    e.value ->> 4, e.value ->> 5
               FROM json_each($1) AS e",
            Value::Array(refused).to_string(),
            import.id
        )?;
    }
    let moved = execute!(
        tx,
        "UPDATE imports SET processed = processed + $3 + $4 + $5, created = created + $3, updated = updated + $4,
                errors = errors + $5, digest = $6, updated_at = $7
          WHERE id = $1 AND attempt = $2 AND state = 'running'",
        import.id,
        import.attempt,
        step.created,
        step.updated,
        errors,
        &step.digest,
        now
    )?;
    Ok(moved == 1)
}

/// Ends an import, or what had it: `completed`, `interrupted` or `failed`. `false`: it was taken up by somebody else.
pub async fn end(tx: &mut Tx, import: &Import, state: &str, why: Option<&str>, now: Millis) -> Result<bool> {
    let sql = "UPDATE imports SET state = $3, why = $4, updated_at = $5, ended_at = $5
                WHERE id = $1 AND attempt = $2 AND state = 'running'";
    Ok(execute!(tx, sql, import.id, import.attempt, state, why, now)? == 1)
}

/// The rows of an import that were refused, by their place in the file.
pub async fn refused(tx: &mut Tx, import: i64, page: Page) -> Result<Vec<Refused>> {
    rows!(
        tx,
        Refused,
        in_order!(
            page,
            "",
            "SELECT place, line, field, code, message, provided
               FROM (SELECT r.*, CAST(0 AS BIGINT) AS created_at, r.place AS id FROM import_errors r) AS r
              WHERE import_id = $1"
        ),
        import,
        page.after.0,
        page.after.1,
        page.limit,
        page.skip
    )
}
