//! NTFS.
//!
//! Facts: the linux-ntfs project's documentation, \[MS-FSCC\] for names and limits, libvshadow's
//! documentation for shadow copies. `$Bitmap` has one bit a cluster; only a clear bit is free. What
//! lies outside of the clusters, the backup of the boot sector among it, is kept.

mod index;
mod log;
mod record;

use super::bytes::{le_u16, le_u32, le_u64};
use super::{
    Cause, DroppedFile, Drops, FreeRuns, Identity, MapOptions, MapResult, Unmapped, VolumeKind, VolumeMap, VolumeReader,
};
use crate::extent::Extent;
use crate::padding;
use record::{Content, DATA, File, Mft, REPARSE_POINT, VOLUME_INFORMATION, VOLUME_NAME};

/// How much of the bitmap is looked at in one go.
const PIECE_BYTES: u64 = 1 << 20;

/// The boot area: kept whatever the bitmap says.
const BOOT_BYTES: u64 = 8 << 10;

/// How much of `hiberfil.sys` says whether there is an image in it: one page.
const HIBERFIL_HEADER_BYTES: u64 = 4 << 10;

/// Where shadow copies have their header, and the identifier that it begins with:
/// `3808876b-c176-4e48-b7ae-04046e6cc752`.
const SHADOW_HEADER_OFFSET: u64 = 0x1E00;
const SHADOW_IDENTIFIER: [u8; 16] =
    [0x6B, 0x87, 0x08, 0x38, 0x76, 0xC1, 0x48, 0x4E, 0xB7, 0xAE, 0x04, 0x04, 0x6E, 0x6C, 0xC7, 0x52];
const SHADOW_NAME: &str = "{3808876b-c176-4e48-b7ae-04046e6cc752}";

/// Record of the root directory.
const ROOT: u64 = 5;

/// What the boot sector says. All values are checked against each other, none against the volume.
#[derive(Debug)]
struct Boot {
    cluster_bytes: u64,
    clusters: u64,
    total_bytes: u64,
    mft_lcn: u64,
    record_bytes: u64,
    serial: u64,
}

impl Boot {
    fn read(volume: &VolumeReader<'_>) -> Option<Self> {
        Self::parse(&volume.peek::<512>(0)?)
    }

    fn parse(sector: &[u8; 512]) -> Option<Self> {
        let sector_bytes = u64::from(le_u16(sector, 11)?);
        // What FAT has here is zero: reserved sectors, tables, root entries, short and long totals.
        let no_fat =
            sector[14..21].iter().all(|byte| *byte == 0) && sector[22..24] == [0; 2] && sector[32..36] == [0; 4];
        let sane = matches!(sector[..3], [0xEB, _, 0x90] | [0xE9, _, _])
            && &sector[3..11] == b"NTFS    "
            && sector[510..] == [0x55, 0xAA]
            && sector_bytes.is_power_of_two()
            && (512..=4096).contains(&sector_bytes)
            && no_fat;
        if !sane {
            return None;
        }
        let cluster_sectors = match sector[13] {
            count @ 0..=128 => u64::from(count),
            // Above 128 it is a negative power of two.
            power => 1u64.checked_shl(256 - u32::from(power))?,
        };
        let cluster_bytes = cluster_sectors.checked_mul(sector_bytes)?;
        let record_bytes = match sector[64] as i8 {
            clusters @ 1.. => u64::from(clusters.unsigned_abs()) * cluster_bytes,
            power => 1u64.checked_shl(power.unsigned_abs().into())?,
        };
        let total_sectors = le_u64(sector, 40)?;
        let total_bytes = total_sectors.checked_mul(sector_bytes).filter(|bytes| *bytes <= i64::MAX as u64)?;
        if !cluster_bytes.is_power_of_two() || cluster_bytes > 2 << 20 || !matches!(record_bytes, 1024 | 2048 | 4096) {
            return None;
        }
        let clusters = total_bytes / cluster_bytes;
        let (mft_lcn, mirror_lcn) = (le_u64(sector, 48)?, le_u64(sector, 56)?);
        let places = (1..clusters).contains(&mft_lcn) && (1..clusters).contains(&mirror_lcn);
        let serial = le_u64(sector, 72)?;
        places.then_some(Self { cluster_bytes, clusters, total_bytes, mft_lcn, record_bytes, serial })
    }
}

/// What the volume says of itself, where it is NTFS.
pub fn identify(volume: &VolumeReader<'_>) -> Option<Identity> {
    let boot = Boot::read(volume)?;
    let label = || {
        let file = Mft::open(volume, &boot).ok()?.file(3).ok()?;
        let units = file.value(VOLUME_NAME, "")?.as_chunks::<2>().0;
        let units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
        Some(String::from_utf16_lossy(&units)).filter(|label| !label.is_empty())
    };
    Some(Identity {
        kind: VolumeKind::Ntfs,
        variant: "NTFS".to_owned(),
        uuid: Some(format!("{:016X}", boot.serial)),
        label: label(),
    })
}

/// Which clusters `$Bitmap` calls free, and those of the system files to drop.
///
/// # Errors
/// Where the volume is dirty, hibernated, has shadow copies, or its metadata contradicts itself.
pub fn map(volume: &VolumeReader<'_>, options: &MapOptions) -> MapResult {
    let boot = Boot::read(volume).ok_or_else(|| Unmapped::inconsistent("its boot sector is not one of NTFS"))?;
    if boot.total_bytes > volume.bytes() {
        let why = format!("it claims {} bytes, and its place has {}", boot.total_bytes, volume.bytes());
        return Err(Unmapped::new(Cause::Truncated, why));
    }
    let mft = Mft::open(volume, &boot)?;
    check_volume_flags(&mft)?;
    check_mirror(&mft)?;
    log::check_clean(&mft)?;
    let root = mft.file(ROOT)?;
    let files = RootFiles::find(&mft, &root)?;
    check_not_hibernated(&mft, &files)?;
    check_no_shadow_copies(&mft, &files)?;

    let free = read_bitmap(&mft)?;
    let own = own_extents(&mft)?;
    if own.iter().any(|extent| free.within(*extent).next().is_some()) {
        return Err(Unmapped::inconsistent("its bitmap calls clusters of its own metadata free"));
    }
    let free = free.without(Extent::between(0, BOOT_BYTES).expect("in order"));
    let (free, dropped) = drop_files(&mft, &files, &options.drops, free, own)?;
    Ok(VolumeMap {
        free,
        block_bytes: boot.cluster_bytes as u32,
        method: format!("$Bitmap of {} clusters", boot.clusters),
        dropped,
    })
}

/// The version and the flags of `$Volume`: every known flag asks for work at the next mount.
fn check_volume_flags(mft: &Mft<'_>) -> Result<(), Unmapped> {
    let file = mft.file(3)?;
    let wrong = || Unmapped::inconsistent("$Volume has no information");
    let value = file.value(VOLUME_INFORMATION, "").filter(|value| value.len() >= 12).ok_or_else(wrong)?;
    let (version, flags) = ((value[8], value[9]), le_u16(value, 10).ok_or_else(wrong)?);
    if !matches!(version, (3, 0 | 1)) {
        return Err(Unmapped::feature(format!("its version is {}.{}, not 3.0 or 3.1", version.0, version.1)));
    }
    if flags != 0 {
        let names = [
            (0x0001, "it was not unmounted cleanly"),
            (0x0002, "its log is to be resized"),
            (0x0004, "it is to be upgraded"),
            (0x0008, "it was mounted by Windows NT 4"),
            (0x0010, "its change journal is being deleted"),
            (0x0020, "its object identifiers are to be repaired"),
            (0x4000, "chkdsk is at work"),
            (0x8000, "chkdsk has changed it"),
        ];
        let known: Vec<&str> = names.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, name)| *name).collect();
        let why = format!("$Volume has the flags {flags:04X}h: {}", known.join(", "));
        return Err(Unmapped::new(Cause::Dirty, why));
    }
    Ok(())
}

/// The copy of the first four records says the same.
fn check_mirror(mft: &Mft<'_>) -> Result<(), Unmapped> {
    let file = mft.file(1)?;
    let mirror = file.plain_stream(DATA, "", "$MFTMirr")?;
    for number in 0..4 {
        let offset = number * mft.boot.record_bytes;
        let what = format!("record {number} of $MFTMirr");
        let mut copy = mirror.read(mft.volume, mft.boot, offset, mft.boot.record_bytes)?;
        let mut original = mft.bytes(number)?;
        for bytes in [&mut copy, &mut original] {
            record::fix_up(bytes, b"FILE", &what)?;
            // The sequence number of the last write may differ.
            let array_at = usize::from(le_u16(bytes, 4).unwrap_or(0));
            bytes.get_mut(array_at..array_at + 2).into_iter().flatten().for_each(|byte| *byte = 0);
        }
        let used = le_u32(&original, 24).unwrap_or(0) as usize;
        if copy.get(..used) != original.get(..used) && !cfg!(fuzzing) {
            return Err(Unmapped::inconsistent(format!("{what} differs from the MFT's")));
        }
    }
    Ok(())
}

/// References to the files of the root directory that matter here.
#[derive(Debug, Default)]
struct RootFiles {
    hiberfil: Option<u64>,
    pagefile: Option<u64>,
    swapfile: Option<u64>,
    volume_information: Option<u64>,
}

impl RootFiles {
    fn find(mft: &Mft<'_>, root: &File) -> Result<Self, Unmapped> {
        let mut found = Self::default();
        index::walk(mft, root, &mut |name, reference| {
            let places = [
                ("hiberfil.sys", &mut found.hiberfil),
                ("pagefile.sys", &mut found.pagefile),
                ("swapfile.sys", &mut found.swapfile),
                ("System Volume Information", &mut found.volume_information),
            ];
            for (wanted, place) in places {
                if name.eq_ignore_ascii_case(wanted) {
                    *place = Some(reference);
                }
            }
        })?;
        Ok(found)
    }
}

/// The file that a directory entry refers to.
fn referred(mft: &Mft<'_>, reference: u64) -> Result<File, Unmapped> {
    let (number, sequence) = record::reference(reference);
    let file = mft.file(number)?;
    if file.sequence != sequence {
        return Err(Unmapped::inconsistent("a directory entry refers to a file that is no longer there"));
    }
    Ok(file)
}

/// ntfs-3g's rule: only a first page of zeros means that there is no memory image.
fn check_not_hibernated(mft: &Mft<'_>, files: &RootFiles) -> Result<(), Unmapped> {
    let hibernated = |why: &str| Unmapped::new(Cause::Hibernated, format!("hiberfil.sys {why}"));
    let Some(reference) = files.hiberfil else { return Ok(()) };
    let file = referred(mft, reference)?;
    match file.attribute(DATA, "").map(|data| (&data.content, data.flags)) {
        Some((Content::Stream(stream), 0)) if stream.data_bytes >= HIBERFIL_HEADER_BYTES => {
            let header = stream.read(mft.volume, mft.boot, 0, HIBERFIL_HEADER_BYTES)?;
            if !padding::is_zero(&header) {
                return Err(hibernated("holds a memory image: Windows is hibernated, or shut down with fast startup"));
            }
            Ok(())
        }
        _ => Err(hibernated("is not of a form that tells whether it holds a memory image")),
    }
}

/// Shadow copies need the content of clusters that were freed after them.
fn check_no_shadow_copies(mft: &Mft<'_>, files: &RootFiles) -> Result<(), Unmapped> {
    let snapshots = || Unmapped::new(Cause::Snapshots, "it has shadow copies, which depend on freed clusters");
    let header = mft.volume.read(SHADOW_HEADER_OFFSET, 128)?;
    if header.starts_with(&SHADOW_IDENTIFIER) && le_u64(&header, 48) != Some(0) {
        return Err(snapshots());
    }
    let Some(reference) = files.volume_information else { return Ok(()) };
    let mut found = false;
    index::walk(mft, &referred(mft, reference)?, &mut |name, _| {
        // `{GUID of the copy}{SHADOW_NAME}`; the name alone is that of an empty catalog.
        let name = name.to_ascii_lowercase();
        found |= name.starts_with('{') && name.len() > SHADOW_NAME.len() && name.ends_with(SHADOW_NAME);
    })?;
    if found { Err(snapshots()) } else { Ok(()) }
}

fn read_bitmap(mft: &Mft<'_>) -> Result<FreeRuns, Unmapped> {
    let file = mft.file(6)?;
    let bitmap = file.plain_stream(DATA, "", "$Bitmap")?;
    let needed = mft.boot.clusters.div_ceil(8);
    if bitmap.initialized_bytes < needed {
        let why = format!("$Bitmap has {} bytes, and its clusters need {needed}", bitmap.initialized_bytes);
        return Err(Unmapped::inconsistent(why));
    }
    let mut free = FreeRuns::builder(mft.boot.total_bytes);
    for at in (0..needed).step_by(PIECE_BYTES as usize) {
        let bits = bitmap.read(mft.volume, mft.boot, at, PIECE_BYTES.min(needed - at))?;
        let units = (bits.len() as u64 * 8).min(mft.boot.clusters - at * 8);
        free.push_clear_bits(&bits, units, at * 8, mft.boot.cluster_bytes)?;
    }
    Ok(free.finish())
}

/// Where the system files lie, in order.
fn own_extents(mft: &Mft<'_>) -> Result<Vec<Extent>, Unmapped> {
    let mut own = Vec::new();
    // Records 12 to 15 are reserved; a part of the MFT may be among them.
    for number in 0..16 {
        if number >= 12 && !mft.is_file(number)? {
            continue;
        }
        own.extend(mft.file(number)?.streams().flat_map(|stream| stream.extents(mft.boot)));
    }
    let boot = mft.file(7)?;
    let boot = boot.plain_stream(DATA, "", "$Boot")?;
    if boot.runs.first().and_then(|run| run.lcn) != Some(0) {
        return Err(Unmapped::inconsistent("$Boot does not begin with the boot sector"));
    }
    disjoint(own)
}

/// In order, or an error where two overlap.
fn disjoint(mut extents: Vec<Extent>) -> Result<Vec<Extent>, Unmapped> {
    extents.sort_unstable();
    if extents.array_windows().any(|[extent, next]| extent.end() > next.offset()) {
        return Err(Unmapped::inconsistent("clusters belong to two system files"));
    }
    Ok(extents)
}

/// Adds the content of the files to drop to what is free.
///
/// Only of a file with one name whose content lies in the volume as it is, and is neither free nor a
/// system file's. Of `hiberfil.sys` the first clusters stay: they say that it holds no image.
fn drop_files(
    mft: &Mft<'_>,
    files: &RootFiles,
    drops: &Drops,
    free: FreeRuns,
    mut used: Vec<Extent>,
) -> Result<(FreeRuns, Vec<DroppedFile>), Unmapped> {
    let wanted = [
        ("hiberfil.sys", files.hiberfil, drops.hiberfil, HIBERFIL_HEADER_BYTES),
        ("pagefile.sys", files.pagefile, drops.pagefile, 0),
        ("swapfile.sys", files.swapfile, drops.pagefile, 0),
    ];
    let mut dropped = Vec::new();
    let mut all = FreeRuns::builder(mft.boot.total_bytes);
    for run in free.iter() {
        all.push(run.offset(), run.len())?;
    }
    for (name, reference, asked, kept_bytes) in wanted {
        let Some(reference) = reference.filter(|_| asked) else { continue };
        let file = referred(mft, reference)?;
        let stream = match file.attribute(DATA, "").map(|data| (&data.content, data.flags)) {
            Some((Content::Stream(stream), 0)) if stream.is_whole() => stream,
            _ => continue,
        };
        if file.links != 1 || file.is_directory || file.attribute(REPARSE_POINT, "").is_some() {
            continue;
        }
        let extents: Vec<Extent> = stream.extents(mft.boot).collect();
        if extents.iter().any(|extent| free.within(*extent).next().is_some()) {
            return Err(Unmapped::inconsistent(format!("its bitmap calls clusters of {name} free")));
        }
        used.extend(&extents);
        used = disjoint(used)?;
        let mut kept_clusters = kept_bytes.next_multiple_of(mft.boot.cluster_bytes);
        let mut bytes = 0;
        for extent in extents {
            let kept = kept_clusters.min(extent.len());
            kept_clusters -= kept;
            all.push(extent.offset() + kept, extent.len() - kept)?;
            bytes += extent.len() - kept;
        }
        if bytes > 0 {
            dropped.push(DroppedFile { name: name.to_owned(), bytes });
        }
    }
    Ok((all.finish(), dropped))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sector() -> [u8; 512] {
        let mut sector = [0; 512];
        sector[..11].copy_from_slice(b"\xEB\x52\x90NTFS    ");
        (sector[12], sector[13], sector[42], sector[48], sector[56], sector[64]) = (2, 8, 1, 4, 2, 0xF6);
        sector[510..].copy_from_slice(&[0x55, 0xAA]);
        sector
    }

    #[test]
    fn boot_sectors() {
        let boot = Boot::parse(&sector()).unwrap();
        assert_eq!((boot.cluster_bytes, boot.clusters, boot.record_bytes, boot.mft_lcn), (4096, 8192, 1024, 4));
        let mut large = sector();
        large[13] = 0xF4;
        assert_eq!(Boot::parse(&large).unwrap().cluster_bytes, 2 << 20);
        for (at, byte) in [
            (3, 0),
            (13, 0),
            (13, 3),
            (13, 0xF3),
            (13, 0x81),
            (14, 1),
            (42, 0),
            (49, 0xFF),
            (64, 0),
            (64, 0x80),
            (66, 0),
        ] {
            let mut sector = sector();
            sector[at] = byte;
            assert_eq!(Boot::parse(&sector).is_some(), at == 66, "{byte} at {at}");
        }
    }

    #[test]
    fn overlaps_are_found() {
        let extent = |from, to| Extent::between(from, to).unwrap();
        assert!(disjoint(vec![extent(5, 9), extent(0, 5)]).is_ok());
        assert!(disjoint(vec![extent(5, 9), extent(0, 6)]).is_err());
    }
}
