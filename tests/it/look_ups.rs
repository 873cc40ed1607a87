//! What a look-up costs beside many contacts, in SQLite's own steps: time on a busy machine proves nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sendwright_store::contacts::{self, Details};
use sendwright_store::{Tx, values};

use crate::support::api::{App, START};

fn person(n: usize) -> Details {
    let address = format!("p{n}@example.com");
    Details {
        email: Some(address.clone()),
        email_key: Some(address),
        email_hash: Some(format!("e{n}")),
        phone: Some(format!("+1{n:010}")),
        phone_key: Some(format!("+1{n:010}")),
        phone_hash: Some(format!("p{n}")),
        first_name: Some(format!("P{n}")),
        attributes: "{}".to_owned(),
        ..Details::default()
    }
}

async fn fill(app: &App, people: std::ops::Range<usize>) -> Vec<i64> {
    let store = &app.state.core.store;
    let ids: Vec<i64> = store.ids.take("contacts", people.len()).await.unwrap().collect();
    let details: Vec<Details> = people.map(person).collect();
    let new: Vec<(i64, &Details)> = ids.iter().copied().zip(&details).collect();
    let mut tx = store.begin().await.unwrap();
    contacts::insert(&mut tx, app.account, &new, START).await.unwrap();
    tx.commit().await.unwrap();
    ids
}

/// Hundreds of steps that finding these people by address and indexing them anew takes.
async fn steps(app: &App, people: std::ops::Range<usize>, ids: &[i64]) -> u64 {
    let details: Vec<Details> = people.map(person).collect();
    let emails: Vec<&str> = details.iter().filter_map(|one| one.email_key.as_deref()).collect();
    let phones: Vec<&str> = details.iter().filter_map(|one| one.phone_key.as_deref()).collect();
    let mut tx = app.state.core.store.begin().await.unwrap();
    let taken = Arc::new(AtomicU64::new(0));
    if let Tx::Sqlite(sqlite) = &mut tx {
        let taken = Arc::clone(&taken);
        sqlite.lock_handle().await.unwrap().set_progress_handler(100, move || {
            taken.fetch_add(1, Ordering::Relaxed);
            true
        });
    }
    let found = contacts::known(&mut tx, app.account, &emails, &phones).await.unwrap();
    assert_eq!(found.len(), ids.len());
    values::index(&mut tx, app.account, ids).await.unwrap();
    if let Tx::Sqlite(sqlite) = &mut tx {
        sqlite.lock_handle().await.unwrap().remove_progress_handler();
    }
    tx.rollback().await.unwrap();
    taken.load(Ordering::Relaxed)
}

#[tokio::test]
async fn finding_and_indexing_people_takes_no_more_steps_beside_ten_times_as_many() {
    const SOME: std::ops::Range<usize> = 0..200;
    let app = App::sqlite().await;
    let ids = fill(&app, SOME).await;
    let few = steps(&app, SOME, &ids).await;
    fill(&app, 200..4_000).await;
    let many = steps(&app, SOME, &ids).await;
    assert!(few > 0 && many < 2 * few, "{few} and {many} hundreds of steps");
}
