//! What a step for phones encloses: a content template of the provider's with its variables, and media.

use super::FieldError;
use super::fields::Fields;
use super::phone_sender::read_sid;
use crate::render::{self, Kind};
use crate::sequence::{Channel, Enclosed, Syntax};
use std::collections::BTreeMap;
use url::Url;

/// The fields of a step that only one for phones has.
const FIELDS: [&str; 3] = ["content_sid", "content_variables", "media_urls"];
/// Most variables of a content template.
const MOST_VARIABLES: usize = 100;
/// Most characters of an address of media.
const MOST_URL: usize = 2_048;

/// Reads it; an e-mail encloses nothing.
pub(super) fn read(
    fields: &mut Fields,
    channel: Channel,
    syntax: Syntax,
    warnings: &mut Vec<FieldError>,
) -> Enclosed {
    if !channel.is_phone() {
        for name in FIELDS.into_iter().filter(|name| fields.value(name).is_some()).collect::<Vec<_>>() {
            fields.fault(name, "conflict", "only a step for sms or whatsapp has it; leave it out");
        }
        return Enclosed::default();
    }
    let enclosed = Enclosed {
        content_sid: read_sid(fields, "content_sid", "HX"),
        content_variables: read_variables(fields, syntax, warnings),
        media_urls: read_media(fields, channel),
    };
    let given = |name| fields.value(name).is_some();
    let [sid, variables, media, prompt] =
        ["content_sid", "content_variables", "media_urls", "ai_prompt"].map(given);
    if variables && !sid {
        fields.fault("content_sid", "required", "is required with content_variables");
    }
    if sid && media {
        fields.fault("media_urls", "conflict", "a content template has its own media; leave it out");
    }
    if sid && prompt {
        fields.fault("ai_prompt", "conflict", "a content template has its own text; leave it out");
    }
    enclosed
}

fn read_variables(
    fields: &mut Fields,
    syntax: Syntax,
    warnings: &mut Vec<FieldError>,
) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let Some(value) = fields.value("content_variables") else { return variables };
    let Some(object) = value.as_object().filter(|object| object.len() <= MOST_VARIABLES) else {
        let text = format!(
            "must be an object with at most {MOST_VARIABLES} names, such as {{\"1\": \"{{{{first_name}}}}\"}}"
        );
        fields.fault("content_variables", "invalid_type", text);
        return variables;
    };
    for (name, value) in object {
        let path = format!("content_variables.{name}");
        let is_name = |name: &str| {
            (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        let Some(source) = value.as_str().filter(|_| is_name(name)) else {
            let text = "must be a text under a name of letters, digits and _";
            fields.fault("content_variables", "invalid_type", text);
            continue;
        };
        match render::check_in(syntax, Kind::Text, source) {
            Ok(checked) => {
                let odd = |finding: render::Finding| {
                    FieldError::new(fields.path(&path), finding.code, finding.to_string())
                };
                warnings.extend(checked.warnings.into_iter().map(odd));
                variables.insert(name.clone(), source.to_owned());
            }
            Err(findings) => {
                findings
                    .iter()
                    .for_each(|finding| fields.fault(&path, "invalid_template", finding.to_string()));
            }
        }
    }
    variables
}

/// Whoever gets the message fetches them by way of the provider: nothing that only we reach, and nothing in the clear.
fn read_media(fields: &mut Fields, channel: Channel) -> Vec<String> {
    let most = if channel == Channel::Whatsapp { 1 } else { 10 };
    let Some(list) = fields.list("media_urls") else { return Vec::new() };
    if list.len() > most {
        let text = format!("must hold at most {most} on {}", channel.as_str());
        fields.fault("media_urls", "too_many_items", text);
    }
    let is_public = |url: &Url| url.scheme() == "https" && url.username().is_empty() && url.has_host();
    let mut urls = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        let text = value.as_str().filter(|text| text.len() <= MOST_URL);
        match text.and_then(|text| Url::parse(text).ok()).filter(is_public) {
            Some(url) => urls.push(String::from(url)),
            None => {
                let path = format!("media_urls[{index}]");
                fields.fault(&path, "invalid_format", "must read https://host/…, at most 2,048 characters");
            }
        }
    }
    urls
}
