//! The `ar` archive that a .deb is. Own code: the format is one header, and only forward reading is needed.
//!
//! After `!<arch>\n`, each member begins on an even byte with 60 bytes of text (ar(5)):
//!
//! | bytes | field |
//! |---|---|
//! | 0..16 | name, padded with spaces, perhaps with `/` at the end |
//! | 16..48 | time, user, group, mode: not looked at |
//! | 48..58 | bytes of the member, decimal |
//! | 58..60 | `` `\n `` |

use std::io::{self, Read};

const MAGIC: &[u8; 8] = b"!<arch>\n";
const MOST_MEMBERS: usize = 16;

/// Reads up to the first member whose name `wanted` accepts; gives its name and bytes.
pub fn find_member<R: Read>(
    mut archive: R,
    wanted: impl Fn(&str) -> bool,
) -> io::Result<Option<(String, io::Take<R>)>> {
    let mut magic = [0; 8];
    archive.read_exact(&mut magic)?;
    if &magic != MAGIC {
        return Err(invalid("it is no package"));
    }
    for _ in 0..MOST_MEMBERS {
        let mut header = [0; 60];
        match archive.read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            result => result?,
        }
        let text = std::str::from_utf8(&header).map_err(|_| invalid("a member's header is damaged"))?;
        let bytes: Option<u64> = text.get(48..58).and_then(|digits| digits.trim_end().parse().ok());
        let name = text.get(..16).map(|name| name.trim_end().trim_end_matches('/').to_owned());
        let (Some(bytes), Some(name), true) = (bytes, name, header.ends_with(b"`\n")) else {
            return Err(invalid("a member's header is damaged"));
        };
        if wanted(&name) {
            return Ok(Some((name, archive.take(bytes))));
        }
        let skipped = bytes.saturating_add(bytes % 2);
        if io::copy(&mut archive.by_ref().take(skipped), &mut io::sink())? < skipped {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(None)
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_and_damage_is_told() {
        let mut bytes = MAGIC.to_vec();
        for (name, content) in [("debian-binary", "2.0"), ("data.tar", "hello")] {
            bytes.extend(format!("{name:<16}{:<32}{:<10}`\n{content}", "0", content.len()).bytes());
            bytes.resize(bytes.len().next_multiple_of(2), b'\n');
        }
        let (name, mut member) = find_member(bytes.as_slice(), |name| name.starts_with("data")).unwrap().unwrap();
        let mut content = String::new();
        member.read_to_string(&mut content).unwrap();
        assert_eq!((name.as_str(), content.as_str()), ("data.tar", "hello"));
        assert!(find_member(bytes.as_slice(), |_| false).unwrap().is_none());
        for at in (0..8).chain([66, 67]) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            assert!(find_member(damaged.as_slice(), |_| false).is_err(), "byte {at}");
        }
    }
}
