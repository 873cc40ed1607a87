//! The matrix of faults where versions meet: a new schema under old processes, rows of a newer program, two of what there
//! should be one of, and keys that are changed under way.

use sendwright_store::clock::wall_millis;
use sendwright_workflows::clock::rfc3339;
use serde_json::json;

use crate::running::{SOON, until};
use crate::support::dice::{Dice, seeds};
use crate::support::process::Process;
use crate::support::receiver::Receiver;
use crate::support::site::{Shape, Site, leads};
use crate::support::trial::{
    MESSAGES, PEOPLE, Trial, account, account_all, at_work, instant, mode, shown, unharmed,
};

const BOTH: [Shape; 2] = [Shape::UP, Shape::PARTS];

/// What a newer program's migration does before anything relies on it: it only adds.
const EXPAND: [&str; 8] = [
    "ALTER TABLE messages ADD COLUMN mood TEXT NOT NULL DEFAULT 'fine'",
    "ALTER TABLE enrolments ADD COLUMN mood TEXT",
    "ALTER TABLE campaigns ADD COLUMN mood TEXT",
    "ALTER TABLE attempts ADD COLUMN mood BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE contacts ADD COLUMN mood TEXT",
    "CREATE TABLE moods (id BIGINT PRIMARY KEY, name TEXT NOT NULL)",
    "CREATE INDEX messages_by_mood ON messages (account_id, mood)",
    "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
     VALUES (99999, 'add moods', TRUE, 'x', 0)",
];
/// What it does once nobody of the old ones is left.
const CONTRACT: [&str; 3] = [
    "DROP INDEX messages_by_mood",
    "ALTER TABLE enrolments DROP COLUMN mood",
    "DELETE FROM _sqlx_migrations WHERE version = 99999",
];

/// Nobody has met what it did not expect.
fn nobody_complains(site: &Site) {
    for process in site.processes() {
        let log = process.log();
        let bad = |line: &&str| line.contains("\"level\":\"ERROR\"") || line.contains("what it should not");
        let lines: Vec<&str> = log.lines().filter(bad).collect();
        assert!(lines.is_empty(), "{lines:?}");
    }
}

/// FAULTS F15. One program plays both: the columns are those of a newer one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_grows_under_running_processes_stops_none_of_them() {
    for (seed, shape) in seeds().flat_map(|seed| BOTH.map(|shape| (seed, shape))) {
        let (mut dice, mut site) = (Dice::new(seed), at_work(shape).await);
        instant(&mut dice, &site).await;
        for statement in EXPAND {
            site.execute(statement).await;
        }
        let ready = site.try_ask("GET", "/readyz", &[], None).await.unwrap();
        assert_eq!((ready.0, &ready.1["checks"]["schema"]), (200, &json!("newer than this program")));
        let (code, told) = site.command(&["messages", "list"]);
        assert_eq!((code, told.lines().count()), (Some(78), 1), "{told}");
        assert!(told.contains("run a newer sendwright"), "{told}");
        instant(&mut dice, &site).await;
        for statement in CONTRACT {
            site.execute(statement).await;
        }
        nobody_complains(&site);
        // The old ones go, the new ones come.
        for process in site.processes_mut() {
            assert_eq!(process.terminate().code(), Some(0), "{}", process.log());
            process.start_again();
        }
        account(
            &site,
            unharmed("F15", "schema grown under the old processes, then all of them replaced", seed),
        )
        .await;
        nobody_complains(&site);
    }
}

/// What a newer program might have left, each beside what this one knows.
const STRANGE: [&str; 7] = [
    "INSERT INTO runs (id, account_id, campaign_id, round, kind, state, total, reached, upto, before, created_at)
     SELECT 999999, account_id, id, round, 'v99', 'running', 0, 0, 0, '{}', created_at FROM campaigns
      WHERE name = 'Two steps'",
    "INSERT INTO messages (id, account_id, kind, campaign_id, round, enrolment_id, contact_id, profile_id, step_id,
         step_number, version, channel, address, address_hash, zone, state, planned_at, decision, created_at, updated_at)
     SELECT 999999, account_id, 'v99', campaign_id, round, enrolment_id, contact_id, profile_id, step_id,
         99, version, channel, address, address_hash, zone, 'drafted', 0, decision, created_at, updated_at
     FROM messages ORDER BY id LIMIT 1",
    "INSERT INTO drafts (message_id, account_id, subject, body, writer, created_at)
     SELECT 999999, account_id, subject, body, writer, created_at FROM drafts LIMIT 1",
    "UPDATE campaigns SET policy = '{\"on_uncertain\":\"v99\"}' WHERE name = 'Policy'",
    "UPDATE steps SET channel = 'v99' WHERE campaign_id IN (SELECT id FROM campaigns WHERE name = 'Channel')",
    "UPDATE sending_profiles SET channel = 'v99' WHERE name = 'Profile'",
    "INSERT INTO events (id, account_id, kind, data, at)
     SELECT 999999, id, 'v99.happened', '{}', created_at FROM accounts ORDER BY id LIMIT 1",
];

/// The time of every campaign that is still a draft has come: of its people first, who are planned as soon as it is none.
const BEGIN: [&str; 2] = [
    "UPDATE enrolments SET next_run_at = 1, base_at = 1
      WHERE campaign_id IN (SELECT id FROM campaigns WHERE name <> 'Two steps')",
    "UPDATE campaigns SET state = 'scheduled', schedule_at = 0 WHERE state = 'draft'",
];

/// A campaign of one step and one person that nobody has looked at yet: what is put into it by hand now is all that any
/// worker ever sees of it.
async fn draft(site: &Site, name: &str, person: usize) {
    let step = json!([{ "step_number": 1, "name": "One", "subject": "x", "template": "x" }]);
    let settings = json!({ "name": name, "steps": step });
    site.unstarted(&leads(person..person + 1), settings, json!({ "name": name })).await;
}

/// FAULTS F14.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_newer_program_are_passed_over_and_left_as_they_are() {
    for (seed, shape) in seeds().flat_map(|seed| BOTH.map(|shape| (seed, shape))) {
        let (mut dice, site) = (Dice::new(seed), Site::start(shape).await);
        for (n, name) in ["Policy", "Channel", "Profile"].into_iter().enumerate() {
            draft(&site, name, 1_000 + n).await;
        }
        site.campaign(0..PEOPLE, json!({}), json!({})).await;
        instant(&mut dice, &site).await;
        for statement in STRANGE {
            site.execute(statement).await;
        }
        for statement in BEGIN {
            site.execute(statement).await;
        }
        site.until(
            "SELECT COUNT(*) FROM messages WHERE state = 'accepted' AND campaign_id IN
                (SELECT id FROM campaigns WHERE name = 'Two steps')",
            MESSAGES as i64,
        )
        .await;
        site.until("SELECT COUNT(*) FROM events WHERE sequence IS NULL", 0).await;
        site.until("SELECT COUNT(*) FROM campaigns WHERE state = 'scheduled'", 0).await;
        for table in ["runs", "campaigns"] {
            let told = format!("is passed over\",\"table\":\"{table}\"");
            let is_told = async || site.processes().any(|process| process.log().contains(&told));
            until("a row is passed over", SOON, is_told).await;
        }
        let sent: Vec<(String, String, i64)> = site
            .rows(
                "SELECT c.name, m.kind, COUNT(*) FROM messages m JOIN campaigns c ON c.id = m.campaign_id
                  WHERE m.state = 'accepted' GROUP BY c.name, m.kind",
            )
            .await;
        let known = [("Two steps".to_owned(), "step".to_owned(), MESSAGES as i64)];
        assert_eq!(sent, known, "nothing is sent by rules that are not known");
        assert_eq!(site.smtp.received().len(), MESSAGES);
        let mut left: Vec<(String, i64)> = site
            .rows(
                "SELECT 'runs ' || state, COUNT(*) FROM runs WHERE kind = 'v99' GROUP BY state
                 UNION ALL SELECT 'messages ' || state, COUNT(*) FROM messages WHERE kind = 'v99' GROUP BY state
                 UNION ALL SELECT 'campaigns ' || state, COUNT(*) FROM campaigns WHERE name <> 'Two steps' GROUP BY state
                 UNION ALL SELECT 'enrolments ' || state, COUNT(*) FROM enrolments WHERE campaign_id IN
                     (SELECT id FROM campaigns WHERE name <> 'Two steps') GROUP BY state",
            )
            .await;
        left.sort();
        let wanted = [
            ("campaigns running", 3),
            ("enrolments active", 3),
            ("messages drafted", 1),
            ("runs running", 1),
        ];
        assert_eq!(left, wanted.map(|(what, count)| (what.to_owned(), count)));
        let row = unharmed("F14", "rows of a newer program in five tables", seed);
        let held = "left as they are, told of once, counted; 600 messages beside them sent, each once";
        shown(row, mode(&site), held);
    }
}

/// FAULTS F18.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_schedulers_do_everything_once() {
    const LATER: usize = 20;
    for seed in seeds() {
        let (mut dice, mut site) = (Dice::new(seed), at_work(Shape::PARTS).await);
        let mut second = site.another(&["scheduler"]);
        let at = wall_millis() + 2_000;
        scheduled(&site, PEOPLE..PEOPLE + LATER, at).await;
        instant(&mut dice, &site).await;
        site.scheduler.as_mut().unwrap().kill();
        site.scheduler.as_mut().unwrap().start_again();
        instant(&mut dice, &site).await;
        second.kill();
        second.start_again();
        let trial = unharmed("F18", "two schedulers, killed in turn", seed);
        account_all(&site, trial, MESSAGES + 2 * LATER).await;
        site.until("SELECT COUNT(*) FROM campaigns WHERE state = 'completed'", 2).await;
        let completed: Vec<(i64,)> =
            site.rows("SELECT COUNT(*) FROM events WHERE kind = 'campaign.completed'").await;
        assert_eq!(completed, [(2,)]);
    }
}

/// A campaign that starts by itself.
pub async fn scheduled(site: &Site, people: std::ops::Range<usize>, at: i64) -> String {
    let settings = json!({ "name": "Scheduled", "schedule_time": rfc3339(at) });
    site.unstarted(&leads(people), settings, json!({ "name": "Scheduled" })).await
}

/// FAULTS F22.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_and_a_signing_secret_changed_under_way_fail_nothing() {
    for (seed, shape) in seeds().flat_map(|seed| BOTH.map(|shape| (seed, shape))) {
        let (mut dice, mut site) = (Dice::new(seed), Site::start(shape).await);
        let url = |password: &str| site.smtp.url().replace("//", &format!("//ann:{password}@"));
        let (old, new) = (url("old"), url("new"));
        site.smtp.demand(&[("ann", "old")]);
        let receiver = Receiver::start([]).await;
        let body = json!({ "url": receiver.url("/"), "events": ["email.sent"] });
        let endpoint = site.ask("POST", "/api/v1/webhooks", Some(&body)).await;
        let first = endpoint["secret"].as_str().unwrap().to_owned();
        site.campaign(0..PEOPLE, json!({}), json!({ "smtp_url": old })).await;
        instant(&mut dice, &site).await;
        // Both hold for a while: at the server, and at the receiver.
        site.smtp.demand(&[("ann", "old"), ("ann", "new")]);
        let profiles = site.ask("GET", "/api/v1/sending-profiles", None).await;
        let profile =
            profiles["sending_profiles"].as_array().unwrap().iter().find(|p| p["name"] == "Two steps");
        let path = format!("/api/v1/sending-profiles/{}", profile.unwrap()["id"].as_str().unwrap());
        site.ask("PATCH", &path, Some(&json!({ "smtp_url": new }))).await;
        let path = format!("/api/v1/webhooks/{}/rotate-secret", endpoint["id"].as_str().unwrap());
        let rotated = site.ask("POST", &path, None).await;
        let second = rotated["secret"].as_str().unwrap().to_owned();
        instant(&mut dice, &site).await;
        site.smtp.demand(&[("ann", "new")]);
        // Nobody lives on connections of before.
        let senders =
            if site.workers.is_empty() { vec![&mut site.front] } else { site.workers.iter_mut().collect() };
        for process in senders {
            process.terminate();
            process.start_again();
        }
        account(&site, unharmed("F22", "SMTP password and signing secret changed", seed)).await;
        let arrived = receiver.wait_for(MESSAGES).await;
        assert!(arrived.iter().all(|one| one.is_by(&first)), "the old secret holds for a day");
        assert!(arrived.last().unwrap().is_by(&second));
        let pauses: Vec<(i64,)> = site
            .rows("SELECT COUNT(*) FROM events WHERE kind IN ('profile.paused', 'profile.disabled', 'email.failed')")
            .await;
        assert_eq!(pauses, [(0,)]);
        let failed: Vec<(i64,)> =
            site.rows("SELECT COUNT(*) FROM deliveries WHERE attempts > 1 OR state = 'dead'").await;
        assert_eq!(failed, [(0,)]);
    }
}

/// FAULTS F11. No template that could do it gets as far as a stack.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_that_would_never_end_is_refused_and_put_in_by_hand_harms_nobody() {
    let bombs = [
        "{{#*inline \"a\"}}{{> a}}{{/inline}}{{> a}}".to_owned(),
        "{{#if email}}".repeat(20_000),
        format!("{{{{upper {}email{}}}}}", "(lower ".repeat(30_000), ")".repeat(30_000)),
    ];
    for (seed, shape) in seeds().flat_map(|seed| BOTH.map(|shape| (seed, shape))) {
        let (mut dice, site) = (Dice::new(seed), Site::start(shape).await);
        for (n, bomb) in bombs.iter().enumerate() {
            let step = |template: &str| json!([{ "step_number": 1, "name": "x", "subject": "x", "template": template }]);
            let body = json!({ "name": "Bomb", "steps": step(bomb) });
            let (status, answer) = site.try_ask("POST", "/api/v1/campaigns", &[], Some(&body)).await.unwrap();
            assert!(status == 422 && answer.to_string().contains("template"), "{status} {answer}");
            // By hand, behind the checks' back.
            draft(&site, &format!("Bomb {n}"), 1_000 + n).await;
            let plant = format!("UPDATE steps SET template = '{bomb}' WHERE template = 'x'");
            site.execute(plant.leak()).await;
        }
        site.campaign(0..PEOPLE, json!({}), json!({})).await;
        instant(&mut dice, &site).await;
        for statement in BEGIN {
            site.execute(statement).await;
        }
        site.until(
            "SELECT COUNT(*) FROM messages WHERE state IN ('held', 'accepted')",
            (MESSAGES + bombs.len()) as i64,
        )
        .await;
        let bombed: Vec<(String, String)> = site
            .rows(
                "SELECT m.state, m.reasons FROM messages m JOIN campaigns c ON c.id = m.campaign_id
                  WHERE c.name <> 'Two steps' ORDER BY m.id",
            )
            .await;
        let is_held =
            |(state, reasons): &(String, String)| state == "held" && reasons.contains("writing_failed");
        assert!(bombed.len() == bombs.len() && bombed.iter().all(is_held), "{bombed:?}");
        assert_eq!(site.smtp.received().len(), MESSAGES);
        let logs: Vec<String> = site.senders().map(Process::log).collect();
        assert!(logs.iter().all(|log| !log.contains("panicked")), "{logs:?}");
        let row = Trial {
            fault: "F11",
            what: "templates that recurse or nest without end",
            seed,
            most_uncertain: 0,
        };
        shown(
            row,
            mode(&site),
            "refused by the API (422); put in by hand, held with the reason; nobody died, 600 sent beside them",
        );
    }
}
