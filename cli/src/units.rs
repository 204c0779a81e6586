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
        assert_eq!(percent(1, 3), "33.3 %");
        assert_eq!(percent(1, 0), "0.0 %");
        assert_eq!(rate(3 << 20, 2.0), "1.50 MiB/s");
    }
}
