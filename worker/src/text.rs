//! The text of one message from its step's templates and its contact.

use crate::context::Context;
use crate::outlet::Route;
use crate::scripts::Texts;
use sendwright_store::planning::{DueEnrolment, NewText};
use sendwright_workflows::reason::Reason;
use sendwright_workflows::render::RenderError;
use sendwright_workflows::sequence::Enclosed;
use sendwright_workflows::signing::sign;
use sendwright_workflows::variables::{Fields, Variables};
use serde_json::{Map, Value};

/// What unsubscribe tokens are signed for; their ids are (account, contact, message).
pub const UNSUBSCRIBE: &str = "unsubscribe";

/// The signed link that opts a message's recipient out, by `[account, contact, message]`; none without an address
/// that the recipient can reach.
pub fn unsubscribe_url(ctx: &Context, route: &Route, ids: [i64; 3]) -> Option<String> {
    let (base, secret) = (route.base_url(&ctx.settings)?, ctx.settings.secrets.first()?);
    let token = sign(secret, UNSUBSCRIBE, ctx.store.epoch(), &ids);
    base.join(&format!("u/{token}")).ok().map(String::from)
}

/// Who and what a text is about.
pub struct About<'a> {
    /// The contact.
    pub contact: &'a DueEnrolment,
    /// The message's id, which its links carry.
    pub message: i64,
    /// The account.
    pub account: i64,
    /// The campaign's name.
    pub campaign: &'a str,
    /// The step's number.
    pub step: u32,
    /// How it leaves, and as whom.
    pub route: &'a Route,
}

impl About<'_> {
    /// The contact's own fields.
    pub fn attributes(&self) -> Map<String, Value> {
        serde_json::from_str(&self.contact.attributes).unwrap_or_default()
    }

    /// What the templates see.
    pub fn variables(&self, ctx: &Context) -> Variables {
        let contact = self.contact;
        let attributes = self.attributes();
        let url = unsubscribe_url(ctx, self.route, [self.account, contact.contact_id, self.message]);
        Variables::new(&Fields {
            email: contact.email.as_deref().unwrap_or_default(),
            first_name: contact.first_name.as_deref(),
            last_name: contact.last_name.as_deref(),
            company: contact.company.as_deref(),
            title: contact.title.as_deref(),
            phone: contact.phone.as_deref(),
            website: contact.website.as_deref(),
            industry: contact.industry.as_deref(),
            attributes: Some(&attributes),
            unsubscribe_url: url.as_deref(),
            sender_name: self.route.sender_name(),
            campaign_name: Some(self.campaign),
            step_number: Some(i64::from(self.step)),
        })
    }
}

/// A text from a step's templates. A step without a subject takes the thread's, or the campaign's name, when it is sent:
/// the subject is empty here.
pub fn compose(texts: &Texts, variables: &Variables) -> Result<NewText, Reason> {
    let subject = match &texts.subject {
        Some(template) => template.render(variables).map_err(why)?,
        None => String::new(),
    };
    let body = match &texts.body {
        Some(template) => template.render(variables).map_err(why)?,
        // The provider has the text.
        None if texts.enclosed.content_sid.is_some() => String::new(),
        None => return Err(uncompiled()),
    };
    Ok(NewText { subject, body, enclosed: enclosed(texts, variables)?.stored() })
}

/// What goes with a text message, for one person.
pub fn enclosed(texts: &Texts, variables: &Variables) -> Result<Enclosed, Reason> {
    let mut enclosed = texts.enclosed.clone();
    for (name, template) in &texts.content {
        let value = template.as_ref().ok_or_else(uncompiled)?.render(variables).map_err(why)?;
        enclosed.content_variables.insert(name.clone(), value);
    }
    Ok(enclosed)
}

fn uncompiled() -> Reason {
    Reason::WritingFailed { detail: "the step has no template that compiles".into() }
}

fn why(error: RenderError) -> Reason {
    match error {
        RenderError::Missing { variable, .. } => Reason::MissingVariable { name: variable },
        other => Reason::WritingFailed { detail: other.to_string() },
    }
}
