//! What the small system is asked for, on an ordinary Linux: there the system's own services do it.

use holotype_boot::profile::{BootProfile, ProfileError};
use std::path::PathBuf;
use thiserror::Error;

/// A failure, as a sentence.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct SystemError(pub String);

fn unavailable<T>(what: &str) -> Result<T, SystemError> {
    Err(SystemError(format!("{what}: not available on this system; a boot medium can do it")))
}

/// What the agent was booted into.
pub struct Booted {
    /// Whether this process is the init of a boot medium; false on an ordinary Linux.
    pub is_init: bool,
    /// The medium's profile: absent, readable, or a reason why it is not usable.
    pub profile: Option<Result<BootProfile, ProfileError>>,
    /// Terminals to show the screens on.
    pub consoles: Vec<PathBuf>,
    /// Where small state of this run is kept.
    pub state_dir: PathBuf,
}

/// The network.
pub mod network {
    use super::{SystemError, unavailable};
    /// An adapter.
    pub struct Link {
        /// Name.
        pub name: String,
        /// Address of the card.
        pub mac: String,
        /// Driver.
        pub driver: Option<String>,
        /// Whether a cable is in.
        pub carrier: bool,
        /// IP addresses.
        pub addresses: Vec<String>,
    }
    /// Every adapter.
    pub fn links() -> Vec<Link> {
        Vec::new()
    }
    /// Brings the profile's network up.
    ///
    /// # Errors
    /// Where it cannot.
    pub fn start(
        _network: &holotype_boot::profile::Network,
        _tell: &mut dyn FnMut(&str),
        _cancelled: &dyn Fn() -> bool,
    ) -> Result<Link, SystemError> {
        unavailable("the network")
    }
}

/// Filesystems and shares.
pub mod places {
    use super::{SystemError, unavailable};
    use std::path::PathBuf;
    /// A filesystem that a repository can stand on, or be put on.
    pub struct Partition {
        /// Its device.
        pub device: PathBuf,
        /// The disk it is on.
        pub disk: PathBuf,
        /// UUID of the filesystem.
        pub uuid: String,
        /// Label.
        pub label: String,
        /// Filesystem.
        pub filesystem: String,
        /// Length.
        pub bytes: u64,
        /// Whether it is the boot medium's.
        pub is_medium: bool,
    }
    /// Every one.
    pub fn partitions() -> Vec<Partition> {
        Vec::new()
    }
    /// The medium's own data partition, where it has one.
    pub fn medium_data() -> Option<Partition> {
        None
    }
    /// The disk the system was booted from.
    pub fn medium_disk() -> Option<PathBuf> {
        None
    }
    /// A place that is mounted as long as this lives.
    pub struct Mounted {
        /// Where.
        pub folder: PathBuf,
    }
    /// Mounts a place.
    ///
    /// # Errors
    /// Where it cannot.
    pub fn mount(_place: &holotype_boot::profile::Place) -> Result<Mounted, SystemError> {
        unavailable("mounting")
    }
}

/// Disks.
pub mod disks {
    /// Waits until the kernel has found its disks.
    pub fn wait(_tell: &mut dyn FnMut(&str), _cancelled: &dyn Fn() -> bool) {}
}

/// Keyboard layouts.
pub mod keyboard {
    use super::{SystemError, unavailable};
    /// A layout.
    pub struct Layout {
        /// As `de`.
        pub name: &'static str,
        /// As `German`.
        pub title: &'static str,
    }
    /// Every one.
    pub fn layouts() -> &'static [Layout] {
        &[Layout { name: "us", title: "English (US)" }, Layout { name: "de", title: "German" }]
    }
    /// Takes one.
    ///
    /// # Errors
    /// Where it cannot.
    pub fn load(_name: &str) -> Result<(), SystemError> {
        unavailable("keyboard layouts")
    }
}

/// Power.
pub mod power {
    /// Powers off.
    pub fn power_off() -> ! {
        std::process::exit(0)
    }
    /// Starts anew.
    pub fn reboot() -> ! {
        std::process::exit(0)
    }
}

/// The rescue shell.
pub mod shell {
    use super::{SystemError, unavailable};
    /// Runs it until it ends.
    ///
    /// # Errors
    /// Where there is none.
    pub fn run(_console: &std::path::Path) -> Result<(), SystemError> {
        unavailable("the rescue shell")
    }
}

/// The firmware.
pub mod firmware {
    use super::SystemError;
    /// Puts the boot entry right.
    ///
    /// # Errors
    /// Where it cannot.
    pub fn correct_boot_entry(_disk: &std::path::Path) -> Result<Option<String>, SystemError> {
        Ok(None)
    }
}

/// The machine's key.
pub mod machine_key {
    use super::{SystemError, unavailable};
    /// Where a key is kept.
    pub enum Kept {
        /// On the medium.
        OnMedium,
        /// In memory.
        ForThisBoot,
    }
    /// The seed.
    ///
    /// # Errors
    /// Where there is none.
    pub fn load_or_make() -> Result<(zeroize::Zeroizing<[u8; 32]>, Kept), SystemError> {
        unavailable("the machine's key")
    }
}
