//! The demonstration's disk: a partition table, a FAT file system and real files, made in memory
//! without help from the operating system.

use crate::exit::{Failure, Result};
use fatfs::{Dir, FileSystem, FormatVolumeOptions, FsOptions};
use std::io::{Cursor, Read, Write};
use std::ops::Range;

/// Length of the disk.
pub const DISK_BYTES: usize = 96 << 20;
const SECTOR_BYTES: usize = 512;
/// Where partitions begin since Windows Vista.
const FIRST_SECTOR: u64 = 2048;
/// Of this program's own file no more is put on the disk; a debug build is large.
const MAX_PROGRAM_BYTES: u64 = 24 << 20;
const TEXTS: usize = 160;
const PHOTO_BYTES: usize = 4 << 20;

type Folder<'a, 'b> = Dir<'a, Cursor<&'b mut [u8]>>;

fn failed(action: &str) -> impl Fn(std::io::Error) -> Failure + '_ {
    move |error| Failure::io("disk of the demonstration", action, error)
}

/// A disk with everything on it.
pub fn make() -> Result<Vec<u8>> {
    let mut disk = vec![0; DISK_BYTES];
    let partition = partition(&mut disk)?;
    let volume = &mut disk[partition];
    let options = FormatVolumeOptions::new().volume_label(*b"HOLOTYPE   ").volume_id(0x2026_0131);
    fatfs::format_volume(Cursor::new(&mut *volume), options).map_err(failed("make its file system"))?;
    with_root(volume, |root| {
        let system = root.create_dir("system")?;
        write(&system, "holotype.bin", &own_program())?;
        let home = root.create_dir("home")?;
        let photos = home.create_dir("photos")?;
        write(&photos, "holiday.raw", &Random(1).bytes(PHOTO_BYTES))?;
        let letters = home.create_dir("letters")?;
        (0..TEXTS).try_for_each(|number| write(&letters, &letter_name(number), &letter(number, 0)))
    })
    .map_err(failed("fill its file system"))?;
    Ok(disk)
}

/// A day's work on it: letters are rewritten, some go, some come.
pub fn change(disk: &mut [u8]) -> Result<()> {
    let partition = find_partition(disk)?;
    with_root(&mut disk[partition], |root| {
        let letters = root.open_dir("home")?.open_dir("letters")?;
        (0..TEXTS).step_by(20).try_for_each(|number| write(&letters, &letter_name(number), &letter(number, 1)))?;
        (1..TEXTS).step_by(40).try_for_each(|number| letters.remove(&letter_name(number)))?;
        (TEXTS..TEXTS + 4).try_for_each(|number| write(&letters, &letter_name(number), &letter(number, 1)))
    })
    .map_err(failed("change its files"))
}

/// Writes a partition table with one partition and says where that is.
fn partition(disk: &mut [u8]) -> Result<Range<usize>> {
    let no_table = |error: &dyn std::error::Error| {
        Failure::failed("failed", format!("disk of the demonstration: could not make its partition table: {error}"))
    };
    let last_sector = u32::try_from(disk.len() / SECTOR_BYTES - 1).unwrap_or(u32::MAX);
    let mut device = Cursor::new(&mut *disk);
    gpt::mbr::ProtectiveMBR::with_lb_size(last_sector).overwrite_lba0(&mut device).map_err(|error| no_table(&error))?;
    let mut table = gpt::GptConfig::new()
        .writable(true)
        .logical_block_size(gpt::disk::LogicalBlockSize::Lb512)
        .create_from_device(device, None)
        .map_err(|error| no_table(&error))?;
    let free = table.find_free_sectors();
    let sectors = free.iter().map(|(first, sectors)| first + sectors).max().unwrap_or(0).saturating_sub(FIRST_SECTOR);
    let id = table.find_next_partition_id().unwrap_or(1);
    table
        .add_partition_at("demo", id, FIRST_SECTOR, sectors, gpt::partition_types::BASIC, 0)
        .map_err(|error| no_table(&error))?;
    table.write().map_err(|error| no_table(&error))?;
    find_partition(disk)
}

/// Reads the table as any system would.
fn find_partition(disk: &mut [u8]) -> Result<Range<usize>> {
    let none = || Failure::failed("failed", "disk of the demonstration: its partition is not found again");
    let table = gpt::GptConfig::new()
        .logical_block_size(gpt::disk::LogicalBlockSize::Lb512)
        .open_from_device(Cursor::new(disk))
        .map_err(|_| none())?;
    let partition = table.partitions().values().next().ok_or_else(none)?;
    let place = |sector: u64| usize::try_from(sector).ok().map(|sector| sector * SECTOR_BYTES).ok_or_else(none);
    Ok(place(partition.first_lba)?..place(partition.last_lba + 1)?)
}

fn with_root(volume: &mut [u8], work: impl FnOnce(&Folder<'_, '_>) -> std::io::Result<()>) -> std::io::Result<()> {
    let volume = FileSystem::new(Cursor::new(volume), FsOptions::new())?;
    work(&volume.root_dir())?;
    volume.unmount()
}

fn write(folder: &Folder<'_, '_>, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = folder.create_file(name)?;
    file.truncate()?;
    file.write_all(bytes)?;
    file.flush()
}

/// A real program: this one.
fn own_program() -> Vec<u8> {
    let mut program = Vec::new();
    let read = std::env::current_exe()
        .and_then(std::fs::File::open)
        .and_then(|file| file.take(MAX_PROGRAM_BYTES).read_to_end(&mut program));
    if let Err(error) = read {
        tracing::info!("the demonstration does without this program's own file: {error}");
    }
    program
}

fn letter_name(number: usize) -> String {
    format!("letter-{number:03}.txt")
}

/// A text of 4 to 68 KB; `day` makes another one in its middle.
fn letter(number: usize, day: u64) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "type",
        "specimen",
        "museum",
        "drawer",
        "label",
        "beetle",
        "wing",
        "amber",
        "field",
        "note",
        "river",
        "collector",
        "species",
        "describe",
        "compare",
        "keep",
    ];
    let mut random = Random(1000 + number as u64);
    let lines = 80 + random.next() as usize % 1200;
    let mut text = Vec::new();
    for line in 0..lines {
        if line == lines / 2 && day > 0 {
            text.extend_from_slice(format!("Added on day {day}.\n").as_bytes());
        }
        let words: Vec<&str> = (0..8).map(|_| WORDS[random.next() as usize % WORDS.len()]).collect();
        text.extend_from_slice(format!("{line:4} {}\n", words.join(" ")).as_bytes());
    }
    text
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same bytes in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.next().to_le_bytes()).flatten().take(length).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_has_its_files_and_changes() {
        let mut disk = make().unwrap();
        let before = disk.clone();
        change(&mut disk).unwrap();
        assert_ne!(disk, before);
        let partition = find_partition(&mut disk).unwrap();
        assert_eq!(partition.start, 1 << 20);
        with_root(&mut disk[partition], |root| {
            let letters = root.open_dir("home")?.open_dir("letters")?;
            let mut text = String::new();
            letters.open_file("letter-020.txt")?.read_to_string(&mut text)?;
            assert!(text.contains("Added on day 1."));
            assert!(letters.open_file("letter-041.txt").is_err(), "it was removed");
            assert_eq!(letters.iter().count(), 2 + TEXTS - 4 + 4);
            Ok(())
        })
        .unwrap();
    }
}
