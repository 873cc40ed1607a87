//! What the world reads of each sender's domain: who may send for it (SPF), whose signature counts (DKIM), and what
//! becomes of the rest (DMARC).

use super::{Bad, Finding, Good, Note, bad};
use crate::commands::open;
use crate::config::{Config, secret};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use sendwright_store::secrets::Seals;
use sendwright_store::sending_profiles::{self, DKIM, Profile};
use sendwright_workflows::dkim::Key;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// Senders that are looked at.
const MOST: i64 = 50;
/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Names that nobody can publish anything under (RFC 2606, RFC 6761).
const RESERVED: [&str; 8] =
    ["localhost", "test", "example", "invalid", "example.com", "example.net", "example.org", "localdomain"];

/// Looks at every sender's domain; each finding with its subject.
pub async fn look(config: &Config) -> Vec<(&'static str, Finding)> {
    let profiles = profiles(config).await;
    let own = config.smtp.as_ref().map(|smtp| smtp.from.email.domain().to_owned());
    let mut domains: BTreeSet<String> = own.iter().cloned().collect();
    domains.extend(profiles.iter().filter_map(|p| domain(p.from_email.as_deref()?)));
    if config.dns.is_none() {
        domains.retain(|domain| !is_reserved(domain));
    }
    if domains.is_empty() {
        return Vec::new();
    }
    let resolver = match resolver(config.dns) {
        Ok(resolver) => resolver,
        Err(error) => return vec![("dns", Note(format!("the domain name system cannot be asked: {error}")))],
    };
    let mut found = Vec::new();
    for domain in &domains {
        found.push(("spf", spf(&resolver, domain).await));
        let of_domain = |p: &&Profile| {
            p.from_email.as_deref().and_then(self::domain).or(own.clone()).as_ref() == Some(domain)
        };
        let signers: Vec<&Profile> = profiles.iter().filter(|p| p.signs).filter(of_domain).collect();
        if signers.is_empty() {
            let text = "messages are not signed; give the profile a key: profile create --dkim-key, or PATCH";
            found.push(("dkim", Note(format!("{domain}: {text}"))));
        }
        for profile in signers {
            found.push(("dkim", dkim(config, &resolver, domain, profile).await));
        }
        found.push(("dmarc", dmarc(&resolver, domain).await));
    }
    found
}

/// Every profile of a database that is there and can be read; what is wrong with it is told elsewhere.
async fn profiles(config: &Config) -> Vec<Profile> {
    if config.database.sqlite_path().is_some_and(|path| !path.exists()) {
        return Vec::new();
    }
    let Ok(store) = open::store(config).await else { return Vec::new() };
    let Ok(mut tx) = store.read().await else { return Vec::new() };
    sending_profiles::senders(&mut tx, MOST).await.unwrap_or_default()
}

fn domain(address: &str) -> Option<String> {
    address.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase())
}

fn is_reserved(domain: &str) -> bool {
    RESERVED.iter().any(|name| domain == *name || domain.ends_with(&format!(".{name}")))
}

fn resolver(server: Option<SocketAddr>) -> Result<TokioResolver, NetError> {
    let mut builder = match server {
        None => TokioResolver::builder_tokio()?,
        Some(at) => {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = at.port();
                connection
            });
            let server = NameServerConfig::new(at.ip(), true, connections.into());
            let config = ResolverConfig::from_name_servers(vec![server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    builder.options_mut().timeout = PATIENCE / 2;
    builder.options_mut().attempts = 1;
    builder.build()
}

/// The TXT records of a name, each in one piece; none where the name is not there.
async fn texts(resolver: &TokioResolver, name: &str) -> Result<Vec<String>, String> {
    let asked = tokio::time::timeout(PATIENCE, resolver.txt_lookup(format!("{name}."))).await;
    let lookup = match asked {
        Err(_) => return Err(format!("{name}: no answer within {} s", PATIENCE.as_secs())),
        Ok(Err(error)) if error.is_no_records_found() => return Ok(Vec::new()),
        Ok(Err(error)) => return Err(format!("{name}: {error}")),
        Ok(Ok(lookup)) => lookup,
    };
    let texts = lookup.answers().iter().filter_map(|record| match &record.data {
        RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
        _ => None,
    });
    Ok(texts.collect())
}

/// RFC 7208: one record, which does not let everybody in.
async fn spf(resolver: &TokioResolver, domain: &str) -> Finding {
    let found = match texts(resolver, domain).await {
        Ok(found) => found,
        Err(why) => return Note(format!("could not be asked: {why}")),
    };
    let is_spf =
        |text: &&String| text.split_whitespace().next().is_some_and(|v| v.eq_ignore_ascii_case("v=spf1"));
    let records: Vec<&String> = found.iter().filter(is_spf).collect();
    match records[..] {
        [] => Note(format!(
            "{domain}: no record; publish one as your provider of mail says, ending in -all or ~all"
        )),
        [one]
            if one
                .split_whitespace()
                .any(|word| matches!(word.to_ascii_lowercase().as_str(), "all" | "+all")) =>
        {
            bad(format!("{domain}: +all lets everybody send for it"), "end the record in -all or ~all")
        }
        [one] => Good(format!("{domain}: {one}")),
        _ => bad(format!("{domain}: {} records", records.len()), "receivers take none then: make them one"),
    }
}

/// RFC 6376: the published key is the one that signs.
async fn dkim(config: &Config, resolver: &TokioResolver, domain: &str, profile: &Profile) -> Finding {
    let signs_for = profile.dkim_domain.as_deref().unwrap_or(domain);
    let selector = profile.dkim_selector.as_deref().unwrap_or_default();
    let name = format!("{selector}._domainkey.{signs_for}");
    let key = match key(config, profile.id).await {
        Ok(key) => key,
        Err(why) => return Bad(format!("{name}: {why}")),
    };
    let found = match texts(resolver, &name).await {
        Ok(found) => found,
        Err(why) => return Note(format!("could not be asked: {why}")),
    };
    let published = |text: &String| tag(text, "p").is_some_and(|p| p == key.public());
    let advice = format!("publish there, as TXT: {}", key.record());
    match (found.is_empty(), found.iter().any(published)) {
        (true, _) => bad(format!("{name}: no record"), &advice),
        (_, false) => bad(format!("{name}: another key than profile {} signs with", profile.name), &advice),
        _ if !is_aligned(signs_for, domain) => Note(format!(
            "{name}: the key is published, but a signature of {signs_for} does not speak for {domain} (DMARC)"
        )),
        _ => Good(format!("{name}: the published key is the one that signs")),
    }
}

fn is_aligned(signs_for: &str, domain: &str) -> bool {
    let below = |a: &str, b: &str| a == b || a.ends_with(&format!(".{b}"));
    below(signs_for, domain) || below(domain, signs_for)
}

async fn key(config: &Config, profile: i64) -> Result<Key, String> {
    let secrets =
        secret::load(config).map_err(|_| "SENDWRIGHT_SECRET is needed to read its key".to_owned())?;
    let store = open::store(config).await.map_err(|_| "its key cannot be read".to_owned())?;
    let read = async {
        let mut tx = store.read().await?;
        sending_profiles::sealed(&mut tx, profile).await
    };
    let sealed = read.await.map_err(|error| error.to_string())?.dkim_sealed.unwrap_or_default();
    let pem = Seals::new(&secrets).open(DKIM, profile, &sealed).map_err(|error| error.to_string())?;
    Key::parse(&pem).map_err(|error| error.to_string())
}

/// RFC 7489: the policy of the domain, or of the one above that has it.
async fn dmarc(resolver: &TokioResolver, domain: &str) -> Finding {
    let mut at = domain;
    loop {
        let found = match texts(resolver, &format!("_dmarc.{at}")).await {
            Ok(found) => found,
            Err(why) => return Note(format!("could not be asked: {why}")),
        };
        let policy = found.iter().filter(|text| text.starts_with("v=DMARC1")).find_map(|text| tag(text, "p"));
        if let Some(policy) = policy {
            return Good(format!("{domain}: p={policy} at _dmarc.{at}"));
        }
        match at.split_once('.').map(|(_, above)| above).filter(|above| above.contains('.')) {
            Some(above) => at = above,
            None => break,
        }
    }
    Note(format!(
        "{domain}: no record; many receivers ask for one: publish v=DMARC1; p=none at _dmarc.{domain}"
    ))
}

/// A tag of a list like `v=DKIM1; p=…`, without white space.
fn tag(text: &str, name: &str) -> Option<String> {
    let mut tags = text.split(';').filter_map(|tag| tag.split_once('='));
    tags.find(|(found, _)| found.trim() == name).map(|(_, value)| value.split_whitespace().collect())
}
