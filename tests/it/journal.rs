//! What a dead worker's journal tells, and a journal that takes nothing (SEND_PROTOCOL 10; FAULTS F39, F40).

use crate::support::engine::{BOTH, HandClock, On, World, context, fresh_db, step};
use crate::support::loops::{Loops, PATIENCE};
use crate::support::protocol::{claim, dies, intend};
use crate::support::smtp_server::Script;
use sendwright_store::claims::Claimed;
use sendwright_store::intents::Verdict;
use sendwright_store::restored::{self, Anew, STRIDE};
use sendwright_worker::journal::{Journal, Line};
use sendwright_worker::recovery;
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{HOUR, Millis, parse_rfc3339};
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::sequence::Delay;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use tempfile::TempDir;

fn start() -> Millis {
    parse_rfc3339("2026-06-01T10:00:00Z").unwrap()
}

/// A world whose worker looks for journals, and one hand-over of another worker that had begun.
struct Crash {
    world: World,
    root: TempDir,
    worker: std::sync::Arc<sendwright_worker::context::Context>,
    message: Claimed,
    attempt: i64,
}

async fn crash(on: On) -> Crash {
    let root = tempfile::tempdir().unwrap();
    let (db, directory) = fresh_db(on).await;
    let clock = HandClock::at(start());
    let ctx = context(db, clock.clone(), |settings| settings.journal = Some(root.path().into())).await;
    let mut world = World::over(ctx, start(), directory).await;
    world.clock = clock;
    let steps = [step(1, Delay::default()), step(2, Delay { hours: 1, ..Delay::default() })];
    let (profile, _) = world.drafted(1, &Rates::default(), &Policy::default(), &steps).await;
    let worker = world.other().await;
    let message = claim(&worker, profile, 1).await.remove(0);
    let (attempt, verdict) = intend(&worker, &message).await;
    assert_eq!(verdict, Verdict::Go);
    Crash { world, root, worker, message, attempt }
}

impl Crash {
    fn journal(&self, epoch: &str) -> Journal {
        Journal::open(self.root.path(), "theirs", self.worker.life.id(), epoch).unwrap()
    }

    fn dot(&self) -> Line {
        Line::Dot { attempt: self.attempt }
    }

    fn reply(&self, code: u16, enhanced: Option<&str>) -> Line {
        Line::Reply {
            attempt: self.attempt,
            code,
            text: "in the server's words".into(),
            permanent: code >= 500,
            stage: if code == 550 { "rcpt" } else { "answer" }.into(),
            enhanced: enhanced.map(Into::into),
            receipt: Default::default(),
        }
    }

    /// The process wrote these lines and died.
    fn wrote(&self, lines: &[Line]) {
        let journal = self.journal(self.world.ctx.store.epoch());
        let segment = journal.segment().unwrap();
        lines.iter().for_each(|line| segment.write(line).unwrap());
    }

    async fn replay(&self) {
        recovery::replay(&self.world.ctx).await.unwrap();
        recovery::replay(&self.world.ctx).await.unwrap();
    }

    async fn state(&self) -> String {
        self.world.rows::<(String,)>("SELECT state FROM messages ORDER BY id LIMIT 1").await.remove(0).0
    }

    async fn replayed(on: On, lines: impl Fn(&Crash) -> Vec<Line>) -> Crash {
        let crash = crash(on).await;
        crash.wrote(&lines(&crash));
        crash.replay().await;
        assert!(!crash.root.path().join("theirs").exists(), "what is acted on is forgotten");
        crash
    }
}

#[tokio::test]
async fn an_accepted_reply_in_the_journal_is_recorded_and_the_next_step_comes() {
    for on in BOTH {
        let mut crash = Crash::replayed(on, |c| vec![c.dot(), c.reply(250, None)]).await;
        assert_eq!(crash.state().await, "accepted");
        assert_eq!(crash.world.events().await, ["email.sent"]);
        crash.world.run_until(start() + 2 * HOUR).await;
        let slot = "SELECT slot / 1000 FROM messages WHERE step_number = 2 AND state = 'accepted'";
        assert_eq!(crash.world.number(slot).await, start() + HOUR);
        assert_eq!(crash.world.mailbox().await.len(), 1, "the first step is not repeated");
    }
}

#[tokio::test]
async fn a_refused_address_in_the_journal_bounces_and_a_refused_sender_does_not() {
    for on in BOTH {
        let crash = Crash::replayed(on, |c| vec![c.reply(550, None)]).await;
        assert_eq!(crash.state().await, "bounced");
        assert_eq!(crash.world.number("SELECT COUNT(*) FROM suppressions").await, 1);
        let crash = Crash::replayed(on, |c| vec![c.reply(550, Some("5.7.1"))]).await;
        assert_eq!(crash.state().await, "failed");
        assert_eq!(crash.world.number("SELECT COUNT(*) FROM suppressions").await, 0);
    }
}

#[tokio::test]
async fn a_dot_without_a_reply_is_uncertain_and_is_not_repeated() {
    for on in BOTH {
        let mut crash = Crash::replayed(on, |c| vec![c.dot()]).await;
        assert_eq!(crash.state().await, "uncertain");
        crash.world.run_until(start() + 2 * HOUR).await;
        assert_eq!(crash.world.mailbox().await.len(), 1, "the second step alone");
        assert_eq!(crash.world.events().await[0], "message.uncertain");
        assert_eq!(crash.state().await, "uncertain");
    }
}

#[tokio::test]
async fn a_whole_journal_without_a_dot_proves_that_nothing_was_sent() {
    for on in BOTH {
        for given_up_before in [false, true] {
            let crash = crash(on).await;
            if given_up_before {
                dies(&crash.worker, &crash.world.ctx).await;
                assert_eq!(crash.state().await, "uncertain");
            }
            crash.wrote(&[]);
            crash.replay().await;
            let Crash { mut world, message, .. } = crash;
            assert_eq!(world.rows::<(String,)>("SELECT state FROM messages").await[0].0, "drafted", "{on:?}");
            world.run_until(start() + 3 * HOUR).await;
            let first = format!("<m-{}.", message.id);
            let sent = world.mailbox().await;
            assert_eq!(sent.len(), 2, "{on:?}: {sent:?}");
            assert_eq!(sent.iter().filter(|id| id.starts_with(&first)).count(), 1);
        }
    }
}

/// It is the last: whoever died of writing it has written no dot after it. A line that has its end and does not read may have
/// been anything.
#[tokio::test]
async fn a_line_that_was_never_ended_is_no_dot_and_one_that_does_not_read_may_have_been_one() {
    for on in BOTH {
        for (end, state) in [("", "drafted"), ("\n", "uncertain")] {
            let crash = crash(on).await;
            crash.wrote(&[]);
            let log = crash.root.path().join("theirs/0.log");
            let mut file = fs::OpenOptions::new().append(true).open(log).unwrap();
            file.write_all(format!("1234abcd {{\"line\":\"dot\",\"atte{end}").as_bytes()).unwrap();
            crash.replay().await;
            assert_eq!(crash.state().await, state, "{on:?}: {end:?}");
        }
    }
}

#[tokio::test]
async fn a_journal_of_another_boot_or_one_that_does_not_read_proves_nothing() {
    for on in BOTH {
        for text in ["", "not ours\n"] {
            let crash = crash(on).await;
            crash.wrote(&[]);
            let log = crash.root.path().join("theirs/1.log");
            fs::write(&log, text).unwrap();
            if text.is_empty() {
                // A segment that cannot even be read: a directory in its place.
                fs::remove_file(&log).unwrap();
                fs::create_dir(&log).unwrap();
            }
            crash.replay().await;
            assert_eq!(crash.state().await, "uncertain", "{on:?}: {text:?}");
        }
    }
}

#[tokio::test]
async fn a_journal_that_speaks_of_another_database_is_left_alone() {
    for on in BOTH {
        let crash = crash(on).await;
        let journal = crash.journal("another");
        journal.segment().unwrap().write(&crash.reply(250, None)).unwrap();
        drop(journal);
        crash.replay().await;
        assert_eq!(crash.state().await, "sending");
        assert!(crash.root.path().join("theirs").exists());
    }
}

/// The backup was made between T2 and T3: a journal proves what it says of attempts that are in it, and no more.
#[tokio::test]
async fn after_a_restored_backup_a_journal_proves_what_it_says_and_not_what_it_lacks() {
    for on in BOTH {
        for (lines, state) in [(1, "uncertain"), (2, "accepted"), (0, "uncertain")] {
            let mut crash = crash(on).await;
            crash.wrote(&[crash.dot(), crash.reply(250, None)][..lines]);
            let store = crash.world.ctx.store.clone();
            let anew = Anew { epoch: "second".into(), jump: STRIDE, lost: vec![] };
            let mut tx = store.begin().await.unwrap();
            restored::begin(&mut tx, &anew, start()).await.unwrap();
            tx.commit().await.unwrap();
            let root = crash.root.path().to_owned();
            crash.world.ctx = context(store.db.clone(), crash.world.clock.clone(), |settings| {
                settings.journal = Some(root)
            })
            .await;
            crash.replay().await;
            assert_eq!(crash.state().await, state, "{on:?}: {lines} lines");
            assert!(!crash.root.path().join("theirs").exists(), "what is acted on is forgotten");
        }
    }
}

#[tokio::test]
async fn a_journal_whose_owner_lives_is_not_touched() {
    for on in BOTH {
        let crash = crash(on).await;
        let journal = crash.journal(crash.world.ctx.store.epoch());
        journal.segment().unwrap().write(&crash.dot()).unwrap();
        crash.replay().await;
        assert_eq!(crash.state().await, "sending");
        drop(journal);
        crash.replay().await;
        assert_eq!(crash.state().await, "uncertain");
    }
}

const ACCEPTED: &str = "SELECT COUNT(*) FROM messages WHERE state = 'accepted'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_journal_nothing_begins_and_with_it_everything_goes() {
    for on in BOTH {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("journal");
        fs::write(&root, "in the way").unwrap();
        let loops =
            Loops::with(on, Script::default(), |settings| settings.journal = Some(root.clone())).await;
        loops.campaign("wait", 5, &Policy::default(), &[step(1, Delay::default())]).await;
        loops.until("SELECT COUNT(*) FROM messages WHERE state = 'drafted'", 5).await;
        loops.forward(HOUR);
        assert_eq!(loops.world.number("SELECT COUNT(*) FROM attempts").await, 0);
        fs::remove_file(&root).unwrap();
        loops.until(ACCEPTED, 5).await;
        let (_, server) = loops.stop().await;
        assert_eq!(server.received().len(), 5);
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0, "an orderly end leaves nothing to replay");
    }
}

/// A disk of four pages, gone with the value.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` where this user may not mount one.
    fn mount() -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16k", "tmpfs"])
            .arg(place.path())
            .output()
            .is_ok_and(|done| done.status.success());
        mounted.then_some(Self(place))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn fill(&self) -> PathBuf {
        let filler = self.path().join("filler");
        let mut file = fs::File::create(&filler).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}

/// The highest number of a segment: a new one is begun where the one before took no more.
fn segments(root: &Path) -> u32 {
    let journals = fs::read_dir(root).unwrap().flatten().filter_map(|j| fs::read_dir(j.path()).ok());
    let names = journals.flat_map(|files| files.flatten().map(|f| f.path()));
    names.filter_map(|p| p.file_stem()?.to_str()?.parse().ok()).max().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_the_dots_and_loses_and_doubles_nothing() {
    for on in BOTH {
        let Some(disk) = SmallDisk::mount() else {
            println!("not shown: this user may not mount a small disk");
            return;
        };
        let root = disk.path().join("journal");
        let loops = Loops::with(on, Script::default(), |settings| settings.journal = Some(root)).await;
        let campaign = loops.campaign("first", 1, &Policy::default(), &[step(1, Delay::default())]).await;
        loops.until(ACCEPTED, 1).await;
        let filler = disk.fill();
        // What is left of the segment's own page takes some lines, and then no more: each second one line may
        // find room again, where all that was told before is recorded.
        loops.people(campaign, "full", 149).await;
        loops.server.wait_for(10, PATIENCE).await;
        let (before, began) = (loops.arrived().0, Instant::now());
        assert!(before < 150, "{before}");
        fs::remove_file(filler).unwrap();
        loops.until(ACCEPTED, 150).await;
        assert_eq!(loops.arrived(), (150, 150));
        assert_eq!(
            loops.world.number("SELECT COUNT(*) FROM events WHERE kind = 'message.uncertain'").await,
            0
        );
        assert!(segments(&disk.path().join("journal")) > 0, "the disk was never full");
        println!("{before} messages went on the full disk, the rest within {:?}", began.elapsed());
        let (_, server) = loops.stop().await;
        drop(server);
    }
}
