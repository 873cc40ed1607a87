//! What a worker has claimed it has in hand, or it comes back: whatever error ended the way between (SEND_PROTOCOL 8, 15).

use crate::support::cut::Cut;
use crate::support::engine::{BOTH, Lead, On, World, context, step};
use crate::support::model_server::{Answer, ModelServer};
use crate::support::protocol::{claim, opt_out};
use crate::support::smtp_server::{Act, At, Rule, Script, SmtpServer};
use sendwright_store::Db;
use sendwright_worker::ai::{ModelSettings, ModelWriter, Writer};
use sendwright_worker::channels::mime::Party;
use sendwright_worker::context::{Context, Outlet};
use sendwright_worker::handlers::{plan, write};
use sendwright_worker::recovery::Watch;
use sendwright_worker::sender::Sender;
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{HOUR, MINUTE, Millis};
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::sequence::{Delay, Step};
use sendwright_workflows::spend::Prices;
use sqlx::postgres::PgPoolOptions;
use std::sync::Arc;
use std::time::Duration;

const START: Millis = 1_780_308_000_000;
/// Between two slots of two a second (`Rates::spacing`), milliseconds.
const SPACING: Millis = 550;
/// People of one round; the last one opts out while what is seated waits for its slot.
const PEOPLE: usize = 4;
/// Longer than a test takes, so that nobody is given up in it.
const LEASE: Duration = Duration::from_secs(3_600);

const IN_HAND: &str = "SELECT COUNT(*) FROM messages WHERE state IN ('writing', 'claimed', 'sending')";
const OPEN: &str = "SELECT address, state FROM messages
     WHERE state NOT IN ('accepted', 'suppressed') OR crashes > 0 ORDER BY id";
const STATES: &str = "SELECT state FROM messages ORDER BY id";

fn one() -> [Step; 1] {
    [step(1, Delay::default())]
}

fn two_a_second() -> Rates {
    Rates { per_second: Some(2.0), per_day: Some(100_000), ..Rates::default() }
}

async fn look(ctx: &Context) {
    Watch::default().look(ctx).await.unwrap();
}

async fn states(world: &World) -> Vec<String> {
    world.rows::<(String,)>(STATES).await.into_iter().map(|row| row.0).collect()
}

async fn counted(world: &World) -> i64 {
    world.number("SELECT CAST(SUM(day_count) AS BIGINT) FROM gates WHERE owner = 'profile'").await
}

#[tokio::test]
async fn a_claim_whose_commit_had_no_answer_comes_back_at_the_next_look_and_is_no_crash() {
    for on in BOTH {
        let mut world = World::new(on, START).await;
        let (profile, _) = world.drafted(3, &two_a_second(), &Policy::default(), &one()).await;
        assert_eq!(claim(&world.ctx, profile, 3).await.len(), 3);
        look(&world.ctx).await;
        assert_eq!(states(&world).await, ["drafted"; 3], "{on:?}");
        assert_eq!(counted(&world).await, 0, "{on:?}: their counts are given back");
        assert_eq!(world.number("SELECT MAX(crashes) FROM messages").await, 0);
        world.run_until(START + MINUTE).await;
        assert_eq!(world.mailbox().await.len(), 3);
    }
}

#[tokio::test]
async fn a_text_whose_claim_had_no_answer_is_written_after_the_next_look() {
    for on in BOTH {
        let mut world = World::new(on, START).await;
        let written =
            Step { template: None, ai_prompt: Some("Say hello".into()), ..step(1, Delay::default()) };
        let _ = world.drafted(1, &Rates::default(), &Policy::default(), &[written]).await;
        world.exec("UPDATE messages SET state = 'writing', fence = fence + 1, worker_id = 1").await;
        assert_eq!(world.ctx.life.id(), 1);
        assert_eq!(world.write(START).await, 0);
        look(&world.ctx).await;
        assert_eq!(states(&world).await, ["scheduled"], "{on:?}");
        world.run_until(START + MINUTE).await;
        assert_eq!(world.mailbox().await.len(), 1, "{on:?}");
    }
}

/// FAULTS F67: the model owes one answer for ever, and gives all others.
#[tokio::test]
async fn a_text_whose_model_is_silent_keeps_no_other_waiting() {
    for on in BOTH {
        let model =
            ModelServer::scripted_then([Answer::Silent], Answer::Writes("Hello", "A word to you.")).await;
        let settings = ModelSettings::new(model.base_url().parse().unwrap(), None, "scripted");
        let writer = Writer::Model(Box::new(ModelWriter::new(settings).unwrap()));
        let world = World::written_by(on, START, writer, Prices::default()).await;
        let by_model =
            Step { template: None, ai_prompt: Some("Say hello".into()), ..step(1, Delay::default()) };
        let people = 5 * 16;
        world.drafted(people, &Rates::default(), &Policy::default(), &[by_model]).await;
        let mut texts = write::Texts::default();
        texts.fill(&world.ctx, START).await.unwrap();
        while world.number("SELECT COUNT(*) FROM messages WHERE state = 'drafted'").await < people as i64 - 1
        {
            texts.ended().await;
            texts.fill(&world.ctx, START).await.unwrap();
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM messages WHERE state = 'writing'").await, 1, "{on:?}");
    }
}

/// FAULTS F45: until its slot came again it would keep the room of whatever is due now.
#[tokio::test]
async fn what_was_seated_before_the_clock_was_set_back_is_given_back_and_goes_once() {
    for on in BOTH {
        let mut world = World::new(on, START).await;
        let (profile, _) = world.drafted(PEOPLE, &two_a_second(), &Policy::default(), &one()).await;
        let mut sender = Sender::new(world.ctx.clone(), profile, Arc::default(), Default::default());
        sender.turn(START, true).await.unwrap();
        world.recorded().await;
        assert_eq!(world.number(IN_HAND).await, PEOPLE as i64 - 1, "{on:?}");
        world.clock.set(START - HOUR);
        sender.turn(START - HOUR, true).await.unwrap();
        assert_eq!(world.number(IN_HAND).await, 0, "{on:?}");
        assert!(sender.is_idle());
        world.run_until(START + MINUTE).await;
        assert_eq!(states(&world).await, ["accepted"; PEOPLE], "{on:?}");
        assert_eq!(world.mailbox().await.len(), PEOPLE, "{on:?}");
    }
}

#[tokio::test]
async fn what_is_seated_keeps_its_slot_however_often_the_worker_looks() {
    for on in BOTH {
        let world = World::new(on, START).await;
        let (profile, _) = world.drafted(PEOPLE, &two_a_second(), &Policy::default(), &one()).await;
        let mut sender = Sender::new(world.ctx.clone(), profile, Arc::default(), Default::default());
        sender.turn(START, true).await.unwrap();
        world.recorded().await;
        for slot in 1..PEOPLE as Millis {
            world.clock.set(START + slot * SPACING - 1);
            look(&world.ctx).await;
            assert_eq!(world.number(IN_HAND).await, PEOPLE as i64 - slot, "{on:?}");
            world.clock.set(START + slot * SPACING);
            sender.turn(START + slot * SPACING, false).await.unwrap();
            world.recorded().await;
        }
        assert_eq!(states(&world).await, ["accepted"; PEOPLE], "{on:?}");
        assert_eq!(world.number("SELECT MAX(fence) FROM messages").await, 1, "{on:?}: claimed once");
    }
}

/// Every write of this kind fails, until `ALLOW`.
fn refuse(on: On, which: &str) -> Vec<&'static str> {
    match on {
        On::Sqlite => vec![
            format!(
                "CREATE TRIGGER refuse BEFORE UPDATE ON messages WHEN {which} BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
            .leak(),
        ],
        On::Postgres => vec![
            "CREATE FUNCTION refuse() RETURNS TRIGGER LANGUAGE plpgsql AS $$
             BEGIN RAISE EXCEPTION 'no'; END $$",
            format!(
                "CREATE TRIGGER refuse BEFORE UPDATE ON messages FOR EACH ROW WHEN ({which}) EXECUTE FUNCTION refuse()"
            )
            .leak(),
        ],
    }
}

async fn allow(world: &World, on: On) {
    match on {
        On::Sqlite => world.exec("DROP TRIGGER refuse").await,
        On::Postgres => world.exec("DROP FUNCTION refuse CASCADE").await,
    }
}

#[tokio::test]
async fn what_was_seated_when_its_intent_or_its_way_back_failed_comes_back_at_the_next_look() {
    const INTENT: &str = "NEW.state = 'sending'";
    const WAY_BACK: &str = "OLD.state = 'claimed' AND NEW.state = 'drafted'";
    const PAUSE: &str = "UPDATE campaigns SET state = 'paused'";
    const RESUME: &str = "UPDATE campaigns SET state = 'running'";
    for on in BOTH {
        for (failing, happens) in [(INTENT, RESUME), (WAY_BACK, PAUSE)] {
            let mut world = World::new(on, START).await;
            let (profile, _) = world.drafted(PEOPLE, &two_a_second(), &Policy::default(), &one()).await;
            let mut sender = Sender::new(world.ctx.clone(), profile, Arc::default(), Default::default());
            sender.turn(START, true).await.unwrap();
            world.recorded().await;
            world.exec(happens).await;
            for sql in refuse(on, failing) {
                world.exec(sql).await;
            }
            world.clock.set(START + SPACING);
            let turn = sender.turn(START + SPACING, false).await;
            assert!(turn.is_err(), "{on:?}: {failing}: {turn:?}");
            allow(&world, on).await;
            let left = PEOPLE as i64 - 2;
            assert_eq!(world.number(IN_HAND).await, left + 1, "{on:?}: {failing}");
            look(&world.ctx).await;
            assert_eq!(world.number(IN_HAND).await, left, "{on:?}: {failing}: the others are seated still");
            drop(sender); // A pass that panicked.
            look(&world.ctx).await;
            assert_eq!(world.number(IN_HAND).await, 0, "{on:?}: {failing}");
            assert_eq!(world.ctx.open.available_permits(), world.ctx.settings.open_limit);
            world.exec(RESUME).await;
            world.run_until(START + MINUTE).await;
            assert_eq!(world.mailbox().await.len(), PEOPLE, "{on:?}: {failing}");
            assert_eq!(world.number("SELECT MAX(crashes) FROM messages").await, 0);
        }
    }
}

/// A sender over a wire that can be cut, and everybody else beside it.
struct Cutting {
    world: World,
    /// The sender's process.
    sending: World,
    sender: Sender,
    cut: Cut,
    campaign: i64,
}

impl Cutting {
    async fn new(outlet: Outlet, rates: &Rates) -> Cutting {
        let world = World::new(On::Postgres, START).await;
        let (profile, campaign) = world.drafted(0, rates, &Policy::default(), &one()).await;
        let Db::Postgres(pool) = &world.ctx.store.db else { panic!("it is on PostgreSQL") };
        let options = pool.connect_options().as_ref().clone();
        let cut = Cut::to(options.get_port()).await;
        let options = options.host("127.0.0.1").port(cut.port());
        let pool = PgPoolOptions::new().max_connections(4).test_before_acquire(false);
        let db = Db::Postgres(pool.connect_with(options).await.unwrap());
        let ctx = context(db, world.clock.clone(), |settings| {
            (settings.outlet, settings.lease) = (outlet, LEASE);
        })
        .await;
        let sender = Sender::new(ctx.clone(), profile, Arc::default(), Default::default());
        let sending = World::over(ctx, START, None).await;
        Cutting { world, sending, sender, cut, campaign }
    }

    /// A round of people; the answer to the sender's n-th question is lost. `false`: it did not ask so often.
    async fn round(&mut self, nth: usize) -> bool {
        let start = self.world.clock.read() + MINUTE;
        self.world.clock.set(start);
        let lead = |n| Lead { email: format!("p{n}@round{nth}.example.com"), zone: None };
        let leads: Vec<Lead> = (0..PEOPLE).map(lead).collect();
        self.world.enrol(self.campaign, &leads).await;
        while plan::pass(&self.world.ctx, start).await.unwrap() > 0 {}
        self.cut.at(nth);
        let _ = self.sender.turn(start, true).await;
        let last: Vec<(String,)> =
            self.world.rows("SELECT address_hash FROM messages ORDER BY id DESC LIMIT 1").await;
        opt_out(&self.world.ctx, self.world.account, &last[0].0).await;
        for slot in 1..PEOPLE as Millis {
            let now = start + slot * SPACING;
            self.world.clock.set(now);
            let _ = self.sender.turn(now, false).await;
        }
        self.sending.recorded().await;
        let was_cut = self.cut.mend();
        look(&self.sending.ctx).await;
        self.comes_through(nth).await;
        was_cut
    }

    /// Once the wire is mended, everything comes through: nobody has it in hand, and no permit is lost.
    async fn comes_through(&mut self, nth: usize) {
        assert_eq!(self.world.number(IN_HAND).await, 0, "question {nth}: {:?}", self.world.pairs(OPEN).await);
        let open = self.sending.ctx.settings.open_limit;
        assert_eq!(self.sending.ctx.open.available_permits(), open, "question {nth}");
        for _ in 0..20 {
            let now = self.world.clock.read() + SPACING;
            self.world.clock.set(now);
            self.sender.turn(now, true).await.unwrap();
            self.sending.recorded().await;
        }
        assert_eq!(self.world.pairs(OPEN).await, Vec::<String>::new(), "question {nth}");
    }

    async fn accepted(&self) -> usize {
        self.world.number("SELECT COUNT(*) FROM messages WHERE state = 'accepted'").await as usize
    }
}

/// SEND_PROTOCOL 8, for every statement and every COMMIT: it is done, and whoever asked for it does not know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_answer_of_the_database_a_sender_loses_its_messages_come_back_at_once_and_go_once() {
    let mut cutting = Cutting::new(Outlet::Mailbox, &two_a_second()).await;
    let mut questions = 0;
    while cutting.round(questions + 1).await {
        questions += 1;
    }
    assert!(questions > 40, "it asked {questions} times only");
    let people = (questions + 1) * PEOPLE;
    assert_eq!(cutting.accepted().await, people - (questions + 1), "all but those who opted out");
    assert_eq!(cutting.world.mailbox().await.len(), cutting.accepted().await, "each once");
}

/// The same on a server so slow that the intent is committed at the dot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_answer_is_lost_on_a_slow_server_its_messages_come_back_at_once_and_go_once() {
    let slowly = Act::Trickle(b"354 go on\r\n".to_vec(), Duration::from_millis(270));
    let server = SmtpServer::start(Script::default().rule(Rule::at(At::Data).times(1).act(slowly))).await;
    let from = Party { name: "Ada".into(), address: "ada@example.com".into() };
    let outlet = Outlet::Smtp { server: server.url().parse().unwrap(), from };
    let mut cutting = Cutting::new(outlet, &Rates::default()).await;
    cutting.round(usize::MAX).await;
    let too_late = "SELECT COUNT(*) FROM attempts WHERE state = 'not_started'";
    assert_eq!(cutting.world.number(too_late).await, 1, "from now on it counts as slow");
    let mut questions = 0;
    while cutting.round(questions + 1).await {
        questions += 1;
    }
    assert!(questions > 20, "it asked {questions} times only");
    assert_eq!(server.received().len(), cutting.accepted().await, "each once");
}
