//! A file on this machine, taken by an import.

use crate::failure::Failure;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sendwright_api::operations::imports::Upload;
use sendwright_store::imports::{Import, Refused};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes read at once.
const PIECE: usize = 64 << 10;
/// Without a terminal its progress is told every so many rows.
const ROWS_A_LINE: i64 = 10_000;

/// Takes a file to its end, and tells of its progress and of every row that is refused; `-` is stdin.
///
/// # Errors
/// The file cannot be read, or the database does not take it; what was taken before stands.
pub async fn take(upload: &mut Upload, path: &Path) -> Result<(), Failure> {
    let name = path.display().to_string();
    let bar = bar();
    let tell = |refused: &[Refused]| {
        for row in refused {
            bar.suspend(|| eprintln!("{name}, line {}: {}", row.line, row.message));
        }
    };
    let mut piece = vec![0; PIECE];
    let mut told = 0;
    let done = async {
        let mut file = open(path).map_err(|error| unreadable(&name, &error))?;
        loop {
            let read = file.read(&mut piece).map_err(|error| unreadable(&name, &error))?;
            match read {
                0 => break tell(&upload.finish().await?),
                read => tell(&upload.feed(&piece[..read]).await?),
            }
            let rows = upload.import().processed;
            if bar.is_hidden() && rows - told >= ROWS_A_LINE {
                told = rows;
                eprintln!("{rows} rows");
            }
            bar.set_message(format!("{rows} rows"));
            bar.tick();
        }
        Ok::<_, Failure>(())
    };
    let done = done.await;
    bar.finish_and_clear();
    if let Err(failure) = &done {
        upload.give_up("failed", failure.why()).await;
    }
    done
}

/// An import of which no row was good has failed.
///
/// # Errors
/// That is so.
pub fn check(import: &Import) -> Result<(), Failure> {
    match import.processed > 0 && import.processed == import.errors {
        true => Err(Failure::input(vec!["no row was taken".to_owned()])),
        false => Ok(()),
    }
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::input(vec![format!("{name}: {error}")])
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    match path.as_os_str() == "-" {
        true => Ok(Box::new(io::stdin())),
        false => Ok(Box::new(File::open(path)?)),
    }
}

/// How far it came, on a terminal alone.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("  {spinner} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style)
}
