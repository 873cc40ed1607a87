//! Campaigns made of a template, for a segment (S2-12 to S2-18, S2-44): triggered, expanded, followed.

use crate::support::desk::{Desk, START};
use crate::support::engine::{BOTH, On};
use sendwright_store::expansions;
use sendwright_workflows::clock::{DAY, HOUR, MINUTE, SECOND, rfc3339};
use serde_json::{Value, json};

async fn done(desk: &Desk, method: &str, path: &str, body: Value) -> Value {
    let body = Some(body).filter(|body| !body.is_null());
    let (status, answer) = desk.call(method, path, body.as_ref()).await;
    assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
    answer
}

/// People with these numbers' tiers; every one has a phone, and said yes to being written to there.
async fn people(desk: &Desk, from: usize, tiers: &[&str]) {
    let leads: Vec<Value> = tiers
        .iter()
        .enumerate()
        .map(|(n, tier)| {
            let n = from + n;
            json!({ "email": format!("p{n}@example.com"), "first_name": format!("P{n}"),
                    "attributes": { "tier": tier, "signup_date": "2024-01-25" } })
        })
        .collect();
    done(desk, "POST", "/api/v1/leads/bulk", json!(leads)).await;
    desk.run("UPDATE contacts SET phone_key = '+1415555' || CAST(1000 + id AS TEXT), phone_hash = 'h' || id WHERE phone_key IS NULL").await;
    for sql in [
        "INSERT INTO consent_states (account_id, channel, address_hash, state, at)
         SELECT account_id, 'sms', phone_hash, 'opt_in', 1 FROM contacts WHERE TRUE ON CONFLICT DO NOTHING",
        "INSERT INTO consent_states (account_id, channel, address_hash, state, at)
         SELECT account_id, 'whatsapp', phone_hash, 'opt_in', 1 FROM contacts WHERE TRUE ON CONFLICT DO NOTHING",
    ] {
        desk.run(sql).await;
    }
}

async fn template(desk: &Desk, content: &str) -> Value {
    done(desk, "POST", "/api/v1/templates", json!({ "name": "Welcome", "content": content })).await["id"]
        .clone()
}

async fn segment(desk: &Desk) -> Value {
    let premium = json!({ "attribute": "tier", "operator": "equals", "value": "premium" });
    let body = json!({ "name": "Premium", "filter_criteria": premium });
    done(desk, "POST", "/api/v1/segments", body).await["id"].clone()
}

/// A campaign of a template for the premium tier; its path.
async fn campaign(desk: &Desk, more: Value) -> String {
    let mut body = json!({
        "name": "Welcome Campaign", "template_id": template(desk, "Hi {name}! #{tier} for ${signup_date}").await,
        "segment_id": segment(desk).await,
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = done(desk, "POST", "/api/v1/campaigns", body).await;
    format!("/api/v1/campaigns/{}", made["id"].as_str().unwrap())
}

async fn trigger(desk: &Desk, path: &str) -> Value {
    done(desk, "POST", &format!("{path}/trigger"), Value::Null).await
}

async fn run_of(desk: &Desk, triggered: &Value) -> Value {
    done(desk, "GET", &format!("/api/v1/runs/{}", triggered["run_id"].as_str().unwrap()), Value::Null).await
}

/// S2-44, S2-13, S2-14, S2-18: the document's workflow with its own bodies.
#[tokio::test]
async fn the_documented_workflow_sends_each_of_the_segment_one_text() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        for (n, (said, signup)) in [
            ("OPT_IN", "2024-01-25"),
            ("OPT_IN", "2024-02-01"),
            ("OPT_IN", "2024-01-01T00:00:01Z"),
            ("OPT_OUT", "2024-02-01"),
            ("OPT_IN", "2023-12-31"),
        ]
        .into_iter()
        .enumerate()
        {
            let user = json!({
                "phone_e164": format!("+1415555100{n}"), "consent_state": said,
                "attributes": { "name": format!("P{n} Doe"), "signup_date": signup },
            });
            done(&desk, "POST", "/api/v1/users", user).await;
        }
        let body = json!({ "name": "Welcome Message", "content": "Hi {name}! Welcome to our service.", "variables": ["name"] });
        let template = done(&desk, "POST", "/api/v1/templates", body).await["id"].clone();
        let body = json!({ "name": "New Users",
            "filter_criteria": { "attribute": "signup_date", "operator": "after", "value": "2024-01-01" } });
        let segment = done(&desk, "POST", "/api/v1/segments", body).await["id"].clone();
        let body = json!({ "name": "Welcome Campaign", "template_id": template, "segment_id": segment });
        let (status, made) = desk.call("POST", "/api/v1/campaigns", Some(&body)).await;
        assert_eq!(status, 201, "{made}");
        assert_eq!(
            (&made["kind"], &made["status"], &made["audience"]),
            (&json!("broadcast"), &json!("DRAFT"), &json!("snapshot"))
        );
        let path = format!("/api/v1/campaigns/{}", made["id"].as_str().unwrap());
        let (status, triggered) = desk.call("POST", &format!("{path}/trigger"), None).await;
        assert_eq!(status, 200, "{triggered}");
        for (name, value) in [
            ("message", json!("Campaign triggered successfully")),
            ("campaign_id", made["id"].clone()),
            ("estimated_recipients", json!(3)),
            ("execution_started", json!(true)),
        ] {
            assert_eq!(triggered[name], value, "{triggered}");
        }
        desk.until(START + MINUTE).await;
        let listed = done(&desk, "GET", "/api/v1/campaigns", Value::Null).await;
        let shown = &listed["campaigns"][0];
        let expected = json!({
            "id": made["id"], "name": "Welcome Campaign", "description": null, "status": "COMPLETED",
            "created_at": "2026-01-15T10:30:00Z", "schedule_time": null, "rate_limit_per_second": null,
            "template": { "id": template, "name": "Welcome Message", "content": "Hi {name}! Welcome to our service." },
            "segment": { "id": segment, "name": "New Users" }, "messages_sent": 3, "messages_failed": 0,
        });
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&shown[name], value, "{name}");
        }
        assert_eq!(listed["total"], 1);
        let sent = desk.texts("SELECT channel || ' ' || address FROM messages ORDER BY id").await;
        assert_eq!(sent, ["sms +14155551000", "sms +14155551001", "sms +14155551002"]);
        let texts = desk.texts("SELECT body FROM drafts ORDER BY message_id LIMIT 1").await;
        assert_eq!(texts, ["Hi P0 Doe! Welcome to our service."]);
    }
}

/// C-8, A56, DESIGN: a second trigger adds only new people; nobody gets the step twice.
#[tokio::test]
async fn a_second_trigger_adds_only_new_people() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        people(&desk, 1, &["premium", "premium"]).await;
        let path = campaign(&desk, json!({ "channel": "email" })).await;
        let first = trigger(&desk, &path).await;
        desk.until(START + MINUTE).await;
        assert_eq!(done(&desk, "GET", &path, Value::Null).await["status"], "COMPLETED");
        people(&desk, 3, &["premium", "standard"]).await;
        let second = trigger(&desk, &path).await;
        assert_ne!(first["run_id"], second["run_id"]);
        assert_eq!(
            second["counts"],
            json!({
                "matched": 3, "enrolled": 1, "already": 2, "without_consent": 0, "without_address": 0,
            })
        );
        assert_eq!(done(&desk, "GET", &path, Value::Null).await["status"], "RUNNING");
        desk.until(START + 2 * MINUTE).await;
        assert_eq!(desk.number("SELECT COUNT(*) FROM enrolments").await, 3);
        assert_eq!(desk.number("SELECT COUNT(*) FROM attempts").await, 3);
        assert_eq!(desk.number("SELECT COUNT(*) FROM events WHERE kind = 'campaign.enrolled'").await, 3);
        assert_eq!(desk.number("SELECT COUNT(*) FROM events WHERE kind = 'campaign.completed'").await, 1);
        assert_eq!(done(&desk, "GET", &path, Value::Null).await["status"], "COMPLETED");
    }
}

/// Whom no channel may reach is not enrolled, and the run says so.
#[tokio::test]
async fn who_cannot_be_reached_is_counted_and_not_enrolled() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        people(&desk, 1, &["premium"; 6]).await;
        desk.run("UPDATE contacts SET phone_key = NULL, phone_hash = NULL WHERE id = 1").await;
        desk.run("DELETE FROM consent_states WHERE address_hash = 'h2' AND channel = 'sms'").await;
        desk.run("UPDATE consent_states SET state = 'stop' WHERE address_hash = 'h3' AND channel = 'sms'")
            .await;
        desk.run(
            "INSERT INTO suppressions (id, account_id, channel, address_hash, hint, why, source, created_at)
             SELECT 900, account_id, 'sms', 'h4', '', 'manual', 'api', 1 FROM contacts WHERE id = 4",
        )
        .await;
        let path = campaign(&desk, json!({})).await;
        let triggered = trigger(&desk, &path).await;
        assert_eq!(triggered["estimated_recipients"], 2);
        desk.until(START + MINUTE).await;
        let run = run_of(&desk, &triggered).await;
        assert_eq!((&run["kind"], &run["state"]), (&json!("expand"), &json!("completed")));
        assert_eq!(
            run["counts"],
            json!({
                "matched": 6, "enrolled": 2, "already": 0, "without_consent": 3, "without_address": 1,
            })
        );
        // WhatsApp is another channel; e-mail needs nobody's yes.
        for (channel, enrolled) in [("whatsapp", 5), ("email", 6)] {
            let other = campaign(&desk, json!({ "channel": channel })).await;
            assert_eq!(trigger(&desk, &other).await["counts"]["enrolled"], enrolled, "{channel}");
        }
    }
}

/// ATTACKS 4.4: nobody to write to is no error, and the campaign is over.
#[tokio::test]
async fn a_trigger_for_nobody_is_answered_with_a_warning_and_the_campaign_completes() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        let path = campaign(&desk, json!({})).await;
        let triggered = trigger(&desk, &path).await;
        assert_eq!(triggered["estimated_recipients"], 0);
        assert!(triggered["warning"].as_str().unwrap().contains("nobody"));
        desk.until(START + MINUTE).await;
        assert_eq!(done(&desk, "GET", &path, Value::Null).await["status"], "COMPLETED");
        assert_eq!(desk.number("SELECT COUNT(*) FROM events WHERE kind = 'campaign.completed'").await, 1);
    }
}

/// S2-17: `schedule_time` starts it, and who is in the segment then is enrolled; a trigger does not wait for it.
#[tokio::test]
async fn a_scheduled_campaign_expands_at_its_time_and_a_triggered_one_at_once() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        people(&desk, 1, &["premium"]).await;
        let later = json!({ "schedule_time": rfc3339(START + HOUR), "channel": "email" });
        let scheduled = campaign(&desk, later.clone()).await;
        let triggered = campaign(&desk, later).await;
        assert_eq!(trigger(&desk, &triggered).await["status"], "RUNNING");
        people(&desk, 2, &["premium"]).await;
        desk.until(START + HOUR - SECOND).await;
        let count = "SELECT COUNT(*) FROM enrolments WHERE campaign_id = 1";
        assert_eq!(desk.number(count).await, 0);
        assert_eq!(desk.number("SELECT COUNT(*) FROM enrolments WHERE campaign_id = 2").await, 1);
        for minute in 0..3 {
            desk.until(START + HOUR + minute * MINUTE).await;
        }
        assert_eq!(desk.number(count).await, 2);
        assert_eq!(done(&desk, "GET", &scheduled, Value::Null).await["status"], "COMPLETED");
        assert_eq!(
            done(&desk, "GET", &triggered, Value::Null).await["schedule_time"],
            "2026-01-15T10:30:00Z"
        );
    }
}

/// Who comes to be in the segment of a live audience joins it; of a snapshot they do not.
#[tokio::test]
async fn a_live_audience_grows_and_a_snapshot_does_not() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        people(&desk, 1, &["premium", "standard"]).await;
        let live = campaign(&desk, json!({ "audience": "live" })).await;
        let snapshot = campaign(&desk, json!({})).await;
        let first = trigger(&desk, &live).await;
        trigger(&desk, &snapshot).await;
        desk.until(START + MINUTE).await;
        people(&desk, 3, &["premium"]).await;
        desk.run("UPDATE contacts SET attributes = '{\"tier\":\"premium\"}' WHERE id = 2").await;
        let mut tx = desk.core().store.begin().await.unwrap();
        sendwright_store::values::index(&mut tx, desk.world.account, &[2]).await.unwrap();
        tx.commit().await.unwrap();
        for minute in 2..5 {
            desk.until(START + minute * MINUTE).await;
        }
        let of = "SELECT CAST(contact_id AS TEXT) FROM enrolments WHERE campaign_id = 1 ORDER BY contact_id";
        assert_eq!(desk.texts(of).await, ["1", "2", "3"]);
        assert_eq!(desk.number("SELECT COUNT(*) FROM enrolments WHERE campaign_id = 2").await, 1);
        let run = run_of(&desk, &first).await;
        assert_eq!((&run["state"], &run["counts"]["enrolled"]), (&json!("running"), &json!(3)));
        assert_eq!(done(&desk, "GET", &live, Value::Null).await["status"], "RUNNING");
        assert_eq!(done(&desk, "GET", &snapshot, Value::Null).await["status"], "COMPLETED");
        assert_eq!(trigger(&desk, &live).await["run_id"], first["run_id"], "the same run goes on");
        let (status, _) = desk.call("DELETE", &format!("{live}?force=true"), None).await;
        assert_eq!(status, 200);
        desk.until(START + 6 * MINUTE).await;
        assert_eq!(run_of(&desk, &first).await["state"], "cancelled");
    }
}

/// A segment of many is enrolled window by window; a crash between, or two workers at once, enrol nobody twice, and the
/// campaign is not over before the last window is.
#[tokio::test]
async fn an_expansion_goes_on_where_it_was_and_enrols_nobody_twice() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        people(&desk, 1, &["premium"]).await;
        desk.run(
            "INSERT INTO contacts (id, account_id, state, created_at, updated_at)
             WITH RECURSIVE n (i) AS (SELECT CAST(101 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < 20600)
             SELECT n.i, c.account_id, 'active', 1, 1 FROM n, contacts c WHERE c.id = 1",
        )
        .await;
        desk.run("UPDATE id_blocks SET next = 30000 WHERE name = 'contacts'").await;
        let store = desk.core().store.clone();
        let ids = sendwright_store::ids::Ids::new(store.db.clone());
        assert!(ids.one("contacts").await.unwrap() >= 30_000);
        desk.run("UPDATE contacts SET id = 20700 WHERE id = 1").await;
        desk.run("UPDATE contact_values SET contact_id = 20700").await;
        let path = campaign(&desk, json!({ "channel": "email" })).await;
        let triggered = trigger(&desk, &path).await;
        assert_eq!(
            (&triggered["estimated_recipients"], &triggered["counts"]["enrolled"]),
            (&json!(1), &json!(0))
        );
        assert_eq!(desk.number("SELECT reached FROM runs").await, 10_100);
        sendwright_worker::sweep::pass(&desk.world.ctx, desk.now()).await.unwrap();
        assert_eq!(done(&desk, "GET", &path, Value::Null).await["status"], "RUNNING", "not yet expanded");
        // Two workers look at the same window: one of them is first.
        let (mut tx, now) = (store.read().await.unwrap(), desk.now());
        let campaign =
            sendwright_store::campaigns::get(&mut tx, desk.world.account, 1).await.unwrap().unwrap();
        let run = sendwright_store::runs::open(&mut tx).await.unwrap().remove(0);
        let look = expansions::look(&mut tx, &campaign, &run, now).await.unwrap();
        tx.rollback().await.unwrap();
        for expected in [true, false] {
            let mut tx = store.begin().await.unwrap();
            let taken = expansions::take(&mut tx, &campaign, (&run, &look), (0..0, 0..0), now).await.unwrap();
            assert_eq!(taken, expected);
            tx.commit().await.unwrap();
        }
        desk.until(START + MINUTE).await;
        assert_eq!(run_of(&desk, &triggered).await["counts"]["enrolled"], 1);
        // As a restored backup, or a crash before its commit, would have it.
        desk.run("UPDATE runs SET reached = 0, state = 'running', ended_at = NULL").await;
        desk.until(START + 2 * MINUTE).await;
        let run = run_of(&desk, &triggered).await;
        assert_eq!((&run["state"], &run["counts"]["already"]), (&json!("completed"), &json!(1)));
        assert_eq!(desk.number("SELECT COUNT(*) FROM enrolments").await, 1);
    }
}

/// ATTACKS 4.4: references that are not there, and fields that do not go together.
#[tokio::test]
async fn what_a_broadcast_names_must_be_there() {
    for on in BOTH {
        let desk = Desk::new(on).await;
        let (template, segment) = (template(&desk, "Hi {name}").await, segment(&desk).await);
        done(&desk, "PUT", "/api/v1/templates/1", json!({ "is_active": false })).await;
        let made = |more: Value| {
            let mut body = json!({ "name": "b" });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        for (more, status, words) in [
            (
                json!({ "template_id": template, "segment_id": segment }),
                404,
                "Template 1 not found or inactive",
            ),
            (json!({ "template_id": 99, "segment_id": segment }), 404, "Template 99 not found or inactive"),
            (json!({ "template_id": "x", "segment_id": segment }), 404, "Template x not found or inactive"),
            (json!({ "template_id": 99, "segment_id": 98 }), 422, "Segment 98 not found"),
            (json!({ "segment_id": segment }), 400, "steps"),
            (
                json!({ "template_id": 1, "steps": [{ "step_number": 1, "template": "x" }] }),
                422,
                "either template_id or steps",
            ),
            (json!({ "channel": "sms", "steps": [{ "step_number": 1, "template": "x" }] }), 422, "channel"),
            (
                json!({ "audience": "live", "steps": [{ "step_number": 1, "template": "x" }] }),
                422,
                "audience",
            ),
            (json!({ "template_id": 1, "segment_id": 1, "audience": "some" }), 422, "snapshot or live"),
            (json!({ "template_id": 1, "segment_id": 1, "channel": "fax" }), 422, "email or sms or whatsapp"),
        ] {
            let (found, answer) = desk.call("POST", "/api/v1/campaigns", Some(&made(more.clone()))).await;
            assert_eq!(found, status, "{more}: {answer}");
            assert!(answer["message"].as_str().unwrap().contains(words), "{more}: {answer}");
        }
        let long = json!({ "name": "t", "content": "x".repeat(2_000), "channel": "email" });
        let long = done(&desk, "POST", "/api/v1/templates", long).await["id"].clone();
        let body = made(json!({ "template_id": long, "channel": "sms" }));
        let (status, answer) = desk.call("POST", "/api/v1/campaigns", Some(&body)).await;
        assert_eq!((status, &answer["field"]), (422, &json!("template_id")), "{answer}");
        for path in ["/api/v1/campaigns/99/trigger", "/api/v1/campaigns/x/trigger"] {
            assert_eq!(desk.call("POST", path, None).await.0, 404);
        }
    }
}

/// A campaign sends the text it copied; its segment stays while it is not over.
#[tokio::test]
async fn a_campaign_keeps_its_text_and_holds_its_segment() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        people(&desk, 1, &["premium"]).await;
        let path = campaign(&desk, json!({ "channel": "email" })).await;
        done(&desk, "PUT", "/api/v1/templates/1", json!({ "content": "Another {name}", "name": "Renamed" }))
            .await;
        done(&desk, "DELETE", "/api/v1/templates/1", Value::Null).await;
        let shown = done(&desk, "GET", &path, Value::Null).await;
        assert_eq!(shown["template"]["content"], "Hi {name}! #{tier} for ${signup_date}");
        assert_eq!(
            (&shown["template"]["name"], &shown["steps"][0]["syntax"]),
            (&json!("Renamed"), &json!("brace"))
        );
        let (status, refused) = desk.call("DELETE", "/api/v1/segments/1", None).await;
        assert_eq!((status, &refused["error"]), (409, &json!("segment_in_use")), "{refused}");
        trigger(&desk, &path).await;
        desk.until(START + MINUTE).await;
        assert_eq!(desk.texts("SELECT body FROM drafts").await, ["Hi P1! #premium for $2024-01-25"]);
        done(&desk, "DELETE", "/api/v1/segments/1", Value::Null).await;
        let (status, refused) = desk.call("POST", &format!("{path}/trigger"), None).await;
        assert_eq!((status, &refused["error"]), (409, &json!("segment_deleted")), "{refused}");
        let shown = done(&desk, "GET", &path, Value::Null).await;
        assert_eq!(shown["segment"]["name"], "Premium");
    }
}

/// A segment is the audience of any sequence, mixed channels included; who is reached by one of them is in.
#[tokio::test]
async fn a_segment_is_the_audience_of_a_sequence_of_several_channels() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        people(&desk, 1, &["premium", "premium", "standard"]).await;
        desk.run("DELETE FROM consent_states WHERE address_hash = 'h2'").await;
        let steps = json!([
            { "step_number": 1, "channel": "sms", "syntax": "brace", "template": "Hi {first_name}" },
            { "step_number": 2, "subject": "Hi", "template": "Hello {{first_name}}", "delay_hours": 1 },
        ]);
        let body = json!({ "name": "Mixed", "segment_id": segment(&desk).await, "steps": steps });
        let made = done(&desk, "POST", "/api/v1/campaigns", body).await;
        assert_eq!((&made["kind"], &made["template"]), (&json!("broadcast"), &Value::Null));
        // A start is as good as a trigger: the workers look at the segment.
        done(&desk, "POST", "/api/v1/campaigns/1/start", Value::Null).await;
        desk.until(START + DAY).await;
        let sent = desk
            .texts("SELECT channel || ' ' || contact_id FROM messages WHERE state = 'accepted' ORDER BY 1")
            .await;
        assert_eq!(sent, ["email 1", "email 2", "sms 1"]);
        assert_eq!(done(&desk, "GET", "/api/v1/campaigns/1", Value::Null).await["status"], "COMPLETED");
    }
}

/// S0-23 on a broadcast (C-2): `send` is its trigger.
#[tokio::test]
async fn sending_a_broadcast_is_triggering_it() {
    let mut desk = Desk::new(On::Sqlite).await;
    people(&desk, 1, &["premium"]).await;
    let path = campaign(&desk, json!({ "channel": "email" })).await;
    let (status, run) = desk.call("POST", &format!("{path}/send"), None).await;
    assert_eq!(
        (status, &run["kind"], &run["counts"]["enrolled"]),
        (202, &json!("expand"), &json!(1)),
        "{run}"
    );
    assert_eq!(run["campaign"]["status"], "RUNNING");
    desk.until(START + MINUTE).await;
    // An outreach campaign is started by a trigger.
    let body = json!({ "name": "o", "steps": [{ "step_number": 1, "template": "x" }] });
    done(&desk, "POST", "/api/v1/campaigns", body).await;
    let triggered = trigger(&desk, "/api/v1/campaigns/2").await;
    assert_eq!((&triggered["run_id"], &triggered["status"]), (&Value::Null, &json!("RUNNING")));
}

/// Before it is triggered, a simulation tells what the trigger will do; then that happens.
#[tokio::test]
async fn a_broadcast_is_simulated_before_it_is_triggered() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        people(&desk, 1, &["premium", "standard", "premium", "premium"]).await;
        desk.run("DELETE FROM consent_states WHERE address_hash = 'h3'").await;
        let quiet =
            json!({ "quiet_hours_start": "09:00", "quiet_hours_end": "12:00", "rate_limit_per_second": 0.5 });
        let path = campaign(&desk, quiet).await;
        let future = done(&desk, "GET", &format!("{path}/simulation"), Value::Null).await;
        assert_eq!((&future["leads"], &future["assumed"]), (&json!(2), &json!("started now")));
        let told: Vec<String> = future["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["at"].as_str().unwrap().to_owned())
            .collect();
        trigger(&desk, &path).await;
        desk.until(START + DAY).await;
        let slots = desk.texts("SELECT CAST(slot / 1000 AS TEXT) FROM attempts ORDER BY slot").await;
        let slots: Vec<String> = slots.iter().map(|at| rfc3339(at.parse().unwrap())).collect();
        assert_eq!(slots, told);
        assert_eq!(told.len(), 2);
    }
}
