//! What is on a boot medium: profile, index of modules, and the medium as a whole.

use crate::sparse_disk::{self, SparseDisk};
use holotype_boot::disk::{DataPartition, DiskContent, make_disk};
use holotype_boot::fat::{self, FatVolume};
use holotype_boot::initramfs::profile_archive;
use holotype_boot::iso::{IsoContent, make_iso};
use holotype_boot::loaders::GrubBios;
use holotype_boot::manifest::{MANIFEST_PATH, Manifest};
use holotype_boot::modules::ModuleIndex;
use holotype_boot::profile::{self, BootProfile, DiskChoice, Enrolment, Place, Server, Style, Task};
use holotype_boot::uki::{MANIFEST_SECTION, add_sections};
use holotype_boot::verify::verify_device;
use holotype_core::volume::ReadAt;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Longest medium: verifying reads all of it.
const MAX_MEDIUM_BYTES: u64 = 8 << 20;
/// The input's flag for: give the partition tables the checksums that they should have.
const RESEAL: u8 = 1;

/// As it stands on a medium; then the bytes as the JSON behind its hash.
pub fn boot_profile(data: &[u8]) {
    let check = |bytes: &[u8]| {
        if let Ok(decoded) = profile::decode(bytes) {
            assert_eq!(decoded.check(), Ok(()));
            let again = profile::encode(&decoded).expect("it is good");
            assert_eq!(profile::decode(&again).as_ref(), Ok(&decoded), "a profile that changes when it is written");
        }
    };
    check(data);
    check(&[format!("holotype-profile 1 {}\n", blake3::hash(data).to_hex()).as_bytes(), data].concat());
}

fn full_profile() -> BootProfile {
    let mut profile = BootProfile::new("pc-07", Style::Network);
    profile.server = Some(Server {
        url: "https://backup.example:7443".into(),
        pin: format!("sha256:{}", "ab".repeat(32)),
        organisation: None,
        machine: Some("m1".into()),
        enrolment: Some(Enrolment { code: "ABCD-EFGH".into(), expires_ms: 5 }),
    });
    let place = Place::Nfs { host: "nas".into(), export: "/srv/a".into(), folder: "b".into() };
    profile.task = Task::Restore { place, image: "ab".repeat(16), disk: DiskChoice::Serial("S1".into()) };
    profile.expires_ms = Some(1_900_000_000_000);
    profile
}

pub fn boot_profile_seeds() -> Vec<Vec<u8>> {
    let profiles = [full_profile(), BootProfile::new("pc", Style::Local)];
    let seeds = profiles.iter().flat_map(|profile| {
        let whole = profile::encode(profile).expect("it is good");
        let json_at = whole.iter().position(|byte| *byte == b'\n').expect("a first line") + 1;
        [whole[json_at..].to_vec(), whole]
    });
    seeds.collect()
}

pub fn module_index(data: &[u8]) {
    let check = |bytes: &[u8]| {
        let Ok(index) = ModuleIndex::parse(bytes) else { return };
        let again = ModuleIndex::parse(index.to_text().as_bytes()).expect("it was written just now");
        assert_eq!(again, index);
        for module in index.modules() {
            let order = index.load_order(&module.name);
            let names: BTreeSet<&str> = order.iter().map(|module| module.name.as_str()).collect();
            assert_eq!(names.len(), order.len(), "a module is loaded twice");
            assert_eq!(order.last().map(|last| &last.name), Some(&module.name));
        }
        for (pattern, name) in index.aliases() {
            assert!(index.module(name).is_some());
            let _ = index.matching(&pattern.replace('*', "a"));
        }
    };
    check(data);
    check(&[b"holotype-modules 1\n", data].concat());
}

pub fn module_index_seeds() -> Vec<Vec<u8>> {
    let lines = "M\ta\t/lib/modules/1/a.ko\tb,c\tx\nM\tb\t/lib/modules/1/b.ko\ta\t\nM\tc\t/lib/modules/1/c.ko\t\t\n\
                 A\tpci:v00008086d*sv*sd*bc[0-9]?\ta\nA\tfs-vfat\tb\n";
    vec![lines.into(), format!("holotype-modules 1\n{lines}").into()]
}

/// A disk as something that is read from front to back.
struct Reader {
    disk: SparseDisk,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.disk.bytes().saturating_sub(self.at);
        let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.disk.read_exact_at(self.at, &mut buffer[..length])?;
        self.at += length as u64;
        Ok(length)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.disk.bytes().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        // As files do it (lseek): no place beyond the largest signed number.
        self.at = place.filter(|at| i64::try_from(*at).is_ok()).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// CRC-32 of IEEE 802.3.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ (0xEDB8_8320 & 0u32.wrapping_sub(crc & 1));
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

/// Gives a partition table's header the checksums that it should have (UEFI specification, 5.3.2).
fn reseal(disk: &mut SparseDisk, sector: u64) {
    let mut header = [0; 512];
    if disk.read_exact_at(sector * 512, &mut header).is_err() || !header.starts_with(b"EFI PART") {
        return;
    }
    let u32_at = |header: &[u8], at: usize| u32::from_le_bytes(std::array::from_fn(|byte| header[at + byte]));
    let entries_at = u64::from(u32_at(&header, 72));
    let entry_bytes = (u32_at(&header, 80) as usize).saturating_mul(u32_at(&header, 84) as usize);
    let mut entries = vec![0; entry_bytes.min(4 << 20)];
    if disk.read_exact_at(entries_at * 512, &mut entries).is_ok() {
        header[88..92].copy_from_slice(&crc32(&entries).to_le_bytes());
    }
    let length = (u32_at(&header, 12) as usize).min(512);
    header[16..20].fill(0);
    let sum = crc32(&header[..length]);
    header[16..20].copy_from_slice(&sum.to_le_bytes());
    disk.write(sector * 512, &header);
}

pub fn boot_medium(data: &[u8]) {
    let (header, mut disk) = SparseDisk::of(data);
    if disk.bytes() > MAX_MEDIUM_BYTES {
        disk = disk.resized(MAX_MEDIUM_BYTES);
    }
    if header.flags & RESEAL != 0 {
        let last = (disk.bytes() / 512).saturating_sub(1);
        reseal(&mut disk, 1);
        reseal(&mut disk, last);
    }
    if let Ok(report) = verify_device(Path::new("medium"), &mut Reader { disk, at: 0 }, 1) {
        assert!(["usb", "iso", "uki"].contains(&report.product.as_str()));
        assert!(report.profiles.iter().all(|profile| profile.check().is_ok()));
        assert!(!report.profiles.is_empty() || !report.findings.is_empty());
    }
}

/// A medium's files, made up but for profile and manifest.
fn files(product: &str) -> BTreeMap<String, Vec<u8>> {
    let profile = profile_archive(&full_profile()).expect("it is good");
    let mut files = BTreeMap::from([
        ("EFI/BOOT/BOOTX64.EFI".to_owned(), b"MZ shim".to_vec()),
        ("EFI/debian/grub.cfg".to_owned(), b"linux /holotype/vmlinuz\n".to_vec()),
        ("holotype/vmlinuz".to_owned(), vec![7; 5000]),
        ("holotype/profile.cpio".to_owned(), profile),
    ]);
    let manifest = Manifest::of(product, "6.1.0", &files).to_bytes().expect("it is JSON");
    files.insert(MANIFEST_PATH.to_owned(), manifest);
    files
}

/// A UEFI program whose stub is headers alone (Microsoft's PE format).
fn uki(profile: &[u8]) -> Vec<u8> {
    let mut stub = vec![0; 1024];
    let numbers = [(0x3c, 0x40), (0x40, 0x4550), (0x54, 240), (0x58, 0x20b), (0x58 + 36, 512), (0x58 + 60, 1024)];
    for (at, number) in numbers {
        stub[at..at + 4].copy_from_slice(&u32::to_le_bytes(number));
    }
    stub[..2].copy_from_slice(b"MZ");
    let sections =
        BTreeMap::from([(".initrd".to_owned(), [&[7; 64], profile].concat()), (".linux".to_owned(), vec![9; 700])]);
    let manifest = Manifest::of("uki", "6.1.0", &sections).to_bytes().expect("it is JSON");
    let named = sections.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
    let named: Vec<_> = named.chain([(MANIFEST_SECTION, manifest.as_slice())]).collect();
    add_sections(&stub, &named).expect("a program")
}

pub fn boot_medium_seeds() -> Vec<Vec<u8>> {
    let folder = std::env::temp_dir().join(format!("holotype-fuzz-medium-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let image = folder.join("medium");
    let grub = GrubBios { first_sector: [0x90; 440], core: vec![1; 2000] };
    let esp_files = files("usb");
    let content = DiskContent { files: &esp_files, grub: &grub, data: DataPartition::None };
    make_disk(&content, &image).expect("a disk image");
    let disk = sparse_disk::of_file(RESEAL, &image);

    let esp_files = files("iso");
    let volume = FatVolume { label: "HOLOTYPE", hidden_sectors: 0, sectors: None, spare_bytes: 0, files: &esp_files };
    let esp = fat::make(&volume).expect("a volume");
    let mut isolinux = vec![3; 4096];
    isolinux[8..64].fill(0);
    let content = IsoContent { isolinux, hybrid: &[0; 432], files: &BTreeMap::new(), esp, esp_files: &esp_files };
    std::fs::write(&image, make_iso(content).expect("an ISO image").to_vec()).expect("a file");
    let iso = sparse_disk::of_file(0, &image);

    let profile = profile_archive(&full_profile()).expect("it is good");
    std::fs::write(&image, uki(&profile)).expect("a file");
    let uki = sparse_disk::of_file(0, &image);
    // What stays in a temporary folder hurts nobody.
    let _ = std::fs::remove_dir_all(&folder);
    vec![disk, iso, uki]
}
