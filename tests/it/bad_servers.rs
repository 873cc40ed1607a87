//! Mail servers that answer badly (FAULTS F49 to F60) amid a campaign of real processes: whatever they say, and however they
//! fail to say it, a message arrives once, ends as refused, or is uncertain where nobody can know more.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::dice::{Dice, seeds};
use crate::support::plan;
use crate::support::process::Environment;
use crate::support::site::{D, Shape, Site};
use crate::support::smtp_server::{Act, At, Certificate, Rule, Script, Tls};
use crate::support::trial::{MESSAGES, PEOPLE, Trial, account_of, instant};

/// Both ways to run it, in turn.
fn shape(seed: u64) -> Shape {
    if seed.is_multiple_of(2) { Shape::UP } else { Shape::PARTS }
}

async fn site(seed: u64, script: Script) -> (Dice, Site) {
    (Dice::new(seed), Site::start_scripted(shape(seed), script, |_| vec![]).await)
}

/// The same, with the clocks of a conversation at two seconds.
async fn impatient(seed: u64) -> (Dice, Site) {
    let more = |_: &_| -> Environment { vec![("SENDWRIGHT_SMTP_TIMEOUT_SECONDS", "2".to_owned())] };
    (Dice::new(seed), Site::start_scripted(shape(seed), Script::default(), more).await)
}

fn reply(line: &str) -> Act {
    Act::Reply(format!("{line}\r\n").into_bytes())
}

/// So many of the next `among` moments of a kind go wrong.
fn scatter(site: &Site, dice: &mut Dice, at: At, (times, among): (usize, u64), act: &Act) {
    let shown: String = format!("{act:?}").chars().take(60).collect();
    for _ in 0..times {
        let after = dice.below(among) as usize;
        plan::say(format_args!("at {at:?}, {after} later: {shown}"));
        site.smtp.add(Rule::at(at).after(after).times(1).act(act.clone()));
    }
}

/// Some of the people, one in so many.
fn some(dice: &mut Dice, one_in: u64) -> Vec<usize> {
    (0..PEOPLE).filter(|_| dice.below(one_in) == 0).collect()
}

async fn begin(site: &Site) -> String {
    site.campaign(0..PEOPLE, json!({}), json!({})).await
}

/// Everything comes through, though so many of so many are refused for good and so many may be uncertain.
async fn end(
    site: &Site,
    (fault, what): (&str, &str),
    seed: u64,
    ends: (usize, usize),
    most_uncertain: usize,
) {
    let took = site.hasten().await;
    // A greeting comes as often as connections are needed.
    let left = site.smtp.rules_left();
    assert!(left <= 10, "{left} faults have never come");
    account_of(site, Trial { fault, what, seed, most_uncertain }, ends, took).await;
}

/// Waits until a count is so much.
async fn until(site: &Site, count: &'static str, wanted: i64) {
    let begun = Instant::now();
    while site.rows::<(i64,)>(count).await[0].0 < wanted {
        assert!(begun.elapsed() < Duration::from_secs(60), "in vain: {count}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_up_with_421_gets_everything_once() {
    for seed in seeds() {
        let (mut dice, site) = site(seed, Script::default()).await;
        let busy = reply("421 4.3.2 too many connections");
        scatter(&site, &mut dice, At::Banner, (8, 24), &busy);
        for at in [At::Mail, At::Rcpt, At::Data, At::Dot] {
            scatter(&site, &mut dice, at, (30, MESSAGES as u64), &busy);
        }
        begin(&site).await;
        end(&site, ("F49", "421 at the greeting and in every phase"), seed, (MESSAGES, 0), 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_third_of_all_people_greylisted_get_everything_once() {
    for seed in seeds() {
        let (mut dice, site) = site(seed, Script::default()).await;
        for n in some(&mut dice, 3) {
            let grey = Rule::at(At::Rcpt).to(&format!("p{n}@")).after(dice.below(2) as usize).times(1);
            site.smtp.add(grey.reply("450 4.2.0 greylisted"));
        }
        begin(&site).await;
        end(&site, ("F50", "450 to a third of all people"), seed, (MESSAGES, 0), 0).await;
    }
}

/// Whoever is refused at the first step gets no second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_exist_bounces_once_and_is_written_to_no_more() {
    for seed in seeds() {
        let (mut dice, site) = site(seed, Script::default()).await;
        let gone = some(&mut dice, 10);
        let mut never = 0;
        for n in &gone {
            let after = dice.below(2) as usize;
            never += 1 - after;
            let refusing = Rule::at(At::Rcpt).to(&format!("p{n}@")).after(after);
            site.smtp.add(refusing.reply("550 5.1.1 no such user"));
        }
        begin(&site).await;
        let ends = (MESSAGES - never, gone.len());
        end(&site, ("F51", "550 to a tenth of all people"), seed, ends, 0).await;
        let told: Vec<(i64, i64)> = site
            .rows("SELECT COUNT(*), COUNT(DISTINCT contact_id) FROM events WHERE kind = 'email.bounced'")
            .await;
        assert_eq!(told, [(gone.len() as i64, gone.len() as i64)], "each bounce is told once");
        let suppressed = site.rows::<(i64,)>("SELECT COUNT(*) FROM suppressions WHERE why = 'bounced'").await;
        assert_eq!(suppressed, [(gone.len() as i64,)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_at_the_dot_is_tried_again_or_failed_and_never_uncertain() {
    for seed in seeds() {
        let (mut dice, site) = site(seed, Script::default()).await;
        scatter(&site, &mut dice, At::Dot, (60, MESSAGES as u64), &reply("451 4.3.0 try later"));
        let spam = 20;
        // The moments of the rules before do not count for these: all of them come.
        scatter(&site, &mut dice, At::Dot, (spam, MESSAGES as u64 / 2), &reply("554 5.6.0 spam"));
        begin(&site).await;
        site.hasten().await;
        let failed = "SELECT COUNT(*), COUNT(CASE WHEN step_number = 1 THEN 1 END) FROM messages WHERE state = 'failed'";
        let [(failed, at_first)] = site.rows::<(i64, i64)>(failed).await[..] else { panic!("one row") };
        assert_eq!(failed, spam as i64);
        // Whoever is refused for good at the first step gets no second.
        let ends = (MESSAGES - at_first as usize, spam);
        end(&site, ("F52", "451 and 554 at the dot"), seed, ends, 0).await;
    }
}

/// A body that is cut when its dot is on the way already is nobody's to know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_break_before_the_dot_lose_and_double_nothing() {
    for seed in seeds() {
        let (mut dice, site) = site(seed, Script::default()).await;
        for at in [At::Mail, At::Rcpt, At::Data] {
            scatter(&site, &mut dice, at, (30, MESSAGES as u64), &Act::Drop);
        }
        let cut = 15;
        scatter(&site, &mut dice, At::Body(100), (cut, MESSAGES as u64), &Act::Drop);
        begin(&site).await;
        end(&site, ("F53", "the line breaks at each command and in the body"), seed, (MESSAGES, 0), cut)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_without_a_word_is_uncertain_and_never_sent_again() {
    for seed in seeds() {
        let (mut dice, site) = site(seed, Script::default()).await;
        let dropped = 30;
        scatter(&site, &mut dice, At::Dot, (dropped, MESSAGES as u64 / 2), &Act::AcceptAndDrop);
        begin(&site).await;
        end(&site, ("F54", "accepted, and the line breaks before the 250"), seed, (MESSAGES, 0), dropped)
            .await;
        let uncertain = site.rows::<(i64,)>("SELECT COUNT(*) FROM messages WHERE state = 'uncertain'").await;
        assert_eq!(uncertain, [(dropped as i64,)], "each of them, and no other");
        assert_eq!(site.smtp.received().len(), MESSAGES, "and each of them had arrived");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_silent_is_cut_by_the_clock_of_its_phase() {
    for seed in seeds() {
        let (mut dice, site) = impatient(seed).await;
        for at in [At::Banner, At::Ehlo] {
            scatter(&site, &mut dice, at, (2, 8), &Act::Stall);
        }
        for at in [At::Mail, At::Rcpt, At::Data] {
            scatter(&site, &mut dice, at, (3, MESSAGES as u64 / 2), &Act::Stall);
        }
        let silent = 5;
        scatter(&site, &mut dice, At::Dot, (silent, MESSAGES as u64 / 2), &Act::Stall);
        begin(&site).await;
        end(
            &site,
            ("F55", "silence at the greeting, each command and after the dot"),
            seed,
            (MESSAGES, 0),
            silent,
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_without_end_or_sense_are_cut_and_read_for_what_they_say() {
    for seed in seeds() {
        let (mut dice, site) = impatient(seed).await;
        let slow = |line: &[u8]| Act::Trickle(line.to_vec(), Duration::from_secs(1));
        let long = |code: &[u8]| Act::Reply([code, &vec![b'x'; 10_000_000], b"\r\n"].concat());
        let odd = |code: &[u8]| Act::Reply([code, b"\xff\xfe\x00\x1b[31m \xc3\x28\r\n"].concat());
        for at in [At::Mail, At::Rcpt] {
            scatter(&site, &mut dice, at, (2, MESSAGES as u64 / 2), &slow(b"250 ok\r\n"));
            scatter(&site, &mut dice, at, (2, MESSAGES as u64 / 2), &long(b"250 "));
            scatter(&site, &mut dice, at, (10, MESSAGES as u64 / 2), &odd(b"250 "));
            scatter(&site, &mut dice, at, (10, MESSAGES as u64 / 2), &odd(b"451 "));
        }
        scatter(&site, &mut dice, At::Dot, (2, MESSAGES as u64 / 2), &slow(b"250 ok\r\n"));
        scatter(&site, &mut dice, At::Dot, (2, MESSAGES as u64 / 2), &long(b"250 "));
        scatter(&site, &mut dice, At::Dot, (10, MESSAGES as u64 / 2), &odd(b"250 "));
        scatter(&site, &mut dice, At::Dot, (10, MESSAGES as u64 / 2), &odd(b"451 "));
        begin(&site).await;
        let what = "a byte a second, 10 MB in a line, no UTF-8";
        end(&site, ("F56", what), seed, (MESSAGES, 0), 4).await;
    }
}

/// Nothing goes in the clear or to a stranger, and everything goes once the server can show who it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_valid_tls_nothing_leaves_and_with_it_everything_does() {
    for seed in seeds() {
        let good = Certificate::new("127.0.0.1", 2999);
        let (expired, other) = (Certificate::new("127.0.0.1", 2001), Certificate::new("other.example", 2999));
        let trusted =
            [&good, &expired, &other].map(|one| std::fs::read_to_string(one.path()).unwrap()).concat();
        let trust = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(trust.path(), trusted).unwrap();
        let wrong = [
            (Tls::Upgrade(expired.config.clone()), "expired"),
            (Tls::Upgrade(other.config.clone()), "not valid for"),
            (Tls::Never, "STARTTLS"),
        ];
        let mut dice = Dice::new(seed);
        let (first, cause) = wrong[dice.below(3) as usize].clone();
        let script = Script { close_after_each: true, ..Script::default().tls(first) };
        let place = trust.path().display().to_string();
        let site = Site::start_scripted(shape(seed), script, |smtp| {
            let url = format!("smtp://127.0.0.1:{}?tls=required&ca={place}", smtp.port());
            vec![("SMTP_URL", url), ("SMTP_FROM", "ada@example.com".to_owned())]
        })
        .await;
        site.campaign_by_default(0..PEOPLE).await;
        refused_for(&site, cause).await;
        assert_eq!(site.smtp.received().len(), 0, "nothing has left");
        site.smtp.encrypt(Tls::Upgrade(good.config.clone()));
        plan::say("the server shows a good certificate");
        instant(&mut dice, &site).await;
        let (again, cause) = wrong[dice.below(3) as usize].clone();
        site.smtp.encrypt(again);
        plan::say(format_args!("the server is wrong again: {cause}"));
        refused_for(&site, cause).await;
        site.smtp.encrypt(Tls::Upgrade(good.config.clone()));
        end(&site, ("F57", "certificate expired or of another, STARTTLS stripped"), seed, (MESSAGES, 0), 0)
            .await;
        assert!(site.smtp.received().iter().all(|message| message.encrypted), "nothing in the clear");
    }
}

/// Waits until the profile says this of its server.
async fn refused_for(site: &Site, cause: &str) {
    let begun = Instant::now();
    loop {
        let why =
            site.rows::<(Option<String>,)>("SELECT why FROM sending_profiles WHERE why IS NOT NULL").await;
        if why.iter().any(|(why,)| why.as_deref().is_some_and(|why| why.contains(cause))) {
            return;
        }
        let left = MESSAGES - site.smtp.received().len();
        assert!(begun.elapsed() < Duration::from_secs(60) && left > 0, "no profile says {cause}: {why:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_logins_switch_a_profile_off_and_its_queue_goes_once_it_is_on_again() {
    for seed in seeds() {
        let script = Script { close_after_each: true, ..Script::default().login("ann", "right") };
        let (mut dice, site) = site(seed, script).await;
        let url = site.smtp.url().replace("smtp://", "smtp://ann:right@");
        site.campaign(0..PEOPLE, json!({}), json!({ "smtp_url": url })).await;
        instant(&mut dice, &site).await;
        let before = site.smtp.seen(At::Auth);
        site.smtp.add(Rule::at(At::Auth).reply("535 5.7.8 no"));
        plan::say("the password is wrong");
        until(&site, "SELECT COUNT(*) FROM sending_profiles WHERE state = 'disabled'", 1).await;
        // Each sender finds out by itself: by one wave of connections, and then two more.
        let tried = site.smtp.seen(At::Auth) - before;
        plan::say(format_args!("{tried} logins since"));
        assert!(tried <= site.senders().count() * (D + 2), "{tried} logins, and somebody is locked out");
        site.smtp.clear_rules();
        let told = "SELECT COUNT(*) FROM events WHERE kind = 'profile.disabled'";
        assert_eq!(site.rows::<(i64,)>(told).await, [(1,)]);
        let profiles = site.ask("GET", "/api/v1/sending-profiles", None).await;
        let profiles = profiles["sending_profiles"].as_array().unwrap().clone();
        let disabled: Vec<&Value> = profiles.iter().filter(|one| one["status"] == "disabled").collect();
        let path = format!("/api/v1/sending-profiles/{}", disabled[0]["id"].as_str().unwrap());
        site.ask("PATCH", &path, Some(&json!({ "state": "active" }))).await;
        plan::say("the profile is switched on again");
        end(&site, ("F58", "535 to every login"), seed, (MESSAGES, 0), 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_closes_connections_gets_everything_once() {
    for seed in seeds() {
        let script = match seed / 2 % 2 {
            0 => Script { close_after_idle: Some(Duration::from_millis(20)), ..Script::default() },
            _ => Script { close_after_each: true, ..Script::default() },
        };
        let (_, site) = site(seed, script).await;
        begin(&site).await;
        end(&site, ("F59", "connections closed when idle or after each message"), seed, (MESSAGES, 0), 0)
            .await;
        assert!(site.smtp.connections() > 20, "{} connections", site.smtp.connections());
    }
}

/// Once it has said so the server is asked no more before the profile's rest is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_providers_daily_limit_lets_the_profile_rest_and_the_rest_goes_later_once() {
    for seed in seeds() {
        let (mut dice, site) = site(seed, Script::default()).await;
        let most = 50 + dice.below(MESSAGES as u64 - 100) as usize;
        plan::say(format_args!("the provider takes {most}"));
        site.smtp.add(Rule::at(At::Rcpt).after(most).reply("452 4.7.0 daily limit reached"));
        begin(&site).await;
        until(&site, "SELECT COUNT(*) FROM sending_profiles WHERE state = 'paused'", 1).await;
        until(
            &site,
            "SELECT CAST(CASE WHEN COUNT(*) = 0 THEN 1 ELSE 0 END AS BIGINT) FROM attempts WHERE state = 'sending'",
            1,
        )
        .await;
        let asked = site.smtp.seen(At::Rcpt);
        assert_eq!(site.smtp.received().len(), most);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(site.smtp.seen(At::Rcpt), asked, "a profile that rests asks for nothing");
        site.smtp.clear_rules();
        plan::say("the next day");
        end(&site, ("F60", "452, a daily limit"), seed, (MESSAGES, 0), 0).await;
        let refused = site.rows::<(i64,)>("SELECT COUNT(*) FROM attempts WHERE state = 'refused'").await[0].0;
        assert!(refused <= 64, "{refused} messages were offered beyond the limit");
        let messages: HashSet<String> =
            site.smtp.received().iter().filter_map(|message| message.header("Message-ID")).collect();
        assert_eq!(messages.len(), MESSAGES);
    }
}
