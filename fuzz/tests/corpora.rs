//! Every input of every corpus, and some seconds of mutations of each: `SENDWRIGHT_FUZZ_SECONDS` says how many.

#![allow(clippy::unwrap_used)]

use sendwright_fuzz::{TARGETS, Target, corpus, play, replay};
use std::time::Duration;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn target(name: &str) -> Target {
    TARGETS.into_iter().find(|target| target.name == name).unwrap()
}

fn holds(name: &str) {
    let target = target(name);
    for (file, input) in corpus(name).unwrap() {
        if let Some(found) = replay(&target, &input) {
            panic!("fuzz/corpus/{name}/{file}: {}", found.why);
        }
    }
    let seconds = Duration::from_secs(number("SENDWRIGHT_FUZZ_SECONDS", 2));
    let played = play(&target, number("SENDWRIGHT_FIRST_SEED", 1), seconds).unwrap();
    if let Some(found) = played.found {
        panic!("{}\nthe input: {:?}", found.why, String::from_utf8_lossy(&found.input));
    }
    println!("{name}: {} inputs of {} kinds", played.executions, played.kinds);
    assert!(played.kinds > 5, "a fuzzer that reaches {} ends reaches nothing", played.kinds);
}

#[test]
fn no_template_breaks_a_promise_of_rendering() {
    holds("template");
}

#[test]
fn no_file_of_people_is_read_otherwise_in_pieces_than_whole() {
    holds("rows");
}

#[test]
fn an_address_that_is_taken_is_one() {
    holds("address");
}

#[test]
fn whatever_a_mail_server_says_becomes_lines_that_can_be_read() {
    holds("reply");
}

#[test]
fn no_letter_that_comes_back_yields_more_than_is_kept_of_one() {
    holds("mail");
}

#[test]
fn a_tree_and_its_opposite_are_everybody() {
    holds("segment");
}
