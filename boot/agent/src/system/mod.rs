//! The small system around the agent: what an init does, and what a running system does by hundreds of programs.
//!
//! From power-on to the screens, in order: [`init`] (mounts, consoles) → [`supervisor`] (a child that does the work) →
//! [`modules`] (drivers, beside everything that follows) → [`booted`] → the screens, which call [`network`], [`disks`],
//! [`places`] and the others when they need them, and end by [`power`]. docs/AGENT.md tells the same in sentences.

pub mod check;
pub mod consoles;
pub mod disks;
mod error;
pub mod firmware;
pub mod init;
pub mod keyboard;
pub mod machine_key;
pub mod modules;
pub mod network;
pub mod places;
pub mod power;
mod randomness;
pub mod shell;
pub mod supervisor;
mod text;

pub use error::SystemError;

use holotype_boot::profile::{self, BootProfile, ProfileError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether this process belongs to a boot medium's own system.
static IS_INIT: AtomicBool = AtomicBool::new(false);

/// What the agent was booted into.
pub struct Booted {
    /// Whether this process is the init of a boot medium; false on an ordinary Linux.
    pub is_init: bool,
    /// The medium's profile: absent, readable, or a reason why it is not usable (altered, version).
    pub profile: Option<Result<BootProfile, ProfileError>>,
    /// Terminals to show the screens on, as `/dev/tty1` and `/dev/ttyS0`.
    pub consoles: Vec<PathBuf>,
    /// Where small state of this run is kept; a folder in memory on a boot medium.
    pub state_dir: PathBuf,
}

/// Whether this process belongs to a boot medium's own system. False in a process that was started by hand: that one
/// changes neither network nor modules, and cannot switch the PC off.
pub fn is_init() -> bool {
    IS_INIT.load(Ordering::Relaxed)
}

/// What there is to know before the screens: for a process of the boot medium's own system.
pub fn booted() -> Booted {
    IS_INIT.store(true, Ordering::Relaxed);
    let profile = read_profile(Path::new(profile::PROFILE_PATH));
    let console = profile.as_ref().and_then(|it| it.as_ref().ok()).map(|it| it.console).unwrap_or_default();
    Booted { is_init: true, consoles: consoles::for_screens(console), state_dir: init::STATE_DIR.into(), profile }
}

/// The profile at `path`, where there is one. What cannot be read counts as none that can be used.
pub fn read_profile(path: &Path) -> Option<Result<BootProfile, ProfileError>> {
    let file = std::fs::File::open(path).ok()?;
    let mut bytes = Vec::new();
    match file.take(profile::MAX_PROFILE_BYTES as u64 + 1).read_to_end(&mut bytes) {
        Ok(_) => Some(profile::decode(&bytes)),
        Err(_) => Some(Err(ProfileError::NotAProfile)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holotype_boot::profile::Style;

    #[test]
    fn a_profile_is_absent_readable_or_unusable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile");
        assert!(read_profile(&path).is_none());
        let good = BootProfile::new("pc", Style::Local);
        std::fs::write(&path, profile::encode(&good).unwrap()).unwrap();
        assert_eq!(read_profile(&path), Some(Ok(good)));
        std::fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
        assert_eq!(read_profile(&path), Some(Err(ProfileError::NotAProfile)));
        assert_eq!(read_profile(folder.path()), Some(Err(ProfileError::NotAProfile)));
    }
}
