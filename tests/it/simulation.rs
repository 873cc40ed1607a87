//! What was simulated is what then happens (promise 6): every line equal, under a clock that moves only when
//! nothing is runnable.

use crate::support::engine::{BOTH, Lead, On, World, step};
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{DAY, HOUR, Millis, parse_rfc3339, rfc3339};
use sendwright_workflows::enrolment::{Action, Means, Person, Reach, Standing};
use sendwright_workflows::quiet_hours::QuietHours;
use sendwright_workflows::rate_limit::{Gate, Rates};
use sendwright_workflows::reason::Reason;
use sendwright_workflows::sequence::{ByChannel, Delay, Sequence, Step};
use sendwright_workflows::simulate::{Setting, Subject, simulate};
use sendwright_workflows::zone::Zone;

const ZONES: [&str; 6] = [
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Auckland",
];

/// Small, seeded, repeatable.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

struct Plan {
    policy: Policy,
    rates: Rates,
    steps: Vec<Step>,
    from: Millis,
}

/// A seeded campaign that starts some days before a change of the clocks, in spring or autumn.
fn seeded(seed: u64) -> Plan {
    let mut dice = Dice(seed * 7_919 + 1);
    let change =
        ["2026-03-06T09:00:00Z", "2026-03-26T15:00:00Z", "2026-10-22T20:00:00Z", "2026-10-30T02:30:00Z"];
    let from = parse_rfc3339(change[dice.roll(4) as usize]).unwrap() + dice.roll(DAY as u64) as Millis;
    let (start, length) = (dice.roll(1_440) as u16, 1 + dice.roll(960) as u16);
    let quiet = (dice.roll(4) > 0).then(|| QuietHours::new(start, (start + length) % 1_440)).flatten();
    let policy = Policy {
        timezone: Some("Europe/London".parse::<Zone>().unwrap()),
        quiet_hours: quiet,
        rate_limit_per_second: (dice.roll(2) == 0).then(|| 1.0 + dice.roll(50) as f64 / 3.0),
        starts_at: (dice.roll(4) == 0).then(|| from + dice.roll(6) as Millis * HOUR),
        ..Policy::default()
    };
    let rates = Rates {
        per_second: (dice.roll(3) > 0).then(|| 0.5 + dice.roll(80) as f64 / 4.0),
        per_minute: (dice.roll(2) == 0).then(|| 20 + dice.roll(200) as u32),
        per_day: (dice.roll(3) == 0).then(|| 150 + dice.roll(400) as u32),
        zone: ZONES[dice.roll(6) as usize].parse().unwrap(),
    };
    let steps = (1..=3 + dice.roll(2) as u32)
        .map(|number| {
            let delay = Delay {
                days: if number > 1 { dice.roll(4) as u32 } else { 0 },
                hours: dice.roll(5) as u32,
                minutes: dice.roll(60) as u32,
                seconds: if dice.roll(3) == 0 { 0 } else { dice.roll(90) as u32 },
            };
            let mut made = step(number, delay);
            made.template = Some(format!("Hi {{{{first_name}}}}, this is number {number}"));
            made.active = number == 1 || dice.roll(9) > 0;
            made
        })
        .collect();
    Plan { policy, rates, steps, from }
}

fn leads(count: usize, seed: u64) -> Vec<Lead> {
    let mut dice = Dice(seed);
    (0..count)
        .map(|n| Lead {
            email: format!("lead{n}.s{seed}@example.com"),
            zone: (dice.roll(8) > 0).then(|| ZONES[n % 6]),
        })
        .collect()
}

fn simulated(plan: &Plan, leads: &[Lead], ids: &[i64], until: Millis) -> Vec<String> {
    let sequence = Sequence { version: 1, steps: plan.steps.clone() };
    let subjects = leads
        .iter()
        .zip(ids)
        .map(|(lead, id)| Subject {
            id: *id,
            standing: Standing { settled: 0, base: plan.from },
            person: Person {
                zone: plan.policy.zone(lead.zone.map(|z| z.parse().unwrap()), Zone::UTC),
                reach: ByChannel::new(|_| Reach::open()),
                ..Person::default()
            },
            open: None,
        })
        .collect();
    let setting = Setting {
        sequence: &sequence,
        policy: &plan.policy,
        profiles: ByChannel::all((Gate::default(), plan.rates)),
        campaign: (Gate::default(), plan.policy.rates()),
        means: Means::EVERYWHERE,
    };
    simulate(setting, subjects, until)
        .into_iter()
        .filter(|line| line.action == Action::Send)
        .map(|line| text(&leads[line.subject].email, line.step, line.at, &line.reasons))
        .collect()
}

fn text(email: &str, step: u32, at: Millis, reasons: &[Reason]) -> String {
    format!("{} {email} {step} {}", rfc3339(at), serde_json::to_string(reasons).unwrap())
}

async fn happened(world: &World) -> Vec<String> {
    let rows: Vec<(String, i64, i64, String)> = world
        .rows(
            "SELECT address, step_number, slot, reasons FROM messages WHERE state = 'accepted'
             ORDER BY -(-slot / 1000), enrolment_id, step_number",
        )
        .await;
    let mut lines: Vec<(Millis, String)> = Vec::new();
    for (email, step, slot, reasons) in rows {
        let at = sendwright_workflows::rate_limit::slot_millis(slot);
        let reasons: Vec<Reason> = serde_json::from_str(&reasons).unwrap();
        lines.push((at, text(&email, step as u32, at, &reasons)));
    }
    lines.into_iter().map(|l| l.1).collect()
}

/// Runs one campaign and compares every line. How many messages there were comes back.
async fn compare(on: On, plan: Plan, seed: u64, people: usize) -> usize {
    let until = plan.from + 40 * DAY;
    let mut world = World::new(on, plan.from).await;
    let profile = world.profile("main", &plan.rates).await;
    let campaign = world.campaign("Seeded", profile, &plan.policy, &plan.steps).await;
    let leads = leads(people, seed);
    let ids = world.enrol(campaign, &leads).await;
    let mut expected = simulated(&plan, &leads, &ids, until);
    world.run_until(until).await;
    let mut found = happened(&world).await;
    // Equal instants are ordered by microseconds here and by enrolment there: the set of lines is compared.
    expected.sort();
    found.sort();
    let differs = expected.iter().zip(&found).find(|(a, b)| a != b);
    assert_eq!(differs, None, "seed {seed} on {on:?}: first difference");
    assert_eq!(expected.len(), found.len(), "seed {seed} on {on:?}");
    found.len()
}

/// SENDWRIGHT_SIMULATION=200x500 runs the full proof, 133..134x500 one campaign of it; the default is a part of it.
/// SENDWRIGHT_SIMULATION_ON=sqlite or =postgres leaves the other database out.
fn size() -> (std::ops::Range<u64>, usize) {
    let asked = std::env::var("SENDWRIGHT_SIMULATION").unwrap_or_default();
    let read = |campaigns: &str, people: &str| {
        let (first, end) = campaigns.split_once("..").unwrap_or(("0", campaigns));
        Some((first.parse().ok()?..end.parse().ok()?, people.parse().ok()?))
    };
    asked.split_once('x').and_then(|(campaigns, people)| read(campaigns, people)).unwrap_or((0..8, 30))
}

#[tokio::test]
async fn what_was_simulated_is_what_then_happens() {
    let (seeds, people) = size();
    let only = std::env::var("SENDWRIGHT_SIMULATION_ON").unwrap_or_default();
    for on in BOTH.into_iter().filter(|on| format!("{on:?}").to_lowercase().starts_with(&only)) {
        let mut messages = 0;
        for seed in seeds.clone() {
            messages += compare(on, seeded(seed), seed, people).await;
            println!("{on:?}: campaign {seed}, {messages} messages so far");
        }
        let campaigns = seeds.clone().count();
        assert!(messages > campaigns * people, "{messages} messages on {on:?}");
        println!("{on:?}: {campaigns} campaigns of {people} people, {messages} messages, every line equal");
    }
}

/// The next step is due at the very instant its predecessor was handed over, when others have their slots already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_without_a_delay_come_as_simulated_behind_a_backlog() {
    for on in BOTH {
        let plan = Plan {
            policy: Policy::default(),
            rates: Rates { per_second: Some(10.0), ..Rates::default() },
            steps: (1..=3).map(|number| step(number, Delay::default())).collect(),
            from: parse_rfc3339("2026-03-27T03:10:31.168Z").unwrap(),
        };
        assert_eq!(compare(on, plan, 1, 40).await, 120);
    }
}

#[tokio::test]
async fn a_day_limit_lets_the_rest_wait_for_the_next_day_in_order() {
    let from = parse_rfc3339("2026-06-01T10:00:00Z").unwrap();
    let mut world = World::new(On::Sqlite, from).await;
    let rates = Rates { per_day: Some(3), ..Rates::default() };
    let profile = world.profile("slow", &rates).await;
    let campaign = world.campaign("Days", profile, &Policy::default(), &[step(1, Delay::default())]).await;
    world.enrol(campaign, &leads(7, 1)).await;
    world.run_until(from + 4 * DAY).await;
    let slots: Vec<(i64,)> = world.rows("SELECT slot / 1000 FROM messages ORDER BY slot, enrolment_id").await;
    let midnight = parse_rfc3339("2026-06-02T00:00:00Z").unwrap();
    let expected = [from, from, from, midnight, midnight, midnight, midnight + DAY];
    assert_eq!(slots.into_iter().map(|s| s.0).collect::<Vec<_>>(), expected);
    let state: Vec<(String,)> = world.rows("SELECT state FROM campaigns").await;
    assert_eq!(state[0].0, "completed");
}
