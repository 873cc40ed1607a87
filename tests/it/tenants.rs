//! Two accounts over the whole route table: whatever names a row of another account, in a path, a query or a body, is answered
//! as one that is nowhere; and nothing of the other account is changed by asking. All of it is made of the document: a new route
//! or field is covered, or the test says what it lacks.

use std::collections::{BTreeMap, BTreeSet};

use sendwright_api::openapi::{document, routes};
use sendwright_workflows::ids::{Kind, uuid};
use serde_json::{Value, json};

use crate::support::api::{App, Reply};
use crate::surface::{body_of, furnish};

/// Fields that end like one that names a row of ours, and are the caller's own words.
const FREE: [&str; 2] = ["external_id", "business_id"];
/// The number of a row that is nowhere.
const NOWHERE: i64 = 999_999;

/// What a field names, by its name. A new one says it here.
fn named(field: &str) -> Kind {
    match field.trim_end_matches('s') {
        "campaign_id" => Kind::Campaign,
        "segment_id" => Kind::Segment,
        "template_id" => Kind::Template,
        "sending_profile_id" | "sms_profile_id" | "whatsapp_profile_id" => Kind::Profile,
        "lead_id" => Kind::Contact,
        "delivery_id" => Kind::Delivery,
        "event_id" => Kind::Event,
        "key_id" => Kind::Key,
        "import_id" => Kind::Import,
        "id" => Kind::Message,
        _ => panic!("say in `named` what a field {field} names"),
    }
}

fn names_a_row(field: &str) -> bool {
    let ends = ["_id", "_ids"].iter().any(|end| field.ends_with(end)) || field == "ids" || field == "id";
    ends && !FREE.contains(&field)
}

/// The answer without what differs from row to row: numbers, and the ids made of them.
fn plain(reply: &Reply) -> (u16, String) {
    let mut shown: Value = serde_json::from_str(&reply.text).unwrap_or(json!(reply.text));
    if let Some(object) = shown.as_object_mut() {
        object.remove("request_id");
    }
    let shown = shown.to_string();
    let (mut rest, mut text) = (shown.as_str(), String::new());
    while let Some(c) = rest.chars().next() {
        let number = match rest.get(..36).is_some_and(is_uuid) {
            true => 36,
            false => rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len(),
        };
        text.push(if number > 0 { '#' } else { c });
        rest = &rest[number.max(c.len_utf8())..];
    }
    (reply.code(), text)
}

fn is_uuid(text: &str) -> bool {
    let fits = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.bytes().enumerate().all(fits)
}

/// All that an account can read of itself, by route; a use of a key is no change of it.
async fn own(app: &App) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    for route in routes().into_iter().filter(|route| route.method == "GET" && !route.path.ends_with("/usage"))
    {
        let reply = app.call("GET", &route.path.replace("{id}", "1"), None).await;
        let mut shown: Value = serde_json::from_str(&reply.text).unwrap_or(json!(reply.text));
        forget(&mut shown);
        seen.insert(route.path, shown.to_string());
    }
    seen
}

fn forget(value: &mut Value) {
    match value {
        Value::Object(object) => {
            ["last_used_at", "request_id", "evaluation_time_ms"]
                .iter()
                .for_each(|name| drop(object.remove(*name)));
            object.values_mut().for_each(forget);
        }
        Value::Array(items) => items.iter_mut().for_each(forget),
        _ => {}
    }
}

/// An account with a row of its own of whatever a path needs that takes bodies with ids in them.
struct Tenant {
    key: String,
    rows: BTreeMap<&'static str, String>,
}

async fn tenant(app: &App, name: &str) -> Tenant {
    let (_, key) = app.tenant(name).await;
    let made = async |path: &str, body: Value| {
        let made = app.call_as(&key, "POST", path, Some(&body)).await.done();
        made["id"].as_str().unwrap_or_else(|| panic!("no id: {made}")).to_owned()
    };
    let steps = json!([{ "step_number": 1, "subject": "Hello", "template": "Hi {{email}}" }]);
    let campaign = made("/api/v1/campaigns", json!({ "name": "Own", "steps": steps })).await;
    let webhook = json!({ "url": "https://own.example.com/hook", "events": ["*"] });
    let webhook = made("/api/v1/webhooks", webhook).await;
    Tenant { key, rows: [("campaigns", campaign), ("webhooks", webhook)].into() }
}

impl Tenant {
    /// A path with the tenant's own row in it.
    fn at(&self, path: &str) -> String {
        let Some((before, _)) = path.split_once("/{id}") else { return path.to_owned() };
        let noun = before.rsplit('/').next().unwrap();
        let row =
            self.rows.get(noun).unwrap_or_else(|| panic!("make a row of {noun} in `tenant`, for {path}"));
        path.replace("{id}", row)
    }
}

/// A5: no route with an id in its path changes anything of somebody else's.
#[tokio::test]
async fn asking_for_another_accounts_rows_changes_none_of_them() {
    for app in App::both().await {
        furnish(&app).await;
        let before = own(&app).await;
        let (_, stranger) = app.tenant("stranger").await;
        for route in routes().into_iter().filter(|route| route.path.contains("{id}")) {
            let body = body_of(route.method, &route.path);
            for face in faces(&route.path) {
                let path = route.path.replace("{id}", &face);
                let reply = app.call_as(&stranger, route.method, &path, body.as_ref()).await;
                assert_eq!(reply.code(), 404, "{} {path}: {}", route.method, reply.text);
            }
        }
        assert_eq!(own(&app).await, before);
    }
}

/// Every way in which row 1 of a path's noun can be named.
fn faces(path: &str) -> Vec<String> {
    let kinds = [
        ("campaigns", Kind::Campaign),
        ("leads", Kind::Contact),
        ("users", Kind::Contact),
        ("messages", Kind::Message),
        ("drafts", Kind::Message),
        ("mailbox", Kind::Message),
        ("sending-profiles", Kind::Profile),
        ("webhooks", Kind::Endpoint),
        ("keys", Kind::Key),
        ("runs", Kind::Run),
        ("segments", Kind::Segment),
        ("templates", Kind::Template),
        ("imports", Kind::Import),
        ("inbound", Kind::Inbound),
    ];
    let noun = path.split("/{id}").next().unwrap().rsplit('/').next().unwrap();
    let kind = kinds.iter().find(|(known, _)| *known == noun).map(|(_, kind)| uuid(*kind, 1));
    let phone = (noun == "users").then(|| "%2B14155551234".to_owned());
    ["1".to_owned()].into_iter().chain(kind).chain(phone).collect()
}

/// A5: an id in a query finds nothing of somebody else's.
#[tokio::test]
async fn a_query_that_names_another_accounts_row_is_answered_as_one_that_names_none() {
    for app in App::both().await {
        furnish(&app).await;
        let stranger = tenant(&app, "stranger").await;
        let mut asked = 0;
        for route in
            routes().into_iter().filter(|route| route.method == "GET" && !route.path.contains("{id}"))
        {
            let parameters = &document()["paths"][&route.path]["get"]["parameters"];
            let names = parameters.as_array().unwrap().iter().filter(|one| one["in"] == "query");
            for name in names.filter_map(|one| one["name"].as_str()).filter(|name| names_a_row(name)) {
                asked += 1;
                let ask = async |row: i64| {
                    let path = format!("{}?{name}={}", route.path, uuid(named(name), row));
                    app.call_as(&stranger.key, "GET", &path, None).await
                };
                let (theirs, nowhere) = (ask(1).await, ask(NOWHERE).await);
                assert!(!theirs.text.contains("canary"), "{}: {}", route.path, theirs.text);
                assert_eq!(plain(&theirs), plain(&nowhere), "{}?{name}", route.path);
            }
        }
        assert!(asked > 3, "only {asked} queries name a row");
    }
}

/// A5: the same for an id in a body. Each of two accounts that are alike asks once, one for a row of the first account, one for
/// a row that is nowhere.
#[tokio::test]
async fn a_body_that_names_another_accounts_row_is_answered_as_one_that_names_none() {
    for app in App::both().await {
        furnish(&app).await;
        let before = own(&app).await;
        let mut asked = BTreeSet::new();
        let (one, other) = (tenant(&app, "one").await, tenant(&app, "other").await);
        for route in routes() {
            let Some(example) = body_of(route.method, &route.path) else { continue };
            for place in places(&route.method.to_lowercase(), &route.path) {
                let body = |row: i64| put(&example, &place, row);
                let (Some(theirs), Some(nowhere)) = (body(1), body(NOWHERE)) else { continue };
                let theirs = app.call_as(&one.key, route.method, &one.at(&route.path), Some(&theirs)).await;
                let nowhere =
                    app.call_as(&other.key, route.method, &other.at(&route.path), Some(&nowhere)).await;
                let what = format!("{} {} {}", route.method, route.path, place.join("."));
                assert!(!theirs.text.contains("canary"), "{what}: {}", theirs.text);
                assert!(theirs.code() < 500, "{what}: {}", theirs.text);
                assert_eq!(plain(&theirs), plain(&nowhere), "{what}");
                asked.insert(what);
            }
        }
        assert!(asked.len() > 20, "only these name a row: {asked:#?}");
        assert_eq!(own(&app).await, before, "nothing of the first account has changed");
    }
}

/// Where a body's schema names rows: the way to each field, `[]` for the items of a list.
fn places(method: &str, path: &str) -> BTreeSet<Vec<String>> {
    let schema = &document()["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"];
    let mut found = BTreeSet::new();
    walk(schema, &mut Vec::new(), &mut found);
    found
}

fn walk(schema: &Value, way: &mut Vec<String>, found: &mut BTreeSet<Vec<String>>) {
    if way.len() > 4 {
        return;
    }
    if let Some(reference) = schema["$ref"].as_str() {
        return walk(document().pointer(&reference[1..]).unwrap(), way, found);
    }
    for joint in ["allOf", "anyOf", "oneOf"] {
        schema[joint].as_array().into_iter().flatten().for_each(|inner| walk(inner, way, found));
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        way.push(name.clone());
        if names_a_row(name) {
            found.insert(way.clone());
        }
        walk(inner, way, found);
        way.pop();
    }
    if schema["items"].is_object() {
        way.push("[]".into());
        walk(&schema["items"], way, found);
        way.pop();
    }
}

/// The example with a row named in that place; `None` where the example is of another shape.
fn put(example: &Value, way: &[String], row: i64) -> Option<Value> {
    let mut body = example.clone();
    let (field, before) = way.split_last()?;
    let mut place = &mut body;
    for step in before {
        place = match step.as_str() {
            "[]" => place.get_mut(0)?,
            name => place.get_mut(name)?,
        };
    }
    let face = json!(uuid(named(field), row));
    let is_list = field.ends_with('s');
    let place = place.as_object_mut()?;
    if field == "template_id" {
        place.remove("steps"); // A campaign has either, and is refused before its template is looked for.
    }
    place.insert(field.clone(), if is_list { json!([face]) } else { face });
    Some(body)
}
