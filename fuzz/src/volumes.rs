//! Volumes, partition tables and whole disks, as hostile bytes.
//!
//! Seeds are made by the filesystems' own programs, where they are installed. Checksums are not
//! compared under cargo-fuzz (`cfg(fuzzing)`), so that the fuzzer gets past them.

use crate::sparse_disk::{SparseDisk, input, made};
use holotype_core::codec;
use holotype_core::extent::Extent;
use holotype_core::layout::{DiskLayout, MapInfo, SurveyOptions, survey};
use holotype_core::partition::{Found, Gpt, Mbr, find};
use holotype_core::volume::{Drops, FreeRuns, MapOptions, MapResult, ReadAt, VolumeReader, detect, lvm};

/// A target for each form of volumes: the modules that know it, what of a volume is never free
/// (offset and length in bytes), and programs that make one of so many MiB.
macro_rules! volume_targets {
    ($($name:ident: $($module:ident),+; keeps $kept:expr; $seeds:expr;)+) => {
        $(
            pub mod $name {
                use super::*;

                pub fn run(data: &[u8]) {
                    $({
                        use holotype_core::volume::$module::{identify, map};
                        read_volume(data, |volume, options| {
                            identify(volume);
                            map(volume, options)
                        }, $kept);
                    })+
                }

                /// Whether a map comes of the input.
                #[cfg(test)]
                pub fn is_mapped(data: &[u8]) -> bool {
                    let (header, disk) = SparseDisk::of(data);
                    let volume = VolumeReader::whole(&disk, header.sector_bytes);
                    $(holotype_core::volume::$module::map(&volume, &MapOptions::default()).is_ok() ||)+ false
                }

                pub fn seeds() -> Vec<Vec<u8>> {
                    let seeds: &[(u64, &str)] = &$seeds;
                    let made = |(mib, command): &(u64, &str)| made(0, *mib, &[(command, "")]);
                    seeds.iter().filter_map(made).chain(signatures(stringify!($name))).collect()
                }
            }
        )+
    };
}

volume_targets! {
    volume_ext: ext; keeps &[(1024, 1024)]; [
        (1, "mke2fs -q -F -t ext2 -N 16 {}"),
        (8, "mke2fs -q -F -t ext4 -b 1024 -N 64 -L label {}"),
        (16, "mke2fs -q -F -t ext4 -b 4096 -N 16 -O bigalloc,64bit,metadata_csum -C 16384 {}"),
        (64, "mke2fs -q -F -t ext3 -b 1024 -g 8192 -N 64 -O meta_bg,^resize_inode {}"),
        (64, "mke2fs -q -F -t ext4 -N 16 -O mmp,sparse_super2,flex_bg {}"),
    ];
    volume_xfs: xfs; keeps &[(0, 512)]; [
        (320, "mkfs.xfs -q -f {}"),
        (320, "mkfs.xfs -q -f -b size=1024 -m rmapbt=1,reflink=0 -d agcount=2 {}"),
    ];
    volume_swap: swap; keeps &[(0, 4096)]; [(1, "mkswap -q {}"), (1, "mkswap -q -p 16384 -L label {}")];
    volume_fat: fat; keeps &[(0, 512)]; [
        (1, "mkfs.fat -F 12 {}"),
        (16, "mkfs.fat -F 16 -n LABEL {}"),
        (40, "mkfs.fat -F 32 -s 1 {}"),
    ];
    volume_exfat: exfat; keeps &[(0, 512)]; [(8, "mkfs.exfat {}"), (64, "mkfs.exfat -c 4096 -L label {}")];
    volume_ntfs: ntfs; keeps &[(0, 512)]; [
        (2, "mkfs.ntfs -F -Q -q {}"),
        (16, "mkfs.ntfs -F -Q -q -c 65536 -L label {}"),
    ];
    volume_btrfs: btrfs; keeps &[(0, 1 << 20)]; [
        (128, "mkfs.btrfs -q -f {}"),
        (128, "mkfs.btrfs -q -f -M -n 4096 -m single -L label {}"),
    ];
    volume_kept: encrypted, raid, other; keeps &[]; [];
}

/// A physical volume, its group of one, and what is in the logical volumes.
pub fn volume_lvm(data: &[u8]) {
    let (header, disk) = SparseDisk::of(data);
    let volume = VolumeReader::whole(&disk, header.sector_bytes);
    lvm::identify(&volume);
    let Ok(physical) = lvm::read_physical_volume(&volume) else { return };
    let Ok(group) = lvm::read_group(std::slice::from_ref(&physical)) else { return };
    let kept = Extent::new(0, 4 * 512).expect("near the start");
    let check = |free: &FreeRuns| {
        assert_runs(free, disk.bytes());
        assert!(free.within(kept).next().is_none(), "its label is free");
    };
    group.free.iter().for_each(check);
    for logical in &group.logical_volumes {
        let readers = [volume];
        let Some(reader) = lvm::LogicalReader::new(logical, &readers) else { continue };
        let inside = VolumeReader::whole(&reader, header.sector_bytes);
        let Ok(map) = detect(&inside, &options(header.flags)).map else { continue };
        let runs = logical.to_physical(&map.free, [disk.bytes()]).expect("a map inside its volume");
        runs.iter().for_each(check);
        assert_eq!(runs.iter().map(FreeRuns::bytes).sum::<u64>(), map.free.bytes(), "stripes lie on each other");
        let both = |run: &Extent| group.free[0].within(*run).next().is_some();
        assert!(!runs[0].iter().any(both), "a logical volume lies where no one does");
    }
}

/// Written by hand: LVM's programs want devices. A linear volume that holds swap, and one in stripes.
pub fn volume_lvm_seeds() -> Vec<Vec<u8>> {
    const UUID: &str = "abcdef-ghij-klmn-opqr-stuv-wxyz-012345";
    let extents = |number: u32, start: u32, count: u32, stripes: &str| {
        format!("segment{number} {{ start_extent = {start} extent_count = {count} type = \"striped\" {stripes} }}\n")
    };
    let linear = extents(1, 0, 2, "stripe_count = 1 stripes = [ \"pv0\", 1 ]")
        + &extents(2, 2, 1, "stripe_count = 1 stripes = [ \"pv0\", 5 ]");
    let striped = extents(1, 0, 4, "stripe_count = 2 stripe_size = 128 stripes = [ \"pv0\", 7, \"pv0\", 10 ]");
    let logical = |name: &str, count: u32, segments: &str| {
        let status = "status = [\"READ\", \"VISIBLE\"] flags = []";
        format!("{name} {{ id = \"{UUID}\" {status} segment_count = {count}\n{segments} }}\n")
    };
    let text = format!(
        "group {{ id = \"{UUID}\" seqno = 3 format = \"lvm2\" status = [\"RESIZEABLE\"] flags = [] extent_size = 2048\n\
         physical_volumes {{ pv0 {{ id = \"{UUID}\" device = \"/dev/sdb\" status = [\"ALLOCATABLE\"] flags = []\n\
         dev_size = 32768 pe_start = 2048 pe_count = 15 }} }}\n\
         logical_volumes {{ {}{} }} }}\n# a comment\ncontents = \"Text Format Volume Group\"\nversion = 1\n\0",
        logical("linear", 2, &linear),
        logical("striped", 1, &striped),
    );
    let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let mut label = [b"LABELONE".to_vec(), words(&[1]), vec![0; 4], 32u32.to_le_bytes().to_vec()].concat();
    label.extend(b"LVM2 001");
    label.extend(UUID.replace('-', "").bytes());
    label.extend(words(&[16 << 20, 1 << 20, 0, 0, 0, 4096, 1_044_480, 0, 0]));
    label.resize(512, 0);
    let sum = lvm_checksum(&label[20..]).to_le_bytes();
    label[16..20].copy_from_slice(&sum);
    let mut area = [&[0; 4][..], b" LVM2 x[5A%r0N*>", &1u32.to_le_bytes()].concat();
    area.extend(words(&[4096, 1_044_480, 512, text.len() as u64]));
    area.extend(lvm_checksum(text.as_bytes()).to_le_bytes());
    area.resize(512, 0);
    let sum = lvm_checksum(&area[4..]).to_le_bytes();
    area[..4].copy_from_slice(&sum);
    let mut swap = vec![0; 4096];
    swap[1024..1032].copy_from_slice(&words(&[1 | 767 << 32]));
    swap[4086..].copy_from_slice(b"SWAPSPACE2");
    let records = [(512, label), (4096, area), (4608, text.into_bytes()), (2 << 20, swap)];
    vec![input(0, 16 << 20, &records)]
}

/// CRC-32 of Ethernet with LVM's start value and no inversion (lvm2, `lib/misc/crc.c`).
fn lvm_checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0xF597_A6CF, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & 0u32.wrapping_sub(crc & 1)))
    })
}

/// Seeds without a program: a magic in its place each.
fn signatures(target: &str) -> Vec<Vec<u8>> {
    if target != "volume_kept" {
        return Vec::new();
    }
    let sector = |at: usize, magic: &[u8]| {
        let mut sector = vec![0; 512];
        sector[at..at + magic.len()].copy_from_slice(magic);
        sector
    };
    let md = [&0xA92B_4EFC_u32.to_le_bytes()[..], &1u32.to_le_bytes()].concat();
    let uberblocks: Vec<u8> =
        (0..4).flat_map(|_| [sector(0, &0x00BA_B10C_u64.to_le_bytes()), vec![0; 512]]).flatten().collect();
    [
        (0, sector(0, b"LUKS\xBA\xBE\0\x02")),
        (0, sector(0, b"\xEB\x58\x90-FVE-FS-")),
        (0, sector(0, &md)),
        ((4 << 20) - (64 << 10), sector(0, &0xA92B_4EFC_u32.to_be_bytes())),
        (0, sector(32, b"NXSB")),
        (1024, sector(0, b"H+\0\x04")),
        (32 << 10, sector(1, b"CD001")),
        (128 << 10, uberblocks),
        ((4 << 20) - 512, sector(0, b"\xDE\x11\xDE\x11")),
    ]
    .map(|record| input(0, 4 << 20, &[record]))
    .to_vec()
}

/// One volume, as the whole of a disk; the lowest flags are what may be dropped.
fn read_volume(data: &[u8], map: fn(&VolumeReader<'_>, &MapOptions) -> MapResult, kept: &[(u64, u64)]) {
    let (header, disk) = SparseDisk::of(data);
    let volume = VolumeReader::whole(&disk, header.sector_bytes);
    let Ok(map) = map(&volume, &options(header.flags)) else { return };
    assert_runs(&map.free, disk.bytes());
    for (offset, bytes) in kept {
        let kept = Extent::new(*offset, *bytes).expect("near the start");
        assert!(map.free.within(kept).next().is_none(), "its superblock is free");
    }
    assert!(map.block_bytes > 0);
    let dropped = map.dropped.iter().fold(0u64, |sum, file| sum.saturating_add(file.bytes));
    assert!(dropped <= map.free.bytes(), "more is dropped of files than is free");
}

fn options(flags: u8) -> MapOptions {
    MapOptions { drops: Drops { pagefile: flags & 1 != 0, hiberfil: flags & 2 != 0 } }
}

/// Sorted, apart, none empty, none beyond the end.
fn assert_runs(free: &FreeRuns, end: u64) {
    assert!(free.iter().all(|run| !run.is_empty() && run.end() <= end), "a run is empty or leaves the disk");
    assert!(free.as_slice().windows(2).all(|pair| pair[0].end() < pair[1].offset()), "runs are not in order");
}

/// Reads the table, and writes it anew for a disk of the second length.
pub fn partition_table(data: &[u8]) {
    let (header, mut disk) = SparseDisk::of(data);
    if let Found::Table(table) = find(&disk, header.sector_bytes) {
        let partitions = &table.partitions;
        assert!(partitions.iter().all(|it| !it.extent.is_empty() && it.extent.end() <= disk.bytes()));
        assert!(partitions.windows(2).all(|pair| pair[0].extent.end() <= pair[1].extent.offset()));
    }
    // A protective entry may claim more than there is; nobody grows it.
    if let Ok(Some(mbr)) = Mbr::read(&disk, header.sector_bytes)
        && !mbr.is_protective()
    {
        let mut record = vec![0; 512];
        disk.read_exact_at(0, &mut record).expect("it was read before");
        let before = record.clone();
        if let Ok(Some((number, more))) = mbr.grow_last(&mut record, header.other_bytes) {
            assert!((1..=4).contains(&number) && more > 0 && before != record);
        }
        Mbr::protect(&mut record, u32::MAX);
    }
    let Ok(gpt) = Gpt::find(&disk, header.sector_bytes) else { return };
    let Ok(mut fitted) = gpt.fit_to(header.other_bytes) else { return };
    if header.flags & 1 != 0 {
        fitted.grow_last();
    }
    if header.flags & 2 != 0 {
        fitted.renew_guids(&mut || [0xA5; 16]);
    }
    disk = SparseDisk::default().resized(header.other_bytes);
    for (offset, bytes) in fitted.encode() {
        assert!(offset + bytes.len() as u64 <= header.other_bytes, "the table leaves the disk");
        disk.write(offset, &bytes);
    }
    let again = Gpt::read(&disk, fitted.sector_bytes).expect("the table that was written");
    assert!(again.entries == fitted.entries && again.disk_guid == fitted.disk_guid && again.notes.is_empty());
}

pub fn partition_table_seeds() -> Vec<Vec<u8>> {
    let logical = "2048,2048,83\n4096,8192,5\n6144,2048,83\n10240,1024,82\n";
    let mbr = "label: dos\n";
    [
        made(0, 16, &[("sgdisk -n 1:2048:+1M -n 2:0:0 -c 2:root -t 1:ef00 {}", "")]),
        made(3, 16, &[("sgdisk -n 1:2048:+1M -h 1 {}", "")]),
        made(0, 16, &[("sfdisk -q {}", &format!("{mbr}{logical}"))]),
        made(0, 16, &[("sfdisk -q {}", "label: dos\n2048,,7,*\n")]),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Looks at a whole disk; and reads the same bytes as the record of a layout.
pub fn disk_layout(data: &[u8]) {
    if let Ok(layout) = codec::decode::<DiskLayout>("disk layout", data) {
        assert!(codec::encode(&layout) == data, "a layout is written otherwise than it was read");
        for volume in &layout.volumes {
            assert!(!volume.title().is_empty() && volume.extent().is_none_or(|extent| extent.len() == volume.bytes));
            volume.warning();
        }
    }
    let (header, disk) = SparseDisk::of(data);
    let used = Extent::between(header.other_bytes / 2, header.other_bytes).expect("in order");
    let in_use = if header.flags & 8 != 0 { vec![(used, "mounted at /srv".to_owned())] } else { Vec::new() };
    let options = SurveyOptions { map: options(header.flags), raw: header.flags & 4 != 0, in_use };
    let found = survey(&disk, header.sector_bytes, &options);
    assert_runs(&found.free, disk.bytes());
    assert!(found.boundaries.is_sorted_by(|a, b| a < b), "boundaries are not in order");
    let mut mapped = Vec::new();
    let mut free_bytes = 0;
    // What is free in logical volumes is counted with what holds them.
    for volume in found.layout.volumes.iter().filter(|volume| volume.logical_volume.is_none()) {
        if let MapInfo::Mapped { free_bytes: free, .. } = &volume.map {
            mapped.push(volume.extent());
            free_bytes += free;
        }
    }
    let inside = |run: &Extent| mapped.iter().any(|volume| volume.is_none_or(|volume| volume.contains(run)));
    // Two runs that touch where two volumes do are one.
    let touching = |run: &Extent| found.boundaries.iter().any(|at| run.offset() < *at && *at < run.end());
    assert!(found.free.iter().all(|run| inside(run) || touching(run)), "a run lies in no volume with a map");
    assert_eq!(found.free.bytes(), free_bytes);
    assert!(!options.raw || found.free.is_empty());
    let encoded = codec::encode(&found.layout);
    assert!(codec::decode::<DiskLayout>("disk layout", &encoded).expect("its own form") == found.layout);
}

pub fn disk_layout_seeds() -> Vec<Vec<u8>> {
    let disks = [
        made(
            0,
            16,
            &[
                ("sgdisk -n 1:2048:+4M -n 2:0:0 -c 2:root {}", ""),
                ("mke2fs -q -F -t ext4 -b 1024 -N 16 -E offset=1048576 {} 4096k", ""),
            ],
        ),
        made(0, 8, &[("mke2fs -q -F -t ext2 -N 16 {}", "")]),
        made(0, 1, &[("mkswap -q {}", "")]),
        made(
            0,
            16,
            &[
                ("sfdisk -q {}", "label: dos\n2048,8192,83\n10240,16384,5\n12288,2048,82\n"),
                ("mke2fs -q -F -t ext4 -b 1024 -N 16 -E offset=1048576 {} 4096k", ""),
            ],
        ),
        made(0, 4, &[("mkfs.fat -F 12 {}", "")]),
    ];
    let disks: Vec<Vec<u8>> = disks.into_iter().flatten().chain(volume_lvm_seeds()).collect();
    let layouts = disks.iter().map(|disk| {
        let (header, disk) = SparseDisk::of(disk);
        codec::encode(&survey(&disk, header.sector_bytes, &SurveyOptions::default()).layout)
    });
    let layouts: Vec<Vec<u8>> = layouts.collect();
    disks.into_iter().chain(layouts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seeds that are kept whole would lead nowhere.
    #[test]
    fn seeds_are_mapped() {
        type Target = (&'static str, fn() -> Vec<Vec<u8>>, fn(&[u8]) -> bool);
        let targets: [Target; 7] = [
            ("ext", volume_ext::seeds, volume_ext::is_mapped),
            ("xfs", volume_xfs::seeds, volume_xfs::is_mapped),
            ("swap", volume_swap::seeds, volume_swap::is_mapped),
            ("fat", volume_fat::seeds, volume_fat::is_mapped),
            ("exfat", volume_exfat::seeds, volume_exfat::is_mapped),
            ("ntfs", volume_ntfs::seeds, volume_ntfs::is_mapped),
            ("btrfs", volume_btrfs::seeds, volume_btrfs::is_mapped),
        ];
        let unmapped: Vec<_> = targets
            .iter()
            .flat_map(|(name, seeds, is_mapped)| {
                let unmapped = seeds().into_iter().enumerate().filter(|(_, seed)| !is_mapped(seed));
                unmapped.map(|(number, _)| (*name, number)).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(unmapped, []);
        assert!(!volume_kept::seeds().iter().any(|seed| volume_kept::is_mapped(seed)));
        let seed = &volume_lvm_seeds()[0];
        let layout = survey(&SparseDisk::of(seed).1, 512, &SurveyOptions::default()).layout;
        let mapped = |volume: &holotype_core::layout::VolumeInfo| matches!(volume.map, MapInfo::Mapped { .. });
        assert!(layout.volumes.len() == 3 && layout.volumes[..2].iter().all(mapped), "{layout:?}");
    }
}
