//! Intents that wait at their dots at the same moment are one transaction (SEND_PROTOCOL 3).

use crate::support::engine::{BOTH, On, World, context, fresh_db, step};
use crate::support::protocol::{claim, opt_out};
use futures::future::join_all;
use sendwright_store::claims::Claimed;
use sendwright_store::intents::AtTheDot;
use sendwright_worker::at_the_dot::Group;
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{Clock, Millis};
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::sequence::Delay;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const START: Millis = 1_780_308_000_000;

/// Later by a millisecond whenever it is asked: every transaction has an instant of its own.
struct Counting(AtomicI64);

impl Clock for Counting {
    fn now(&self) -> Option<Millis> {
        Some(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

async fn claimed(on: On, people: usize) -> (World, Vec<Claimed>) {
    let (db, directory) = fresh_db(on).await;
    let clock = Arc::new(Counting(AtomicI64::new(START)));
    let ctx = context(db, clock, |_| {}).await;
    let world = World::over(ctx, START, directory).await;
    let steps = [step(1, Delay::default())];
    let (profile, _) = world.drafted(people, &Rates::default(), &Policy::default(), &steps).await;
    let claimed = claim(&world.ctx, profile, people).await;
    assert_eq!(claimed.len(), people);
    (world, claimed)
}

async fn ask(world: &World, claimed: &[Claimed], rates: Rates) -> Vec<AtTheDot> {
    let attempts = world.ctx.store.ids.take("attempts", claimed.len()).await.unwrap();
    let group = Arc::new(Group::default());
    let asked = claimed.iter().zip(attempts).map(|(message, attempt)| {
        let (group, ctx) = (group.clone(), world.ctx.clone());
        async move { group.ask(&ctx, (message, attempt), rates).await.unwrap().0 }
    });
    join_all(asked).await
}

#[tokio::test]
async fn connections_that_wait_together_commit_their_intents_together() {
    for on in BOTH {
        let (world, claimed) = claimed(on, 12).await;
        let came = ask(&world, &claimed, Rates::default()).await;
        assert!(came.iter().all(|came| matches!(came, AtTheDot::Go { .. })), "{came:?}");
        assert_eq!(world.number("SELECT COUNT(*) FROM attempts WHERE state = 'sending'").await, 12);
        assert_eq!(world.number("SELECT COUNT(DISTINCT intent_at) FROM attempts").await, 1, "{on:?}");
    }
}

#[tokio::test]
async fn each_of_a_group_has_its_own_answer_and_the_limit_holds_for_all() {
    for on in BOTH {
        let (world, claimed) = claimed(on, 5).await;
        opt_out(&world.ctx, world.account, &claimed[0].address_hash).await;
        world.exec("UPDATE messages SET fence = fence + 1 WHERE address = 'p3@example.com'").await;
        let rates = Rates { per_second: Some(1.0), per_day: Some(10), ..Rates::default() };
        let came = ask(&world, &claimed, rates).await;
        let [
            AtTheDot::Back { state: "suppressed", .. },
            AtTheDot::Go { slot },
            AtTheDot::Wait { until },
            AtTheDot::Lost,
            AtTheDot::Wait { .. },
        ] = came[..]
        else {
            panic!("{on:?}: {came:?}")
        };
        assert!(until * 1_000 >= slot + 1_000_000, "{until} is within a second of {slot}");
        assert_eq!(
            world.pairs("SELECT address, state FROM messages WHERE attempts > 0").await,
            ["p1@example.com|sending"]
        );
        assert_eq!(world.number("SELECT COUNT(*) FROM messages WHERE state = 'claimed'").await, 4);
        let counted = "SELECT CAST(SUM(day_count) AS BIGINT) FROM gates WHERE owner = 'profile'";
        assert_eq!(world.number(counted).await, 1, "{on:?}: who waits is not counted");
    }
}
