//! Contacts by their numbers: what S2 calls users.

use super::{Contact, columns};
use crate::db::{Tx, row, rows};
use crate::error::Result;
use crate::page::{Page, in_order};

/// The account's contact with this number; a deleted one is not there.
pub async fn by_phone(tx: &mut Tx, account: i64, key: &str) -> Result<Option<Contact>> {
    row!(
        tx,
        Contact,
        concat!(
            "SELECT ",
            columns!(),
            " FROM contacts WHERE account_id = $1 AND phone_key = $2 AND state <> 'deleted'"
        ),
        account,
        key
    )
}

/// The account's contacts with a number, those in a state of consent where one is named; deleted ones are not there.
pub async fn list_by_consent(
    tx: &mut Tx,
    account: i64,
    consent: Option<&str>,
    page: Page,
) -> Result<Vec<Contact>> {
    // Two texts, each for its own index.
    match consent {
        None => rows!(
            tx,
            Contact,
            in_order!(
                page,
                "",
                "SELECT ",
                columns!(),
                " FROM contacts WHERE account_id = $1 AND phone_key IS NOT NULL AND state <> 'deleted'"
            ),
            account,
            page.after.0,
            page.after.1,
            page.limit,
            page.skip
        ),
        Some(consent) => rows!(
            tx,
            Contact,
            in_order!(
                page,
                "",
                "SELECT ",
                columns!(),
                " FROM contacts WHERE account_id = $1 AND consent = $6 AND phone_key IS NOT NULL
                    AND state <> 'deleted'"
            ),
            account,
            page.after.0,
            page.after.1,
            page.limit,
            page.skip,
            consent
        ),
    }
}

/// How many contacts with a number the account has, in a state of consent where one is named.
pub async fn count_by_consent(tx: &mut Tx, account: i64, consent: Option<&str>) -> Result<i64> {
    let found = match consent {
        None => {
            let sql = "SELECT COUNT(*) FROM contacts
                        WHERE account_id = $1 AND phone_key IS NOT NULL AND state <> 'deleted'";
            row!(tx, (i64,), sql, account)?
        }
        Some(consent) => {
            let sql = "SELECT COUNT(*) FROM contacts
                        WHERE account_id = $1 AND consent = $2 AND phone_key IS NOT NULL AND state <> 'deleted'";
            row!(tx, (i64,), sql, account, consent)?
        }
    };
    Ok(found.map_or(0, |r| r.0))
}

/// How many contacts with a number the account has in each state of consent; none for who has said nothing.
pub async fn counts_by_consent(tx: &mut Tx, account: i64) -> Result<Vec<(Option<String>, i64)>> {
    let sql = "SELECT consent, COUNT(*) FROM contacts
                WHERE account_id = $1 AND phone_key IS NOT NULL AND state <> 'deleted' GROUP BY consent";
    rows!(tx, (Option<String>, i64), sql, account)
}
