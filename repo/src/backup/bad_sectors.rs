//! Bad sectors: reading on where the medium fails.

use crate::error::Result;
use std::io;
use std::ops::Range;

/// After a read error it goes on over this many bytes, sector by sector.
const RETRY_BYTES: usize = 64 << 10;

/// Reads at an offset into a buffer: how many bytes came, or `None` for a bad place.
pub(super) type ReadSector<'a> = dyn FnMut(u64, &mut [u8]) -> Result<Option<usize>> + 'a;

/// Errors that say that this place of the medium cannot be read, and others may.
pub(super) fn is_medium_error(error: &io::Error) -> bool {
    // EIO, ENODATA (the kernel's word for a critical medium error), EILSEQ, EREMOTEIO.
    matches!(error.raw_os_error(), Some(5 | 61 | 84 | 121))
}

/// Reads on over a bad place, sector by sector; what stays unreadable is zeros in `buffer` and named in
/// the answer, as ranges of `buffer`. `read` gives `None` for a bad place and 0 at the end. Sectors
/// that failed are tried again `passes` times, from behind and from the front by turns: heads that come
/// from another side, and a drive that had time to settle, read what failed before. The answer also
/// says how far it came: [`RETRY_BYTES`], or less at the end.
pub(super) fn read_around(
    offset: u64,
    buffer: &mut [u8],
    sector_bytes: usize,
    passes: u32,
    read: &mut ReadSector<'_>,
) -> Result<(usize, Vec<Range<usize>>)> {
    let sector = sector_bytes.clamp(512, RETRY_BYTES);
    let step = buffer.len().min(RETRY_BYTES);
    let mut bad: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while at < step {
        // The rest of the sector that `offset` lies in, then whole sectors.
        let in_sector = ((offset + at as u64) % sector as u64) as usize;
        let end = (at + sector - in_sector).min(step);
        match read(offset + at as u64, &mut buffer[at..end])? {
            Some(0) => {
                bad.retain(|range| range.end <= at);
                return Ok((at.max(1).min(step), joined(bad)));
            }
            Some(read) => at += read,
            None => {
                buffer[at..end].fill(0);
                bad.push(at..end);
                at = end;
            }
        }
    }
    for pass in 0..passes {
        if bad.is_empty() {
            break;
        }
        if pass % 2 == 0 {
            bad.reverse();
        }
        let mut still = Vec::new();
        for range in bad {
            let mut done = range.start;
            while done < range.end {
                match read(offset + done as u64, &mut buffer[done..range.end])? {
                    Some(read) if read > 0 => done += read,
                    _ => break,
                }
            }
            if done < range.end {
                buffer[done..range.end].fill(0);
                still.push(done..range.end);
            }
        }
        bad = still;
        bad.sort_by_key(|range| range.start);
    }
    Ok((step, joined(bad)))
}

/// Ranges that touch become one.
fn joined(ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk of bytes 1 where each sector of `bad` fails as often as it says.
    fn rescue(bad: &[(u64, u32)], passes: u32) -> Vec<Range<usize>> {
        let mut left: std::collections::HashMap<u64, u32> = bad.iter().copied().collect();
        let mut buffer = vec![9; RETRY_BYTES + 512];
        let mut read = |offset: u64, buffer: &mut [u8]| {
            let sector = offset / 512;
            if let Some(times) = left.get_mut(&sector).filter(|times| **times > 0) {
                *times -= 1;
                return Ok(None);
            }
            buffer.fill(1);
            Ok(Some(buffer.len()))
        };
        let (passed, unreadable) = read_around(0, &mut buffer, 512, passes, &mut read).unwrap();
        assert_eq!(passed, RETRY_BYTES);
        for (at, byte) in buffer[..passed].iter().enumerate() {
            let is_bad = unreadable.iter().any(|range| range.contains(&at));
            assert_eq!(*byte, u8::from(!is_bad), "byte {at}");
        }
        unreadable
    }

    #[test]
    fn passes_rescue_what_reads_at_last() {
        let bad = [(3, 1), (4, 2), (5, 100), (90, 3)];
        assert_eq!(rescue(&bad, 0), [3 * 512..6 * 512, 90 * 512..91 * 512]);
        assert_eq!(rescue(&bad, 1), [4 * 512..6 * 512, 90 * 512..91 * 512]);
        assert_eq!(rescue(&bad, 2), [5 * 512..6 * 512, 90 * 512..91 * 512]);
        assert_eq!(rescue(&bad, 3), vec![2560..3072]);
        assert_eq!(rescue(&[], 3), Vec::<Range<usize>>::new());
    }
}
