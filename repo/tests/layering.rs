//! The arrows between the modules of this crate, as docs/adr/0003-module-arrows.md explains them.
//!
//! The table is exact: an arrow that is not in it fails, and so does one that nobody uses any more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Who may use whom. `module::Item` allows that item alone.
const ARROWS: &[(&str, &[&str])] = &[
    // Below everything.
    ("error", &[]),
    ("job", &["error"]),
    ("random", &["error"]),
    ("disk", &["error"]),
    ("https", &["error"]),
    ("os", &["disk", "error"]),
    ("store", &["error", "os::direct", "os::file_system", "os::host"]),
    // The nouns of the repository, each over the store.
    ("keys", &["error", "random", "store"]),
    ("lease", &["error", "keys", "random", "store"]),
    ("image", &["disk", "error", "keys", "lease", "random", "store"]),
    // A knot of two: a pack says what an index takes in, a segment holds footers of packs.
    ("pack", &["error", "index", "keys", "random", "store"]),
    ("index", &["error", "pack::EncodedFooter", "store"]),
    // Over catalog and pack readers, which stand in repository/ and use nothing of it but config.
    ("manifest", &["error", "index", "keys", "pack", "repository::Catalog", "repository::PackReaders", "store"]),
    // The pipelines. They are given the repository, whose methods call them.
    (
        "backup",
        &[
            "disk",
            "error",
            "image",
            "index",
            "job",
            "lease",
            "manifest",
            "pack",
            "random",
            "repository::Catalog",
            "repository::Head",
            "repository::Repository",
            "repository::RepositoryConfig",
            "store",
        ],
    ),
    (
        "restore",
        &[
            "backup::flow",
            "disk",
            "error",
            "image",
            "index",
            "job",
            "lease",
            "manifest",
            "pack",
            "random",
            "repository::Catalog",
            "repository::Repository",
        ],
    ),
    (
        "verify",
        &[
            "error",
            "image",
            "index",
            "job",
            "keys",
            "lease",
            "manifest",
            "pack",
            "random",
            "repository::Repository",
            "restore::read_lease",
            "store",
        ],
    ),
    // What a server needs of a repository, without keys; and a store that is such a server's.
    (
        "keyless",
        &["error", "image", "index", "lease", "pack", "repository::Catalog", "repository::RepositoryConfig", "store"],
    ),
    ("remote", &["error", "https", "pack::EncodedFooter", "pack::TRAILER_BYTES", "store"]),
    ("diff", &["error", "image", "job", "manifest", "repository::Repository", "restore::read_lease"]),
    ("copy", &["backup", "disk", "error", "image", "job", "manifest", "repository::Repository", "restore"]),
    (
        "grant",
        &[
            "error",
            "image",
            "index",
            "job",
            "keys",
            "lease",
            "manifest",
            "pack",
            "random",
            "repository::Repository",
            "repository::RepositoryConfig",
            "restore::read_lease",
            "store",
        ],
    ),
    ("stats", &["error", "index", "repository::Repository", "store"]),
    ("receipt", &["error", "os::host", "restore::RestoreReport"]),
    // On top.
    (
        "repository",
        &[
            "backup", "copy", "diff", "disk", "error", "grant", "image", "index", "job", "keys", "pack", "random",
            "receipt", "restore", "stats", "store", "verify",
        ],
    ),
];

/// Test code and what exists for it.
fn is_for_tests(path: &Path) -> bool {
    let text = path.to_string_lossy();
    ["tests.rs", "_tests.rs", "conformance.rs", "/fault/", "/fault.rs", "src/testing.rs", "src/lib.rs"]
        .iter()
        .any(|part| text.ends_with(part) || (part.starts_with("/fault/") && text.contains(part)))
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What a file names after `crate::`, as `module` or `module::Item`, tests and comments left out.
fn named(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let word = |text: &str| text.chars().take_while(|c| is_word(*c)).collect::<String>();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(is_word) {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let heads: Vec<&str> = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap().split(',').map(str::trim).collect(),
            None => vec![rest],
        };
        for head in heads.into_iter().filter(|head| !head.is_empty()) {
            let module = word(head);
            // What lib.rs gives again at the root.
            let module = match module.as_str() {
                "Error" | "ErrorKind" | "Result" => "error".to_owned(),
                "Repository" => "repository::Repository".to_owned(),
                "Store" => "store".to_owned(),
                _ => module,
            };
            match head[word(head).len()..].strip_prefix("::") {
                None => found.push(module),
                Some(items) => match items.strip_prefix('{') {
                    None => found.push(format!("{module}::{}", word(items))),
                    Some(list) => {
                        let list = list.split('}').next().unwrap();
                        found.extend(list.split(',').map(|item| format!("{module}::{}", word(item.trim()))));
                    }
                },
            }
        }
    }
    found
}

#[test]
fn modules_use_those_below_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut unused: BTreeMap<&str, BTreeSet<&str>> =
        ARROWS.iter().map(|(module, uses)| (*module, uses.iter().copied().collect())).collect();
    let mut wrong = Vec::new();
    for path in sources(&root).into_iter().filter(|path| !is_for_tests(path)) {
        let relative = path.strip_prefix(&root).unwrap();
        let module = relative.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned();
        let Some((_, uses)) = ARROWS.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{module} is not in the table"));
            continue;
        };
        for used in named(&fs::read_to_string(&path).unwrap()) {
            let target = used.split("::").next().unwrap();
            if target == module {
                continue;
            }
            match uses.iter().find(|allowed| **allowed == target || **allowed == used) {
                Some(allowed) => drop(unused.get_mut(module.as_str()).unwrap().remove(allowed)),
                None => wrong.push(format!("{} uses {used}", relative.display())),
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    let unused: Vec<_> = unused.into_iter().filter(|(_, uses)| !uses.is_empty()).collect();
    assert_eq!(unused, [], "arrows in the table that nobody uses");
}

#[test]
fn the_reader_of_sources_sees_every_form() {
    let source = "use crate::a::B;\n// use crate::no::No;\nuse crate::c::{D, e::F};\nuse crate::{Error, g::H};\n\
                  fn f() { crate::i::j(); mycrate::k(); }\n#[cfg(test)]\nmod tests {\nuse crate::no::No;\n}";
    assert_eq!(named(source), ["a::B", "c::D", "c::e", "error", "g::H", "i::j"]);
}
