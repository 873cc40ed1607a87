//! The unsubscribe link: looking does nothing, one click does everything, and the answer comes when it holds.

use axum::body::Body;
use axum::http::Request;
use sendwright_workflows::signing::{Secret, sign};
use serde_json::json;
use std::time::Duration;

use crate::support::api::{App, Reply};

async fn lead(app: &App) -> String {
    let campaign = json!({ "name": "C", "steps": [{ "step_number": 1, "name": "a", "template": "b" }] });
    app.call("POST", "/api/external/campaigns", Some(&campaign)).await.done();
    let lead = json!({ "email": "jane@example.com", "campaign_id": 1 });
    app.call("POST", "/api/external/leads", Some(&lead)).await.done();
    token(app, &[app.account, 1])
}

fn token(app: &App, ids: &[i64]) -> String {
    sign(&Secret::new([42; 32]), "unsubscribe", app.state.core.store.epoch(), ids)
}

async fn get(app: &App, token: &str) -> Reply {
    app.send(Request::get(format!("/u/{token}")).body(Body::empty()).unwrap()).await
}

async fn post(app: &App, token: &str, body: &'static str) -> Reply {
    let request =
        Request::post(format!("/u/{token}")).header("content-type", "application/x-www-form-urlencoded");
    app.send(request.body(Body::from(body)).unwrap()).await
}

/// A32, RFC 8058.
#[tokio::test]
async fn looking_does_nothing_and_one_click_opts_out() {
    for app in App::both().await {
        let token = lead(&app).await;
        let page = get(&app, &token).await;
        assert_eq!(page.code(), 200);
        assert!(page.text.contains("j…@example.com") && !page.text.contains("jane@"));
        assert!(page.header("content-security-policy").contains("default-src 'none'"));
        for body in ["", "List-Unsubscribe=Perhaps", "x=1"] {
            assert_eq!(post(&app, &token, body).await.code(), 400);
        }
        assert_eq!(app.number("SELECT COUNT(*) FROM suppressions").await, 0);
        for _ in 0..2 {
            assert_eq!(post(&app, &token, "List-Unsubscribe=One-Click").await.code(), 200);
        }
        let held = "SELECT why || ' ' || source || ' ' || hint FROM suppressions";
        assert_eq!(app.text(held).await, "opt_out unsubscribe_link j…@example.com");
        assert_eq!(app.text("SELECT state || ' ' || reason FROM enrolments").await, "stopped suppressed");
        assert_eq!(
            app.number("SELECT COUNT(*) FROM consents WHERE contact_id = 1 AND actor = 'recipient'").await,
            1
        );
        assert_eq!(app.number("SELECT COUNT(*) FROM events WHERE kind = 'contact.opted_out'").await, 1);
    }
}

/// A31.
#[tokio::test]
async fn a_link_that_we_did_not_sign_is_nobodys() {
    let app = App::sqlite().await;
    let good = lead(&app).await;
    let epoch = app.state.core.store.epoch();
    let mut forged = vec![
        "x".to_owned(),
        good[..good.len() - 2].to_owned(),
        sign(&Secret::new([1; 32]), "unsubscribe", epoch, &[1, 1]),
        sign(&Secret::new([42; 32]), "track", epoch, &[1, 1]),
        sign(&Secret::new([42; 32]), "unsubscribe", "another-epoch", &[1, 1]),
        token(&app, &[]),
        token(&app, &[app.account]),
        token(&app, &[app.account, 1, 1, 1]),
    ];
    forged.push(token(&app, &[app.account, 77]));
    for token in forged {
        assert_eq!(get(&app, &token).await.code(), 404, "{token}");
    }
    assert_eq!(post(&app, "x", "List-Unsubscribe=One-Click").await.code(), 404);
    assert_eq!(app.number("SELECT COUNT(*) FROM suppressions").await, 0);
}

#[tokio::test]
async fn a_deleted_lead_can_still_opt_out() {
    let app = App::sqlite().await;
    let token = lead(&app).await;
    app.call("DELETE", "/api/v1/leads/1", None).await.done();
    assert_eq!(post(&app, &token, "List-Unsubscribe=One-Click").await.code(), 200);
    assert_eq!(app.number("SELECT COUNT(*) FROM suppressions").await, 1);
}

/// Promise 3, SEND_PROTOCOL 4.
#[tokio::test]
async fn an_opt_out_is_answered_when_no_hand_over_to_the_address_is_open() {
    for app in App::both().await {
        lead(&app).await;
        let token = token(&app, &[app.account, 1, 5]);
        app.run(
            "INSERT INTO messages (id, account_id, campaign_id, round, enrolment_id, contact_id, profile_id, step_id,
                    step_number, version, channel, address, address_hash, zone, state, planned_at, decision,
                    created_at, updated_at)
             SELECT 5, account_id, 1, 1, 1, id, 1, 1, 1, 1, 'email', email, email_hash, 'UTC', 'sending', 0, '{}', 0, 0
               FROM contacts",
        )
        .await;
        app.run(
            "INSERT INTO attempts (id, account_id, message_id, worker_id, fence, slot, state, intent_at)
             SELECT 1, account_id, 5, 1, 1, 0, 'sending', created_at FROM contacts",
        )
        .await;
        let mut answer = std::pin::pin!(post(&app, &token, "List-Unsubscribe=One-Click"));
        let committed = async {
            while app.number("SELECT COUNT(*) FROM suppressions").await == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            reply = &mut answer => panic!("answered before it held: {reply:?}"),
            () = committed => {}
        }
        assert!(tokio::time::timeout(Duration::from_millis(150), &mut answer).await.is_err());
        app.run("UPDATE attempts SET state = 'accepted'").await;
        assert_eq!(answer.await.code(), 200);
    }
}

#[tokio::test]
async fn an_opt_out_that_could_not_be_committed_is_an_error() {
    let app = App::sqlite().await;
    let token = lead(&app).await;
    app.run("DROP TABLE consents").await;
    assert_eq!(post(&app, &token, "List-Unsubscribe=One-Click").await.code(), 503);
    assert_eq!(app.number("SELECT COUNT(*) FROM suppressions").await, 0);
}

#[tokio::test]
async fn who_was_sent_a_test_opts_out_alone() {
    for app in App::both().await {
        lead(&app).await;
        for (to, number) in [("boss@example.org", 1), ("Jane@Example.com", 2)] {
            let test = json!({ "to": to, "lead_id": 1 });
            app.call("POST", "/api/v1/campaigns/1/test", Some(&test)).await.done();
            assert_eq!(app.number("SELECT MAX(id) FROM messages").await, number);
        }
        let token_of = |message| token(&app, &[app.account, 1, message]);
        assert!(get(&app, &token_of(1)).await.text.contains("b…@example.org"));
        assert_eq!(post(&app, &token_of(1), "List-Unsubscribe=One-Click").await.code(), 200);
        assert_eq!(app.text("SELECT hint FROM suppressions").await, "b…@example.org");
        assert_eq!(app.text("SELECT state FROM enrolments").await, "active");
        // Unless the test went to the lead's own address.
        assert_eq!(post(&app, &token_of(2), "List-Unsubscribe=One-Click").await.code(), 200);
        assert_eq!(app.number("SELECT COUNT(*) FROM suppressions").await, 2);
        assert_eq!(app.text("SELECT state || ' ' || reason FROM enrolments").await, "stopped suppressed");
    }
}
