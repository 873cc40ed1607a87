//! Sequences of several channels: each step reaches whom its channel reaches, and nobody who has not opted in.

use crate::support::engine::{BOTH, Lead, On, World, step};
use sendwright_store::campaigns::Profiles;
use sendwright_worker::handlers::plan;
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{DAY, HOUR, MINUTE, Millis};
use sendwright_workflows::sequence::{Channel, Delay, Step};

const START: Millis = 1_780_000_000_000;

/// Ada has a number and opted in, Bob has one and did not, Cyd has none.
async fn people(world: &World, campaign: i64) {
    let lead = |email: &str| Lead { email: email.into(), zone: None };
    world.enrol(campaign, &[lead("ada@example.com"), lead("bob@example.com"), lead("cyd@example.com")]).await;
    world
        .execute(
            "UPDATE contacts SET phone_key = '+1415555000' || id, phone_hash = 'hash' || id
             WHERE email_key <> 'cyd@example.com'",
        )
        .await;
    world
        .execute(
            "INSERT INTO consent_states (account_id, channel, address_hash, state, at)
             SELECT account_id, 'sms', phone_hash, 'opt_in', 1 FROM contacts WHERE email_key = 'ada@example.com'",
        )
        .await;
}

fn sms(number: u32, hours: u32) -> Step {
    let delay = Delay { hours, ..Delay::default() };
    Step {
        channel: Channel::Sms,
        subject: None,
        template: Some("Hi {{first_name}}".into()),
        ..step(number, delay)
    }
}

fn email(number: u32, hours: u32) -> Step {
    step(number, Delay { hours, ..Delay::default() })
}

async fn begin(on: On, steps: &[Step]) -> World {
    let world = World::new(on, START).await;
    let profiles = Profiles {
        email: world.default_profile(Channel::Email).await,
        sms: Some(world.default_profile(Channel::Sms).await),
        whatsapp: None,
    };
    let campaign = world.campaign_by("mixed", profiles, &Policy::default(), steps).await;
    people(&world, campaign).await;
    world
}

/// Every message as (who, channel, step, address, state, hours after the start).
async fn messages(world: &World) -> Vec<String> {
    let sql = "SELECT c.email_key, m.channel, m.step_number, m.address, m.state, COALESCE(m.slot, 0)
         FROM messages m JOIN contacts c ON c.id = m.contact_id ORDER BY c.id, m.step_number";
    let rows: Vec<(String, String, i64, String, String, i64)> = world.rows(sql).await;
    let told = |(who, channel, step, address, state, slot): (String, String, i64, String, String, i64)| {
        let hours = if slot > 0 { (slot / 1_000 - START + MINUTE) / HOUR } else { -1 };
        format!("{} {step} {channel} {address} {state} {hours}", &who[..3])
    };
    rows.into_iter().map(told).collect()
}

async fn passed_over(world: &World) -> Vec<String> {
    let sql = "SELECT c.email_key, e.kind, e.data FROM events e JOIN contacts c ON c.id = e.contact_id
         WHERE e.kind IN ('step.skipped', 'enrolment.stopped') ORDER BY c.id";
    let rows: Vec<(String, String, String)> = world.rows(sql).await;
    let code = |data: &str| {
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        data["reasons"][0]["code"].as_str().unwrap().to_owned()
    };
    rows.into_iter().map(|(who, kind, data)| format!("{} {kind} {}", &who[..3], code(&data))).collect()
}

async fn enrolments(world: &World) -> Vec<(String, i64)> {
    world.rows("SELECT state, settled FROM enrolments ORDER BY id").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mixed_sequence_goes_on_past_a_channel_that_does_not_reach() {
    for on in BOTH {
        let mut world = begin(on, &[email(1, 0), sms(2, 1), email(3, 1)]).await;
        world.run_until(START + DAY).await;
        let sent = messages(&world).await;
        assert_eq!(
            sent,
            [
                "ada 1 email ada@example.com accepted 0",
                "ada 2 sms +14155550001 accepted 1",
                "ada 3 email ada@example.com accepted 2",
                "bob 1 email bob@example.com accepted 0",
                "bob 3 email bob@example.com accepted 2",
                "cyd 1 email cyd@example.com accepted 0",
                "cyd 3 email cyd@example.com accepted 2",
            ],
            "{on:?}"
        );
        assert_eq!(passed_over(&world).await, ["bob step.skipped no_consent", "cyd step.skipped no_address"]);
        let all = vec![("completed".to_owned(), 3); 3];
        assert_eq!(enrolments(&world).await, all, "{on:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_not_opted_in_gets_no_text_message() {
    for on in BOTH {
        let mut world = begin(on, &[sms(1, 0), sms(2, 1)]).await;
        world.run_until(START + DAY).await;
        let sent = messages(&world).await;
        assert_eq!(
            sent,
            ["ada 1 sms +14155550001 accepted 0", "ada 2 sms +14155550001 accepted 1"],
            "{on:?}"
        );
        assert_eq!(
            passed_over(&world).await,
            [
                "bob enrolment.stopped no_consent",
                "cyd step.skipped no_address",
                "cyd step.skipped no_address"
            ]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_that_is_taken_back_after_the_plan_is_seen_at_the_intent() {
    for on in BOTH {
        for (steps, ends) in
            [(vec![sms(1, 0), sms(2, 1)], ("stopped", 0)), (vec![sms(1, 0), email(2, 1)], ("completed", 2))]
        {
            let mut world = begin(on, &steps).await;
            plan::pass(&world.ctx, START).await.unwrap();
            assert_eq!(messages(&world).await[0], "ada 1 sms +14155550001 drafted -1", "{on:?}");
            world.execute("UPDATE consent_states SET state = 'opt_out'").await;
            world.run_until(START + DAY).await;
            let sent = messages(&world).await;
            assert_eq!(sent[0], "ada 1 sms +14155550001 suppressed -1", "{on:?}");
            let (state, settled) = enrolments(&world).await[0].clone();
            assert_eq!((state.as_str(), settled), ends, "{on:?}: {sent:?}");
            let reasons: Vec<(String,)> = world.rows("SELECT reasons FROM messages ORDER BY id").await;
            assert!(reasons[0].0.contains("no_consent"), "{reasons:?}");
        }
    }
}
