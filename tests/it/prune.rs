//! What has served its purpose goes when its days are over; what is promised, told or counted stays.

use crate::inbound;
use crate::support::desk::{Desk, START};
use crate::support::engine::{BOTH, context};
use crate::tracking::{HTML, PERSON, both_on, hit, judged, paths, sent};
use sendwright_store::prune::{Keep, Kind, Place, piece};
use sendwright_worker::context::Context;
use sendwright_worker::prune::Prune;
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{DAY, HOUR, MINUTE, Millis};
use sendwright_workflows::rate_limit::Rates;
use serde_json::Value;
use std::sync::Arc;

const KEEP: Keep = Keep {
    deliveries: Some(30 * DAY),
    dead_deliveries: Some(90 * DAY),
    inbound: Some(90 * DAY),
    hits: Some(90 * DAY),
    usage: Some(400 * DAY),
    imports: Some(90 * DAY),
    runs: Some(400 * DAY),
};

/// A scheduler of its own over a desk's database.
async fn scheduler(desk: &Desk, keep: Keep) -> Arc<Context> {
    let db = desk.world.ctx.store.db.clone();
    context(db, desk.world.clock.clone(), |settings| settings.keep = keep).await
}

/// Ticks until it is through.
async fn prune(ctx: &Context, now: Millis) {
    let mut prune = Prune::default();
    while prune.pass(ctx, now).await.unwrap() {}
}

/// Endpoint 1 with 3,000 deliveries, a third of them each delivered, dead and pending; endpoint 2, deleted, with 30.
async fn with_deliveries(desk: &Desk) {
    for sql in [
        "INSERT INTO endpoints (id, account_id, url, events, state, schedule, secret_sealed, last_number, created_at,
             updated_at)
         VALUES (1, 1, 'https://a.example', '[\"*\"]', 'enabled', 'short', '', 3000, 0, 0),
                (2, 1, 'https://b.example', '[\"*\"]', 'deleted', 'short', '', 30, 0, 0)",
        "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 3030)
         INSERT INTO events (id, account_id, sequence, kind, at)
         SELECT 100000 + n, 1, 100000 + n, 'email.sent', 1768473000000 FROM s",
        "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 3030)
         INSERT INTO deliveries (id, account_id, endpoint_id, event_id, number, state, next_at, created_at, ended_at)
         SELECT n, 1, CASE WHEN n > 3000 THEN 2 ELSE 1 END, 100000 + n, CASE WHEN n > 3000 THEN n - 3000 ELSE n END,
                CASE n % 3 WHEN 0 THEN 'delivered' WHEN 1 THEN 'dead' ELSE 'pending' END,
                1768473000000, 1768473000000, CASE n % 3 WHEN 2 THEN NULL ELSE 1768473000000 END FROM s",
        "INSERT INTO delivery_attempts (delivery_id, fence, account_id, duration_ms, at)
         SELECT id, 1, 1, 5, 1768473000000 FROM deliveries WHERE state <> 'pending'",
    ] {
        desk.run(sql).await;
    }
}

/// How many deliveries of endpoint 1 there are, as (delivered, dead, pending), and how many attempts in all.
async fn left(desk: &Desk) -> (i64, i64, i64, i64) {
    let found = desk
        .world
        .rows::<(i64, i64, i64, i64)>(
            "SELECT COUNT(CASE state WHEN 'delivered' THEN 1 END), COUNT(CASE state WHEN 'dead' THEN 1 END),
                    COUNT(CASE state WHEN 'pending' THEN 1 END), (SELECT COUNT(*) FROM delivery_attempts)
             FROM deliveries WHERE endpoint_id = 1",
        )
        .await;
    found[0]
}

/// The last thousand numbers of an endpoint stay; of one that was deleted nothing does.
#[tokio::test]
async fn deliveries_go_when_their_days_are_over_and_a_dead_one_can_be_replayed_until_then() {
    for on in BOTH {
        let desk = Desk::new(on).await;
        with_deliveries(&desk).await;
        let events = desk.number("SELECT COUNT(*) FROM events").await;
        let (one, two) = (scheduler(&desk, KEEP).await, scheduler(&desk, KEEP).await);
        prune(&one, START + 30 * DAY - 1).await;
        assert_eq!(left(&desk).await, (1_000, 1_000, 1_000, 2_020));
        // Two schedulers at once.
        let now = START + 31 * DAY;
        tokio::join!(prune(&one, now), prune(&two, now));
        prune(&one, now).await;
        assert_eq!(left(&desk).await, (334, 1_000, 1_000, 1_334));
        assert_eq!(desk.number("SELECT COUNT(*) FROM deliveries WHERE endpoint_id = 2").await, 0);
        // One that was given up is replayed, and waits again, for however long.
        desk.world.clock.set(START + 89 * DAY);
        prune(&one, desk.now()).await;
        let body = serde_json::json!({ "delivery_id": dead(&desk).await });
        let (status, answer) = desk.call("POST", "/api/v1/webhooks/1/replay", Some(&body)).await;
        assert_eq!((status, &answer["replayed"]), (202, &Value::from(1)), "{answer}");
        prune(&one, START + 1_000 * DAY).await;
        assert_eq!(left(&desk).await, (334, 333, 1_001, 668));
        assert_eq!(desk.number("SELECT COUNT(*) FROM events").await, events);
    }
}

/// The face of the first delivery that was given up.
async fn dead(desk: &Desk) -> String {
    let path = "/api/v1/webhooks/1/deliveries?status=dead&sort=number";
    let (_, listed) = desk.call("GET", path, None).await;
    listed["deliveries"][0]["id"].as_str().unwrap_or_else(|| panic!("{listed}")).to_owned()
}

/// Opens, answers, runs, imports and requests go; the numbers that came of them do not move.
#[tokio::test]
async fn what_is_counted_stays_when_what_it_was_counted_from_goes() {
    for on in BOTH {
        let (desk, raw) = sent(on, both_on(), HTML).await;
        desk.world.clock.set(START + HOUR);
        hit(&desk, "GET", &paths(&raw, "o")[0], PERSON).await;
        judged(&desk, MINUTE).await;
        let answer = format!(
            "From: p@example.org\r\nTo: sender@example.com\r\nSubject: Re: x\r\nMessage-ID: <a@x>\r\n\
             In-Reply-To: {}\r\n\r\nYes, please.\r\n",
            inbound::message_id(&desk, 1)
        );
        inbound::post(&desk, answer).await;
        with_rows(&desk).await;
        let shown = async || {
            let mut all = Vec::new();
            for path in ["/campaigns/1/analytics", "/inbound", "/events", "/messages", "/campaigns/1"] {
                all.push(desk.call("GET", &format!("/api/v1{path}"), None).await.1);
            }
            all
        };
        let before = shown().await;
        let ctx = scheduler(&desk, KEEP).await;
        prune(&ctx, START + 89 * DAY).await;
        assert_eq!(counts(&desk).await, [1, 1, 2, 2_500, 1, 3, 0], "only answers by key are a day old");
        prune(&ctx, START + 92 * DAY).await;
        assert_eq!(counts(&desk).await, [0, 0, 0, 0, 1, 3, 0]);
        prune(&ctx, START + 1_000 * DAY).await;
        // Whether the present round's people were looked for is known by its run.
        assert_eq!(counts(&desk).await, [0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(desk.texts("SELECT kind || round FROM runs").await, ["expand1"]);
        assert_eq!(shown().await, before);
        // A person's second open is not told as the first, though that one's row is gone.
        desk.world.clock.set(START + 100 * DAY);
        hit(&desk, "GET", &paths(&raw, "o")[0], PERSON).await;
        let told = judged(&desk, MINUTE).await;
        assert_eq!((told.len(), &told[1]["first"]), (2, &Value::from(false)), "{told:?}");
    }
}

/// Two imports, of which one was refused 2,500 rows, an hour's requests, three runs, an answer by a key.
async fn with_rows(desk: &Desk) {
    for sql in [
        "INSERT INTO imports (id, account_id, kind, state, attempt, errors, created_at, updated_at)
         VALUES (1, 1, 'users', 'completed', 1, 2500, 1768473000000, 1768473000000),
                (2, 1, 'users', 'interrupted', 1, 0, 1768473000000, 1768473000000)",
        "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 2500)
         INSERT INTO import_errors (import_id, place, line, field, code, message)
         SELECT 1, n, n, 'row', 'columns', 'x' FROM s",
        "INSERT INTO usage (account_id, key_id, hour, method, route, requests, errors)
         VALUES (1, 1, 1768471200000, 'GET', '/api/v1/leads', 3, 0)",
        "INSERT INTO runs (id, account_id, campaign_id, round, kind, state, upto, created_at, ended_at)
         VALUES (1, 1, 1, 0, 'expand', 'completed', 1, 1768473000000, 1768473000000),
                (2, 1, 1, 1, 'expand', 'completed', 1, 1768473000000, 1768473000000),
                (3, 1, 1, 1, 'send', 'completed', 1, 1768473000000, 1768473000000)",
        "INSERT INTO idempotency_keys (account_id, key, request_hash, status, body, created_at)
         VALUES (1, 'k', '', 200, '{}', 1768473000000)",
    ] {
        desk.run(sql).await;
    }
}

/// Hits, wordings of what came back, imports, rows refused, hours of requests, runs, answers by key.
async fn counts(desk: &Desk) -> [i64; 7] {
    [
        desk.number("SELECT COUNT(*) FROM hits").await,
        desk.number("SELECT COUNT(*) FROM inbound WHERE length(raw) > 0").await,
        desk.number("SELECT COUNT(*) FROM imports").await,
        desk.number("SELECT COUNT(*) FROM import_errors").await,
        desk.number("SELECT COUNT(*) FROM usage").await,
        desk.number("SELECT COUNT(*) FROM runs").await,
        desk.number("SELECT COUNT(*) FROM idempotency_keys").await,
    ]
}

#[tokio::test]
async fn what_is_kept_for_ever_and_what_nobody_has_understood_yet_stays() {
    for on in BOTH {
        let mut desk = Desk::new(on).await;
        let profile = desk.world.profile("main", &Rates::default()).await;
        desk.world.campaign("Spring", profile, &Policy::default(), &[]).await;
        desk.until(START).await;
        with_deliveries(&desk).await;
        with_rows(&desk).await;
        for sql in [
            "INSERT INTO hits (id, account_id, message_id, kind, method, user_agent, address_prefix, at)
             VALUES (1, 1, 1, 'open', 'GET', '', '', 1)",
            "INSERT INTO inbound (id, account_id, hash, source, raw, look_at, received_at)
             VALUES (1, 1, 'h', 'api', 'x', 1, 1)",
        ] {
            desk.run(sql).await;
        }
        let before = (left(&desk).await, counts(&desk).await);
        prune(&*scheduler(&desk, Keep::default()).await, START + 10_000 * DAY).await;
        let mut after = (left(&desk).await, counts(&desk).await);
        after.1[6] += 1; // Answers by key are kept for a day, whatever is set.
        assert_eq!(after, before);
        prune(&*scheduler(&desk, KEEP).await, START + 10_000 * DAY).await;
        assert_eq!(counts(&desk).await[..2], [1, 1], "nobody has judged the one, or read the other");
    }
}

/// No piece is longer than its measure, and a rest is an hour.
#[tokio::test]
async fn a_piece_is_small_and_a_rest_is_an_hour() {
    for on in BOTH {
        let desk = Desk::new(on).await;
        with_deliveries(&desk).await;
        let now = START + 31 * DAY;
        let mut place = Place::default();
        let mut pieces = 0;
        loop {
            let mut tx = desk.core().store.begin().await.unwrap();
            let done = piece(&mut tx, Kind::Deliveries, &KEEP, place, now).await.unwrap();
            tx.commit().await.unwrap();
            assert!(done.gone <= 1_000);
            pieces += 1;
            match done.next {
                Some(next) => place = next,
                None => break,
            }
        }
        assert!((4..=6).contains(&pieces), "{pieces}");
        let ctx = scheduler(&desk, KEEP).await;
        let mut prune = Prune::default();
        while prune.pass(&ctx, now).await.unwrap() {}
        desk.run("UPDATE deliveries SET state = 'delivered', ended_at = 1768473000000 WHERE number = 2")
            .await;
        assert!(!prune.pass(&ctx, now + HOUR - 1).await.unwrap());
        assert_eq!(desk.number("SELECT COUNT(*) FROM deliveries WHERE number = 2").await, 1);
        while prune.pass(&ctx, now + HOUR).await.unwrap() {}
        assert_eq!(desk.number("SELECT COUNT(*) FROM deliveries WHERE number = 2").await, 0);
    }
}
