//! The journal: two lines per attempt on the local disk, one before the dot and one after the reply, so that a
//! crash between the provider's answer and the database's commit leaves nothing to guess (SEND_PROTOCOL 10).
//!
//! DATA/journal/<name>/ belongs to one process, which holds a lock on it. Segments are written and not synced:
//! they outlive the process, not the machine. A segment goes when every attempt in it is recorded.

use sendwright_store::clock::boot_millis;
use sendwright_workflows::receipt::Receipt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A segment is closed for new attempts at this size, bytes.
const SEGMENT: u64 = 8 << 20;

/// How long a disk that takes nothing is left alone, milliseconds.
const PAUSE: i64 = 1_000;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "lowercase")]
#[allow(missing_docs, reason = "each variant's sentence names its fields")]
pub enum Line {
    /// The first of a segment: who writes it, and since which boot of the machine.
    Open { worker: i64, epoch: String, boot: String },
    /// The dot of this attempt is about to be written.
    Dot { attempt: i64 },
    /// The provider's answer to this attempt.
    Reply {
        attempt: i64,
        code: u16,
        text: String,
        permanent: bool,
        stage: String,
        #[serde(default)]
        enhanced: Option<String>,
        #[serde(default)]
        receipt: Receipt,
    },
}

/// A process's own journal.
pub struct Journal {
    directory: PathBuf,
    _lock: File,
    header: Line,
    current: Mutex<Arc<Segment>>,
    count: AtomicU64,
    /// The boot instant at which the disk last took nothing; 0 while it does.
    failed_at: AtomicI64,
}

/// A file of lines. Dropped by its last holder once it is retired, it is deleted.
pub struct Segment {
    path: PathBuf,
    file: Mutex<File>,
    size: AtomicU64,
    retired: AtomicBool,
    /// A line was not taken, or only in part: nothing more is written here.
    broken: AtomicBool,
}

impl Drop for Segment {
    fn drop(&mut self) {
        if self.retired.load(Ordering::Relaxed) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Segment {
    /// Appends a line in one write.
    pub fn write(&self, line: &Line) -> io::Result<()> {
        let text = encode(line);
        let mut file = self.file.lock().map_err(|_| io::Error::other("the journal's lock is poisoned"))?;
        if self.broken.load(Ordering::Relaxed) {
            return Err(io::Error::other("a line before this one was not taken"));
        }
        file.write_all(text.as_bytes()).inspect_err(|_| self.broken.store(true, Ordering::Relaxed))?;
        self.size.fetch_add(text.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

impl Journal {
    /// Opens a journal of its own under `root`, named `name`, for a worker.
    pub fn open(root: &Path, name: &str, worker: i64, epoch: &str) -> io::Result<Self> {
        let directory = root.join(name);
        fs::create_dir_all(&directory)?;
        let lock = File::create(directory.join("lock"))?;
        lock.try_lock().map_err(io::Error::other)?;
        let header = Line::Open { worker, epoch: epoch.to_owned(), boot: boot_id() };
        let first = segment(&directory, 0, &header)?;
        let (current, count, failed_at) = (Mutex::new(first), AtomicU64::new(1), AtomicI64::new(0));
        Ok(Self { directory, _lock: lock, header, current, count, failed_at })
    }

    /// The segment that a new attempt writes to. Hold it until the attempt's outcome is committed. An error
    /// says that nothing may be handed over: the disk takes no lines, which is tried again every second.
    pub fn segment(&self) -> io::Result<Arc<Segment>> {
        let mut current =
            self.current.lock().map_err(|_| io::Error::other("the journal's lock is poisoned"))?;
        let broken = current.broken.load(Ordering::Relaxed);
        if broken && boot_millis() - self.last_failure() < PAUSE {
            return Err(io::Error::other("the journal takes no lines"));
        }
        if broken || current.size.load(Ordering::Relaxed) > SEGMENT {
            if broken && Arc::strong_count(&current) == 1 {
                // All it told is recorded: it may be the very thing that fills the disk.
                let _ = current.file.lock().map(|file| file.set_len(0));
            }
            let number = self.count.fetch_add(1, Ordering::Relaxed);
            let next = segment(&self.directory, number, &self.header)
                .inspect_err(|_| self.failed_at.store(boot_millis(), Ordering::Relaxed))?;
            current.retired.store(true, Ordering::Relaxed);
            self.failed_at.store(0, Ordering::Relaxed);
            *current = next;
        }
        Ok(current.clone())
    }

    /// What it has told so far, of attempts that are not all recorded.
    pub fn told(&self) -> Found {
        found(self.directory.clone(), None)
    }

    /// When the disk last took nothing: now, where that is just being noticed.
    fn last_failure(&self) -> i64 {
        let noticed = self.failed_at.compare_exchange(0, boot_millis(), Ordering::Relaxed, Ordering::Relaxed);
        noticed.map_or_else(|before| before, |_| boot_millis())
    }

    /// Ends an orderly life: everything is recorded, nothing is left to replay.
    pub fn remove(self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn segment(directory: &Path, number: u64, header: &Line) -> io::Result<Arc<Segment>> {
    let path = directory.join(format!("{number}.log"));
    let file = OpenOptions::new().create_new(true).append(true).open(&path)?;
    let (size, retired, broken) = (AtomicU64::new(0), AtomicBool::new(false), AtomicBool::new(false));
    let segment = Segment { path, file: Mutex::new(file), size, retired, broken };
    segment.write(header).inspect_err(|_| segment.retired.store(true, Ordering::Relaxed))?;
    Ok(Arc::new(segment))
}

/// What another process's journal tells.
#[derive(Debug)]
pub struct Found {
    /// Where it lies; removed once it is acted on.
    pub directory: PathBuf,
    /// Whose it was.
    pub worker: i64,
    /// The database it spoke of.
    pub epoch: String,
    /// Every dot and reply, in order.
    pub lines: Vec<Line>,
    /// Whether the absence of a dot proves that none was written: same boot, every line read but the one that its writer
    /// died of writing.
    pub whole: bool,
    _lock: Option<File>,
}

/// Every journal under `root` whose owner is gone: its lock is free.
pub fn orphans(root: &Path) -> Vec<Found> {
    let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
    entries.flatten().filter_map(|entry| orphan(entry.path())).collect()
}

fn orphan(directory: PathBuf) -> Option<Found> {
    let lock = File::create(directory.join("lock")).ok()?;
    lock.try_lock().ok()?;
    Some(found(directory, Some(lock)))
}

/// What the segments of a directory tell; no directory tells nothing.
fn found(directory: PathBuf, lock: Option<File>) -> Found {
    let entries = fs::read_dir(&directory);
    let mut found = Found {
        directory,
        worker: 0,
        epoch: String::new(),
        lines: Vec::new(),
        whole: entries.is_ok(),
        _lock: lock,
    };
    let mut segments: Vec<_> = entries.into_iter().flatten().flatten().map(|e| e.path()).collect();
    segments.retain(|p| p.extension().is_some_and(|e| e == "log"));
    segments.sort();
    for path in segments {
        match fs::read(&path) {
            Ok(bytes) => found.read(&String::from_utf8_lossy(&bytes)),
            Err(_) => found.whole = false,
        }
    }
    found
}

impl Found {
    fn read(&mut self, text: &str) {
        for line in text.split_inclusive('\n') {
            match decode(line) {
                Some(Line::Open { worker, epoch, boot }) => {
                    self.worker = worker;
                    self.epoch = epoch;
                    self.whole &= !boot.is_empty() && boot == boot_id();
                }
                Some(line) => self.lines.push(line),
                // A line without its end is the last of its segment. Whoever died of it, or was told that it was not taken, has
                // done nothing that it speaks of.
                None => self.whole &= !line.ends_with('\n'),
            }
        }
    }

    /// Forgets it: everything it told is in the database.
    pub fn remove(self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The line with a checksum before it: a torn or foreign line does not decode.
fn encode(line: &Line) -> String {
    let json = serde_json::to_string(line).unwrap_or_default();
    format!("{} {json}\n", checksum(&json))
}

fn decode(line: &str) -> Option<Line> {
    let (sum, json) = line.strip_suffix('\n')?.split_once(' ')?;
    (checksum(json) == sum).then(|| serde_json::from_str(json).ok()).flatten()
}

fn checksum(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes())[..4])
}

/// The kernel's random name for this boot; empty where there is none, which proves nothing about a crash.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("sendwright-journal-{}-{name}", std::process::id()))
    }

    #[test]
    fn a_journal_is_read_once_its_owner_is_gone_and_not_before() {
        let root = root("owner");
        let journal = Journal::open(&root, "a", 7, "e").unwrap();
        let segment = journal.segment().unwrap();
        segment.write(&Line::Dot { attempt: 1 }).unwrap();
        assert!(orphans(&root).is_empty());
        drop((journal, segment));
        let found = orphans(&root).pop().unwrap();
        assert_eq!((found.worker, found.epoch.as_str(), found.whole), (7, "e", true));
        assert_eq!(found.lines, [Line::Dot { attempt: 1 }]);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_line_that_was_never_ended_proves_that_nothing_came_of_it_and_a_foreign_one_proves_nothing() {
        for (foreign, whole) in [("0badbeef {\"line\":\"dot\",\"att", true), ("0badbeef {}\n", false)] {
            let root = root(&format!("torn-{whole}"));
            let journal = Journal::open(&root, "a", 7, "e").unwrap();
            let segment = journal.segment().unwrap();
            segment.write(&Line::Dot { attempt: 1 }).unwrap();
            segment.file.lock().unwrap().write_all(foreign.as_bytes()).unwrap();
            drop((journal, segment));
            let found = orphans(&root).pop().unwrap();
            assert_eq!((found.whole, found.lines.len()), (whole, 1));
            fs::remove_dir_all(root).unwrap();
        }
    }

    #[test]
    fn a_full_segment_goes_when_its_last_attempt_is_recorded() {
        let root = root("full");
        let journal = Journal::open(&root, "a", 7, "e").unwrap();
        let held = journal.segment().unwrap();
        held.size.store(SEGMENT + 1, Ordering::Relaxed);
        let next = journal.segment().unwrap();
        assert_ne!(held.path, next.path);
        let path = held.path.clone();
        assert!(path.exists());
        drop(held);
        assert!(!path.exists());
        fs::remove_dir_all(root).unwrap();
    }
}
