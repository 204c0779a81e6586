//! `$LogFile`: whether a mount has anything to recover.

use super::record::{DATA, File, Mft, fix_up};
use crate::padding;
use crate::volume::bytes::{le_u16, le_u32, le_u64};
use crate::volume::{Cause, Unmapped};

/// How much of an empty log is looked at in one go.
const PIECE_BYTES: u64 = 1 << 20;

/// Bytes of one record of a log client.
const CLIENT_BYTES: usize = 160;

/// No log client.
const NO_CLIENT: u16 = 0xFFFF;

/// Flag of a restart area: the volume was unmounted cleanly.
const VOLUME_IS_CLEAN: u16 = 2;

fn dirty(why: &str) -> Unmapped {
    Unmapped::new(Cause::Dirty, format!("{why}; a mount in Windows, or chkdsk, repairs that"))
}

/// A restart page: the log begins with two of them, and the one with the greater sequence number
/// counts.
struct Restart {
    page_bytes: u64,
    sequence: u64,
    clean: bool,
    version: (u16, u16),
}

impl Restart {
    fn read(mft: &Mft<'_>, log: &File, offset: u64) -> Result<Self, Unmapped> {
        let stream = log.plain_stream(DATA, "", "$LogFile")?;
        let head = stream.read(mft.volume, mft.boot, offset, 512)?;
        if !head.starts_with(b"RSTR") {
            return Err(dirty("its log has no restart page where one has to be"));
        }
        let wrong = || dirty("a restart page of its log is broken");
        let page_bytes = u64::from(le_u32(&head, 16).ok_or_else(wrong)?);
        if !page_bytes.is_power_of_two() || !(512..=64 << 10).contains(&page_bytes) {
            return Err(wrong());
        }
        let mut page = stream.read(mft.volume, mft.boot, offset, page_bytes)?;
        fix_up(&mut page, b"RSTR", "a restart page").map_err(|_| wrong())?;
        Self::fields(&page).ok_or_else(wrong)
    }

    fn fields(page: &[u8]) -> Option<Self> {
        let array_end = usize::from(le_u16(page, 4)?) + 2 * usize::from(le_u16(page, 6)?);
        let area_at = usize::from(le_u16(page, 24)?);
        let area = page.get(area_at..)?;
        let (clients, client) = (le_u16(area, 8)?, le_u16(area, 12)?);
        let (area_bytes, clients_at) = (usize::from(le_u16(area, 20)?), usize::from(le_u16(area, 22)?));
        let sane = area_at.is_multiple_of(8)
            && area_at >= array_end
            && clients_at >= 48
            && clients_at + CLIENT_BYTES * usize::from(clients) <= area_bytes
            && area_bytes <= area.len()
            && (client == NO_CLIENT || client < clients);
        sane.then_some(Self {
            page_bytes: page.len() as u64,
            sequence: le_u64(area, 0)?,
            clean: client == NO_CLIENT || le_u16(area, 14)? & VOLUME_IS_CLEAN != 0,
            version: (le_u16(page, 28)?, le_u16(page, 26)?),
        })
    }
}

/// That there is nothing to replay: an empty log, as mkntfs and ntfs-3g leave it, or one whose last
/// restart area says so.
pub(super) fn check_clean(mft: &Mft<'_>) -> Result<(), Unmapped> {
    let log = mft.file(2)?;
    let stream = log.plain_stream(DATA, "", "$LogFile")?;
    let first = stream.read(mft.volume, mft.boot, 0, 4)?;
    if first == [0xFF; 4] {
        for at in (0..stream.data_bytes).step_by(PIECE_BYTES as usize) {
            let mut piece = stream.read(mft.volume, mft.boot, at, PIECE_BYTES.min(stream.data_bytes - at))?;
            piece.iter_mut().for_each(|byte| *byte = !*byte);
            if !padding::is_zero(&piece) {
                return Err(dirty("its log is neither empty nor begun"));
            }
        }
        return Ok(());
    }
    let first = Restart::read(mft, &log, 0)?;
    let second = Restart::read(mft, &log, first.page_bytes)?;
    // Version 2 is what fast startup leaves: Windows has metadata in its memory image.
    if [&first, &second].iter().any(|page| page.version != (1, 1)) {
        return Err(dirty("its log is of a version that a full shutdown does not leave"));
    }
    let last = first.sequence.max(second.sequence);
    if [&first, &second].iter().any(|page| page.sequence == last && !page.clean) {
        return Err(dirty("it was not unmounted cleanly: its log has changes to repeat"));
    }
    Ok(())
}
