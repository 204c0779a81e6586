//! The agent's initramfs, and the small one with the profile beside it.
//!
//! The agent's is two archives, one after the other, each a zstd frame of its own: what the kernel's unpacker wants
//! (Documentation/driver-api/early-userspace/buffer-format.rst). So a kernel's modules are compressed once, when it is
//! taken into the store, and not for each medium.

use crate::archive::cpio::{Archive, Node};
use crate::error::{BootError, Result};
use crate::kernel::{Kernel, ModuleSet};
use crate::profile::{BootProfile, PROFILE_PATH, encode};
use std::collections::BTreeMap;
use std::path::Path;
use zstd::zstd_safe::{CParameter, Strategy};

/// How the agent is compressed: hard for its speed (20 MB/s), and looking back over all of it, because the tables of
/// two static programs are alike and far apart. Against level 9 it is 9 % smaller.
const COMPRESSION: [CParameter; 7] = [
    CParameter::Strategy(Strategy::ZSTD_lazy2),
    CParameter::WindowLog(24),
    CParameter::ChainLog(24),
    CParameter::HashLog(24),
    CParameter::SearchLog(6),
    CParameter::MinMatch(4),
    CParameter::TargetLength(32),
];
const MAX_FIRMWARE_BYTES: u64 = 512 << 20;

/// Which modules a medium gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Modules {
    /// Those of a set.
    Set(ModuleSet),
    /// Those for the devices with these `modalias` texts, and what every medium has.
    ForDevices(Vec<String>),
}

/// What goes into the agent's initramfs.
pub struct Initramfs<'a> {
    /// The kernel that it is for.
    pub kernel: &'a Kernel,
    /// Which of the kernel's modules.
    pub modules: &'a Modules,
    /// The agent: a static program.
    pub agent: &'a [u8],
    /// The rescue shell, where there is one.
    pub busybox: Option<&'a [u8]>,
    /// Folder of firmware files, by the names that drivers ask for.
    pub firmware: Option<&'a Path>,
}

impl Initramfs<'_> {
    /// Its bytes.
    ///
    /// # Errors
    /// Where the agent is no static program, or modules or firmware cannot be read.
    pub fn make(&self) -> Result<Vec<u8>> {
        check_program(self.agent).map_err(|why| {
            BootError::new("agent", why).advise("give the static holotype-agent for x86-64 with --agent")
        })?;
        let mut archive = Archive::default();
        for folder in ["dev", "proc", "sys", "run", "tmp", "mnt", "holotype", "lib/modules", "lib/firmware"] {
            archive.add(folder, Node::Folder);
        }
        archive.add("dev/console", Node::CharacterDevice { major: 5, minor: 1 });
        archive.add("init", Node::File { content: self.agent.to_vec(), executable: true });
        if let Some(busybox) = self.busybox {
            archive.add("bin/busybox", Node::File { content: busybox.to_vec(), executable: true });
        }
        for (name, bytes) in self.firmware.map(read_folder).transpose()?.unwrap_or_default() {
            archive.add_file(&format!("lib/firmware/{name}"), bytes);
        }
        let mut bytes = compress(&archive.to_bytes())
            .map_err(|error| BootError::new("initramfs", format_args!("could not be compressed: {error}")))?;
        bytes.extend(match self.modules {
            Modules::Set(set) => self.kernel.set_archive(*set)?,
            Modules::ForDevices(modaliases) => self.kernel.pruned_archive(modaliases)?,
        });
        // Loaders put the next archive right behind, and each begins at a multiple of 4.
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        Ok(bytes)
    }
}

fn compress(archive: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(0)?;
    COMPRESSION.into_iter().try_for_each(|parameter| compressor.set_parameter(parameter))?;
    compressor.compress(archive)
}

/// Why a program does not start on a medium. One that asks for a loader (`PT_INTERP`) finds none there.
pub(crate) fn check_program(program: &[u8]) -> std::result::Result<(), &'static str> {
    use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
    let file = ElfFile64::<object::Endianness>::parse(program).map_err(|_| "it is no 64-bit Linux program")?;
    let endian = file.endian();
    if file.elf_header().e_machine(endian) != object::elf::EM_X86_64 {
        return Err("it is no program for x86-64");
    }
    match file.elf_program_headers().iter().any(|header| header.p_type(endian) == object::elf::PT_INTERP) {
        true => Err("it is not statically linked, and would not start on a medium"),
        false => Ok(()),
    }
}

/// The initramfs with the profile: uncompressed, so that tools can find and change it.
///
/// # Errors
/// Where the profile makes no sense.
pub fn profile_archive(profile: &BootProfile) -> Result<Vec<u8>> {
    let bytes = encode(profile).map_err(|error| BootError::new("profile", error))?;
    let mut archive = Archive::default();
    archive.add_file(PROFILE_PATH, bytes);
    Ok(archive.to_bytes())
}

/// All files in a folder by path; links are not followed.
fn read_folder(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error: std::io::Error| BootError::io(&path, "read the firmware", &error)
    };
    let mut files = BTreeMap::new();
    let mut left = MAX_FIRMWARE_BYTES;
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).map_err(failed(&next))? {
            let entry = entry.map_err(failed(&next))?;
            let path = entry.path();
            let metadata = entry.metadata().map_err(failed(&path))?;
            if metadata.is_dir() {
                open.push(path);
            } else if let (true, Some(name)) =
                (metadata.is_file(), path.strip_prefix(folder).ok().and_then(Path::to_str))
            {
                left = left.checked_sub(metadata.len()).ok_or_else(|| {
                    BootError::new(folder.display(), format_args!("it holds more than {MAX_FIRMWARE_BYTES} bytes"))
                        .advise("keep only the files that this PC's drivers ask for")
                })?;
                files.insert(name.to_owned(), std::fs::read(&path).map_err(failed(&path))?);
            }
        }
    }
    Ok(files)
}
