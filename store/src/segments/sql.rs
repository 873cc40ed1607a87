//! A tree of conditions as SQL: one text for both databases, every value bound.
//!
//! A tree is written in two ways: as a predicate on a contact's number ([`Maker::holds`]), and, where an index can
//! give the contacts of a condition, as a list of contacts ([`Maker::driver`]), the rest of an AND being predicates on
//! it. So what one index finds is all that is looked at.

use sendwright_workflows::clock::{DAY, Millis};
use sendwright_workflows::segment::{Behaviour, Bound, Column, Consent, Filter, Joint, Test};
use sendwright_workflows::sequence::Channel;
use serde_json::json;

/// Most parts of an OR that are each looked up and put together.
const MOST_UNITED: usize = 16;

/// Conditions up to which each may become a join. Beyond, PostgreSQL would spend its time on the order of the joins.
const MOST_JOINED: usize = 8;

/// A bound value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bind {
    Text(String),
    Int(i64),
    Real(f64),
}

/// Makes one statement: parts of its text, and the values that they name. `$1` is the account.
pub(super) struct Maker {
    pub(super) binds: Vec<Bind>,
    now: Millis,
    /// Whether a condition may become a join.
    joins: bool,
}

impl Maker {
    pub(super) fn new(account: i64, filter: &Filter, now: Millis) -> Self {
        Self { binds: vec![Bind::Int(account)], now, joins: conditions(filter) <= MOST_JOINED }
    }

    /// Binds a value; its name in the text.
    pub(super) fn bind(&mut self, value: Bind) -> String {
        self.binds.push(value);
        format!("${}", self.binds.len())
    }

    fn text(&mut self, text: &str) -> String {
        self.bind(Bind::Text(text.to_owned()))
    }

    /// A SELECT of the numbers, as `id`, of everybody meant; each once.
    pub(super) fn people(&mut self, filter: &Filter) -> String {
        if rank(filter).is_some() {
            return self.driver(filter);
        }
        let holds = self.holds(filter, "c.id");
        format!("SELECT c.id FROM contacts c WHERE c.account_id = $1 AND c.state = 'active' AND {holds}")
    }

    /// The same by an index; only for what has a [`rank`].
    fn driver(&mut self, filter: &Filter) -> String {
        match filter {
            Filter::Attribute { name, test, .. } => match Column::of(name) {
                Some(column) => {
                    let test = self.column(column, test, "k");
                    format!(
                        "SELECT k.id FROM contacts k WHERE k.account_id = $1 AND k.state = 'active' AND {test}"
                    )
                }
                None => {
                    let (name, test) = (self.text(name), self.value(test));
                    format!(
                        "SELECT v.contact_id AS id FROM contact_values v
                             WHERE v.account_id = $1 AND v.name = {name} AND {test}"
                    )
                }
            },
            Filter::Consent { channel, states, .. } => {
                let (hash, said) = (hash_of(*channel), self.states(*channel, states));
                format!(
                    "SELECT k.id FROM consent_states s
                         JOIN contacts k ON k.account_id = s.account_id AND k.{hash} = s.address_hash
                         WHERE s.account_id = $1 AND k.state = 'active' AND {said}"
                )
            }
            Filter::Group(Joint::Or, parts) => {
                let parts: Vec<String> = parts.iter().map(|part| self.driver(part)).collect();
                match &parts[..] {
                    [only] => only.clone(),
                    _ => format!("SELECT u.id FROM ({}) AS u", parts.join(" UNION ")),
                }
            }
            Filter::Group(_, parts) => {
                let best =
                    (0..parts.len()).filter(|i| rank(&parts[*i]).is_some()).min_by_key(|i| rank(&parts[*i]));
                let best = best.unwrap_or_default();
                let from = self.driver(&parts[best]);
                let rest = parts.iter().enumerate().filter(|(index, _)| *index != best);
                let rest = rest.map(|(_, part)| self.holds(part, "d.id")).collect();
                format!("SELECT d.id FROM ({from}) AS d WHERE {}", joined(rest, "AND"))
            }
            Filter::Behaviour { .. } => self.people(filter),
        }
    }

    /// A predicate on the contact whose number is `id`.
    pub(super) fn holds(&mut self, filter: &Filter, id: &str) -> String {
        match filter {
            Filter::Group(joint, parts) => {
                let parts = parts.iter().map(|part| self.holds(part, id)).collect();
                match joint {
                    Joint::And => joined(parts, "AND"),
                    Joint::Or => joined(parts, "OR"),
                    Joint::Not => format!("NOT {}", joined(parts, "OR")),
                }
            }
            Filter::Attribute { name, test, negated } => {
                let found = match Column::of(name) {
                    Some(column) => {
                        let test = self.column(column, test, "k");
                        format!("SELECT 1 FROM contacts k WHERE k.id = {id} AND {test}")
                    }
                    None => {
                        let (name, test) = (self.text(name), self.value(test));
                        format!(
                            "SELECT 1 FROM contact_values v WHERE v.account_id = $1 AND v.contact_id = {id}
                                 AND v.name = {name} AND {test}"
                        )
                    }
                };
                self.exists(*negated, &found)
            }
            Filter::Consent { channel, states, negated } => {
                let (hash, said) = (hash_of(*channel), self.states(*channel, states));
                self.exists(
                    *negated,
                    &format!(
                        "SELECT 1 FROM contacts k
                     JOIN consent_states s ON s.account_id = k.account_id AND s.address_hash = k.{hash}
                     WHERE k.id = {id} AND {said}"
                    ),
                )
            }
            Filter::Behaviour { what, within_days, campaign, negated } => {
                let mut found = String::from(match what {
                    Behaviour::Replied => "SELECT 1 FROM enrolments e",
                    _ => "SELECT 1 FROM enrolments e JOIN messages m ON m.enrolment_id = e.id",
                });
                found.push_str(&format!(" WHERE e.account_id = $1 AND e.contact_id = {id}"));
                if let Some(campaign) = campaign {
                    found.push_str(&format!(" AND e.campaign_id = {}", self.bind(Bind::Int(*campaign))));
                }
                let at = match what {
                    Behaviour::Sent => "m.accepted_at",
                    Behaviour::Opened => "m.opened_at",
                    Behaviour::Clicked => "m.clicked_at",
                    Behaviour::Replied => "e.replied_at",
                };
                let since = within_days.map_or(i64::MIN, |days| self.now - days * DAY);
                found.push_str(&format!(" AND {at} >= {}", self.bind(Bind::Int(since))));
                self.exists(*negated, &found)
            }
        }
    }

    fn exists(&self, negated: bool, select: &str) -> String {
        let not = if negated { "NOT " } else { "" };
        match self.joins {
            true => format!("{not}EXISTS ({select})"),
            false => format!("{not}CASE WHEN EXISTS ({select}) THEN TRUE ELSE FALSE END"),
        }
    }

    /// A test on a row of `contact_values`.
    fn value(&mut self, test: &Test) -> String {
        match test {
            Test::Exists => "TRUE".into(),
            Test::Is { texts, numbers } => self.is("v.text", texts, Some(("v.number", numbers))),
            Test::Contains(_) | Test::StartsWith(_) | Test::EndsWith(_) => self.words("v.text", test),
            Test::Number(low, high) => self.between("v.number", low, high, Bind::Real),
            Test::Instant(low, high) => self.between("v.instant", low, high, Bind::Int),
            Test::WithinDays(days) => self.within("v.instant", *days),
        }
    }

    /// A test on a column of `contacts`.
    fn column(&mut self, column: Column, test: &Test, of: &str) -> String {
        let of = match column {
            Column::Phone => format!("{of}.phone_key"),
            Column::Email => format!("{of}.email_key"),
            Column::ExternalId => format!("{of}.external_id"),
            Column::CreatedAt => format!("{of}.created_at"),
        };
        match test {
            Test::Exists => format!("{of} IS NOT NULL"),
            Test::Is { texts, numbers } => {
                // A number of people's own is text here.
                let numbers = numbers.iter().map(|number| number.to_string());
                let texts: Vec<String> = texts.iter().cloned().chain(numbers).collect();
                self.is(&of, &texts, None)
            }
            Test::Contains(_) | Test::StartsWith(_) | Test::EndsWith(_) => self.words(&of, test),
            Test::Instant(low, high) => self.between(&of, low, high, Bind::Int),
            Test::WithinDays(days) => self.within(&of, *days),
            Test::Number(..) => "FALSE".into(),
        }
    }

    fn is(&mut self, of: &str, texts: &[String], numbers: Option<(&str, &[f64])>) -> String {
        let mut parts = match texts {
            [] => vec![],
            [only] => vec![format!("{of} = {}", self.text(only))],
            _ => {
                let list: Vec<[&String; 1]> = texts.iter().map(|text| [text]).collect();
                let list = self.text(&json!(list).to_string());
                vec![format!("{of} IN (SELECT e.value ->> 0 FROM json_each({list}) AS e)")]
            }
        };
        if let Some((of, numbers)) = numbers {
            let numbers: Vec<String> = numbers.iter().map(|number| self.bind(Bind::Real(*number))).collect();
            if !numbers.is_empty() {
                parts.push(format!("{of} IN ({})", numbers.join(", ")));
            }
        }
        joined(parts, "OR")
    }

    /// Without LIKE, whose case and wildcards differ, and without a pattern that a value could be.
    fn words(&mut self, of: &str, test: &Test) -> String {
        match test {
            Test::StartsWith(text) => {
                let text = self.text(text);
                format!("substr({of}, 1, length({text})) = {text}")
            }
            Test::EndsWith(text) => {
                let text = self.text(text);
                format!(
                    "(length({of}) >= length({text})
                          AND substr({of}, length({of}) - length({text}) + 1) = {text})"
                )
            }
            Test::Contains(text) => format!("replace({of}, {}, '') <> {of}", self.text(text)),
            _ => "FALSE".into(),
        }
    }

    fn between<T: Copy>(&mut self, of: &str, low: &Bound<T>, high: &Bound<T>, bind: fn(T) -> Bind) -> String {
        let mut parts = Vec::new();
        for (bound, included, excluded) in [(low, ">=", ">"), (high, "<=", "<")] {
            match bound {
                Bound::Included(end) => parts.push(format!("{of} {included} {}", self.bind(bind(*end)))),
                Bound::Excluded(end) => parts.push(format!("{of} {excluded} {}", self.bind(bind(*end)))),
                Bound::Unbounded => {}
            }
        }
        joined(parts, "AND")
    }

    fn within(&mut self, of: &str, days: i64) -> String {
        let (now, since) = (self.now, self.now - days * DAY);
        self.between(of, &Bound::Included(since), &Bound::Included(now), Bind::Int)
    }

    /// What a row of `consent_states` must say.
    fn states(&mut self, channel: Channel, states: &[Consent]) -> String {
        let mut said = format!("s.channel = '{}'", channel.as_str());
        if !states.is_empty() {
            let words: Vec<String> = states.iter().map(|state| format!("'{}'", state.as_str())).collect();
            said.push_str(&format!(" AND s.state IN ({})", words.join(", ")));
        }
        said
    }
}

/// How many contacts an index may be expected to give for this, as an order among conditions; none where it gives
/// none, or everybody.
fn rank(filter: &Filter) -> Option<u8> {
    match filter {
        Filter::Attribute { negated: true, .. } | Filter::Consent { negated: true, .. } => None,
        Filter::Attribute { name, test, .. } => match (Column::of(name), test) {
            (_, Test::Is { .. }) => Some(0),
            (Some(Column::CreatedAt), Test::Instant(..) | Test::WithinDays(_)) => Some(2),
            (Some(_), _) => None,
            (None, Test::Number(..) | Test::Instant(..) | Test::WithinDays(_)) => Some(1),
            (None, Test::StartsWith(_) | Test::EndsWith(_) | Test::Contains(_)) => Some(3),
            (None, Test::Exists) => Some(4),
        },
        Filter::Consent { .. } => Some(5),
        Filter::Behaviour { .. } | Filter::Group(Joint::Not, _) => None,
        Filter::Group(Joint::And, parts) => parts.iter().filter_map(rank).min(),
        Filter::Group(Joint::Or, parts) if parts.len() > MOST_UNITED => None,
        Filter::Group(Joint::Or, parts) => {
            parts.iter().map(rank).try_fold(0, |most, rank| Some(most.max(rank?))).map(|most| most.max(3))
        }
    }
}

fn conditions(filter: &Filter) -> usize {
    match filter {
        Filter::Group(_, parts) => parts.iter().map(conditions).sum(),
        _ => 1,
    }
}

/// The column of `contacts` that carries a channel's address hash.
pub(super) fn hash_of(channel: Channel) -> &'static str {
    match channel {
        Channel::Email => "email_hash",
        Channel::Sms | Channel::Whatsapp => "phone_hash",
    }
}

/// Parts put together in halves: SQLite bounds how deep an expression nests, and a row of ORs nests with each.
fn joined(mut parts: Vec<String>, word: &str) -> String {
    match parts.len() {
        0 => "TRUE".into(),
        1 => parts.remove(0),
        many => {
            let right = parts.split_off(many / 2);
            format!("({} {word} {})", joined(parts, word), joined(right, word))
        }
    }
}
