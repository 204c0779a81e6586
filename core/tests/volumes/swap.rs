//! Linux swap.

use crate::support::{ImageFile, can, run};
use holotype_core::volume::swap::{identify, map};
use holotype_core::volume::{Cause, MapOptions, MapResult, VolumeReader};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

fn map_of(disk: &Vec<u8>) -> MapResult {
    map(&VolumeReader::whole(disk, 512), &MapOptions::default())
}

fn mkswap(folder: &TempDir, arguments: &str) -> Option<ImageFile> {
    if !can(&["mkswap", "blkid"]) {
        return None;
    }
    let image = ImageFile::create(&folder.path().join("image"), 5 * MIB + 512);
    fs::set_permissions(&image.path, fs::Permissions::from_mode(0o600)).unwrap();
    let mut all: Vec<&OsStr> = arguments.split_whitespace().map(OsStr::new).collect();
    all.push(image.path.as_os_str());
    run("mkswap", &all);
    Some(image)
}

fn blkid_tag(image: &ImageFile, tag: &str) -> String {
    let arguments = ["-p", "-o", "value", "-s", tag].map(OsStr::new);
    run("blkid", &[&arguments[..], &[image.path.as_os_str()]].concat()).trim_end_matches('\n').to_owned()
}

#[test]
fn pages_of_every_size_are_free() {
    let folder = tempfile::tempdir().unwrap();
    for page_bytes in [4096u64, 8192, 16384, 32768, 65536] {
        let Some(image) = mkswap(&folder, &format!("-L swäp -p {page_bytes}")) else { return };
        let bytes = fs::read(&image.path).unwrap();
        let found = map_of(&bytes).unwrap();
        let runs: Vec<_> = found.free.iter().map(|run| (run.offset(), run.end())).collect();
        assert_eq!(runs, [(65536, 5 * MIB / page_bytes * page_bytes)]);
        assert_eq!(u64::from(found.block_bytes), page_bytes);
        let identity = identify(&VolumeReader::whole(&bytes, 512)).unwrap();
        assert_eq!(identity.variant, blkid_tag(&image, "TYPE"));
        assert_eq!(identity.uuid.unwrap(), blkid_tag(&image, "UUID"));
        assert_eq!(identity.label.unwrap(), blkid_tag(&image, "LABEL"));
        // Where every free byte is another, it is the same swap area.
        let copy = image.scrambled_copy(&found.free, 3);
        assert_eq!(blkid_tag(&copy, "UUID"), blkid_tag(&image, "UUID"));
        assert_eq!(map_of(&fs::read(&copy.path).unwrap()).unwrap(), found);
        assert_eq!(bytes, fs::read(&image.path).unwrap(), "mapping changed the image");

        // The other byte order.
        let mut big = bytes.clone();
        big[1024..1036].as_chunks_mut::<4>().0.iter_mut().for_each(|word| word.reverse());
        assert_eq!(map_of(&big).unwrap(), found);

        // Memory images.
        let signature = page_bytes as usize - 10;
        let tux_on_ice = b"\xED\xC3\x02\xE9\x98\x56\xE5\x0C";
        let known: [&[u8]; 5] = [b"S1SUSPEND\0", b"S2SUSPEND\0", b"ULSUSPEND\0", b"LINHIB0001", tux_on_ice];
        for magic in known {
            let mut hibernated = bytes.clone();
            hibernated[signature..][..magic.len()].copy_from_slice(magic);
            assert_eq!(map_of(&hibernated).unwrap_err().cause, Cause::Hibernated);
            let identity = identify(&VolumeReader::whole(&hibernated, 512)).unwrap();
            assert_eq!(identity.variant, "swsuspend");
        }
        let mut hibernated = bytes.clone();
        hibernated[..8].copy_from_slice(tux_on_ice);
        assert_eq!(map_of(&hibernated).unwrap_err().cause, Cause::Hibernated);
    }
}

#[test]
fn what_is_not_as_mkswap_makes_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = mkswap(&folder, "") else { return };
    let good = fs::read(&image.path).unwrap();
    let cause_with = |at: usize, value: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        map_of(&bytes).unwrap_err().cause
    };
    assert_eq!(cause_with(1024, &[2]), Cause::Feature);
    assert_eq!(cause_with(4096 - 10, b"SWAP-SPACE"), Cause::Feature);
    assert_eq!(cause_with(4096 - 10, b"SWAPSPACE3"), Cause::Inconsistent);
    assert_eq!(cause_with(1028, &[0, 0, 0, 0]), Cause::Inconsistent);
    assert_eq!(cause_with(1028, &1280u32.to_le_bytes()), Cause::Truncated);
    assert_eq!(cause_with(1028, &[0xFF; 4]), Cause::Truncated);
    assert_eq!(cause_with(1032, &[1]), Cause::Feature);
    assert_eq!(map_of(&good[..MIB as usize].to_vec()).unwrap_err().cause, Cause::Truncated);
    assert!(identify(&VolumeReader::whole(&good[..4095].to_vec(), 512)).is_none());
    // Where the area ends earlier, what is behind it is kept.
    let mut short = good.clone();
    short[1028..1032].copy_from_slice(&99u32.to_le_bytes());
    assert_eq!(map_of(&short).unwrap().free.as_slice().last().unwrap().end(), 100 * 4096);
    short[1028..1032].copy_from_slice(&5u32.to_le_bytes());
    assert!(map_of(&short).unwrap().free.is_empty());
}
