//! Names of unfinished puts, and the removal of those that a dead process left.
//!
//! `BOOT-PROCESS-RANDOM`: eight hexadecimal digits of the boot id, the process number, 32 random
//! digits. A store can be shared by hosts and containers, where neither boot nor process number
//! says who is alive; so a leftover also has to be a day old.
//!
//! `upload-TAG`: an upload that another process, or this one, may go on with; locked while one does.
//! It is a leftover when nothing came for a day.

use crate::os::host;
use crate::store::valid_tag;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Younger files are never removed.
const LEFTOVER_AGE: Duration = Duration::from_hours(24);
const UPLOAD_PREFIX: &str = "upload-";

/// A name for an unfinished put of this process.
pub(super) fn new_name() -> std::io::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(std::io::Error::other)?;
    Ok(format!("{}-{}-{:032x}", host::boot_mark(), std::process::id(), u128::from_be_bytes(random)))
}

/// Name of an upload that goes on under a tag, whichever process takes it up.
pub(super) fn upload_name(tag: &str) -> String {
    format!("{UPLOAD_PREFIX}{tag}")
}

/// Whether a file of that name, last written at `written`, was left by a process that is gone.
fn is_leftover(name: &str, written: SystemTime, now: SystemTime) -> bool {
    let old = now.duration_since(written).is_ok_and(|age| age > LEFTOVER_AGE);
    if let Some(tag) = name.strip_prefix(UPLOAD_PREFIX) {
        // An upload at work is written to all the time.
        return old && valid_tag(tag);
    }
    let mut fields = name.split('-');
    let (Some(boot), Some(process), Some(random), None) = (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return false;
    };
    let hexadecimal = |text: &str, digits| text.len() == digits && text.bytes().all(|c| c.is_ascii_hexdigit());
    let Some(process) = process.parse::<u32>().ok().filter(|_| hexadecimal(boot, 8) && hexadecimal(random, 32)) else {
        return false;
    };
    old && (boot != host::boot_mark() || !host::process_may_live(process))
}

/// The leftovers in `directory`, as far as it can be read.
pub(super) fn leftovers(directory: &Path, now: SystemTime) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            let written = entry.metadata().ok().filter(std::fs::Metadata::is_file).and_then(|it| it.modified().ok());
            let name = entry.file_name();
            written.zip(name.to_str()).is_some_and(|(written, name)| is_leftover(name, written, now))
        })
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_files_of_the_dead_are_leftovers() {
        let now = SystemTime::now();
        let (young, old) = (now - Duration::from_hours(23), now - Duration::from_hours(25));
        let mine = new_name().unwrap();
        let random = "0".repeat(32);
        let dead = format!("{}-{}-{random}", host::boot_mark(), i32::MAX);
        let other_boot = format!("ffffffff-1-{random}");
        assert!(!is_leftover(&mine, old, now), "its process lives");
        assert!(!is_leftover(&dead, young, now));
        assert!(is_leftover(&dead, old, now));
        assert!(!is_leftover(&other_boot, young, now), "may be another host's");
        assert!(is_leftover(&other_boot, old, now));
        assert!(!is_leftover(&dead, now + Duration::from_hours(25), now), "from the future");
        assert!(is_leftover(&upload_name("ab1"), old, now));
        assert!(!is_leftover(&upload_name("ab1"), young, now), "it may go on");
        for foreign in
            ["", "upload-", "upload-A", "notes.txt", "a-b-c", "ffffffff-1", &format!("{other_boot}-x"), "ffffffff-1-00"]
        {
            assert!(!is_leftover(foreign, old, now), "{foreign}");
        }
    }

    #[test]
    fn names_differ() {
        assert_ne!(new_name().unwrap(), new_name().unwrap());
    }
}
