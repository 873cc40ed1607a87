//! Random histories on every channel: what may become of messages, by dice that fall the same in every run.

use super::desk::Desk;
use super::engine::{Lead, On};
use super::phones::{self, by, number, post, text};
use super::protocol::intend;
use sendwright_store::answers;
use sendwright_store::callbacks::{self, NewCallback, PROCESS};
use sendwright_store::campaigns::Profiles;
use sendwright_store::claims::{self, Claimed, Way};
use sendwright_store::events::{self, NewEvent};
use sendwright_store::intents::Verdict;
use sendwright_worker::channels::{Outcome as Said, Stage, Told};
use sendwright_worker::handlers::plan;
use sendwright_worker::{callbacks as called_back, inbound, recorder, verdict};
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{HOUR, MINUTE, Millis};
use sendwright_workflows::event::on_channel;
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::reason::Reason;
use sendwright_workflows::receipt::Receipt;
use sendwright_workflows::sequence::Channel;
use serde_json::json;

/// Numbers that look random and are the same in every run.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.roll(all.len() as u64) as usize]
    }
}

/// An account in which much happens: campaign 1 by all channels, campaign 2 by text messages alone.
pub struct History {
    pub desk: Desk,
    pub dice: Dice,
    profiles: Profiles,
}

impl History {
    pub async fn begin(on: On, seed: u64) -> History {
        let desk = phones::desk(on).await;
        let world = &desk.world;
        let steps = [by(Channel::Email, 1, 0), by(Channel::Sms, 2, 1), by(Channel::Whatsapp, 3, 1)];
        phones::campaign(world, 18, &steps).await;
        let profiles = Profiles {
            email: world.default_profile(Channel::Email).await,
            sms: Some(world.default_profile(Channel::Sms).await),
            whatsapp: Some(world.default_profile(Channel::Whatsapp).await),
        };
        let texts = world.campaign_by("Texts", profiles, &Policy::default(), &[by(Channel::Sms, 1, 0)]).await;
        let leads: Vec<Lead> =
            (0..8).map(|n| Lead { email: format!("t{n}@example.org"), zone: None }).collect();
        world.enrol(texts, &leads).await;
        phones::opt_in(world).await;
        History { desk, dice: Dice(seed), profiles }
    }

    /// So many turns of everything, seven minutes each; with an opt-out by hand in the middle.
    pub async fn run(&mut self, turns: u64) {
        for turn in 0..turns {
            self.hand_over().await;
            if turn == turns / 2 {
                let email = json!({ "email": "p18@example.org" });
                self.desk.call("POST", "/api/v1/suppressions", Some(&email)).await;
            }
            self.desk.world.clock.set(self.desk.now() + 7 * MINUTE);
            self.call_back().await;
            self.come_back().await;
        }
    }

    /// Plans, claims and hands over what is due, with random ends; some of it a person cancels instead.
    async fn hand_over(&mut self) {
        let now = self.desk.now();
        while plan::pass(&self.desk.world.ctx, now).await.unwrap() > 0 {}
        for (channel, profile) in self.profiles.all() {
            for message in self.claim(channel, profile).await {
                let (attempt, verdict) = intend(&self.desk.world.ctx, &message).await;
                if verdict == Verdict::Go {
                    let told = said(&mut self.dice, channel, attempt);
                    let ctx = &self.desk.world.ctx;
                    let ended =
                        verdict::ended(ctx, &message, attempt, &message.subject, told, self.desk.now()).await;
                    recorder::settle(ctx, &mut [ended.outcome]).await;
                }
            }
        }
        let waiting = "SELECT id FROM messages WHERE state = 'drafted' ORDER BY id";
        let waiting: Vec<(i64,)> = self.desk.world.rows(waiting).await;
        if let Some((id,)) = waiting.first().filter(|_| self.dice.roll(5) == 0) {
            self.desk.cancel(*id).await.unwrap();
        }
        // Some wait for a person.
        let sql = "UPDATE messages SET state = 'held', reasons = '[{\"code\":\"approval\"}]'
             WHERE id = (SELECT MAX(id) FROM messages WHERE state = 'drafted')";
        if self.dice.roll(6) == 0 {
            self.desk.run(sql).await;
        }
    }

    async fn claim(&self, channel: Channel, profile: i64) -> Vec<Claimed> {
        let (ctx, rates) = (&self.desk.world.ctx, Rates::default());
        let mut tx = ctx.store.begin().await.unwrap();
        let way = Way { profile, channel, rates: &rates };
        let claim = claims::claim(&mut tx, way, ctx.life.id(), 5, self.desk.now()).await.unwrap();
        tx.commit().await.unwrap();
        claim.claimed
    }

    /// The provider tells of messages on their way, in no order.
    async fn call_back(&mut self) {
        let sent: Vec<(i64, String)> = self
            .desk
            .world
            .rows(
                "SELECT a.id, a.provider_id FROM attempts a JOIN messages m ON m.id = a.message_id
                 WHERE a.state = 'accepted' AND a.provider_id IS NOT NULL AND m.channel <> 'email' ORDER BY a.id",
            )
            .await;
        let mut told = Vec::new();
        for (attempt, provider_id) in sent {
            if self.dice.roll(4) > 0 {
                continue;
            }
            let words = [
                "queued",
                "sent",
                "delivered",
                "delivered",
                "delivered",
                "read",
                "undelivered",
                "failed",
                "canceled",
            ];
            let status = self.dice.of(&words);
            let failed = matches!(status, "undelivered" | "failed");
            let code = self.dice.of(&[Some(30003), Some(30005), Some(30007), Some(63018), None]);
            told.push(NewCallback {
                attempt_id: Some(attempt),
                provider_id,
                status: status.into(),
                code: code.filter(|_| failed),
                raw: String::new(),
                proof: vec![PROCESS],
            });
        }
        let (store, now) = (&self.desk.core().store, self.desk.now());
        let ids = store.ids.take("callbacks", told.len()).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        callbacks::keep(&mut tx, ids.start, &told, now).await.unwrap();
        tx.commit().await.unwrap();
        while called_back::pass(&self.desk.world.ctx, now).await.unwrap() > 0 {}
    }

    /// Texts and mail come in; mail comes back, and its recipients complain.
    async fn come_back(&mut self) {
        let turn = self.desk.now();
        // Some of them have a message that waits for them.
        let waiting =
            "SELECT address FROM messages WHERE state = 'drafted' AND channel <> 'email' ORDER BY id";
        let waiting = self.desk.texts(waiting).await;
        for n in 0..self.dice.roll(3) {
            let anybody = number(1 + self.dice.roll(26) as i64);
            let from = waiting.get(n as usize).cloned().unwrap_or(anybody);
            let body = self.dice.of(&["Yes please", "STOP", "STOP", "leave me alone", "help"]);
            let sid = format!("IN{turn}{n}");
            post(&self.desk, "/webhooks/inbound", &text(&sid, &from, body)).await;
        }
        if self.dice.roll(3) == 0 {
            let raw = format!("From: p2@example.org\r\nSubject: Re {turn}\r\n\r\nHello\r\n");
            let request = axum::http::Request::post("/api/v1/inbound").header("x-api-key", &self.desk.key);
            let request = request.header("content-type", "message/rfc822");
            assert_eq!(self.desk.send(request.body(raw.into()).unwrap()).await.0, 202);
        }
        inbound::pass(&self.desk.world.ctx, turn).await.unwrap();
        let sql = "SELECT id, campaign_id, contact_id FROM messages
             WHERE state = 'accepted' AND channel = 'email' ORDER BY id";
        let letters: Vec<(i64, i64, i64)> = self.desk.world.rows(sql).await;
        for (message, campaign, contact) in letters {
            let (mut tx, kind) = (self.desk.core().store.begin().await.unwrap(), self.dice.roll(40));
            let reason = Reason::Refused { reply: 550, until: None };
            let kind = match kind {
                0 if answers::bounce(&mut tx, message, &reason, turn).await.unwrap() => "email.bounced",
                1 if answers::complain(&mut tx, message, turn).await.unwrap() => "email.complained",
                _ => continue,
            };
            let event = self.event(kind, (message, campaign, contact), "{}".into(), turn).await;
            events::insert(&mut tx, &[event]).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    /// Openings, clicks, answers and opt-outs, some of them more than once, and some by machines.
    pub async fn react(&mut self) {
        let sql = "SELECT id, campaign_id, contact_id, channel FROM messages
             WHERE state IN ('accepted', 'delivered') AND kind = 'step' ORDER BY id";
        let sent: Vec<(i64, i64, i64, String)> = self.desk.world.rows(sql).await;
        let person = json!({ "by": "person", "subject": "\"by\":\"scanner\"" }).to_string();
        let scanner = json!({ "by": "scanner", "subject": "Hi" }).to_string();
        let mut told = Vec::new();
        for (message, campaign, contact, channel) in sent {
            let on = |what| on_channel(&channel, what);
            for (kind, data) in [
                (on("opened"), &person),
                (on("opened"), &person),
                (on("opened"), &scanner),
                (on("clicked"), &person),
                (on("clicked"), &scanner),
                (Some("reply.received"), &person),
                (Some("contact.opted_out"), &person),
            ] {
                if let Some(kind) = kind.filter(|_| self.dice.roll(3) == 0) {
                    let at = self.desk.now() + self.dice.roll(3) as i64 * HOUR;
                    told.push(self.event(kind, (message, campaign, contact), data.clone(), at).await);
                }
            }
        }
        let mut tx = self.desk.core().store.begin().await.unwrap();
        events::insert(&mut tx, &told).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn event(&self, kind: &'static str, of: (i64, i64, i64), data: String, at: Millis) -> NewEvent {
        NewEvent {
            id: self.desk.core().store.ids.one("events").await.unwrap(),
            account_id: self.desk.world.account,
            kind,
            campaign_id: Some(of.1),
            contact_id: Some(of.2),
            enrolment_id: None,
            message_id: Some(of.0),
            data,
            at,
        }
    }
}

/// How one hand-over ends.
fn said(dice: &mut Dice, channel: Channel, attempt: i64) -> Told {
    let refused = |stage, code: u16, enhanced: Option<&str>| Said::Refused {
        stage,
        code,
        permanent: code != 429 && !(450..500).contains(&code),
        enhanced: enhanced.map(Into::into),
        reply: "no".into(),
    };
    let yes = Said::Accepted { code: 250, reply: "queued".into() };
    let unknown = Said::Unknown { detail: "the line broke".into() };
    let face = dice.roll(10);
    if channel == Channel::Email {
        return match face {
            0 => refused(Stage::Rcpt, 550, Some("5.1.1")),
            1 => refused(Stage::Answer, 554, Some("5.6.0")),
            2 => unknown,
            3 => refused(Stage::Rcpt, 450, Some("4.2.0")),
            _ => yes,
        }
        .into();
    }
    let code = |code| Receipt { code, ..Receipt::default() };
    match face {
        0 => Told {
            said: refused(Stage::Answer, 400, None),
            receipt: code(dice.of(&[Some(21211), Some(21614), Some(21408), Some(99_999), None])),
        },
        1 => Told { said: refused(Stage::Answer, 429, None), receipt: code(Some(20429)) },
        2 => unknown.into(),
        _ => Told {
            said: yes,
            receipt: Receipt {
                id: Some(format!("SM{attempt}")),
                status: Some("queued".into()),
                ..Receipt::default()
            },
        },
    }
}
