//! Taking a kernel into the store.

use super::modinfo::{self, ModInfo};
use super::sets::{self, ModuleSet};
use super::source::{KernelFile, read_source};
use super::store::{self, Kernel, KernelStore, StoredKernel};
use crate::error::{BootError, Result};
use crate::modules::{Module, ModuleIndex};
use crate::watch::Watch;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Most modules that are looked at; Linux 6.1 has 4,000.
const MOST_MODULES: usize = 20_000;
/// Most bytes of all kernels of a source without their modules, which are held until each is complete: one has 15 MB.
const MOST_IMAGE_BYTES: u64 = 1 << 30;

/// What was read of a kernel.
#[derive(Default)]
struct Read {
    image: Option<Vec<u8>>,
    builtin: BTreeSet<String>,
    found: BTreeMap<String, Found>,
}

struct Found {
    path: String,
    info: ModInfo,
    /// zstd, to keep memory small until the sets are known.
    packed: Vec<u8>,
}

/// Takes the kernels of `source` (a .deb, a folder with one unpacked, or `/`) into `store`; gives them back by version.
/// One that is there is replaced.
///
/// # Errors
/// Where there is no kernel with its modules in it, or the store cannot be written.
pub fn import(store: &KernelStore, source: &Path) -> Result<Vec<Kernel>> {
    import_watched(store, source, &())
}

/// The same, watched by somebody who can stop it; what was there before stays until a kernel is complete.
///
/// # Errors
/// As [`import`], and where it was stopped.
pub fn import_watched(store: &KernelStore, source: &Path, watch: &dyn Watch) -> Result<Vec<Kernel>> {
    let mut kernels: BTreeMap<String, Read> = BTreeMap::new();
    let mut count = 0;
    let mut image_bytes = 0;
    read_source(source, &sets::is_candidate, watch, &mut |file| {
        let (KernelFile::Image { version, .. }
        | KernelFile::Module { version, .. }
        | KernelFile::Builtin { version, .. }) = &file;
        let kernel = kernels.entry((*version).to_owned()).or_default();
        count += 1;
        match file {
            _ if count > MOST_MODULES => {
                Err(BootError::new(source.display(), format_args!("it has more than {MOST_MODULES} modules")))
            }
            KernelFile::Image { bytes, .. } => {
                image_bytes = count_bytes(image_bytes, bytes.len() as u64, MOST_IMAGE_BYTES).ok_or_else(|| {
                    BootError::new(
                        source.display(),
                        format_args!("its kernels have more than {MOST_IMAGE_BYTES} bytes"),
                    )
                    .advise("take them in one by one")
                })?;
                kernel.image = Some(bytes);
                Ok(())
            }
            KernelFile::Builtin { bytes, .. } => {
                kernel.builtin = String::from_utf8_lossy(&bytes).lines().filter_map(name_of_path).collect();
                Ok(())
            }
            KernelFile::Module { path, bytes, .. } => kernel.take_module(path, &bytes),
        }
    })?;
    kernels.retain(|_, kernel| kernel.image.is_some() && !kernel.found.is_empty());
    if kernels.is_empty() {
        let why = "it holds no kernel (boot/vmlinuz-VERSION) with its modules (lib/modules/VERSION)";
        return Err(BootError::new(source.display(), why)
            .advise("give a linux-image-VERSION .deb; linux-image-amd64 itself only names one"));
    }
    kernels.into_iter().map(|(version, kernel)| kernel.keep(store, &version, watch)).collect()
}

/// The sum, as far as it is allowed.
fn count_bytes(before: u64, more: u64, most: u64) -> Option<u64> {
    before.checked_add(more).filter(|sum| *sum <= most)
}

fn name_of_path(path: &str) -> Option<String> {
    path.rsplit('/').next()?.strip_suffix(".ko").map(modinfo::plain)
}

impl Read {
    fn take_module(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        let damaged = |why: &str| BootError::new(path, why).advise("get the kernel anew");
        let info = modinfo::read(bytes).ok_or_else(|| damaged("it is no kernel module"))?;
        let name = name_of_path(path).ok_or_else(|| damaged("it has no name of a module"))?;
        let packed = zstd::bulk::compress(bytes, 1).map_err(|error| damaged(&error.to_string()))?;
        self.found.insert(name, Found { path: path.to_owned(), info, packed });
        Ok(())
    }

    /// Names that a soft dependency means: the module, or all that have it as an alias.
    fn resolve(&self, wanted: &str, by_alias: &BTreeMap<&str, Vec<&str>>) -> Vec<String> {
        let plain = modinfo::plain(wanted);
        match by_alias.get(wanted) {
            _ if self.found.contains_key(&plain) => vec![plain],
            Some(names) => names.iter().map(|name| (*name).to_owned()).collect(),
            None => Vec::new(),
        }
    }

    /// The index of everything found.
    fn index(&self, version: &str) -> ModuleIndex {
        let mut by_alias: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, found) in &self.found {
            for alias in &found.info.aliases {
                by_alias.entry(alias).or_default().push(name);
            }
        }
        let mut index = ModuleIndex::default();
        for (name, found) in &self.found {
            let before = found.info.before.iter().flat_map(|wanted| self.resolve(wanted, &by_alias));
            index.add(Module {
                name: name.clone(),
                path: format!("/lib/modules/{version}/{}", found.path),
                depends: found.info.depends.clone(),
                before: before.filter(|other| other != name).collect(),
            });
        }
        for (name, found) in &self.found {
            for alias in &found.info.aliases {
                index.add_alias(alias, name);
            }
        }
        index
    }

    /// Leaves out what cannot be loaded, since something that it needs is neither here nor built in: it was left out on
    /// purpose ([`sets::is_candidate`]), or the kernel lacks it.
    fn drop_what_cannot_load(&mut self) {
        loop {
            let is_here = |name: &String| self.found.contains_key(name) || self.builtin.contains(name);
            let is_lost = |found: &Found| !found.info.depends.iter().all(is_here);
            let lost: Vec<String> =
                self.found.iter().filter(|(_, found)| is_lost(found)).map(|(name, _)| name.clone()).collect();
            if lost.is_empty() {
                return;
            }
            for name in lost {
                self.found.remove(&name);
            }
        }
    }

    fn keep(mut self, store: &KernelStore, version: &str, watch: &dyn Watch) -> Result<Kernel> {
        self.drop_what_cannot_load();
        let index = self.index(version);
        let members = |set: ModuleSet| {
            let roots = self.found.iter().filter(move |(name, found)| set.holds(&found.path, name));
            store::closure(&index, roots.map(|(name, _)| name.as_str()))
        };
        let sets: BTreeMap<ModuleSet, BTreeSet<String>> = ModuleSet::EACH.map(|set| (set, members(set))).into();
        let all = &sets[&ModuleSet::All];
        let has_driver = |name: &str| all.contains(name) || self.builtin.contains(name);
        if !has_driver("sd_mod") && !has_driver("nvme") && !has_driver("virtio_blk") {
            return Err(BootError::new(
                format_args!("kernel {version}"),
                "it has no driver for disks (sd_mod, nvme, virtio_blk)",
            )
            .advise("take the distribution's kernel"));
        }
        let modules: BTreeMap<String, Vec<u8>> = self
            .found
            .par_iter()
            .filter(|(name, _)| all.contains(*name))
            .map(|(name, found)| Ok((name.clone(), zstd::stream::decode_all(found.packed.as_slice())?)))
            .collect::<std::io::Result<_>>()
            .map_err(|error| BootError::new(format_args!("kernel {version}"), error))?;
        let firmware: BTreeMap<String, Vec<String>> = self
            .found
            .iter()
            .filter(|(name, found)| all.contains(*name) && !found.info.firmware.is_empty())
            .map(|(name, found)| (name.clone(), found.info.firmware.clone()))
            .collect();
        let kernel = StoredKernel {
            version: version.to_owned(),
            image: self.image.unwrap_or_default(),
            index: store::part(&index, all),
            sets,
            modules,
            firmware,
            builtin: self.builtin,
        };
        store.put(&kernel, watch)
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_loaded_is_left_out() {
        let mut kernel = Read { builtin: ["core".to_owned()].into(), ..Read::default() };
        for (name, depends) in [("a", "b,core"), ("b", ""), ("c", "d"), ("d", "e"), ("f", "c")] {
            let bytes = crate::testing::module(&[&format!("name={name}"), &format!("depends={depends}")]);
            kernel.take_module(&format!("kernel/{name}.ko"), &bytes).unwrap();
        }
        kernel.drop_what_cannot_load();
        assert_eq!(kernel.found.into_keys().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn kernels_are_bounded_together() {
        assert_eq!(count_bytes(6, 4, 10), Some(10));
        assert_eq!(count_bytes(6, 5, 10), None);
        assert_eq!(count_bytes(6, u64::MAX, 10), None);
    }
}
