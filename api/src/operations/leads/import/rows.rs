//! Gives every candidate its row: a new one, its own deleted one, that of a user whose number it is, or the one that is
//! there.

use super::Candidate;
use crate::operations::book::{self, Book};
use crate::refusal::Refusal;
use sendwright_store::Tx;
use sendwright_store::contacts::{self, Details};
use sendwright_workflows::identity::{Place, Row};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Stores candidates and says whose row each has; those that were there before are known. The rows of users that became
/// leads as well come back.
pub(super) async fn give(
    tx: &mut Tx,
    account: i64,
    candidates: &mut [Candidate],
    ids: Range<i64>,
    now: i64,
) -> Result<HashSet<i64>, Refusal> {
    let places = places(tx, account, candidates).await?;
    let (mut new, mut back, mut joined) = (HashSet::new(), HashSet::new(), HashSet::new());
    for ((candidate, place), id) in candidates.iter_mut().zip(&places).zip(ids) {
        candidate.id = book::row(place).unwrap_or(id);
        candidate.known = matches!(place.row, Row::There(_));
        if !place.takes_other {
            (candidate.details.phone_key, candidate.details.phone_hash) = (None, None);
        }
        match place.row {
            Row::New => new.insert(candidate.id),
            Row::Back(id) => back.insert(id),
            Row::Joined(id) => joined.insert(id),
            Row::There(_) => false,
        };
    }
    join(tx, account, candidates, &joined).await?;
    let of = |ids: &HashSet<i64>| -> Vec<(i64, &Details)> {
        candidates.iter().filter(|c| ids.contains(&c.id)).map(|c| (c.id, &c.details)).collect()
    };
    let mut ours = contacts::insert(tx, account, &of(&new), now).await?;
    ours.extend(contacts::revive(tx, account, &of(&back), now).await?);
    ours.extend(contacts::update(tx, account, &of(&joined), now).await?);
    if ours.len() < new.len() + back.len() + joined.len() {
        // Somebody else brought the same people in between: they are known now.
        let emails: Vec<&str> = candidates.iter().map(Candidate::key).collect();
        let there = contacts::known(tx, account, &emails, &[]).await?;
        let there: HashMap<_, _> = there.into_iter().map(|k| (k.email_key, (k.id, !k.deleted))).collect();
        for candidate in candidates.iter_mut().filter(|c| !c.known && !ours.contains(&c.id)) {
            if let Some(&(id, known)) = there.get(&candidate.details.email_key) {
                (candidate.id, candidate.known) = (id, known);
            }
        }
    }
    Ok(joined)
}

async fn places(tx: &mut Tx, account: i64, candidates: &[Candidate]) -> Result<Vec<Place>, Refusal> {
    let emails: Vec<&str> = candidates.iter().map(Candidate::key).collect();
    let phones: Vec<&str> = candidates.iter().filter_map(|c| c.details.phone_key.as_deref()).collect();
    let mut book = Book::open(tx, account, &emails, &phones).await?;
    let places: Vec<Place> =
        candidates.iter().map(|c| book.lead(c.key(), c.details.phone_key.as_deref())).collect();
    let (emails, phones) = book::freed(places.iter());
    contacts::release(tx, account, &emails, &phones).await?;
    Ok(places)
}

/// What a user is known by stays where the lead says nothing else.
async fn join(
    tx: &mut Tx,
    account: i64,
    candidates: &mut [Candidate],
    joined: &HashSet<i64>,
) -> Result<(), Refusal> {
    if joined.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = joined.iter().copied().collect();
    let there = contacts::by_ids(tx, account, &ids).await?;
    let mut there: HashMap<i64, Details> = there.into_iter().map(|c| (c.id, c.details)).collect();
    for candidate in candidates {
        let Some(own) = there.remove(&candidate.id) else { continue };
        let d = &mut candidate.details;
        let mut attributes: Map<String, Value> = serde_json::from_str(&own.attributes).unwrap_or_default();
        attributes.extend(serde_json::from_str::<Map<_, _>>(&d.attributes).unwrap_or_default());
        d.attributes = Value::Object(attributes).to_string();
        let fields = [
            (&mut d.external_id, own.external_id),
            (&mut d.first_name, own.first_name),
            (&mut d.last_name, own.last_name),
            (&mut d.company, own.company),
            (&mut d.title, own.title),
            (&mut d.website, own.website),
            (&mut d.industry, own.industry),
            (&mut d.timezone, own.timezone),
        ];
        for (field, own) in fields {
            *field = field.take().or(own);
        }
    }
    Ok(())
}
