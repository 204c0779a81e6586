//! Linux swap: pages hold nothing once the system is down, unless it hibernated.
//!
//! Sources: Linux: include/linux/swap.h (`union swap_header`); mkswap(8); util-linux: libblkid.

use super::bytes::{array, be_u32, label, le_u32, uuid};
use super::{Cause, FreeRuns, Identity, MapOptions, MapResult, Unmapped, VolumeKind, VolumeMap, VolumeReader};

/// Sizes of pages, in bytes, that processors have; the signature ends the first page.
const PAGE_BYTES: [u64; 5] = [4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10];
const SIGNATURE_BYTES: u64 = 10;
/// Kept from the start, in bytes: the header, and where a boot loader may be.
const KEPT_BYTES: u64 = 64 << 10;
/// TuxOnIce's, in the place of the signature or at the volume's start.
const TUX_ON_ICE: [u8; 8] = [0xED, 0xC3, 0x02, 0xE9, 0x98, 0x56, 0xE5, 0x0C];

/// What a signature says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The version before 1996, with a bitmap of pages.
    Old,
    Current,
    /// It holds a memory image.
    Hibernated,
}

impl Form {
    fn of(signature: &[u8; SIGNATURE_BYTES as usize]) -> Option<Self> {
        const HIBERNATED: [&[u8]; 5] = [b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND", b"LINHIB0001", &TUX_ON_ICE];
        match signature {
            b"SWAPSPACE2" => Some(Self::Current),
            b"SWAP-SPACE" => Some(Self::Old),
            other => HIBERNATED.iter().any(|known| other.starts_with(known)).then_some(Self::Hibernated),
        }
    }
}

struct Header {
    form: Form,
    page_bytes: u64,
    version: u32,
    last_page: u32,
    bad_pages: u32,
    uuid: [u8; 16],
    label: [u8; 16],
}

impl Header {
    /// The header behind the first signature that is found; hibernation before all.
    fn read(volume: &VolumeReader<'_>) -> Option<Self> {
        let form_at =
            |page_bytes: u64| Form::of(&volume.peek(page_bytes - SIGNATURE_BYTES)?).map(|form| (form, page_bytes));
        let mut found = PAGE_BYTES.into_iter().filter_map(form_at);
        let (mut form, page_bytes) = found.next()?;
        let is_hibernated = found.any(|(form, _)| form == Form::Hibernated);
        if is_hibernated || volume.peek::<8>(0)? == TUX_ON_ICE {
            form = Form::Hibernated;
        }
        // Numbers are in the order of the machine that made it; the version is 1.
        let raw = volume.peek::<44>(1024)?;
        let number = if le_u32(&raw, 0)? == 1 { le_u32 } else { be_u32 };
        Some(Self {
            form,
            page_bytes,
            version: number(&raw, 0)?,
            last_page: number(&raw, 4)?,
            bad_pages: number(&raw, 8)?,
            uuid: array(&raw, 12)?,
            label: array(&raw, 28)?,
        })
    }
}

/// Knows the volume by the signature at the end of its first page.
pub fn identify(volume: &VolumeReader<'_>) -> Option<Identity> {
    let header = Header::read(volume)?;
    let is_current = header.version == 1 && header.form != Form::Old;
    if !is_current && header.form == Form::Current {
        return None;
    }
    let variant = if header.form == Form::Hibernated { "swsuspend" } else { "swap" };
    Some(Identity {
        kind: VolumeKind::Swap,
        variant: variant.to_owned(),
        uuid: uuid(header.uuid).filter(|_| is_current),
        label: label(&header.label).filter(|_| is_current),
    })
}

/// All pages that the header lets the system use.
///
/// # Errors
/// Where it holds a memory image, has bad pages, or is not what mkswap makes.
pub fn map(volume: &VolumeReader<'_>, _options: &MapOptions) -> MapResult {
    let header = Header::read(volume).ok_or_else(|| Unmapped::inconsistent("it has no header of a swap area"))?;
    match header.form {
        Form::Hibernated => return Err(Unmapped::new(Cause::Hibernated, "it holds the memory of a hibernated system")),
        Form::Old => return Err(Unmapped::feature("it is a swap area of the old version")),
        Form::Current if header.version != 1 => {
            return Err(Unmapped::feature("it is a swap area of a version that is not known"));
        }
        Form::Current => {}
    }
    if header.bad_pages != 0 {
        return Err(Unmapped::feature(format!("it has a list of {} bad pages", header.bad_pages)));
    }
    if header.last_page == 0 {
        return Err(Unmapped::inconsistent("it is a swap area without pages"));
    }
    let end = (u64::from(header.last_page) + 1) * header.page_bytes;
    if end > volume.bytes() {
        let why = format!("it has {end} bytes, and its place has {}", volume.bytes());
        return Err(Unmapped::new(Cause::Truncated, why));
    }
    let mut free = FreeRuns::builder(volume.bytes());
    free.push(KEPT_BYTES.min(end), end.saturating_sub(KEPT_BYTES))?;
    Ok(VolumeMap {
        free: free.finish(),
        block_bytes: header.page_bytes as u32,
        method: format!("{} pages of swap", header.last_page),
        dropped: Vec::new(),
    })
}
