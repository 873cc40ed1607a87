//! A submitted campaign that is made of a template, for a segment.

use super::fields::Fields;
use super::{CampaignBody, FieldError};
use crate::campaign::Audience;
use crate::ids::Kind;
use crate::sequence::{Channel, Delay, Step, Syntax};
use crate::sms;

/// What a stored template says.
#[derive(Debug, Clone, Copy)]
pub struct TemplateText<'a> {
    /// What people call it.
    pub name: &'a str,
    /// The subject, for e-mail.
    pub subject: Option<&'a str>,
    /// The text.
    pub content: &'a str,
    /// How both are written.
    pub syntax: Syntax,
    /// What it is made for.
    pub channel: Channel,
}

impl CampaignBody {
    /// The body with the one step that its template makes: the text as it is now.
    ///
    /// # Errors
    /// The text is too long for the channel.
    pub fn with_template(mut self, template: &TemplateText) -> Result<Self, FieldError> {
        let channel = self.channel.unwrap_or(template.channel);
        if channel.is_phone() && template.content.chars().count() > sms::MOST_CHARACTERS {
            let (most, channel) = (sms::MOST_CHARACTERS, channel.as_str());
            let message =
                format!("has more than {most} characters, the most for {channel}; give channel: email");
            return Err(FieldError::new("template_id", "too_long", message));
        }
        self.steps = vec![Step {
            id: 0,
            number: 1,
            name: template.name.to_owned(),
            channel,
            subject: template.subject.filter(|_| !channel.is_phone()).map(str::to_owned),
            template: Some(template.content.to_owned()),
            syntax: template.syntax,
            ai_prompt: None,
            delay: Delay::default(),
            include_previous_emails: false,
            active: true,
        }];
        Ok(self)
    }
}

/// What it is made of, and whom it is for (S2-14).
pub(super) fn read(fields: &mut Fields, campaign: &mut CampaignBody, has_steps: bool) {
    let [template, segment] = ["template_id", "segment_id"].map(|name| fields.value(name).is_some());
    campaign.template_id =
        fields.reference("template_id", Kind::Template, "Template {} not found or inactive");
    campaign.segment_id = fields.reference("segment_id", Kind::Segment, "Segment {} not found");
    campaign.channel = fields.choice("channel", &Channel::ALL.map(|channel| (channel.as_str(), channel)));
    let audience = fields.choice("audience", &Audience::ALL.map(|audience| (audience.as_str(), audience)));
    campaign.audience = audience.unwrap_or_default();
    if template && has_steps {
        fields.fault("template_id", "conflict", "give either template_id or steps");
    }
    if campaign.channel.is_some() && !template {
        fields.fault("channel", "conflict", "is how a template_id is sent; of steps each has its own");
    }
    if audience.is_some() && !segment {
        fields.fault("audience", "conflict", "is about a segment_id; give one, or leave it out");
    }
}
