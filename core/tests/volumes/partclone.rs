//! Maps of partclone, to compare with.

use crate::support::{ImageFile, run};
use holotype_core::volume::{FreeRuns, ReadAt};
use std::ffi::OsStr;
use std::fs;

/// What `partclone.<kind>` calls free: the `?` lines of its domain log, and what is beyond the last.
pub fn free_runs(kind: &str, image: &ImageFile) -> FreeRuns {
    let map = image.path.with_extension("domain");
    let log = image.path.with_extension("log");
    run(
        &format!("partclone.{kind}"),
        &[
            OsStr::new("-D"),
            "-L".as_ref(),
            log.as_os_str(),
            "-s".as_ref(),
            image.path.as_os_str(),
            "-O".as_ref(),
            map.as_os_str(),
        ],
    );
    let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
    let mut free = FreeRuns::builder(image.bytes());
    let mut used = 0;
    for line in fs::read_to_string(&map).unwrap().lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields[..] {
            [position, length, "?"] => free.push(number(position), number(length)).unwrap(),
            [_, length, "+"] => used += number(length),
            _ => {}
        }
    }
    assert!(used > 0, "partclone calls nothing used");
    free.finish()
}
