//! A campaign is completed once nothing of it is to be sent, whoever finds out at the same instant that something is.

use crate::running::{SOON, until};
use crate::support::engine::{On, World, step};
use crate::support::protocol::{claim, dies, intend};
use sendwright_store::Tx;
use sendwright_store::due;
use sendwright_store::outcomes::{self, Outcome};
use sendwright_worker::channels::{Outcome as Said, Refusal};
use sendwright_worker::verdict;
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{MINUTE, Millis};
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::sequence::Delay;
use tokio::task::JoinHandle;

const START: Millis = 1_780_308_000_000;

/// A message whose worker died with it, its person through, and the proof that it never left, which is not recorded yet.
async fn unsent(world: &World) -> (i64, Outcome) {
    let steps = [step(1, Delay::default())];
    let (profile, campaign) = world.drafted(1, &Rates::default(), &Policy::default(), &steps).await;
    let dead = world.other().await;
    let message = claim(&dead, profile, 1).await.remove(0);
    let (attempt, _) = intend(&dead, &message).await;
    dies(&dead, &world.ctx).await;
    let no = Said::NotStarted { reason: Refusal::LeaseLost };
    let mut proof = verdict::ended(&dead, &message, attempt, &message.subject, no, START).await.outcome;
    proof.event_id = world.ctx.store.ids.one("events").await.unwrap();
    (campaign, proof)
}

async fn complete(mut tx: Tx, campaign: i64, event: i64) -> bool {
    let done = due::complete(&mut tx, campaign, event, START).await.unwrap();
    tx.commit().await.unwrap();
    done
}

async fn prove(mut tx: Tx, proof: Outcome) {
    outcomes::settle(&mut tx, &[proof]).await.unwrap();
    tx.commit().await.unwrap();
}

/// Until it has come as far as it can: to its end, or to a lock that another transaction holds.
async fn as_far_as_it_can<T>(world: &World, task: &JoinHandle<T>) {
    let waiting = "SELECT COUNT(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                    WHERE NOT l.granted AND d.datname = CURRENT_DATABASE()";
    let is_there = async || task.is_finished() || world.number(waiting).await > 0;
    until("it ends, or waits for a lock", SOON, is_there).await;
}

/// SQLite has one writer at a time, so that there is nothing to see.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_proven_unsent_while_its_campaign_is_completed_goes_out_all_the_same() {
    for proof_first in [true, false] {
        let mut world = World::new(On::Postgres, START).await;
        let (campaign, proof) = unsent(&world).await;
        let event = world.ctx.store.ids.one("events").await.unwrap();
        let (mut first, second) =
            (world.ctx.store.begin().await.unwrap(), world.ctx.store.begin().await.unwrap());
        if proof_first {
            outcomes::settle(&mut first, &[proof]).await.unwrap();
            let completing = tokio::spawn(complete(second, campaign, event));
            as_far_as_it_can(&world, &completing).await;
            first.commit().await.unwrap();
            assert!(!completing.await.unwrap(), "its message is to be sent");
        } else {
            assert!(due::complete(&mut first, campaign, event, START).await.unwrap());
            let proving = tokio::spawn(prove(second, proof));
            as_far_as_it_can(&world, &proving).await;
            first.commit().await.unwrap();
            proving.await.unwrap();
        }
        world.run_until(START + MINUTE).await;
        assert_eq!(world.mailbox().await.len(), 1, "{proof_first}");
        let states: Vec<(String,)> = world.rows("SELECT state FROM campaigns").await;
        assert_eq!(states[0].0, "completed");
    }
}
