//! Places where repositories stand: partitions of this PC, the medium's own data partition, shares.

mod mount;
mod partitions;
mod shares;

pub use mount::Mounted;
pub use partitions::{Partition, medium_data, medium_disks, medium_start, partitions};

use super::SystemError;
use holotype_boot::profile::Place;
use std::path::Path;

/// Mounts a place: the medium's data partition, a partition by its UUID, an NFS or an SMB share. The folder that comes
/// back is the place's folder there (of the medium: the data partition's root); it need not exist yet.
///
/// # Errors
/// In a sentence: not found, not reachable, refused. [`Place::Server`] is no place to mount.
pub fn mount(place: &Place) -> Result<Mounted, SystemError> {
    match place {
        Place::Server { repository } => {
            Err(SystemError::new(format!("repository {repository}"), "is on the server: it is reached without a mount"))
        }
        Place::Medium => match medium_data() {
            Some(partition) => mount::partition(&partition, ""),
            None => Err(SystemError::new("medium", "has no data partition")
                .advise("make the medium with one, or choose another destination")),
        },
        Place::Partition { uuid, folder } => {
            let all = partitions();
            let mut found = all.iter().filter(|it| it.uuid.eq_ignore_ascii_case(uuid));
            let subject = || format!("partition {uuid}");
            match (found.next(), found.next()) {
                (Some(partition), None) => mount::partition(partition, folder),
                (Some(one), Some(other)) => {
                    let why = format!("is there twice: {} and {}", one.device.display(), other.device.display());
                    Err(SystemError::new(subject(), why).advise("unplug the disk that is not meant"))
                }
                _ => Err(SystemError::new(subject(), "is on no disk of this PC")
                    .advise("plug its disk in, or choose another destination")),
            }
        }
        Place::Nfs { host, export, folder } => shares::nfs(host, export, folder),
        Place::Smb { host, share, folder, user, password } => {
            shares::smb(host, share, folder, user.as_deref(), password.as_deref())
        }
    }
}

/// Mounts the partition that was chosen from a list, as [`mount`] does.
///
/// # Errors
/// In a sentence: it is not there any more, or cannot be mounted.
pub fn mount_device(device: &Path, uuid: &str, folder: &str) -> Result<Mounted, SystemError> {
    let found = partitions().into_iter().find(|it| it.device == device && it.uuid == uuid);
    let partition = found.ok_or_else(|| {
        SystemError::new(device.display().to_string(), "is not there any more, or is another one than was shown")
            .advise("look for places again")
    })?;
    mount::partition(&partition, folder)
}

/// Mounts a filesystem of this PC, all of it.
///
/// # Errors
/// In a sentence.
pub(super) fn mount_whole(partition: &Partition) -> Result<Mounted, SystemError> {
    mount::partition(partition, "")
}
