use super::*;
use proptest::prelude::*;

const SECTOR: u64 = 512;

fn entry(kind: u8, first_sector: u64, last_sector: u64) -> [u8; 128] {
    let mut bytes = [0; 128];
    bytes[..16].fill(kind);
    bytes[16..32].fill(kind + 1);
    bytes[32..40].copy_from_slice(&first_sector.to_le_bytes());
    bytes[40..48].copy_from_slice(&last_sector.to_le_bytes());
    bytes[56..62].copy_from_slice(&[b'r', 0, b'o', 0, b'x', 0]);
    bytes
}

fn mbr_entry(record: &mut [u8], at: usize, kind: u8, start: u32, sectors: u32) {
    let entry = &mut record[446 + 16 * at..][..16];
    entry[4] = kind;
    entry[8..12].copy_from_slice(&start.to_le_bytes());
    entry[12..16].copy_from_slice(&sectors.to_le_bytes());
}

fn mbr(entries: &[(u8, u32, u32)]) -> Vec<u8> {
    let mut record = vec![0; 512];
    for (at, (kind, start, sectors)) in entries.iter().enumerate() {
        mbr_entry(&mut record, at, *kind, *start, *sectors);
    }
    record[440..444].copy_from_slice(&0x1234_ABCDu32.to_le_bytes());
    record[510..].copy_from_slice(&[0x55, 0xAA]);
    record
}

/// A disk of 4 MiB with a GPT of two partitions.
fn gpt_disk() -> Vec<u8> {
    let mut disk = vec![0; 4 << 20];
    disk[..512].copy_from_slice(&mbr(&[(0xEE, 1, u32::MAX)]));
    let sectors = disk.len() as u64 / SECTOR;
    let mut entries = vec![GptEntry::decode(&[0; 128]); 128];
    entries[0] = GptEntry::decode(&entry(1, 2048, 4095));
    entries[2] = GptEntry::decode(&entry(3, 4096, 6000));
    let gpt = Gpt::for_test(sectors, entries);
    write(&mut disk, &gpt);
    disk
}

fn write(disk: &mut [u8], gpt: &Gpt) {
    for (offset, bytes) in gpt.encode() {
        disk[offset as usize..][..bytes.len()].copy_from_slice(&bytes);
    }
}

fn table(disk: &Vec<u8>) -> PartitionTable {
    match find(disk, 512) {
        Found::Table(table) => table,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_gpt_is_found_by_either_copy() {
    let disk = gpt_disk();
    let found = table(&disk);
    assert_eq!((found.kind, found.notes.len()), (TableKind::Gpt, 0));
    let first = &found.partitions[0];
    assert_eq!((first.number, first.extent.offset(), first.extent.len()), (1, 1 << 20, 1 << 20));
    assert_eq!((found.partitions[1].number, found.partitions[1].name.as_deref()), (3, Some("rox")));
    assert_eq!(first.kind, "01010101-0101-0101-0101-010101010101");

    for damaged in [512 + 60, 1024 + 5, disk.len() - 500] {
        let mut hurt = disk.clone();
        hurt[damaged] ^= 1;
        let again = table(&hurt);
        assert_eq!(again.partitions, found.partitions);
        assert_eq!(again.notes.len(), 1, "{:?}", again.notes);
    }
    let mut hurt = disk.clone();
    hurt[512 + 60] ^= 1;
    let end = hurt.len() - 500;
    hurt[end] ^= 1;
    assert!(matches!(find(&hurt, 512), Found::Unclear(_)));
    let mut unprotected = disk.clone();
    unprotected[..512].fill(0);
    assert!(matches!(find(&unprotected, 512), Found::Unclear(_)));
    assert_eq!(find(&vec![0; 1 << 20], 512), Found::None);
}

#[test]
fn a_gpt_moves_to_another_disk() {
    let disk = gpt_disk();
    let gpt = Gpt::read(&disk, 512).unwrap();
    assert_eq!(gpt.partitions_end(), 6001 * SECTOR);
    assert_eq!(gpt.least_disk_bytes(), (6001 + 33) * SECTOR);
    assert!(gpt.clone().fit_to(gpt.least_disk_bytes() - 1).is_err());
    for bytes in [gpt.least_disk_bytes(), 9 << 20] {
        let mut moved = vec![0; bytes as usize];
        moved[..512].copy_from_slice(&disk[..512]);
        write(&mut moved, &gpt.clone().fit_to(bytes).unwrap());
        let found = table(&moved);
        assert_eq!(found, table(&disk));
        moved[512] = 0;
        assert_eq!(table(&moved).partitions, found.partitions, "by the backup");
    }
    let mut grown = gpt.clone().fit_to(9 << 20).unwrap();
    assert_eq!(grown.grow_last(), Some((3, (8 << 20) - 6001 * SECTOR)));
    let mut random = 0u8;
    grown.renew_guids(&mut || {
        random += 1;
        [random; 16]
    });
    let mut moved = vec![0; 9 << 20];
    moved[..512].copy_from_slice(&disk[..512]);
    write(&mut moved, &grown);
    let found = table(&moved);
    assert_eq!(found.disk_id, "01010101-0101-4101-8101-010101010101");
    assert_eq!(found.partitions[1].uuid.as_deref(), Some("03030303-0303-4303-8303-030303030303"));
    assert_eq!(found.partitions[1].extent.end(), 8 << 20);
}

#[test]
fn a_gpt_that_contradicts_itself_is_not_fitted() {
    let gpt = Gpt::read(&gpt_disk(), 512).unwrap();
    let refused = |change: fn(&mut Gpt)| {
        let mut changed = gpt.clone();
        change(&mut changed);
        changed.fit_to(9 << 20).unwrap_err()
    };
    let backwards = |gpt: &mut Gpt| {
        let used = gpt.entries.iter_mut().find(|entry| !entry.kind.is_zero()).unwrap();
        (used.first_sector, used.last_sector) = (used.last_sector + 1, used.first_sector);
    };
    assert!(refused(backwards).contains("ends before it begins"));
    assert!(refused(|gpt| gpt.array_sector = 1).contains("over its header"));
    assert!(refused(|gpt| gpt.array_sector = 3).contains("where partitions may be"));
    let mut empty = gpt.clone();
    empty.entries.fill(GptEntry::decode(&[0; 128]));
    let fitted = empty.clone().fit_to(empty.least_disk_bytes()).unwrap();
    assert_eq!(fitted.first_usable_sector, fitted.last_usable_sector);
    assert!(empty.clone().fit_to(empty.least_disk_bytes() - 512).is_err());
}

#[test]
fn logical_partitions_are_followed() {
    let mut disk = vec![0; 4 << 20];
    disk[..512].copy_from_slice(&mbr(&[(0x83, 63, 1000), (0x05, 2048, 4096)]));
    let mut first = mbr(&[(0x83, 63, 500), (0x05, 1000, 1000)]);
    first[440..444].fill(0);
    disk[2048 * 512..][..512].copy_from_slice(&first);
    disk[3048 * 512..][..512].copy_from_slice(&mbr(&[(0x07, 63, 200)]));
    let found = table(&disk);
    let places: Vec<_> = found.partitions.iter().map(|it| (it.number, it.extent.offset() / SECTOR)).collect();
    assert_eq!(places, [(1, 63), (5, 2048 + 63), (6, 3048 + 63)]);
    assert_eq!((found.disk_id.as_str(), found.partitions[2].kind.as_str()), ("1234abcd", "07"));
    assert_eq!(found.partitions[0].uuid.as_deref(), Some("1234abcd-01"));

    let chain = |next: (u8, u32, u32)| {
        let mut looped = disk.clone();
        looped[3048 * 512..][..512].copy_from_slice(&mbr(&[(0x07, 63, 200), next]));
        find(&looped, 512)
    };
    assert!(matches!(chain((0x05, 0, 1000)), Found::Unclear(_)), "back to the first");
    assert!(matches!(chain((0x05, 1000, 1000)), Found::Unclear(_)), "to itself");
    assert!(matches!(chain((0x83, 1200, 1000)), Found::Unclear(_)), "to no record");
}

#[test]
fn what_contradicts_itself_is_unclear() {
    let at = |entries: &[(u8, u32, u32)]| {
        let mut disk = vec![0; 4 << 20];
        disk[..512].copy_from_slice(&mbr(entries));
        find(&disk, 512)
    };
    assert!(matches!(at(&[(0x83, 63, 1000), (0x83, 1000, 1000)]), Found::Unclear(_)), "overlap");
    assert!(matches!(at(&[(0x83, 63, 100_000)]), Found::Unclear(_)), "beyond the disk");
    assert_eq!(at(&[(0x83, 0, 8192)]), Found::None, "a filesystem on the whole disk that says so");
    assert!(matches!(at(&[(0x83, 63, 100), (0xEE, 1, 2)]), Found::Unclear(_)), "protects nothing");

    let mut hybrid = gpt_disk();
    mbr_entry(&mut hybrid, 1, 0x83, 2048, 2048);
    assert_eq!(table(&hybrid).kind, TableKind::Hybrid);
    mbr_entry(&mut hybrid, 1, 0x83, 2048, 2049);
    assert!(matches!(find(&hybrid, 512), Found::Unclear(_)));
}

proptest! {
    #[test]
    fn hostile_tables_never_panic(changes in proptest::collection::vec((0usize..2048, any::<u8>()), 1..20), at_end in any::<bool>()) {
        let mut disk = gpt_disk();
        let base = if at_end { disk.len() - 2048 } else { 0 };
        for (at, byte) in changes {
            disk[base + at] = byte;
        }
        if let Found::Table(table) = find(&disk, 512) {
            for partition in table.partitions {
                prop_assert!(partition.extent.end() <= disk.len() as u64);
            }
        }
    }
}
