//! Plays targets for longer than tests have time for; what it finds is written to `target/found`.

use anyhow::{Context, bail};
use clap::Parser;
use sendwright_fuzz::{TARGETS, Target, play, replay};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Mutate what strangers send, and see what breaks
#[derive(Parser)]
struct Options {
    /// Targets; all of them where none is named
    targets: Vec<String>,
    /// For so many seconds each
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The seed of the mutations
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Read this file alone, with one target
    #[arg(long)]
    input: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let unknown = options.targets.iter().find(|name| !TARGETS.iter().any(|target| target.name == **name));
    if let Some(name) = unknown {
        bail!("no target {name}: there are {}", TARGETS.map(|target| target.name).join(", "));
    }
    let is_wanted =
        |target: &&Target| options.targets.is_empty() || options.targets.iter().any(|n| n == target.name);
    let wanted: Vec<&Target> = TARGETS.iter().filter(is_wanted).collect();
    if let Some(path) = &options.input {
        let [target] = wanted[..] else { bail!("name the one target that reads {}", path.display()) };
        let found = replay(target, &fs::read(path)?);
        return found.map_or(Ok(()), |found| bail!("{}: {}", target.name, found.why));
    }
    let mut broken = 0;
    for target in wanted {
        let played = play(target, options.seed, Duration::from_secs(options.seconds))?;
        println!(
            "{}: {} inputs of {} kinds in {} s from seed {}, the slowest {:?}",
            target.name, played.executions, played.kinds, options.seconds, options.seed, played.slowest
        );
        if let Some(found) = played.found {
            broken += 1;
            let path = keep(target.name, &found.input)?;
            println!("{}: broken by {}: {}", target.name, path.display(), found.why);
        }
    }
    if broken > 0 {
        bail!("{broken} targets are broken; put what broke them into fuzz/corpus once it is mended")
    }
    Ok(())
}

fn keep(target: &str, input: &[u8]) -> anyhow::Result<PathBuf> {
    let folder = Path::new("target/found");
    fs::create_dir_all(folder).context("target/found cannot be made")?;
    let path = folder.join(format!("{target}-{}", input.len()));
    fs::write(&path, input)?;
    Ok(path)
}
