//! Figures for people.

/// A number of bytes in binary units, three digits or so.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut scaled = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would be shown as 1024.0.
    while scaled >= 1023.95 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    let digits = if scaled < 10.0 { 2 } else { 1 };
    format!("{scaled:.digits$} {}", UNITS[unit])
}

/// A time of a server: milliseconds since 1970 (UTC).
pub fn time_of_ms(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map(|time| format!("{time:.0}")).unwrap_or_else(|_| ms.to_string())
}

/// Reads a number of bytes: digits, and K, M, G or T for binary units, as in `40G` or `512MiB`.
///
/// # Errors
/// In words.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.strip_suffix("iB").unwrap_or(unit);
    let shift = match unit {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err("give bytes, or a number with K, M, G or T".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "give bytes, or a number with K, M, G or T".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "it is too large".to_owned())
}

/// `part` of `whole` in percent.
pub fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => "0.0 %".to_owned(),
        _ => format!("{:.1} %", part as f64 * 100.0 / whole as f64),
    }
}

/// Bytes in that time.
pub fn rate(bytes: u64, seconds: f64) -> String {
    match seconds > 0.0 {
        true => format!("{}/s", size((bytes as f64 / seconds) as u64)),
        false => "at once".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let shown = [0, 1023, 1024, 1536, 1 << 20, (1 << 20) - 1, 100 << 30, u64::MAX].map(size);
        assert_eq!(shown, ["0 B", "1023 B", "1.00 KiB", "1.50 KiB", "1.00 MiB", "1.00 MiB", "100.0 GiB", "16.0 EiB"]);
        assert_eq!(["7", "4K", "40G", "2MiB"].map(parse_size), [Ok(7), Ok(4096), Ok(40 << 30), Ok(2 << 20)]);
        for bad in ["", "G", "1.5G", "-1", "4GB", "99999999999T"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        assert_eq!(percent(1, 3), "33.3 %");
        assert_eq!(percent(1, 0), "0.0 %");
        assert_eq!(rate(3 << 20, 2.0), "1.50 MiB/s");
    }
}
