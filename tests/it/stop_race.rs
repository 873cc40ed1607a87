//! F65: opt-outs in the middle of campaigns at full load, by real processes. Once one is answered, no hand-over to its
//! address begins: not by another worker, not by another account that sends from the number, not as a retry, not as what
//! was uncertain and turns out not to have left.
//!
//! The witnesses are the stand-in for Twilio and the receiving SMTP server, with instants of their own.
//! `SENDWRIGHT_SEEDS=20` runs more seeds.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::{join, join_all};
use sendwright_workflows::quiet_hours::G;
use serde_json::json;

use crate::support::dice::{Dice, seeds};
use crate::support::phones::{PUBLIC, text};
use crate::support::process::exchange;
use crate::support::site::{Shape, Site, leads};
use crate::support::site_phones::{number, person};
use crate::support::smtp_server::Received;
use crate::support::trial::{Trial, tell_of};
use crate::support::twilio_server::Act;
use crate::support::witness::row_of;

const INBOUND: &str = "/webhooks/inbound";
/// People with a number in the first account.
const PEOPLE: usize = 1_000;
/// Of them, in the second.
const SHARED: usize = 300;
/// People with a mailbox.
const READERS: usize = 300;
/// Who says STOP does so up to so many messages before their own.
const LEAD: u64 = 24;
/// Between the steps of every campaign here.
const DELAY: Duration = Duration::from_secs(1);
/// Most texts of one of the campaigns in any second: its are claimed before their slots come, the others' when they have; and most mails of either.
const PER_SECOND: usize = 60;
/// How many say it at once.
const AT_ONCE: usize = 8;
/// How many say it.
const STOPS: usize = 240;
/// How many click to be left alone.
const CLICKS: usize = 100;

/// When somebody said no, and when they were answered.
#[derive(Debug, Clone, Copy)]
struct Said {
    posted: Instant,
    answered: Instant,
    /// When they said yes again.
    again: Option<Instant>,
}

/// How long a campaign may take to begin, and stand still before it counts as through: longer than workers stand still here.
const PATIENCE: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(10)];

type Sayings = Mutex<HashMap<usize, Option<Said>>>;

/// Whether somebody has said nothing yet; from now on they do.
fn is_first(sayings: &mut HashMap<usize, Option<Said>>, who: usize) -> bool {
    let is_first = !sayings.contains_key(&who);
    sayings.entry(who).or_default();
    is_first
}

/// What the stand-in does: mostly slow, so that hand-overs are open at any instant, and wrong now and then.
fn acts(dice: &mut Dice) -> Vec<Act> {
    let mut act = |_| match dice.below(400) {
        0 => Act::SlowDown(1),
        1..=2 => Act::Fail,
        3..=4 => Act::AcceptAndFail,
        5..=6 => Act::AcceptAndBreak,
        n => Act::AcceptAndStall(Duration::from_millis(n / 20)),
    };
    (0..3 * PEOPLE).map(&mut act).collect()
}

/// People say STOP shortly before their turn in a campaign, more or less so; some of them START a little later.
async fn say_stop(site: &Site, campaign: &str, mut dice: Dice, sayings: &Sayings) {
    let mut still = Instant::now();
    let mut seen = 0;
    while still.elapsed() < PATIENCE[usize::from(seen > 0)] {
        let asked = site.twilio.asked();
        if asked != seen {
            (seen, still) = (asked, Instant::now());
        }
        let last = site.twilio.last_asked(campaign).map_or(0, |to| person(&to));
        let turn = last + dice.below(LEAD) as usize;
        let is_new = {
            let mut sayings = sayings.lock().unwrap();
            if sayings.len() == STOPS {
                return;
            }
            asked > 0 && turn < PEOPLE && is_first(&mut sayings, turn)
        };
        if !is_new {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        let (from, posted) = (number(turn), Instant::now());
        site.provider_posts(INBOUND, &text(&format!("SMstop{turn}"), &from, "STOP")).await;
        let mut said = Said { posted, answered: Instant::now(), again: None };
        if dice.below(4) == 0 {
            dice.pause(400).await;
            said.again = Some(Instant::now());
            site.provider_posts(INBOUND, &text(&format!("SMstart{turn}"), &from, "START")).await;
        }
        sayings.lock().unwrap().insert(turn, Some(said));
    }
}

/// Stops a worker where it stands, again and again, for less and for more than a hand-over may take to begin: what it has
/// committed to then waits, while others answer.
async fn stand_still(site: &Site, mut dice: Dice, is_over: &AtomicBool) {
    while !site.workers.is_empty() && !is_over.load(Ordering::Relaxed) {
        let worker = &site.workers[dice.below(site.workers.len() as u64) as usize];
        tokio::time::sleep(Duration::from_secs(2)).await;
        dice.pause(4_000).await;
        worker.pause();
        dice.pause(G as u64 * 5 / 4).await;
        worker.resume();
    }
}

/// The path of the link with which a message is opted out of.
fn link(message: &Received) -> String {
    let header = message.header("List-Unsubscribe").expect("every message has a link");
    let links = header.split(',').map(|link| link.trim().trim_matches(['<', '>']));
    let path = links.filter_map(|link| link.strip_prefix(PUBLIC)).next();
    path.unwrap_or_else(|| panic!("no link of ours: {header}")).to_owned()
}

fn reader(address: &str) -> usize {
    let n = address.strip_prefix('p').and_then(|rest| rest.split('@').next());
    n.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("a foreign address: {address}"))
}

/// Readers click in what they have got, shortly before the next is theirs.
async fn click(site: &Site, mut dice: Dice, sayings: &Sayings) {
    let (mut links, mut read, mut still) = (HashMap::new(), 0, Instant::now());
    while still.elapsed() < PATIENCE[usize::from(read > 0)] {
        let new = site.smtp.received_after(read);
        if !new.is_empty() {
            (read, still) = (read + new.len(), Instant::now());
        }
        new.iter().for_each(|message| drop(links.insert(reader(&message.to[0]), link(message))));
        let turn = new.last().map(|message| reader(&message.to[0]) + dice.below(LEAD) as usize);
        let due = turn.and_then(|turn| Some((turn, links.get(&turn)?)));
        let due = due.filter(|(turn, _)| {
            let mut sayings = sayings.lock().unwrap();
            sayings.len() < CLICKS && is_first(&mut sayings, *turn)
        });
        let Some((turn, path)) = due else {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let posted = Instant::now();
        loop {
            let body = b"List-Unsubscribe=One-Click";
            match exchange(site.front.address(), "POST", path, &headers, body).await {
                Ok((200, _)) => break,
                Ok((503, _)) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                Ok((status, answer)) => panic!("{path}: {status} {answer}"),
            }
        }
        let said = Said { posted, answered: Instant::now(), again: None };
        sayings.lock().unwrap().insert(turn, Some(said));
    }
}

/// Hand-overs that began after the no was answered, and before any yes; and how many came while it was under way.
/// Between the two there is at most one for each enrolment of the address, where no step's delay is over meanwhile: a hand-over
/// comes with what says which enrolment it was of.
fn judge<E: std::hash::Hash + Eq>(
    sayings: &HashMap<usize, Said>,
    hand_overs: impl Iterator<Item = (usize, Instant, E)>,
) -> (Vec<String>, usize) {
    let (mut broken, mut between) = (Vec::new(), HashMap::<(usize, E), usize>::new());
    for (who, at, enrolment) in hand_overs {
        let Some(said) = sayings.get(&who) else { continue };
        if at > said.answered && said.again.is_none_or(|again| at < again) {
            broken.push(format!("person {who}, {:?} after the answer", at - said.answered));
        } else if (said.posted..=said.answered).contains(&at) {
            *between.entry((who, enrolment)).or_default() += 1;
        }
    }
    let is_short = |who: &usize| sayings.get(who).is_some_and(|said| said.answered - said.posted < DELAY);
    let twice = between.iter().filter(|((who, _), times)| is_short(who) && **times > 1);
    broken.extend(twice.map(|((who, _), times)| format!("person {who}, {times} times while it was said")));
    (broken, between.len())
}

fn told(sayings: Sayings) -> HashMap<usize, Said> {
    let sayings = sayings.into_inner().unwrap();
    sayings.into_iter().map(|(who, said)| (who, said.expect("every one was answered"))).collect()
}

async fn opt_outs_at_full_load(shape: Shape, what: &str) {
    for seed in seeds() {
        let mut dice = Dice::new(seed);
        let site = Site::start(Shape { phones: true, ..shape }).await;
        acts(&mut dice).into_iter().for_each(|act| site.twilio.next(act));
        let second = site.account("second");
        site.users(&site.key, 0..PEOPLE).await;
        site.users(&second, 0..SHARED).await;
        site.texts(&site.key, "Many", 2).await;
        let limit = json!({ "rate_limit_per_second": PER_SECOND });
        site.texts_with(&site.key, "More", 1, limit.clone()).await;
        site.texts(&second, "Other", 2).await;
        for _ in 0..2 {
            site.campaign_of(&leads(0..READERS), json!({}), limit.clone()).await;
        }
        let (stops, clicks) = (Sayings::default(), Sayings::default());
        let campaign = |n: u64| if n < AT_ONCE as u64 / 2 { "More" } else { "M" };
        let people =
            (0..AT_ONCE as u64).map(|n| say_stop(&site, campaign(n), Dice::new(seed << 8 | n), &stops));
        let readers = (0..2).map(|n| click(&site, Dice::new(seed << 16 | n), &clicks));
        let is_over = AtomicBool::new(false);
        let said = async {
            join(join_all(people), join_all(readers)).await;
            is_over.store(true, Ordering::Relaxed);
        };
        join(said, stand_still(&site, Dice::new(seed << 24), &is_over)).await;
        site.resolve_uncertain().await;
        let last = everybody_else_is_written_to(&site, &second, &stops).await;
        let (stops, clicks) = (told(stops), told(clicks));
        let campaign = |body: &str| body.split(' ').next().map(str::to_owned);
        let requests = site.twilio.requests();
        let texts = requests.iter().map(|asked| (person(&asked.to), asked.at, campaign(&asked.body)));
        let (broken, between) = judge(&stops, texts);
        let received = site.smtp.received();
        let rows: Vec<(i64, i64)> =
            site.rows("SELECT id, enrolment_id FROM messages WHERE channel = 'email'").await;
        let enrolments: HashMap<i64, i64> = rows.into_iter().collect();
        let mails = received.iter().map(|m| (reader(&m.to[0]), m.dot_at, enrolments.get(&row_of(m))));
        let (broken_mails, between_mails) = judge(&clicks, mails);
        println!(
            "{what}, seed {seed}: {} requests, {} STOPs with {between} hand-overs while they were said, {} STARTs; {} mails, \
             {} opt-outs with {between_mails}; {last} texts at the end; broken: {broken:?} {broken_mails:?}",
            requests.len(),
            stops.len(),
            stops.values().filter(|said| said.again.is_some()).count(),
            received.len(),
            clicks.len(),
        );
        assert!(
            broken.is_empty() && broken_mails.is_empty(),
            "{what}, seed {seed}: {broken:?} {broken_mails:?}"
        );
        // How many depends on how busy the machine is: who says it while a worker stands still waits for it.
        assert!(stops.len() > AT_ONCE && !clicks.is_empty(), "they came while it went on");
        assert!(between > 0, "some came while a hand-over was open");
        everybody_got_what_was_theirs(&site, &stops).await;
        let trial = Trial { fault: "F65", what: "STOPs and opt-outs at full load", seed, most_uncertain: 0 };
        let messages = requests.len() + received.len();
        let figures =
            json!({ "messages": messages, "lost": 0, "doubled": 0, "uncertain": 0, "overtaken": 0 });
        tell_of(trial, &site, figures, 0.0);
    }
}

/// Once everything has settled both accounts write to everybody once more: whoever said STOP gets nothing from either,
/// whoever said START since gets it. Answers how many texts that are.
async fn everybody_else_is_written_to(site: &Site, second: &str, stops: &Sayings) -> usize {
    site.twilio.forget_script();
    let before = site.twilio.asked();
    site.texts(&site.key, "Last", 1).await;
    site.texts(second, "Final", 1).await;
    site.wait_until_through().await;
    let may = |who: &usize| {
        stops.lock().unwrap().get(who).is_none_or(|said| said.is_some_and(|s| s.again.is_some()))
    };
    let all = (0..PEOPLE).map(|who| (who, "Last")).chain((0..SHARED).map(|who| (who, "Final")));
    let mut owed: HashMap<_, i64> = all
        .filter(|(who, _)| may(who))
        .map(|(who, name)| ((number(who), format!("{name} 1 for you")), 1))
        .collect();
    let requests = site.twilio.requests().split_off(before);
    let count = requests.len();
    requests.into_iter().for_each(|asked| *owed.entry((asked.to, asked.body)).or_default() -= 1);
    owed.retain(|_, left| *left != 0);
    assert!(owed.is_empty(), "not sent (1), or sent for nothing (-1): {owed:?}");
    count
}

/// Nobody got anything twice, and whoever was not left alone got everything: but what turned out not to have left when
/// the next step had, and says so.
async fn everybody_got_what_was_theirs(site: &Site, stops: &HashMap<usize, Said>) {
    let mut made: HashMap<(usize, String), usize> = HashMap::new();
    site.twilio.made().into_iter().for_each(|one| *made.entry((person(&one.to), one.body)).or_default() += 1);
    assert!(made.values().all(|times| *times == 1), "doubled: {made:?}");
    let mut got: HashSet<_> = made.into_keys().collect();
    let overtaken: Vec<(String, String)> = site
        .rows(
            "SELECT m.address, d.body FROM messages m JOIN drafts d ON d.message_id = m.id
              WHERE m.channel = 'sms' AND m.state = 'cancelled' AND m.reasons LIKE '%overtaken%'",
        )
        .await;
    got.extend(overtaken.into_iter().map(|(to, body)| (person(&to), body)));
    let campaigns = [("Many 1", PEOPLE), ("Many 2", PEOPLE), ("More 1", PEOPLE)];
    for (step, people) in campaigns.into_iter().chain([("Other 1", SHARED), ("Other 2", SHARED)]) {
        let missed =
            |who: &usize| !stops.contains_key(who) && !got.contains(&(*who, format!("{step} for you")));
        let missed: Vec<usize> = (0..people).filter(missed).collect();
        if let Some(first) = missed.first() {
            let sql = "SELECT m.address, m.campaign_id || ' ' || m.step_number || ' ' || m.state || ' ' || m.looks || ' '
                     || COALESCE(a.state, '') || ' ' || COALESCE(a.detail, '') || ' ' || m.reasons
                 FROM messages m LEFT JOIN attempts a ON a.message_id = m.id
                 WHERE m.channel = 'sms' ORDER BY m.id, a.id";
            let mut rows: Vec<(String, String)> = site.rows(sql).await;
            rows.retain(|row| row.0 == number(*first));
            panic!("{step} never came to {missed:?}; of the first there are {rows:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_an_opt_out_is_answered_no_worker_hands_over_to_its_address() {
    opt_outs_at_full_load(Shape::PARTS, "two workers on PostgreSQL and Redis").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_an_opt_out_is_answered_up_hands_nothing_over_to_its_address() {
    opt_outs_at_full_load(Shape::UP, "up on SQLite").await;
}
