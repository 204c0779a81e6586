//! Figures as people read them.

/// A length: `7.5 GB`, in powers of ten as disks are sold.
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// A time: `2 h 5 min`, `3 min 20 s`, `12 s`.
pub fn duration(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// A text of outside for a screen: no control characters, and not longer than so many characters.
pub fn plain(text: &str, most_characters: usize) -> String {
    let mut characters = text.chars().map(|c| if c.is_control() { '?' } else { c });
    let mut plain: String = characters.by_ref().take(most_characters).collect();
    if characters.next().is_some() {
        plain.pop();
        plain.push('…');
    }
    plain
}

/// How strong a password looks, as a word and a number of 0 to 4. A hint, no promise: it counts kinds of characters and
/// length, and knows no dictionary.
pub fn strength(password: &str) -> (u8, &'static str) {
    let has = |test: fn(&char) -> bool| password.chars().any(|c| test(&c));
    let kinds = [
        has(|c| c.is_lowercase()),
        has(|c| c.is_uppercase()),
        has(|c| c.is_ascii_digit()),
        has(|c| !c.is_alphanumeric()),
    ];
    let kinds = kinds.into_iter().filter(|has| *has).count();
    let mut different: Vec<char> = password.chars().collect();
    different.sort_unstable();
    different.dedup();
    let length = password.chars().count();
    let length = if different.len() * 3 < length { different.len() } else { length };
    match length * (kinds + 2) {
        0 => (0, "none"),
        1..40 => (1, "weak"),
        40..60 => (2, "fair"),
        60..90 => (3, "good"),
        _ => (4, "strong"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!([size(0), size(999), size(1000), size(7_512_000_000)], ["0 B", "999 B", "1.0 kB", "7.5 GB"]);
        assert_eq!(size(u64::MAX), "18446744.1 TB");
        assert_eq!([duration(5), duration(200), duration(7500)], ["5 s", "3 min 20 s", "2 h 5 min"]);
        assert_eq!(plain("a\u{1b}[31mb", 20), "a?[31mb");
        assert_eq!(plain("abcdef", 4), "abc…");
    }

    #[test]
    fn longer_and_mixed_is_stronger() {
        assert_eq!(strength("").0, 0);
        assert_eq!(strength("aaaaaaaaaaaaaaaaaaaaaa").0, 1);
        assert!(strength("summer").0 < strength("Summer2026").0);
        assert!(strength("correct horse battery staple").0 == 4);
    }
}
