//! Alias patterns, as `MODULE_DEVICE_TABLE` makes them: `pci:v00008086d000010D3sv*sd*bc*sc*i*`.

/// Whether `text` is covered by `pattern`: `*` is any text, `?` any byte, `[a-z]` one byte of a set (`!` or `^` first:
/// one that is not in it). A `[` without `]` stands for itself. Takes at most `pattern × text` steps.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut done) = (0, 0);
    // Where to go on when what follows the last `*` does not fit: one byte of the text further.
    let mut star: Option<(usize, usize)> = None;
    while done < text.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at + 1, done));
            at += 1;
        } else if let Some(length) = one(&pattern[at..], text[done]) {
            at += length;
            done += 1;
        } else if let Some((after, from)) = star {
            star = Some((after, from + 1));
            (at, done) = (after, from + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

/// How many bytes of the pattern stand for `byte`, where they do.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => match pattern.iter().skip(2).position(|&end| end == b']') {
            Some(end) => is_in(&pattern[1..end + 2], byte).then_some(end + 3),
            None => (byte == b'[').then_some(1),
        },
        same => (same == byte).then_some(1),
    }
}

fn is_in(set: &[u8], byte: u8) -> bool {
    let (set, wanted) = match set {
        [b'!' | b'^', rest @ ..] => (rest, false),
        _ => (set, true),
    };
    let mut at = 0;
    let mut found = false;
    while at < set.len() {
        if let [first, b'-', last, ..] = set[at..] {
            found |= (first..=last).contains(&byte);
            at += 3;
        } else {
            found |= set[at] == byte;
            at += 1;
        }
    }
    found == wanted
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn aliases_of_devices() {
        let e1000e = "pci:v00008086d000010D3sv*sd*bc*sc*i*";
        assert!(matches(e1000e, "pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00"));
        assert!(!matches(e1000e, "pci:v00008086d000010D4sv00008086sd0000A01Fbc02sc00i00"));
        assert!(matches("usb:v*p*d*dc*dsc*dp*ic08isc06ip50in*", "usb:v0951p1666d0110dc00dsc00dp00ic08isc06ip50in00"));
        assert!(matches("usb:v0424p[0-9A-F]*d*", "usb:v0424pB12Fd1"));
        assert!(matches("a[!0-9]?", "axx") && !matches("a[!0-9]?", "a1x") && !matches("a[^x]", "ax"));
        assert!(matches("*", "") && matches("", "") && !matches("?", "") && !matches("", "a"));
        assert!(matches("a[b", "a[b") && matches("[]]", "]") && !matches("[", "a"));
        assert!(matches("*ab*ab", "abxabab") && !matches("*ab*ab", "aba"));
    }

    #[test]
    fn many_stars_end_soon() {
        let text = "a".repeat(2000);
        assert!(!matches(&"*a".repeat(200).replace("**", "*"), &"b".repeat(2000)));
        assert!(!matches(&format!("{}b", "*a".repeat(200)), &text));
    }
}
