//! Boot sector and FSInfo.
//!
//! | offset | bytes | field | value |
//! |---|---|---|---|
//! | 0 | 3 | jump to the code | `EB 3C 90` (FAT12/16), `EB 58 90` (FAT32) |
//! | 3 | 8 | written by | `HOLOTYPE` |
//! | 11 | 2 | bytes a sector | 512 |
//! | 13 | 1 | sectors a cluster | |
//! | 14 | 2 | reserved sectors | |
//! | 16 | 1 | tables | 2 |
//! | 17 | 2 | entries of the root folder | 512; FAT32: 0 |
//! | 19 | 2 | sectors, where they fit | else 0 |
//! | 21 | 1 | medium | F8 |
//! | 22 | 2 | sectors a table | FAT32: 0 |
//! | 24 | 2, 2 | sectors a track, heads | 63, 255 |
//! | 28 | 4 | sectors before the volume | |
//! | 32 | 4 | sectors, where offset 19 has 0 | |
//! | 36 | 4 | FAT32: sectors a table | |
//! | 44 | 4 | FAT32: first cluster of the root folder | 2 |
//! | 48 | 2, 2 | FAT32: sectors of FSInfo and of the copy of this sector | 1, 6 |
//! | 36 (64) | 3 | drive, 0, signature | 80 00 29 |
//! | 39 (67) | 4 | volume id | |
//! | 43 (71) | 11 | label | |
//! | 54 (82) | 8 | `FAT12   `, `FAT16   `, `FAT32   ` | |
//! | 62 (90) | | code: `int 18h`, then nothing more: it is no medium to boot by itself | CD 18 EB FE |
//! | 510 | 2 | signature | 55 AA |
//!
//! In brackets: FAT32. FSInfo (FAT32): `RRaA` at 0, `rrAa` at 484, free clusters at 488, next free at 492, 55 AA at 510.

use super::geometry::{FatKind, Geometry, ROOT_ENTRIES};

fn put<const BYTES: usize>(sector: &mut [u8; 512], offset: usize, bytes: [u8; BYTES]) {
    sector[offset..offset + BYTES].copy_from_slice(&bytes);
}

/// Low 16 bits; callers have checked that there are no more.
fn low16(value: u64) -> [u8; 2] {
    (value as u16).to_le_bytes()
}

/// Low 32 bits; callers have checked that there are no more.
fn low32(value: u64) -> [u8; 4] {
    (value as u32).to_le_bytes()
}

pub fn boot_sector(geometry: &Geometry, hidden_sectors: u64, volume_id: u32, label: &[u8; 11]) -> [u8; 512] {
    let mut sector = [0; 512];
    let is_32 = geometry.kind == FatKind::Fat32;
    put(&mut sector, 0, if is_32 { [0xeb, 0x58, 0x90] } else { [0xeb, 0x3c, 0x90] });
    put(&mut sector, 3, *b"HOLOTYPE");
    put(&mut sector, 11, 512_u16.to_le_bytes());
    sector[13] = geometry.cluster_sectors as u8;
    put(&mut sector, 14, low16(geometry.reserved_sectors));
    sector[16] = 2;
    sector[21] = 0xf8;
    put(&mut sector, 24, 63_u16.to_le_bytes());
    put(&mut sector, 26, 255_u16.to_le_bytes());
    put(&mut sector, 28, low32(hidden_sectors));
    match geometry.sectors {
        sectors @ 0..=0xffff if !is_32 => put(&mut sector, 19, low16(sectors)),
        sectors => put(&mut sector, 32, low32(sectors)),
    }
    let name = match geometry.kind {
        FatKind::Fat12 => *b"FAT12   ",
        FatKind::Fat16 => *b"FAT16   ",
        FatKind::Fat32 => *b"FAT32   ",
    };
    let rest = if is_32 {
        put(&mut sector, 36, low32(geometry.table_sectors));
        put(&mut sector, 44, 2_u32.to_le_bytes());
        put(&mut sector, 48, 1_u16.to_le_bytes());
        put(&mut sector, 50, 6_u16.to_le_bytes());
        64
    } else {
        put(&mut sector, 17, low16(ROOT_ENTRIES));
        put(&mut sector, 22, low16(geometry.table_sectors));
        36
    };
    put(&mut sector, rest, [0x80, 0, 0x29]);
    put(&mut sector, rest + 3, volume_id.to_le_bytes());
    put(&mut sector, rest + 7, *label);
    put(&mut sector, rest + 18, name);
    put(&mut sector, rest + 26, [0xcd, 0x18, 0xeb, 0xfe]);
    put(&mut sector, 510, [0x55, 0xaa]);
    sector
}

pub fn fs_info(free_clusters: u64, next_free: u64) -> [u8; 512] {
    let mut sector = [0; 512];
    put(&mut sector, 0, *b"RRaA");
    put(&mut sector, 484, *b"rrAa");
    put(&mut sector, 488, low32(free_clusters));
    put(&mut sector, 492, low32(next_free));
    put(&mut sector, 510, [0x55, 0xaa]);
    sector
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_sector_stays() {
        let geometry = Geometry::of_volume(40_960).unwrap();
        let sector = boot_sector(&geometry, 2048, 0x1234_5678, b"HOLOTYPE   ");
        assert_eq!(
            hex(&sector[..66]),
            "eb3c90484f4c4f5459504500020404000200020 0a0f828003f00ff0000080000000000008000297856341248\
             4f4c4f545950452020204641543136202020cd18ebfe"
                .replace(' ', "")
        );
        let large = boot_sector(&Geometry::of_volume(1 << 21).unwrap(), 0, 7, b"HOLODATA   ");
        assert_eq!(
            hex(&large[..94]),
            "eb5890484f4c4f545950450002082000020000 0000f800003f00ff000000000000002000000800000000000002000000010006 00\
             000000000000000000000000800029070000 00484f4c4f4441544120202046415433322020 20cd18ebfe"
                .replace(' ', "")
        );
        assert!(sector.ends_with(&[0x55, 0xaa]) && large.ends_with(&[0x55, 0xaa]));
    }
}
