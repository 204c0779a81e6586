//! The store of kernels: a folder for each.
//!
//! | file in `STORE/VERSION/` | holds |
//! |---|---|
//! | `vmlinuz` | the kernel as it came, signature and all |
//! | `modules` | the [index](crate::modules) of all modules kept |
//! | `builtin` | names of what is built in, one a line |
//! | `firmware` | `MODULE<TAB>FILE`: what modules may ask for |
//! | `set-virtio`, `set-pc`, `set-all` | names of the set's modules, one a line |
//! | `set-virtio.cpio.zst` … | the set's part of an initramfs, ready to be put on media |
//! | `ko/NAME.zst` | each module, for media pruned to one PC |

use super::needs::{self, Lacks};
use super::sets::{self, ModuleSet};
use crate::archive::cpio::Archive;
use crate::error::{BootError, Result};
use crate::modules::{INDEX_PATH, MAX_INDEX_BYTES, ModuleIndex};
use crate::new_file::write_failed;
use crate::watch::Watch;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// How hard module sets are compressed. They are so once a kernel, not once a medium; the largest takes a while.
const SET_LEVELS: [(ModuleSet, i32); 3] = [(ModuleSet::Virtio, 19), (ModuleSet::Pc, 19), (ModuleSet::All, 15)];
const PRUNED_LEVEL: i32 = 9;
const MAX_FILE_BYTES: u64 = 512 << 20;

/// A folder of kernels.
#[derive(Debug, Clone)]
pub struct KernelStore {
    folder: PathBuf,
}

/// A kernel on its way into the store.
pub struct StoredKernel {
    pub(super) version: String,
    pub(super) image: Vec<u8>,
    pub(super) index: ModuleIndex,
    pub(super) sets: BTreeMap<ModuleSet, BTreeSet<String>>,
    pub(super) modules: BTreeMap<String, Vec<u8>>,
    pub(super) firmware: BTreeMap<String, Vec<String>>,
    pub(super) builtin: BTreeSet<String>,
}

/// A kernel in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    folder: PathBuf,
    version: String,
}

/// Modules of `roots` and everything that is loaded for them.
pub(super) fn closure<'a>(index: &ModuleIndex, roots: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for root in roots.filter(|root| index.module(root).is_some()) {
        if !names.contains(root) {
            names.extend(index.load_order(root).into_iter().map(|module| module.name.clone()));
        }
    }
    names
}

/// The part of an index that tells of these modules.
pub(super) fn part(index: &ModuleIndex, names: &BTreeSet<String>) -> ModuleIndex {
    let mut part = ModuleIndex::default();
    for module in index.modules().filter(|module| names.contains(&module.name)) {
        part.add(module.clone());
    }
    for (pattern, name) in index.aliases() {
        part.add_alias(pattern, name);
    }
    part
}

/// The part of an initramfs with these modules.
fn archive(index: &ModuleIndex, modules: &BTreeMap<String, Vec<u8>>, names: &BTreeSet<String>) -> Vec<u8> {
    let index = part(index, names);
    let mut archive = Archive::default();
    for module in index.modules() {
        if let Some(bytes) = modules.get(&module.name) {
            archive.add_file(&module.path, bytes.clone());
        }
    }
    archive.add_file(INDEX_PATH, index.to_text().into_bytes());
    archive.to_bytes()
}

fn lines<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<u8> {
    names.into_iter().flat_map(|name| [name.as_bytes(), b"\n"]).flatten().copied().collect()
}

fn stopped(watch: &dyn Watch) -> io::Result<()> {
    if watch.is_cancelled() { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
}

/// Compresses in steps, so that progress is seen and the work can be stopped.
fn compress(bytes: &[u8], level: i32, watch: &dyn Watch) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), level)?;
    encoder.set_pledged_src_size(Some(bytes.len() as u64))?;
    encoder.include_contentsize(true)?;
    for step in bytes.chunks(256 << 10) {
        stopped(watch)?;
        encoder.write_all(step)?;
        watch.advanced(step.len() as u64);
    }
    encoder.finish()
}

impl KernelStore {
    /// The store in `folder`, which is made when a kernel is put in.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// All kernels, newest version last.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Kernel>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| BootError::io(&self.folder, "list the kernels", &error))?,
        };
        let versions = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut kernels: Vec<Kernel> = versions.filter_map(|version| self.kernel(&version)).collect();
        kernels.sort_by_cached_key(|kernel| (natural(&kernel.version), kernel.version.clone()));
        Ok(kernels)
    }

    fn kernel(&self, version: &str) -> Option<Kernel> {
        let folder = self.folder.join(version);
        (is_version(version) && folder.join("vmlinuz").is_file())
            .then(|| Kernel { folder, version: version.to_owned() })
    }

    /// The kernel of this version, or the newest.
    ///
    /// # Errors
    /// Where there is none.
    pub fn get(&self, version: Option<&str>) -> Result<Kernel> {
        let advice = "take one in: holotype boot kernel add linux-image-….deb (or / for the installed ones)";
        let none = |what: String| BootError::new(self.folder.display(), what).advise(advice);
        match version {
            Some(version) => self.kernel(version).ok_or_else(|| none(format!("there is no kernel {version}"))),
            None => self.list()?.pop().ok_or_else(|| none("there is no kernel".into())),
        }
    }

    /// Throws a kernel away.
    ///
    /// # Errors
    /// Where it is not there or cannot be removed.
    pub fn remove(&self, version: &str) -> Result<()> {
        let kernel = self.get(Some(version))?;
        fs::remove_dir_all(&kernel.folder).map_err(|error| BootError::io(&kernel.folder, "remove it", &error))
    }

    /// Writes a kernel into a folder beside and puts that in its place at the end.
    pub(super) fn put(&self, kernel: &StoredKernel, watch: &dyn Watch) -> Result<Kernel> {
        if !is_version(&kernel.version) {
            return Err(BootError::new(format_args!("kernel {:?}", kernel.version), "that is no version"));
        }
        let failed = |error: io::Error| match watch.is_cancelled() {
            true => BootError::new(format_args!("kernel {}", kernel.version), "stopped; nothing was kept of it"),
            false => write_failed(&self.folder, &error),
        };
        fs::create_dir_all(&self.folder).map_err(failed)?;
        let beside = tempfile::Builder::new().prefix(".new-").tempdir_in(&self.folder).map_err(failed)?;
        let new = beside.path().join("new");
        fs::create_dir(&new).map_err(failed)?;
        kernel.write(&new, watch).map_err(failed)?;
        let folder = self.folder.join(&kernel.version);
        // One that is there goes aside in a piece, and is removed with the folder beside: never half of one is found.
        if folder.exists() {
            fs::rename(&folder, beside.path().join("old")).map_err(failed)?;
        }
        fs::rename(&new, &folder).map_err(failed)?;
        Ok(Kernel { folder, version: kernel.version.clone() })
    }
}

impl StoredKernel {
    fn write(&self, folder: &Path, watch: &dyn Watch) -> io::Result<()> {
        let bytes_of = |names: &BTreeSet<String>| {
            names.iter().filter_map(|name| self.modules.get(name)).map(|bytes| bytes.len() as u64).sum::<u64>()
        };
        watch.stage("compressing", Some(self.sets.values().map(bytes_of).sum()));
        fs::create_dir(folder.join("ko"))?;
        fs::write(folder.join("vmlinuz"), &self.image)?;
        fs::write(folder.join("modules"), self.index.to_text())?;
        fs::write(folder.join("builtin"), lines(&self.builtin))?;
        let firmware: Vec<String> = self
            .firmware
            .iter()
            .flat_map(|(name, files)| files.iter().map(move |file| format!("{name}\t{file}")))
            .collect();
        fs::write(folder.join("firmware"), lines(&firmware))?;
        self.modules.par_iter().try_for_each(|(name, bytes)| {
            stopped(watch)?;
            fs::write(folder.join("ko").join(format!("{name}.zst")), zstd::bulk::compress(bytes, 3)?)
        })?;
        SET_LEVELS.par_iter().rev().try_for_each(|(set, level)| {
            let names = &self.sets[set];
            fs::write(folder.join(format!("set-{set}")), lines(names))?;
            let archive = archive(&self.index, &self.modules, names);
            fs::write(folder.join(format!("set-{set}.cpio.zst")), compress(&archive, *level, watch)?)
        })
    }
}

impl Kernel {
    /// Its version, as `6.1.0-50-amd64`.
    pub fn version(&self) -> &str {
        &self.version
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.folder.join(name);
        let mut bytes = Vec::new();
        fs::File::open(&path)
            .and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut bytes))
            .map_err(|error| BootError::io(&path, "read it", &error).advise("take the kernel in anew"))?;
        Ok(bytes)
    }

    /// The kernel itself.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn image(&self) -> Result<Vec<u8>> {
        self.read("vmlinuz")
    }

    /// Index of all its modules.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn index(&self) -> Result<ModuleIndex> {
        let bytes = self.read("modules")?;
        debug_assert!(bytes.len() <= MAX_INDEX_BYTES);
        ModuleIndex::parse(&bytes).map_err(|error| BootError::new(self.folder.display(), error))
    }

    /// How many modules a set has.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn modules_in(&self, set: ModuleSet) -> Result<usize> {
        Ok(self.read(&format!("set-{set}"))?.iter().filter(|&&byte| byte == b'\n').count())
    }

    /// What a medium with this set would lack of drivers, where it is one that `has_network`.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn lacks(&self, set: ModuleSet, has_network: bool) -> Result<Lacks> {
        let names = [self.read(&format!("set-{set}"))?, self.read("builtin")?].concat();
        let present = String::from_utf8_lossy(&names).lines().map(str::to_owned).collect();
        Ok(needs::lacks(set, has_network, &present))
    }

    /// A set's part of an initramfs, compressed.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn set_archive(&self, set: ModuleSet) -> Result<Vec<u8>> {
        self.read(&format!("set-{set}.cpio.zst"))
    }

    /// The part of an initramfs, compressed, with the modules for one PC: those for its devices' `modaliases`, and
    /// what every medium has.
    ///
    /// # Errors
    /// Where a module cannot be read.
    pub fn pruned_archive(&self, modaliases: &[String]) -> Result<Vec<u8>> {
        let index = self.index()?;
        let devices = modaliases.iter().flat_map(|modalias| index.matching(modalias));
        let base = index.modules().map(|module| module.name.as_str()).filter(|name| sets::is_base(name));
        let names = closure(&index, devices.chain(base));
        let modules: BTreeMap<String, Vec<u8>> = names
            .iter()
            .map(|name| {
                let packed = self.read(&format!("ko/{name}.zst"))?;
                let failed = |error| BootError::new(self.folder.join("ko").join(name).display(), error);
                Ok((name.clone(), zstd::stream::decode_all(packed.as_slice()).map_err(failed)?))
            })
            .collect::<Result<_>>()?;
        let archive = archive(&index, &modules, &names);
        zstd::bulk::compress(&archive, PRUNED_LEVEL).map_err(|error| BootError::new(self.folder.display(), error))
    }

    /// Firmware files that its modules may ask for, by module.
    ///
    /// # Errors
    /// Where the list cannot be read.
    pub fn firmware(&self) -> Result<Vec<(String, String)>> {
        let text = self.read("firmware")?;
        let text = String::from_utf8_lossy(&text);
        Ok(text.lines().filter_map(|line| line.split_once('\t')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect())
    }
}

fn is_version(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-~".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with('.')
}

/// The numbers in a version, so that 6.10 comes after 6.9.
fn natural(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_and_lead_nowhere_else() {
        assert!(natural("6.10.0-1-amd64") > natural("6.9.12-3-amd64"));
        assert!(is_version("6.1.0-50-amd64") && !is_version("../x") && !is_version("..") && !is_version(""));
    }

    #[test]
    fn an_empty_store_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let store = KernelStore::new(folder.path().join("none"));
        assert_eq!(store.list().unwrap(), []);
        let error = store.get(None).unwrap_err().to_string();
        assert!(error.contains("there is no kernel") && error.contains("kernel add"), "{error}");
    }
}
