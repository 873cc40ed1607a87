//! What may have gone out before a backup was restored is passed over, and nothing else.

use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{HOUR, Millis};
use sendwright_workflows::enrolment::{Action, Means, Person, Reach, Standing, plan};
use sendwright_workflows::reason::Reason;
use sendwright_workflows::sequence::{ByChannel, Channel, Delay, Enclosed, Sequence, Step, Syntax};

const BASE: Millis = 1_768_473_000_000;

fn sequence() -> Sequence {
    let step = |number: u32| Step {
        id: 0,
        number,
        name: format!("Step {number}"),
        channel: Channel::Email,
        subject: None,
        template: Some("Hello".into()),
        syntax: Syntax::default(),
        enclosed: Enclosed::default(),
        ai_prompt: None,
        delay: Delay { hours: 1, ..Delay::default() },
        include_previous_emails: false,
        active: true,
    };
    Sequence { version: 1, steps: vec![step(1), step(2), step(3)] }
}

#[test]
fn steps_up_to_the_outage_are_passed_over_and_the_next_goes_at_its_own_instant() {
    let person = Person { reach: ByChannel::new(|_| Reach::open()), ..Person::default() };
    let policy = Policy { passed_until: Some(BASE + 2 * HOUR), ..Policy::default() };
    let (mut standing, mut passed) = (Standing { settled: 0, base: BASE }, Vec::new());
    let sent = loop {
        let decision = plan(standing, &sequence(), &person, &policy, Means::EVERYWHERE, BASE + 9 * HOUR);
        if decision.action != Action::Skip {
            break decision;
        }
        assert_eq!(decision.reasons, [Reason::Recovery]);
        passed.push(decision.step);
        standing = Standing { settled: decision.step, base: decision.at };
    };
    assert_eq!(passed, [1, 2]);
    assert_eq!((sent.action, sent.step, sent.at), (Action::Send, 3, BASE + 3 * HOUR));
}
