//! `explain` tells the truth: the right code, and an instant at which something then happens. A stored
//! campaign's simulation is what then happens.

use crate::support::desk::{Desk, START};
use crate::support::engine::{BOTH, Lead, step};
use sendwright_api::operations::messages::{self, Explanation};
use sendwright_api::operations::simulation::{self, Span};
use sendwright_store::{sending_profiles, workers};
use sendwright_worker::handlers::plan;
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{DAY, HOUR, MINUTE, Millis, parse_rfc3339};
use sendwright_workflows::enrolment::{Action, Means};
use sendwright_workflows::quiet_hours::QuietHours;
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::sequence::{Delay, Step};
use serde_json::json;

async fn begun(desk: &Desk, rates: Rates, policy: Policy, steps: &[Step], people: usize) -> i64 {
    let zones = [None, Some("Europe/Berlin"), Some("America/New_York"), Some("Asia/Tokyo")];
    let lead = |n: usize| Lead { email: format!("p{n}@example.com"), zone: zones[n % zones.len()] };
    let profile = desk.world.profile("main", &rates).await;
    let campaign = desk.world.campaign("Spring", profile, &policy, steps).await;
    desk.world.enrol(campaign, &(0..people).map(lead).collect::<Vec<_>>()).await;
    campaign
}

async fn explained(desk: &Desk, id: i64) -> Explanation {
    messages::explain(desk.core(), desk.world.account, id).await.unwrap()
}

fn codes(explained: &Explanation) -> Vec<String> {
    explained.reasons.iter().map(|told| told.reason.code()).collect()
}

#[tokio::test]
async fn a_message_of_a_paused_campaign_waits_for_a_person_and_not_for_an_instant() {
    for on in BOTH {
        let desk = Desk::new(on).await;
        let campaign =
            begun(&desk, Rates::default(), Policy::default(), &[step(1, Delay::default())], 1).await;
        plan::pass(&desk.world.ctx, desk.now()).await.unwrap();
        let before = explained(&desk, 1).await;
        assert_eq!((codes(&before), before.next_look_at), (vec![], Some(START)));
        desk.call("POST", &format!("/api/v1/campaigns/{campaign}/pause"), None).await;
        let paused = explained(&desk, 1).await;
        assert_eq!((codes(&paused), paused.next_look_at), (vec!["paused".to_owned()], None));
        assert!(paused.summary.contains("start"), "{}", paused.summary);
        let (status, shown) = desk.call("GET", "/api/v1/messages/1/explain", None).await;
        assert_eq!((status, &shown["reasons"][0]["code"]), (200, &json!("paused")));
        assert_eq!(shown["decision"]["decision"]["action"], "send");
    }
}

#[tokio::test]
async fn a_message_whose_transport_went_away_says_so_and_goes_once_there_is_one() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        begun(&desk, Rates::default(), Policy::default(), &[step(1, Delay::default())], 1).await;
        plan::pass(&desk.world.ctx, desk.now()).await.unwrap();
        desk.run("UPDATE sending_profiles SET transport = 'smtp'").await;
        desk.until(START + MINUTE).await;
        let stuck = explained(&desk, 1).await;
        assert_eq!(codes(&stuck), ["no_transport"]);
        assert!(stuck.next_look_at > Some(desk.now()), "{stuck:?}");
        desk.run("UPDATE sending_profiles SET transport = 'default'").await;
        desk.until(START + HOUR).await;
        assert_eq!(desk.texts("SELECT state FROM messages").await, ["accepted"]);
        assert_eq!(desk.number("SELECT COUNT(*) FROM sending_profiles WHERE why IS NOT NULL").await, 0);
    }
}

#[tokio::test]
async fn a_profile_that_is_switched_off_is_named_with_what_it_says_itself() {
    for on in BOTH {
        let desk = Desk::new(on).await;
        begun(&desk, Rates::default(), Policy::default(), &[step(1, Delay::default())], 1).await;
        plan::pass(&desk.world.ctx, desk.now()).await.unwrap();
        let mut tx = desk.world.ctx.store.begin().await.unwrap();
        let why = Some("535 login refused");
        let until = Some(START + HOUR);
        sending_profiles::mark(&mut tx, 2, ("active", "paused"), until, why, START).await.unwrap();
        tx.commit().await.unwrap();
        let off = explained(&desk, 1).await;
        assert_eq!((codes(&off), off.next_look_at), (vec!["profile_paused".to_owned()], until));
    }
}

#[tokio::test]
async fn a_message_beyond_the_days_limit_is_told_the_midnight_it_then_leaves_at() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        let rates = Rates { per_day: Some(1), ..Rates::default() };
        begun(&desk, rates, Policy::default(), &[step(1, Delay::default())], 2).await;
        desk.until(START + MINUTE).await;
        let waiting = desk.number("SELECT id FROM messages WHERE state = 'drafted'").await;
        let told = explained(&desk, waiting).await;
        let midnight = parse_rfc3339("2026-01-16T00:00:00Z").unwrap();
        assert_eq!((codes(&told), told.next_look_at), (vec!["rate_limit".to_owned()], Some(midnight)));
        assert!(told.summary.contains("rate_limit_per_day"), "{}", told.summary);
        desk.until(midnight + MINUTE).await;
        let slot = "SELECT slot / 1000 FROM messages ORDER BY slot DESC LIMIT 1";
        assert_eq!(desk.number(slot).await, midnight);
    }
}

#[tokio::test]
async fn everybody_in_a_line_is_told_the_instant_of_their_own_slot() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        let rates = Rates { per_second: Some(0.5), ..Rates::default() };
        begun(&desk, rates, Policy::default(), &[step(1, Delay::default())], 6).await;
        plan::pass(&desk.world.ctx, desk.now()).await.unwrap();
        let mut promised = Vec::new();
        for id in desk.world.rows::<(i64,)>("SELECT id FROM messages ORDER BY id").await {
            // The slot transaction reaches back as far as a worker may be late.
            promised.push((id.0, explained(&desk, id.0).await.next_look_at.unwrap()));
        }
        desk.until(START + MINUTE).await;
        let slots: Vec<(i64, Millis)> =
            desk.world.rows("SELECT id, slot / 1000 FROM messages ORDER BY id").await;
        for (promised, slot) in promised.iter().zip(&slots) {
            assert_eq!(promised.0, slot.0);
            assert!((promised.1 - slot.1).abs() <= 100, "promised {promised:?}, then {slot:?}");
        }
        assert!(slots.windows(2).all(|pair| pair[1].1 > pair[0].1));
    }
}

#[tokio::test]
async fn quiet_hours_are_named_until_the_instant_that_the_planner_chose() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        let policy = Policy { quiet_hours: QuietHours::new(10 * 60, 12 * 60), ..Policy::default() };
        begun(&desk, Rates::default(), policy, &[step(1, Delay::default())], 1).await;
        desk.until(START + HOUR).await;
        let lead =
            messages::explain_lead(desk.core(), desk.world.account, 1, Means::EVERYWHERE).await.unwrap();
        let enrolment = &lead.enrolments[0];
        let decision = enrolment.decision.as_ref().unwrap();
        assert_eq!(decision.at, parse_rfc3339("2026-01-15T12:00:00Z").unwrap());
        assert_eq!(enrolment.reasons[0].reason.code(), "quiet_hours");
        let look = enrolment.next_look_at.unwrap();
        assert!(look > desk.now() && look <= decision.at, "{look}");
        desk.world.clock.set(look);
        plan::pass(&desk.world.ctx, look).await.unwrap();
        let planned = desk.number("SELECT id FROM messages").await;
        let told = explained(&desk, planned).await;
        assert_eq!((codes(&told), told.next_look_at), (vec!["quiet_hours".to_owned()], Some(decision.at)));
    }
}

#[tokio::test]
async fn a_held_message_names_the_setting_and_is_looked_at_by_nobody() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        let policy = Policy { requires_approval: true, ..Policy::default() };
        begun(&desk, Rates::default(), policy, &[step(1, Delay::default())], 1).await;
        desk.until(START + MINUTE).await;
        let held = explained(&desk, 1).await;
        assert_eq!((codes(&held), held.next_look_at), (vec!["approval".to_owned()], None));
        desk.release(1).await.unwrap();
        let released = explained(&desk, 1).await;
        assert_eq!((codes(&released), released.next_look_at), (vec![], Some(desk.now())));
        let history: Vec<String> = released.history.iter().map(|told| told.reason.code()).collect();
        assert!(history.contains(&"approval".to_owned()), "what was is told still: {history:?}");
    }
}

#[tokio::test]
async fn without_a_worker_a_due_message_says_that_none_runs() {
    for on in BOTH {
        let desk = Desk::new(on).await;
        begun(&desk, Rates::default(), Policy::default(), &[step(1, Delay::default())], 1).await;
        plan::pass(&desk.world.ctx, desk.now()).await.unwrap();
        let mut tx = desk.world.ctx.store.begin().await.unwrap();
        workers::end(&mut tx, desk.world.ctx.life.id()).await.unwrap();
        tx.commit().await.unwrap();
        let told = explained(&desk, 1).await;
        assert_eq!((codes(&told), told.next_look_at), (vec!["late".to_owned()], None));
        assert!(told.summary.contains("sendwright worker"), "{}", told.summary);
    }
}

#[tokio::test]
async fn a_message_that_nothing_stands_before_and_that_does_not_go_is_not_said_to_go() {
    for on in BOTH {
        let desk = Desk::new(on).await;
        begun(&desk, Rates::default(), Policy::default(), &[step(1, Delay::default())], 1).await;
        plan::pass(&desk.world.ctx, desk.now()).await.unwrap();
        desk.world.clock.set(START + MINUTE);
        let told = explained(&desk, 1).await;
        assert_eq!((codes(&told), told.next_look_at), (vec!["late".to_owned()], Some(START + MINUTE)));
    }
}

#[tokio::test]
async fn what_went_out_tells_the_servers_answer_and_a_skipped_step_its_reason() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        let steps = [
            Step { active: false, ..step(1, Delay::default()) },
            step(2, Delay { minutes: 1, ..Delay::default() }),
        ];
        begun(&desk, Rates::default(), Policy::default(), &steps, 1).await;
        desk.until(START + HOUR).await;
        let sent = desk.number("SELECT id FROM messages").await;
        let went = explained(&desk, sent).await;
        assert!(went.summary.contains("250"), "{}", went.summary);
        assert_eq!((went.attempts.len(), went.next_look_at), (1, None));
        assert_eq!(went.events.len(), 1);
        assert!(went.events[0].data.contains("step_inactive"), "{:?}", went.events);
        let (status, lead) = desk.call("GET", "/api/v1/leads/1/explain", None).await;
        assert_eq!((status, &lead["enrolments"][0]["state"]), (200, &json!("completed")));
    }
}

/// Half of it has happened; the rest happens as it was foretold, under limits and quiet hours in four zones.
#[tokio::test]
async fn a_stored_campaigns_simulation_is_what_then_happens() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        let rates = Rates { per_second: Some(2.0), per_minute: Some(9), ..Rates::default() };
        let policy = Policy { quiet_hours: QuietHours::new(18 * 60, 8 * 60), ..Policy::default() };
        let steps = [
            step(1, Delay::default()),
            step(2, Delay { hours: 5, ..Delay::default() }),
            step(3, Delay { days: 1, ..Delay::default() }),
        ];
        let campaign = begun(&desk, rates, policy, &steps, 40).await;
        desk.until(START + 5 * HOUR + 90_000).await;
        let from = desk.now();
        let done = desk.number("SELECT COUNT(*) FROM messages WHERE state = 'accepted'").await as usize;
        assert!(done > 0 && done < 120);
        let span = Span { from: None, days: 5 };
        let future = simulation::stored(desk.core(), desk.world.account, campaign, span, Means::EVERYWHERE)
            .await
            .unwrap();
        let foretold: Vec<(String, i64, Millis)> = future
            .lines
            .iter()
            .filter(|line| line.action == Action::Send)
            .map(|line| (line.email.clone(), i64::from(line.step), line.at))
            .collect();
        assert_eq!(foretold.len(), 120 - done);
        let path = format!("/api/v1/campaigns/{campaign}/simulation?days=5");
        let (status, page) = desk.call("GET", &path, None).await;
        assert_eq!((status, page["messages"].as_array().unwrap().len()), (200, 120 - done));
        assert_eq!(page["truncated"], false);
        let request = axum::http::Request::builder().uri(&path).header("x-api-key", &desk.key);
        let request = request.header("accept", "application/x-ndjson").body(axum::body::Body::empty());
        let lines = desk.send(request.unwrap()).await.2;
        let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!((lines.lines().count(), &first), (120 - done, &page["messages"][0]));
        desk.until(from + 5 * DAY).await;
        let happened: Vec<(String, i64, Millis)> = desk
            .world
            .rows(
                "SELECT address, step_number, (slot + 999) / 1000 FROM messages WHERE state = 'accepted'
                 ORDER BY slot, enrolment_id",
            )
            .await;
        assert_eq!(&happened[done..], &foretold[..]);
    }
}

#[tokio::test]
async fn a_draft_is_simulated_as_if_it_were_started_now_and_nothing_changes() {
    for on in BOTH {
        let desk = Desk::new(on).await;
        let body = json!({ "name": "Draft", "steps": [
            { "step_number": 1, "name": "Hello", "subject": "Hi", "template": "Hi", "delay_hours": 2 } ] });
        let (_, made) = desk.call("POST", "/api/v1/campaigns", Some(&body)).await;
        let id = made["id"].as_str().unwrap();
        let leads = json!([{ "email": "a@example.com", "timezone": "Asia/Tokyo" }]);
        desk.call("POST", &format!("/api/v1/campaigns/{id}/leads"), Some(&leads)).await;
        desk.world.clock.set(START + HOUR);
        let page = desk.call("GET", &format!("/api/v1/campaigns/{id}/simulation"), None).await.1;
        assert_eq!(page["assumed"], "started now");
        let line = &page["messages"][0];
        assert_eq!(line["at"], "2026-01-15T13:30:00.000Z");
        assert_eq!(line["local"], "2026-01-15T22:30:00+09:00");
        assert_eq!((&line["email"], &line["step"]), (&json!("a@example.com"), &json!(1)));
        assert_eq!(desk.number("SELECT COUNT(*) FROM messages").await, 0);
        for bad in ["days=0", "days=x", "from=tomorrow"] {
            let status = desk.call("GET", &format!("/api/v1/campaigns/{id}/simulation?{bad}"), None).await.0;
            assert_eq!(status, 400, "{bad}");
        }
    }
}
