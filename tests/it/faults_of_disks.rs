//! More of the matrix of faults: disks that are full, and disks that cannot say that they have written. What was answered is
//! kept, nothing begins that could not be kept, and all goes on by itself once there is room.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::crash::{only_unknowable, unknowable};
use crate::support::dice::{Dice, seeds};
use crate::support::disk::Disk;
use crate::support::site::{D, Shape, Site};
use crate::support::trial::{MESSAGES, PEOPLE, Trial, account, instant};

/// An API, a scheduler and workers on a PostgreSQL of their own.
const ON_ITS_OWN: Shape = Shape { own_postgres: true, ..Shape::PARTS };
/// How long a disk stays full once somebody has noticed.
const FULL: Duration = Duration::from_secs(2);

fn trial<'a>(fault: &'a str, what: &'a str, seed: u64, most_uncertain: usize) -> Trial<'a> {
    Trial { fault, what, seed, most_uncertain }
}

/// `up` whose every file lies on a disk of the test.
async fn up() -> (Site, Disk) {
    let mut site = Site::start(Shape::UP).await;
    let disk = Disk::under(&[&site.data(0)]);
    site.front.start_with(disk.environment());
    site.campaign(0..PEOPLE, json!({}), json!({})).await;
    (site, disk)
}

/// Workers and a PostgreSQL that has a directory of its files on a disk of the test.
async fn on_postgres(directory: &str, settings: &[&'static str]) -> (Site, Disk) {
    let mut site = Site::start(ON_ITS_OWN).await;
    let postgres = site.postgres.as_mut().unwrap();
    let disk = Disk::under(&[&postgres.data().join(directory)]);
    postgres.start_with(settings, disk.environment());
    site.front.start_with(Vec::new());
    site.campaign(0..PEOPLE, json!({}), json!({})).await;
    (site, disk)
}

/// Contacts that were asked for one after the other: what was answered, of each.
#[derive(Default)]
struct Asked(Vec<u16>);

impl Asked {
    /// Asks for more until one is refused; every refusal says that it was for the moment.
    async fn until_refused(&mut self, site: &Site) {
        let begun = Instant::now();
        while self.ask(site).await < 300 {
            assert!(begun.elapsed() < Duration::from_secs(30), "the disk is never full");
        }
    }

    async fn ask(&mut self, site: &Site) -> u16 {
        let contact = json!({ "email": format!("asked{}@example.com", self.0.len()) });
        let (status, answer) = site.try_ask("POST", "/api/v1/leads", &[], Some(&contact)).await.unwrap();
        assert!(matches!(status, 201 | 503), "{status} {answer}");
        self.0.push(status);
        status
    }

    /// Whoever was answered is there.
    async fn are_there(&self, site: &Site) {
        let there: Vec<(String,)> = site.rows("SELECT email FROM contacts").await;
        let missing = |n: &usize| !there.contains(&(format!("asked{n}@example.com"),));
        let answered = (0..self.0.len()).filter(|n| self.0[*n] == 201);
        assert_eq!(answered.filter(missing).collect::<Vec<_>>(), [0; 0], "answered, and not there");
    }
}

/// Waits with a full disk; nothing may leave meanwhile but what had left when it was noticed.
async fn nothing_leaves(site: &Site) {
    tokio::time::sleep(FULL / 2).await;
    let there = site.smtp.received().len();
    tokio::time::sleep(FULL / 2).await;
    assert_eq!(site.smtp.received().len(), there, "something left without a promise");
}

/// The same where a file may still have room for some: those leave, and then nothing does.
async fn nothing_leaves_for_long(site: &Site) {
    let begun = Instant::now();
    loop {
        let there = site.smtp.received().len();
        tokio::time::sleep(FULL).await;
        if site.smtp.received().len() == there {
            assert!(there < MESSAGES, "everything left without a promise");
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "it goes on leaving without a promise");
    }
}

/// FAULTS F38: database, journal and all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_on_a_full_disk_refuses_and_goes_on_once_there_is_room() {
    for seed in seeds() {
        let (mut dice, (site, disk)) = (Dice::new(seed), up().await);
        instant(&mut dice, &site).await;
        disk.fill();
        let mut asked = Asked::default();
        asked.until_refused(&site).await;
        nothing_leaves(&site).await;
        disk.mend();
        account(&site, trial("F38", "the disk full", seed, 0)).await;
        asked.are_there(&site).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_without_room_for_rows_is_waited_for() {
    for seed in seeds() {
        let (mut dice, (site, disk)) = (Dice::new(seed), on_postgres("base", &[]).await);
        instant(&mut dice, &site).await;
        disk.fill();
        let mut asked = Asked::default();
        asked.until_refused(&site).await;
        nothing_leaves_for_long(&site).await;
        disk.mend();
        account(&site, trial("F38", "the disk of PostgreSQL full", seed, 0)).await;
        asked.are_there(&site).await;
    }
}

/// FAULTS F39: a dot that cannot be noted is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_whose_journals_have_no_room_hand_nothing_over() {
    for seed in seeds() {
        let (mut dice, mut site) = (Dice::new(seed), Site::start(Shape::PARTS).await);
        let disk = Disk::under(&[&site.data(0), &site.data(1)]);
        site.workers.iter_mut().for_each(|worker| worker.start_with(disk.environment()));
        site.campaign(0..PEOPLE, json!({}), json!({})).await;
        instant(&mut dice, &site).await;
        disk.fill();
        nothing_leaves(&site).await;
        disk.mend();
        account(&site, trial("F39", "no room for journals", seed, 0)).await;
    }
}

/// FAULTS F39: what cannot be logged is not, and that is all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_cannot_log_work_in_silence() {
    silent(Shape::PARTS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_up_that_cannot_log_works_in_silence() {
    silent(Shape::UP).await;
}

async fn silent(shape: Shape) {
    for seed in seeds() {
        let (mut dice, mut site) = (Dice::new(seed), Site::start(shape).await);
        let disk = log_on_a_disk(&mut site);
        site.campaign(0..PEOPLE, json!({}), json!({})).await;
        instant(&mut dice, &site).await;
        disk.fill();
        account(&site, trial("F39", "no room for logs", seed, 0)).await;
    }
}

/// Every process of an installation logs much, onto a disk of the test.
fn log_on_a_disk(site: &mut Site) -> Disk {
    let mut processes: Vec<_> =
        site.workers.iter_mut().chain(&mut site.scheduler).chain([&mut site.front]).collect();
    let disk = Disk::under(&processes.iter().map(|process| process.path()).collect::<Vec<_>>());
    for process in &mut processes {
        let talkative = ("SENDWRIGHT_LOG", "debug".to_owned());
        process.start_with([disk.environment(), vec![talkative]].concat());
    }
    disk
}

/// FAULTS F42: a commit that the disk has not taken is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_sqlite_could_not_sync_was_never_accepted() {
    for seed in seeds() {
        let (mut dice, (site, disk)) = (Dice::new(seed), up().await);
        instant(&mut dice, &site).await;
        disk.break_syncs();
        let mut asked = Asked::default();
        asked.until_refused(&site).await;
        nothing_leaves(&site).await;
        assert_eq!(asked.ask(&site).await, 503);
        disk.mend();
        account(&site, trial("F42", "syncs fail", seed, 0)).await;
        asked.are_there(&site).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_up_killed_while_syncs_fail_leaves_only_the_unknowable() {
    for seed in seeds() {
        let (mut dice, (mut site, disk)) = (Dice::new(seed), up().await);
        instant(&mut dice, &site).await;
        disk.break_syncs();
        dice.pause(1_000).await;
        site.front.kill();
        let unknown = unknowable(&site.data(0));
        disk.mend();
        site.front.start_again();
        account(&site, trial("F42", "syncs fail, then up killed", seed, D)).await;
        only_unknowable(&site, &unknown).await;
    }
}

/// PostgreSQL trusts no disk that has failed once: it starts anew from its log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_cannot_sync_its_log_loses_nothing() {
    for seed in seeds() {
        let (mut dice, (site, disk)) = (Dice::new(seed), on_postgres("pg_wal", &["fsync=on"]).await);
        for _ in 0..2 {
            instant(&mut dice, &site).await;
            disk.break_a_sync();
        }
        account(&site, trial("F42", "a sync of PostgreSQL's log fails", seed, 0)).await;
    }
}
