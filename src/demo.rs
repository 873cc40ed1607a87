//! `up --demo`: an account with a key, a sample campaign over sample leads, and its progress in the terminal.

mod follow;
mod sample;

use crate::cli::{AccountArgs, KeyCreateArgs};
use crate::commands::key;
use crate::config::Config;
use crate::failure::Failure;
use sendwright_api::Core;
use sendwright_store::accounts::{self, Account};
use sendwright_store::keys;
use sendwright_workflows::signing::ApiKey;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Where the demo's key lies, in the data directory.
const KEY_FILE: &str = "demo.key";

/// A demo never mails anyone, and what it has begun shall not either: its directory takes no real transport.
///
/// # Errors
/// The data directory holds a demo, and `SMTP_URL` or `TWILIO_ACCOUNT_SID` is set.
pub fn keep_from_real_mail(config: &Config) -> Result<(), Failure> {
    let set = match (&config.smtp, &config.phones.twilio) {
        (Some(_), _) => "SMTP_URL",
        (None, Some(_)) => "TWILIO_ACCOUNT_SID",
        (None, None) => return Ok(()),
    };
    if !config.data.join(KEY_FILE).exists() {
        return Ok(());
    }
    let data = config.data.display();
    Err(Failure::config(vec![format!(
        "{data} holds a demo, and with {set} its messages would really go out: give --data another directory, \
         or remove {data}/{KEY_FILE} to keep what is there"
    )]))
}

/// A demo that is ready to run.
pub struct Demo {
    account: i64,
    campaign: i64,
    key: ApiKey,
    key_file: PathBuf,
}

impl Demo {
    /// Makes what is missing: account, key and sample campaign at the first start, nothing at the second.
    ///
    /// # Errors
    /// The database or the data directory does not take it.
    pub async fn prepare(core: &Core, config: &Config) -> Result<Self, Failure> {
        let key_file = config.data.join(KEY_FILE);
        let (account, key) = match stored_key(core, &key_file).await? {
            Some(found) => found,
            None => new_key(core, &key_file).await?,
        };
        let campaign = sample::load(core, account).await?;
        Ok(Self { account, campaign, key, key_file })
    }

    /// Tells people where they are, then follows the sample campaign to its end.
    pub async fn follow(self, core: Core, bound: SocketAddr) {
        self.greet(bound);
        if let Err(refusal) = follow::to_the_end(&core, self.account, self.campaign).await {
            eprintln!("The sample campaign is not followed any more: {refusal}");
        }
        eprintln!("Read what would have arrived at http://{bound}/mailbox; Ctrl-C ends the demo.");
    }

    fn greet(&self, bound: SocketAddr) {
        let (key, file) = (self.key.reveal(), self.key_file.display());
        eprintln!(
            "
Sendwright runs at http://{bound}/   (nothing leaves this machine: every message goes to its mailbox)

  mailbox   http://{bound}/mailbox
  key       {key}   (kept in {file})
  try       curl -H 'X-API-Key: {key}' http://{bound}/api/external/campaigns
  or        curl http://{bound}/api/v1/campaigns   (from this machine /api/v1 needs no key)
"
        );
    }
}

/// The key of an earlier start and its account, if it still opens.
async fn stored_key(core: &Core, file: &Path) -> Result<Option<(i64, ApiKey)>, Failure> {
    let Ok(text) = fs::read_to_string(file) else { return Ok(None) };
    let Some(key) = ApiKey::parse(text.trim()) else { return Ok(None) };
    let now = core.now()?;
    let mut tx = core.store.read().await?;
    let holder = keys::find(&mut tx, key.prefix()).await?;
    tx.rollback().await?;
    let opens = holder.filter(|holder| holder.active && holder.opens(&key.hash(), now));
    Ok(opens.map(|holder| (holder.account_id, key)))
}

async fn new_key(core: &Core, file: &Path) -> Result<(i64, ApiKey), Failure> {
    let now = core.now()?;
    let account = first_account(core, now).await?;
    let args = KeyCreateArgs {
        name: "demo".to_owned(),
        tier: "standard".to_owned(),
        account: AccountArgs { account: Some(account.name.clone()) },
        user: None,
        scopes: Vec::new(),
        test: false,
    };
    let text = key::create(&core.store, &args, now).await?;
    write_secretly(file, &text).map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
    let key = ApiKey::parse(&text).ok_or_else(|| Failure::new("a new key does not read"))?;
    Ok((account.id, key))
}

/// The only account, made where there is none; of several the first.
async fn first_account(core: &Core, now: i64) -> Result<Account, Failure> {
    if let Some(only) = accounts::first_or_only(&core.store, now).await? {
        return Ok(only);
    }
    let mut tx = core.store.read().await?;
    let first = accounts::list(&mut tx, 0, 1).await?.pop();
    tx.rollback().await?;
    first.ok_or_else(|| Failure::new("the accounts went away"))
}

/// Writes a file that nobody else reads, whole or not at all.
fn write_secretly(file: &Path, text: &str) -> io::Result<()> {
    let draft = file.with_extension(format!("key.{}", std::process::id()));
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    writeln!(out, "{text}")?;
    out.sync_all()?;
    fs::rename(&draft, file)
}
