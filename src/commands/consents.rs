//! `consents export|verify`: the ledger of consent, and whether it is whole.

use super::open;
use crate::cli::{AccountArgs, ConsentsCommand};
use crate::config::Config;
use crate::failure::Failure;
use sendwright_store::Store;
use sendwright_store::consents::{self, Chains, Consent};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

/// Lines read at once.
const PART: i64 = 1_000;

/// Runs it.
///
/// # Errors
/// The ledger is not whole, an export does not read, or the database is not reached.
pub fn run(config: &Config, command: ConsentsCommand) -> Result<(), Failure> {
    match command {
        ConsentsCommand::Export { account } => open::block_on(export(config, &account)),
        ConsentsCommand::Verify { file: Some(file), .. } => verify_file(&file),
        ConsentsCommand::Verify { file: None, account } => open::block_on(verify(config, &account)),
    }
}

/// Every line as it is stored, and a last one that says how many there were: an export that lacks it was cut short.
async fn export(config: &Config, account: &AccountArgs) -> Result<(), Failure> {
    let (core, account) = open::core_in(config, account).await?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut chains = Chains::default();
    let mut walk = Walk::default();
    while let Some(lines) = walk.next(&core.store, account.id).await? {
        for line in lines {
            chains.add(&line);
            writeln!(out, "{}", serde_json::to_string(&line).map_err(io::Error::from)?)?;
        }
    }
    writeln!(out, "{}", json!({ "lines": chains.lines(), "digest": chains.digest() }))?;
    out.flush()?;
    Ok(())
}

/// The account's lines, chain by chain.
#[derive(Default)]
struct Walk {
    after: (String, String, i64),
}

impl Walk {
    async fn next(&mut self, store: &Store, account: i64) -> Result<Option<Vec<Consent>>, Failure> {
        let (channel, address, place) = &self.after;
        // Places from before the chain are not above 0.
        let place = if channel.is_empty() { i64::MIN } else { *place };
        let mut tx = store.read().await?;
        let lines = consents::walk(&mut tx, account, (channel, address, place), PART).await?;
        tx.rollback().await?;
        let Some(last) = lines.last() else { return Ok(None) };
        self.after = (last.channel.clone(), last.address_hash.clone(), last.place);
        Ok(Some(lines))
    }
}

fn verify_file(path: &Path) -> Result<(), Failure> {
    let name = path.display().to_string();
    let refused = |what: String| Failure::input(vec![format!("{name}: {what}")]);
    let file: Box<dyn BufRead> = match path.as_os_str() == "-" {
        true => Box::new(io::stdin().lock()),
        false => Box::new(BufReader::new(File::open(path).map_err(|error| refused(error.to_string()))?)),
    };
    let mut chains = Chains::default();
    let mut end = None;
    for (number, line) in file.lines().enumerate() {
        let line = line.map_err(|error| refused(error.to_string()))?;
        if end.is_some() {
            return Err(refused(format!("line {}: something follows the last line", number + 1)));
        }
        let value: Value =
            serde_json::from_str(&line).map_err(|error| refused(format!("line {}: {error}", number + 1)))?;
        if value.get("digest").is_some() {
            end = Some(value);
            continue;
        }
        let line: Consent = serde_json::from_value(value)
            .map_err(|error| refused(format!("line {}: {error}", number + 1)))?;
        chains.add(&line);
    }
    let told = json!({ "lines": chains.lines(), "digest": chains.digest() });
    match end {
        None => chains.fault("the export has no last line: it was cut short".to_owned()),
        Some(end) if end != told => {
            chains.fault(format!("the export ends with {end}, and its lines come to {told}"));
        }
        Some(_) => {}
    }
    tell(&chains)
}

async fn verify(config: &Config, account: &AccountArgs) -> Result<(), Failure> {
    let (core, account) = open::core_in(config, account).await?;
    let mut chains = Chains::default();
    let mut walk = Walk::default();
    while let Some(lines) = walk.next(&core.store, account.id).await? {
        lines.iter().for_each(|line| chains.add(line));
    }
    // Only the database knows where a chain ends: lines taken from its end leave no gap.
    let mut tx = core.store.read().await?;
    for (channel, address) in consents::torn(&mut tx, account.id, PART).await? {
        chains.fault(format!("{channel} {address}: it does not end where its state says"));
    }
    tx.rollback().await?;
    tell(&chains)
}

fn tell(chains: &Chains) -> Result<(), Failure> {
    if chains.faults().is_empty() {
        let before = match chains.before() {
            0 => String::new(),
            lines => format!("; {lines} lines are from before the chain"),
        };
        eprintln!("{} lines in {} chains: whole{before}", chains.lines(), chains.count());
        return Ok(());
    }
    Err(Failure::input(chains.faults().to_vec()))
}
