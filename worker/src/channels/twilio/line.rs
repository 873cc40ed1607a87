//! One sender in one process: whether its account is reached, and how often its credentials were refused.
//!
//! There is no standing connection as with SMTP. In its place the account itself is asked for before the first message,
//! and again after trouble, so that nothing is claimed which could not leave.

use super::{Client, Sender, Trouble};
use crate::channels::{Outcome, Told};
use crate::context::random_unit;
use sendwright_workflows::backoff;
use sendwright_workflows::twilio_code::{Remedy, remedy};
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Refused logins after which nobody tries any more.
pub const MOST_WRONG_LOGINS: u32 = 3;

/// A sender with what is known of it.
#[derive(Debug)]
pub struct Line {
    /// The sender.
    pub sender: Sender,
    known: Mutex<Known>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// The last that was heard of it was well.
    is_well: bool,
    wrong_logins: u32,
    failures: u32,
    retry_at: Option<Instant>,
}

/// Why nothing can leave for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unready {
    /// In the words of whoever was asked.
    pub why: String,
    /// How long it is left alone.
    pub wait: Duration,
    /// The credentials were refused too often, or the account is shut: a person has to look.
    pub is_final: bool,
}

impl Line {
    /// A line of which nothing is known yet.
    pub fn new(sender: Sender) -> Self {
        Self { sender, known: Mutex::default() }
    }

    fn know<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        change(&mut self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// Whether messages may leave: asks for the account unless the last that was heard was well.
    ///
    /// # Errors
    /// They may not, and why.
    pub async fn ready(&self, client: &Client) -> Result<(), Unready> {
        let known = self.know(|known| *known);
        if known.wrong_logins >= MOST_WRONG_LOGINS {
            return Err(Unready::forever("the credentials were refused three times".into()));
        }
        if known.is_well {
            return Ok(());
        }
        let wait = known.retry_at.map(|at| at.saturating_duration_since(Instant::now())).unwrap_or_default();
        if !wait.is_zero() {
            return Err(Unready { why: "it is left alone for now".into(), wait, is_final: false });
        }
        match client.account(&self.sender.access).await {
            Ok(status) if status == "active" => {
                self.know(|known| (known.is_well, known.retry_at) = (true, None));
                Ok(())
            }
            Ok(status) => Err(Unready::forever(format!("the Twilio account is {status}"))),
            Err(trouble) => Err(self.failed(&trouble)),
        }
    }

    fn failed(&self, trouble: &Trouble) -> Unready {
        let (login, asked) = match *trouble {
            Trouble::Refused { status, code, retry_after } => {
                (remedy(code, status) == Remedy::Login, retry_after)
            }
            _ => (false, None),
        };
        let known = self.know(|known| {
            known.failures += 1;
            known.wrong_logins += u32::from(login);
            let wait = asked.unwrap_or_else(|| backoff::trouble(known.failures, random_unit()));
            known.retry_at = Some(Instant::now() + Duration::from_millis(wait.unsigned_abs()));
            *known
        });
        let wait = known.retry_at.map(|at| at.saturating_duration_since(Instant::now())).unwrap_or_default();
        Unready { why: trouble.to_string(), wait, is_final: known.wrong_logins >= MOST_WRONG_LOGINS }
    }

    /// Takes in what became of a message: after trouble with the line, or with who we are, the account is asked first.
    pub fn heard(&self, told: &Told) {
        let refused = match told.said {
            Outcome::Refused { code, .. } => Some(remedy(told.receipt.code, code)),
            _ => None,
        };
        self.know(|known| match (&told.said, refused) {
            (Outcome::Accepted { .. }, _) => *known = Known { is_well: true, ..Known::default() },
            (Outcome::Refused { .. }, Some(Remedy::Login)) => {
                known.is_well = false;
                known.wrong_logins += 1;
            }
            (Outcome::Failed { .. } | Outcome::Unknown { .. }, _) => known.is_well = false,
            _ => {}
        });
    }
}

impl Unready {
    fn forever(why: String) -> Self {
        Self { why, wait: Duration::from_secs(60), is_final: true }
    }
}
