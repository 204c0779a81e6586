//! Repositories that are hurt or newer.

use crate::support::{Workspace, small_disk};
use holotype_repo::core::signature::{self, Signing};
use holotype_repo::core::{codec, secret::Secret32};
use holotype_repo::repository::{CONFIG, RepositoryConfig};
use std::fs;
use std::path::{Path, PathBuf};

fn largest_file(folder: &Path) -> PathBuf {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            match entry.metadata().unwrap() {
                metadata if metadata.is_dir() => folders.push(entry.path()),
                metadata => files.push((metadata.len(), entry.path())),
            }
        }
    }
    files.into_iter().max().unwrap().1
}

fn with_image() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("disk", small_disk(1));
    workspace.run(["backup", "disk", "--name", "a"]).expect(0);
    workspace
}

#[test]
fn a_flipped_bit_is_found() {
    let workspace = with_image();
    let pack = largest_file(&workspace.repository().join("packs"));
    let mut bytes = fs::read(&pack).unwrap();
    bytes[1000] ^= 1;
    fs::write(&pack, bytes).unwrap();
    workspace.run(["verify"]).expect(0);
    let run = workspace.run(["verify", "--read-data", "-q"]).expect(4);
    let image = &workspace.images()[0][..12];
    assert!(run.text().contains("packs/") && run.text().contains(image), "{run:?}");
    let report = workspace.run(["verify", "--sample", "100", "--json"]).expect(4).json();
    assert!(!report["findings"].as_array().unwrap().is_empty());
    workspace.run(["restore", "a", "out"]).expect(1);
}

#[test]
fn a_newer_format_is_refused() {
    let workspace = with_image();
    let config = workspace.repository().join("config/repository");
    let mut bytes = fs::read(&config).unwrap();
    bytes[12] += 1;
    fs::write(&config, bytes).unwrap();
    let run = workspace.run(["images", "--json"]).refused(1, &["format version 2", "use a newer holotype"]);
    assert_eq!(run.json()["kind"], "unsupported");
}

#[test]
fn an_unknown_required_feature_is_refused() {
    let workspace = with_image();
    let path = workspace.repository().join("config/repository");
    // Signed by another root: features are looked at before a password is asked for.
    let root = Signing::from_seed(&Secret32::new([1; 32]));
    let mut config = RepositoryConfig::decode(&fs::read(&path).unwrap()).unwrap();
    config.root = root.writer();
    config.required_features = 1 << 7;
    let record = codec::encode(&config);
    let signature = root.sign(signature::CONFIG, &record);
    fs::write(&path, CONFIG.encode(&(record, signature))).unwrap();
    for arguments in [&["images"][..], &["backup", "disk", "--name", "a"], &["restore", "a", "out"]] {
        workspace.run(arguments).refused(1, &["required features 0x80", "use a newer holotype"]);
    }

    // The same without the feature: somebody exchanged the config.
    config.required_features = 0;
    let record = codec::encode(&config);
    let signature = root.sign(signature::CONFIG, &record);
    fs::write(&path, CONFIG.encode(&(record, signature))).unwrap();
    workspace.run(["images"]).refused(1, &["not signed by the root"]);
}
