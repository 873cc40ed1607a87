//! Segments (S2-23 to S2-28; ATTACKS 4.5): refused whole, counted as documented, and evaluated in the database as a
//! plain reading of the tree would.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sendwright_store::segments;
use sendwright_workflows::clock::DAY;
use sendwright_workflows::spec;
use serde_json::{Map, Value, json};

use crate::support::api::{App, START};

async fn made(app: &App, criteria: &Value) -> Value {
    let body = json!({ "name": "s", "filter_criteria": criteria });
    let reply = app.call("POST", "/api/v1/segments", Some(&body)).await;
    assert_eq!(reply.code(), 201, "{criteria}: {}", reply.text);
    reply.json()
}

async fn evaluated(app: &App, criteria: &Value) -> Value {
    let id = made(app, criteria).await["id"].as_str().unwrap().to_owned();
    app.call("POST", &format!("/api/v1/segments/{id}/evaluate"), None).await.done()
}

/// Three people of the document's samples.
async fn sample(app: &App) {
    let leads = json!([
        { "email": "a@example.com", "attributes": { "city": "San Francisco", "tier": "premium", "signup_date": "2024-01-25" } },
        { "email": "b@example.com", "attributes": { "city": "San Francisco", "tier": "standard", "signup_date": "2023-12-31T23:59:59Z" } },
        { "email": "c@example.com", "attributes": { "city": "Austin", "tier": "premium", "signup_date": "soon" } },
    ]);
    app.call("POST", "/api/v1/leads/bulk", Some(&leads)).await.done();
    app.run("UPDATE contacts SET phone_key = '+1415555123' || id, phone_hash = 'h' || id").await;
}

/// S2-23 to S2-28, with the document's own bodies.
#[tokio::test]
async fn a_segment_is_made_listed_and_evaluated_as_documented() {
    for app in App::both().await {
        sample(&app).await;
        let premium = json!({
            "name": "Premium SF Users", "description": "Premium tier users in San Francisco",
            "filter_criteria": { "operator": "AND", "conditions": [
                { "attribute": "city", "operator": "equals", "value": "San Francisco" },
                { "attribute": "tier", "operator": "equals", "value": "premium" },
            ] },
        });
        let shown = app.call("POST", "/api/v1/segments", Some(&premium)).await;
        assert_eq!(shown.code(), 201, "{}", shown.text);
        let id = shown.json()["id"].clone();
        let recent = json!({
            "name": "Recent Signups", "description": "Users who signed up in the last 30 days",
            "filter_criteria": { "attribute": "signup_date", "operator": "after", "value": "2024-01-01" },
        });
        app.call("POST", "/api/v1/segments", Some(&recent)).await.done();
        let listed = app.call("GET", "/api/v1/segments", None).await.done();
        let first = &listed["segments"][0];
        assert_eq!((&first["id"], &first["filter_criteria"]), (&id, &premium["filter_criteria"]));
        assert_eq!(
            (&first["estimated_audience_size"], &first["name"]),
            (&json!(1), &json!("Premium SF Users"))
        );
        assert_eq!(first["created_at"], "2026-01-15T10:30:00Z");
        assert_eq!(
            (&listed["segments"][1]["estimated_audience_size"], &listed["total"]),
            (&json!(1), &json!(2))
        );
        let path = format!("/api/v1/segments/{}/evaluate", id.as_str().unwrap());
        let found = app.call("POST", &path, None).await;
        assert_eq!(found.code(), 200);
        let found = found.json();
        assert_eq!((&found["segment_id"], &found["matching_users"]), (&id, &json!(1)));
        assert_eq!(found["sample_users"], json!(["+14155551231"]));
        assert!(found["evaluation_time_ms"].is_u64());
        assert_eq!(found.as_object().unwrap().len(), 4);
    }
}

#[tokio::test]
async fn nobody_matches_on_an_empty_database_or_an_unknown_attribute() {
    for app in App::both().await {
        let anybody = json!({ "attribute": "nothing_of_the_kind", "operator": "equals", "value": "x" });
        for criteria in [anybody.clone(), json!({ "attribute": "email", "operator": "exists" })] {
            let found = evaluated(&app, &criteria).await;
            assert_eq!((&found["matching_users"], &found["sample_users"]), (&json!(0), &json!([])));
        }
        sample(&app).await;
        assert_eq!(evaluated(&app, &anybody).await["matching_users"], 0);
        let not = json!({ "operator": "NOT", "conditions": [anybody] });
        assert_eq!(evaluated(&app, &not).await["matching_users"], 3);
    }
}

fn nested(depth: usize) -> Value {
    let leaf = json!({ "attribute": "a", "operator": "exists" });
    (0..depth).fold(leaf, |inner, _| json!({ "operator": "AND", "conditions": [inner] }))
}

/// ATTACKS 4.5: each is refused with its place and the words that would do.
#[tokio::test]
async fn what_is_wrong_with_a_tree_is_told_by_its_place() {
    let app = App::sqlite().await;
    let one =
        |operator: &str, value: Value| json!({ "attribute": "a", "operator": operator, "value": value });
    let many: Vec<Value> = (0..1_001).map(|n| one("equals", json!(n))).collect();
    for (criteria, status, field, words) in [
        (
            json!({ "operator": "XAND", "conditions": [one("exists", json!(null))] }),
            400,
            ".operator",
            "AND, OR or NOT",
        ),
        (json!({ "operator": "AND", "conditions": [] }), 400, ".conditions", "at least one"),
        (json!({ "operator": "AND", "conditions": "all" }), 400, ".conditions", "list"),
        (nested(21), 400, "", "20 deep"),
        (json!({ "operator": "OR", "conditions": many }), 422, "", "1000 conditions"),
        (one("regex", json!(".*")), 400, ".operator", "equals, not_equals, in"),
        (one("matches", json!("a+")), 400, ".operator", "starts_with"),
        (one("after", json!("tomorrow")), 400, ".value", "2024-01-01"),
        (one("before", json!(5)), 400, ".value", "date"),
        (one("greater_than", json!("5")), 400, ".value", "number"),
        (one("contains", json!(["a"])), 400, ".value", "text"),
        (one("equals", json!({})), 400, ".value", "text"),
        (one("equals", json!(null)), 400, ".value", "text"),
        (one("equals", json!("x".repeat(257))), 422, ".value", "256"),
        (one("in", json!([])), 400, ".value", "list"),
        (one("in", json!("a")), 400, ".value", "list"),
        (one("between", json!([1])), 400, ".value", "two"),
        (one("between", json!([1, "2024-01-01"])), 400, ".value", "two"),
        (one("between", json!([5, 1])), 422, ".value", "lower"),
        (one("within_last_days", json!(0)), 400, ".value", "days"),
        (one("exists", json!(true)), 422, ".value", "leave it out"),
        (json!({ "attribute": "", "operator": "exists" }), 400, ".attribute", "name"),
        (json!({ "attribute": "a\u{7}", "operator": "exists" }), 422, ".attribute", "one line"),
        (json!({ "atribute": "a", "operator": "exists" }), 400, "", "attribute"),
        (json!({ "attribute": "a", "operator": "exists", "vlaue": 1 }), 422, ".vlaue", "not known"),
        (json!({ "consent": "fax", "operator": "equals", "value": "OPT_IN" }), 422, ".consent", "sms"),
        (json!({ "consent": "sms", "operator": "equals", "value": "YES" }), 422, ".value", "OPT_IN"),
        (json!({ "consent": "sms", "operator": "contains", "value": "IN" }), 400, ".operator", "equals"),
        (json!({ "behaviour": "bought" }), 422, ".behaviour", "sent, opened"),
        (json!({ "behaviour": "sent", "within_days": "7" }), 400, ".within_days", "days"),
        (json!({ "behaviour": "sent", "campaign": "x" }), 400, ".campaign", "id"),
        (
            json!({ "attribute": "created_at", "operator": "contains", "value": "2024" }),
            400,
            ".operator",
            "before",
        ),
        (
            json!({ "attribute": "phone_e164", "operator": "greater_than", "value": 1 }),
            400,
            ".operator",
            "equals",
        ),
        (json!([]), 400, "", "condition"),
        (json!("all"), 400, "", "condition"),
    ] {
        let body = json!({ "name": "s", "filter_criteria": criteria });
        let reply = app.call("POST", "/api/v1/segments", Some(&body)).await;
        assert_eq!(reply.code(), status, "{criteria}: {}", reply.text);
        let error = reply.json();
        let named = error["field"].as_str().unwrap();
        assert!(named.starts_with("filter_criteria") && named.ends_with(field), "{criteria}: {error}");
        assert!(error["message"].as_str().unwrap().contains(words), "{criteria}: {error}");
    }
    let both = json!({ "operator": "XOR", "conditions": [one("like", json!("a")), one("after", json!(1))] });
    let body = json!({ "name": "", "filter_criteria": both });
    let error = app.call("POST", "/api/v1/segments", Some(&body)).await.json();
    assert_eq!(error["details"]["errors"].as_array().unwrap().len(), 4, "{error}");
    let unknown = json!({ "behaviour": "sent", "campaign": 99 });
    let body = json!({ "name": "s", "filter_criteria": unknown });
    assert_eq!(app.call("POST", "/api/v1/segments", Some(&body)).await.code(), 404);
    assert_eq!(app.number("SELECT COUNT(*) FROM segments").await, 0);
    made(&app, &nested(20)).await;
}

/// A thousand conditions, and whatever is in their words, is bound and never read (A9).
#[tokio::test]
async fn a_large_tree_and_hostile_words_are_evaluated() {
    for app in App::both().await {
        sample(&app).await;
        let words = ["'; DROP TABLE contacts; --", "%", "_", "\\", "$1", "{{x}}", "\u{202e}", "a\"b"];
        let conditions: Vec<Value> = (0..1_000)
            .map(|n| {
                let operator = ["equals", "contains", "not_equals", "starts_with"][n % 4];
                json!({ "attribute": words[n % 8], "operator": operator, "value": words[(n + 3) % 8] })
            })
            .collect();
        for (joint, expected) in [("AND", 0), ("OR", 3), ("NOT", 0)] {
            let found = evaluated(&app, &json!({ "operator": joint, "conditions": conditions })).await;
            assert_eq!(found["matching_users"], expected, "{joint}");
        }
        assert_eq!(app.number("SELECT COUNT(*) FROM contacts").await, 3);
    }
}

#[tokio::test]
async fn a_segment_follows_its_contacts() {
    for app in App::both().await {
        sample(&app).await;
        let premium = json!({ "attribute": "tier", "operator": "equals", "value": "premium" });
        assert_eq!(evaluated(&app, &premium).await["matching_users"], 2);
        app.call("DELETE", "/api/v1/leads/1", None).await.done();
        assert_eq!(evaluated(&app, &premium).await["matching_users"], 1);
        assert_eq!(app.number("SELECT COUNT(*) FROM contact_values WHERE contact_id = 1").await, 0);
        let back = json!({ "email": "a@example.com", "attributes": { "tier": "premium", "city": "Rome" } });
        app.call("POST", "/api/v1/leads", Some(&back)).await.done();
        assert_eq!(evaluated(&app, &premium).await["matching_users"], 2);
        let rome = json!({ "attribute": "city", "operator": "equals", "value": "Rome" });
        assert_eq!(evaluated(&app, &rome).await["matching_users"], 1);
    }
}

#[tokio::test]
async fn a_segment_is_changed_in_part_and_deleted() {
    for app in App::both().await {
        sample(&app).await;
        let shown =
            made(&app, &json!({ "attribute": "tier", "operator": "equals", "value": "premium" })).await;
        let path = format!("/api/v1/segments/{}", shown["id"].as_str().unwrap());
        let named = app.call("PUT", &path, Some(&json!({ "name": "Premium" }))).await.done();
        assert_eq!((&named["name"], &named["estimated_audience_size"]), (&json!("Premium"), &json!(2)));
        let other =
            json!({ "filter_criteria": { "attribute": "city", "operator": "in", "value": ["Austin"] } });
        let other = app.call("PUT", &path, Some(&other)).await.done();
        assert_eq!(other["estimated_audience_size"], 1);
        assert_eq!(app.call("PUT", &path, Some(&json!({ "filter_criteria": {} }))).await.code(), 400);
        assert_eq!(app.call("GET", &path, None).await.done()["name"], "Premium");
        let gone = app.call("DELETE", &path, None).await.done();
        assert_eq!(gone["message"], "Segment deleted successfully");
        for (method, path) in
            [("GET", path.clone()), ("DELETE", path.clone()), ("POST", format!("{path}/evaluate"))]
        {
            assert_eq!(app.call(method, &path, None).await.code(), 404, "{method} {path}");
        }
    }
}

/// Contacts that were there before their values were indexed are indexed by the migration.
#[tokio::test]
async fn a_migration_indexes_whom_it_finds() {
    for app in App::both().await {
        sample(&app).await;
        app.run("DELETE FROM contact_values").await;
        app.run("DELETE FROM meta WHERE name = 'indexed_contacts'").await;
        sendwright_store::values::index_all(&app.state.core.store.db).await.unwrap();
        let premium = json!({ "attribute": "tier", "operator": "equals", "value": "premium" });
        assert_eq!(evaluated(&app, &premium).await["matching_users"], 2);
        assert_eq!(app.text("SELECT value FROM meta WHERE name = 'indexed_contacts'").await, "done");
    }
}

/// A contact, as the plain reading below sees it.
struct Person {
    id: i64,
    known: Map<String, Value>,
    consents: Map<String, Value>,
    /// Behaviours with their instants, all in campaign 1.
    did: Vec<(&'static str, i64)>,
}

const PEOPLE: i64 = 48;

/// People of every sort, through the API and by hand; as they are in the database.
async fn crowd(app: &App) -> Vec<Person> {
    let mut people = Vec::new();
    for n in 1..=PEOPLE {
        if n % 12 == 1 {
            app.clock.pass(DAY);
        }
        let pick = |values: &[Value]| values[(n * 7 % 13) as usize % values.len()].clone();
        let mut attributes = Map::new();
        let mut set = |name: &str, value: Value, every: i64| {
            if n % every != 0 {
                attributes.insert(name.into(), value);
            }
        };
        set("city", pick(&[json!("Rome"), json!("San Francisco"), json!("Zürich"), json!("rome")]), 5);
        set("tier", pick(&[json!("premium"), json!("standard")]), 4);
        set("age", pick(&[json!(n), json!(n.to_string()), json!(n as f64 + 0.5), json!("old")]), 6);
        set("vip", pick(&[json!(true), json!(false), json!("true")]), 3);
        let date = format!("2026-01-{:02}", n % 28 + 1);
        set(
            "signup_date",
            pick(&[json!(date), json!(format!("{date}T12:30:00+02:00")), json!("unknown")]),
            7,
        );
        set("note", pick(&[json!("100%"), json!("a_b"), json!("O'Hara"), json!(["x", "y"]), json!("  ")]), 2);
        let lead = json!({ "email": format!("p{n}@d{}.example.com", n % 3), "company": (n % 4 != 0).then_some("Acme"),
            "attributes": attributes });
        app.call("POST", "/api/v1/leads", Some(&lead)).await.done();
        let mut known = attributes.clone();
        known.insert("email".into(), lead["email"].clone());
        known.insert("email_domain".into(), json!(format!("d{}.example.com", n % 3)));
        known.insert("company".into(), lead["company"].clone());
        known.insert("created_at".into(), json!(START + (n - 1) / 12 * DAY + DAY));
        if n % 3 != 0 {
            known.insert("phone_e164".into(), json!(format!("+14155550{:03}", n)));
        }
        let mut consents = Map::new();
        if n % 3 != 0 && n % 4 != 3 {
            consents.insert("sms".into(), json!(["OPT_IN", "OPT_OUT", "STOP"][n as usize % 4]));
        }
        let mut did = Vec::new();
        if n % 2 == 0 {
            did.push(("sent", START - n * DAY));
        }
        if n % 4 == 0 {
            did.push(("opened", START - n * DAY + 1));
        }
        if n % 6 == 0 {
            did.push(("replied", START - n * DAY + 2));
        }
        people.push(Person { id: n, known, consents, did });
    }
    app.run(
        "UPDATE contacts SET phone_key = '+14155550' || substr('000' || id, length('000' || id) - 2), phone_hash = 'h' || id
          WHERE id % 3 <> 0",
    )
    .await;
    app.run(
        "INSERT INTO consent_states (account_id, channel, address_hash, state, at)
         SELECT account_id, 'sms', 'h' || id, CASE id % 4 WHEN 0 THEN 'opt_in' WHEN 1 THEN 'opt_out' ELSE 'stop' END, 1
           FROM contacts WHERE id % 3 <> 0 AND id % 4 <> 3",
    )
    .await;
    let campaign = json!({ "name": "c", "steps": [{ "step_number": 1, "template": "x" }] });
    app.call("POST", "/api/v1/campaigns", Some(&campaign)).await.done();
    app.run(
        "INSERT INTO enrolments (id, account_id, campaign_id, round, contact_id, version, state, base_at, replied_at,
                created_at, updated_at)
         SELECT id, account_id, 1, 1, id, 1, 'completed', 1,
                CASE WHEN id % 6 = 0 THEN 1768473000000 - id * 86400000 + 2 END, 1, 1 FROM contacts",
    )
    .await;
    app.run(
        "INSERT INTO messages (id, account_id, campaign_id, round, enrolment_id, contact_id, profile_id, step_id,
                step_number, version, channel, address, address_hash, zone, state, planned_at, decision, accepted_at,
                opened_at, created_at, updated_at)
         SELECT id, account_id, 1, 1, id, id, 1, 1, 1, 1, 'email', email, email_hash, 'UTC', 'accepted', 1, '{}',
                CASE WHEN id % 2 = 0 THEN 1768473000000 - id * 86400000 END,
                CASE WHEN id % 4 = 0 THEN 1768473000000 - id * 86400000 + 1 END, 1, 1 FROM contacts",
    )
    .await;
    people
}

/// A tree read plainly: who is meant by it.
fn holds(criteria: &Value, person: &Person, now: i64) -> bool {
    if let Some(parts) = criteria["conditions"].as_array() {
        let mut parts = parts.iter().map(|part| holds(part, person, now));
        return match criteria["operator"].as_str().unwrap() {
            "AND" => parts.all(|holds| holds),
            "OR" => parts.any(|holds| holds),
            _ => !parts.any(|holds| holds),
        };
    }
    let word = criteria["operator"].as_str().unwrap_or("exists");
    let (plain, is_negated) = word.strip_prefix("not_").map_or((word, false), |plain| (plain, true));
    is_negated != satisfies(criteria, plain, person, now)
}

fn satisfies(criteria: &Value, word: &str, person: &Person, now: i64) -> bool {
    if let Some(what) = criteria["behaviour"].as_str() {
        let since = criteria["within_days"].as_i64().map_or(i64::MIN, |days| now - days * DAY);
        return person.did.iter().any(|(did, at)| *did == what && *at >= since);
    }
    let value = &criteria["value"];
    if let Some(channel) = criteria["consent"].as_str() {
        let Some(said) = person.consents.get(channel) else { return false };
        return word == "exists" || said == value || value.as_array().is_some_and(|list| list.contains(said));
    }
    let own = person.known.get(criteria["attribute"].as_str().unwrap()).filter(|own| !own.is_null());
    let text = own.map(|own| own.as_str().map_or_else(|| own.to_string(), str::to_owned));
    let Some((own, text)) = own.zip(text).filter(|(_, text)| !text.trim().is_empty()) else { return false };
    let number = || text.trim().parse::<f64>().ok();
    let instant = || match own {
        Value::Number(_) if criteria["attribute"] == "created_at" => own.as_i64(),
        _ => instant(&text),
    };
    let is = |value: &Value| match value {
        Value::Number(other) => number().is_some_and(|number| Some(number) == other.as_f64()),
        Value::Bool(other) => text == other.to_string(),
        other => Some(text.as_str()) == other.as_str(),
    };
    let words = || value.as_str().unwrap();
    match word {
        "exists" => true,
        "equals" => is(value),
        "in" => value.as_array().unwrap().iter().any(is),
        "contains" => text.contains(words()),
        "starts_with" => text.starts_with(words()),
        "ends_with" => text.ends_with(words()),
        "greater_than" => number().is_some_and(|number| number > value.as_f64().unwrap()),
        "greater_than_or_equal" => number().is_some_and(|number| number >= value.as_f64().unwrap()),
        "less_than" => number().is_some_and(|number| number < value.as_f64().unwrap()),
        "less_than_or_equal" => number().is_some_and(|number| number <= value.as_f64().unwrap()),
        "before" => instant().is_some_and(|at| at < self::instant(words()).unwrap()),
        "after" => instant().is_some_and(|at| at > self::instant(words()).unwrap()),
        "within_last_days" => {
            instant().is_some_and(|at| (now - value.as_i64().unwrap() * DAY..=now).contains(&at))
        }
        "between" => match (value[0].as_f64(), value[1].as_f64()) {
            (Some(low), Some(high)) => number().is_some_and(|number| (low..=high).contains(&number)),
            _ => {
                let [low, high] = [0, 1].map(|end| self::instant(value[end].as_str().unwrap()).unwrap());
                instant().is_some_and(|at| (low..=high).contains(&at))
            }
        },
        other => panic!("{other}"),
    }
}

/// `2026-01-05`, or the same with `T12:30:00+02:00`.
fn instant(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T').map_or((text, ""), |(date, time)| (date, time));
    let parts: Vec<i64> = date.split('-').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [2026, 1, day] = parts[..] else { return None };
    let hours = if time.is_empty() { 0 } else { 10 * 3_600_000 + 30 * 60_000 };
    // The 15th of January began ten and a half hours before START.
    Some(START - 37_800_000 + (day - 15) * DAY + hours)
}

fn condition() -> impl Strategy<Value = Value> {
    let texts = || {
        prop::sample::select(vec![
            "Rome",
            "San Francisco",
            "rome",
            "premium",
            "true",
            "100%",
            "a_b",
            "O'Hara",
            "12",
            "o",
            "ü",
            "Acme",
            "d1.example.com",
            "[\"x\"",
        ])
    };
    let names = || {
        prop::sample::select(vec![
            "city",
            "tier",
            "age",
            "vip",
            "note",
            "company",
            "email_domain",
            "none",
            "signup_date",
        ])
    };
    let dates = || (1_i64..29).prop_map(|day| json!(format!("2026-01-{day:02}")));
    let numbers =
        || prop_oneof![(0_i64..50).prop_map(|n| json!(n)), (0_i64..50).prop_map(|n| json!(n as f64 + 0.5))];
    let scalar =
        move || prop_oneof![texts().prop_map(|t| json!(t)), numbers(), any::<bool>().prop_map(|b| json!(b))];
    let attribute = |name: &str, operator: &str, value: Value| json!({ "attribute": name, "operator": operator, "value": value });
    prop_oneof![
        (names(), prop::sample::select(vec!["equals", "not_equals"]), scalar()).prop_map(move |(n, o, v)| attribute(n, o, v)),
        (names(), prop::sample::select(vec!["in", "not_in"]), prop::collection::vec(scalar(), 1..4))
            .prop_map(move |(n, o, v)| attribute(n, o, json!(v))),
        (names(), prop::sample::select(vec!["contains", "not_contains", "starts_with", "ends_with"]), texts())
            .prop_map(move |(n, o, v)| attribute(n, o, json!(v))),
        (names(), prop::sample::select(vec!["exists", "not_exists"])).prop_map(|(n, o)| json!({ "attribute": n, "operator": o })),
        (names(), prop::sample::select(vec!["greater_than", "greater_than_or_equal", "less_than", "less_than_or_equal"]), numbers())
            .prop_map(move |(n, o, v)| attribute(n, o, v)),
        (prop::sample::select(vec!["signup_date", "created_at", "city"]), prop::sample::select(vec!["before", "after"]), dates())
            .prop_map(move |(n, o, v)| attribute(n, o, v)),
        (prop::sample::select(vec!["signup_date", "created_at"]), 1_i64..20)
            .prop_map(move |(n, v)| attribute(n, "within_last_days", json!(v))),
        (0_i64..25, 25_i64..50).prop_map(move |(low, high)| attribute("age", "between", json!([low, high]))),
        (1_i64..14, 14_i64..29).prop_map(move |(low, high)| {
            attribute("signup_date", "between", json!([format!("2026-01-{low:02}"), format!("2026-01-{high:02}")]))
        }),
        (prop::sample::select(vec!["email", "phone_e164"]), prop::sample::select(vec!["ends_with", "contains", "starts_with"]), prop::sample::select(vec!["1", "+1415", "p1", "com"]))
            .prop_map(move |(n, o, v)| attribute(n, o, json!(v))),
        (prop::sample::select(vec!["equals", "not_equals"]), prop::sample::select(vec!["OPT_IN", "OPT_OUT", "STOP"]))
            .prop_map(|(o, v)| json!({ "consent": "sms", "operator": o, "value": v })),
        prop::sample::select(vec!["exists", "not_exists"]).prop_map(|o| json!({ "consent": "sms", "operator": o })),
        (prop::sample::select(vec!["sent", "opened", "clicked", "replied"]), prop::option::of(1_i64..60), any::<bool>()).prop_map(
            |(what, days, not)| json!({ "behaviour": what, "within_days": days, "campaign": 1, "operator": if not { "not_exists" } else { "exists" } })
        ),
    ]
}

/// Any tree means the same in either database as it does read plainly.
#[tokio::test]
async fn a_tree_means_in_the_database_what_it_says() {
    let joints = || prop::sample::select(vec!["AND", "OR", "NOT"]);
    let trees = condition().prop_recursive(4, 24, 4, move |inner| {
        (joints(), prop::collection::vec(inner, 1..4))
            .prop_map(|(joint, conditions)| json!({ "operator": joint, "conditions": conditions }))
    });
    for app in App::both().await {
        let people = crowd(&app).await;
        let now = START + 4 * DAY;
        let mut runner = TestRunner::deterministic();
        let (mut some, mut tx) = (0, app.state.core.store.read().await.unwrap());
        for _ in 0..400 {
            let criteria = trees.new_tree(&mut runner).unwrap().current();
            let filter = spec::filter(&criteria).unwrap_or_else(|faults| panic!("{criteria}: {faults:?}"));
            let found = segments::people(app.account, &filter, now).ids(&mut tx).await.unwrap();
            let meant: Vec<i64> = people.iter().filter(|p| holds(&criteria, p, now)).map(|p| p.id).collect();
            assert_eq!(found, meant, "{criteria}");
            assert_eq!(segments::size(&mut tx, app.account, &filter, now).await.unwrap(), meant.len() as i64);
            let window = segments::in_window(&mut tx, app.account, &filter, &[], (10, 30), (i64::MAX, now))
                .await
                .unwrap();
            let within: BTreeSet<i64> = window.iter().map(|reached| reached.contact).collect();
            let expected: BTreeSet<i64> = meant.iter().copied().filter(|id| (11..=30).contains(id)).collect();
            assert_eq!(within, expected, "{criteria}");
            some += usize::from(!meant.is_empty() && meant.len() < people.len());
        }
        assert!(some > 150, "only {some} trees told people apart");
    }
}
