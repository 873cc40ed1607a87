//! `leads import`: a CSV of any length into a campaign, chunk by chunk in the order of its rows.

use super::read::{Leads, Refused as BadRow};
use super::{campaign, open};
use crate::cli::LeadsCommand;
use crate::config::Config;
use crate::failure::Failure;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sendwright_api::operations::campaigns;
use sendwright_api::operations::leads::{self, Import, Known};
use sendwright_api::{Actor, Core, Refusal, Work};
use sendwright_workflows::campaign::State;
use sendwright_workflows::spec::{LeadBody, sentence};
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

/// Rows of one transaction: short enough that a running `up` never waits long for its turn.
const CHUNK: usize = 1_000;
/// Without a terminal its progress is told every so many rows.
const ROWS_A_LINE: u64 = 10_000;
/// How often a chunk is tried while the database is busy, and how long between.
const TRIES: (u32, Duration) = (20, Duration::from_millis(500));

/// Runs it.
///
/// # Errors
/// The header is refused, the campaign is unknown, no row is good, or the database is not reached.
pub fn run(config: &Config, command: LeadsCommand) -> Result<(), Failure> {
    let LeadsCommand::Import { csv, campaign, account } = command;
    open::block_on(async {
        let campaign = campaign::id(&campaign)?;
        let (core, account) = open::core_in(config, &account).await?;
        let found = campaigns::get(&core, account.id, campaign).await?.campaign;
        if found.state == State::Archived {
            return Err(Refusal::no_campaign(campaign).into());
        }
        let mut run =
            Run { core: &core, account: account.id, campaign, done: Summary::default(), bar: bar() };
        run.all(&csv).await?;
        run.bar.finish_and_clear();
        run.done.tell();
        if found.state == State::Draft {
            eprintln!("the campaign is a draft; `sendwright campaign start {campaign}` starts it");
        }
        match run.done {
            Summary { refused, taken: 0, .. } if refused > 0 => {
                Err(Failure::input(vec!["no row was taken".to_owned()]))
            }
            _ => Ok(()),
        }
    })
}

/// What became of the rows.
#[derive(Default)]
struct Summary {
    rows: u64,
    taken: u64,
    known: u64,
    enrolled: u64,
    suppressed: u64,
    refused: u64,
}

impl Summary {
    fn add(&mut self, import: &Import) {
        let count = |of: fn(&leads::Taken) -> bool| import.taken.iter().filter(|t| of(t)).count() as u64;
        self.taken += import.taken.len() as u64;
        self.known += count(|t| t.known);
        self.enrolled += count(|t| t.enrolled);
        self.suppressed += count(|t| t.suppressed);
    }

    fn tell(&self) {
        let Self { rows, taken, known, enrolled, suppressed, refused } = self;
        let new = taken - known;
        eprintln!("{rows} rows: {new} new leads, {known} known; {enrolled} enrolled; {refused} refused");
        if *suppressed > 0 {
            eprintln!("{suppressed} of them are suppressed: nothing will be sent to them");
        }
    }
}

/// A lead with the line it stands in.
type Row = (u64, LeadBody);

struct Run<'c> {
    core: &'c Core,
    account: i64,
    campaign: i64,
    done: Summary,
    bar: ProgressBar,
}

impl Run<'_> {
    async fn all(&mut self, path: &Path) -> Result<(), Failure> {
        let file = path.display().to_string();
        let mut rows = Leads::open(path)?;
        let (mut seen, mut chunk) = (HashSet::new(), Vec::with_capacity(CHUNK));
        while let Some(row) = rows.next_row() {
            self.done.rows += 1;
            match row {
                Ok((line, lead)) if seen.insert(lead.email.key()) => chunk.push((line, lead)),
                Ok((line, _)) => {
                    self.refuse(&file, line, "email: is in the file twice; the first one counts")
                }
                Err((line, errors)) => self.refuse_row(&file, &(line, errors)),
            }
            if chunk.len() == CHUNK {
                self.take(&file, std::mem::take(&mut chunk)).await?;
            }
        }
        if chunk.is_empty() { Ok(()) } else { self.take(&file, chunk).await }
    }

    /// One chunk, one transaction. Who is there already is enrolled: a second run of the same file, or of one that
    /// was cut short, does no harm.
    async fn take(&mut self, file: &str, chunk: Vec<Row>) -> Result<(), Failure> {
        let mut tries = TRIES.0;
        let import = loop {
            match self.try_to_take(&chunk).await {
                Err(Refusal::Unavailable) if tries > 0 => tries -= 1,
                done => break done?,
            }
            tokio::time::sleep(TRIES.1).await;
        };
        self.done.add(&import);
        for refused in &import.refused {
            let line = chunk.get(refused.index).map_or(0, |(line, _)| *line);
            self.refuse(file, line, &refused.why.to_string());
        }
        let so_far = format!("{} rows, {} enrolled", self.done.rows, self.done.enrolled);
        if self.bar.is_hidden() && self.done.rows.is_multiple_of(ROWS_A_LINE) {
            eprintln!("{so_far}");
        }
        self.bar.set_message(so_far);
        self.bar.tick();
        Ok(())
    }

    async fn try_to_take(&self, chunk: &[Row]) -> Result<Import, Refusal> {
        let leads = chunk.iter().map(|(_, lead)| {
            let mut lead = lead.clone();
            lead.campaign_id = Some(self.campaign);
            Ok(lead)
        });
        let mut work = Work::new(self.core, Actor::command(self.account))?;
        let import = leads::import(&mut work, leads.collect(), Known::Take).await?;
        work.commit().await?;
        Ok(import)
    }

    fn refuse_row(&mut self, file: &str, (line, errors): &BadRow) {
        self.refuse(file, *line, &sentence(errors));
    }

    fn refuse(&mut self, file: &str, line: u64, why: &str) {
        self.done.refused += 1;
        self.bar.suspend(|| eprintln!("{file}, line {line}: {why}"));
    }
}

/// How far it came, on a terminal alone.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("  {spinner} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style)
}
