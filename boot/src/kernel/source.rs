//! Where kernels are taken from: a .deb; a folder with some unpacked, or `/` for the installed ones.

use crate::archive::{decompressor, read_package};
use crate::error::{BootError, Result};
use crate::watch::{self, Watch};
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

const READING: &str = "reading";
/// Most bytes of a kernel or a module.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// A file of a kernel.
pub enum KernelFile<'a> {
    /// The kernel itself.
    Image {
        /// Which.
        version: &'a str,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// A module, decompressed.
    Module {
        /// Of which kernel.
        version: &'a str,
        /// Path below `/lib/modules/VERSION/`, as `kernel/drivers/net/tun.ko`.
        path: &'a str,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// The list of what is built into the kernel.
    Builtin {
        /// Of which kernel.
        version: &'a str,
        /// The list: a path in each line.
        bytes: Vec<u8>,
    },
}

/// Goes through the kernel files of `source`. `wanted` is asked before a module is read, by its path.
pub fn read_source(
    source: &Path,
    wanted: &dyn Fn(&str) -> bool,
    watch: &dyn Watch,
    take: &mut dyn FnMut(KernelFile<'_>) -> Result<()>,
) -> Result<()> {
    let mut take = |name: &str, reader: &mut dyn Read| {
        watch::check(watch, source.display())?;
        take_file(name, reader, wanted, take)
    };
    if !source.is_dir() {
        watch.stage(READING, fs::metadata(source).ok().map(|found| found.len()));
        return read_package(source, &|bytes| watch.advanced(bytes), &mut take);
    }
    watch.stage(READING, None);
    let mut files = Vec::new();
    // Kernels lie in `boot` itself; folders there are often for root alone (`efi`, `lost+found`).
    for (below, most_depth) in [("boot", 0), ("lib/modules", 16), ("usr/lib/modules", 16)] {
        // /lib is often a link to /usr/lib.
        let is_twice = below == "usr/lib/modules" && files.iter().any(|file: &PathBuf| is_module(file));
        if !is_twice && source.join(below).is_dir() {
            list(&source.join(below), most_depth, &mut files)?;
        }
    }
    files.sort();
    for file in files {
        let Some(name) = file.strip_prefix(source).ok().and_then(Path::to_str) else { continue };
        let read = |error| BootError::io(&file, "read it", &error);
        if parse(name).is_some() {
            let open = File::open(&file).map_err(read)?;
            let bytes = open.metadata().map_or(0, |found| found.len());
            take(name, &mut BufReader::new(open))?;
            watch.advanced(bytes);
        }
    }
    Ok(())
}

fn is_module(path: &Path) -> bool {
    path.to_str().is_some_and(|name| name.contains(".ko"))
}

/// The plain files of a folder, and of those in it down to a depth.
fn list(folder: &Path, most_depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |error| BootError::io(folder, "list it", &error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // Links (`build`, `source`) are not followed.
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            if let Some(depth) = most_depth.checked_sub(1) {
                list(&entry.path(), depth, files)?;
            }
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

enum Part<'a> {
    Image(&'a str),
    InModules(&'a str, &'a str),
}

fn parse(name: &str) -> Option<Part<'_>> {
    if let Some(version) = name.strip_prefix("boot/vmlinuz-") {
        return (!version.contains('/')).then_some(Part::Image(version));
    }
    let rest = name.strip_prefix("usr/").unwrap_or(name).strip_prefix("lib/modules/")?;
    let (version, path) = rest.split_once('/')?;
    (path == "modules.builtin" || path.contains(".ko")).then_some(Part::InModules(version, path))
}

fn take_file(
    name: &str,
    reader: &mut dyn Read,
    wanted: &dyn Fn(&str) -> bool,
    take: &mut dyn FnMut(KernelFile<'_>) -> Result<()>,
) -> Result<()> {
    match parse(name) {
        Some(Part::Image(version)) => take(KernelFile::Image { version, bytes: read_all(name, reader)? }),
        Some(Part::InModules(version, "modules.builtin")) => {
            take(KernelFile::Builtin { version, bytes: read_all(name, reader)? })
        }
        Some(Part::InModules(version, path)) => {
            let failed = |error| BootError::new(name, format_args!("could not be decompressed: {error}"));
            if !wanted(path) {
                return Ok(());
            }
            let (path, mut reader) = decompressor(path, reader).map_err(failed)?;
            match path.ends_with(".ko") {
                true => take(KernelFile::Module { version, path, bytes: read_all(name, &mut *reader)? }),
                false => {
                    Err(BootError::new(name, "the module is compressed in a way not known here (xz and zstd are)"))
                }
            }
        }
        None => Ok(()),
    }
}

fn read_all(name: &str, reader: &mut dyn Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| BootError::new(name, format_args!("could not be read: {error}")))?;
    match bytes.len() as u64 > MAX_FILE_BYTES {
        true => Err(BootError::new(name, format_args!("it has more than {MAX_FILE_BYTES} bytes"))),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_beside_kernels_are_not_looked_into() {
        let root = tempfile::tempdir().unwrap();
        for path in ["boot/vmlinuz-6.1", "boot/efi/vmlinuz-6.2", "lib/modules/6.1/kernel/a/b.ko"] {
            fs::create_dir_all(root.path().join(path).parent().unwrap()).unwrap();
            fs::write(root.path().join(path), path).unwrap();
        }
        let mut files = Vec::new();
        list(&root.path().join("boot"), 0, &mut files).unwrap();
        assert_eq!(files, [root.path().join("boot/vmlinuz-6.1")]);
        let mut found = Vec::new();
        let mut take = |file: KernelFile<'_>| {
            found.push(match file {
                KernelFile::Image { version, .. } => version.to_owned(),
                KernelFile::Module { path, .. } | KernelFile::Builtin { version: path, .. } => path.to_owned(),
            });
            Ok(())
        };
        read_source(root.path(), &|_| true, &(), &mut take).unwrap();
        assert_eq!(found, ["6.1", "kernel/a/b.ko"]);
    }
}
