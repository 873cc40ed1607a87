//! Runs: what was asked of a whole campaign, and how far it is.

use crate::db::{Tx, execute, row, rows};
use crate::error::Result;
use crate::page::{Page, in_order};
use sendwright_workflows::clock::{MINUTE, Millis};
use sendwright_workflows::message::UNPLANNED;
use serde_json::json;

/// A stored run.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Run {
    /// Its row.
    pub id: i64,
    /// Whose it is.
    pub account_id: i64,
    /// The campaign it is about.
    pub campaign_id: i64,
    /// The campaign's round when it was asked for.
    pub round: i64,
    /// `generate`, `send` or `expand`.
    pub kind: String,
    /// `running`, `completed` or `cancelled`.
    pub state: String,
    /// The people it is about, as far as they have been taken on; of an `expand`, as they were estimated.
    pub total: i64,
    /// Of those, whose next text was there before.
    pub already: i64,
    /// The last enrolment that was taken on; of an `expand`, the last contact that was looked at.
    pub reached: i64,
    /// The last enrolment, or contact, there was when it was asked for.
    pub upto: i64,
    /// The round's messages by state when it was asked for: a JSON object.
    pub before: String,
    /// What was counted when it ended: a JSON object. An `expand` counts as it goes.
    pub counts: Option<String>,
    /// Of an `expand`, the conditions as they were when it was asked for.
    pub criteria: Option<String>,
    /// Of an `expand` of a live audience, when it looks at its segment again; empty while it does.
    pub next_at: Option<Millis>,
    /// When it was asked for.
    pub created_at: Millis,
    /// When nothing of it was left to do.
    pub ended_at: Option<Millis>,
}

macro_rules! columns {
    () => {
        "id, account_id, campaign_id, round, kind, state, total, already, reached, upto, before, counts,
         criteria, next_at, created_at, ended_at"
    };
}

/// Inserts a run that has just been asked for.
pub async fn insert(tx: &mut Tx, run: &Run) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO runs (id, account_id, campaign_id, round, kind, state, total, reached, upto, before, created_at,
                counts, criteria)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        run.id,
        run.account_id,
        run.campaign_id,
        run.round,
        &run.kind,
        &run.state,
        run.total,
        run.reached,
        run.upto,
        &run.before,
        run.created_at,
        &run.counts,
        &run.criteria
    )?;
    Ok(())
}

/// The account's run with this number.
pub async fn get(tx: &mut Tx, account: i64, id: i64) -> Result<Option<Run>> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM runs WHERE account_id = $1 AND id = $2");
    row!(tx, Run, SQL, account, id)
}

/// The account's runs by age, of one campaign where one is named.
pub async fn list(tx: &mut Tx, account: i64, campaign: Option<i64>, page: Page) -> Result<Vec<Run>> {
    let sql = in_order!(
        page,
        "",
        "SELECT ",
        columns!(),
        " FROM runs WHERE account_id = $1 AND (CAST($6 AS BIGINT) IS NULL OR campaign_id = $6)"
    );
    rows!(tx, Run, sql, account, page.after.0, page.after.1, page.limit, page.skip, campaign)
}

/// How many of them there are.
pub async fn count(tx: &mut Tx, account: i64, campaign: Option<i64>) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM runs
                WHERE account_id = $1 AND (CAST($2 AS BIGINT) IS NULL OR campaign_id = $2)";
    Ok(row!(tx, (i64,), sql, account, campaign)?.map_or(0, |r| r.0))
}

/// A campaign's run of this kind that is under way and has nobody missing: the one that is answered again.
pub async fn under_way(tx: &mut Tx, campaign: i64, kind: &str) -> Result<Option<Run>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM runs WHERE campaign_id = $1 AND kind = $2 AND state = 'running' ORDER BY id DESC LIMIT 1"
    );
    row!(tx, Run, SQL, campaign, kind)
}

/// Every run that is under way.
pub async fn open(tx: &mut Tx) -> Result<Vec<Run>> {
    const SQL: &str =
        concat!("SELECT ", columns!(), " FROM runs WHERE state = 'running' ORDER BY campaign_id, id");
    rows!(tx, Run, SQL)
}

/// Ends a run that is under way. `false`: it has ended before.
pub async fn end(tx: &mut Tx, run: i64, state: &str, counts: &str, now: Millis) -> Result<bool> {
    let done = execute!(
        tx,
        "UPDATE runs SET state = $2, counts = $3, ended_at = $4 WHERE id = $1 AND state = 'running'",
        run,
        state,
        counts,
        now
    )?;
    Ok(done == 1)
}

/// The last enrolment of a campaign's round, and how many of its people are under way.
pub async fn extent(tx: &mut Tx, campaign: i64, round: i64) -> Result<(i64, i64)> {
    let found = row!(
        tx,
        (Option<i64>, i64),
        "SELECT MAX(id), COUNT(*) FROM enrolments WHERE campaign_id = $1 AND round = $2 AND state = 'active'",
        campaign,
        round
    )?;
    Ok(found.map_or((0, 0), |(last, people)| (last.unwrap_or(0), people)))
}

/// The messages of a round by state.
pub async fn states(tx: &mut Tx, run: &Run) -> Result<Vec<(String, i64)>> {
    rows!(
        tx,
        (String, i64),
        "SELECT state, COUNT(*) FROM messages
          WHERE account_id = $1 AND campaign_id = $2 AND round = $3 AND kind = 'step' GROUP BY state",
        run.account_id,
        run.campaign_id,
        run.round
    )
}

/// How fast a round goes out, and what is planned of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Pace {
    /// Messages that were accepted in the last minute.
    pub last_minute: i64,
    /// The last planned instant of a message that waits.
    pub last_planned: Option<Millis>,
    /// The last instant at which the planner looks at somebody.
    pub last_look: Option<Millis>,
    /// People of the run who are under way.
    pub active: i64,
}

/// Reads it.
pub async fn pace(tx: &mut Tx, run: &Run, now: Millis) -> Result<Pace> {
    let found = row!(
        tx,
        Pace,
        "SELECT (SELECT COUNT(*) FROM messages WHERE account_id = $1 AND campaign_id = $2 AND round = $3
                    AND kind = 'step' AND accepted_at > $4) AS last_minute,
                (SELECT MAX(planned_at) FROM messages WHERE account_id = $1 AND campaign_id = $2 AND round = $3
                    AND kind = 'step' AND state IN ('scheduled', 'drafted') AND planned_at < $5) AS last_planned,
                (SELECT MAX(next_run_at) FROM enrolments WHERE campaign_id = $2 AND next_run_at IS NOT NULL
                    AND id <= $6) AS last_look,
                (SELECT COUNT(*) FROM enrolments WHERE campaign_id = $2 AND round = $3 AND state = 'active'
                    AND id <= $6) AS active",
        run.account_id,
        run.campaign_id,
        run.round,
        now - MINUTE,
        UNPLANNED,
        run.upto
    )?;
    Ok(found.unwrap_or_default())
}

/// What has become of a run of texts, as (state of the message, whether it has a text, how many).
pub async fn written(tx: &mut Tx, run: i64) -> Result<Vec<(String, bool, i64)>> {
    let found = rows!(
        tx,
        (String, i64, i64),
        "SELECT m.state, CAST(CASE WHEN d.message_id IS NULL THEN 0 ELSE 1 END AS BIGINT) AS has_text, COUNT(*)
         FROM messages m LEFT JOIN drafts d ON d.message_id = m.id
         WHERE m.run_id = $1 GROUP BY m.state, has_text",
        run
    )?;
    Ok(found.into_iter().map(|(state, text, n)| (state, text == 1, n)).collect())
}

/// How many people of a run the planner has yet to look at.
pub async fn unplanned(tx: &mut Tx, run: &Run) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM enrolments
                WHERE campaign_id = $1 AND run_id IS NOT NULL AND run_id = $2 AND next_run_at IS NOT NULL";
    Ok(row!(tx, (i64,), sql, run.campaign_id, run.id)?.map_or(0, |r| r.0))
}

/// Whether something of a run of texts is left to do: one probe after the other, the cheap ones first.
pub async fn has_texts_to_write(tx: &mut Tx, run: &Run) -> Result<bool> {
    if run.reached < run.upto || unplanned(tx, run).await? > 0 {
        return Ok(true);
    }
    let sql = "SELECT id FROM messages WHERE run_id = $1 AND state IN ('scheduled', 'writing') LIMIT 1";
    Ok(row!(tx, (i64,), sql, run.id)?.is_some())
}

/// Whether somebody of a run that sends is under way, or something of its round.
pub async fn has_more_to_send(tx: &mut Tx, run: &Run) -> Result<bool> {
    let active = "SELECT id FROM enrolments
                   WHERE campaign_id = $1 AND round = $2 AND state = 'active' AND id <= $3 LIMIT 1";
    if row!(&mut *tx, (i64,), active, run.campaign_id, run.round, run.upto)?.is_some() {
        return Ok(true);
    }
    let open =
        "SELECT id FROM messages WHERE account_id = $1 AND campaign_id = $2 AND round = $3 AND kind = 'step'
                   AND state IN ('scheduled', 'writing', 'drafted', 'claimed', 'sending') LIMIT 1";
    Ok(row!(tx, (i64,), open, run.account_id, run.campaign_id, run.round)?.is_some())
}

/// Takes on the next people of a run of texts, at most `most`: who waits for a step is planned at once, and a
/// text that waits for its time is written at once. `false`: the run had nobody left, or had moved on.
pub async fn take_on(tx: &mut Tx, run: &Run, most: i64, now: Millis) -> Result<bool> {
    let next = rows!(
        &mut *tx,
        (i64,),
        "SELECT id FROM enrolments WHERE campaign_id = $1 AND round = $2 AND state = 'active'
            AND id > $3 AND id <= $4 ORDER BY id LIMIT $5",
        run.campaign_id,
        run.round,
        run.reached,
        run.upto,
        most
    )?;
    let reached = if (next.len() as i64) < most { run.upto } else { next.last().map_or(run.upto, |r| r.0) };
    let people = json!(next.iter().map(|r| [r.0]).collect::<Vec<_>>()).to_string();
    let moved = execute!(
        &mut *tx,
        "UPDATE runs SET reached = $3, total = total + $4 WHERE id = $1 AND reached = $2 AND state = 'running'",
        run.id,
        run.reached,
        reached,
        next.len() as i64
    )?;
    if moved == 0 {
        return Ok(false);
    }
    let planned = execute!(
        &mut *tx,
        "UPDATE enrolments SET run_id = $2, next_run_at = $3, updated_at = $3
         WHERE id IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM json_each($1) AS e)
           AND state = 'active' AND next_run_at IS NOT NULL AND run_id IS NULL",
        &people,
        run.id,
        now
    )?;
    let hastened = execute!(
        &mut *tx,
        "UPDATE messages SET run_id = $2, write_at = $3, updated_at = $3
         WHERE state = 'scheduled' AND write_at IS NULL
           AND enrolment_id IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM json_each($1) AS e)",
        &people,
        run.id,
        now
    )?;
    let already = next.len() as i64 - (planned + hastened) as i64;
    execute!(tx, "UPDATE runs SET already = already + $2 WHERE id = $1", run.id, already)?;
    Ok(true)
}
