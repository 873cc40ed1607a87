//! A provider of texts that answers badly (FAULTS F62 to F64), and a model that does (F66, F67), amid a campaign of real processes.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;

use crate::support::caller::Caller;
use crate::support::dice::{Dice, seeds};
use crate::support::model_server::{Answer, ModelServer};
use crate::support::plan;
use crate::support::site::{Shape, Site};
use crate::support::trial::{MESSAGES, PEOPLE, Trial, account_of};
use crate::support::twilio_server::Act;
use crate::support::witness_phones::account_texts;

/// Both ways to run it, in turn.
fn shape(seed: u64) -> Shape {
    let shape = if seed.is_multiple_of(2) { Shape::UP } else { Shape::PARTS };
    Shape { phones: true, ..shape }
}

/// A campaign of texts whose provider does one of these for a share of a hundred of them, and makes the others.
async fn amid(seed: u64, (fault, what): (&str, &str), (share, acts): (u64, &[Act]), most_uncertain: usize) {
    let (mut dice, mut caller) = (Dice::new(seed), Caller::new(Dice::new(!seed)));
    let site = Site::start(shape(seed)).await;
    let mut counts: HashMap<String, usize> = HashMap::new();
    for _ in 0..MESSAGES {
        let act = match dice.below(100) < share {
            true => acts[dice.below(acts.len() as u64) as usize].clone(),
            false => Act::Accept,
        };
        *counts.entry(format!("{act:?}")).or_default() += 1;
        site.twilio.next(act);
    }
    plan::say(format_args!("the provider's answers, shuffled: {counts:?}"));
    site.users(&site.key, 0..PEOPLE).await;
    let campaign = site.texts(&site.key, "Two", 2).await;
    account_texts(&site, Trial { fault, what, seed, most_uncertain }, &campaign, &mut caller, MESSAGES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_says_slow_down_gets_every_text_once() {
    for seed in seeds() {
        let acts = [Act::SlowDown(1), Act::SlowDown(0)];
        amid(seed, ("F62", "429 to texts, with Retry-After"), (3, &acts), 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_whose_making_was_not_answered_are_found_or_made_once() {
    for seed in seeds() {
        let acts =
            [Act::Fail, Act::AcceptAndFail, Act::AcceptAndBreak, Act::AcceptAndStall(Duration::from_secs(1))];
        let what = "500 before and after a text was made, broken and late answers";
        amid(seed, ("F63", what), (20, &acts), MESSAGES / 4).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callbacks_doubled_early_late_and_about_nobody_come_to_the_true_end() {
    for seed in seeds() {
        let acts = [Act::AcceptAndStall(Duration::from_millis(300))];
        let what = "callbacks out of order, doubled, before the answer, about nobody";
        amid(seed, ("F64", what), (50, &acts), 0).await;
    }
}

/// What a model says when nothing is wrong.
const WRITES: Answer = Answer::Writes("A good subject", "A good text, written for you.");
/// How long an installation waits for one.
const PATIENCE: &str = "2";

/// A campaign whose texts a model writes that answers so first, and then well.
async fn written_by(seed: u64, script: Vec<Answer>) -> (ModelServer, Site) {
    let model = ModelServer::scripted_then(script, WRITES).await;
    let settings = [
        ("OPENAI_BASE_URL", model.base_url()),
        ("OPENAI_MODEL", "scripted".to_owned()),
        ("OPENAI_TIMEOUT_SECONDS", PATIENCE.to_owned()),
    ];
    let site = Site::start_with(shape(seed), settings.to_vec()).await;
    let step = |n: usize| {
        json!({ "step_number": n, "name": format!("Step {n}"), "ai_prompt": "A short note",
                "subject": "The template", "template": "The template stands in, {{email}}", "delay_seconds": n - 1 })
    };
    site.campaign(0..PEOPLE, json!({ "steps": [step(1), step(2)] }), json!({})).await;
    (model, site)
}

/// What has arrived.
fn texts(site: &Site) -> Vec<String> {
    let received = site.smtp.received();
    received.iter().map(|message| String::from_utf8_lossy(&message.data).into_owned()).collect()
}

/// What a model must not make a message say.
const EVIL: &str = "http://evil.example/now";

fn answers(dice: &mut Dice) -> Vec<Answer> {
    let bad = [
        Answer::Status(429, &[("retry-after", "1")], "slow down".into()),
        Answer::Status(500, &[], "<html>oops</html>".into()),
        Answer::Status(200, &[], "not JSON".into()),
        Answer::Declines,
        Answer::CutShort("{\"subject\": \"A subject\", \"body\": \"It beg".into()),
        Answer::Says(String::new()),
        Answer::Says("no object at all".into()),
        Answer::Says("x".repeat(2_000_000)),
        Answer::Writes("A subject", "Dear {{first_name}}, {{company}} is great"),
        Answer::Writes("A subject", "Look at http://evil.example/now today, it is worth it."),
        Answer::Writes("", ""),
        Answer::HangsUp,
    ];
    let answer = |_| match dice.below(2) {
        0 => bad[dice.below(bad.len() as u64) as usize].clone(),
        _ => WRITES,
    };
    (0..300).map(answer).collect()
}

/// FAULTS F67: who waits for an answer that never comes on waits for so long and no longer, and the others do not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_a_model_that_stall_are_given_up_in_time_and_asked_for_again() {
    for seed in seeds() {
        let mut dice = Dice::new(seed);
        let answers = (0..PEOPLE).map(|_| match dice.below(20) {
            0 => Answer::StallsAfterHeaders,
            1 => Answer::Silent,
            _ => WRITES,
        });
        let script: Vec<Answer> = answers.collect();
        let stalled = script.iter().filter(|answer| !matches!(answer, Answer::Writes(..))).count();
        let (model, site) = written_by(seed, script).await;
        let took = site.hasten().await;
        let what = "a model whose answer stalls after its headers, or never begins";
        account_of(&site, Trial { fault: "F67", what, seed, most_uncertain: 0 }, (MESSAGES, 0), took).await;
        assert!(texts(&site).iter().all(|text| text.contains("A good text")), "nobody is given up for it");
        plan::say(format_args!("{stalled} answers stalled"));
        assert_eq!(model.asked().len(), MESSAGES + stalled, "each is asked for again once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_model_answers_a_message_says_what_it_may_and_goes_once() {
    for seed in seeds() {
        let (model, site) = written_by(seed, answers(&mut Dice::new(seed))).await;
        let took = site.hasten().await;
        let trial = Trial {
            fault: "F66",
            what: "a model that fails, declines, rambles, leaves gaps and links",
            seed,
            most_uncertain: 0,
        };
        account_of(&site, trial, (MESSAGES, 0), took).await;
        let texts = texts(&site);
        let is = |text: &String, words: &str| text.contains(words);
        let (by_model, by_template): (Vec<_>, Vec<_>) =
            texts.iter().partition(|text| is(text, "A good text"));
        plan::say(format_args!("{} by the model, {} by the template", by_model.len(), by_template.len()));
        assert!(by_template.iter().all(|text| is(text, "The template stands in")), "only these two");
        assert!(
            texts.iter().all(|text| !is(text, EVIL) && !is(text, "{{")),
            "no link and no gap of a model's"
        );
        assert!(model.asked().len() > MESSAGES, "it was asked again");
        assert!(!by_template.is_empty(), "some were given up");
    }
}
