//! Whether the ledger is whole: its lines one by one, chain by chain, as [`walk`](super::walk) and an export have them.

use super::Consent;
use sha2::{Digest, Sha256};

/// Most faults that are kept.
const MOST_FAULTS: usize = 1_000;

/// The lines that were looked at.
#[derive(Default)]
pub struct Chains {
    last: Option<Consent>,
    lines: u64,
    before: u64,
    count: u64,
    digest: Sha256,
    faults: Vec<String>,
}

impl Chains {
    /// Looks at the next line.
    pub fn add(&mut self, line: &Consent) {
        self.lines += 1;
        self.digest.update(&line.hash);
        if line.place <= 0 {
            self.before += 1;
            return;
        }
        let chain = |line: &Consent| (line.account_id, line.channel.clone(), line.address_hash.clone());
        let last = self.last.take().filter(|last| chain(last) == chain(line));
        self.count += u64::from(last.is_none());
        let (place, previous) = last.map_or((1, String::new()), |last| (last.place + 1, last.hash));
        let named = format!("{} {}, line {} (row {})", line.channel, line.address_hash, line.place, line.id);
        if line.place != place {
            self.fault(format!("{named}: line {place} is missing before it"));
        } else if line.previous != previous {
            self.fault(format!("{named}: it does not follow the line before it"));
        }
        if line.hash != line.hashed() {
            self.fault(format!("{named}: it was changed"));
        }
        self.last = Some(line.clone());
    }

    /// Notes a fault that no line shows.
    pub fn fault(&mut self, what: String) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(what);
        }
    }

    /// Where chains break, the first thousand.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// How many lines there were.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// How many of them are from before the chain.
    pub fn before(&self) -> u64 {
        self.before
    }

    /// How many chains there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What all lines come to, in their order: SHA-256 of their hashes, in hex.
    pub fn digest(&self) -> String {
        hex::encode(self.digest.clone().finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three lines of one number, and one of another.
    fn lines() -> Vec<Consent> {
        let mut lines: Vec<Consent> = Vec::new();
        for (address, place) in [("aa", 1), ("aa", 2), ("aa", 3), ("bb", 1)] {
            let previous =
                lines.last().filter(|_| place > 1).map_or_else(String::new, |line| line.hash.clone());
            let mut line = Consent {
                id: 10 + lines.len() as i64,
                account_id: 1,
                contact_id: None,
                channel: "sms".into(),
                address_hash: address.into(),
                place,
                state: "opt_in".into(),
                source: "api".into(),
                actor: "key:1".into(),
                wording: None,
                evidence: "{}".into(),
                at: 5,
                previous,
                hash: String::new(),
            };
            line.hash = line.hashed();
            lines.push(line);
        }
        lines
    }

    fn faults(lines: &[Consent]) -> Vec<String> {
        let mut chains = Chains::default();
        lines.iter().for_each(|line| chains.add(line));
        chains.faults().to_vec()
    }

    #[test]
    fn a_whole_ledger_has_no_fault() {
        let mut chains = Chains::default();
        lines().iter().for_each(|line| chains.add(line));
        assert_eq!((chains.lines(), chains.count(), chains.faults().len()), (4, 2, 0));
    }

    #[test]
    fn a_line_that_was_changed_taken_or_put_in_is_named() {
        let mut changed = lines();
        changed[1].state = "stop".into();
        assert_eq!(faults(&changed), ["sms aa, line 2 (row 11): it was changed"]);
        let mut taken = lines();
        taken.remove(1);
        assert_eq!(faults(&taken), ["sms aa, line 3 (row 12): line 2 is missing before it"]);
        // Changed with its own hash made to fit, it no longer fits what follows.
        changed[1].hash = changed[1].hashed();
        assert_eq!(faults(&changed), ["sms aa, line 3 (row 12): it does not follow the line before it"]);
        let mut first = lines();
        first.remove(3);
        first.remove(0);
        assert_eq!(faults(&first), ["sms aa, line 2 (row 11): line 1 is missing before it"]);
    }
}
