//! Imports: a file of people, taken chunk by chunk as it comes. Each chunk is one transaction with how far the import is;
//! a file that was cut short is sent again, and goes on where it was (docs/decisions/0012).

mod chunk;

use crate::json;
use crate::operations::suppressions;
use crate::refusal::Refusal;
use crate::state::Core;
use crate::work::Actor;
use chunk::Line;
use sendwright_store::imports::{self, Import, Refused, Step};
use sendwright_store::{Page, idempotency};
use sendwright_workflows::clock::{Millis, SECOND};
use sendwright_workflows::ids::{Kind, uuid};
use sendwright_workflows::rows::{Content, Row, Rows};
use sendwright_workflows::spec::{Columns, FieldError, LeadBody, UserBody};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Rows of one transaction.
pub const CHUNK: usize = 1_000;
/// Most refused rows that an answer lists (S2-10); the import has all of them.
pub const MOST_TOLD: i64 = 100;
/// How long an import that commits nothing is somebody's.
const LEASE: Millis = 30 * SECOND;
/// How often a chunk is tried while the database is busy, and how long between.
const TRIES: (u32, Duration) = (20, Duration::from_millis(500));

/// Whom a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// Users, by their numbers: who is there is changed.
    Users,
    /// Leads for a campaign: who is there is enrolled.
    Leads {
        /// The campaign.
        campaign: i64,
    },
}

impl Whom {
    fn kind(self) -> &'static str {
        match self {
            Whom::Users => "users",
            Whom::Leads { .. } => "leads",
        }
    }

    fn campaign(self) -> Option<i64> {
        match self {
            Whom::Users => None,
            Whom::Leads { campaign } => Some(campaign),
        }
    }
}

/// How a file is known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Not at all.
    New,
    /// By the `Idempotency-Key` of its request.
    Once(String),
    /// By the import that it began.
    Import(i64),
}

/// A file that comes in.
pub enum Begun {
    /// From its beginning, or from where it was cut.
    Upload(Box<Upload>),
    /// It was taken whole before.
    Done(Box<Import>),
}

/// Begins an import, or takes it up again.
///
/// # Errors
/// There is no such import; somebody is at it; or it is another file's.
pub async fn begin(core: &Core, actor: Actor, whom: Whom, known: Known) -> Result<Begun, Refusal> {
    let (account, now) = (actor.account, core.now()?);
    let id = core.store.ids.one("imports").await?;
    let mut tx = core.store.begin().await?;
    let found = match &known {
        Known::New => None,
        Known::Once(key) => imports::by_once(&mut tx, account, key, now - idempotency::KEPT).await?,
        Known::Import(id) => {
            let found = imports::get(&mut tx, account, *id).await?;
            Some(found.ok_or_else(|| missing(&uuid(Kind::Import, *id)))?)
        }
    };
    let import = match found {
        Some(found) if (found.kind.as_str(), found.campaign_id) != (whom.kind(), whom.campaign()) => {
            return Err(Refusal::OtherRequest);
        }
        Some(found) if found.state == "completed" => {
            tx.commit().await?;
            return Ok(Begun::Done(Box::new(found)));
        }
        Some(found) => {
            let is_held = found.state == "running" && found.updated_at > now - LEASE;
            if is_held || !imports::take_up(&mut tx, &found, now).await? {
                let text = "this file is being taken; send it again in half a minute if its request was cut";
                return Err(Refusal::Conflict("import_running", text.into()));
            }
            Import { attempt: found.attempt + 1, state: "running".into(), updated_at: now, ..found }
        }
        None => {
            let import = Import {
                id,
                account_id: account,
                kind: whom.kind().into(),
                campaign_id: whom.campaign(),
                once: if let Known::Once(key) = known { Some(key) } else { None },
                state: "running".into(),
                attempt: 1,
                processed: 0,
                created: 0,
                updated: 0,
                errors: 0,
                digest: String::new(),
                why: None,
                created_at: now,
                updated_at: now,
                ended_at: None,
            };
            imports::insert(&mut tx, &import).await?;
            import
        }
    };
    tx.commit().await?;
    Ok(Begun::Upload(Box::new(Upload::new(core.clone(), actor, whom, import))))
}

/// The refusal for an import that is not there.
pub fn missing(face: &str) -> Refusal {
    Refusal::NotFound(format!("Import {face} not found"))
}

/// One import.
pub async fn get(core: &Core, account: i64, id: i64) -> Result<Option<Import>, Refusal> {
    let mut tx = core.store.read().await?;
    let found = imports::get(&mut tx, account, id).await?;
    tx.rollback().await?;
    Ok(found)
}

/// The account's imports, and how many there are.
pub async fn list(core: &Core, account: i64, page: Page) -> Result<(Vec<Import>, i64), Refusal> {
    let mut tx = core.store.read().await?;
    let found = imports::list(&mut tx, account, page).await?;
    let total = imports::count(&mut tx, account).await?;
    tx.rollback().await?;
    Ok((found, total))
}

/// The rows of an import that were refused.
pub async fn refused(core: &Core, import: i64, page: Page) -> Result<Vec<Refused>, Refusal> {
    let mut tx = core.store.read().await?;
    let found = imports::refused(&mut tx, import, page).await?;
    tx.rollback().await?;
    Ok(found)
}

/// A file on its way in.
pub struct Upload {
    core: Core,
    actor: Actor,
    whom: Whom,
    import: Import,
    rows: Rows,
    found: Vec<Row>,
    columns: Option<Columns>,
    chunk: Vec<Line>,
    /// Rows that came, those of an earlier attempt included.
    place: i64,
    digest: Digested,
    enrolled: u64,
    suppressed: u64,
}

impl Upload {
    fn new(core: Core, actor: Actor, whom: Whom, import: Import) -> Self {
        Self {
            core,
            actor,
            whom,
            import,
            rows: Rows::new(),
            found: Vec::new(),
            columns: None,
            chunk: Vec::with_capacity(CHUNK),
            place: 0,
            digest: Digested::default(),
            enrolled: 0,
            suppressed: 0,
        }
    }

    /// How far it is.
    pub fn import(&self) -> &Import {
        &self.import
    }

    /// Leads that were enrolled since it was begun or taken up, and how many of them nothing will be sent to.
    pub fn enrolled(&self) -> (u64, u64) {
        (self.enrolled, self.suppressed)
    }

    /// Takes the next piece of the file, and with it the chunks that are whole; the rows that were refused come back.
    ///
    /// # Errors
    /// The file cannot be read on, or is another one than before; or the database does not take it.
    pub async fn feed(&mut self, piece: &[u8]) -> Result<Vec<Refused>, Refusal> {
        let mut found = std::mem::take(&mut self.found);
        let read = self.rows.feed(piece, &mut found);
        let refused = self.take(&mut found).await;
        self.found = found;
        read.map_err(|error| Refusal::Malformed("malformed_file", error.to_string()))?;
        refused
    }

    /// Takes the end of the file: the import as it is now, and the last rows that were refused.
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    pub async fn finish(&mut self) -> Result<Vec<Refused>, Refusal> {
        let mut found = std::mem::take(&mut self.found);
        let read = self.rows.finish(&mut found);
        let mut refused = self.take(&mut found).await?;
        read.map_err(|error| Refusal::Malformed("malformed_file", error.to_string()))?;
        if !self.chunk.is_empty() {
            refused.extend(self.commit().await?);
        }
        if self.place < self.import.processed {
            return Err(Refusal::OtherRequest);
        }
        self.end("completed", None).await?;
        Ok(refused)
    }

    /// Ends it before its time; what was committed stands. `interrupted`: the same file may come again. `failed`: it says
    /// why.
    pub async fn give_up(&mut self, state: &'static str, why: &str) {
        if let Err(error) = self.end(state, Some(why)).await {
            tracing::warn!(%error, import = self.import.id, "an import that ended is still shown as running");
        }
    }

    async fn end(&mut self, state: &'static str, why: Option<&str>) -> Result<(), Refusal> {
        let now = self.core.now()?;
        let mut tx = self.core.store.begin().await?;
        if !imports::end(&mut tx, &self.import, state, why, now).await? {
            return Err(taken_up());
        }
        tx.commit().await?;
        (self.import.state, self.import.ended_at) = (state.into(), Some(now));
        Ok(())
    }

    async fn take(&mut self, found: &mut Vec<Row>) -> Result<Vec<Refused>, Refusal> {
        let mut refused = Vec::new();
        for row in found.drain(..) {
            self.digest.add(&row);
            if let Ok(Content::Header(cells)) = &row.content {
                let cells = cells.iter().map(String::as_str);
                let columns = match self.whom {
                    Whom::Users => Columns::of_users(cells),
                    Whom::Leads { .. } => Columns::read(cells),
                };
                self.columns = Some(columns.map_err(Refusal::Invalid)?);
                continue;
            }
            self.place += 1;
            let line = Line { place: self.place, line: row.line, who: self.read(row.content) };
            self.chunk.push(line);
            if self.chunk.len() == CHUNK {
                refused.extend(self.commit().await?);
            }
        }
        Ok(refused)
    }

    fn read(&self, content: Result<Content, FieldError>) -> Result<chunk::Who, Vec<FieldError>> {
        let content = content.map_err(|error| vec![error])?;
        match (content, &self.columns, self.whom) {
            (Content::Cells(cells), Some(columns), Whom::Users) => {
                UserBody::from_csv(columns, cells.iter().map(String::as_str)).map(chunk::Who::User)
            }
            (Content::Cells(cells), Some(columns), Whom::Leads { campaign }) => {
                let lead = LeadBody::from_csv(columns, cells.iter().map(String::as_str))?;
                Ok(chunk::Who::Lead(LeadBody { campaign_id: Some(campaign), ..lead }))
            }
            (Content::Json(text), _, whom) => {
                let value = json::parse(text.as_bytes()).map_err(|refusal| match refusal {
                    Refusal::Invalid(errors) => errors,
                    other => vec![FieldError::new("row", "malformed_json", other.to_string())],
                })?;
                match whom {
                    Whom::Users => UserBody::from_json(&value).map(chunk::Who::User),
                    Whom::Leads { campaign } => {
                        let lead = LeadBody::from_json(&value)?;
                        Ok(chunk::Who::Lead(LeadBody { campaign_id: Some(campaign), ..lead }))
                    }
                }
            }
            // A header is no row, and cells come under one.
            _ => Err(vec![FieldError::new("row", "columns", "stands under no header")]),
        }
    }

    /// One chunk, one transaction. Chunks of an earlier attempt are passed over.
    async fn commit(&mut self) -> Result<Vec<Refused>, Refusal> {
        let digest = self.digest.end();
        let lines = std::mem::take(&mut self.chunk);
        let done = self.import.processed;
        if self.place <= done {
            let is_other = self.place == done && digest != self.import.digest;
            return if is_other { Err(Refusal::OtherRequest) } else { Ok(Vec::new()) };
        }
        if self.place - (lines.len() as i64) < done {
            return Err(Refusal::OtherRequest);
        }
        let mut tries = TRIES.0;
        let taken = loop {
            match chunk::take(&self.core, &self.actor, &self.import, &lines, &digest).await {
                Err(Refusal::Unavailable | Refusal::Crossed) if tries > 0 => tries -= 1,
                done => break done?,
            }
            tokio::time::sleep(TRIES.1).await;
        };
        suppressions::settle(&self.core, self.actor.account, &taken.forbidden).await;
        self.enrolled += taken.enrolled;
        self.suppressed += taken.suppressed;
        let Step { created, updated, refused, digest } = taken.step;
        let import = &mut self.import;
        (import.created, import.updated) = (import.created + created, import.updated + updated);
        import.errors += refused.len() as i64;
        import.processed += created + updated + refused.len() as i64;
        import.digest = digest;
        Ok(refused)
    }
}

/// What of a file has come, chunk by chunk: each chunk's digest holds that of the one before it.
#[derive(Default)]
struct Digested {
    before: String,
    rows: Sha256,
}

impl Digested {
    fn add(&mut self, row: &Row) {
        match &row.content {
            Ok(Content::Header(cells) | Content::Cells(cells)) => {
                for cell in cells {
                    self.rows.update(cell);
                    self.rows.update(b"\x1f");
                }
            }
            Ok(Content::Json(text)) => self.rows.update(text),
            Err(error) => self.rows.update(error.code),
        }
        self.rows.update(b"\n");
    }

    fn end(&mut self) -> String {
        self.rows.update(&self.before);
        self.before = hex::encode(self.rows.finalize_reset());
        self.before.clone()
    }
}

fn taken_up() -> Refusal {
    Refusal::Conflict("import_taken_up", "the same file was sent again, and is taken there".into())
}
