//! Sequences with their templates compiled, kept by version: a version never changes.

use sendwright_store::{Result, Store, campaigns};
use sendwright_workflows::render::{Kind, Template};
use sendwright_workflows::sequence::{Enclosed, Sequence, Step};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Versions kept at most; beyond it the cache starts anew.
const MOST: usize = 2_000;

/// One version of a campaign's steps, ready to render.
pub struct Script {
    /// The steps.
    pub sequence: Sequence,
    texts: HashMap<u32, Texts>,
}

/// A step's templates. `None`: it has none, or a stored one that no longer compiles, which holds the message.
#[derive(Default)]
pub struct Texts {
    /// The subject.
    pub subject: Option<Template>,
    /// The body: text, or HTML where it begins with `<`.
    pub body: Option<Template>,
    /// What goes with a text message.
    pub enclosed: Enclosed,
    /// The variables of its content template, by name.
    pub content: Vec<(String, Option<Template>)>,
}

impl Script {
    fn new(sequence: Sequence) -> Self {
        let texts = sequence.steps.iter().map(|step| (step.number, compile(step))).collect();
        Self { sequence, texts }
    }

    /// A step's templates.
    pub fn texts(&self, step: u32) -> Option<&Texts> {
        self.texts.get(&step)
    }
}

fn compile(step: &Step) -> Texts {
    let one = |kind, source: &Option<String>| {
        source.as_ref().and_then(|s| Template::compile_in(step.syntax, kind, s).ok())
    };
    let kind = match step.channel.is_phone() {
        true => Kind::Text,
        false => step.template.as_deref().map_or(Kind::Text, body_kind),
    };
    let enclosed = step.enclosed.clone();
    let variable = |(name, source): (&String, &String)| {
        (name.clone(), Template::compile_in(step.syntax, Kind::Text, source).ok())
    };
    let content = enclosed.content_variables.iter().map(variable).collect();
    Texts { subject: one(Kind::Subject, &step.subject), body: one(kind, &step.template), enclosed, content }
}

/// What a body template is: HTML where its first visible character is `<`, text otherwise.
pub fn body_kind(template: &str) -> Kind {
    if template.trim_start().starts_with('<') { Kind::Html } else { Kind::Text }
}

/// The cache.
#[derive(Default)]
pub struct Scripts(Mutex<HashMap<(i64, i64), Arc<Script>>>);

impl Scripts {
    /// One version of a campaign's steps.
    pub async fn get(&self, store: &Store, account: i64, campaign: i64, version: i64) -> Result<Arc<Script>> {
        if let Some(found) = self.peek(campaign, version) {
            return Ok(found);
        }
        let mut tx = store.read().await?;
        let sequence = campaigns::sequence(&mut tx, account, campaign, version).await?;
        tx.commit().await?;
        let script = Arc::new(Script::new(sequence));
        if let Ok(mut kept) = self.0.lock() {
            if kept.len() >= MOST {
                kept.clear();
            }
            kept.insert((campaign, version), script.clone());
        }
        Ok(script)
    }

    fn peek(&self, campaign: i64, version: i64) -> Option<Arc<Script>> {
        self.0.lock().ok()?.get(&(campaign, version)).cloned()
    }
}
