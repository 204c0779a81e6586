//! Block devices as sources and targets, with sectors of 512 bytes and of 4096.

use crate::disk::*;
use crate::support::ImageFile;
use holotype_core::volume::ReadAt;

/// From a device and to another, which is longer, with the tables that the sectors ask for.
fn from_device_to_device(table: Table) {
    let Some(usual) = Usual::with(40 * MIB, table) else { return };
    let sector_bytes = table.sector_bytes();
    let source = Loop::whole(usual.disk.path(), sector_bytes);
    let before = hash(usual.disk.path());
    let report = usual.workspace.run(["backup", source.path(), "--name", "device", "--json"]).expect(0).json();
    assert_eq!(number(&report, "free_bytes"), usual.free.bytes());
    assert_eq!(number(&report, "new_chunks"), 0, "the same disk as a file brings nothing new");
    drop(source);
    assert_eq!(hash(usual.disk.path()), before);
    let used = used_ranges(&usual.free, usual.disk.image.bytes());

    let same = usual.noise("same", 40 * MIB);
    let target = Loop::whole(same.path(), sector_bytes);
    usual.restore(&["device", target.path(), "--overwrite", "--verify"]).expect(0);
    let again = usual.restore(&["a", target.path(), "--overwrite"]).expect(0).json();
    assert_eq!(number(&again, "written_bytes"), 0);
    drop(target);
    usual.check("same");

    let longer = usual.noise("longer", 60 * MIB);
    let before = usual.noise("longer before", 60 * MIB);
    let target = Loop::whole(longer.path(), sector_bytes);
    usual.restore(&["device", target.path(), "--overwrite", "--verify"]).expect(0);
    if table != Table::Mbr {
        check_gpt(target.path().as_ref());
    }
    drop(target);
    let (end, sectors) = (60 * MIB, 40 * u64::from(sector_bytes));
    let behind = [40 * MIB..end - sectors, end..end];
    assert_eq!(difference(&longer.image, &before.image, &behind), None, "what is behind stays");
    let mut contents = used;
    contents.retain(|range| range.start > 0 && range.end < 40 * MIB);
    assert_eq!(difference(&usual.disk.image, &longer.image, &contents), None);
    usual.check_files(longer.path());
}

#[test]
fn disks_of_512_with_gpt() {
    from_device_to_device(Table::Gpt);
}

#[test]
fn disks_of_512_with_mbr() {
    from_device_to_device(Table::Mbr);
}

#[test]
fn disks_of_4096_with_gpt() {
    from_device_to_device(Table::GptOf4096);
}

#[test]
fn between_disks_of_512_and_of_4096() {
    let Some(usual) = Usual::with(40 * MIB, Table::GptOf4096) else { return };
    let target = usual.noise("target", 40 * MIB);
    let before = hash(target.path());
    let device = Loop::whole(target.path(), 512);
    let words = ["has sectors of 512 bytes", "a disk with sectors of 4096 bytes"];
    usual.restore(&["a", device.path(), "--overwrite"]).refused(6, &words);
    usual.restore(&["a", device.path(), "--overwrite", "--table-only"]).refused(6, &words);
    drop(device);
    assert_eq!(hash(target.path()), before);

    // A filesystem that counts in blocks of 4 KiB goes from one to the other, into a partition.
    let parts = [(1, "8300", 1, 5), (2, "8300", 8, 20)];
    let target = Disk::new(&usual.workspace.path("of 512"), 32 * MIB, Table::Gpt, &parts);
    let device = Loop::whole(target.path(), 512);
    usual.restore(&["a", device.path(), "--overwrite", "--partition", "3:1"]).refused(6, &words);
    usual.restore(&["a", device.path(), "--overwrite", "--partition", "2", "--verify"]).expect(0);
    drop(device);
    check_gpt(target.path());
    check(&target.part(2), Kind::Ext4, &usual.trees[1]);
    let third = target.image.read(MIB, MIB as usize);
    let noise = ImageFile::create(&usual.workspace.path("noise"), 6 * MIB);
    write_noise(&noise, MIB..6 * MIB, MIB);
    assert!(noise.read(MIB, MIB as usize) == third, "the other partition stays");
}
