//! A campaign's progress in the terminal: bars where there is one, plain lines elsewhere.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sendwright_api::operations::campaigns::{self, Counts};
use sendwright_api::{Core, Refusal};
use sendwright_workflows::message::State;
use std::io::IsTerminal;
use std::time::Duration;

/// How often the ledger is counted.
const LOOK: Duration = Duration::from_millis(250);
/// Plain lines are told in looks: a line a second, where something changed.
const LOOKS_A_LINE: u32 = 4;

/// Where a campaign stands, each number a part of the one before but `held`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    /// Messages there will be, if everybody gets every step.
    wanted: u64,
    /// Messages with an instant.
    planned: u64,
    /// Messages with their text.
    written: u64,
    /// Messages that were taken.
    sent: u64,
    /// Messages that will not go out, or not by themselves.
    held: u64,
    /// People who are still under way.
    active: u64,
}

impl Tally {
    fn of(counts: &Counts, steps: usize) -> Self {
        let people: i64 = counts.enrolments.iter().map(|(_, n)| n).sum();
        let active = counts.enrolments.iter().filter(|(state, _)| state == "active").map(|(_, n)| n).sum();
        let count = |of: fn(State) -> bool| -> u64 {
            let rows = counts.messages.iter();
            rows.filter(|(word, _)| State::parse(word).is_some_and(of)).map(|(_, n)| *n as u64).sum()
        };
        Self {
            wanted: people as u64 * steps as u64,
            planned: count(|_| true),
            written: count(|state| !matches!(state, State::Scheduled | State::Writing)),
            sent: count(State::was_accepted),
            held: count(|state| !state.was_accepted() && (state.is_settled() || state.may_release())),
            active: i64::cast_unsigned(active),
        }
    }

    /// Nobody is under way, or whoever is waits for a person.
    fn is_over(&self) -> bool {
        self.active == 0 || (self.held >= self.active && self.sent + self.held == self.planned)
    }

    fn line(&self) -> String {
        format!(
            "planned {:>3}   written {:>3}   sent {:>3}   held {:>3}   of {}",
            self.planned, self.written, self.sent, self.held, self.wanted
        )
    }
}

/// Follows a campaign until nothing of it is under way any more.
///
/// # Errors
/// The ledger cannot be read.
pub async fn to_the_end(core: &Core, account: i64, campaign: i64) -> Result<(), Refusal> {
    let full = campaigns::get(core, account, campaign).await?;
    let steps = full.sequence.steps.iter().filter(|step| step.active).count();
    let look =
        async || Ok::<_, Refusal>(Tally::of(&campaigns::counts(core, account, campaign).await?, steps));
    let mut tally = look().await?;
    if tally.is_over() {
        eprintln!("The sample campaign has run: {} of {} messages were sent.", tally.sent, tally.wanted);
        return Ok(());
    }
    eprintln!(
        "{:?} runs: {steps} steps for {} people.",
        full.campaign.name,
        tally.wanted / steps.max(1) as u64
    );
    let mut display = Display::new(&tally);
    while !tally.is_over() {
        display.show(&tally);
        tokio::time::sleep(LOOK).await;
        tally = look().await?;
    }
    display.end(&tally);
    eprintln!("Done: {} messages sent, each once.", tally.sent);
    if tally.held > 0 {
        eprintln!("{} wait for a person: `sendwright messages list --state held` says why.", tally.held);
    }
    Ok(())
}

/// A bar and the number it shows.
type Bar = (ProgressBar, fn(&Tally) -> u64);

enum Display {
    /// The three that fill up, and the count of what is held.
    Bars([Bar; 3], ProgressBar),
    /// The last line that was told, and the looks since the beginning.
    Lines { told: Option<Tally>, looks: u32 },
}

impl Display {
    fn new(tally: &Tally) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { told: None, looks: 0 };
        }
        let all = MultiProgress::new();
        let style = ProgressStyle::with_template("  {prefix:<8} {bar:36} {pos:>3} of {len}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = |name, of: fn(&Tally) -> u64| {
            let bar = all.add(ProgressBar::new(tally.wanted).with_style(style.clone()).with_prefix(name));
            (bar, of)
        };
        let bars = [bar("planned", |t| t.planned), bar("written", |t| t.written), bar("sent", |t| t.sent)];
        let style = ProgressStyle::with_template("  held     {pos}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
        Self::Bars(bars, all.add(ProgressBar::new(tally.wanted).with_style(style)))
    }

    fn show(&mut self, tally: &Tally) {
        match self {
            Self::Bars(bars, held) => {
                for (bar, of) in bars {
                    bar.set_length(tally.wanted);
                    bar.set_position(of(tally));
                }
                held.set_position(tally.held);
            }
            Self::Lines { told, looks } => {
                if looks.is_multiple_of(LOOKS_A_LINE) && *told != Some(*tally) {
                    eprintln!("{}", tally.line());
                    *told = Some(*tally);
                }
                *looks += 1;
            }
        }
    }

    fn end(&mut self, tally: &Tally) {
        match self {
            Self::Bars(bars, held) => {
                bars.iter().for_each(|(bar, of)| {
                    bar.set_position(of(tally));
                    bar.abandon();
                });
                held.abandon();
            }
            Self::Lines { .. } => eprintln!("{}", tally.line()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(enrolments: &[(&str, i64)], messages: &[(&str, i64)]) -> Tally {
        let rows = |rows: &[(&str, i64)]| rows.iter().map(|(word, n)| ((*word).to_owned(), *n)).collect();
        Tally::of(&Counts { enrolments: rows(enrolments), messages: rows(messages) }, 3)
    }

    #[test]
    fn a_message_counts_as_far_as_it_came() {
        let states =
            [("scheduled", 1), ("drafted", 2), ("sending", 3), ("accepted", 4), ("held", 5), ("failed", 6)];
        let tally = tally(&[("active", 9), ("completed", 1)], &states);
        assert_eq!((tally.wanted, tally.planned, tally.written), (30, 21, 20));
        assert_eq!((tally.sent, tally.held, tally.active), (4, 11, 9));
    }

    #[test]
    fn it_is_over_when_nobody_is_under_way_or_everybody_waits_for_a_person() {
        assert!(tally(&[("completed", 2)], &[("accepted", 6)]).is_over());
        assert!(!tally(&[("active", 2)], &[]).is_over());
        assert!(!tally(&[("active", 2)], &[("accepted", 4)]).is_over());
        assert!(!tally(&[("active", 2)], &[("accepted", 2), ("held", 1), ("drafted", 1)]).is_over());
        assert!(tally(&[("active", 2)], &[("accepted", 2), ("held", 2)]).is_over());
    }
}
