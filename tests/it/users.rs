//! S2's users: people by their numbers, one contact with the lead they are by e-mail.

use serde_json::{Value, json};

use crate::support::api::{App, Reply};

const PHONE: &str = "+14155551234";

async fn post(app: &App, body: Value) -> Reply {
    app.call("POST", "/api/v1/users", Some(&body)).await
}

async fn put(app: &App, body: Value) -> Reply {
    app.call("PUT", "/api/v1/users/+14155551234", Some(&body)).await
}

async fn get(app: &App) -> Reply {
    app.call("GET", "/api/v1/users/+14155551234", None).await
}

/// S2-06, S2-07, S2-05.
#[tokio::test]
async fn a_user_is_made_and_shown_as_the_document_has_it() {
    for app in App::both().await {
        let sample = json!({
            "phone_e164": PHONE, "consent_state": "OPT_IN",
            "attributes": { "name": "Jane Smith", "city": "Austin", "signup_source": "website" },
        });
        let made = post(&app, sample).await;
        assert_eq!(made.code(), 201);
        let expected = json!({
            "phone_e164": PHONE, "created_at": "2026-01-15T10:30:00Z", "consent_state": "OPT_IN",
            "message": "User created successfully",
        });
        assert_eq!(made.json(), expected);
        let expected = json!({
            "phone_e164": PHONE, "created_at": "2026-01-15T10:30:00Z", "consent_state": "OPT_IN",
            "consent_updated_at": "2026-01-15T10:30:00Z",
            "attributes": { "name": "Jane Smith", "city": "Austin", "signup_source": "website" },
            "last_message_received": null, "id": "02000000-0000-8000-8000-000000000001",
            "updated_at": "2026-01-15T10:30:00Z",
            "channels": { "email": null, "sms": "OPT_IN", "whatsapp": "OPT_IN" },
        });
        for path in
            ["+14155551234", "%2B14155551234", "%2014155551234", "1", "02000000-0000-8000-8000-000000000001"]
        {
            assert_eq!(
                app.call("GET", &format!("/api/v1/users/{path}"), None).await.done(),
                expected,
                "{path}"
            );
        }
        assert_eq!(app.number("SELECT COUNT(*) FROM events WHERE kind = 'lead.created'").await, 1);
        app.run(
            "INSERT INTO inbound (id, account_id, hash, source, raw, look_at, received_at, contact_id)
                 VALUES (1, 1, 'x', 'api', '', 1, 1768473060000, 1)",
        )
        .await;
        assert_eq!(get(&app).await.done()["last_message_received"], "2026-01-15T10:31:00Z");
    }
}

/// S2-39, S2-40, S2-41; ATTACKS 4.3.
#[tokio::test]
async fn a_user_that_is_faulty_known_or_missing_is_refused_in_the_documents_words() {
    for app in App::both().await {
        let refused = post(&app, json!({ "phone_e164": "1234567890" })).await;
        assert_eq!(refused.code(), 400);
        let shown = refused.json();
        assert_eq!(
            (&shown["error"], &shown["message"]),
            (&json!("validation_error"), &json!("Invalid phone number format"))
        );
        assert_eq!(shown["field"], "phone_e164");
        assert_eq!(shown["details"]["provided"], "1234567890");
        assert_eq!(shown["details"]["expected"], "E.164 format (+1234567890)");
        assert_eq!(shown["timestamp"], "2026-01-15T10:30:00Z");
        for phone in [
            "",
            "+1",
            "+0123456789",
            "+1 (415) 555-1234",
            "+1415555١٢٣٤",
            "whatsapp:+14155551234",
            "+1234567890123456",
        ] {
            assert_eq!(post(&app, json!({ "phone_e164": phone })).await.code(), 400, "{phone}");
        }
        for consent in [json!("opt_in"), json!("YES"), json!(1)] {
            let refused = post(&app, json!({ "phone_e164": PHONE, "consent_state": consent })).await;
            assert_eq!((refused.code(), &refused.json()["field"]), (400, &json!("consent_state")));
        }
        let many: serde_json::Map<String, Value> = (0..1_000).map(|n| (n.to_string(), json!(1))).collect();
        assert_eq!(post(&app, json!({ "phone_e164": PHONE, "attributes": many })).await.code(), 422);
        assert_eq!(app.number("SELECT COUNT(*) FROM contacts").await, 0);
        for method in ["GET", "PUT", "DELETE"] {
            let body = (method == "PUT").then(|| json!({}));
            for path in ["+14155551234", "%2B14155551234"] {
                let missing = app.call(method, &format!("/api/v1/users/{path}"), body.as_ref()).await;
                assert_eq!(missing.code(), 404);
                assert_eq!(missing.json()["error"], "not_found");
                assert_eq!(missing.json()["message"], "User with phone +14155551234 not found");
            }
        }
        assert_eq!(app.call("GET", "/api/v1/users/14155551234", None).await.code(), 404);
        assert_eq!(post(&app, json!({ "phone_e164": PHONE })).await.code(), 201);
        let twice = post(&app, json!({ "phone_e164": PHONE })).await;
        assert_eq!(
            (twice.code(), &twice.json()["message"]),
            (409, &json!("User with phone +14155551234 already exists"))
        );
    }
}

/// S2-08: what is given is merged, `null` takes away, the rest stays.
#[tokio::test]
async fn attributes_are_merged_and_null_takes_one_away() {
    for app in App::both().await {
        let given = json!({ "name": "Jane", "city": "Austin", "nested": { "a": [1, null] }, "__proto__": "x", "a.b": 1 });
        post(&app, json!({ "phone_e164": PHONE, "attributes": given })).await.done();
        assert_eq!(get(&app).await.done()["attributes"], given);
        let change = json!({ "attributes": { "name": "Jane Updated", "tier": "enterprise", "city": null, "nested": null, "__proto__": null, "a.b": null } });
        let changed = put(&app, change.clone()).await.done();
        assert_eq!(changed["attributes"], json!({ "name": "Jane Updated", "tier": "enterprise" }));
        assert_eq!(changed, get(&app).await.done());
        assert_eq!(app.number("SELECT COUNT(*) FROM events WHERE kind = 'lead.updated'").await, 1);
        put(&app, change).await.done();
        put(&app, json!({})).await.done();
        assert_eq!(app.number("SELECT COUNT(*) FROM events WHERE kind = 'lead.updated'").await, 1);
        let other = put(&app, json!({ "phone_e164": "+14155559999" })).await;
        assert_eq!((other.code(), &other.json()["field"]), (422, &json!("phone_e164")));
    }
}

/// S2-03, S2-04.
#[tokio::test]
async fn users_are_listed_by_page_and_by_what_they_said() {
    for app in App::both().await {
        for (n, consent) in ["OPT_IN", "OPT_OUT", "STOP", "OPT_IN"].into_iter().enumerate() {
            app.clock.pass(1_000);
            post(&app, json!({ "phone_e164": format!("+1415555000{n}"), "consent_state": consent }))
                .await
                .done();
        }
        app.clock.pass(1_000);
        post(&app, json!({ "phone_e164": "+14155550004" })).await.done();
        app.call("POST", "/api/v1/leads", Some(&json!({ "email": "a@example.com" }))).await.done();
        let phones = |shown: &Value| -> Vec<String> {
            shown["users"]
                .as_array()
                .unwrap()
                .iter()
                .map(|u| u["phone_e164"].as_str().unwrap()[8..].to_owned())
                .collect()
        };
        let all = app.call("GET", "/api/v1/users", None).await.done();
        assert_eq!(phones(&all), ["0000", "0001", "0002", "0003", "0004"]);
        assert_eq!(
            (&all["total"], &all["page"], &all["per_page"], &all["pages"]),
            (&json!(5), &json!(1), &json!(20), &json!(1))
        );
        assert_eq!(all["users"][4]["consent_state"], Value::Null);
        for (consent, expected) in
            [("OPT_IN", &["0000", "0003"][..]), ("OPT_OUT", &["0001"]), ("STOP", &["0002"])]
        {
            let some = app.call("GET", &format!("/api/v1/users?consent_state={consent}"), None).await.done();
            assert_eq!(
                (phones(&some).iter().map(String::as_str).collect::<Vec<_>>(), &some["total"]),
                (expected.to_vec(), &json!(expected.len()))
            );
        }
        let second = app.call("GET", "/api/v1/users?page=2&per_page=2", None).await.done();
        assert_eq!(
            (phones(&second), &second["pages"]),
            (vec!["0002".to_owned(), "0003".to_owned()], &json!(3))
        );
        for bad in ["consent_state=opt_in", "per_page=101", "page=0", "consent_state=no&page=x"] {
            assert_eq!(app.call("GET", &format!("/api/v1/users?{bad}"), None).await.code(), 400, "{bad}");
        }
    }
}

/// S2-09, C-22: a STOP outlives the user, and is not undone by making them again.
#[tokio::test]
async fn a_deleted_user_comes_back_as_the_same_contact_and_a_stop_holds() {
    for app in App::both().await {
        post(&app, json!({ "phone_e164": PHONE, "consent_state": "STOP", "attributes": { "name": "Jane" } }))
            .await
            .done();
        let deleted = app.call("DELETE", "/api/v1/users/%2B14155551234", None).await.done();
        assert_eq!(deleted, json!({ "message": "User deleted successfully", "phone_e164": PHONE }));
        assert_eq!(app.call("DELETE", "/api/v1/users/+14155551234", None).await.code(), 404);
        assert_eq!(app.call("GET", "/api/v1/users", None).await.done()["total"], 0);
        let refused = post(&app, json!({ "phone_e164": PHONE, "consent_state": "OPT_IN" })).await;
        assert_eq!((refused.code(), &refused.json()["error"]), (409, &json!("consent_stopped")));
        assert_eq!(get(&app).await.code(), 404, "nothing of a refused user is made");
        app.clock.pass(1_000);
        let back = post(&app, json!({ "phone_e164": PHONE })).await;
        assert_eq!((back.code(), &back.json()["consent_state"]), (201, &json!("STOP")));
        assert_eq!(back.json()["created_at"], "2026-01-15T10:30:01Z");
        let shown = get(&app).await.done();
        assert_eq!(
            (&shown["id"], &shown["attributes"]),
            (&json!("02000000-0000-8000-8000-000000000001"), &json!({}))
        );
        assert_eq!(app.number("SELECT COUNT(*) FROM suppressions WHERE why = 'stop'").await, 2);
    }
}

/// C-6: a lead by e-mail and a user by their number are one contact, whichever comes first.
#[tokio::test]
async fn a_lead_and_a_user_of_one_address_are_one_contact() {
    for app in App::both().await {
        // The lead first: its number makes it a user.
        app.call(
            "POST",
            "/api/v1/leads",
            Some(&json!({ "email": "a@example.com", "phone": PHONE, "company": "Example" })),
        )
        .await
        .done();
        let shown = get(&app).await.done();
        assert_eq!(shown["attributes"], json!({ "email": "a@example.com", "company": "Example" }));
        assert_eq!(post(&app, json!({ "phone_e164": PHONE })).await.code(), 409);
        // The lead first, without a number: a user with its address joins it.
        let lead = json!({ "email": "b@example.com", "first_name": "Bo" });
        let lead = app.call("POST", "/api/v1/leads", Some(&lead)).await.done();
        let user = json!({ "phone_e164": "+14155550002", "attributes": { "email": "B@example.com", "city": "Rome" } });
        assert_eq!(post(&app, user).await.code(), 201);
        let shown = app.call("GET", "/api/v1/users/+14155550002", None).await.done();
        assert_eq!(shown["id"], lead["id"]);
        assert_eq!(
            shown["attributes"],
            json!({ "email": "b@example.com", "first_name": "Bo", "city": "Rome" })
        );
        // The user first: a lead with their number is them.
        post(&app, json!({ "phone_e164": "+14155550003", "attributes": { "city": "Bonn" } })).await.done();
        let lead = json!({ "email": "c@example.com", "phone": "+14155550003", "last_name": "Cee" });
        let made = app.call("POST", "/api/v1/leads", Some(&lead)).await.done();
        assert_eq!(made["id"], app.call("GET", "/api/v1/users/+14155550003", None).await.done()["id"]);
        assert_eq!(made["attributes"], json!({ "city": "Bonn" }));
        // The user first, with an address: the lead is a duplicate, as S1-28 has it.
        post(&app, json!({ "phone_e164": "+14155550004", "attributes": { "email": "d@example.com" } }))
            .await
            .done();
        let twice = app.call("POST", "/api/external/leads", Some(&json!({ "email": "d@example.com" }))).await;
        assert_eq!(
            (twice.code(), twice.detail().as_str()),
            (400, "Lead with email d@example.com already exists")
        );
        assert_eq!(app.number("SELECT COUNT(*) FROM contacts").await, 4);
    }
}

/// Two living people stay two, and nobody loses an address; a deleted one gives it up.
#[tokio::test]
async fn who_has_an_address_keeps_it_until_they_are_deleted() {
    for app in App::both().await {
        let lead = |email: &str| json!({ "email": email, "phone": PHONE });
        app.call("POST", "/api/v1/leads", Some(&lead("a@example.com"))).await.done();
        let other = app.call("POST", "/api/v1/leads", Some(&lead("b@example.com"))).await.done();
        assert_eq!(other["phone"], PHONE, "what was given is kept");
        assert_eq!(get(&app).await.done()["attributes"]["email"], "a@example.com");
        let user = json!({ "phone_e164": "+14155550002", "attributes": { "email": "a@example.com" } });
        assert_eq!(post(&app, user).await.code(), 201);
        let shown = app.call("GET", "/api/v1/users/+14155550002", None).await.done();
        assert_eq!(shown["attributes"], json!({ "email": "a@example.com" }), "it stays an attribute");
        assert_eq!(app.number("SELECT COUNT(*) FROM contacts WHERE email_key = 'a@example.com'").await, 1);
        let moved = put(&app, json!({ "attributes": { "email": "z@example.com" } })).await;
        assert_eq!((moved.code(), &moved.json()["field"]), (422, &json!("attributes.email")));
        assert_eq!(put(&app, json!({ "attributes": { "email": null } })).await.code(), 422);
        assert_eq!(put(&app, json!({ "attributes": { "email": "A@example.com" } })).await.code(), 200);
        app.call("DELETE", "/api/v1/users/+14155551234", None).await.done();
        app.call("POST", "/api/v1/leads", Some(&lead("c@example.com"))).await.done();
        assert_eq!(get(&app).await.done()["attributes"]["email"], "c@example.com");
        assert_eq!(
            app.call("POST", "/api/v1/leads", Some(&lead("a@example.com"))).await.code(),
            201,
            "revived, without the number"
        );
        assert_eq!(app.number("SELECT COUNT(*) FROM contacts WHERE phone_key = '+14155551234'").await, 1);
    }
}

/// ATTACKS 4.3: users deleted while they are enrolled.
#[tokio::test]
async fn deleting_a_user_ends_what_is_under_way_to_them() {
    for app in App::both().await {
        let campaign =
            json!({ "name": "c", "steps": [{ "step_number": 1, "subject": "s", "template": "x" }] });
        app.call("POST", "/api/v1/campaigns", Some(&campaign)).await.done();
        let lead = json!([{ "email": "a@example.com", "phone": PHONE }]);
        app.call("POST", "/api/v1/campaigns/1/leads", Some(&lead)).await.done();
        app.call("DELETE", "/api/v1/users/+14155551234", None).await.done();
        assert_eq!(
            app.text("SELECT state || ' ' || reason FROM enrolments").await,
            "stopped contact_deleted"
        );
    }
}

/// Two requests at once for one number make one user.
#[tokio::test]
async fn two_at_once_make_one_user() {
    for app in App::both().await {
        let body = json!({ "phone_e164": PHONE, "consent_state": "OPT_IN", "attributes": { "email": "a@example.com" } });
        let lead = json!({ "email": "a@example.com", "phone": PHONE });
        let (one, two, three) = tokio::join!(
            post(&app, body.clone()),
            post(&app, body),
            app.call("POST", "/api/v1/leads", Some(&lead))
        );
        let mut codes = [one.code(), two.code()];
        codes.sort_unstable();
        assert!(codes == [201, 409] || codes == [409, 409], "{codes:?}");
        assert!([201, 409].contains(&three.code()), "{three:?}");
        assert_eq!(app.number("SELECT COUNT(*) FROM contacts").await, 1);
        assert_eq!(
            app.number("SELECT COUNT(*) FROM contacts WHERE phone_key IS NOT NULL AND email_key IS NOT NULL")
                .await,
            1
        );
    }
}

/// A42: what would be held later is refused at once, and a no is written down wherever it comes from.
#[tokio::test]
async fn a_number_that_nobody_may_send_to_is_refused_with_its_country_and_the_way_out() {
    for app in App::both().await {
        let german = json!({ "phone_e164": "+4930123456" });
        let refused = post(&app, german.clone()).await;
        let shown = refused.json();
        assert_eq!(
            (refused.code(), &shown["error"], &shown["field"]),
            (422, &json!("validation_error"), &json!("phone_e164"))
        );
        assert_eq!(shown["details"]["errors"][0]["code"], "destination_not_allowed");
        assert_eq!(shown["details"]["provided"], "+4930123456");
        let told = shown["message"].as_str().unwrap();
        assert!(told.contains("a number of DE") && told.contains("TWILIO_ALLOWED_COUNTRIES"), "{told}");
        for phone in ["+19005551234", "+88213300000"] {
            let refused = post(&app, json!({ "phone_e164": phone, "consent_state": "OPT_IN" })).await;
            assert!(refused.code() == 422 && refused.text.contains("no country"), "{refused:?}");
        }
        for state in ["OPT_OUT", "STOP"] {
            let phone = if state == "STOP" { "+4930123457" } else { "+4930123458" };
            let no = post(&app, json!({ "phone_e164": phone, "consent_state": state })).await;
            assert_eq!(no.code(), 201, "{no:?}");
        }
        let profile = json!({
            "name": "Berlin", "channel": "sms", "transport": "twilio", "from_phone": "+4915112345678",
            "twilio_account_sid": "AC00000000000000000000000000000002", "twilio_auth_token": "hunter2",
            "allowed_countries": ["DE"],
        });
        app.call("POST", "/api/v1/sending-profiles", Some(&profile)).await.done();
        assert_eq!(post(&app, german).await.code(), 201);
        let other = post(&app, json!({ "phone_e164": "+33123456789" })).await;
        assert!(other.code() == 422 && other.text.contains("FR"), "{other:?}");
    }
}

#[tokio::test]
async fn a_lead_whose_number_a_campaign_of_texts_may_not_send_to_is_not_enrolled() {
    let app = App::sqlite().await;
    let step = |n: u8, channel: &str| json!({ "step_number": n, "channel": channel, "template": "Hi", "subject": null });
    let texts = json!({ "name": "Texts", "steps": [step(1, "sms"), step(2, "whatsapp")] });
    let mut letter = step(1, "email");
    letter["subject"] = "Hi".into();
    let mixed = json!({ "name": "Mixed", "steps": [letter, step(2, "sms")] });
    for campaign in [texts, mixed] {
        app.call("POST", "/api/v1/campaigns", Some(&campaign)).await.done();
    }
    let leads = json!([
        { "email": "a@example.com", "phone": "+14155551234" },
        { "email": "b@example.com", "phone": "+4930123456" },
        { "email": "c@example.com", "phone": "not yet" },
    ]);
    let shown = app.call("POST", "/api/v1/campaigns/1/leads", Some(&leads)).await.done();
    assert_eq!(shown["enrolled"], 2, "{shown}");
    assert!(
        shown["errors"].to_string().contains("destination_not_allowed") && shown["errors"][0]["index"] == 1,
        "{shown}"
    );
    assert_eq!(app.call("POST", "/api/v1/campaigns/2/leads", Some(&leads)).await.done()["enrolled"], 3);
}
