//! Loads modules in their order.

use super::super::SystemError;
use holotype_boot::modules::{MAX_INDEX_BYTES, ModuleIndex};
use rustix::io::Errno;
use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Modules that are loaded at a time: while one waits for its device, others go on. The kernel orders what depends on
/// each other.
const WORKERS: usize = 4;

/// The index, and what was tried.
pub(super) struct Loader {
    index: ModuleIndex,
    tried: Mutex<BTreeSet<String>>,
}

impl Loader {
    /// # Errors
    /// Where the index cannot be read.
    pub fn open(path: &Path) -> Result<Self, SystemError> {
        let subject = path.display().to_string();
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(MAX_INDEX_BYTES as u64 + 1).read_to_end(&mut bytes))
            .map_err(|error| SystemError::io(&subject, "read it", error))?;
        let index = ModuleIndex::parse(&bytes).map_err(|error| SystemError::new(&subject, error.to_string()))?;
        Ok(Self { index, tried: Mutex::default() })
    }

    /// Loads the modules for these devices, those for disks and networks first. Whether any was new.
    pub fn load_for(&self, aliases: impl IntoIterator<Item = String>, tell: &(dyn Fn(String) + Sync)) -> bool {
        let mut wanted: Vec<(u8, &str)> = Vec::new();
        for alias in aliases {
            let rank = rank(&alias);
            wanted.extend(self.index.matching(&alias).into_iter().map(|name| (rank, name)));
        }
        wanted.sort_unstable();
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let new = wanted.into_iter().map(|it| it.1).filter(|name| tried.insert((*name).to_owned()));
        let queue: VecDeque<&str> = new.collect();
        drop(tried);
        let any = !queue.is_empty();
        let workers = queue.len().min(WORKERS);
        let queue = Mutex::new(queue);
        let work = || {
            loop {
                let Some(name) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else { break };
                if let Err(error) = self.load(name) {
                    tell(error.to_string());
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..workers {
                scope.spawn(work);
            }
            work();
        });
        any
    }

    /// Loads one module, by its name or an alias of it, after what it needs.
    ///
    /// # Errors
    /// Where the kernel refuses one; that a device is not there (`ENODEV`) is none: drivers look for themselves.
    pub fn load(&self, name: &str) -> Result<(), SystemError> {
        let matching = match self.index.module(name) {
            Some(module) => BTreeSet::from([module.name.as_str()]),
            None => self.index.matching(name),
        };
        let mut outcome = Ok(());
        for wanted in matching {
            for module in self.index.load_order(wanted) {
                match insert(Path::new(&module.path)) {
                    Ok(()) | Err(Errno::EXIST | Errno::NODEV) => {}
                    Err(error) if module.name == wanted => outcome = Err(refused(&module.name, error)),
                    // What should come first, or is needed: the module itself tells whether it can do without.
                    Err(_) => {}
                }
            }
        }
        outcome
    }
}

fn insert(path: &Path) -> Result<(), Errno> {
    let file = File::open(path).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    rustix::system::finit_module(file, c"", 0)
}

fn refused(name: &str, error: Errno) -> SystemError {
    let subject = format!("driver {name}");
    match error {
        Errno::NOKEY | Errno::KEYREJECTED => {
            SystemError::new(subject, "the kernel refuses it because its signature is not one that the kernel trusts")
                .advise("make the medium from the distribution's own packages")
        }
        Errno::NOENT => SystemError::new(subject, "needs another module, or the medium's file of it is missing")
            .advise("make the medium with all modules"),
        Errno::NOEXEC => SystemError::new(subject, "is for another kernel").advise("make the medium anew"),
        error => SystemError::io(subject, "load it", error),
    }
}

/// What comes first: storage and network, and the buses to them. By classes of PCI (PCI Code and ID Assignment 1.11)
/// and of USB interfaces.
fn rank(alias: &str) -> u8 {
    let has = |part: &str| alias.contains(part);
    match alias.split_once(':').map_or("", |it| it.0) {
        "virtio" | "scsi" | "nvme" | "mmc" => 0,
        "pci" if has("bc01") || has("bc02") || has("bc0Csc03") || has("v00001AF4") => 0,
        "usb" if has("ic08") || has("ic03") || has("ic09") => 1,
        "hid" | "serio" => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "holotype-modules 1\nM\tnvme\t/lib/modules/1/no-such-file.ko\t\t\n\
        M\tsnd\t/lib/modules/1/neither.ko\t\t\nA\tpci:*bc01sc08*\tnvme\nA\tpci:*bc04*\tsnd\nA\tfs-x\tsnd\n";

    fn loader(text: &str) -> Result<Loader, SystemError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("modules");
        std::fs::write(&path, text).unwrap();
        Loader::open(&path)
    }

    #[test]
    fn each_module_is_tried_once_and_a_failure_is_told() {
        let loader = loader(INDEX).unwrap();
        let told = Mutex::new(Vec::new());
        let tell = |error| told.lock().unwrap().push(error);
        let devices = || ["pci:v1d1sv1sd1bc04sc03i00", "pci:v1d1sv1sd1bc01sc08i02", "usb:x"].map(str::to_owned);
        assert!(loader.load_for(devices(), &tell));
        assert!(!loader.load_for(devices(), &tell), "nothing is new the second time");
        let mut told = told.into_inner().unwrap();
        told.sort();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("driver nvme: needs another module"), "{told:?}");
    }

    #[test]
    fn by_name_and_by_alias() {
        let loader = loader(INDEX).unwrap();
        assert!(loader.load("fs-x").is_err() && loader.load("snd").is_err(), "both are found, and have no file");
        assert_eq!(loader.load("built_in"), Ok(()));
    }

    #[test]
    fn an_index_that_makes_no_sense_is_an_error() {
        assert!(loader("holotype-modules 9\n").err().unwrap().to_string().contains("version 1"));
        assert!(Loader::open(Path::new("/nonexistent")).is_err());
    }

    #[test]
    fn disks_come_before_sound() {
        assert!(rank("pci:v0d0sv0sd0bc01sc06i01") < rank("pci:v0d0sv0sd0bc04sc03i00"));
        assert!(rank("usb:v0951p1666d0110dc00dsc00dp00ic08isc06ip50in00") < rank("acpi:PNP0C0A:"));
    }
}
