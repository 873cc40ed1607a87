//! Where a sending profile's messages go, and as whom.

use crate::ai::Writer;
use crate::channels::mime::Party;
use crate::channels::smtp::Profile as Server;
use crate::channels::twilio;
use crate::context::{Context, Outlet, PhoneOutlet, Settings};
use sendwright_store::claims::Way;
use sendwright_store::{Result, Tx, accounts, sending_profiles};
use sendwright_workflows::campaign::{OnUncertain, Policy};
use sendwright_workflows::country::{Country, allowed};
use sendwright_workflows::dkim::{Key, Signer};
use sendwright_workflows::rate_limit::Rates;
use std::str::FromStr;
use std::sync::Arc;

/// A profile, ready to be used.
#[derive(Debug, Clone)]
pub struct Route {
    /// The profile as stored.
    pub profile: sending_profiles::Profile,
    /// Its limits.
    pub rates: Rates,
    /// Where its messages go.
    pub to: To,
    /// Who sends.
    pub from: Party,
    /// Where answers go.
    pub reply_to: Option<Party>,
    /// Signs what leaves, where the profile has a key.
    pub dkim: Option<Arc<Signer>>,
    /// Where its text messages may go.
    pub countries: Vec<Country>,
}

/// A transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// An SMTP server.
    Smtp(Box<Server>),
    /// A sender of Twilio's.
    Twilio(Box<twilio::Sender>),
    /// The captured mailbox.
    Mailbox,
    /// None is configured, or its stored URL does not read.
    Nowhere,
}

/// Reads a profile and decides where its messages go: a test account's and a demo's only ever to the mailbox.
pub async fn route(ctx: &Context, tx: &mut Tx, profile: i64) -> Result<Route> {
    let found = sending_profiles::by_id(tx, profile).await?;
    let Some(profile) = found else {
        return Err(sendwright_store::Error::Schema(format!("sending profile {profile} is gone")));
    };
    let test = accounts::get(tx, profile.account_id).await?.is_some_and(|a| a.mode == "test");
    let to = match (&ctx.settings.outlet, profile.transport.as_str()) {
        _ if test || ctx.settings.only_mailbox => To::Mailbox,
        _ if profile.channel().is_phone() => phone(ctx, tx, &profile).await?,
        (_, "smtp") => own_server(ctx, tx, profile.id).await?,
        (Outlet::Smtp { server, .. }, _) => To::Smtp(Box::new(server.clone())),
        (Outlet::Mailbox, _) => To::Mailbox,
        (Outlet::None, _) => To::Nowhere,
    };
    let rates = Rates {
        per_second: profile.per_second,
        per_minute: profile.per_minute.map(|n| n as u32),
        per_day: profile.per_day.map(|n| n as u32),
        zone: profile.timezone.parse().unwrap_or_default(),
    };
    let from = match &to {
        To::Twilio(sender) => called(&profile, sender.from.as_str()),
        _ if profile.channel().is_phone() => {
            called(&profile, own_from(&profile).as_ref().map_or(&profile.name, twilio::From::as_str))
        }
        _ => sender(ctx, &profile),
    };
    let dkim = match profile.signs {
        true => signer(ctx, tx, &profile, &from).await?.map(Arc::new),
        false => None,
    };
    let reply_to = profile.reply_to.clone().map(|address| Party { name: String::new(), address });
    let own_account = profile.transport == "twilio";
    let countries = allowed(&ctx.settings.allowed_countries, profile.allowed_countries(), own_account);
    Ok(Route { countries, rates, to, from, reply_to, dkim, profile })
}

/// Where a phone channel's profile sends: by its own account, or as the process does.
async fn phone(ctx: &Context, tx: &mut Tx, profile: &sending_profiles::Profile) -> Result<To> {
    let (channel, from) = (profile.channel(), own_from(profile));
    let sender = match (profile.transport.as_str(), &ctx.settings.phones) {
        ("twilio", _) => own_account(ctx, tx, profile).await?.and_then(|own| own.sender(channel, from)),
        (_, PhoneOutlet::Mailbox) => return Ok(To::Mailbox),
        (_, PhoneOutlet::Twilio(own)) => own.sender(channel, from),
        (_, PhoneOutlet::None) => None,
    };
    Ok(sender.map_or(To::Nowhere, |sender| To::Twilio(Box::new(sender))))
}

fn own_from(profile: &sending_profiles::Profile) -> Option<twilio::From> {
    let service = profile.messaging_service_sid.clone().map(twilio::From::Service);
    service.or_else(|| profile.from_phone.clone().map(twilio::From::Number))
}

async fn own_account(
    ctx: &Context,
    tx: &mut Tx,
    profile: &sending_profiles::Profile,
) -> Result<Option<twilio::Own>> {
    let sealed = sending_profiles::sealed(tx, profile.id).await?.twilio_sealed;
    let (Some(sid), Some(sealed)) = (profile.twilio_account_sid.clone(), sealed) else { return Ok(None) };
    let token = ctx.seals.open(sending_profiles::TWILIO, profile.id, &sealed)?;
    let access = twilio::Access { base: ctx.settings.twilio_base.clone(), sid, token };
    Ok(Some(twilio::Own { access, sms: None, whatsapp: None }))
}

/// A phone's sender as a party: the number, or the service it is chosen by.
fn called(profile: &sending_profiles::Profile, address: &str) -> Party {
    let name = profile.from_name.clone().unwrap_or_else(|| "Sendwright".into());
    Party { name, address: address.to_owned() }
}

async fn own_server(ctx: &Context, tx: &mut Tx, id: i64) -> Result<To> {
    let Some(sealed) = sending_profiles::sealed_url(tx, id).await? else { return Ok(To::Nowhere) };
    let url = ctx.seals.open(sending_profiles::TABLE, id, &sealed)?;
    Ok(Server::from_str(&url).map_or(To::Nowhere, |server| To::Smtp(Box::new(server))))
}

/// The profile's key, for its own domain or the sender's.
async fn signer(
    ctx: &Context,
    tx: &mut Tx,
    profile: &sending_profiles::Profile,
    from: &Party,
) -> Result<Option<Signer>> {
    let sealed = sending_profiles::sealed(tx, profile.id).await?.dkim_sealed;
    let (Some(sealed), Some(selector)) = (sealed, &profile.dkim_selector) else { return Ok(None) };
    let pem = ctx.seals.open(sending_profiles::DKIM, profile.id, &sealed)?;
    let key = Key::parse(&pem).map_err(|why| sendwright_store::Error::Stored {
        table: "sending_profiles",
        column: "dkim_sealed",
        id: profile.id,
        detail: why.to_string(),
    })?;
    let own = from.address.rsplit_once('@').map_or("", |(_, domain)| domain);
    Ok(Some(Signer::new(key, profile.dkim_domain.as_deref().unwrap_or(own), selector)))
}

fn sender(ctx: &Context, profile: &sending_profiles::Profile) -> Party {
    let default = match &ctx.settings.outlet {
        Outlet::Smtp { from, .. } => from.clone(),
        _ => Party { name: "Sendwright".into(), address: "sender@localhost.localdomain".into() },
    };
    Party {
        name: profile.from_name.clone().unwrap_or(default.name),
        address: profile.from_email.clone().unwrap_or(default.address),
    }
}

impl Route {
    /// The profile as claims know it.
    pub fn way(&self) -> Way<'_> {
        Way { profile: self.profile.id, channel: self.profile.channel(), rates: &self.rates }
    }

    /// The account of a provider's that its messages go by, which can be asked about them.
    pub fn provider(&self) -> Option<String> {
        match &self.to {
            To::Twilio(sender) => Some(sender.access.sid.clone()),
            _ => None,
        }
    }

    /// Whether its messages may go to this number.
    pub fn reaches(&self, number: &str) -> bool {
        Country::of(number).is_some_and(|country| self.countries.contains(&country))
    }

    /// Whether messages can leave at all.
    pub fn exists(&self) -> bool {
        self.to != To::Nowhere
    }

    /// Whether a step that wants a model can be written: by a model, or offline where nothing leaves the house.
    pub fn has_writer(&self, ctx: &Context) -> bool {
        match &ctx.writer {
            Some(Writer::Model(_)) => true,
            Some(Writer::Offline(_)) => self.to == To::Mailbox,
            None => false,
        }
    }

    /// Who the profile writes as, where it has a name.
    pub fn sender_name(&self) -> Option<&str> {
        Some(self.from.name.as_str()).filter(|name| !name.is_empty())
    }

    /// Where a recipient's links lead: the public address, or this machine's own where nothing leaves it.
    pub fn base_url<'s>(&self, settings: &'s Settings) -> Option<&'s url::Url> {
        let own = settings.mailbox_url.as_ref().filter(|_| self.to == To::Mailbox);
        settings.public_url.as_ref().or(own)
    }

    /// The domain of Message-IDs.
    pub fn domain(&self) -> &str {
        self.from.address.rsplit_once('@').map_or("localhost", |(_, domain)| domain)
    }
}

/// A sending profile's `on_uncertain` stands where the campaign leaves it at its default.
pub fn when_uncertain(policy: &mut Policy, profile: Option<&str>) {
    if policy.on_uncertain == OnUncertain::Verify {
        policy.on_uncertain = match profile {
            Some("resend") => OnUncertain::Resend,
            Some("park") => OnUncertain::Park,
            _ => OnUncertain::Verify,
        };
    }
}
