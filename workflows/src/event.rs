//! The names of events: the dotted ones, the documents' own as their aliases (C-15), and what an endpoint chooses.

/// Every event that can be chosen, by its dotted name, with the documents' names for it.
pub const NAMES: &[(&str, &[&str])] = &[
    ("lead.created", &["lead_created"]),
    ("lead.updated", &["lead_updated"]),
    ("lead.converted", &["lead_converted"]),
    ("campaign.enrolled", &["campaign_enrolled", "campaign_enrollment", "campaign.enrollment"]),
    ("campaign.completed", &["campaign_complete", "campaign_completed"]),
    ("email.sent", &["email_sent"]),
    ("email.delivered", &["email_delivered"]),
    ("email.opened", &["email_opened"]),
    ("email.clicked", &["email_clicked"]),
    ("email.bounced", &["email_bounced"]),
    ("email.failed", &["email_failed"]),
    ("email.complained", &["email_complained"]),
    ("sms.sent", &["sms_sent"]),
    ("sms.delivered", &["sms_delivered"]),
    ("sms.bounced", &["sms_bounced"]),
    ("sms.failed", &["sms_failed"]),
    ("whatsapp.sent", &["whatsapp_sent"]),
    ("whatsapp.delivered", &["whatsapp_delivered"]),
    ("whatsapp.opened", &["whatsapp_opened"]),
    ("whatsapp.bounced", &["whatsapp_bounced"]),
    ("whatsapp.failed", &["whatsapp_failed"]),
    ("reply.received", &["reply_received", "lead_replied", "lead.replied"]),
    ("message.uncertain", &["message_uncertain"]),
    ("contact.opted_out", &["contact_opted_out", "lead.unsubscribed", "lead_unsubscribed"]),
    ("contact.opted_in", &["contact_opted_in"]),
    ("contact.asked_to_stop", &["contact_asked_to_stop"]),
    ("call.started", &["call_started"]),
    ("call.ended", &["call_ended"]),
    ("chat.message_received", &["chat_message_received"]),
    ("payment.completed", &["payment_completed"]),
    ("payment.failed", &["payment_failed"]),
    ("webhook.disabled", &["webhook_disabled"]),
];

/// The sample that `test` sends. It is never chosen: it goes to the endpoint that is tested and to no other.
pub const TEST: &str = "webhook.test";

/// What the caller's own events begin with.
pub const CUSTOM: &str = "custom.";

/// The name of what happened on a channel: `sms` and `delivered` are `sms.delivered`. A pair that nothing can be is none.
pub fn on_channel(channel: &str, what: &str) -> Option<&'static str> {
    let mut names = NAMES.iter().map(|(dotted, _)| *dotted);
    names.find(|dotted| dotted.split_once('.') == Some((channel, what)))
}

/// The dotted name of an event, whichever of its names is given; a name that is in no table is its own.
pub fn canonical(name: &str) -> &str {
    known(name).unwrap_or(name)
}

fn known(name: &str) -> Option<&'static str> {
    NAMES
        .iter()
        .find(|(dotted, aliases)| *dotted == name || aliases.contains(&name))
        .map(|(dotted, _)| *dotted)
}

/// Every stored kind that a filter by `name` means; `family.*` means the whole family.
pub fn kinds(name: &str) -> Vec<&str> {
    let of = |wanted: &dyn Fn(&str) -> bool| {
        let rows = NAMES.iter().filter(|(dotted, _)| wanted(dotted));
        rows.flat_map(|(dotted, aliases)| std::iter::once(*dotted).chain(aliases.iter().copied())).collect()
    };
    match (name.strip_suffix('*').filter(|family| family.ends_with('.')), known(name)) {
        (Some(family), _) => of(&|dotted| dotted.starts_with(family)),
        (None, Some(one)) => of(&|dotted| dotted == one),
        (None, None) => vec![name],
    }
}

/// Whether a name may be given to an event of the caller's own: `custom.` and words of a-z, 0-9 and `_` between dots.
pub fn is_custom(name: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    name.len() <= 100 && name.strip_prefix(CUSTOM).is_some_and(|rest| rest.split('.').all(is_word))
}

/// Whether an endpoint may choose by this name: an event's, a family's (`email.*`), a custom one's, or `*` for all.
pub fn is_choice(name: &str) -> bool {
    let is_family = |family: &str| {
        family == CUSTOM
            || NAMES.iter().any(|(dotted, _)| dotted.starts_with(family) && family.ends_with('.'))
    };
    name == "*" || known(name).is_some() || is_custom(name) || name.strip_suffix('*').is_some_and(is_family)
}

/// The name under which an endpoint that chose `choices` gets an event of `kind`: the one it chose it by, the dotted
/// one where it chose a family; `None` where it did not choose it.
///
/// ```
/// # use sendwright_workflows::event::chosen;
/// assert_eq!(chosen(&["email_sent".into()], "email.sent"), Some("email_sent"));
/// assert_eq!(chosen(&["*".into()], "email.sent"), Some("email.sent"));
/// assert_eq!(chosen(&["reply.received".into()], "email.sent"), None);
/// ```
pub fn chosen<'a>(choices: &'a [String], kind: &'a str) -> Option<&'a str> {
    let dotted = canonical(kind);
    if dotted == TEST {
        return None;
    }
    let by_name = choices.iter().find(|choice| canonical(choice) == dotted).map(String::as_str);
    let by_family =
        || choices.iter().any(|c| c.strip_suffix('*').is_some_and(|family| dotted.starts_with(family)));
    by_name.or_else(|| by_family().then_some(dotted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_of_one_event_alone_and_can_be_chosen() {
        let mut all: Vec<&str> = NAMES.iter().flat_map(|(name, also)| [&[*name], *also].concat()).collect();
        assert!(all.iter().all(|name| is_choice(name)));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn an_event_comes_under_the_name_it_was_chosen_by() {
        let choices = ["email.*", "email_sent", "lead.replied"].map(String::from);
        assert_eq!(chosen(&choices, "email.sent"), Some("email_sent"));
        assert_eq!(chosen(&choices, "email.bounced"), Some("email.bounced"));
        assert_eq!(chosen(&choices, "reply.received"), Some("lead.replied"));
        assert_eq!(chosen(&["contact.opted_out".into()], "lead.unsubscribed"), Some("contact.opted_out"));
        assert_eq!(chosen(&["*".into()], "lead.unsubscribed"), Some("contact.opted_out"));
        assert_eq!(chosen(&choices, "lead.created"), None);
        assert_eq!(chosen(&["*".into()], TEST), None);
    }

    #[test]
    fn what_is_no_name_cannot_be_chosen() {
        for name in
            ["", "**", "email*", "email.", "emai.*", ".*", "custom.", "custom.A", "custom..a", "email.lost"]
        {
            assert!(!is_choice(name), "{name}");
        }
        assert!(is_choice("custom.*") && is_choice("custom.order.paid") && is_choice("email.*"));
        assert_eq!(kinds("email_sent"), ["email.sent", "email_sent"]);
        assert!(kinds("lead.*").contains(&"lead.created") && !kinds("lead.*").contains(&"email.sent"));
    }
}
