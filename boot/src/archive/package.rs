//! A distribution's package (.deb): `ar`, in it `data.tar`, `data.tar.xz` or `data.tar.zst`.

use super::ar::find_member;
use super::decompressor;
use crate::error::{BootError, Result};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// Most entries of a package.
const MOST_ENTRIES: usize = 200_000;

struct Counted<'a> {
    file: File,
    read: &'a dyn Fn(u64),
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read(buffer)?;
        (self.read)(bytes as u64);
        Ok(bytes)
    }
}

/// Goes through the plain files of a package, each by its path without `./` before it; `read` is told how many more
/// bytes of the package itself were read.
///
/// # Errors
/// Where it is no package or damaged, or `take` fails.
pub fn read_package(
    path: &Path,
    read: &dyn Fn(u64),
    take: &mut dyn FnMut(&str, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let failed = |error: io::Error| {
        BootError::new(path.display(), format_args!("could not read the package: {error}"))
            .advise("get it anew, as with: apt-get download linux-image-amd64")
    };
    let file = File::open(path).map_err(|error| BootError::io(path, "open the package", &error))?;
    let is_data = |name: &str| name == "data.tar" || name.starts_with("data.tar.");
    let Some((name, member)) = find_member(BufReader::new(Counted { file, read }), is_data).map_err(failed)? else {
        return Err(BootError::new(path.display(), "the package holds no data.tar").advise("give a .deb"));
    };
    let (inner, reader) = decompressor(&name, member).map_err(failed)?;
    if inner != "data.tar" {
        return Err(BootError::new(path.display(), format_args!("its {name} is compressed in a way not known here"))
            .advise("unpack it with dpkg-deb -x, and give the folder"));
    }
    let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 18, reader));
    for entry in archive.entries().map_err(failed)?.take(MOST_ENTRIES) {
        let mut entry = entry.map_err(failed)?;
        let is_file = entry.header().entry_type().is_file();
        let path = entry.path().map_err(failed)?.into_owned();
        if let (true, Some(name)) = (is_file, path.to_str()) {
            take(name.trim_start_matches("./"), &mut entry)?;
        }
    }
    Ok(())
}
