//! A process that dies at every step of one message and of one delivery, and one that only panics there: the receiver's log
//! says what came of it (FAULTS F2, F4, F10, F40, F72).

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sendwright_store::clock::wall_millis;
use sendwright_store::events;
use sendwright_store::ids::Ids;
use serde_json::json;

use crate::crash::{only_unknowable, unknowable};
use crate::support::dice::{Dice, seeds};
use crate::support::process::Process;
use crate::support::receiver::Receiver;
use crate::support::site::{D, LEASE, Shape, Site, leads};
use crate::support::trial::{PEOPLE, Trial, account, at_work, instant, tell};
use crate::support::witness::Account;

/// A point, how often its message has arrived in the end, and whether it is uncertain: with a journal, and without one.
type Step = (&'static str, (usize, bool), (usize, bool));

/// Every step of one message, in their order.
const STEPS: [Step; 13] = [
    ("plan-written", (1, false), (1, false)),
    ("plan-committed", (1, false), (1, false)),
    ("claimed", (1, false), (1, false)),
    ("intent-written", (1, false), (1, false)),
    ("intent-committed", (1, false), (0, true)),
    ("envelope", (1, false), (0, true)),
    ("body", (1, false), (0, true)),
    ("dot-noted", (0, true), (0, true)),
    ("dot-written", (1, true), (1, true)),
    ("answered", (1, true), (1, true)),
    ("reply-noted", (1, false), (1, true)),
    ("outcome-written", (1, false), (1, true)),
    ("outcome-committed", (1, false), (1, false)),
];

/// What a worker passes for every message or group, at load.
const AT_LOAD: [(&str, u64); 8] = [
    ("intent-written", 5),
    ("intent-committed", 5),
    ("envelope", 100),
    ("body", 100),
    ("dot-noted", 100),
    ("dot-written", 100),
    ("answered", 100),
    ("outcome-written", 5),
];

/// Every step of one delivery, and how often it has arrived in the end: at least once (promise 5).
const DELIVERY: [(&str, usize); 8] = [
    ("numbers-written", 1),
    ("numbers-committed", 1),
    ("deliveries-claiming", 1),
    ("deliveries-claimed", 1),
    ("delivery-asked", 1),
    ("delivery-answered", 2),
    ("deliveries-recording", 2),
    ("deliveries-recorded", 1),
];

/// Where a panic is tried, how often the point may be passed before, and how many messages it may leave uncertain.
const PANICS: [(&str, u64, usize); 8] = [
    ("plan-written", 1, 0),
    ("claimed", 3, 0),
    ("intent-written", 3, 0),
    ("envelope", 50, 0),
    ("dot-written", 50, 1),
    ("answered", 50, 1),
    ("outcome-written", 3, 0),
    ("numbers-written", 1, 0),
];

/// Who sends: the only process that breaks here.
fn sender(site: &mut Site) -> &mut Process {
    match site.workers.is_empty() {
        true => &mut site.front,
        false => &mut site.workers[0],
    }
}

/// Ends the sender in good order and starts it with a plan to break.
fn arm(site: &mut Site, plan: &str) {
    let sender = sender(site);
    sender.terminate();
    sender.arm(Some(plan));
    sender.start_again();
}

/// Waits until it has broken, and starts it without a plan.
async fn mourn(site: &mut Site) {
    let sender = sender(site);
    sender.until_it_fails().await;
    sender.kill();
    sender.arm(None);
    sender.start_again();
}

/// A campaign of one step for one person, made by hand beside whatever runs.
fn one_person(site: &Site, place: &Path, number: usize) {
    let campaign = json!({
        "name": format!("Campaign {number}"),
        "sending_profile": { "smtp_url": site.smtp.url(), "from_email": "ada@example.com", "from_name": "Ada" },
        "steps": [{ "step_number": 1, "name": "Only", "subject": "Hello", "template": "Hi {{email}}" }],
    });
    let (body, csv) = (place.join("campaign.json"), place.join("leads.csv"));
    std::fs::write(&body, campaign.to_string()).unwrap();
    std::fs::write(&csv, format!("email\nq{number}@example.com\n")).unwrap();
    let id = site.say(&["campaign", "create", body.to_str().unwrap()]);
    site.say(&["leads", "import", csv.to_str().unwrap(), "--campaign", id.trim()]);
    site.say(&["campaign", "start", id.trim()]);
}

async fn a_crash_at_every_step(shape: Shape, what: &str) {
    let mut site = Site::start(shape).await;
    let place = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let (mut arrived, mut uncertain) = (0, 0);
    for (number, (point, kept, blind)) in STEPS.into_iter().enumerate() {
        let (times, is_uncertain) = if shape.journal { kept } else { blind };
        arm(&mut site, &format!("{point}:1"));
        one_person(&site, place.path(), number);
        mourn(&mut site).await;
        site.wait_until_through().await;
        (arrived, uncertain) = (arrived + times, uncertain + usize::from(is_uncertain));
        site.smtp.wait_for(arrived, Duration::from_secs(10)).await;
        assert_eq!(site.smtp.received().len(), arrived, "a crash at {point}");
        let there: Vec<(i64,)> = site.rows("SELECT COUNT(*) FROM messages WHERE state = 'uncertain'").await;
        assert_eq!(there[0].0 as usize, uncertain, "a crash at {point}");
    }
    let account = Account::of(&site, STEPS.len()).await;
    let trial = Trial { fault: "F2", what, seed: 0, most_uncertain: uncertain };
    tell(trial, &site, (&account, STEPS.len()), begun.elapsed().as_secs_f64());
    account.holds(STEPS.len(), uncertain);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_every_step_of_one_message_in_one_process() {
    a_crash_at_every_step(Shape::UP, "a crash at each of 13 steps of one send").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_every_step_of_one_message_in_a_worker() {
    let shape = Shape { workers: 1, ..Shape::PARTS };
    a_crash_at_every_step(shape, "a crash at each of 13 steps of one send").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_every_step_of_one_message_without_a_journal() {
    let shape = Shape { workers: 1, journal: false, ..Shape::PARTS };
    a_crash_at_every_step(shape, "a crash at each of 13 steps of one send, no journal").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_a_step_at_load_leaves_only_the_unknowable() {
    for seed in seeds() {
        let mut dice = Dice::new(seed);
        for shape in [Shape::UP, Shape::PARTS] {
            let (point, most) = AT_LOAD[dice.below(AT_LOAD.len() as u64) as usize];
            let plan = format!("{point}:{}", 1 + dice.below(most));
            let mut site = Site::start(shape).await;
            arm(&mut site, &plan);
            // Beside the process that breaks: it may do so before it has answered.
            campaign_by_hand(&site);
            sender(&mut site).until_it_fails().await;
            sender(&mut site).kill();
            let unknown = unknowable(&site.data(0));
            mourn_again(&mut site);
            let trial = Trial { fault: "F2", what: "a crash at a step, at load", seed, most_uncertain: D };
            account(&site, trial).await;
            only_unknowable(&site, &unknown).await;
        }
    }
}

/// The campaign of every trial, made by hand.
fn campaign_by_hand(site: &Site) {
    let place = tempfile::tempdir().unwrap();
    let campaign = json!({
        "name": "Two steps",
        "sending_profile": { "smtp_url": site.smtp.url(), "from_email": "ada@example.com", "from_name": "Ada" },
        "steps": [
            { "step_number": 1, "name": "First", "subject": "Hello {{email}}", "template": "Hi {{email}}, hello" },
            { "step_number": 2, "name": "Second", "subject": "Again, {{email}}", "template": "Hi {{email}}, once more",
              "delay_seconds": 1 },
        ],
    });
    let (body, csv) = (place.path().join("campaign.json"), place.path().join("leads.csv"));
    std::fs::write(&body, campaign.to_string()).unwrap();
    let rows: String = (0..PEOPLE).map(|n| format!("p{n}@example.com\n")).collect();
    std::fs::write(&csv, format!("email\n{rows}")).unwrap();
    let id = site.say(&["campaign", "create", body.to_str().unwrap()]);
    site.say(&["leads", "import", csv.to_str().unwrap(), "--campaign", id.trim()]);
    site.say(&["campaign", "start", id.trim()]);
}

fn mourn_again(site: &mut Site) {
    let sender = sender(site);
    sender.arm(None);
    sender.start_again();
}

/// FAULTS F4: what was committed is found without its hint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_dies_between_its_commit_and_its_hint_loses_nothing() {
    for seed in seeds() {
        let mut site = Site::start(Shape::PARTS).await;
        let body = json!({
            "name": "Two steps",
            "sending_profile": { "smtp_url": site.smtp.url(), "from_email": "ada@example.com" },
            "steps": [
                { "step_number": 1, "name": "First", "subject": "Hello", "template": "Hi {{email}}" },
                { "step_number": 2, "name": "Second", "subject": "Again", "template": "Hi {{email}}", "delay_seconds": 1 },
            ],
        });
        let campaign = site.ask("POST", "/api/v1/campaigns", Some(&body)).await;
        let id = campaign["id"].as_str().unwrap().to_owned();
        site.ask("POST", &format!("/api/v1/campaigns/{id}/leads"), Some(&leads(0..PEOPLE))).await;
        site.front.terminate();
        site.front.arm(Some("hint:1"));
        site.front.start_again();
        let answer = site.try_ask("POST", &format!("/api/v1/campaigns/{id}/start"), &[], None).await;
        assert!(answer.is_err(), "it died before it answered: {answer:?}");
        site.front.until_it_fails().await;
        site.front.kill();
        site.front.arm(None);
        site.front.start_again();
        let trial =
            Trial { fault: "F4", what: "api killed between commit and hint", seed, most_uncertain: 0 };
        account(&site, trial).await;
    }
}

/// FAULTS F10: a panic is one message's trouble, or one pass's, and nobody else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_at_a_step_ends_nothing_but_that_step() {
    for seed in seeds() {
        let mut dice = Dice::new(seed);
        let (point, most, uncertain) = PANICS[(seed as usize + 5) % PANICS.len()];
        let mut site = Site::start(Shape::UP).await;
        arm(&mut site, &format!("{point}:{}:panic", 1 + dice.below(most)));
        campaign_by_hand(&site);
        let trial = Trial { fault: "F10", what: "a panic at a step", seed, most_uncertain: uncertain };
        account(&site, trial).await;
        let log = site.front.log();
        assert!(log.contains("fail point "), "{point} was never passed");
        assert_eq!(site.front.terminate().code(), Some(0), "the process lived, and ends in good order");
    }
}

/// FAULTS F40: every hand-over has its answer, and no outcome can be recorded; then the worker dies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_could_not_be_recorded_before_a_worker_died_are_in_its_journal() {
    for seed in seeds() {
        let mut dice = Dice::new(seed);
        let mut site = at_work(Shape { own_postgres: true, ..Shape::PARTS }).await;
        instant(&mut dice, &site).await;
        site.postgres.as_mut().unwrap().kill();
        until_quiet(&site).await;
        if dice.below(2) == 0 {
            site.workers[0].kill();
            assert_eq!(unknowable(&site.data(0)), HashSet::new(), "every hand-over has its answer");
            site.postgres.as_mut().unwrap().start_again();
            site.workers[0].start_again();
        } else {
            tokio::time::sleep(Duration::from_secs(LEASE + 2)).await;
            site.postgres.as_mut().unwrap().start_again();
        }
        let what = "no T3 for a while, then killed or not";
        account(&site, Trial { fault: "F40", what, seed, most_uncertain: 0 }).await;
    }
}

/// Waits until nothing has arrived for longer than an intent may be old.
async fn until_quiet(site: &Site) {
    let (mut seen, mut since) = (site.smtp.received().len(), Instant::now());
    while since.elapsed() < Duration::from_secs(3) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if site.smtp.received().len() != seen {
            (seen, since) = (site.smtp.received().len(), Instant::now());
        }
    }
}

async fn a_crash_at_every_step_of_a_delivery(shape: Shape) {
    let mut site = Site::start(shape).await;
    let receiver = Receiver::start([]).await;
    let body = json!({ "url": receiver.url("/"), "events": ["*"] });
    site.ask("POST", "/api/v1/webhooks", Some(&body)).await;
    let (begun, mut arrivals) = (Instant::now(), 0);
    for (point, times) in DELIVERY {
        arm(&mut site, &format!("{point}:1"));
        tell_of_something(&site).await;
        mourn(&mut site).await;
        until_delivered(&site).await;
        arrivals += times;
        assert_eq!(receiver.count(), arrivals, "a crash at {point}");
    }
    let ids: HashSet<String> =
        receiver.arrived().iter().map(|one| one.header("webhook-id").to_owned()).collect();
    assert_eq!(ids.len(), DELIVERY.len(), "every event, and what came twice has the id it had before");
    let twice = arrivals - DELIVERY.len();
    let account = Account { accepted: ids.len(), doubled: vec![0; twice], ..Account::default() };
    let what = "a crash at each of 8 steps of a delivery (at least once)";
    let trial = Trial { fault: "F72", what, seed: 0, most_uncertain: 0 };
    tell(trial, &site, (&account, DELIVERY.len()), begun.elapsed().as_secs_f64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_every_step_of_a_delivery_in_one_process() {
    a_crash_at_every_step_of_a_delivery(Shape::UP).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_every_step_of_a_delivery_in_a_worker() {
    a_crash_at_every_step_of_a_delivery(Shape { workers: 1, ..Shape::PARTS }).await;
}

async fn tell_of_something(site: &Site) {
    let id = Ids::new(site.db.clone()).one("events").await.unwrap();
    let mut tx = site.db.begin().await.unwrap();
    events::insert_own(&mut tx, &[json!([id, 1, "custom.n", "{}"])], wall_millis()).await.unwrap();
    tx.commit().await.unwrap();
}

async fn until_delivered(site: &Site) {
    const OPEN: &str = "SELECT (SELECT COUNT(*) FROM deliveries WHERE state = 'pending')
             + (SELECT COUNT(*) FROM events WHERE sequence IS NULL)";
    let begun = Instant::now();
    while site.rows::<(i64,)>(OPEN).await[0].0 > 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "a delivery is still on its way");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Of this file alone it depends whether a release has points: it is compiled both ways, and read.
#[test]
fn a_release_has_no_point_to_break_at() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fail/src/lib.rs");
    let place = tempfile::tempdir().unwrap();
    let built = |assertions: &str| {
        let object: PathBuf = place.path().join(format!("{assertions}.o"));
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()));
        rustc.args([
            "--edition",
            "2024",
            "--crate-type",
            "lib",
            "--crate-name",
            "fail",
            "--emit",
            "obj",
            "-C",
            "opt-level=3",
        ]);
        rustc.arg("-C").arg(format!("debug-assertions={assertions}")).arg("-o").arg(&object).arg(&source);
        let done = rustc.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        std::fs::read(object).unwrap()
    };
    let names = |code: &[u8]| code.windows(15).any(|bytes| bytes == b"SENDWRIGHT_FAIL");
    assert!(names(&built("on")), "it is in a build that is to be broken");
    assert!(!names(&built("off")), "a release can be told to break");
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    assert_eq!(manifest["profile"]["release"].get("debug-assertions"), None, "releases have none by default");
}

/// How many system calls of each kind are tried.
const MOST_CALLS: usize = 16;

/// Black box: the process dies at its N-th system call of a kind, for every N of one send.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_at_its_nth_system_call_repeats_nothing() {
    let mut site = Site::start(Shape::UP).await;
    let place = tempfile::tempdir().unwrap();
    if !may_trace(&site).await {
        println!("not shown: strace is not there, or may not attach to a process");
        return;
    }
    let (begun, mut killed) = (Instant::now(), 0);
    for call in ["sendto", "fdatasync", "write"] {
        for nth in 1..=MOST_CALLS {
            let mut trace = attach(&site.front, &format!("inject={call}:signal=KILL:when={nth}"));
            let number = site.rows::<(i64,)>("SELECT COUNT(*) FROM campaigns").await[0].0 as usize;
            one_person(&site, place.path(), number);
            let died = ends_or_sends(&site, &mut trace, number + 1).await;
            let _ = trace.kill();
            let _ = trace.wait();
            if !died {
                break;
            }
            killed += 1;
            site.front.kill();
            site.front.start_again();
            site.wait_until_through().await;
        }
    }
    site.wait_until_through().await;
    let made = site.rows::<(i64,)>("SELECT COUNT(*) FROM campaigns").await[0].0 as usize;
    let account = Account::of(&site, made).await;
    let unknown = made.min(3 * MOST_CALLS);
    let trial = Trial {
        fault: "F2",
        what: "killed at its n-th sendto, fdatasync, write of one send",
        seed: 0,
        most_uncertain: unknown,
    };
    tell(trial, &site, (&account, made), begun.elapsed().as_secs_f64());
    account.holds(made, unknown);
    assert!(killed > 3, "it was killed {killed} times only");
    // Of each life at most the one message that it had in hand is uncertain, and only between its dot and its reply.
    assert!(account.uncertain.len() <= killed, "{account:?}");
}

/// Whether strace can be used here at all.
async fn may_trace(site: &Site) -> bool {
    let Ok(mut trace) = tracer(&site.front, "trace=none").spawn() else { return false };
    tokio::time::sleep(Duration::from_millis(500)).await;
    let may = trace.try_wait().is_ok_and(|ended| ended.is_none());
    let _ = trace.kill();
    let _ = trace.wait();
    may
}

fn tracer(process: &Process, expression: &str) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", expression, "-p", &process.id().to_string()]);
    strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    strace
}

fn attach(process: &Process, expression: &str) -> std::process::Child {
    let trace = tracer(process, expression).spawn().unwrap();
    let status = format!("/proc/{}/status", process.id());
    let is_traced = || !std::fs::read_to_string(&status).unwrap_or_default().contains("TracerPid:\t0\n");
    let begun = Instant::now();
    while !is_traced() && begun.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(10));
    }
    trace
}

/// Whether the process died, which ends its tracer, before the last message was through.
async fn ends_or_sends(site: &Site, trace: &mut std::process::Child, campaigns: usize) -> bool {
    let begun = Instant::now();
    loop {
        if trace.try_wait().unwrap().is_some() {
            return true;
        }
        let through: Vec<(i64,)> =
            site.rows("SELECT COUNT(*) FROM enrolments WHERE state = 'completed'").await;
        if through[0].0 as usize >= campaigns {
            return false;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "neither killed nor through");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
