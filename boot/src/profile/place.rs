//! Where a repository is, as a PC that was booted from a medium reaches it.

use super::check_text;
use serde::{Deserialize, Serialize};

/// Where a repository is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Place {
    /// On the profile's server.
    Server {
        /// Name of the repository there.
        repository: String,
    },
    /// In the medium's own data partition.
    Medium,
    /// In a folder of a partition of this PC, or of a disk that is plugged in.
    Partition {
        /// The filesystem's UUID, as `blkid` prints it.
        uuid: String,
        /// Folder in it.
        folder: String,
    },
    /// In a folder of an NFS share.
    Nfs {
        /// Name or address.
        host: String,
        /// What it exports, as `/srv/images`.
        export: String,
        /// Folder in it, or nothing.
        #[serde(default)]
        folder: String,
    },
    /// In a folder of an SMB share.
    Smb {
        /// Name or address.
        host: String,
        /// Name of the share.
        share: String,
        /// Folder in it, or nothing.
        #[serde(default)]
        folder: String,
        /// Who logs in; nobody where nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// With which password. It opens the share, and no image.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        password: Option<String>,
    },
}

impl Place {
    /// Whether a network is needed to get there.
    pub fn wants_network(&self) -> bool {
        matches!(self, Self::Server { .. } | Self::Nfs { .. } | Self::Smb { .. })
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::Server { repository } => check_text("repository", repository, 100),
            Self::Medium => Ok(()),
            Self::Partition { uuid, folder } => check_text("partition", uuid, 64).and_then(|()| check_folder(folder)),
            Self::Nfs { host, export, folder } => {
                check_text("NFS host", host, 255)?;
                check_text("NFS export", export, 1000)?;
                check_folder(folder)
            }
            Self::Smb { host, share, folder, user, password } => {
                check_text("SMB host", host, 255)?;
                check_text("SMB share", share, 255)?;
                for (what, text) in [("SMB user", user), ("SMB password", password)] {
                    text.as_ref().map_or(Ok(()), |text| check_text(what, text, 255))?;
                }
                check_folder(folder)
            }
        }
    }
}

/// A folder inside a share or a filesystem: it leads nowhere else.
fn check_folder(folder: &str) -> Result<(), String> {
    if folder.is_empty() {
        return Ok(());
    }
    check_text("folder", folder, 1000)?;
    match folder.split('/').any(|part| part == "..") {
        true => Err(format!("folder: {folder} leads out of its place")),
        false => Ok(()),
    }
}
