//! The ledger of consent: who said what, in chains that show a touch, and what it forbids.

use sendwright_store::consents::{self, Consent};
use sendwright_workflows::clock::rfc3339;
use serde_json::{Value, json};

use crate::support::api::{App, Reply};
use crate::support::upload::upload;

const PHONE: &str = "+14155551234";
const USER: &str = "/api/v1/users/+14155551234";

async fn say(app: &App, consent: &str) -> Reply {
    app.clock.pass(1_000);
    app.call("PUT", USER, Some(&json!({ "consent_state": consent }))).await
}

async fn made(app: &App, consent: &str) {
    let body = json!({ "phone_e164": PHONE, "consent_state": consent });
    app.call("POST", "/api/v1/users", Some(&body)).await.done();
}

async fn state(app: &App) -> String {
    app.call("GET", USER, None).await.done()["consent_state"].as_str().unwrap().to_owned()
}

fn evidence(app: &App, before: i64) -> Value {
    let now = sendwright_workflows::clock::Clock::now(&*app.clock).unwrap();
    json!({ "wording": "Text me about my orders", "source": "web form /signup", "at": rfc3339(now - before) })
}

async fn suppressed(app: &App) -> i64 {
    app.number("SELECT COUNT(*) FROM suppressions WHERE channel IN ('sms', 'whatsapp')").await
}

#[tokio::test]
async fn an_opt_out_forbids_both_channels_and_an_opt_in_allows_them() {
    for app in App::both().await {
        made(&app, "OPT_IN").await;
        assert_eq!(suppressed(&app).await, 0);
        assert_eq!(say(&app, "OPT_OUT").await.done()["consent_state"], "OPT_OUT");
        assert_eq!(suppressed(&app).await, 2);
        assert_eq!(app.text("SELECT MIN(hint) FROM suppressions").await, "+1415…34");
        assert_eq!(say(&app, "OPT_IN").await.done()["consent_state"], "OPT_IN");
        assert_eq!(suppressed(&app).await, 0);
        let shown = app.call("GET", USER, None).await.done();
        assert_eq!(shown["consent_updated_at"], "2026-01-15T10:30:02Z");
        assert_eq!(app.number("SELECT COUNT(*) FROM events WHERE kind = 'contact.opted_out'").await, 1);
        assert_eq!(app.number("SELECT COUNT(*) FROM events WHERE kind = 'contact.opted_in'").await, 1);
        // The same again is no news.
        say(&app, "OPT_IN").await.done();
        assert_eq!(app.number("SELECT COUNT(*) FROM consents").await, 6);
    }
}

#[tokio::test]
async fn a_word_about_one_channel_leaves_the_other() {
    for app in App::both().await {
        made(&app, "OPT_IN").await;
        let body = json!({ "consent_state": "OPT_OUT", "channel": "whatsapp" });
        let changed = app.call("PUT", USER, Some(&body)).await.done();
        assert_eq!(changed["channels"], json!({ "email": null, "sms": "OPT_IN", "whatsapp": "OPT_OUT" }));
        assert_eq!(changed["consent_state"], "OPT_OUT", "the strictest is shown");
        assert_eq!(app.text("SELECT channel FROM suppressions").await, "whatsapp");
        let body = json!({ "consent_state": "OPT_OUT", "channel": "email" });
        let refused = app.call("PUT", USER, Some(&body)).await;
        assert_eq!((refused.code(), &refused.json()["field"]), (422, &json!("channel")));
        app.call("PUT", USER, Some(&json!({ "attributes": { "email": "a@example.com" } }))).await.done();
        let changed = app.call("PUT", USER, Some(&body)).await.done();
        assert_eq!(changed["channels"]["email"], "OPT_OUT");
        // Nobody but the recipient lifts an opt-out from e-mail without evidence.
        let body = json!({ "consent_state": "OPT_IN", "channel": "email" });
        assert_eq!(app.call("PUT", USER, Some(&body)).await.code(), 409);
    }
}

/// A45, C-22: an update without evidence, an upload, a delete and re-create, and an opt-out between.
#[tokio::test]
async fn a_stop_is_lifted_by_evidence_of_a_later_yes_and_by_nothing_else() {
    for app in App::both().await {
        made(&app, "STOP").await;
        for _ in 0..2 {
            let refused = say(&app, "OPT_IN").await;
            assert_eq!((refused.code(), &refused.json()["error"]), (409, &json!("consent_stopped")));
            // A weaker no changes nothing, so that it cannot be lifted in its place.
            assert_eq!(say(&app, "OPT_OUT").await.done()["consent_state"], "STOP");
        }
        let uploaded = upload(&app, "phone_e164,consent_state,city\n+14155551234,OPT_IN,Rome\n").await.done();
        assert_eq!((&uploaded["errors"], &uploaded["updated"]), (&json!(1), &json!(0)));
        assert_eq!(uploaded["validation_errors"][0]["error"], "consent_stopped");
        assert_eq!(app.call("GET", USER, None).await.done()["attributes"], json!({}));
        app.call("DELETE", USER, None).await.done();
        let again = json!({ "phone_e164": PHONE, "consent_state": "OPT_IN" });
        assert_eq!(app.call("POST", "/api/v1/users", Some(&again)).await.code(), 409);
        app.call("POST", "/api/v1/users", Some(&json!({ "phone_e164": PHONE }))).await.done();
        assert_eq!(state(&app).await, "STOP");
        assert_eq!(suppressed(&app).await, 2);
        let ahead = json!({ "consent_state": "OPT_IN", "consent_evidence": evidence(&app, -60_000) });
        let refused = app.call("PUT", USER, Some(&ahead)).await;
        assert_eq!((refused.code(), &refused.json()["field"]), (422, &json!("consent_evidence.at")));
        let before = json!({ "consent_state": "OPT_IN", "consent_evidence": evidence(&app, 60_000) });
        assert_eq!(app.call("PUT", USER, Some(&before)).await.code(), 409, "they said it before the STOP");
        let after = json!({ "consent_state": "OPT_IN", "consent_evidence": evidence(&app, 0) });
        assert_eq!(app.call("PUT", USER, Some(&after)).await.done()["consent_state"], "OPT_IN");
        assert_eq!(suppressed(&app).await, 0);
        let lines = app.call("GET", &format!("{USER}/consents"), None).await.done();
        let last = lines["consents"].as_array().unwrap().last().unwrap();
        assert_eq!(last["wording"], "Text me about my orders");
        assert_eq!(last["evidence"]["source"], "web form /signup");
        assert_eq!(app.number("SELECT COUNT(*) FROM events WHERE kind = 'contact.opted_in'").await, 1);
    }
}

/// A list says yes for whoever never said no.
#[tokio::test]
async fn an_upload_does_not_lift_an_opt_out() {
    for app in App::both().await {
        made(&app, "OPT_IN").await;
        say(&app, "OPT_OUT").await.done();
        let file = "phone_e164,consent_state\n+14155551234,OPT_IN\n+14155550002,OPT_IN\n+14155551234,\n";
        let uploaded = upload(&app, file).await.done();
        assert_eq!(uploaded["validation_errors"][0]["error"], "consent_opted_out");
        assert_eq!(
            (&uploaded["created"], &uploaded["updated"], &uploaded["errors"]),
            (&json!(1), &json!(1), &json!(1))
        );
        assert_eq!(state(&app).await, "OPT_OUT");
        // And it says no for anybody.
        upload(&app, "phone_e164,consent_state\n+14155550002,STOP\n").await.done();
        assert_eq!(app.number("SELECT COUNT(*) FROM suppressions WHERE why = 'stop'").await, 2);
    }
}

async fn export(app: &App) -> Vec<Consent> {
    let mut tx = app.state.core.store.read().await.unwrap();
    let lines = consents::walk(&mut tx, app.account, ("", "", 0), 1_000).await.unwrap();
    tx.rollback().await.unwrap();
    lines
}

/// Every way to say something ends in the same chains: the API, an upload, a link, the desk.
#[tokio::test]
async fn every_line_holds_the_hash_of_the_one_before() {
    for app in App::both().await {
        made(&app, "OPT_IN").await;
        say(&app, "OPT_OUT").await.done();
        upload(&app, "phone_e164,consent_state\n+14155551234,STOP\n+14155550002,OPT_IN\n").await.done();
        app.call("POST", "/api/v1/suppressions", Some(&json!({ "email": "a@example.com" }))).await.done();
        let lines = export(&app).await;
        assert_eq!(lines.len(), 2 * 3 + 2 + 1);
        let mut previous = (String::new(), String::new(), 0, String::new());
        for line in lines {
            assert_eq!(line.hash, line.hashed());
            let is_next = (&line.channel, &line.address_hash) == (&previous.0, &previous.1);
            let expected = if is_next { (previous.2 + 1, previous.3.clone()) } else { (1, String::new()) };
            assert_eq!((line.place, line.previous.clone()), expected);
            previous = (line.channel, line.address_hash, line.place, line.hash);
        }
        let shown = app.call("GET", &format!("{USER}/consents?per_page=2"), None).await.done();
        assert_eq!((&shown["total"], &shown["pages"]), (&json!(6), &json!(3)));
        assert_eq!(shown["consents"][0]["previous"], "");
        assert_eq!(
            app.number("SELECT COUNT(*) FROM consents WHERE source = 'import' AND actor = 'key:1'").await,
            4
        );
    }
}

/// Many at once about one number: one chain, no fork.
#[tokio::test]
async fn words_that_come_at_once_make_one_chain() {
    for app in App::both().await {
        made(&app, "OPT_IN").await;
        let words = (0..20).map(|n| {
            let app = &app;
            async move {
                let body = json!({ "consent_state": if n % 2 == 0 { "OPT_OUT" } else { "OPT_IN" } });
                app.call("PUT", USER, Some(&body)).await.done();
            }
        });
        futures::future::join_all(words).await;
        let lines = export(&app).await;
        for channel in ["sms", "whatsapp"] {
            let chain: Vec<_> = lines.iter().filter(|line| line.channel == channel).collect();
            assert!(chain.len() > 1);
            assert!(chain.iter().enumerate().all(|(n, line)| line.place == n as i64 + 1));
            assert!(chain.windows(2).all(|pair| pair[1].previous == pair[0].hash));
        }
    }
}
