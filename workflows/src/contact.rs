//! A contact: a person who may be written to.

use crate::phone::Phone;
use crate::variables::Fields;
use crate::zone::Zone;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A person as templates, prompts and the planner see them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Contact {
    /// The row, 0 where it is not stored.
    #[serde(default)]
    pub id: i64,
    /// The address; a contact of another channel may have none.
    pub email: Option<String>,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Company.
    pub company: Option<String>,
    /// Job title.
    pub title: Option<String>,
    /// Free form.
    pub phone: Option<String>,
    /// Website.
    pub website: Option<String>,
    /// Industry.
    pub industry: Option<String>,
    /// The zone they live in.
    pub timezone: Option<Zone>,
    /// The caller's own id.
    pub external_id: Option<String>,
    /// Everything else that is known of them.
    #[serde(default)]
    pub attributes: Map<String, Value>,
}

impl Contact {
    /// What templates and prompts see of them; the message's own values are added by whoever makes it.
    pub fn fields(&self) -> Fields<'_> {
        Fields {
            email: self.email.as_deref().unwrap_or_default(),
            first_name: self.first_name.as_deref(),
            last_name: self.last_name.as_deref(),
            company: self.company.as_deref(),
            title: self.title.as_deref(),
            phone: self.phone.as_deref(),
            website: self.website.as_deref(),
            industry: self.industry.as_deref(),
            attributes: Some(&self.attributes),
            ..Fields::default()
        }
    }
}

/// The zone a contact is reckoned in: its own, else its number's, else the campaign's, else the account's.
pub fn zone(contact: &Contact, campaign: Option<Zone>, account: Zone) -> Zone {
    contact.timezone.or_else(|| of_phone(contact.phone.as_deref())).or(campaign).unwrap_or(account)
}

/// A contact's own zone: what it says of itself, else where its number is from. A name that is no zone says nothing, and
/// neither does a number that is not E.164.
pub fn own_zone(timezone: Option<&str>, phone: Option<&str>) -> Option<Zone> {
    timezone.and_then(|zone| zone.parse().ok()).or_else(|| of_phone(phone))
}

fn of_phone(phone: Option<&str>) -> Option<Zone> {
    Phone::parse(phone?.trim()).ok()?.zone()
}
