//! What a key may do: a scope a noun and a verb, such as `leads:read`. Which route asks for which is in the document
//! (`openapi::routes`).

use crate::openapi;
use std::sync::LazyLock;

/// What a route asks for that every key may call.
pub const ANY: &str = "any";
/// Stand for every scope that ends so, but those of keys: whoever may make keys may make any.
const UMBRELLAS: [&str; 2] = ["read", "write"];

static KNOWN: LazyLock<Vec<String>> = LazyLock::new(|| {
    let umbrellas = UMBRELLAS.map(str::to_owned);
    let mut known: Vec<String> = openapi::routes()
        .into_iter()
        .filter_map(|route| route.scope)
        .filter(|scope| scope != ANY)
        .chain(umbrellas)
        .collect();
    known.sort();
    known.dedup();
    known
});

/// Every scope there is: those that some route asks for, and `read` and `write`.
pub fn known() -> &'static [String] {
    &KNOWN
}

/// Whether scopes allow what one of them is asked for; none at all allow everything.
pub fn grants(held: &[String], needed: &str) -> bool {
    let covers = |scope: &String| {
        scope == needed
            || needed
                .split_once(':')
                .is_some_and(|(noun, verb)| noun != "keys" && UMBRELLAS.contains(&verb) && scope == verb)
    };
    held.is_empty() || needed == ANY || held.iter().any(covers)
}

/// Whether a key with the scopes `held` may give away `asked`: no more than it has itself.
pub fn includes(held: &[String], asked: &[String]) -> bool {
    held.is_empty() || (!asked.is_empty() && asked.iter().all(|scope| grants(held, scope)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn an_umbrella_covers_its_verb_of_every_noun_but_keys() {
        assert!(grants(&of(&[]), "keys:write"));
        assert!(grants(&of(&["read"]), "leads:read") && !grants(&of(&["read"]), "leads:write"));
        assert!(!grants(&of(&["read", "write"]), "keys:write") && grants(&of(&["keys:write"]), "keys:write"));
        assert!(!grants(&of(&["leads:read"]), "read"));
    }

    #[test]
    fn nobody_gives_away_what_they_lack() {
        assert!(includes(&of(&[]), &of(&[])) && includes(&of(&["read"]), &of(&["leads:read", "read"])));
        assert!(!includes(&of(&["read"]), &of(&[])) && !includes(&of(&["leads:read"]), &of(&["read"])));
    }
}
