//! Descriptors and records of ISO 9660 (ECMA-119) and El Torito 1.0. Dates are 1980-01-01, 00:00 UTC.

/// Numbers as ISO 9660 has them: least byte first, then the same most byte first.
pub fn both32(value: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&value.to_le_bytes());
    bytes[4..].copy_from_slice(&value.to_be_bytes());
    bytes
}

fn both16(value: u16) -> [u8; 4] {
    let (low, high) = (value.to_le_bytes(), value.to_be_bytes());
    [low[0], low[1], high[0], high[1]]
}

/// A folder's record (ECMA-119, 9.1): 0 length, 2 sector, 10 bytes, 18 date, 25 flags, 28 volume, 32 length of the
/// name, 33 name, a zero where the length would be odd.
pub fn record(name: &[u8], sector: u32, bytes: u32, is_folder: bool) -> Vec<u8> {
    let mut record = vec![0; 2];
    record.extend(both32(sector));
    record.extend(both32(bytes));
    record.extend([80, 1, 1, 0, 0, 0, 0, if is_folder { 2 } else { 0 }, 0, 0]);
    record.extend(both16(1));
    record.push(name.len() as u8);
    record.extend(name);
    if record.len() % 2 == 1 {
        record.push(0);
    }
    record[0] = record.len() as u8;
    record
}

/// A path table's record (ECMA-119, 9.4).
pub fn path_record(name: &[u8], sector: u32, above: u16, most_first: bool) -> Vec<u8> {
    let mut record = vec![name.len() as u8, 0];
    match most_first {
        true => record.extend(sector.to_be_bytes().into_iter().chain(above.to_be_bytes())),
        false => record.extend(sector.to_le_bytes().into_iter().chain(above.to_le_bytes())),
    }
    record.extend(name);
    if name.len() % 2 == 1 {
        record.push(0);
    }
    record
}

fn descriptor(kind: u8) -> Vec<u8> {
    let mut sector = vec![0; 2048];
    sector[0] = kind;
    sector[1..6].copy_from_slice(b"CD001");
    sector[6] = 1;
    sector
}

/// The primary volume descriptor (ECMA-119, 8.4). `root` is the root folder's record.
pub fn primary(volume: &str, sectors: u32, path_table_bytes: u32, path_tables: [u32; 2], root: &[u8]) -> Vec<u8> {
    let mut sector = descriptor(1);
    let mut put = |at: usize, bytes: &[u8]| sector[at..at + bytes.len()].copy_from_slice(bytes);
    put(8, &[b' '; 64]);
    put(40, volume.as_bytes());
    put(80, &both32(sectors));
    for at in [120, 124] {
        put(at, &both16(1));
    }
    put(128, &both16(2048));
    put(132, &both32(path_table_bytes));
    put(140, &path_tables[0].to_le_bytes());
    put(148, &path_tables[1].to_be_bytes());
    put(156, root);
    put(190, &[b' '; 623]);
    put(574, b"HOLOTYPE");
    for at in [813, 830] {
        put(at, b"1980010100000000\0");
    }
    for at in [847, 864] {
        put(at, b"0000000000000000\0");
    }
    put(881, &[1]);
    sector
}

/// The boot record (El Torito, figure 7).
pub fn boot_record(catalogue: u32) -> Vec<u8> {
    let mut sector = descriptor(0);
    sector[7..30].copy_from_slice(b"EL TORITO SPECIFICATION");
    sector[71..75].copy_from_slice(&catalogue.to_le_bytes());
    sector
}

/// The end of descriptors.
pub fn end() -> Vec<u8> {
    descriptor(255)
}

/// The El Torito catalogue: validation, BIOS (no emulation, 4 sectors of 512 bytes), a section for UEFI whose image has
/// so many sectors of 512 bytes. That count has 16 bits; larger images have 0, and firmware reads on.
pub fn catalogue(bios_sector: u32, efi_sector: u32, efi_sectors: u64) -> Vec<u8> {
    let mut sector = vec![0; 2048];
    let mut put = |at: usize, bytes: &[u8]| sector[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[1, 0]);
    put(4, b"HOLOTYPE");
    put(30, &[0x55, 0xaa]);
    put(32, &[0x88, 0]);
    put(38, &4_u16.to_le_bytes());
    put(40, &bios_sector.to_le_bytes());
    put(64, &[0x91, 0xef, 1, 0]);
    put(96, &[0x88, 0]);
    put(102, &u16::try_from(efi_sectors).unwrap_or(0).to_le_bytes());
    put(104, &efi_sector.to_le_bytes());
    let sum = sector[..32].chunks(2).fold(0_u16, |sum, pair| sum.wrapping_add(u16::from_le_bytes([pair[0], pair[1]])));
    sector[28..30].copy_from_slice(&sum.wrapping_neg().to_le_bytes());
    sector
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn records_stay() {
        assert_eq!(
            hex(&record(b"A.;1", 0x17, 5, false)),
            "260017000000000000170500000000000005500101000000000000000100000104412e3b3100"
        );
        assert_eq!(hex(&path_record(b"\0", 22, 1, true)), "010000000016000100 00".replace(' ', ""));
    }

    #[test]
    fn the_catalogue_stays() {
        let sector = catalogue(30, 60, 70_000);
        assert_eq!(
            hex(&sector[..32]),
            "01000000484f4c4f54595045000000000000000000000000000000003 3d755aa"
                .replace(' ', "")
                .as_str()
                .replace("33d7", &hex(&sector[28..30]))
        );
        let sum =
            sector[..32].chunks(2).fold(0_u16, |sum, pair| sum.wrapping_add(u16::from_le_bytes([pair[0], pair[1]])));
        assert_eq!(sum, 0);
        assert_eq!(hex(&sector[32..44]), "880000000000040 01e000000".replace(' ', ""));
        assert_eq!(hex(&sector[64..68]), "91ef0100");
        assert_eq!(hex(&sector[96..108]), "8800000000000000 3c000000".replace(' ', ""));
        assert_eq!(catalogue(1, 2, 40)[102..104], [40, 0]);
    }
}
