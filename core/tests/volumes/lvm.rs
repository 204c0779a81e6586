//! LVM2: groups written by LVM's own tools, with logical volumes that are never activated, so that
//! no device-mapper is needed. What is in a logical volume is put there by the tools' own map.

use crate::support::*;
use holotype_core::volume::lvm::{self, Group, LogicalReader, PhysicalVolume};
use holotype_core::volume::{Cause, FreeRuns, ReadAt, Unmapped, VolumeKind, VolumeReader};
use std::collections::BTreeMap;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
const TOOLS: &[&str] = &["lvm", "losetup", "blkid"];

/// Images behind loop devices, as the tools see them.
struct Lvm {
    folder: TempDir,
    images: Vec<ImageFile>,
    loops: Vec<String>,
}

impl Lvm {
    fn new(sizes: &[u64]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut lvm = Self { images: Vec::new(), loops: Vec::new(), folder };
        for (number, bytes) in sizes.iter().enumerate() {
            let image = ImageFile::create(&lvm.folder.path().join(format!("{number}.img")), *bytes);
            lvm.loops.push(run("losetup", &["--find", "--show", image.path.to_str().unwrap()]).trim().to_owned());
            lvm.images.push(image);
        }
        lvm
    }

    /// Runs a command of LVM on the images alone. `PV0` stands for the loop device of image 0.
    fn lvm(&self, command: &str) -> String {
        let filter: String = self.loops.iter().map(|device| format!("\"a|^{device}$|\",")).collect();
        let folder = self.folder.path().display();
        let config = format!(
            "devices {{ global_filter=[{filter}\"r|.*|\"] use_devicesfile=0 obtain_device_list_from_udev=0 \
             external_device_info_source=\"none\" hints=\"none\" }} \
             global {{ locking_dir=\"{folder}/lock\" use_lvmpolld=0 event_activation=0 }} \
             activation {{ udev_sync=0 udev_rules=0 monitoring=0 }} backup {{ backup=0 archive=0 }}"
        );
        let words = command.split_whitespace().map(|word| match word.strip_prefix("PV").map(str::parse::<usize>) {
            Some(Ok(number)) => self.loops[number].clone(),
            _ => word.to_owned(),
        });
        let mut arguments: Vec<String> = words.collect();
        arguments.extend(["--driverloaded", "n", "--config", &config].map(str::to_owned));
        run("lvm", &arguments)
    }

    fn report(&self, command: &str) -> Vec<Vec<String>> {
        let text = self.lvm(&format!("{command} --noheadings --separator , --units b --nosuffix"));
        text.lines().map(|line| line.trim().split(',').map(str::to_owned).collect()).collect()
    }

    /// A group of all images with a linear volume in two segments, and one over two disks in
    /// stripes of 64 KiB.
    fn usual() -> Self {
        let lvm = Self::new(&[64 * MIB, 97 * MIB + 512 * 3]);
        lvm.lvm("pvcreate -y --pvmetadatacopies 2 PV0");
        lvm.lvm("pvcreate -y --bootloaderareasize 1m PV1");
        lvm.lvm("vgcreate -y -s 1m group.a+b PV0 PV1");
        lvm.lvm("lvcreate -y -an -Wn -Zn -L 20M -n linear group.a+b PV0");
        lvm.lvm("lvcreate -y -an -Wn -Zn -L 32M -i 2 -I 64k -n striped group.a+b");
        lvm.lvm("lvextend -L +10M group.a+b/linear PV1");
        lvm.lvm("lvcreate -y -an -Wn -Zn -L 3M -n between group.a+b PV0");
        lvm.lvm("lvextend -L +7M group.a+b/linear PV0");
        lvm.lvm("lvremove -y group.a+b/between");
        lvm
    }

    fn volumes(&self) -> Vec<VolumeReader<'_>> {
        self.images.iter().map(|image| VolumeReader::whole(image, 512)).collect()
    }

    fn physical_volumes(&self) -> Result<Vec<PhysicalVolume>, Unmapped> {
        self.volumes().iter().map(lvm::read_physical_volume).collect()
    }

    fn group(&self) -> Result<Group, Unmapped> {
        lvm::read_group(&self.physical_volumes()?)
    }

    fn cause(&self) -> Cause {
        self.group().unwrap_err().cause
    }

    /// Free extents in bytes, as `pvs` has them.
    fn tool_free(&self) -> Vec<FreeRuns> {
        let mut builders: Vec<_> = self.images.iter().map(|image| FreeRuns::builder(image.bytes())).collect();
        for row in self.report("pvs --segments -o pv_name,pe_start,vg_extent_size,pvseg_start,pvseg_size,lv_name") {
            if row[5].is_empty() {
                let number = self.loops.iter().position(|device| *device == row[0]).unwrap();
                let [start, extent, first, count] = [1, 2, 3, 4].map(|at| row[at].parse::<u64>().unwrap());
                builders[number].push(start + first * extent, count * extent).unwrap();
            }
        }
        builders.into_iter().map(|builder| builder.finish()).collect()
    }

    /// Pieces of a logical volume as `lvs` has them, in logical order: image, offset and length.
    fn tool_pieces(&self, name: &str) -> Vec<(usize, u64, u64)> {
        let starts: BTreeMap<String, u64> = self
            .report("pvs -o pv_name,pe_start")
            .into_iter()
            .map(|row| (row[0].clone(), row[1].parse().unwrap()))
            .collect();
        let mut pieces = Vec::new();
        let fields = "lv_name,vg_extent_size,seg_start,seg_size,stripes,stripe_size,seg_pe_ranges";
        let mut rows = self.report(&format!("lvs --segments -o {fields}"));
        rows.retain(|row| row[0] == name);
        rows.sort_by_key(|row| row[2].parse::<u64>().unwrap());
        for row in rows {
            let [extent, _, size, stripes, stripe] = [1, 2, 3, 4, 5].map(|at| row[at].parse::<u64>().unwrap());
            // Areas are `/dev/loop0:5-8`.
            let areas: Vec<(usize, u64)> = row[6]
                .split(' ')
                .map(|area| {
                    let (device, range) = area.split_once(':').unwrap();
                    let first: u64 = range.split('-').next().unwrap().parse().unwrap();
                    (self.loops.iter().position(|d| d == device).unwrap(), starts[device] + first * extent)
                })
                .collect();
            assert_eq!(areas.len() as u64, stripes);
            let step = if stripes == 1 { size } else { stripe };
            for number in 0..size / step {
                let (image, offset) = areas[(number % stripes) as usize];
                pieces.push((image, offset + number / stripes * step, step));
            }
        }
        pieces
    }

    /// Changes the group's text on an image, in every metadata area, with sizes and checksums made
    /// right by other code than the parser's.
    fn edit(&self, number: usize, edit: impl Fn(String) -> String) {
        let image = &self.images[number];
        for area in self.metadata_areas(number) {
            let mut header = image.read(area, 512);
            let field = |header: &[u8], at: usize| u64::from_le_bytes(header[at..at + 8].try_into().unwrap());
            let (offset, bytes) = (field(&header, 40), field(&header, 48));
            let text = image.read(area + offset, bytes as usize);
            let mut text = edit(String::from_utf8(text).unwrap().trim_end_matches('\0').to_owned()).into_bytes();
            text.push(0);
            image.write(area + 512, &text);
            header[40..48].copy_from_slice(&512u64.to_le_bytes());
            header[48..56].copy_from_slice(&(text.len() as u64).to_le_bytes());
            header[56..60].copy_from_slice(&checksum(&text).to_le_bytes());
            self.write_header(number, area, header);
        }
    }

    fn edit_all(&self, from: &str, to: &str) {
        for number in 0..self.images.len() {
            self.edit(number, |text| {
                assert!(text.contains(from), "{from} is not in\n{text}");
                text.replacen(from, to, 1)
            });
        }
    }

    fn write_header(&self, number: usize, area: u64, mut header: Vec<u8>) {
        let sum = checksum(&header[4..]);
        header[..4].copy_from_slice(&sum.to_le_bytes());
        self.images[number].write(area, &header);
    }

    fn metadata_areas(&self, number: usize) -> Vec<u64> {
        let whole = self.images[number].read(0, self.images[number].bytes() as usize);
        (0..whole.len())
            .step_by(512)
            .filter(|at| whole[at + 4..].starts_with(b" LVM2 x[5A%r0N*>"))
            .map(|at| at as u64)
            .collect()
    }

    fn edit_label(&self, edit: impl Fn(&mut [u8])) {
        let mut sector = self.images[0].read(512, 512);
        edit(&mut sector);
        let sum = checksum(&sector[20..]);
        sector[16..20].copy_from_slice(&sum.to_le_bytes());
        self.images[0].write(512, &sector);
    }
}

impl Drop for Lvm {
    fn drop(&mut self) {
        for device in &self.loops {
            let _ = try_run("losetup", &["--detach", device]);
        }
    }
}

/// Bit by bit: CRC-32 with LVM's start value and no inversion.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0xF597_A6CF, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn the_map_of_extents_is_that_of_pvs() {
    if !can(TOOLS) {
        return;
    }
    let lvm = Lvm::usual();
    let before: Vec<_> = lvm.images.iter().map(|image| blake3::hash(&image.read(0, image.bytes() as usize))).collect();
    for (image, device) in lvm.images.iter().zip(&lvm.loops) {
        let identity = lvm::identify(&VolumeReader::whole(image, 512)).unwrap();
        let tool = |tag| run("blkid", &["-p", "-o", "value", "-s", tag, device]).trim().to_owned();
        assert_eq!((identity.kind, identity.variant.as_str()), (VolumeKind::Lvm, "LVM2"));
        assert_eq!(identity.uuid, Some(tool("UUID")));
        assert_eq!(tool("TYPE"), "LVM2_member");
        assert_eq!(identity.label, None);
    }
    let group = lvm.group().unwrap();
    let tool = lvm.report("vgs -o vg_name,vg_uuid,seqno");
    assert_eq!(tool, [[group.name.clone(), group.uuid.clone(), lvm.physical_volumes().unwrap()[0].seqno.to_string()]]);
    for (number, tool) in lvm.tool_free().iter().enumerate() {
        eprintln!("image {number}: {} bytes free, pvs {}", group.free[number].bytes(), tool.bytes());
        assert_eq!(&group.free[number], tool);
        compare_with_tool(&group.free[number], tool, lvm.images[number].bytes());
    }
    let mut tool = lvm.report("lvs -o lv_name,lv_uuid,lv_size");
    tool.sort();
    let ours: Vec<_> =
        group.logical_volumes.iter().map(|v| vec![v.name.clone(), v.uuid.clone(), v.bytes.to_string()]).collect();
    assert_eq!(ours, tool);
    // Overwriting what is free leaves a group that the tools find in order and the same.
    let reports = ["vgck -v", "pvs --segments -o +pv_all", "lvs --segments -o +lv_all,seg_all"];
    let standing = reports.map(|report| lvm.lvm(report));
    let after: Vec<_> = lvm.images.iter().map(|image| blake3::hash(&image.read(0, image.bytes() as usize))).collect();
    assert_eq!(before, after);
    for (image, free) in lvm.images.iter().zip(&group.free) {
        for run in free.iter() {
            let mut noise = vec![0; run.len() as usize];
            Random(run.offset()).fill(&mut noise);
            image.write(run.offset(), &noise);
        }
    }
    assert_eq!(reports.map(|report| lvm.lvm(report)), standing);
    assert_eq!(lvm.group().unwrap(), group);
}

#[test]
fn a_filesystem_in_a_logical_volume_survives_its_free_runs() {
    if !can(&[TOOLS, &["mke2fs", "dumpe2fs", "e2fsck"]].concat()) {
        return;
    }
    let lvm = Lvm::usual();
    for image in &lvm.images {
        assert!(image.bytes() < 128 * MIB);
    }
    let group = lvm.group().unwrap();
    for volume in &group.logical_volumes {
        // The filesystem is made beside, and goes to the disks by the tools' map.
        let path = lvm.folder.path().join(&volume.name);
        let made = ImageFile::create(&path, volume.bytes);
        run("mke2fs", &["-q", "-t", "ext4", "-b", "4096", path.to_str().unwrap()]);
        let at = lvm.folder.path().join("mount");
        let mount = Mount::kernel(&path, &at, "ext4", "");
        fill_tree(&at, volume.bytes / 2, 7);
        let standing = tree_hash(&at);
        drop(mount);
        let pieces = lvm.tool_pieces(&volume.name);
        assert_eq!(pieces.iter().map(|piece| piece.2).sum::<u64>(), volume.bytes);
        let mut from = 0;
        for &(image, offset, length) in &pieces {
            lvm.images[image].write(offset, &made.read(from, length as usize));
            from += length;
        }
        // Read back by ours, whole and in odd pieces.
        let volumes = lvm.volumes();
        let reader = LogicalReader::new(volume, &volumes).unwrap();
        let mut whole = vec![0; volume.bytes as usize];
        reader.read_exact_at(0, &mut whole).unwrap();
        assert!(whole == made.read(0, whole.len()));
        let mut random = Random(1);
        for _ in 0..200 {
            let from = random.below(volume.bytes);
            let mut piece = vec![0; random.below((volume.bytes - from).min(300_000) + 1) as usize];
            reader.read_exact_at(from, &mut piece).unwrap();
            assert!(piece == whole[from as usize..][..piece.len()]);
        }
        // What the filesystem's own tool calls free is overwritten on the disks, by our translation.
        let mut free = FreeRuns::builder(volume.bytes);
        for line in run("dumpe2fs", &[&path]).lines().filter_map(|line| line.strip_prefix("  Free blocks: ")) {
            for blocks in line.split(", ").filter(|blocks| !blocks.is_empty()) {
                let (first, last) = blocks.split_once('-').unwrap_or((blocks, blocks));
                let [first, last] = [first, last].map(|block| block.parse::<u64>().unwrap());
                free.push(first * 4096, (last - first + 1) * 4096).unwrap();
            }
        }
        let free = free.finish();
        let on_disks = volume.to_physical(&free, lvm.images.iter().map(ReadAt::bytes)).unwrap();
        assert_eq!(on_disks.iter().map(FreeRuns::bytes).sum::<u64>(), free.bytes());
        eprintln!("{}: {} of {} bytes free", volume.name, free.bytes(), volume.bytes);
        let copies: Vec<_> =
            lvm.images.iter().zip(&on_disks).map(|(image, free)| image.scrambled_copy(free, 3)).collect();
        let back = ImageFile::create(&path.with_extension("back"), volume.bytes);
        let mut to = 0;
        for &(image, offset, length) in &pieces {
            back.write(to, &copies[image].read(offset, length as usize));
            to += length;
        }
        assert!(back.read(0, whole.len()) != whole, "something was overwritten");
        run("e2fsck", &["-f", "-n", back.path.to_str().unwrap()]);
        let mount = Mount::kernel(&back.path, &at, "ext4", "ro");
        assert_eq!(tree_hash(&at), standing);
        drop(mount);
    }
}

#[test]
fn a_part_of_a_group() {
    if !can(TOOLS) {
        return;
    }
    let lvm = Lvm::usual();
    let all = lvm.physical_volumes().unwrap();
    let free = lvm.tool_free();
    for number in 0..2 {
        let group = lvm::read_group(&all[number..=number]).unwrap();
        assert_eq!(group.free, [free[number].clone()]);
        assert_eq!(group.missing, [all[1 - number].uuid.clone()]);
        let volumes = [lvm.volumes()[number]];
        for volume in &group.logical_volumes {
            assert_eq!(volume.missing, group.missing);
            assert!(LogicalReader::new(volume, &volumes).is_none());
        }
    }
    assert_eq!(lvm::read_group(&[]).unwrap_err().cause, Cause::Inconsistent);
    let twice = [all[0].clone(), all[0].clone()];
    assert_eq!(lvm::read_group(&twice).unwrap_err().cause, Cause::Inconsistent);
    // One disk has an older description.
    let old = all[0].clone();
    lvm.lvm("lvcreate -y -an -Wn -Zn -l 1 -n more group.a+b");
    let mixed = [old, lvm.physical_volumes().unwrap()[1].clone()];
    assert_eq!(lvm::read_group(&mixed).unwrap_err().cause, Cause::Inconsistent);
    assert!(lvm.group().is_ok());
}

#[test]
fn the_metadata_area_is_a_ring() {
    if !can(TOOLS) {
        return;
    }
    let lvm = Lvm::new(&[40 * MIB]);
    lvm.lvm("pvcreate -y --metadatasize 64k --dataalignment 128k PV0");
    lvm.lvm("vgcreate -y -s 512k ring PV0");
    lvm.lvm("lvcreate -y -an -Wn -Zn -l 3 -n one ring");
    let area = lvm.metadata_areas(0)[0];
    let mut wrapped = 0;
    for turn in 0..60 {
        lvm.lvm(&format!("lvcreate -y -an -Wn -Zn -l 1 -n volume{turn} ring"));
        let header = lvm.images[0].read(area, 512);
        let field = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().unwrap());
        wrapped += usize::from(field(40) + field(48) > field(32));
        let group = lvm.group().unwrap();
        assert_eq!(group.logical_volumes.len(), turn + 2);
        if wrapped > 0 {
            assert_eq!(group.free, lvm.tool_free());
            break;
        }
    }
    assert!(wrapped > 0, "the text never went around the end");
}

#[test]
fn groups_that_are_not_looked_into() {
    if !can(TOOLS) {
        return;
    }
    let lvm = Lvm::usual();
    let originals: Vec<_> = lvm.images.iter().map(|image| image.read(0, 2 << 20)).collect();
    let ends: Vec<_> = lvm.images.iter().map(|image| image.read(image.bytes() - 2 * MIB, 2 << 20)).collect();
    let restore = || {
        for ((image, bytes), end) in lvm.images.iter().zip(&originals).zip(&ends) {
            image.write(0, bytes);
            image.write(image.bytes() - 2 * MIB, end);
        }
        assert!(lvm.group().is_ok());
    };
    // By the tools.
    lvm.lvm("vgchange --setautoactivation n group.a+b");
    lvm.lvm("lvchange --setactivationskip y group.a+b/linear");
    lvm.lvm("lvchange -p r group.a+b/striped");
    lvm.lvm("pvchange -x n PV0");
    lvm.lvm("vgchange --addtag a_tag --alloc contiguous group.a+b");
    assert!(lvm.group().is_ok(), "{:?}", lvm.group());
    lvm.lvm("vgexport group.a+b");
    assert_eq!(lvm.cause(), Cause::Feature);
    restore();
    // By hand, with right checksums.
    let striped = "type = \"striped\"";
    for (from, to, cause) in [
        (striped, "type = \"snapshot\"", Cause::Snapshots),
        (striped, "type = \"thin-pool\"", Cause::Feature),
        (striped, "type = \"thin\"", Cause::Feature),
        (striped, "type = \"mirror\"", Cause::Feature),
        (striped, "type = \"raid1\"", Cause::Feature),
        (striped, "type = \"cache\"", Cause::Feature),
        (striped, "type = \"striped+NEW\"", Cause::Feature),
        ("\"READ\", \"WRITE\"]", "\"READ\", \"WRITE\", \"CLUSTERED\"]", Cause::Feature),
        ("\"READ\", \"WRITE\"]", "\"READ\", \"WRITE\", \"PARTIAL\"]", Cause::Feature),
        ("\"READ\", \"WRITE\", \"VISIBLE\"", "\"READ\", \"PVMOVE\", \"VISIBLE\"", Cause::Feature),
        ("\"ALLOCATABLE\"]\nflags = []", "\"ALLOCATABLE\"]\nflags = [\"MISSING\"]", Cause::Feature),
        ("max_lv = 0", "max_lv = 0\nlock_type = \"sanlock\"", Cause::Feature),
        ("max_lv = 0", "max_lv = 0\nnovelty = 1", Cause::Feature),
        ("segment_count = 1", "segment_count = 1\nnovelty = 1", Cause::Feature),
        ("logical_volumes {", "historical_logical_volumes {\n}\nlogical_volumes {", Cause::Feature),
        ("format = \"lvm2\"", "format = \"lvm1\"", Cause::Feature),
        ("contents = \"Text", "contents = \"Test", Cause::Feature),
        // Lies.
        ("extent_size = 2048", "extent_size = 4096", Cause::Truncated),
        ("extent_size = 2048", "extent_size = 0", Cause::Inconsistent),
        ("extent_size = 2048", "extent_size = 9223372036854775807", Cause::Inconsistent),
        ("pe_start = 2048", "pe_start = 0", Cause::Inconsistent),
        ("pe_count = 6", "pe_count = 9006", Cause::Truncated),
        ("pe_count = 6", "pe_count = -6", Cause::Inconsistent),
        ("segment_count = 1", "segment_count = 2", Cause::Inconsistent),
        ("extent_count = 20", "extent_count = 21", Cause::Inconsistent),
        ("extent_count = 20", "extent_count = 0", Cause::Inconsistent),
        ("extent_count = 20", "extent_count = 18446744073709551615", Cause::Inconsistent),
        ("stripe_count = 1", "stripe_count = 0", Cause::Inconsistent),
        ("stripe_count = 1", "stripe_count = 2", Cause::Inconsistent),
        ("stripe_count = 2", "stripe_count = 4000000000", Cause::Inconsistent),
        ("stripe_size = 128", "stripe_size = 0", Cause::Inconsistent),
        ("stripe_size = 128", "stripe_size = 100", Cause::Inconsistent),
        ("start_extent = 0", "start_extent = 1", Cause::Inconsistent),
        ("\"pv0\", 0", "\"pv0\", 25", Cause::Inconsistent),
        ("\"pv0\", 0", "\"pv0\", 9000", Cause::Inconsistent),
        ("\"pv0\", 0", "\"pv9\", 0", Cause::Inconsistent),
        ("\"pv0\", 0", "0, \"pv0\"", Cause::Inconsistent),
        ("seqno = ", "seqno = \"", Cause::Inconsistent),
        ("physical_volumes {", "physical_volumes { {", Cause::Inconsistent),
    ] {
        lvm.edit_all(from, to);
        let found = lvm.group();
        assert_eq!(found.as_ref().err().map(|unmapped| unmapped.cause), Some(cause), "{from} -> {to}: {found:?}");
        restore();
    }
    // The two metadata areas of the first disk differ; a change is in progress; checksums are wrong.
    let areas = lvm.metadata_areas(0);
    assert_eq!(areas.len(), 2);
    let header = lvm.images[0].read(areas[1], 512);
    for (at, value, cause) in [
        (48, 3, Cause::Inconsistent),
        (40, 1 << 40, Cause::Inconsistent),
        (48, u64::MAX, Cause::Inconsistent),
        (24, 512, Cause::Inconsistent),
        (32, 1 << 50, Cause::Inconsistent),
        (64, 1024, Cause::Dirty),
        (40, 0, Cause::Feature),
    ] {
        let mut changed = header.clone();
        changed[at..at + 8].copy_from_slice(&u64::to_le_bytes(value));
        lvm.write_header(0, areas[1], changed);
        assert_eq!(lvm.cause(), cause, "{at} {value}");
        restore();
    }
    lvm.images[0].write(areas[0] + 30, &[1]);
    assert_eq!(lvm.cause(), Cause::Inconsistent);
    restore();
    let text = u64::from_le_bytes(header[40..48].try_into().unwrap());
    lvm.images[0].write(areas[1] + text + 8, b"_");
    assert_eq!(lvm.cause(), Cause::Inconsistent);
    restore();
    // One of the areas is to be ignored, and may hold anything.
    let mut ignored = header.clone();
    ignored[60] = 1;
    ignored[48] = 9;
    lvm.write_header(0, areas[1], ignored);
    assert!(lvm.group().is_ok());
    restore();
    // The label: a device that is too large, extents over the metadata, lists without an end.
    let start = 32 + 40;
    for (at, value, cause) in [
        (32 + 32, 1u64 << 40, Cause::Truncated),
        (start, 1 << 19, Cause::Inconsistent),
        (start + 32, 3 << 20, Cause::Inconsistent),
        (start + 40, 1 << 60, Cause::Inconsistent),
        (start + 80, 7, Cause::Feature),
    ] {
        lvm.edit_label(|sector| sector[at..at + 8].copy_from_slice(&value.to_le_bytes()));
        assert_eq!(lvm.cause(), cause, "label {at} {value}");
        restore();
    }
    lvm.edit_label(|sector| sector[72..].fill(9));
    assert_eq!(lvm.cause(), Cause::Inconsistent);
    restore();
    lvm.images[0].write(512 + 40, b"x");
    assert_eq!(lvm.cause(), Cause::Unknown);
    assert_eq!(lvm::identify(&lvm.volumes()[0]), None);
    restore();
    let short = lvm.images[0].read(0, 40 << 20);
    let short = lvm::read_physical_volume(&VolumeReader::whole(&short, 512));
    assert_eq!(short.unwrap_err().cause, Cause::Truncated);
    // A disk that belongs to no group.
    lvm.lvm("vgremove -y -f group.a+b");
    assert_eq!(lvm.cause(), Cause::Feature);
}

#[test]
fn damage_anywhere_in_the_metadata_is_no_panic() {
    if !can(TOOLS) {
        return;
    }
    let lvm = Lvm::usual();
    let disk = lvm.images[0].read(0, lvm.images[0].bytes() as usize);
    let whole = lvm::read_physical_volume(&VolumeReader::whole(&disk, 512)).unwrap();
    let free = lvm::read_group(&[whole]).unwrap().free;
    let mut random = Random(5);
    let mut disk = disk;
    for _ in 0..3000 {
        let at = random.below(16 << 10) as usize;
        let kept = disk[at];
        disk[at] = random.next() as u8;
        let read = lvm::read_physical_volume(&VolumeReader::whole(&disk, 512)).and_then(|pv| lvm::read_group(&[pv]));
        assert!(read.is_err() || read.unwrap().free == free, "a byte at {at} changed the map");
        disk[at] = kept;
    }
}
