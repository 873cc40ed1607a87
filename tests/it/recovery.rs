//! An older backup is restored: what may have gone out since it was made is held, and nothing goes out twice (FAULTS F43).

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use sendwright_store::clock::wall_millis;
use sendwright_workflows::clock::rfc3339;
use serde_json::{Value, json};

use crate::support::dice::{Dice, seeds};
use crate::support::site::{Shape, Site, leads};
use crate::support::trial::{PEOPLE, Trial, instant, tell};
use crate::support::witness::Account;

/// Three steps for everybody: two at once, and one that the outage comes before.
const STEPS: usize = 3;
const SUBJECTS: [&str; STEPS] = ["Hello", "Again,", "Last,"];
/// How long a thing may take that is to come.
const PATIENCE: Duration = Duration::from_secs(60);

fn three_steps() -> Value {
    let step = |n: usize, delay: u32| {
        json!({ "step_number": n + 1, "name": SUBJECTS[n], "subject": format!("{} {{{{email}}}}", SUBJECTS[n]),
                "template": "Hi {{email}}", "delay_seconds": delay })
    };
    json!({ "steps": [step(0, 0), step(1, 1), step(2, 25)] })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_restored_on_sqlite_repeats_nothing() {
    a_backup_restored_repeats_nothing(Shape::UP).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_restored_on_postgres_repeats_nothing() {
    a_backup_restored_repeats_nothing(Shape::PARTS).await;
}

async fn a_backup_restored_repeats_nothing(shape: Shape) {
    for seed in seeds() {
        let (mut dice, mut site) = (Dice::new(seed), Site::start(shape).await);
        let place = tempfile::tempdir().unwrap();
        let backup = place.path().join("backup");
        site.campaign(0..PEOPLE, three_steps(), json!({})).await;
        instant(&mut dice, &site).await;
        site.back_up(&backup);
        site.until_later(0).await;
        instant(&mut dice, &site).await;
        site.end_all(dice.below(2) == 0);
        let outage = wall_millis();
        site.restore(&backup).await;
        let told = site.refused();
        assert!(told.contains("recovery begin"), "an older database is told: {told}");
        site.say(&["recovery", "begin"]);
        site.say(&["recovery", "begin"]);
        site.reopen().await;
        site.start_all();
        nothing_old_goes(&site).await;
        let begun = Instant::now();
        site.say(&["recovery", "release", "--all", "--until", &rfc3339(outage)]);
        site.wait_until_through().await;
        let account = tally(&site).await;
        let trial =
            Trial { fault: "F43", what: "an older backup restored", seed, most_uncertain: STEPS * PEOPLE };
        tell(trial, &site, (&account, STEPS * PEOPLE), begun.elapsed().as_secs_f64());
        assert_eq!((account.lost, account.doubled.len(), account.phantoms.len()), (0, 0, 0), "{account:?}");
        let last: usize = times(&site).iter().filter(|((_, step), _)| *step == STEPS).map(|(_, n)| n).sum();
        assert!(last > 0, "what was certainly not sent goes once it is released");
    }
}

/// What is new goes, what was there is held and says so.
async fn nothing_old_goes(site: &Site) {
    let before = times(site);
    let new = json!({ "name": "After the recovery" });
    site.campaign_of(&leads(5_000..5_003), new, json!({})).await;
    let begun = Instant::now();
    while times(site).len() < before.len() + 6 {
        assert!(begun.elapsed() < PATIENCE, "a new campaign is not held");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(times(site).len(), before.len() + 6, "nothing of the old one went");
    let held = site.say(&["recovery", "status", "--json"]);
    let held: Value = serde_json::from_str(held.trim()).unwrap();
    assert_eq!((&held["was"], &held["people"]), (&json!("running"), &json!(PEOPLE)));
    let list = site.ask("GET", "/api/v1/messages?state=held&per_page=100", None).await;
    let reasons = list["messages"].as_array().unwrap().iter().map(|m| m["reasons"].to_string());
    assert!(reasons.clone().all(|reason| reason.contains("recovery")), "{list}");
    let states: Vec<(String,)> = site.rows("SELECT state FROM campaigns ORDER BY id LIMIT 1").await;
    assert_eq!(states[0].0, "held");
}

/// How often each person got each step, by what the receiver has: the database's own numbers are lost with it.
fn times(site: &Site) -> HashMap<(String, usize), usize> {
    let mut times = HashMap::new();
    for mail in site.smtp.received() {
        let subject = mail.header("Subject").unwrap();
        let step = SUBJECTS.iter().position(|word| subject.starts_with(word)).unwrap() + 1;
        *times.entry((mail.to[0].clone(), step)).or_default() += 1;
    }
    times
}

/// What became of every step of everybody.
async fn tally(site: &Site) -> Account {
    const OLD: &str = "SELECT id, address, step_number, state FROM messages
         WHERE campaign_id = (SELECT MIN(id) FROM campaigns)";
    const PASSED: &str = "SELECT c.email, e.data FROM events e JOIN contacts c ON c.id = e.contact_id
         WHERE e.kind = 'step.skipped' AND e.data LIKE '%recovery%'";
    let times = times(site);
    let rows: Vec<(i64, String, i64, String)> = site.rows(OLD).await;
    let passed: Vec<(String, String)> = site.rows(PASSED).await;
    let step = |data: &str| serde_json::from_str::<Value>(data).unwrap()["step"].as_u64().unwrap() as usize;
    let passed: HashSet<(String, usize)> = passed.iter().map(|(to, data)| (to.clone(), step(data))).collect();
    let rows: HashMap<(String, usize), (i64, String)> =
        rows.into_iter().map(|(id, to, step, state)| ((to, step as usize), (id, state))).collect();
    let mut account =
        Account { doubled: vec![0; times.values().filter(|n| **n > 1).count()], ..Account::default() };
    for who in (0..PEOPLE).flat_map(|n| (1..=STEPS).map(move |step| (format!("p{n}@example.com"), step))) {
        let was_received = times.contains_key(&who);
        match rows.get(&who).map(|(id, state)| (*id, state.as_str())) {
            Some((id, "accepted")) => {
                account.accepted += 1;
                account.phantoms.extend((!was_received).then_some(id));
            }
            Some((id, "uncertain")) => {
                account.uncertain.push(id);
                account.uncertain_and_received += usize::from(was_received);
            }
            None if passed.contains(&who) => {
                account.uncertain.push(0);
                account.uncertain_and_received += usize::from(was_received);
            }
            _ => account.lost += 1,
        }
    }
    account
}
