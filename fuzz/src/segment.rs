//! Conditions of segments: a tree that is taken is answered by the database, and who is in it and who is not are together
//! everybody.

use crate::{Target, about, kind};
use sendwright_store::contacts::{self, Details};
use sendwright_store::segments::people;
use sendwright_store::{Db, Store, accounts, migrate};
use sendwright_workflows::clock::{DAY, Millis};
use sendwright_workflows::segment::{Filter, Joint, MOST_CONDITIONS};
use sendwright_workflows::spec::filter;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub const TARGET: Target = Target {
    name: "segment",
    run,
    words: &[
        "{\"attribute\":\"city\",\"operator\":\"equals\",\"value\":\"Rome\"}",
        "\"operator\":\"AND\"",
        "\"conditions\":[",
        "]}",
        "\"NOT\"",
        "\"OR\"",
        "\"equals\"",
        "\"not_equals\"",
        "\"in\"",
        "\"not_in\"",
        "\"contains\"",
        "\"starts_with\"",
        "\"ends_with\"",
        "\"exists\"",
        "\"not_exists\"",
        "\"greater_than\"",
        "\"less_than\"",
        "\"between\"",
        "\"before\"",
        "\"after\"",
        "\"within_days\"",
        "\"age\"",
        "\"vip\"",
        "\"email\"",
        "\"created_at\"",
        "\"phone_e164\"",
        "\"consent\"",
        "\"behaviour\"",
        "\"opened\"",
        "\"2026-01-15\"",
        "true",
        "null",
        "1e308",
        "-0",
        "99999999999999999999",
        "[]",
        "{}",
        "\"%\"",
        "\"_\"",
        "\"\\u0000\"",
        "\"'\"",
    ],
};

/// The instant of all questions.
const NOW: Millis = 1_768_473_000_000;
/// How many contacts there are.
const PEOPLE: i64 = 24;

fn run(input: &[u8]) -> u64 {
    let Ok(criteria) = serde_json::from_slice::<Value>(input) else { return 0 };
    match filter(&criteria) {
        Ok(tree) => {
            assert_eq!(filter(&criteria).as_ref(), Ok(&tree), "the same twice");
            assert!(conditions(&tree) <= MOST_CONDITIONS, "{} conditions", conditions(&tree));
            let within = count(&tree);
            let without = count(&Filter::Group(Joint::Not, vec![tree.clone()]));
            assert_eq!(within + without, PEOPLE, "in it and not in it, of {criteria}");
            let twice = Filter::Group(Joint::Or, vec![tree.clone(), tree.clone()]);
            assert_eq!(count(&twice), within, "the same or the same, of {criteria}");
            kind((within, about(conditions(&tree)), words(&tree)))
        }
        Err(faults) => {
            assert!(!faults.is_empty(), "refused without a word: {criteria}");
            let codes: BTreeSet<String> = faults.iter().map(|fault| fault.code.to_string()).collect();
            kind(("refused", codes))
        }
    }
}

fn conditions(tree: &Filter) -> usize {
    match tree {
        Filter::Group(_, of) => of.iter().map(conditions).sum(),
        _ => 1,
    }
}

/// Which conditions it is made of, but not how often.
fn words(tree: &Filter) -> BTreeSet<String> {
    match tree {
        Filter::Group(joint, of) => of.iter().flat_map(words).chain([format!("{joint:?}")]).collect(),
        Filter::Attribute { test, negated, .. } => {
            let test = format!("{test:?}");
            let word = test.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
            [format!("{word} {negated}")].into()
        }
        Filter::Consent { states, negated, .. } => [format!("consent {} {negated}", states.len())].into(),
        Filter::Behaviour { what, negated, .. } => [format!("{what:?} {negated}")].into(),
    }
}

struct Place {
    runtime: Runtime,
    store: Store,
    account: i64,
    _directory: TempDir,
}

thread_local! {
    /// A database with some people of every sort; gone with the thread.
    static PLACE: Place = match furnish() {
        Ok(place) => place,
        Err(error) => panic!("no database: {error}"),
    };
}

fn count(tree: &Filter) -> i64 {
    let counted = PLACE.with(|place| {
        place.runtime.block_on(async {
            let mut tx = place.store.read().await?;
            people(place.account, tree, NOW).count(&mut tx).await
        })
    });
    match counted {
        Ok(count) => count,
        Err(error) => panic!("the database does not answer: {error}"),
    }
}

fn furnish() -> anyhow::Result<Place> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("fuzz.db");
    let (store, account) = runtime.block_on(async {
        let db = Db::connect(&format!("sqlite://{}", path.display()), 1).await?;
        migrate::migrate(&db).await?;
        let store = Store::open(db).await?;
        let account = accounts::create(&store, "fuzz", "fuzz@example.com", "UTC", NOW).await?.id;
        let mut tx = store.begin().await?;
        for n in 1..=PEOPLE {
            contacts::insert(&mut tx, account, &[(n, &person(n))], NOW - n * DAY).await?;
        }
        tx.commit().await?;
        anyhow::Ok((store, account))
    })?;
    Ok(Place { runtime, store, account, _directory: directory })
}

fn person(n: i64) -> Details {
    let email = format!("p{n}@d{}.example.com", n % 3);
    let cities = ["Rome", "San Francisco", "Zürich", "rome", "100%", "a_b", "O'Hara"];
    let attributes = json!({
        "city": cities[n as usize % cities.len()], "age": n, "vip": n % 2 == 0, "score": n as f64 / 3.0,
        "signup_date": format!("2026-01-{:02}", n % 28 + 1), "tags": ["x", "y"],
    });
    Details {
        email: Some(email.clone()),
        email_key: Some(email),
        company: (n % 4 != 0).then(|| "Acme".to_owned()),
        phone_key: (n % 3 != 0).then(|| format!("+1415555{n:04}")),
        attributes: attributes.to_string(),
        ..Details::default()
    }
}
