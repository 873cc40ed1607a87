//! A trial: an installation at work, something that breaks at an instant that a seed draws, and the account of it. Each ends
//! with a line that `make prove` gathers into docs/PROOF.md.

use std::time::{Duration, Instant};

use sendwright_workflows::ids::{self, Kind};
use serde_json::{Value, json};

use super::dice::Dice;
use super::plan;
use super::site::{Shape, Site, extend};
use super::witness::Account;

/// How many people are under way when something breaks; each gets two messages.
pub const PEOPLE: usize = 300;
/// Their messages.
pub const MESSAGES: usize = 2 * PEOPLE;

/// What is tried: the row of the matrix of faults, in words.
#[derive(Clone, Copy)]
pub struct Trial<'a> {
    /// Its number, `F1`.
    pub fault: &'a str,
    /// What breaks.
    pub what: &'a str,
    /// The seed of its instants.
    pub seed: u64,
    /// How many messages may have been uncertain at some time.
    pub most_uncertain: usize,
}

/// An installation in the middle of a campaign of two steps.
pub async fn at_work(shape: Shape) -> Site {
    let site = Site::start(shape).await;
    site.campaign(0..PEOPLE, json!({}), json!({})).await;
    site
}

/// Waits until a random share of what is still to come has come, and then some more microseconds.
pub async fn instant(dice: &mut Dice, site: &Site) {
    let there = site.smtp.received().len();
    let left = MESSAGES.saturating_sub(there);
    let wanted = (there + 1 + dice.below(left as u64 * 2 / 3 + 1) as usize).min(MESSAGES);
    site.smtp.wait_for(wanted, Duration::from_secs(60)).await;
    let micros = dice.below(20_000);
    tokio::time::sleep(Duration::from_micros(micros)).await;
    plan::say(format_args!("{wanted} of {MESSAGES} have arrived, and {micros} µs have passed"));
}

/// The end of a trial: everything comes through, the promises hold, and the figures are told.
pub async fn account(site: &Site, trial: Trial<'_>) {
    account_all(site, trial, MESSAGES).await;
}

/// The same, of so many messages.
pub async fn account_all(site: &Site, trial: Trial<'_>, messages: usize) {
    let begun = Instant::now();
    site.wait_until_through().await;
    account_of(site, trial, (messages, 0), begun.elapsed()).await;
}

/// The same once everything has come through, after so long, where so many messages are due and the receiver refuses so many
/// of them for good.
pub async fn account_of(site: &Site, trial: Trial<'_>, (messages, refused): (usize, usize), took: Duration) {
    let account = Account::of(site, messages).await;
    tell(trial, site, (&account, messages), took.as_secs_f64());
    account.holds_but(messages, refused, trial.most_uncertain);
    // Whoever asks is told which they are.
    let list = site.ask("GET", "/api/v1/messages?state=uncertain&per_page=100", None).await;
    let mut named: Vec<i64> = list["messages"].as_array().unwrap().iter().map(id_of).collect();
    named.sort_unstable();
    assert_eq!(named, account.uncertain);
}

/// The end of a trial of what is not promised: everything comes through, and the figures are told, whatever they are.
pub async fn count(site: &Site, trial: Trial<'_>) -> Account {
    let begun = Instant::now();
    site.wait_until_through().await;
    let seconds = begun.elapsed().as_secs_f64();
    let mut account = Account::of(site, MESSAGES).await;
    // What the database has forgotten it has had sent again, under another number.
    account.doubled.append(&mut account.untold);
    tell(trial, site, (&account, MESSAGES), seconds);
    account
}

/// Tells the figures of a trial, as `make prove` reads them.
pub fn tell(trial: Trial<'_>, site: &Site, (account, messages): (&Account, usize), seconds: f64) {
    let figures = json!({
        "messages": messages,
        "accepted": account.accepted,
        "lost": account.lost,
        "doubled": account.doubled.len(),
        "uncertain": account.uncertain.len(),
        "received": account.uncertain_and_received,
        "overtaken": account.overtaken.len(),
    });
    tell_of(trial, site, figures, seconds);
}

/// The line of a trial with figures of its own.
pub fn tell_of(trial: Trial<'_>, site: &Site, figures: Value, seconds: f64) {
    let mut line = json!({
        "fault": trial.fault,
        "what": trial.what,
        "mode": mode(site),
        "seed": trial.seed,
        "bound": trial.most_uncertain,
        "seconds": (seconds * 10.0).round() / 10.0,
    });
    extend(&mut line, figures);
    println!("proof {line}");
}

/// The end of a trial that no figures tell of: a start, a refusal, a schema. `held` says what was looked at, and holds.
pub fn shown(trial: Trial<'_>, mode: &str, held: &str) {
    let line = json!({
        "fault": trial.fault, "what": trial.what, "mode": mode, "seed": trial.seed, "held": held,
    });
    println!("proof {line}");
}

/// How an installation runs: all in one process on SQLite, or in parts on PostgreSQL and Redis.
pub fn mode(site: &Site) -> &'static str {
    if site.workers.is_empty() { "embedded" } else { "scaled" }
}

/// The row of the matrix where nobody dies, so that nothing may be uncertain.
pub fn unharmed<'a>(fault: &'a str, what: &'a str, seed: u64) -> Trial<'a> {
    Trial { fault, what, seed, most_uncertain: 0 }
}

fn id_of(message: &Value) -> i64 {
    ids::parse(Kind::Message, message["id"].as_str().unwrap()).unwrap()
}
