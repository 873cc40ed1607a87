//! The matrix of faults about the calendar, by real processes whose business time is set to the days it is about.

use sendwright_store::clock::wall_millis;
use sendwright_workflows::clock::{DAY, HOUR, MINUTE, Millis, SECOND, parse_rfc3339};
use sendwright_workflows::quiet_hours::QuietHours;
use sendwright_workflows::zone::Zone;
use serde_json::{Value, json};

use crate::clocks::Business;
use crate::support::dice::{Dice, seeds};
use crate::support::site::{Shape, Site};
use crate::support::trial::{mode, shown, unharmed};

const BOTH: [Shape; 2] = [Shape { hard: false, ..Shape::UP }, Shape { hard: false, ..Shape::PARTS }];

fn at(text: &str) -> Millis {
    parse_rfc3339(text).unwrap()
}

/// An installation at work at an instant of business time.
async fn site_at(shape: Shape, instant: Millis) -> (Site, Business) {
    let (site, time) = Business::of(shape).await;
    time.step(&site, instant - wall_millis()).await;
    (site, time)
}

/// Lets it be `instant` for everybody, as of some seconds later.
async fn come(site: &Site, time: &Business, instant: Millis) {
    time.step(site, instant - wall_millis()).await;
}

/// Two steps, the second a calendar day after the first.
fn daily(name: &str, more: Value) -> Value {
    let mut settings = json!({ "name": name, "steps": [
        { "step_number": 1, "name": "One", "subject": "One", "template": "One" },
        { "step_number": 2, "name": "Two", "subject": "Two", "template": "Two", "delay_days": 1 },
    ]});
    crate::support::site::extend(&mut settings, more);
    settings
}

const SENT: &str = "SELECT COUNT(*) FROM messages WHERE state = 'accepted'";

/// FAULTS F46.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daily_step_comes_once_where_its_hour_is_skipped_and_where_it_is_repeated() {
    for (seed, shape) in seeds().flat_map(|seed| BOTH.map(|shape| (seed, shape))) {
        let past = Dice::new(seed).below(50) as i64 * MINUTE;
        // Half past two or so in Berlin, the day before the clocks go forward there at two.
        let (site, time) = site_at(shape, at("2026-03-28T02:00:00+01:00") + past).await;
        let lead = |zone: &str, n: usize| json!([{ "email": format!("p{n}@example.com"), "timezone": zone }]);
        site.campaign_of(&lead("Europe/Berlin", 1), daily("Skipped", json!({})), json!({ "name": "a" }))
            .await;
        let quiet = json!({ "quiet_hours_start": "02:55", "quiet_hours_end": "03:30" });
        site.campaign_of(&lead("Europe/Berlin", 2), daily("Quiet", quiet), json!({ "name": "b" })).await;
        site.until(SENT, 2).await;
        // Half past two is skipped that day: three it is, which the other's quiet hours hold.
        let (gap, end) = (at("2026-03-29T03:00:00+02:00"), at("2026-03-29T03:30:00+02:00"));
        come(&site, &time, gap - 6 * SECOND).await;
        site.until(SENT, 3).await;
        come(&site, &time, end - 6 * SECOND).await;
        site.until(SENT, 4).await;
        let planned: Vec<(i64,)> =
            site.rows("SELECT planned_at FROM messages WHERE step_number = 2 ORDER BY planned_at").await;
        assert_eq!(planned, [(gap,), (end,)], "the skipped hour is the first instant after it");
        // Half past one or so in New York, the day before the clocks go back there at two.
        come(&site, &time, at("2026-10-31T01:00:00-04:00") + past).await;
        site.campaign_of(&lead("America/New_York", 3), daily("Repeated", json!({})), json!({ "name": "c" }))
            .await;
        site.until(SENT, 5).await;
        let first = site.rows::<(i64,)>("SELECT slot / 1000 FROM messages ORDER BY slot DESC").await[0].0;
        come(&site, &time, first + DAY - 6 * SECOND).await;
        site.until(SENT, 6).await;
        let second =
            site.rows::<(i64,)>("SELECT planned_at FROM messages ORDER BY planned_at DESC").await[0].0;
        assert!((first + DAY..=first + DAY + 1).contains(&second), "{first} {second}");
        // The same wall-clock time again, an hour later.
        come(&site, &time, first + DAY + HOUR).await;
        come(&site, &time, first + DAY + 2 * HOUR).await;
        assert_eq!((site.smtp.received().len(), site.rows::<(i64,)>(SENT).await[0].0), (6, 6));
        let row = unharmed("F46", "clocks go forward in Berlin, back in New York, over daily steps", seed);
        shown(
            row,
            mode(&site),
            "the skipped hour's step at its end, the repeated hour's in the first, each once",
        );
    }
}

/// FAULTS F47.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_handed_over_in_quiet_hours_over_midnight_or_in_those_of_a_new_zone() {
    const PEOPLE: usize = 40;
    for (seed, shape) in seeds().flat_map(|seed| BOTH.map(|shape| (seed, shape))) {
        let mut dice = Dice::new(seed);
        let (site, time) = site_at(shape, at("2026-05-04T20:59:40Z") + dice.below(3_000) as i64).await;
        let lead = |n| json!({ "email": format!("p{n}@example.com"), "timezone": "UTC" });
        let settings = json!({
            "name": "Quiet", "quiet_hours_start": "21:00", "quiet_hours_end": "08:00",
            "steps": [{ "step_number": 1, "name": "One", "subject": "One", "template": "One" }],
        });
        let people: Value = (0..PEOPLE).map(lead).collect();
        site.campaign_of(&people, settings, json!({ "rate_limit_per_second": 2 })).await;
        // Some are through when the night comes, the others wait for the morning: also those that are claimed by then.
        site.until(WAITING, 0).await;
        let evening = site.smtp.received().len();
        assert!((1..PEOPLE).contains(&evening), "{evening}");
        // In the morning somebody is found to live where it is night.
        let moved: Vec<(String,)> =
            site.rows("SELECT address FROM messages WHERE state = 'drafted' ORDER BY id DESC LIMIT 1").await;
        let moved = moved[0].0.clone();
        let move_on = format!("UPDATE contacts SET timezone = 'America/Los_Angeles' WHERE email = '{moved}'");
        site.execute(move_on.leak()).await;
        come(&site, &time, at("2026-05-05T07:59:54Z")).await;
        site.until(SENT, PEOPLE as i64 - 1).await;
        let left: Vec<(String, String)> =
            site.rows("SELECT state, address FROM messages WHERE state <> 'accepted'").await;
        assert_eq!(left, [("drafted".to_owned(), moved)]);
        come(&site, &time, at("2026-05-05T14:59:54Z")).await;
        site.until(SENT, PEOPLE as i64).await;
        assert_eq!(site.smtp.received().len(), PEOPLE);
        let quiet = QuietHours::new(21 * 60, 8 * 60).unwrap();
        let intents: Vec<(i64, String)> = site
            .rows(
                "SELECT a.intent_at, COALESCE(c.timezone, 'UTC') FROM attempts a
                   JOIN messages m ON m.id = a.message_id JOIN contacts c ON c.id = m.contact_id",
            )
            .await;
        let is_quiet = |(at, zone): &(i64, String)| !quiet.permits(*at, zone.parse::<Zone>().unwrap());
        assert!(!intents.iter().any(is_quiet), "{intents:?}");
        let row = unharmed("F47", "night falls over a queue, and somebody's zone changes in it", seed);
        shown(
            row,
            mode(&site),
            "no hand-over in anybody's quiet hours, by the zone they have at that instant; each once",
        );
    }
}

/// Messages that could still leave this evening.
const WAITING: &str = "SELECT (SELECT COUNT(*) FROM enrolments WHERE next_run_at IS NOT NULL)
    + (SELECT COUNT(*) FROM messages WHERE state IN ('scheduled', 'claimed', 'sending')
          OR (state = 'drafted' AND reasons NOT LIKE '%quiet_hours%'))";

/// FAULTS F48.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_days_are_handled_or_refused_by_name() {
    for (seed, shape) in seeds().flat_map(|seed| BOTH.map(|shape| (seed, shape))) {
        let (site, time) = site_at(shape, at("2028-02-28T09:00:00Z")).await;
        let lead = json!([{ "email": "p1@example.com" }]);
        let id = site.campaign_of(&lead, daily("Leap", json!({})), json!({ "name": "a" })).await;
        site.until(SENT, 1).await;
        let first = site.rows::<(i64,)>("SELECT slot / 1000 FROM messages").await[0].0;
        come(&site, &time, first + DAY - 6 * SECOND).await;
        site.until(SENT, 2).await;
        assert!(
            site.rows::<(i64,)>("SELECT accepted_at FROM messages ORDER BY id DESC").await[0].0
                < at("2028-03-01T00:00:00Z")
        );
        let instants = [
            ("2028-02-29T12:00:00Z", true),
            ("9999-12-31T23:59:59Z", true),
            ("9999-12-31T23:59:59-14:00", true),
            ("2027-02-29T12:00:00Z", false),
            ("10000-01-01T00:00:00Z", false),
            ("99999999-01-01T00:00:00Z", false),
            ("1969-12-31T23:59:59Z", false),
            ("0001-01-01T00:00:00Z", false),
            ("0000-00-00T00:00:00Z", false),
            ("-0001-01-01T00:00:00Z", false),
            ("2028-02-30T12:00:00Z", false),
            ("2028-03-26T24:00:00Z", false),
        ];
        for (n, (instant, is_good)) in instants.into_iter().enumerate() {
            let step = json!([{ "step_number": 1, "name": "One", "subject": "x", "template": "x" }]);
            let body = json!({ "name": format!("Odd {n}"), "schedule_time": instant, "steps": step, "sending_profile":
                { "name": format!("Odd {n}"), "smtp_url": site.smtp.url(), "from_email": "ada@example.com" } });
            let (status, answer) = site.try_ask("POST", "/api/v1/campaigns", &[], Some(&body)).await.unwrap();
            assert_eq!((200..300).contains(&status), is_good, "{instant}: {status} {answer}");
            match is_good {
                true => {
                    let path = format!("/api/v1/campaigns/{}", answer["id"].as_str().unwrap());
                    site.ask("POST", &format!("{path}/leads"), Some(&lead)).await;
                    for path in [path.clone(), format!("{path}/simulation"), format!("{path}/analytics")] {
                        site.ask("GET", &path, None).await;
                    }
                }
                false => {
                    assert!(answer.to_string().contains("schedule_time") && status < 500, "{status} {answer}")
                }
            }
            let paths = [
                format!("/api/v1/campaigns/{id}/simulation?from={instant}"),
                format!("/api/v1/analytics?from={instant}"),
                format!("/api/v1/analytics?start_date={instant}&end_date={instant}"),
                format!("/api/v1/events?since={instant}"),
                format!("/api/v1/reporting/messages/status?from={instant}&to={instant}"),
                format!("/api/v1/usage?from={instant}&to={instant}"),
            ];
            for path in paths {
                let (status, answer) =
                    site.try_ask("GET", &path.replace('+', "%2B"), &[], None).await.unwrap();
                assert!(status < 500, "{path}: {status} {answer}");
            }
            let key = json!({ "name": "odd", "expires_at": instant });
            let (status, answer) = site.try_ask("POST", "/api/v1/keys", &[], Some(&key)).await.unwrap();
            assert!(status < 500, "{instant}: {status} {answer}");
        }
        // The sweep, the planner and the senders have seen them all and go on.
        site.campaign_of(
            &json!([{ "email": "p2@example.com" }]),
            json!({ "name": "After" }),
            json!({ "name": "z" }),
        )
        .await;
        site.until(SENT, 4).await;
        for process in site.processes() {
            assert!(!process.log().contains("panicked"), "{}", process.log());
        }
        let row = unharmed("F48", "leap days, the year 9999, days before 1970, days that are none", seed);
        shown(
            row,
            mode(&site),
            "handled, or refused naming the field; never a 5xx, nobody panicked, sending goes on",
        );
    }
}
