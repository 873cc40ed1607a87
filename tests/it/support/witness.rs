//! The oracle: the receiver's own log, joined with the database by Message-ID.

use std::collections::HashMap;

use super::site::Site;
use super::smtp_server::Received;

/// What became of everybody's messages.
#[derive(Debug, Default)]
pub struct Account {
    /// Messages that are recorded as accepted.
    pub accepted: usize,
    /// Messages that nobody knows of, and the database says so.
    pub uncertain: Vec<i64>,
    /// Of those, how many the receiver has.
    pub uncertain_and_received: usize,
    /// Steps that have no message in a state that ends or shows.
    pub lost: usize,
    /// Messages that turned out not to have left when a later step had: cancelled, and the reason says so.
    pub overtaken: Vec<i64>,
    /// Messages that the receiver refused for good, and does not have.
    pub refused: Vec<i64>,
    /// Messages in another end than these, with the state.
    pub strange: Vec<(i64, String)>,
    /// Messages the receiver has more than once.
    pub doubled: Vec<i64>,
    /// Recorded as accepted, and the receiver never had them.
    pub phantoms: Vec<i64>,
    /// The receiver has them, and the database does not think it possible.
    pub untold: Vec<i64>,
}

impl Account {
    /// Takes it, of a run of `steps` messages.
    pub async fn of(site: &Site, steps: usize) -> Account {
        let mut received: HashMap<i64, usize> = HashMap::new();
        for message in site.smtp.received() {
            *received.entry(row_of(&message)).or_default() += 1;
        }
        let rows: Vec<(i64, String, String)> =
            site.rows("SELECT id, state, reasons FROM messages ORDER BY id").await;
        let mut account = Account { lost: steps.saturating_sub(rows.len()), ..Account::default() };
        for (id, state, reasons) in rows {
            let times = received.remove(&id).unwrap_or_default();
            if times > 1 {
                account.doubled.push(id);
            }
            match state.as_str() {
                "accepted" => {
                    account.accepted += 1;
                    if times == 0 {
                        account.phantoms.push(id);
                    }
                    continue;
                }
                "uncertain" => {
                    account.uncertain.push(id);
                    account.uncertain_and_received += times.min(1);
                    continue;
                }
                "cancelled" if reasons.contains("overtaken") => account.overtaken.push(id),
                "failed" | "bounced" => account.refused.push(id),
                "held" | "suppressed" | "cancelled" => account.strange.push((id, state)),
                _ => account.lost += 1,
            }
            if times > 0 {
                account.untold.push(id);
            }
        }
        account.untold.extend(received.into_keys());
        account
    }

    /// The promises: nothing lost, nothing twice, nothing refused, and at most `uncertain` of which nobody knew at some time.
    #[track_caller]
    pub fn holds(&self, steps: usize, uncertain: usize) {
        self.holds_but(steps, 0, uncertain);
    }

    /// The same where just so many were refused.
    #[track_caller]
    pub fn holds_but(&self, steps: usize, refused: usize, uncertain: usize) {
        assert_eq!(self.lost, 0, "lost: {self:?}");
        assert!(self.doubled.is_empty(), "arrived twice: {self:?}");
        assert!(self.phantoms.is_empty(), "recorded and never received: {self:?}");
        assert!(self.untold.is_empty(), "received and not recorded: {self:?}");
        assert!(self.strange.is_empty(), "ended for no reason: {self:?}");
        assert_eq!(self.refused.len(), refused, "refused: {self:?}");
        let doubtful = self.uncertain.len() + self.overtaken.len();
        assert!(doubtful <= uncertain, "more than {uncertain} were uncertain: {self:?}");
        assert_eq!(self.accepted + doubtful + refused, steps, "{self:?}");
    }
}

/// The message's row, out of `<m-17.epoch@domain>`.
pub fn row_of(message: &Received) -> i64 {
    let message_id = message.header("Message-ID").expect("every message has an id");
    let number = message_id.strip_prefix("<m-").and_then(|rest| rest.split('.').next());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("a foreign id: {message_id}"))
}
