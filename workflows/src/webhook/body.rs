//! What a delivery says: the superset of the documents' flat envelope and of Standard Webhooks (C-16).

use crate::clock::{Millis, rfc3339};
use crate::event::canonical;
use crate::ids::{Kind, uuid};
use serde_json::{Map, Value, json};

/// An event on its way to one endpoint.
#[derive(Debug, Clone)]
pub struct About<'a> {
    /// The event's row.
    pub event: i64,
    /// As stored, `email.sent`.
    pub kind: &'a str,
    /// The name the endpoint chose it by.
    pub name: &'a str,
    /// Its place among the account's events, gapless; a test has none.
    pub sequence: Option<i64>,
    /// Its place among this endpoint's deliveries, gapless; where the ledger is read there is none.
    pub number: Option<i64>,
    /// When it happened.
    pub at: Millis,
    /// The campaign, by its caller's own id or ours.
    pub campaign_id: Option<String>,
    /// The contact, by its caller's own id (S0's `business_id`) or ours.
    pub business_id: Option<String>,
    /// The contact's company.
    pub business_name: Option<&'a str>,
    /// The contact's address.
    pub email: Option<&'a str>,
    /// What the event's row says, a JSON object.
    pub data: &'a str,
}

/// What is said of an event: `{id, type, event, timestamp, campaign_id, business_id, sequence, number, data}`. The data has S0's fields
/// under S0's names (S0-30 to S0-33), beside whatever else the event knows.
pub fn body(about: &About) -> Value {
    json!({
        "id": uuid(Kind::Event, about.event),
        "type": canonical(about.kind),
        "event": about.name,
        "timestamp": seconds(about.at),
        "campaign_id": about.campaign_id,
        "business_id": about.business_id,
        "sequence": about.sequence,
        "number": about.number,
        "data": data(about),
    })
}

fn data(about: &About) -> Map<String, Value> {
    let mut data: Map<String, Value> = serde_json::from_str(about.data).unwrap_or_default();
    let mut fill = |name: &str, value: Value| {
        data.entry(name).or_insert(value);
    };
    if about.business_id.is_some() {
        fill("business_name", json!(about.business_name));
    }
    match canonical(about.kind) {
        "email.sent" => fill("sent_at", seconds(about.at).into()),
        "reply.received" => {
            fill("reply_date", seconds(about.at).into());
            fill("email", json!(about.email));
            fill("sentiment", Value::Null);
            fill("snippet", Value::Null);
        }
        _ if about.business_id.is_some() => fill("email", json!(about.email)),
        _ => {}
    }
    data
}

/// Whole seconds, as S0 prints them.
fn seconds(at: Millis) -> String {
    let text = rfc3339(at);
    text.get(..19).map_or(text.clone(), |whole| format!("{whole}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent<'a>() -> About<'a> {
        About {
            event: 7,
            kind: "email.sent",
            name: "email_sent",
            sequence: Some(3),
            number: Some(2),
            at: 1_770_823_800_000,
            campaign_id: Some("campaign_001".into()),
            business_id: Some("12345".into()),
            business_name: Some("Smile Dental"),
            email: Some("info@smiledental.com"),
            data: r#"{"email":"info@smiledental.com","subject":"Reduce no-shows by 30%","step":1}"#,
        }
    }

    /// S0-30, S0-31: every field of the document's sample, with its value.
    #[test]
    fn an_email_sent_has_every_field_of_the_document() {
        let shown = body(&sent());
        let wanted = json!({
            "event": "email_sent", "timestamp": "2026-02-11T15:30:00Z",
            "campaign_id": "campaign_001", "business_id": "12345",
        });
        for (name, value) in wanted.as_object().unwrap() {
            assert_eq!(&shown[name], value, "{name}");
        }
        let data = json!({
            "business_name": "Smile Dental", "email": "info@smiledental.com",
            "subject": "Reduce no-shows by 30%", "sent_at": "2026-02-11T15:30:00Z", "step": 1,
        });
        assert_eq!(shown["data"], data);
        assert_eq!(
            (&shown["type"], &shown["sequence"], &shown["number"]),
            (&json!("email.sent"), &json!(3), &json!(2))
        );
    }

    /// S0-32.
    #[test]
    fn a_reply_received_has_every_field_of_the_document() {
        let data = r#"{"sentiment":"positive","snippet":"Thanks for reaching out"}"#;
        let reply = About { kind: "reply.received", name: "reply_received", data, ..sent() };
        let shown = body(&reply);
        assert_eq!(shown["data"]["business_name"], "Smile Dental");
        assert_eq!(shown["data"]["reply_date"], "2026-02-11T15:30:00Z");
        assert_eq!(shown["data"]["sentiment"], "positive");
        assert_eq!(shown["data"]["snippet"], "Thanks for reaching out");
    }

    #[test]
    fn what_an_event_says_itself_is_not_overwritten() {
        let data = r#"{"business_name":"Then","sent_at":"then"}"#;
        let shown = body(&About { data, ..sent() });
        assert_eq!(
            (&shown["data"]["business_name"], &shown["data"]["sent_at"]),
            (&json!("Then"), &json!("then"))
        );
    }
}
