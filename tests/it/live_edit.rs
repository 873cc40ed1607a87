//! A campaign that is edited while everybody stands somewhere else in it (DESIGN, Live edit).

use crate::support::engine::{BOTH, Lead, On, World, step};
use crate::support::protocol::{claim, intend, record, yes};
use sendwright_store::campaigns;
use sendwright_store::intents::{self, Verdict};
use sendwright_worker::channels::{Outcome as Said, Stage};
use sendwright_worker::handlers::plan;
use sendwright_worker::sweep;
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{HOUR, MINUTE, Millis, parse_rfc3339};
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::reason::Reason;
use sendwright_workflows::sequence::{Delay, Step};
use std::collections::HashMap;

fn start() -> Millis {
    parse_rfc3339("2026-06-01T10:00:00Z").unwrap()
}

fn hours(number: u32, hours: u32) -> Step {
    step(number, Delay { hours, ..Delay::default() })
}

fn says(step: Step, text: &str) -> Step {
    Step { subject: Some("About us".into()), template: Some(text.into()), ..step }
}

/// The edit, as the API commits it.
async fn edit(world: &World, campaign: i64, steps: &[Step]) {
    let ids = world.ctx.store.ids.take("steps", steps.len()).await.unwrap();
    let mut tx = world.ctx.store.begin().await.unwrap();
    tx.barrier(world.account, true).await.unwrap();
    let before = campaigns::lock(&mut tx, world.account, campaign).await.unwrap().unwrap();
    let settings = campaigns::Settings {
        external_id: None,
        name: before.name.clone(),
        description: None,
        profiles: before.profiles,
        origin: before.origin,
        policy: before.policy.clone(),
        schedule_at: None,
    };
    campaigns::replace(&mut tx, &before, &settings, (steps, ids), world.clock.read()).await.unwrap();
    tx.commit().await.unwrap();
}

async fn mapped(world: &World) -> bool {
    sweep::map_edited(&world.ctx, world.clock.read()).await.unwrap();
    world.number("SELECT COUNT(*) FROM campaigns WHERE mapped_version < version").await == 0
}

/// What everybody got, in order: address, then the first words of each text.
async fn letters(world: &World) -> HashMap<String, Vec<String>> {
    let rows: Vec<(String, String)> =
        world.rows("SELECT recipient, raw FROM mailbox ORDER BY received_at, id").await;
    let mut found: HashMap<String, Vec<String>> = HashMap::new();
    for (to, raw) in rows {
        let body = raw.split_once("\r\n\r\n").unwrap().1;
        let words = body.lines().find(|l| l.contains(" of Acme")).unwrap_or_default();
        found.entry(to).or_default().push(words.split(" of Acme").next().unwrap().to_owned());
    }
    found
}

async fn people(world: &World, campaign: i64, names: &[&str]) {
    let leads: Vec<Lead> =
        names.iter().map(|n| Lead { email: format!("{n}@example.com"), zone: None }).collect();
    world.enrol(campaign, &leads).await;
}

#[tokio::test]
async fn nobody_gets_a_step_or_a_text_twice_wherever_the_edit_finds_them() {
    for on in BOTH {
        let mut world = World::new(on, start()).await;
        let profile = world.profile("main", &Rates::default()).await;
        let old =
            [says(hours(1, 0), "A of Acme"), says(hours(2, 2), "B of Acme"), says(hours(3, 2), "C of Acme")];
        let campaign = world.campaign("Edited", profile, &Policy::default(), &old).await;
        for (late, name) in ["ann", "ben", "cid", "dan"].iter().enumerate() {
            world.run_until(start() + late as Millis * 2 * HOUR - 1).await;
            world.clock.set(start() + late as Millis * 2 * HOUR);
            people(&world, campaign, &[name]).await;
        }
        // Ann has all three and is through, Ben has two and Cid one; Dan's first is drafted and not claimed.
        while plan::pass(&world.ctx, world.clock.read()).await.unwrap() > 0 {}
        let new = [
            says(hours(1, 0), "New of Acme"),
            says(hours(2, 1), "C of Acme"),
            says(hours(3, 1), "B of Acme"),
            says(hours(4, 1), "D of Acme"),
        ];
        edit(&world, campaign, &new).await;
        assert!(mapped(&world).await);
        world.run_until(start() + 48 * HOUR).await;
        let got = letters(&world).await;
        let expected: [(&str, &[&str]); 4] = [
            ("ann", &["A", "B", "C"]),
            ("ben", &["A", "B", "D"]),
            ("cid", &["A", "C", "B", "D"]),
            ("dan", &["New", "C", "B", "D"]),
        ];
        for (name, texts) in expected {
            assert_eq!(got[&format!("{name}@example.com")], texts, "{on:?}: {name}");
        }
        let twice = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM messages WHERE state = 'accepted'
             GROUP BY address_hash, step_number HAVING COUNT(*) > 1) AS twice";
        assert_eq!(world.number(twice).await, 0);
        let skipped: Vec<(String,)> = world.rows("SELECT data FROM events WHERE kind = 'step.skipped'").await;
        assert!(!skipped.is_empty() && skipped.iter().all(|s| s.0.contains("already_sent")), "{skipped:?}");
        let completed = world.events().await.iter().filter(|e| *e == "campaign.completed").count();
        assert_eq!(completed, 1, "{on:?}");
    }
}

#[tokio::test]
async fn an_unsent_text_is_written_anew_with_the_new_delay_from_the_old_base() {
    for on in BOTH {
        let mut world = World::new(on, start()).await;
        let profile = world.profile("main", &Rates::default()).await;
        let old = [says(hours(1, 0), "A of Acme"), says(hours(2, 2), "B of Acme")];
        let campaign = world.campaign("Edited", profile, &Policy::default(), &old).await;
        people(&world, campaign, &["ann"]).await;
        world.run_until(start() + HOUR).await;
        world.clock.set(start() + 2 * HOUR - 2_000);
        while plan::pass(&world.ctx, world.clock.read()).await.unwrap() > 0 {}
        assert_eq!(world.number("SELECT COUNT(*) FROM messages WHERE state = 'drafted'").await, 1);
        edit(&world, campaign, &[says(hours(1, 0), "A of Acme"), says(hours(2, 5), "Better of Acme")]).await;
        assert!(mapped(&world).await);
        world.run_until(start() + 24 * HOUR).await;
        assert_eq!(letters(&world).await["ann@example.com"], ["A", "Better"]);
        let slot = "SELECT slot / 1000 FROM messages WHERE step_number = 2";
        assert_eq!(world.number(slot).await, start() + 5 * HOUR, "{on:?}");
    }
}

/// Edits while one person's message is claimed and another's is being handed over.
#[tokio::test]
async fn what_is_in_a_workers_hands_goes_back_or_counts_before_anybody_is_mapped() {
    for on in BOTH {
        let mut world = World::new(on, start()).await;
        let profile = world.profile("main", &Rates::default()).await;
        let old = [says(hours(1, 0), "A of Acme")];
        let campaign = world.campaign("Edited", profile, &Policy::default(), &old).await;
        people(&world, campaign, &["ann", "ben"]).await;
        while plan::pass(&world.ctx, world.clock.read()).await.unwrap() > 0 {}
        let mut both = claim(&world.ctx, profile, 2).await;
        let (sending, claimed) = (both.remove(0), both.remove(0));
        let (attempt, verdict) = intend(&world.ctx, &sending).await;
        assert_eq!(verdict, Verdict::Go);
        edit(&world, campaign, &[says(hours(1, 0), "New of Acme"), says(hours(2, 1), "B of Acme")]).await;
        assert!(!mapped(&world).await, "not while old messages are in hand");
        let (_, verdict) = intend(&world.ctx, &claimed).await;
        assert_eq!(verdict, Verdict::Back { state: "drafted", reason: Reason::Edited });
        let mut tx = world.ctx.store.begin().await.unwrap();
        let rows = [(&claimed, "drafted", Reason::Edited)];
        intents::put_back(&mut tx, profile, &Rates::default(), &rows, start()).await.unwrap();
        tx.commit().await.unwrap();
        assert!(!mapped(&world).await, "not while a hand-over of the old version is open");
        record(&world.ctx, &sending, attempt, yes()).await;
        assert!(mapped(&world).await);
        world.run_until(start() + 24 * HOUR).await;
        let got = letters(&world).await;
        assert_eq!(got["ben@example.com"], ["New", "B"], "{on:?}");
        assert_eq!(
            got["ann@example.com"],
            ["B"],
            "{on:?}: whose only step was under way gets what was added"
        );
        assert_eq!(
            world.number("SELECT slot / 1000 FROM messages WHERE step_number = 2 ORDER BY slot").await,
            start() + HOUR
        );
        assert_eq!(world.events().await.iter().filter(|e| *e == "campaign.completed").count(), 1);
    }
}

#[tokio::test]
async fn a_message_that_was_refused_before_keeps_its_message_id_under_the_new_text() {
    for on in BOTH {
        let mut world = World::new(on, start()).await;
        let first = world.profile("first", &Rates::default()).await;
        let old = [says(hours(1, 0), "A of Acme")];
        let campaign = world.campaign("Edited", first, &Policy::default(), &old).await;
        people(&world, campaign, &["ann"]).await;
        while plan::pass(&world.ctx, world.clock.read()).await.unwrap() > 0 {}
        let message = claim(&world.ctx, first, 1).await.remove(0);
        let (attempt, _) = intend(&world.ctx, &message).await;
        let later = Said::Refused {
            stage: Stage::Rcpt,
            code: 450,
            reply: "later".into(),
            permanent: false,
            enhanced: None,
        };
        record(&world.ctx, &message, attempt, later).await;
        edit(&world, campaign, &[says(hours(1, 0), "New of Acme")]).await;
        // The edit moved the campaign to another sending profile as well.
        world.profile("second", &Rates::default()).await;
        world.exec("UPDATE campaigns SET profile_id = (SELECT MAX(id) FROM sending_profiles)").await;
        assert!(mapped(&world).await);
        world.clock.set(start() + 2 * MINUTE);
        world.run_until(start() + HOUR).await;
        assert_eq!(letters(&world).await["ann@example.com"], ["New"], "{on:?}");
        let id = format!("<m-{}.{}@example.com>", message.id, world.ctx.store.epoch());
        assert_eq!(world.mailbox().await, [id]);
        assert_eq!(world.number("SELECT COUNT(*) FROM attempts").await, 2);
    }
}

#[tokio::test]
async fn a_step_that_was_taken_away_is_not_sent_and_the_campaign_completes_once() {
    for on in BOTH {
        let mut world = World::new(on, start()).await;
        let profile = world.profile("main", &Rates::default()).await;
        let old = [says(hours(1, 0), "A of Acme"), says(hours(2, 1), "B of Acme")];
        let campaign = world.campaign("Edited", profile, &Policy::default(), &old).await;
        people(&world, campaign, &["ann", "ben"]).await;
        world.run_until(start() + 30 * MINUTE).await;
        edit(&world, campaign, &[says(hours(1, 0), "A of Acme")]).await;
        assert!(mapped(&world).await);
        world.run_until(start() + 24 * HOUR).await;
        assert_eq!(letters(&world).await["ann@example.com"], ["A"], "{on:?}");
        assert_eq!(world.rows::<(String,)>("SELECT state FROM campaigns").await[0].0, "completed");
        // Edited once more after its end: nobody is asked again, and it is not announced again.
        edit(&world, campaign, &[says(hours(1, 0), "A of Acme"), says(hours(2, 1), "Z of Acme")]).await;
        world.run_until(start() + 48 * HOUR).await;
        assert_eq!(world.events().await.iter().filter(|e| *e == "campaign.completed").count(), 1);
    }
}

/// Planning and edits at the same instant, many times: whatever is planned is of the version that stands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_and_an_edit_that_meet_leave_nobody_behind() {
    let mut world = World::new(On::Postgres, start()).await;
    let profile = world.profile("main", &Rates::default()).await;
    let texts = |n: usize| [says(hours(1, 0), &format!("T{n} of Acme"))];
    let mut campaigns = Vec::new();
    for n in 0..40 {
        let campaign = world.campaign(&format!("C{n}"), profile, &Policy::default(), &texts(0)).await;
        let name = format!("p{n}");
        people(&world, campaign, &[&name]).await;
        campaigns.push(campaign);
    }
    let ctx = world.ctx.clone();
    let planning = tokio::spawn(async move {
        for _ in 0..10 {
            plan::pass(&ctx, start()).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    for campaign in &campaigns {
        edit(&world, *campaign, &texts(1)).await;
        mapped(&world).await;
    }
    planning.await.unwrap();
    let behind = "SELECT COUNT(*) FROM messages m JOIN campaigns c ON c.id = m.campaign_id
         WHERE m.version < c.mapped_version AND m.state IN ('scheduled', 'drafted', 'held')";
    assert_eq!(world.number(behind).await, 0, "planned with the old steps, and nobody will map it");
    world.run_until(start() + HOUR).await;
    let got = letters(&world).await;
    assert_eq!(got.len(), 40, "somebody is left behind");
    assert!(got.values().all(|texts| *texts == ["T1"]), "{got:?}");
}
