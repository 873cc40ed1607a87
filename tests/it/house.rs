//! What the house promises about itself: who may rest on whom, how files are named, what is never left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each crate must never depend on directly: the third column of the table in docs/ARCHITECTURE.md. A word also
/// stands for its family (`tokio` for `tokio-util`).
const NEVER: [(&str, &[&str]); 7] = [
    ("workflows", &["tokio", "sqlx", "axum", "reqwest", "apalis", "sendwright"]),
    ("store", &["sendwright-queue", "sendwright-api", "sendwright-worker", "apalis", "axum", "reqwest"]),
    ("fail", &["tokio", "sqlx", "axum", "reqwest", "apalis", "sendwright"]),
    ("queue", &["sendwright-store", "sendwright-api", "sendwright-worker", "sqlx"]),
    ("api", &["sendwright-worker", "lettre", "async-openai", "reqwest", "apalis"]),
    ("worker", &["sendwright-api", "axum"]),
    (
        "histories",
        &[
            "tokio",
            "sqlx",
            "axum",
            "reqwest",
            "apalis",
            "sendwright-store",
            "sendwright-queue",
            "sendwright-api",
            "sendwright-worker",
        ],
    ),
];

/// Longest source file, in lines. Tests may be longer.
const LONGEST: usize = 500;

#[test]
fn no_crate_depends_on_what_it_must_never_know() {
    for (member, never) in NEVER {
        for dependency in dependencies(&manifest(member)) {
            let broken = never.iter().find(|word| is_of_family(&dependency, word));
            assert_eq!(broken, None, "{member} depends on {dependency}");
        }
    }
}

#[test]
fn a_dependency_is_found_under_another_name_and_for_one_target() {
    let manifest =
        "[dependencies]\nserde = '1'\nclock = { package = 'tokio-util' }\n[dev-dependencies]\nproptest = '1'
        [target.'cfg(unix)'.dependencies]\naxum = '1'\n[build-dependencies]\nreqwest = '1'";
    let mut found = dependencies(&manifest.parse().unwrap());
    found.sort();
    assert_eq!(found, ["axum", "reqwest", "serde", "tokio-util"]);
    assert!(
        is_of_family("tokio-util", "tokio")
            && is_of_family("tokio", "tokio")
            && !is_of_family("tokiox", "tokio")
    );
}

#[test]
fn every_member_takes_its_lints_from_the_workspace() {
    for member in members() {
        let lints = manifest(&member).get("lints").and_then(|lints| lints.get("workspace")?.as_bool());
        assert_eq!(lints, Some(true), "{member}/Cargo.toml needs `lints.workspace = true`");
    }
}

#[test]
fn no_file_names_the_host_of_a_package_registry() {
    // In two halves, or this file would name them.
    let hosts = [
        ("crates", ".io"),
        ("npmjs", ".org"),
        ("npmjs", ".com"),
        ("yarnpkg", ".com"),
        ("pypi", ".org"),
        ("pythonhosted", ".org"),
        ("rubygems", ".org"),
        ("proxy.golang", ".org"),
        ("docker", ".io"),
        ("deb.debian", ".org"),
        ("archive.ubuntu", ".com"),
        ("static.rust-lang", ".org"),
    ];
    for (path, text) in texts().filter(|(path, _)| !path.ends_with("Cargo.lock")) {
        for (name, end) in hosts {
            assert!(!text.contains(&[name, end].concat()), "{} names {name}{end}", path.display());
        }
    }
}

#[test]
fn every_migration_is_named_by_number_verb_and_noun() {
    let mut numbers = BTreeSet::new();
    for path in files().filter(|path| path.starts_with("migrations")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let stem =
            name.strip_suffix(".sql").unwrap_or_else(|| panic!("{name} in migrations/ is no .sql file"));
        let words: Vec<_> = stem.split('_').collect();
        let number = words[0].len() == 4 && words[0].bytes().all(|byte| byte.is_ascii_digit());
        let named = words[1..].iter().all(|word| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        });
        assert!(number && named && words.len() >= 3, "{name} is not NNNN_verb_noun.sql");
        assert!(
            numbers.insert((path.parent().map(Path::to_owned), words[0].to_owned())),
            "{name} repeats a number"
        );
    }
}

#[test]
fn no_source_file_is_longer_than_a_sitting() {
    for (path, text) in texts().filter(|(path, _)| is_source(path) && !is_test(path)) {
        let lines = text.lines().count();
        assert!(lines <= LONGEST, "{} has {lines} lines, more than {LONGEST}: split it", path.display());
    }
}

#[test]
fn nothing_is_left_to_be_done_later() {
    let marks =
        [("TO", "DO"), ("FIX", "ME"), ("to", "do!("), ("unimple", "mented!(")].map(|(a, b)| [a, b].concat());
    for (path, text) in
        texts().filter(|(path, _)| is_source(path) || path.extension().is_some_and(|end| end == "md"))
    {
        for (number, line) in text.lines().enumerate() {
            let left = marks.iter().find(|mark| line.contains(*mark));
            assert_eq!(left, None, "{}:{}", path.display(), number + 1);
        }
    }
}

#[test]
fn every_make_command_of_the_readme_exists() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let targets: BTreeSet<_> = makefile.lines().filter_map(|line| Some(line.split_once(':')?.0)).collect();
    for (command, line) in make_commands(&fs::read_to_string(root().join("README.md")).unwrap_or_default()) {
        assert!(targets.contains(command.as_str()), "README.md:{line}: the Makefile has no target {command}");
    }
}

#[test]
fn the_commands_of_a_readme_are_those_in_code() {
    let readme =
        "Run `make up`; make sure it runs.\n```sh\n$ make test\ncd x && make lint CI=1\n```\nmake nothing\n";
    let found: Vec<_> = make_commands(readme).into_iter().collect();
    assert_eq!(found, [("lint".into(), 4), ("test".into(), 3), ("up".into(), 1)]);
}

/// The targets that code in a Markdown text calls with `make`, each with a line it stands on.
fn make_commands(text: &str) -> BTreeMap<String, usize> {
    let (mut commands, mut fenced) = (BTreeMap::new(), false);
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        let code: Vec<&str> = if fenced { vec![line] } else { line.split('`').skip(1).step_by(2).collect() };
        for words in code.iter().map(|code| code.split_whitespace().collect::<Vec<_>>()) {
            for pair in words.windows(2).filter(|pair| pair[0] == "make") {
                commands.insert(pair[1].to_owned(), number + 1);
            }
        }
    }
    commands
}

fn is_of_family(dependency: &str, word: &str) -> bool {
    dependency.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Every crate a manifest names outside its dev-dependencies, for any target, by its own name.
fn dependencies(manifest: &toml::Table) -> Vec<String> {
    let of_targets = manifest
        .get("target")
        .and_then(toml::Value::as_table)
        .into_iter()
        .flat_map(|targets| targets.values());
    let tables = of_targets.filter_map(toml::Value::as_table).chain([manifest]);
    tables
        .flat_map(|table| ["dependencies", "build-dependencies"].map(|key| table.get(key)))
        .flatten()
        .filter_map(toml::Value::as_table)
        .flatten()
        .map(|(name, entry)| entry.get("package").and_then(toml::Value::as_str).unwrap_or(name).to_owned())
        .collect()
}

fn members() -> Vec<String> {
    let workspace = manifest("");
    let members = workspace["workspace"]["members"].as_array().unwrap();
    members.iter().map(|member| member.as_str().unwrap().to_owned()).collect()
}

fn manifest(member: &str) -> toml::Table {
    fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap().parse().unwrap()
}

fn is_source(path: &Path) -> bool {
    let ends = ["css", "html", "js", "mjs", "ts", "py", "php", "rs", "sh", "sql"];
    path.extension().and_then(|end| end.to_str()).is_some_and(|end| ends.contains(&end))
        || ["Makefile", ".ci/run", "bench/run"].iter().any(|name| path == Path::new(name))
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs")
}

/// Every file of the house that is text, by its path from the root.
fn texts() -> impl Iterator<Item = (PathBuf, String)> {
    files().filter_map(|path| Some((path.clone(), fs::read_to_string(root().join(path)).ok()?)))
}

/// Every file of the house by its path from the root: what is built, fetched or stored on the way is none of it.
fn files() -> impl Iterator<Item = PathBuf> {
    let not_ours = ["target", "data", "node_modules", ".git", ".cache"];
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap() {
                _ if not_ours.iter().any(|name| entry.file_name() == *name) => {}
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_file() => found.push(entry.path().strip_prefix(root()).unwrap().to_owned()),
                _ => {}
            }
        }
    }
    found.into_iter()
}

/// Where Cargo runs the tests of the root package.
fn root() -> &'static Path {
    Path::new(".")
}
