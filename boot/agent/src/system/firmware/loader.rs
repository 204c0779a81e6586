//! Which loader an EFI system partition has. Its FAT is read by a library and not by the kernel: after a restore the
//! kernel may not know the new partitions yet.

use fatfs::{Dir, FileSystem, FsOptions};
use holotype_repo::core::extent::Extent;
use holotype_repo::core::volume::ReadAt;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// Most bytes that are read of a FAT: a hostile one may lead in circles.
const MOST_READ_BYTES: u64 = 64 << 20;
/// Most entries of a folder that are looked at.
const MOST_ENTRIES: usize = 512;

/// Loaders of systems that put themselves in a folder of their own, the usual ones first. Shim comes before what it
/// starts, so that Secure Boot goes on working.
const KNOWN: &[(&str, &str)] = &[
    ("Debian", "EFI/debian/shimx64.efi"),
    ("Ubuntu", "EFI/ubuntu/shimx64.efi"),
    ("Fedora", "EFI/fedora/shimx64.efi"),
    ("Windows Boot Manager", "EFI/Microsoft/Boot/bootmgfw.efi"),
];
/// Files that start a system, in any folder of `EFI`.
const NAMES: &[&str] = &["shimx64.efi", "shim.efi", "grubx64.efi", "systemd-bootx64.efi", "bootmgfw.efi"];
const FALLBACK: &str = "EFI/BOOT/BOOTX64.EFI";

/// A loader, and what the firmware's menu calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loader {
    pub title: String,
    /// As `\EFI\debian\shimx64.efi`.
    pub file: String,
}

type Folder<'a, 'b> = Dir<'a, Part<'b>>;

/// Looks into the FAT in `extent` of a disk; whether it has `wanted` (as `\EFI\…`), and which loader is the best one.
pub(super) fn find(disk: &dyn ReadAt, extent: Extent, wanted: &[String]) -> io::Result<(Vec<String>, Option<Loader>)> {
    let part = Part { disk, extent, at: 0, left: MOST_READ_BYTES };
    let fat = FileSystem::new(part, FsOptions::new())?;
    let root = fat.root_dir();
    let has = |file: &str| root.open_file(&file.replace('\\', "/")).is_ok();
    let there = wanted.iter().filter(|file| has(file.trim_start_matches('\\'))).cloned().collect();
    let as_loader =
        |title: &str, file: &str| Loader { title: title.into(), file: format!("\\{}", file.replace('/', "\\")) };
    let known = KNOWN.iter().find(|(_, file)| has(file)).map(|(title, file)| as_loader(title, file));
    let any = || other(&root, &has).map(|(title, file)| as_loader(&title, &file));
    let fallback = || has(FALLBACK).then(|| as_loader("Hard disk", FALLBACK));
    Ok((there, known.or_else(any).or_else(fallback)))
}

/// A loader in a folder that is not known by name.
fn other(root: &Folder<'_, '_>, has: &dyn Fn(&str) -> bool) -> Option<(String, String)> {
    let folder = root.open_dir("EFI").ok()?;
    let names = folder.iter().take(MOST_ENTRIES).flatten().filter(|it| it.is_dir()).map(|it| it.file_name());
    let names: Vec<String> =
        names.filter(|name| !name.starts_with('.') && !name.eq_ignore_ascii_case("BOOT")).collect();
    names.into_iter().find_map(|folder| {
        let files = NAMES.iter().map(|name| format!("EFI/{folder}/{name}"));
        let file = files.into_iter().find(|file| has(file))?;
        Some((super::super::text::printable(&folder, 40), file))
    })
}

/// A part of a disk as a file that can be read.
struct Part<'a> {
    disk: &'a dyn ReadAt,
    extent: Extent,
    at: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.extent.len().saturating_sub(self.at).min(self.left).min(buffer.len() as u64);
        if most == 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.disk.read_exact_at(self.extent.offset() + self.at, &mut buffer[..most as usize])?;
        self.at += most;
        // A read costs at least a sector: circles of short reads end too.
        self.left = self.left.saturating_sub(most.max(512));
        Ok(most as usize)
    }
}

impl Seek for Part<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.extent.len().checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl Write for Part<'_> {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn esp(files: &[&str]) -> Vec<u8> {
        let mut bytes = Cursor::new(vec![0; 4 << 20]);
        fatfs::format_volume(&mut bytes, fatfs::FormatVolumeOptions::new()).unwrap();
        {
            let fat = FileSystem::new(&mut bytes, FsOptions::new()).unwrap();
            for file in files {
                let mut folder = fat.root_dir();
                let parts: Vec<&str> = file.split('/').collect();
                for part in &parts[..parts.len() - 1] {
                    folder = folder.create_dir(part).unwrap();
                }
                folder.create_file(parts[parts.len() - 1]).unwrap().write_all(b"MZ").unwrap();
            }
        }
        // A partition in the middle of a disk.
        [vec![0xff; 1 << 20], bytes.into_inner(), vec![0xff; 1 << 20]].concat()
    }

    fn best(files: &[&str]) -> Option<String> {
        let disk = esp(files);
        find(&disk, Extent::new(1 << 20, 4 << 20).unwrap(), &[]).unwrap().1.map(|it| it.file)
    }

    #[test]
    fn the_best_loader() {
        let (windows, fallback) = ("EFI/Microsoft/Boot/bootmgfw.efi", "EFI/BOOT/BOOTX64.EFI");
        assert_eq!(best(&[fallback, windows]).as_deref(), Some("\\EFI\\Microsoft\\Boot\\bootmgfw.efi"));
        assert_eq!(best(&[windows, "EFI/debian/shimx64.efi"]).as_deref(), Some("\\EFI\\debian\\shimx64.efi"));
        assert_eq!(best(&[fallback, "EFI/arch/grubx64.efi"]).as_deref(), Some("\\EFI\\arch\\grubx64.efi"));
        assert_eq!(best(&[fallback]).as_deref(), Some("\\EFI\\BOOT\\BOOTX64.EFI"));
        assert_eq!(best(&["readme.txt"]), None);
    }

    #[test]
    fn files_that_entries_name_are_looked_for() {
        let disk = esp(&["EFI/a/b.efi"]);
        let wanted = ["\\EFI\\A\\B.EFI".to_owned(), "\\EFI\\c.efi".to_owned()];
        let (there, _) = find(&disk, Extent::new(1 << 20, 4 << 20).unwrap(), &wanted).unwrap();
        assert_eq!(there, ["\\EFI\\A\\B.EFI"]);
    }

    #[test]
    fn what_is_no_fat_is_an_error() {
        let disk = vec![0xff; 1 << 20];
        assert!(find(&disk, Extent::new(0, 1 << 20).unwrap(), &[]).is_err());
    }
}
