//! A campaign without steps of its own: one step, whose prompt comes from a template by strategy (S0-37).

use crate::sequence::Step;

const OUTREACH: &str = include_str!("../../templates/prompts/outreach.txt");
const GENERAL: &str = include_str!("../../templates/prompts/strategies/general.txt");

/// Strategies that have a template of their own. Any other word or sentence is the approach itself.
pub const KNOWN: &[(&str, &str)] = &[
    ("specific_automation", include_str!("../../templates/prompts/strategies/specific_automation.txt")),
    ("pain_point", include_str!("../../templates/prompts/strategies/pain_point.txt")),
    ("quick_question", include_str!("../../templates/prompts/strategies/quick_question.txt")),
];

/// The prompt for businesses of a kind, by a strategy.
pub fn prompt(business_type: Option<&str>, strategy: Option<&str>) -> String {
    let audience = match business_type {
        Some(kind) => format!("a business of this kind: {kind}"),
        None => "a business".to_owned(),
    };
    let own = strategy.map(|text| format!("The approach: {text}"));
    let known = KNOWN.iter().find(|(name, _)| strategy == Some(name)).map(|(_, text)| text.trim().to_owned());
    let approach = known.or(own).unwrap_or_else(|| GENERAL.trim().to_owned());
    // Split first: what a caller writes is not looked through for marks.
    let (before, after) = OUTREACH.trim_end().split_once("{approach}").unwrap_or((OUTREACH, ""));
    format!("{}{approach}{after}", before.replace("{audience}", &audience))
}

/// The one step of such a campaign.
pub fn step(business_type: Option<&str>, strategy: Option<&str>) -> Step {
    Step {
        id: 0,
        number: 1,
        name: "First e-mail".to_owned(),
        channel: Default::default(),
        subject: None,
        template: None,
        syntax: Default::default(),
        enclosed: Default::default(),
        ai_prompt: Some(prompt(business_type, strategy)),
        delay: Default::default(),
        include_previous_emails: false,
        active: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_strategy_has_its_template_and_any_other_is_the_approach_itself() {
        let known = prompt(Some("Dentists"), Some("specific_automation"));
        assert!(known.contains("Dentists") && known.contains("automate exactly that one"), "{known}");
        let own = prompt(None, Some("offer a free audit"));
        assert!(own.contains("The approach: offer a free audit"), "{own}");
        for text in [known, own, prompt(Some("Bakers"), None)] {
            assert!(!text.contains('{') && !text.contains('}'), "{text}");
        }
    }
}
