//! What is known by its signature and kept whole: encrypted volumes, members of RAIDs, others.
//! Where `blkid` knows the bytes too, it must say the same.

use crate::support::{ImageFile, can, run, try_run};
use holotype_core::volume::{Cause, Identity, MapOptions, VolumeKind, VolumeReader, encrypted, other, raid};
use std::ffi::OsStr;

const MIB: usize = 1 << 20;

fn disk(parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; 4 * MIB];
    for (at, part) in parts {
        bytes[*at..at + part.len()].copy_from_slice(part);
    }
    bytes
}

fn blkid(bytes: &[u8], tag: &str) -> Option<String> {
    if !can(&["blkid"]) {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = ImageFile::create(&folder.path().join("image"), bytes.len() as u64);
    image.write(0, bytes);
    let arguments = ["-p", "-o", "value", "-s", tag].map(OsStr::new);
    let output = try_run("blkid", &[&arguments[..], &[image.path.as_os_str()]].concat());
    Some(String::from_utf8(output.stdout).unwrap().trim_end_matches('\n').to_owned())
}

fn assert_kept(
    map: fn(&VolumeReader<'_>, &MapOptions) -> holotype_core::volume::MapResult,
    bytes: &Vec<u8>,
    cause: Cause,
) {
    assert_eq!(map(&VolumeReader::whole(bytes, 512), &MapOptions::default()).unwrap_err().cause, cause);
}

#[test]
fn luks() {
    let uuid = b"11e1f2cd-5a0d-4cbb-bd2c-1b2d2f3a4b5c";
    for (version, name) in [(1u8, "LUKS1"), (2, "LUKS2")] {
        // LUKS2: length of the header and where it lies.
        let bytes = disk(&[
            (0, b"LUKS\xBA\xBE\0"),
            (7, &[version]),
            (8, &0x4000u64.to_be_bytes()),
            (24, if version == 2 { b"a label" } else { b"aes" }),
            (168, uuid),
        ]);
        let found = encrypted::identify(&VolumeReader::whole(&bytes, 512)).unwrap();
        let label = (version == 2).then(|| "a label".to_owned());
        let uuid = Some(String::from_utf8(uuid.to_vec()).unwrap());
        assert_eq!(
            found,
            Identity { kind: VolumeKind::Luks, variant: name.to_owned(), uuid: uuid.clone(), label: label.clone() }
        );
        if let Some(kind) = blkid(&bytes, "TYPE") {
            assert_eq!(kind, "crypto_LUKS");
            assert_eq!(blkid(&bytes, "UUID"), uuid);
            assert_eq!(blkid(&bytes, "LABEL").unwrap(), label.unwrap_or_default());
        }
        assert_kept(encrypted::map, &bytes, Cause::Encrypted);
        let mut other = bytes.clone();
        other[7] = 3;
        assert!(encrypted::identify(&VolumeReader::whole(&other, 512)).is_none());
    }
}

#[test]
fn real_luks() {
    if !can(&["cryptsetup"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = ImageFile::create(&folder.path().join("image"), 32 << 20);
    let key = folder.path().join("key");
    std::fs::write(&key, "secret").unwrap();
    for (kind, name) in [("luks1", "LUKS1"), ("luks2", "LUKS2")] {
        let arguments = ["luksFormat", "-q", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--type", kind];
        let files = [image.path.as_os_str(), key.as_os_str()];
        run("cryptsetup", &[&arguments.map(OsStr::new)[..], &files].concat());
        let found = encrypted::identify(&VolumeReader::whole(&image, 512)).unwrap();
        let uuid = run("cryptsetup", &[OsStr::new("luksUUID"), image.path.as_os_str()]);
        assert_eq!((found.variant.as_str(), found.uuid.unwrap().as_str()), (name, uuid.trim()));
    }
}

#[test]
fn bitlocker() {
    let to_go = b"\x3B\xD6\x67\x49\x29\x2E\xD8\x4A\x83\x99\xF6\xA3\x39\xE3\xD0\x01";
    for (parts, name) in [
        (disk(&[(0, b"\xEB\x52\x90-FVE-FS-")]), "BitLocker of Windows Vista"),
        (disk(&[(0, b"\xEB\x58\x90-FVE-FS-")]), "BitLocker"),
        (disk(&[(0, b"\xEB\x58\x90MSWIN4.1"), (424, to_go)]), "BitLocker To Go"),
    ] {
        let found = encrypted::identify(&VolumeReader::whole(&parts, 512)).unwrap();
        assert_eq!((found.kind, found.variant.as_str()), (VolumeKind::BitLocker, name));
        assert_kept(encrypted::map, &parts, Cause::Encrypted);
    }
    let fat = disk(&[(0, b"\xEB\x58\x90MSWIN4.1")]);
    assert!(encrypted::identify(&VolumeReader::whole(&fat, 512)).is_none());
}

#[test]
fn raid_members() {
    let uuid: Vec<u8> = (1..=16).collect();
    let written = Some("01020304-0506-0708-090a-0b0c0d0e0f10".to_owned());
    for (at, size, name) in
        [(0, 4 * MIB, "md 1.1"), (4096, 4 * MIB, "md 1.2"), (4 * MIB - 8192, 4 * MIB + 3072, "md 1.0")]
    {
        let mut bytes = disk(&[]);
        bytes.resize(size, 0);
        let mut superblock = vec![0u8; 256];
        superblock[..4].copy_from_slice(&0xA92B_4EFCu32.to_le_bytes());
        superblock[4] = 1;
        superblock[16..32].copy_from_slice(&uuid);
        superblock[32..38].copy_from_slice(b"host:0");
        superblock[144..152].copy_from_slice(&(at as u64 / 512).to_le_bytes());
        let words = superblock.as_chunks::<4>().0.iter().map(|word| u64::from(u32::from_le_bytes(*word))).sum::<u64>();
        let sum = (words as u32).wrapping_add((words >> 32) as u32);
        superblock[216..220].copy_from_slice(&sum.to_le_bytes());
        bytes[at..at + 256].copy_from_slice(&superblock);
        let found = raid::identify(&VolumeReader::whole(&bytes, 512)).unwrap();
        let expected = Identity {
            kind: VolumeKind::Raid,
            variant: name.into(),
            uuid: written.clone(),
            label: Some("host:0".into()),
        };
        assert_eq!(found, expected);
        if let Some(kind) = blkid(&bytes, "TYPE") {
            assert_eq!((kind, blkid(&bytes, "UUID")), ("linux_raid_member".to_owned(), written.clone()));
        }
        assert_kept(raid::map, &bytes, Cause::Unknown);
        // A superblock that lies elsewhere than it says belongs to a volume around this one.
        bytes[at + 144] ^= 2;
        assert!(raid::identify(&VolumeReader::whole(&bytes, 512)).is_none());
    }
    for little in [true, false] {
        let word = |value: u32| if little { value.to_le_bytes() } else { value.to_be_bytes() };
        let at = 4 * MIB - 65536;
        let mut bytes = disk(&[(at, &word(0xA92B_4EFC)), (at + 8, &word(90)), (at + 20, &word(0x0102_0304))]);
        for (number, value) in (13..).zip([0x0506_0708, 0x090A_0B0C, 0x0D0E_0F10]) {
            bytes[at + 4 * number..][..4].copy_from_slice(&word(value));
        }
        bytes.resize(4 * MIB + 8192, 0);
        let found = raid::identify(&VolumeReader::whole(&bytes, 512)).unwrap();
        assert_eq!((found.variant.as_str(), &found.uuid), ("md 0.90", &written));
        if let Some(kind) = blkid(&bytes, "TYPE") {
            assert_eq!((kind, blkid(&bytes, "UUID")), ("linux_raid_member".to_owned(), written.clone()));
        }
    }
}

#[test]
fn others() {
    let uberblock = 0x00BA_B10Cu64.to_le_bytes();
    let hfs_block = 4096u32.to_be_bytes();
    for (bytes, name, blkid_knows) in [
        (disk(&[(32, b"NXSB"), (24, &[1]), (36, &4096u32.to_le_bytes())]), "apfs", true),
        (disk(&[(1024, b"H+\0\x04"), (1064, &hfs_block)]), "hfsplus", false),
        (disk(&[(1024, &[0x10, 0x20, 0xF5, 0xF2])]), "f2fs", false),
        (disk(&[(1024, &[2, 0, 0, 0, 0, 0, 0x34, 0x34, 0x18, 1])]), "nilfs2", false),
        (disk(&[(1024, &[0xE2, 0xE1, 0xF5, 0xE0])]), "erofs", false),
        (disk(&[(0, b"hsqs"), (28, &[4])]), "squashfs", true),
        (disk(&[(0, b"\0\0\0ReFS\0")]), "ReFS", true),
        (disk(&[(65536 + 52, b"ReIsEr2Fs")]), "reiserfs", false),
        (disk(&[(32768, b"JFS1")]), "jfs", false),
        (disk(&[(32769, b"CD001")]), "iso9660", false),
        (disk(&[(65536 + 1372, &[0x19, 0x01, 0x54, 0x19])]), "ufs", true),
        (disk(&[(4096 + 24, b"\xC6\x85\x73\xF6\x4E\x1A\x45\xCA\x82\x65\xF5\x7F\x48\xBA\x6D\x81")]), "bcache", false),
        (disk(&[(4 * MIB - 1024, b"Intel Raid ISM Cfg Sig. ")]), "isw_raid_member", true),
        (disk(&[(4 * MIB - 4096 + 60, &[0x83, 0x74, 0x02, 0x6B])]), "drbd", true),
        (disk(&[(MIB, &[0x0D, 0xD0, 0x01, 0xC0])]), "VMFS_volume_member", true),
        (disk(&[(2 * MIB, &[0x5E, 0xF1, 0xAB, 0x2F])]), "VMFS", true),
        (disk(&[(3072, b"PRIVHEAD")]), "LDM", false),
        (disk(&[0, 1, 2, 3].map(|number| ((128 << 10) + number * 1024, &uberblock[..]))), "zfs_member", false),
    ] {
        let found = other::identify(&VolumeReader::whole(&bytes, 512)).unwrap_or_else(|| panic!("{name} is not known"));
        assert_eq!((found.kind, found.variant.as_str()), (VolumeKind::Other(name), name));
        assert_kept(other::map, &bytes, Cause::Unknown);
        if let Some(kind) = blkid(&bytes, "TYPE").filter(|_| blkid_knows) {
            assert_eq!(kind, name);
        }
    }
    for nothing in [disk(&[]), disk(&[(1030, &[0x34, 0x34])]), disk(&[(1024, b"H+\0\x04")]), vec![0; 3]] {
        let volume = VolumeReader::whole(&nothing, 512);
        assert!(other::identify(&volume).is_none() && raid::identify(&volume).is_none());
        assert!(encrypted::identify(&volume).is_none());
    }
}
