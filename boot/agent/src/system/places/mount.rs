//! Mounting, by the kernel's calls with a context (fsopen(2)): each option is handed over by itself, so that no comma in
//! a password or a path can make another option of it, and the kernel says in words what it does not like.

use super::super::{SystemError, init, modules, text};
use super::Partition;
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount, unmount,
};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// What stands on disks and shares is data: nothing of it is run, is a device, or leads elsewhere by a symbolic link.
const DATA_ALONE: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC)
    .union(MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW)
    .union(MountAttrFlags::MOUNT_ATTR_NOATIME);

static NUMBER: AtomicU32 = AtomicU32::new(1);

/// Something mounted. Unmounted, with all its data written, when it is dropped.
#[derive(Debug)]
pub struct Mounted {
    /// The place's folder; it need not exist yet.
    pub folder: PathBuf,
    root: PathBuf,
}

impl Mounted {
    /// Where the filesystem's root is.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Unmounting writes everything. Where a file is still open, it is done when that closes.
        if unmount(&self.root, UnmountFlags::NOFOLLOW).is_err() {
            rustix::fs::sync();
            let _ = unmount(&self.root, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
        }
        let _ = std::fs::remove_dir(&self.root);
    }
}

/// An option of a filesystem.
pub(super) enum Setting<'a> {
    Flag(&'a str),
    Text(&'a str, &'a str),
}

/// Why a mount did not work.
pub(super) struct Refused {
    pub errno: Errno,
    /// What the kernel said, where it did.
    pub words: String,
}

/// Mounts a partition; `folder` is one in it, or nothing.
pub(super) fn partition(partition: &Partition, folder: &str) -> Result<Mounted, SystemError> {
    let device = partition.device.to_string_lossy();
    let kind = partition.filesystem.as_str();
    let mut settings = match kind {
        "vfat" => vec![Setting::Flag("utf8"), Setting::Text("umask", "0077")],
        "exfat" => vec![Setting::Text("iocharset", "utf8"), Setting::Text("umask", "0077")],
        "ntfs3" => vec![Setting::Text("iocharset", "utf8"), Setting::Text("umask", "0077")],
        _ => Vec::new(),
    };
    let read_only = kind == "iso9660" || is_read_only(&partition.device);
    if read_only {
        settings.push(Setting::Flag("ro"));
    }
    attach(kind, &device, &settings, folder).map_err(|refused| {
        let subject = format!("{device} ({kind})");
        match refused.errno {
            Errno::NODEV => no_filesystem(&subject, kind),
            Errno::BUSY => SystemError::new(subject, "is in use").advise("unmount it first"),
            _ if kind == "ntfs3" => SystemError::new(
                subject,
                format!("cannot be mounted: Windows did not shut down completely, or it is damaged{}", said(&refused)),
            )
            .advise("start Windows and shut it down with Shift held, or choose another destination"),
            _ => SystemError::new(subject, format!("cannot be mounted{}", said(&refused)))
                .advise("check it with the tools of its own system, or choose another destination"),
        }
    })
}

pub(super) fn no_filesystem(subject: &str, kind: &str) -> SystemError {
    SystemError::new(subject, format!("this system's kernel has no driver for {kind}"))
        .advise("make the medium with all modules")
}

/// What the kernel said, after a colon.
pub(super) fn said(refused: &Refused) -> String {
    match refused.words.is_empty() {
        true => format!(": {}", std::io::Error::from(refused.errno)),
        false => format!(": {} ({})", std::io::Error::from(refused.errno), refused.words),
    }
}

fn is_read_only(device: &Path) -> bool {
    let name = device.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    text::read(format!("/sys/class/block/{name}/ro")).is_some_and(|it| it == "1")
}

/// Mounts `source` in a folder of its own.
pub(super) fn attach(kind: &str, source: &str, settings: &[Setting<'_>], folder: &str) -> Result<Mounted, Refused> {
    // The kernel asks for it too, by its own way; where that fails, this one says why.
    let _ = modules::load(&format!("fs-{kind}"));
    let quiet = |errno| Refused { errno, words: String::new() };
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(quiet)?;
    let with_words = |errno| Refused { errno, words: words(&context) };
    fsconfig_set_string(&context, "source", source).map_err(with_words)?;
    for setting in settings {
        match setting {
            Setting::Flag(name) => fsconfig_set_flag(&context, *name),
            Setting::Text(name, value) => fsconfig_set_string(&context, *name, *value),
        }
        .map_err(with_words)?;
    }
    fsconfig_create(&context).map_err(with_words)?;
    let tree = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, DATA_ALONE).map_err(with_words)?;
    let root = new_folder().map_err(|error| quiet(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    if let Err(errno) = move_mount(&tree, "", CWD, &root, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH) {
        let _ = std::fs::remove_dir(&root);
        return Err(quiet(errno));
    }
    let inside = folder.split('/').filter(|part| !part.is_empty() && *part != "." && *part != "..");
    Ok(Mounted { folder: inside.fold(root.clone(), |path, part| path.join(part)), root })
}

/// A folder to mount on.
fn new_folder() -> std::io::Result<PathBuf> {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = Path::new(init::STATE_DIR).join(format!("mounts/{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Messages that wait in a context, without their level (`e `, `w `, `i `).
fn words(context: &OwnedFd) -> String {
    let mut words = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = rustix::io::read(context, &mut buffer) {
        let line = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let line = line.trim();
        words.push(text::printable(line.split_once(' ').map_or(line, |it| it.1), 200));
        if words.len() == 4 {
            break;
        }
    }
    words.join("; ")
}
