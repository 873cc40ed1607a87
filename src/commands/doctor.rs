//! `doctor`: every setting and every dependency, looked at from here, with what to do about each.

mod mail;
mod phones;
mod place;
mod reach;
mod senders;

use super::open;
use crate::config::Config;
use crate::failure::Failure;
use std::fmt::Display;
use std::io::{self, Write};

/// What one look found.
enum Finding {
    /// As it should be.
    Good(String),
    /// Works, with a consequence to know of.
    Note(String),
    /// Must be put right.
    Bad(String),
}

use Finding::{Bad, Good, Note};

/// Looks at everything, and with `send_to` sends one test message there. Each finding is printed once it is known.
///
/// # Errors
/// Something must be put right; what, stands in the list.
pub fn run(config: &Config, send_to: Option<&str>) -> Result<(), Failure> {
    let mut list = List::default();
    open::block_on(async {
        list.add("data", place::data(config))?;
        list.add("secret", place::secret(config))?;
        list.add("database", reach::database(config).await)?;
        list.add("redis", reach::redis(config).await)?;
        list.add("mail", mail::connect(config).await)?;
        for (subject, finding) in senders::look(config).await {
            list.add(subject, finding)?;
        }
        list.add("phones", phones::account(config).await)?;
        list.add("model", reach::model(config).await)?;
        list.add("public url", place::public_url(config))?;
        list.add("hand-overs", place::hand_overs(config))?;
        list.add("kept", place::kept(config))?;
        if let Some(to) = send_to {
            list.add("test mail", mail::send(config, to).await)?;
        }
        Ok(())
    })?;
    match list.bad {
        0 => Ok(()),
        1 => Err(Failure::new("one thing must be put right")),
        bad => Err(Failure::new(format!("{bad} things must be put right"))),
    }
}

/// What was found so far.
#[derive(Default)]
struct List {
    bad: usize,
}

impl List {
    fn add(&mut self, subject: &str, finding: Finding) -> io::Result<()> {
        let (mark, text) = match finding {
            Good(text) => ("ok  ", text),
            Note(text) => ("note", text),
            Bad(text) => {
                self.bad += 1;
                ("BAD ", text)
            }
        };
        writeln!(io::stdout().lock(), "{mark}  {subject:<10}  {text}")
    }
}

/// What is wrong, and what to do.
fn bad(what: impl Display, advice: &str) -> Finding {
    Bad(format!("{what}; {advice}"))
}
