//! Mounts through FUSE drivers.

use crate::support::{ImageFile, Mount, run};
use std::ffi::OsStr;
use std::path::Path;

/// Mounts through a loop device, which goes with its last user: of a block device, unlike of a
/// file, the driver has written everything when the unmount returns.
pub fn mount(program: &str, image: &ImageFile, at: &Path, options: &str) -> Mount {
    let device = run("losetup", &[OsStr::new("--find"), "--show".as_ref(), image.path.as_os_str()]);
    let mount = Mount::fuse(program, Path::new(device.trim()), at, options);
    run("losetup", &["--detach", device.trim()]);
    mount
}
