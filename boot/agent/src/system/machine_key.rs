//! The machine's own key: kept on the medium where that can be written, or made for one boot.

use super::init::STATE_DIR;
use super::places::{Mounted, medium_data, medium_disks, medium_start, mount_whole};
use super::{SystemError, is_init};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use zeroize::Zeroizing;

const FOLDER: &str = "holotype";
const NAME: &str = "machine.key";

/// Where a key is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// On the medium: the next boot from it has the same one.
    OnMedium,
    /// In memory: a CD, a medium that cannot be written, or a network boot.
    ForThisBoot,
}

/// 32 bytes seed of this machine's key: from the medium, or made now and, where the medium can be written, kept there
/// as `holotype/machine.key` of its ESP or its data partition. The kernel may let this wait until it has gathered enough
/// randomness, which takes seconds on a PC without a hardware source.
///
/// # Errors
/// Where there is no randomness, two media are plugged in, or a file of that name on the medium is none: it is not
/// replaced, because a server may know this machine by it.
pub fn load_or_make() -> Result<(Zeroizing<[u8; 32]>, Kept), SystemError> {
    if !is_init() {
        return Err(SystemError::not_init("machine key"));
    }
    if let [one, other, ..] = medium_disks().as_slice() {
        let why = format!("two boot media are plugged in, {} and {}", one.display(), other.display());
        return Err(SystemError::new("machine key", why).advise("unplug the one that this PC was not booted from"));
    }
    let places: Vec<_> = [medium_start(), medium_data()].into_iter().flatten().collect();
    let mounted: Vec<Mounted> = places.iter().filter_map(|place| mount_whole(place).ok()).collect();
    let media: Vec<&Path> = mounted.iter().map(|place| place.folder.as_path()).collect();
    of_media(&media, Path::new(STATE_DIR))
}

/// `memory` is lost with the power: what is kept there is the same as long as the PC is on, also for the program that
/// follows one that ended by a mistake.
fn of_media(media: &[&Path], memory: &Path) -> Result<(Zeroizing<[u8; 32]>, Kept), SystemError> {
    for medium in media {
        if let Some(seed) = load(medium)? {
            return Ok((seed, Kept::OnMedium));
        }
    }
    let seed = match load(memory)? {
        Some(seed) => seed,
        None => {
            let mut seed = Zeroizing::new([0; 32]);
            getrandom::fill(seed.as_mut()).map_err(|error| {
                SystemError::new("machine key", format!("the kernel gives no random numbers: {error}"))
            })?;
            seed
        }
    };
    if media.iter().any(|medium| keep(medium, &seed).is_ok()) {
        return Ok((seed, Kept::OnMedium));
    }
    keep(memory, &seed).map_err(|error| SystemError::new("machine key", format!("could not be kept: {error}")))?;
    Ok((seed, Kept::ForThisBoot))
}

fn load(medium: &Path) -> Result<Option<Zeroizing<[u8; 32]>>, SystemError> {
    let path = medium.join(FOLDER).join(NAME);
    let failed = |why: String| {
        Err(SystemError::new(format!("{FOLDER}/{NAME} on the medium"), why)
            .advise("remove the file and enrol this machine anew, or make the medium anew"))
    };
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return failed(format!("cannot be read: {error}")),
    };
    let mut seed = Zeroizing::new([0; 32]);
    let mut more = [0];
    match file.read_exact(seed.as_mut()).and_then(|()| file.read(&mut more)) {
        Ok(0) => Ok(Some(seed)),
        Ok(_) => failed("is longer than a key".into()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => failed("is shorter than a key".into()),
        Err(error) => failed(format!("cannot be read: {error}")),
    }
}

/// Writes it under another name first: a PC that is switched off meanwhile leaves no half of a key. FAT keeps no order
/// by itself, so file and folder are written out one after the other.
fn keep(medium: &Path, seed: &[u8; 32]) -> io::Result<()> {
    let folder = medium.join(FOLDER);
    fs::create_dir_all(&folder)?;
    let beside = folder.join("machine.new");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(seed)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&beside, folder.join(NAME))?;
    File::open(&folder)?.sync_all()?;
    File::open(medium)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_and_found_again() {
        let medium = tempfile::tempdir().unwrap();
        assert_eq!(load(medium.path()).unwrap(), None);
        keep(medium.path(), &[7; 32]).unwrap();
        assert_eq!(load(medium.path()).unwrap().as_deref(), Some(&[7; 32]));
        let names: Vec<_> =
            fs::read_dir(medium.path().join(FOLDER)).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(names, [NAME]);
    }

    #[test]
    fn without_a_medium_the_key_is_the_same_as_long_as_the_pc_is_on() {
        let (memory, medium) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (seed, kept) = of_media(&[], memory.path()).unwrap();
        assert_eq!(kept, Kept::ForThisBoot);
        // It can be read only.
        assert_eq!(of_media(&[Path::new("/proc/self")], memory.path()).unwrap(), (seed.clone(), Kept::ForThisBoot));
        // A stick that came late: what the operator approved goes there.
        assert_eq!(of_media(&[medium.path()], memory.path()).unwrap(), (seed.clone(), Kept::OnMedium));
        let other = tempfile::tempdir().unwrap();
        assert_eq!(of_media(&[medium.path()], other.path()).unwrap(), (seed, Kept::OnMedium));
        assert!(!other.path().join(FOLDER).exists());
    }

    #[test]
    fn what_is_no_key_is_not_replaced() {
        let medium = tempfile::tempdir().unwrap();
        fs::create_dir(medium.path().join(FOLDER)).unwrap();
        for (bytes, why) in [(vec![1; 31], "shorter"), (vec![1; 33], "longer"), (Vec::new(), "shorter")] {
            fs::write(medium.path().join(FOLDER).join(NAME), bytes).unwrap();
            assert!(load(medium.path()).unwrap_err().to_string().contains(why));
        }
    }
}
