//! What holds after a recovery: no number comes twice, what was sent before still comes back, and what is held is let go by
//! nothing but its release.

use axum::body::Body;
use axum::http::Request;
use sendwright_store::restored::{self, Anew, STRIDE};
use sendwright_store::{Store, workers};
use sendwright_workflows::message::{message_id, of_message_id};
use sendwright_workflows::signing::{Secret, sign};
use serde_json::json;

use crate::support::api::{App, START};
use crate::support::site::{Shape, Site};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_is_refused_while_a_role_runs() {
    for shape in [Shape { hard: false, ..Shape::UP }, Shape { hard: false, workers: 1, ..Shape::PARTS }] {
        let mut site = Site::start(shape).await;
        let told = site.fails(&["recovery", "begin"]);
        assert!(told.contains("already runs the worker") || told.contains("stop every role"), "{told}");
        assert!(site.fails(&["recovery", "release", "--all", "--again"]).contains("no backup was restored"));
        site.end_all(true);
        site.db.close().await;
        site.say(&["recovery", "begin"]);
    }
}

fn anew(epoch: &str) -> Anew {
    Anew { epoch: epoch.into(), jump: STRIDE, lost: vec!["unseen".into()] }
}

/// Begins a recovery on the API's own database and serves what is there after it.
async fn recover(app: &mut App, epoch: &str) {
    let store = app.state.core.store.clone();
    let mut tx = store.begin().await.unwrap();
    assert!(restored::begin(&mut tx, &anew(epoch), START).await.unwrap().is_some());
    tx.commit().await.unwrap();
    let mut state = app.state.clone();
    state.core.store = Store::open(store.db.clone()).await.unwrap();
    app.serve(state);
}

async fn at_work(app: &App) {
    let campaign = json!({ "name": "C", "steps": [{ "step_number": 1, "name": "a", "template": "b" }] });
    app.call("POST", "/api/external/campaigns", Some(&campaign)).await.done();
    let lead = json!({ "email": "jane@example.com", "campaign_id": 1 });
    app.call("POST", "/api/external/leads", Some(&lead)).await.done();
}

/// Promise 3 holds across a restored backup.
#[tokio::test]
async fn a_link_to_unsubscribe_from_before_the_backup_still_counts() {
    for mut app in App::both().await {
        at_work(&app).await;
        let secret = Secret::new([42; 32]);
        let sent = sign(&secret, "unsubscribe", app.state.core.store.epoch(), &[app.account, 1]);
        let lost = sign(&secret, "unsubscribe", app.state.core.store.epoch(), &[app.account, 70]);
        recover(&mut app, "second").await;
        let unseen = sign(&secret, "unsubscribe", "unseen", &[app.account, 1]);
        let post = async |token: &str| {
            let request = Request::post(format!("/u/{token}"));
            let body = Body::from("List-Unsubscribe=One-Click");
            app.send(request.header("content-type", "application/x-www-form-urlencoded").body(body).unwrap())
                .await
        };
        assert_eq!(
            post(&lost).await.code(),
            503,
            "whoever is not known any more is not told that it is done"
        );
        assert_eq!(app.number("SELECT COUNT(*) FROM suppressions").await, 0);
        assert_eq!(post(&sent).await.code(), 200);
        assert_eq!(app.number("SELECT COUNT(*) FROM suppressions").await, 1);
        assert_eq!(post(&unseen).await.code(), 200, "also of an epoch that only the data directory knew");
    }
}

#[tokio::test]
async fn a_recovery_gives_no_number_again_and_is_begun_once() {
    for mut app in App::both().await {
        at_work(&app).await;
        let before = app.state.core.store.clone();
        let message = before.ids.one("messages").await.unwrap();
        recover(&mut app, "second").await;
        let after = app.state.core.store.clone();
        assert!(after.ids.one("messages").await.unwrap() > message + STRIDE);
        assert!(after.ids.one("never used before").await.unwrap() > STRIDE);
        assert!(app.number("SELECT MIN(last) FROM event_counters").await >= STRIDE);
        // A Message-ID is the same for ever, and what comes back of it is known.
        let id = message_id(message, after.epoch_of(message), "example.com");
        assert_eq!(of_message_id(&id, before.epoch()), Some(message));
        assert_eq!(after.epoch_of(message + 2 * STRIDE), "second");
        assert_eq!(after.epochs().collect::<Vec<_>>(), ["second", before.epoch(), "unseen"]);
        let mut tx = after.begin().await.unwrap();
        assert_eq!(restored::begin(&mut tx, &anew("third"), START).await.unwrap(), None, "nothing ran since");
        tx.rollback().await.unwrap();
        let worker = after.ids.one("workers").await.unwrap();
        let mut tx = after.begin().await.unwrap();
        workers::register(&mut tx, worker, "w", 1, START).await.unwrap();
        assert!(restored::begin(&mut tx, &anew("third"), START).await.unwrap().is_some());
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_campaign_that_a_recovery_holds_is_neither_started_nor_released_by_others() {
    for mut app in App::both().await {
        at_work(&app).await;
        recover(&mut app, "second").await;
        let answer = app.call("POST", "/api/v1/campaigns/1/start", None).await;
        assert_eq!(answer.code(), 409);
        assert!(answer.text.contains("recovery release"), "{}", answer.text);
        let shown = app.call("GET", "/api/v1/campaigns/1", None).await.done();
        assert_eq!(shown["status"], "HELD");
        let external = app.call("GET", "/api/external/campaigns/1", None).await.done();
        assert_eq!(external["status"], "paused");
        let lead = app.call("GET", "/api/v1/leads/1/explain", None).await;
        assert!(lead.text.contains("recovery"), "{}", lead.text);
    }
}
