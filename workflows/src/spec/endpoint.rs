//! A submitted webhook endpoint: where events go, which, and how long they are tried.

use super::FieldError;
use super::fields::{Fields, Lines};
use crate::clock::DAY;
use crate::event;
use crate::webhook::{Schedule, SigningSecret, check_url};
use serde_json::Value;

const KNOWN: &[&str] =
    &["url", "description", "events", "enabled", "is_active", "schedule", "retry_schedule", "secret"];

/// Most retries of an own schedule.
const MOST_WAITS: usize = 20;
/// Longest wait of an own schedule, seconds.
const LONGEST_WAIT: i64 = 7 * DAY / 1_000;

/// What is said of an endpoint; what is absent stays as it is, or is the default of a new one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EndpointBody {
    /// Where deliveries go.
    pub url: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// The events it chooses, by the names it wants them under.
    pub events: Option<Vec<String>>,
    /// Whether it is delivered to.
    pub enabled: Option<bool>,
    /// How long it is tried.
    pub schedule: Option<Schedule>,
    /// The caller's own secret; else one is made.
    pub secret: Option<SigningSecret>,
}

impl EndpointBody {
    /// Reads a new endpoint: `url` and `events` are required.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn create(body: &Value, allow_private: bool) -> Result<Self, Vec<FieldError>> {
        read(body, allow_private, true)
    }

    /// Reads a change: everything is optional; the secret is changed by rotation alone.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn change(body: &Value, allow_private: bool) -> Result<Self, Vec<FieldError>> {
        read(body, allow_private, false)
    }
}

fn read(body: &Value, allow_private: bool, is_new: bool) -> Result<EndpointBody, Vec<FieldError>> {
    let mut errors = Vec::new();
    let Some(mut fields) = Fields::open("", body, &mut errors) else { return Err(errors) };
    let unknown =
        fields.names().filter(|name| !KNOWN.contains(&name.as_str()) || (!is_new && *name == "secret"));
    for name in unknown.map(|name| name.chars().take(64).collect::<String>()).collect::<Vec<_>>() {
        fields.fault(&name, "unknown_field", "is not known here");
    }
    let endpoint = EndpointBody {
        url: read_url(&mut fields, allow_private, is_new),
        description: fields.text("description", 500, Lines::One),
        events: read_events(&mut fields, is_new),
        enabled: fields.flag("enabled").or(fields.flag("is_active")),
        schedule: read_schedule(&mut fields),
        secret: read_secret(&mut fields),
    };
    if errors.is_empty() { Ok(endpoint) } else { Err(errors) }
}

fn read_url(fields: &mut Fields, allow_private: bool, is_new: bool) -> Option<String> {
    let url = match is_new {
        true => fields.required("url", 4_096)?,
        false => fields.text("url", 4_096, Lines::One)?,
    };
    match check_url(url.trim(), allow_private) {
        Ok(url) => Some(url.into()),
        Err(fault) => {
            fields.fault("url", fault.code, fault.message);
            None
        }
    }
}

fn read_events(fields: &mut Fields, is_new: bool) -> Option<Vec<String>> {
    if is_new && fields.value("events").is_none() {
        fields.fault("events", "required", "is required: [\"*\"] for every event");
    }
    let list = fields.list("events")?;
    if list.is_empty() || list.len() > 100 {
        fields.fault("events", "out_of_range", "must name 1 to 100 events; [\"*\"] is every event");
    }
    let mut chosen: Vec<String> = Vec::new();
    for (n, name) in list.iter().enumerate().take(100) {
        match name.as_str() {
            None => fields.fault(&format!("events[{n}]"), "invalid_type", "must be a string"),
            Some(name) if !event::is_choice(name) => {
                let known: Vec<&str> = event::NAMES.iter().map(|(name, _)| *name).collect();
                let text = format!("must be *, family.*, custom.… or one of {}", known.join(", "));
                fields.fault(&format!("events[{n}]"), "invalid_choice", text);
            }
            Some(name) if chosen.iter().any(|other| event::canonical(other) == event::canonical(name)) => {
                fields.fault(
                    &format!("events[{n}]"),
                    "conflict",
                    "names an event that is on the list already",
                );
            }
            Some(name) => chosen.push(name.to_owned()),
        }
    }
    Some(chosen)
}

/// `retry_schedule` in seconds wins; `schedule` is one of the two that have a name.
fn read_schedule(fields: &mut Fields) -> Option<Schedule> {
    let named = [("short", false), ("long", true)];
    let named = fields.choice("schedule", &named);
    let Some(list) = fields.list("retry_schedule") else {
        return named.map(|long| if long { Schedule::Long } else { Schedule::Short });
    };
    let waits = list.iter().map(|wait| wait.as_i64().filter(|s| (1..=LONGEST_WAIT).contains(s)));
    let waits: Option<Vec<i64>> = waits.collect();
    match waits.filter(|waits| waits.len() <= MOST_WAITS) {
        Some(waits) => Some(Schedule::read("own", &waits)),
        None => {
            let text =
                format!("must be a list of at most {MOST_WAITS} waits, each 1 to {LONGEST_WAIT} seconds");
            fields.fault("retry_schedule", "out_of_range", text);
            None
        }
    }
}

fn read_secret(fields: &mut Fields) -> Option<SigningSecret> {
    match SigningSecret::parse(fields.string("secret")?) {
        Ok(secret) => Some(secret),
        Err(why) => {
            fields.fault("secret", "invalid_format", why.to_string());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn codes(body: Value) -> Vec<(String, &'static str)> {
        let errors = EndpointBody::create(&body, false).unwrap_err();
        errors.into_iter().map(|error| (error.field, error.code)).collect()
    }

    #[test]
    fn an_endpoint_is_a_url_and_its_events_and_the_rest_has_defaults() {
        let body = json!({"url": "https://example.com/hook", "events": ["email_sent", "reply.received"]});
        let read = EndpointBody::create(&body, false).unwrap();
        assert_eq!(read.url.as_deref(), Some("https://example.com/hook"));
        assert_eq!((read.enabled, read.schedule, read.secret), (None, None, None));
        let own = json!({"url": "https://example.com", "events": ["*"], "retry_schedule": [1, 60], "schedule": "long"});
        let read = EndpointBody::create(&own, false).unwrap();
        assert_eq!(read.schedule, Some(Schedule::Own(vec![1_000, 60_000])));
        assert_eq!(EndpointBody::change(&json!({}), false), Ok(EndpointBody::default()));
    }

    #[test]
    fn every_fault_is_told_at_once_and_no_secret_is_repeated() {
        let body = json!({"url": "https://10.0.0.1", "events": ["email.lost", 3, "email.sent", "email_sent"],
            "retry_schedule": [0], "secret": "whsec_c2hvcnQ", "enabled": "yes", "colour": 1});
        let faults = codes(body.clone());
        for wanted in [
            ("url", "blocked_address"),
            ("events[0]", "invalid_choice"),
            ("events[1]", "invalid_type"),
            ("events[3]", "conflict"),
            ("retry_schedule", "out_of_range"),
            ("secret", "invalid_format"),
            ("enabled", "invalid_type"),
            ("colour", "unknown_field"),
        ] {
            assert!(
                faults.iter().any(|(f, c)| (f.as_str(), *c) == wanted),
                "{wanted:?} is not in {faults:?}"
            );
        }
        let told = EndpointBody::create(&body, false).unwrap_err();
        assert!(!super::super::sentence(&told).contains("c2hvcnQ"));
        assert_eq!(codes(json!({})), [("url".into(), "required"), ("events".into(), "required")]);
        assert_eq!(codes(json!({"url": "https://example.com", "events": []}))[0].1, "out_of_range");
        assert_eq!(codes(json!([]))[0].1, "invalid_type");
    }
}
