//! How many texts of one account may be written at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// From this many accounts on, those with nothing in hand are forgotten.
const ACCOUNTS: usize = 1024;

/// A cap per account on texts being written at once, in this process: one account's thousand texts leave the
/// model to the others too.
#[derive(Debug)]
pub struct Permits {
    per_account: usize,
    accounts: Mutex<HashMap<i64, Arc<Semaphore>>>,
}

/// Leave to write one text; given back when dropped.
#[derive(Debug)]
pub struct Permit(#[allow(dead_code)] OwnedSemaphorePermit);

impl Default for Permits {
    /// Four texts of an account at once.
    fn default() -> Self {
        Self::new(4)
    }
}

impl Permits {
    /// A cap of `per_account` texts at once; at least one.
    pub fn new(per_account: usize) -> Self {
        Self { per_account: per_account.max(1), accounts: Mutex::default() }
    }

    /// How many texts of one account are written at once.
    pub fn per_account(&self) -> usize {
        self.per_account
    }

    /// Leave to write a text for this account, or none while it has its share: its rows stay due, and the
    /// lane turns to another account's.
    pub fn try_acquire(&self, account: i64) -> Option<Permit> {
        self.of(account).try_acquire_owned().ok().map(Permit)
    }

    /// Waits for leave to write a text for this account, in the order of asking. None only if the runtime is
    /// going down.
    pub async fn acquire(&self, account: i64) -> Option<Permit> {
        self.of(account).acquire_owned().await.ok().map(Permit)
    }

    fn of(&self, account: i64) -> Arc<Semaphore> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.len() >= ACCOUNTS && !accounts.contains_key(&account) {
            // Whoever holds a permit or waits for one holds the semaphore too.
            accounts.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
        accounts.entry(account).or_insert_with(|| Arc::new(Semaphore::new(self.per_account))).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_account_cannot_take_anothers_share() {
        let permits = Permits::new(2);
        let held = [permits.try_acquire(1), permits.try_acquire(1)];
        assert!(held.iter().all(Option::is_some));
        assert!(permits.try_acquire(1).is_none());
        assert!(permits.try_acquire(2).is_some());
        drop(held);
        assert!(permits.try_acquire(1).is_some());
    }

    #[test]
    fn idle_accounts_are_forgotten_and_busy_ones_are_not() {
        let permits = Permits::new(1);
        let _held = permits.try_acquire(-1).unwrap();
        for account in 0..10_000 {
            assert!(permits.try_acquire(account).is_some());
        }
        assert!(permits.accounts.lock().unwrap().len() <= ACCOUNTS);
        assert!(permits.try_acquire(-1).is_none(), "a busy account lost its count");
    }

    #[tokio::test]
    async fn who_waits_is_let_in_when_a_permit_comes_back() {
        let permits = Permits::new(1);
        let held = permits.acquire(7).await;
        let mut waiting = std::pin::pin!(permits.acquire(7));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        drop(held);
        assert!(waiting.await.is_some());
    }
}
