//! A kernel of the distribution, its modules, and an initramfs of the agent with them.

use super::{cpio::Cpio, wanted};
use holotype_boot::modules::{Module, ModuleIndex};
use holotype_boot::profile::{BootProfile, encode};
use sets::ModuleSet;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The generator's own sets: what a medium has is what is booted here.
#[path = "../../../src/kernel/sets.rs"]
mod sets;

/// An unpacked kernel package.
pub struct Kernel {
    folder: PathBuf,
    /// The image.
    pub image: PathBuf,
}

impl Kernel {
    /// The one that the surroundings name.
    pub fn wanted() -> Option<Self> {
        Some(Self::at(wanted("HOLOTYPE_TEST_KERNEL")?))
    }

    pub fn at(folder: PathBuf) -> Self {
        let images = std::fs::read_dir(folder.join("boot")).expect("an unpacked kernel package");
        let image =
            images.flatten().map(|it| it.path()).find(|path| path.to_string_lossy().contains("vmlinuz-")).unwrap();
        Self { folder, image }
    }

    /// Files of all modules, by name.
    fn files(&self) -> BTreeMap<String, PathBuf> {
        let found = Command::new("find").arg(self.folder.join("lib/modules")).args(["-name", "*.ko"]).output().unwrap();
        let paths = String::from_utf8(found.stdout).unwrap();
        let named = paths
            .lines()
            .map(|path| (Path::new(path).file_stem().unwrap().to_string_lossy().replace('-', "_"), path.into()));
        named.collect()
    }

    /// The index of the modules of a common PC without those in `without`, and their files.
    pub fn modules(&self, without: &[&str]) -> (String, Vec<(String, PathBuf)>) {
        let files = self.files();
        // This set goes by names alone.
        let is_root = |name: &str| ModuleSet::Pc.holds("", name) && !without.contains(&name);
        let roots = files.iter().filter(|(name, _)| is_root(name));
        let mut open: Vec<String> = roots.map(|(name, _)| name.clone()).collect();
        let (mut index, mut taken, mut aliases) = (ModuleIndex::default(), BTreeSet::new(), Vec::new());
        let mut paths = Vec::new();
        while let Some(name) = open.pop() {
            let Some(file) = files.get(&name) else { continue };
            if !taken.insert(name.clone()) {
                continue;
            }
            let (mut depends, mut before) = (Vec::new(), Vec::new());
            for (key, value) in information(file) {
                let names = || value.split([',', ' ']).filter(|it| !it.is_empty()).map(|it| it.replace('-', "_"));
                match key.as_str() {
                    "depends" => depends.extend(names()),
                    "softdep" if value.starts_with("pre:") => {
                        before.extend(
                            // Some name an alias; the generator leaves those out too.
                            value[4..]
                                .split("post:")
                                .next()
                                .unwrap()
                                .split_whitespace()
                                .filter(|it| !it.contains(':'))
                                .map(|it| it.replace('-', "_")),
                        );
                    }
                    "alias" => aliases.push((value.clone(), name.clone())),
                    _ => {}
                }
            }
            open.extend(depends.iter().chain(&before).cloned());
            let path = format!("/{}", file.strip_prefix(&self.folder).unwrap().display());
            assert!(index.add(Module { name: name.clone(), path: path.clone(), depends, before }), "{name}");
            paths.push((path, file.clone()));
        }
        for (pattern, name) in aliases {
            index.add_alias(&pattern, &name);
        }
        (index.to_text(), paths)
    }

    /// An initramfs of the agent in `folder`. `None` where there is no agent.
    pub fn initramfs(&self, folder: &Path, profile: Option<&BootProfile>, without: &[&str]) -> Option<PathBuf> {
        let agent = wanted("HOLOTYPE_TEST_AGENT")?;
        let mut cpio = Cpio::default();
        for path in ["proc", "sys", "dev", "run", "tmp", "mnt", "bin", "lib", "holotype"] {
            cpio.folder(path);
        }
        cpio.device("dev/console", 5, 1);
        cpio.file("init", &std::fs::read(agent).unwrap());
        if let Some(busybox) = std::env::var_os("HOLOTYPE_TEST_BUSYBOX") {
            cpio.file("bin/busybox", &std::fs::read(busybox).unwrap());
        }
        let (index, files) = self.modules(without);
        let folders: BTreeSet<String> = files.iter().flat_map(|(path, _)| parents(path)).collect();
        folders.iter().for_each(|path| cpio.folder(path));
        for (path, file) in &files {
            cpio.file(path.trim_start_matches('/'), &std::fs::read(file).unwrap());
        }
        cpio.file("holotype/modules", index.as_bytes());
        let mut bytes = cpio.finish();
        if let Some(profile) = profile {
            let mut second = Cpio::default();
            second.file("holotype/profile", &encode(profile).unwrap());
            bytes.extend(second.finish());
        }
        let path = folder.join("initramfs");
        std::fs::write(&path, bytes).unwrap();
        Some(path)
    }
}

/// Folders above a path.
fn parents(path: &str) -> Vec<String> {
    let path = path.trim_start_matches('/');
    path.match_indices('/').map(|(at, _)| path[..at].to_owned()).collect()
}

/// What `modinfo` tells of a file, field by field.
fn information(file: &Path) -> Vec<(String, String)> {
    let output = Command::new("/sbin/modinfo").arg("-0").arg(file).output().expect("modinfo (package kmod)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // With -0 the fields are `key=value`, each ended by a zero byte.
    text.split('\0')
        .filter_map(|field| field.split_once('='))
        .map(|(key, value)| (key.trim().into(), value.trim().into()))
        .collect()
}
