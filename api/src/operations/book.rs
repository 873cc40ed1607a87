//! The address book of an account, opened for a batch of people: whose row each is, and which addresses they get.

use crate::refusal::Refusal;
use sendwright_store::Tx;
use sendwright_store::contacts::{self, Known};
use sendwright_workflows::identity::{self, Holder, Place, Row};
use std::collections::{HashMap, HashSet};

/// Who has the addresses of a batch, and who of the batch has got them.
pub struct Book {
    emails: HashMap<String, Known>,
    phones: HashMap<String, Known>,
    /// Addresses that somebody of the batch took as their other one, or joined a row by.
    taken: HashSet<String>,
}

impl Book {
    /// Looks everybody up. Where there are numbers, the account's addresses are locked first.
    pub async fn open(tx: &mut Tx, account: i64, emails: &[&str], phones: &[&str]) -> Result<Self, Refusal> {
        if !phones.is_empty() {
            tx.lock_addresses(account).await?;
        }
        let mut book = Self {
            emails: HashMap::with_capacity(emails.len()),
            phones: HashMap::with_capacity(phones.len()),
            taken: HashSet::new(),
        };
        for known in contacts::known(tx, account, emails, phones).await? {
            if let Some(key) = &known.email_key {
                book.emails.insert(key.clone(), known.clone());
            }
            if let Some(key) = &known.phone_key {
                book.phones.insert(key.clone(), known.clone());
            }
        }
        Ok(book)
    }

    /// The place of a lead, who comes by e-mail and may have a number.
    pub fn lead(&mut self, email: &str, phone: Option<&str>) -> Place {
        let holder = |known: &Known, has_other| Holder { id: known.id, deleted: known.deleted, has_other };
        let by = self.emails.get(email).map(|known| holder(known, known.phone_key.is_some()));
        let phone = phone.filter(|phone| !self.taken.contains(*phone));
        let other = phone.and_then(|phone| self.phones.get(phone));
        let other = other.map(|known| holder(known, known.email_key.is_some()));
        let place = identity::place(by, other, phone.is_some());
        if let Row::There(_) = place.row {
            // A lead that is there stays as it is.
            return Place { takes_other: false, frees_other: None, ..place };
        }
        self.taken.extend(phone.filter(|_| place.takes_other).map(str::to_owned));
        place
    }

    /// The place of a user, who comes by their number and may have an e-mail address.
    pub fn user(&mut self, phone: &str, email: Option<&str>) -> Place {
        let holder = |known: &Known, has_other| Holder { id: known.id, deleted: known.deleted, has_other };
        let by = self.phones.get(phone).map(|known| holder(known, known.email_key.is_some()));
        let email = email.filter(|email| !self.taken.contains(*email));
        let other = email.and_then(|email| self.emails.get(email));
        let other = other.map(|known| holder(known, known.phone_key.is_some()));
        let place = identity::place(by, other, email.is_some());
        self.taken.extend(email.filter(|_| place.takes_other).map(str::to_owned));
        place
    }
}

/// The deleted rows that give up the address that somebody comes by, and those that give up the other.
pub fn freed<'a>(places: impl Iterator<Item = &'a Place> + Clone) -> (Vec<i64>, Vec<i64>) {
    let by = places.clone().filter_map(|place| place.frees).collect();
    (by, places.filter_map(|place| place.frees_other).collect())
}

/// The row of somebody, if they have one.
pub fn row(place: &Place) -> Option<i64> {
    match place.row {
        Row::New => None,
        Row::There(id) | Row::Joined(id) | Row::Back(id) => Some(id),
    }
}
