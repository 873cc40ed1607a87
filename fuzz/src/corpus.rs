//! The corpora: a file an input, below `fuzz/corpus`.

use anyhow::Context;
use std::fs;
use std::path::{Path, PathBuf};

/// Every input of a target, by the name of its file, in the order of the names.
///
/// # Errors
/// The files cannot be read, or there are none.
pub fn corpus(target: &str) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let folder = folder(target);
    let entries = fs::read_dir(&folder).with_context(|| format!("no corpus at {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    paths.sort();
    anyhow::ensure!(!paths.is_empty(), "{} is empty", folder.display());
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    paths.into_iter().map(|path| Ok((name(&path), fs::read(&path)?))).collect()
}

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}
