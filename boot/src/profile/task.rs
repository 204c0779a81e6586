//! What a PC does once it is booted.

use super::{BootProfile, Place, Style, check_text};
use serde::{Deserialize, Serialize};

/// What a PC does once it is booted.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Task {
    /// Show the screens.
    #[default]
    Menu,
    /// Ask the server what to do, and do it.
    Server,
    /// Back a disk up without asking.
    Backup {
        /// Where to.
        place: Place,
        /// Which disk.
        disk: DiskChoice,
        /// Name of the image; that of the PC where nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image_name: Option<String>,
        /// Key file of a writer of that repository, in hexadecimal digits: it adds images and opens none.
        writer_key: String,
    },
    /// Restore an image without asking, with the grant that the server keeps for this machine.
    Restore {
        /// Where from.
        place: Place,
        /// Id of the image.
        image: String,
        /// Onto which disk.
        disk: DiskChoice,
    },
}

/// Key file of a writer of a repository, in hexadecimal digits: it adds images and opens none.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WriterKey(pub String);

impl std::fmt::Debug for WriterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WriterKey")
    }
}

impl WriterKey {
    pub(super) fn check(&self) -> Result<(), String> {
        check_writer_key(&self.0)
    }
}

fn check_writer_key(digits: &str) -> Result<(), String> {
    let is_fit = (64..=8192).contains(&digits.len()) && digits.len().is_multiple_of(2);
    match is_fit && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(()),
        false => Err("writer key: it is not 32 to 4096 bytes in hexadecimal digits".into()),
    }
}

/// Which disk of a PC.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskChoice {
    /// The only one that is not the medium; where there are several, none is touched.
    #[default]
    Only,
    /// The one with this serial number.
    Serial(String),
    /// The first that the kernel found, by bus and port, that is not the medium.
    First,
}

/// What follows an unattended task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Afterwards {
    /// Power off.
    #[default]
    PowerOff,
    /// Start anew.
    Reboot,
    /// Show the result until a key is pressed.
    Stay,
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Menu => f.write_str("Menu"),
            Self::Server => f.write_str("Server"),
            Self::Backup { place, disk, image_name, writer_key: _ } => f
                .debug_struct("Backup")
                .field("place", place)
                .field("disk", disk)
                .field("image_name", image_name)
                .finish_non_exhaustive(),
            Self::Restore { place, image, disk } => {
                f.debug_struct("Restore").field("place", place).field("image", image).field("disk", disk).finish()
            }
        }
    }
}

impl Task {
    /// Whether somebody sits before the screen.
    pub fn is_attended(&self) -> bool {
        matches!(self, Self::Menu)
    }

    pub(super) fn check(&self, profile: &BootProfile) -> Result<(), String> {
        let (place, disk) = match self {
            Self::Menu => return Ok(()),
            Self::Server => {
                return profile
                    .server
                    .as_ref()
                    .map(drop)
                    .ok_or_else(|| "task: it is the server's, and no server is given".into());
            }
            Self::Backup { place, disk, image_name, writer_key } => {
                image_name.as_ref().map_or(Ok(()), |name| check_text("image name", name, 200))?;
                check_writer_key(writer_key)?;
                (place, disk)
            }
            Self::Restore { place, image, disk } => {
                check_text("image", image, 64)?;
                if profile.server.is_none() {
                    return Err(
                        "task: an unattended restore gets its keys from a server, and no server is given".into()
                    );
                }
                (place, disk)
            }
        };
        place.check()?;
        if let DiskChoice::Serial(serial) = disk {
            check_text("disk", serial, 200)?;
        }
        if place.wants_network() && profile.style == Style::Local {
            return Err("style: a medium of the local style brings up no network, and its repository is on one".into());
        }
        match (place, &profile.server) {
            (Place::Server { .. }, None) => Err("repository: it is on a server, and no server is given".into()),
            _ => Ok(()),
        }
    }
}
