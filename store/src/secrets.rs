//! Secrets at rest: AES-256-GCM under a key made from `SENDWRIGHT_SECRET`, bound to their row.

use crate::error::{Error, Result};
use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use sendwright_workflows::signing::Secret;
use sha2::{Digest, Sha256};
use std::sync::Arc;

const NONCE: usize = 12;

/// Seals with the newest secret and opens with every one that is configured, so that a secret can be changed.
#[derive(Clone)]
pub struct Seals(Arc<Vec<(u8, Aes256Gcm)>>);

impl Seals {
    /// `secrets`, the newest first.
    pub fn new(secrets: &[Secret]) -> Self {
        let keys = secrets.iter().map(|secret| {
            let key =
                Sha256::new().chain_update(b"sendwright seal 1").chain_update(secret.as_bytes()).finalize();
            (secret.key_id(), Aes256Gcm::new(&key))
        });
        Self(Arc::new(keys.collect()))
    }

    /// Seals a secret of one row: `key id . nonce and ciphertext`, in hex. What is sealed for one row opens in
    /// no other.
    pub fn seal(&self, table: &str, id: i64, plain: &str) -> Result<String> {
        let (key_id, cipher) = self.0.first().ok_or(Error::Sealed)?;
        let mut nonce = [0_u8; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| Error::Sealed)?;
        let payload = Payload { msg: plain.as_bytes(), aad: &bound_to(table, id) };
        let sealed = cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| Error::Sealed)?;
        Ok(format!("{key_id:02x}.{}{}", hex::encode(nonce), hex::encode(sealed)))
    }

    /// Opens what [`seal`](Self::seal) made for the same row.
    pub fn open(&self, table: &str, id: i64, sealed: &str) -> Result<String> {
        self.opened(table, id, sealed).ok_or(Error::Sealed)
    }

    fn opened(&self, table: &str, id: i64, sealed: &str) -> Option<String> {
        let (key_id, rest) = sealed.split_once('.')?;
        let key_id = u8::from_str_radix(key_id, 16).ok()?;
        let bytes = hex::decode(rest).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>()?;
        let aad = bound_to(table, id);
        let plain = self.0.iter().filter(|(id, _)| *id == key_id).find_map(|(_, cipher)| {
            cipher.decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad: &aad }).ok()
        })?;
        String::from_utf8(plain).ok()
    }
}

fn bound_to(table: &str, id: i64) -> Vec<u8> {
    format!("{table}:{id}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_for_its_own_row_alone() {
        let seals = Seals::new(&[Secret::new([7; 32])]);
        let sealed = seals.seal("sending_profiles", 3, "smtps://me:word@mail.example.com").unwrap();
        assert!(!sealed.contains("word"));
        assert_eq!(seals.open("sending_profiles", 3, &sealed).unwrap(), "smtps://me:word@mail.example.com");
        assert!(seals.open("sending_profiles", 4, &sealed).is_err());
        assert!(seals.open("endpoints", 3, &sealed).is_err());
        assert!(Seals::new(&[Secret::new([8; 32])]).open("sending_profiles", 3, &sealed).is_err());
        for broken in ["", "07", "zz.00", "07.00", &sealed[..sealed.len() - 2]] {
            assert!(seals.open("sending_profiles", 3, broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_new_secret_seals_and_the_old_one_still_opens() {
        let (old, new) = (Secret::new([1; 32]), Secret::new([2; 32]));
        let sealed = Seals::new(std::slice::from_ref(&old)).seal("sending_profiles", 1, "x").unwrap();
        let both = Seals::new(&[new.clone(), old]);
        assert_eq!(both.open("sending_profiles", 1, &sealed).unwrap(), "x");
        let renewed = both.seal("sending_profiles", 1, "x").unwrap();
        assert_eq!(Seals::new(&[new]).open("sending_profiles", 1, &renewed).unwrap(), "x");
    }
}
