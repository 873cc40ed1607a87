//! Templates: texts that campaigns copy when they are saved.

use crate::db::{Tx, execute, row, rows};
use crate::error::{Error, Result};
use crate::page::{Page, in_order};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::sequence::{Channel, Syntax};
use sendwright_workflows::spec::TemplateBody;
use serde_json::json;

/// A stored template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Its row.
    pub id: i64,
    /// Whose it is.
    pub account_id: i64,
    /// What people call it.
    pub name: String,
    /// The text.
    pub content: String,
    /// The subject, for e-mail.
    pub subject: Option<String>,
    /// How both are written.
    pub syntax: Syntax,
    /// What it is made for.
    pub channel: Channel,
    /// The variables it asks for.
    pub variables: Vec<String>,
    /// Whether campaigns may take it.
    pub active: bool,
    /// When it was made.
    pub created_at: Millis,
    /// When it was last changed.
    pub updated_at: Millis,
}

#[derive(sqlx::FromRow)]
struct Stored {
    id: i64,
    account_id: i64,
    name: String,
    content: String,
    subject: Option<String>,
    syntax: String,
    channel: String,
    variables: String,
    active: bool,
    created_at: Millis,
    updated_at: Millis,
}

impl TryFrom<Stored> for Template {
    type Error = Error;

    fn try_from(s: Stored) -> Result<Self> {
        let id = s.id;
        let misread = |column, detail| Error::Stored { table: "templates", column, id, detail };
        Ok(Template {
            id,
            account_id: s.account_id,
            name: s.name,
            content: s.content,
            subject: s.subject,
            syntax: Syntax::parse(&s.syntax).ok_or_else(|| misread("syntax", s.syntax))?,
            channel: Channel::parse(&s.channel).ok_or_else(|| misread("channel", s.channel))?,
            variables: serde_json::from_str(&s.variables).map_err(|e| misread("variables", e.to_string()))?,
            active: s.active,
            created_at: s.created_at,
            updated_at: s.updated_at,
        })
    }
}

macro_rules! columns {
    () => {
        "id, account_id, name, content, subject, syntax, channel, variables, active, created_at, updated_at"
    };
}

/// Inserts a template.
pub async fn insert(tx: &mut Tx, (account, id): (i64, i64), body: &TemplateBody, now: Millis) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO templates (id, account_id, name, content, subject, syntax, channel, variables, active,
                created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)",
        id,
        account,
        &body.name,
        &body.content,
        &body.subject,
        body.syntax.as_str(),
        body.channel.as_str(),
        json!(body.variables).to_string(),
        body.active,
        now
    )?;
    Ok(())
}

/// Replaces what a template says; whether the account has it.
pub async fn update(
    tx: &mut Tx,
    (account, id): (i64, i64),
    body: &TemplateBody,
    now: Millis,
) -> Result<bool> {
    let changed = execute!(
        tx,
        "UPDATE templates SET name = $3, content = $4, subject = $5, syntax = $6, channel = $7, variables = $8,
                active = $9, updated_at = $10 WHERE account_id = $1 AND id = $2 AND deleted_at IS NULL",
        account,
        id,
        &body.name,
        &body.content,
        &body.subject,
        body.syntax.as_str(),
        body.channel.as_str(),
        json!(body.variables).to_string(),
        body.active,
        now
    )?;
    Ok(changed == 1)
}

/// The account's template with this number; a deleted one is not there.
pub async fn get(tx: &mut Tx, account: i64, id: i64) -> Result<Option<Template>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM templates WHERE account_id = $1 AND id = $2 AND deleted_at IS NULL"
    );
    row!(tx, Stored, SQL, account, id)?.map(Template::try_from).transpose()
}

/// The account's templates by age, of one state where one is named.
pub async fn list(tx: &mut Tx, account: i64, active: Option<bool>, page: Page) -> Result<Vec<Template>> {
    let found = rows!(
        tx,
        Stored,
        in_order!(
            page,
            "",
            "SELECT ",
            columns!(),
            " FROM templates
              WHERE account_id = $1 AND deleted_at IS NULL AND (CAST($6 AS BOOLEAN) IS NULL OR active = $6)"
        ),
        account,
        page.after.0,
        page.after.1,
        page.limit,
        page.skip,
        active
    )?;
    found.into_iter().map(Template::try_from).collect()
}

/// How many of them there are.
pub async fn count(tx: &mut Tx, account: i64, active: Option<bool>) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM templates
                WHERE account_id = $1 AND deleted_at IS NULL AND (CAST($2 AS BOOLEAN) IS NULL OR active = $2)";
    Ok(row!(tx, (i64,), sql, account, active)?.map_or(0, |r| r.0))
}

/// Deletes a template; whether the account had it. Campaigns keep what they copied, and its name.
pub async fn delete(tx: &mut Tx, account: i64, id: i64, now: Millis) -> Result<bool> {
    let sql = "UPDATE templates SET deleted_at = $3 WHERE account_id = $1 AND id = $2 AND deleted_at IS NULL";
    Ok(execute!(tx, sql, account, id, now)? == 1)
}
