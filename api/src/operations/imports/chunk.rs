//! One chunk of an import: its people, what was refused of them, and how far that brings it, in one transaction.

use super::taken_up;
use crate::operations::{leads, users};
use crate::refusal::Refusal;
use crate::state::Core;
use crate::work::{Actor, Barrier, Work};
use sendwright_store::imports::{self, Import, Refused, Step};
use sendwright_workflows::consent::{Grounds, State};
use sendwright_workflows::sequence::Channel;
use sendwright_workflows::spec::{FieldError, LeadBody, UserBody, sentence};
use serde_json::json;
use std::collections::HashMap;

/// Somebody who was read.
pub enum Who {
    /// By their number.
    User(UserBody),
    /// By e-mail.
    Lead(LeadBody),
}

/// A row of the file.
pub struct Line {
    /// Its place, from 1.
    pub place: i64,
    /// Its line, from 1.
    pub line: u64,
    /// Who it is, or what is wrong with it.
    pub who: Result<Who, Vec<FieldError>>,
}

/// A chunk that was committed.
pub struct Taken {
    /// What it added.
    pub step: Step,
    /// The hashes that hand-overs are forbidden to from now on.
    pub forbidden: Vec<String>,
    /// Leads that were enrolled.
    pub enrolled: u64,
    /// Leads that nothing will be sent to.
    pub suppressed: u64,
}

/// Takes a chunk.
pub async fn take(
    core: &Core,
    actor: &Actor,
    import: &Import,
    lines: &[Line],
    digest: &str,
) -> Result<Taken, Refusal> {
    let mut work = Work::new(core, actor.clone())?;
    let step = Step { digest: digest.into(), ..Step::default() };
    let mut taken = Taken { step, forbidden: Vec::new(), enrolled: 0, suppressed: 0 };
    for line in lines {
        if let Err(errors) = &line.who {
            taken.step.refused.push(refused(line, &Refusal::Invalid(errors.clone())));
        }
    }
    match import.kind.as_str() {
        "users" => take_users(&mut work, lines, &mut taken).await?,
        _ => take_leads(&mut work, lines, &mut taken).await?,
    }
    taken.step.refused.sort_unstable_by_key(|refused| refused.place);
    let now = work.now();
    if !imports::advance(work.tx()?, import, &taken.step, now).await? {
        return Err(taken_up());
    }
    let (created, updated) = (taken.step.created, taken.step.updated);
    let counts = json!({ "created": created, "updated": updated, "refused": taken.step.refused.len() });
    work.audit("import", "contact", None, &counts);
    work.commit().await?;
    Ok(taken)
}

/// Users in waves, no number twice in one: a later row finds what an earlier one has left.
async fn take_users(work: &mut Work<'_>, lines: &[Line], taken: &mut Taken) -> Result<(), Refusal> {
    let mut waves: Vec<(Vec<&Line>, Vec<UserBody>)> = Vec::new();
    let mut seen = HashMap::new();
    for line in lines {
        let Ok(Who::User(user)) = &line.who else { continue };
        let nth: &mut usize = seen.entry(user.phone.as_str()).or_default();
        if waves.len() == *nth {
            waves.push(Default::default());
        }
        waves[*nth].0.push(line);
        waves[*nth].1.push(user.clone());
        *nth += 1;
    }
    let people: Vec<&UserBody> = waves.iter().flat_map(|(_, users)| users).collect();
    let mut ids = users::Ids::take(work, &people, users::Expect::Either).await?;
    let salt = work.store().salt();
    for (lines, users) in &waves {
        let done = users::put(work, users, (users::Expect::Either, Grounds::Listed), &mut ids).await?;
        for ((line, user), done) in lines.iter().zip(users).zip(done) {
            match done {
                Ok(put) if put.created => taken.step.created += 1,
                Ok(_) => taken.step.updated += 1,
                Err(why) => {
                    taken.step.refused.push(refused(line, &why));
                    continue;
                }
            }
            if user.consent.is_some_and(State::forbids) && user.channel != Some(Channel::Email) {
                taken.forbidden.push(user.phone.hash(salt));
            }
        }
    }
    Ok(())
}

async fn take_leads(work: &mut Work<'_>, lines: &[Line], taken: &mut Taken) -> Result<(), Refusal> {
    let good = lines.iter().filter_map(|line| match &line.who {
        Ok(Who::Lead(lead)) => Some((line, Ok(lead.clone()))),
        _ => None,
    });
    let (lines, parsed): (Vec<&Line>, Vec<leads::Parsed>) = good.unzip();
    if parsed.is_empty() {
        return work.begin(Barrier::None).await;
    }
    let import = leads::import(work, parsed, leads::Known::Take).await?;
    for lead in &import.taken {
        taken.enrolled += u64::from(lead.enrolled);
        taken.suppressed += u64::from(lead.suppressed);
        *(if lead.known { &mut taken.step.updated } else { &mut taken.step.created }) += 1;
    }
    for lead in &import.refused {
        // Who is there is taken: a duplicate is one of this chunk's own.
        let why = match &lead.why {
            Refusal::Duplicate(_) => {
                Refusal::field("email", "duplicate", "is in the file twice; the first one counts")
            }
            other => other.clone(),
        };
        taken.step.refused.extend(lines.get(lead.index).map(|line| refused(line, &why)));
    }
    Ok(())
}

/// A refused row, by the first of its faults.
fn refused(line: &Line, why: &Refusal) -> Refused {
    let first = match why {
        Refusal::Invalid(errors) => errors.first(),
        _ => None,
    };
    let message = match why {
        Refusal::Invalid(errors) => sentence(errors),
        other => other.to_string(),
    };
    let own = match &line.who {
        Ok(Who::User(user)) => Some(user.phone.as_str().to_owned()),
        Ok(Who::Lead(lead)) => Some(lead.email.as_str().to_owned()),
        Err(_) => None,
    };
    let field = match &line.who {
        Ok(Who::Lead(_)) => "email",
        Ok(Who::User(_)) => "consent_state",
        Err(_) => "row",
    };
    Refused {
        place: line.place,
        line: line.line as i64,
        field: first.map_or(field, |error| error.field.as_str()).into(),
        code: first.map_or(why.code(), |error| error.code).into(),
        message,
        provided: first.and_then(|error| error.provided.clone()).or(own),
    }
}
