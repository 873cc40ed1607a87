//! People by phone at a desk, and what a provider posts about them: signed forms at the installation's own address.

use super::desk::{Desk, START};
use super::engine::{Lead, On, World, step};
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use sendwright_api::{Provider, ProviderAccount};
use sendwright_store::Db;
use sendwright_store::campaigns::Profiles;
use sendwright_workflows::callback::{SIGNATURE, signature};
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::phone::Phone;
use sendwright_workflows::sequence::{Channel, Delay, Step};
use url::form_urlencoded::Serializer;

/// Where the provider reaches the installation.
pub const PUBLIC: &str = "https://out.example.com";
/// The process's own account: its token, and the number it sends from.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// See [`TOKEN`].
pub const NUMBER: &str = "+15550001111";

/// The number of person `n`.
pub fn number(n: i64) -> String {
    format!("+1415555{n:04}")
}

/// A step of a channel, so many hours after the one before.
pub fn by(channel: Channel, number: u32, hours: u32) -> Step {
    let delay = Delay { hours, ..Delay::default() };
    match channel {
        Channel::Email => step(number, delay),
        channel => {
            Step { channel, subject: None, template: Some("Hi {{first_name}}".into()), ..step(number, delay) }
        }
    }
}

/// The settings of a process with a Twilio account of its own.
pub fn provider() -> Provider {
    let account = ProviderAccount { token: TOKEN.into(), senders: vec![NUMBER.into()] };
    Provider { public_url: Some(PUBLIC.into()), account: Some(account) }
}

/// A desk whose process has a Twilio account; its messages go to the mailbox.
pub async fn desk(on: On) -> Desk {
    let mut desk = Desk::new(on).await;
    desk.state = desk.state.clone().with_provider(provider());
    desk
}

/// People 1 to `people`, who have opted in, in a campaign of these steps that runs.
pub async fn campaign(world: &World, people: usize, steps: &[Step]) -> i64 {
    let profiles = Profiles {
        email: world.default_profile(Channel::Email).await,
        sms: Some(world.default_profile(Channel::Sms).await),
        whatsapp: Some(world.default_profile(Channel::Whatsapp).await),
    };
    let campaign = world.campaign_by("Spring", profiles, &Policy::default(), steps).await;
    let leads: Vec<Lead> =
        (1..=people).map(|n| Lead { email: format!("p{n}@example.org"), zone: None }).collect();
    world.enrol(campaign, &leads).await;
    opt_in(world).await;
    campaign
}

/// Gives everybody without a number one, and has them opt in on both channels.
pub async fn opt_in(world: &World) {
    let salt = world.ctx.store.salt();
    let without: Vec<(i64, i64)> =
        world.rows("SELECT id, account_id FROM contacts WHERE phone_key IS NULL ORDER BY id").await;
    for (id, account) in without {
        let phone = Phone::parse(&number(id)).unwrap();
        let hash = phone.hash(salt);
        let contact = "UPDATE contacts SET phone_key = $1, phone_hash = $2, consent = 'opt_in' WHERE id = $3";
        let state = "INSERT INTO consent_states (account_id, channel, address_hash, state, at)
             SELECT $1, CASE WHEN n.one = 1 THEN 'sms' ELSE 'whatsapp' END, $2, 'opt_in', 1
             FROM (SELECT 1 AS one UNION ALL SELECT 2) AS n";
        match &world.ctx.store.db {
            Db::Postgres(pool) => {
                let update = sqlx::query(contact).bind(phone.as_str()).bind(&hash).bind(id);
                update.execute(pool).await.unwrap();
                sqlx::query(state).bind(account).bind(&hash).execute(pool).await.unwrap();
            }
            Db::Sqlite { write, .. } => {
                let update = sqlx::query(contact).bind(phone.as_str()).bind(&hash).bind(id);
                update.execute(write).await.unwrap();
                sqlx::query(state).bind(account).bind(&hash).execute(write).await.unwrap();
            }
        }
    }
}

/// A desk whose two people have got the first of these steps.
pub async fn begun(on: On, steps: &[Step]) -> Desk {
    let mut desk = desk(on).await;
    campaign(&desk.world, 2, steps).await;
    desk.until(START + 60_000).await;
    assert_eq!(desk.number("SELECT COUNT(*) FROM messages WHERE state = 'accepted'").await, 2);
    desk
}

/// A text as Twilio posts it.
pub fn text<'a>(sid: &'a str, from: &'a str, body: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("MessageSid", sid),
        ("AccountSid", "AC00000000000000000000000000000001"),
        ("From", from),
        ("To", NUMBER),
        ("Body", body),
        ("NumMedia", "0"),
        ("FromCity", ""),
    ]
}

/// A callback as Twilio posts it.
pub fn status<'a>(sid: &'a str, word: &'a str, code: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("MessageSid", sid),
        ("AccountSid", "AC00000000000000000000000000000001"),
        ("MessageStatus", word),
        ("ErrorCode", code),
        ("To", "+14155550001"),
        ("From", NUMBER),
    ]
}

/// Posts a form as it stands, with this signature or with none: status, headers, body.
pub async fn post_as(
    desk: &Desk,
    path: &str,
    fields: &[(&str, &str)],
    signed: Option<&str>,
) -> (u16, HeaderMap, String) {
    let body = Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    // Whatever it says here is not believed.
    let request = request.header("host", "127.0.0.1:8080");
    let request = match signed {
        Some(signed) => request.header(SIGNATURE, signed),
        None => request,
    };
    desk.send(request.body(Body::from(body)).unwrap()).await
}

/// Posts a form, signed by the process's own account.
pub async fn post(desk: &Desk, path: &str, fields: &[(&str, &str)]) -> (u16, HeaderMap, String) {
    let signed = signature(TOKEN, &format!("{PUBLIC}{path}"), fields.iter().copied());
    post_as(desk, path, fields, Some(&signed)).await
}
