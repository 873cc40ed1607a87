//! `profile create|list`: who writes, over which server, how fast.

use super::open;
use crate::cli::{ListArgs, ProfileArgs, ProfileCommand};
use crate::config::{Config, secret};
use crate::failure::Failure;
use crate::table;
use sendwright_api::operations::sending_profiles;
use sendwright_api::{Actor, Work};
use sendwright_store::Page;
use sendwright_store::sending_profiles::Profile;
use sendwright_worker::channels::smtp::Profile as Server;
use sendwright_workflows::clock::rfc3339;
use sendwright_workflows::spec::ProfileBody;
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::path::Path;

/// Runs it.
///
/// # Errors
/// A flag is refused, the name is taken, or the database is not reached.
pub fn run(config: &Config, command: ProfileCommand) -> Result<(), Failure> {
    open::block_on(async {
        match command {
            ProfileCommand::Create(args) => create(config, &args).await,
            ProfileCommand::List(args) => list(config, &args).await,
        }
    })
}

async fn create(config: &Config, args: &ProfileArgs) -> Result<(), Failure> {
    let body = body(args)?;
    if let Some(url) = &body.smtp_url {
        url.parse::<Server>().map_err(|error| Failure::input(vec![format!("--smtp-url: {error}")]))?;
    }
    let secrets = [&body.smtp_url, &body.dkim_private_key, &body.imap_url, &body.phone.twilio_auth_token];
    if secrets.iter().any(|secret| secret.is_some()) {
        secret::load(config)?;
    }
    let (core, account) = open::core_in(config, &args.account).await?;
    let mut work = Work::new(&core, Actor::command(account.id))?;
    let made = sending_profiles::create(&mut work, &body).await?;
    work.commit().await?;
    Ok(writeln!(io::stdout(), "{}", made.id)?)
}

/// The flags as the body that POST /api/v1/sending-profiles takes, so that the same rules hold.
fn body(args: &ProfileArgs) -> Result<ProfileBody, Failure> {
    let mut body = Map::from_iter([("name".to_owned(), Value::from(args.name.as_str()))]);
    let mut set = |name: &str, value: Option<Value>| {
        body.extend(value.map(|value| (name.to_owned(), value)));
    };
    let text = |value: &Option<String>| value.clone().map(Value::from);
    set("channel", Some(Value::from(args.channel.as_str())));
    set("from_phone", text(&args.from_phone));
    set("messaging_service_sid", text(&args.messaging_service));
    set("twilio_account_sid", text(&args.twilio_account));
    // In the environment it is there for whatever profile is made.
    set("twilio_auth_token", text(&args.twilio_token).filter(|_| args.twilio_account.is_some()));
    let countries = (!args.allow_country.is_empty()).then(|| Value::from(args.allow_country.clone()));
    set("allowed_countries", countries);
    set("smtp_url", text(&args.smtp_url));
    set("from_email", text(&args.from_email));
    set("from_name", text(&args.from_name));
    set("reply_to", text(&args.reply_to));
    set("rate_limit_per_second", args.per_second.map(Value::from));
    set("rate_limit_per_minute", args.per_minute.map(Value::from));
    set("rate_limit_per_day", args.per_day.map(Value::from));
    set("timezone", text(&args.timezone));
    set("dkim_private_key", args.dkim_key.as_deref().map(key).transpose()?.map(Value::from));
    set("dkim_selector", text(&args.dkim_selector));
    set("dkim_domain", text(&args.dkim_domain));
    set("imap_url", text(&args.imap_url));
    set("reply_domain", text(&args.reply_domain));
    set("track_opens", args.track_opens.then_some(Value::from(true)));
    set("track_clicks", args.track_clicks.then_some(Value::from(true)));
    ProfileBody::from_json(&Value::Object(body)).map_err(|errors| Failure::body("profile create", &errors))
}

fn key(file: &Path) -> Result<String, Failure> {
    let read = std::fs::read_to_string(file);
    read.map_err(|error| Failure::input(vec![format!("--dkim-key: {}: {error}", file.display())]))
}

async fn list(config: &Config, args: &ListArgs) -> Result<(), Failure> {
    let (core, account) = open::core_in(config, &args.account).await?;
    let (all, _) = sending_profiles::list(&core, account.id, Page::first(100_000)).await?;
    let mut out = io::stdout().lock();
    if args.json {
        return all.iter().try_for_each(|profile| Ok(writeln!(out, "{}", line(profile))?));
    }
    let rows: Vec<Vec<String>> = all.into_iter().map(row).collect();
    Ok(table::write(
        &mut out,
        &["id", "name", "channel", "transport", "from", "limits", "state", "why"],
        &rows,
    )?)
}

fn line(p: &Profile) -> Value {
    json!({"id": p.id, "name": p.name, "channel": p.channel, "from_phone": p.from_phone,
        "messaging_service_sid": p.messaging_service_sid, "twilio_account_sid": p.twilio_account_sid,
        "allowed_countries": p.allowed_countries(), "transport": p.transport, "from_email": p.from_email,
        "from_name": p.from_name, "reply_to": p.reply_to, "rate_limit_per_second": p.per_second,
        "rate_limit_per_minute": p.per_minute, "rate_limit_per_day": p.per_day, "timezone": p.timezone,
        "signs": p.signs, "polls": p.polls, "track_opens": p.track_opens, "track_clicks": p.track_clicks,
        "dkim_domain": p.dkim_domain, "dkim_selector": p.dkim_selector, "reply_domain": p.reply_domain,
        "state": p.state, "why": p.why, "is_default": p.is_default, "created_at": rfc3339(p.created_at)})
}

fn row(p: Profile) -> Vec<String> {
    let limits = [
        p.per_second.map(|n| format!("{n}/s")),
        p.per_minute.map(|n| format!("{n}/min")),
        p.per_day.map(|n| format!("{n}/day")),
    ];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    let from = p.from_email.or(p.from_phone).or(p.messaging_service_sid).unwrap_or_default();
    let why = p.why.unwrap_or_default();
    vec![p.id.to_string(), p.name, p.channel, p.transport, from, limits.join(" "), p.state, why]
}
