//! Tokens and keys: ours come back, nobody else's do.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use sendwright_workflows::signing::{ApiKey, Mode, Secret, sign, verify};

fn secret(byte: u8) -> Secret {
    Secret::new([byte; 32])
}

#[test]
fn a_token_is_accepted_only_for_its_purpose_epoch_and_secret() {
    let token = sign(&secret(1), "unsubscribe", "e1", &[7, 42]);
    let check = |secrets: &[Secret], purpose, epoch| verify(secrets, purpose, epoch, &token);
    assert_eq!(check(&[secret(1)], "unsubscribe", "e1"), Some(vec![7, 42]));
    assert_eq!(check(&[secret(2)], "unsubscribe", "e1"), None);
    assert_eq!(check(&[secret(1)], "track", "e1"), None);
    assert_eq!(check(&[secret(1)], "unsubscribe", "e2"), None);
    assert_eq!(check(&[secret(1)], "unsubscribee", "1"), None);
    assert_eq!(check(&[], "unsubscribe", "e1"), None);
}

#[test]
fn a_token_of_an_old_secret_is_accepted_while_that_secret_is_listed() {
    let token = sign(&secret(1), "unsubscribe", "e1", &[7]);
    assert_eq!(verify(&[secret(2), secret(3), secret(1)], "unsubscribe", "e1", &token), Some(vec![7]));
    assert_eq!(verify(&[secret(2), secret(3)], "unsubscribe", "e1", &token), None);
}

#[test]
fn secrets_with_the_same_key_id_are_both_tried() {
    let twin = (2..=255).map(secret).find(|other| other.key_id() == secret(1).key_id());
    let twin = twin
        .or_else(|| {
            (0u32..)
                .map(|n| {
                    let mut bytes = [0; 32];
                    bytes[..4].copy_from_slice(&n.to_be_bytes());
                    Secret::new(bytes)
                })
                .find(|other| other.key_id() == secret(1).key_id())
        })
        .unwrap();
    let token = sign(&secret(1), "u", "e", &[1]);
    assert_eq!(verify(&[twin, secret(1)], "u", "e", &token), Some(vec![1]));
}

#[test]
fn no_character_of_a_token_can_be_changed_added_or_taken_away() {
    let token = sign(&secret(1), "unsubscribe", "e1", &[7, 42]);
    for at in 0..token.len() {
        for other in "ABab01-_".chars().filter(|c| !token[at..].starts_with(*c)) {
            let forged = format!("{}{other}{}", &token[..at], &token[at + 1..]);
            assert_eq!(verify(&[secret(1)], "unsubscribe", "e1", &forged), None, "{forged}");
        }
        assert_eq!(verify(&[secret(1)], "unsubscribe", "e1", &token[..at]), None);
    }
    for forged in [format!("{token}A"), format!("{token}="), format!(" {token}"), "A".repeat(100_000)] {
        assert_eq!(verify(&[secret(1)], "unsubscribe", "e1", &forged), None);
    }
}

#[test]
fn a_token_is_safe_in_a_url_and_does_not_show_its_ids() {
    let tokens: Vec<String> = (1..=50).map(|id| sign(&secret(9), "u", "e", &[1, id, 2])).collect();
    for token in &tokens {
        assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert_eq!(token.len(), 55);
    }
    // Equal ids in equal places look different from token to token.
    assert!(tokens.windows(2).all(|pair| pair[0][24..] != pair[1][24..]));
    assert_eq!(sign(&secret(9), "u", "e", &[1, 1, 2]), tokens[0]);
}

#[test]
fn a_secret_is_read_from_hex_or_base64_and_never_shown() {
    let bytes: [u8; 32] = std::array::from_fn(|n| 240u8.wrapping_add(n as u8));
    let texts = [
        "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff000102030405060708090a0b0c0d0e0f",
        "F0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF000102030405060708090A0B0C0D0E0F\n",
        "8PHy8/T19vf4+fr7/P3+/wABAgMEBQYHCAkKCwwNDg8=",
        "8PHy8_T19vf4-fr7_P3-_wABAgMEBQYHCAkKCwwNDg8",
    ];
    for text in texts {
        assert_eq!(Secret::parse(text).unwrap().as_bytes(), &bytes, "{text}");
        assert_eq!(format!("{:?}", Secret::parse(text).unwrap()), "Secret(…)");
    }
    for bad in ["", "f0f1", "not a secret", &"f0".repeat(33), &"zz".repeat(32)] {
        let error = Secret::parse(bad).unwrap_err().to_string();
        assert!(error.contains("openssl rand -hex 32") && (bad.is_empty() || !error.contains(bad)));
    }
}

#[test]
fn a_key_comes_back_from_its_text() {
    for (mode, prefix) in [(Mode::Live, "sk_live_"), (Mode::Test, "sk_test_")] {
        let key = ApiKey::generate(mode, [171; 32]);
        assert!(key.reveal().starts_with(prefix) && key.reveal().len() == 57);
        assert!(key.reveal().starts_with(key.prefix()) && key.prefix().len() == 16);
        let read = ApiKey::parse(key.reveal()).unwrap();
        assert_eq!((read.mode(), read.hash()), (mode, key.hash()));
        assert!(read.matches(&key.hash()));
        assert!(!read.matches(&ApiKey::generate(mode, [172; 32]).hash()) && !read.matches(""));
        assert_eq!(key.hash().len(), 64);
        assert!(!format!("{key:?}").contains(&key.reveal()[16..]));
    }
}

#[test]
fn a_key_of_the_wrong_shape_or_checksum_is_none() {
    let key = ApiKey::generate(Mode::Live, [5; 32]);
    let text = key.reveal();
    for at in 0..text.len() {
        let other = if text.as_bytes()[at] == b'7' { '8' } else { '7' };
        assert!(ApiKey::parse(&format!("{}{other}{}", &text[..at], &text[at + 1..])).is_none());
    }
    let swapped = text.replace("sk_live_", "sk_test_");
    let umlauts = format!("sk_live_{}", "ü".repeat(24) + "a");
    for bad in
        ["", "sk_live_", "sk_live", &swapped, &umlauts, &text[1..], &format!("{text} "), &format!(" {text}")]
    {
        assert!(ApiKey::parse(bad).is_none(), "{bad}");
    }
}

#[test]
fn different_random_bytes_make_different_keys() {
    let mut seen = std::collections::HashSet::new();
    for at in 0..32 {
        for bit in 0..8 {
            let mut random = [0; 32];
            random[at] = 1 << bit;
            assert!(seen.insert(ApiKey::generate(Mode::Live, random).reveal().to_owned()));
        }
    }
    assert!(seen.insert(ApiKey::generate(Mode::Live, [255; 32]).reveal().to_owned()));
}

proptest! {
    #[test]
    fn any_ids_come_back(ids in proptest::collection::vec(any::<i64>(), 0..32), purpose in any::<String>(), epoch in any::<String>()) {
        let token = sign(&secret(3), &purpose, &epoch, &ids);
        prop_assert_eq!(verify(&[secret(3)], &purpose, &epoch, &token), Some(ids));
    }

    #[test]
    fn any_text_is_no_token_and_no_key(text in any::<String>()) {
        prop_assert_eq!(verify(&[secret(3)], "u", "e", &text), None);
        prop_assert!(ApiKey::parse(&text).is_none());
        let _ = Secret::parse(&text);
    }
}
