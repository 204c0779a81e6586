//! What boot media are made of, and how a PC that was booted from one finds back to this server.

use holotype_boot::kernel::KernelStore;
use holotype_repo::https::ServerPin;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tokio::sync::Semaphore;

/// Folder in the data directory with everything of boot media.
pub const DIRECTORY: &str = "boot";
/// Media that are made at the same time: each takes a core and some 100 MiB for seconds.
const MEDIA_AT_ONCE: usize = 2;

/// Kernels, the agent, and the server's pin.
pub struct BootFiles {
    folder: PathBuf,
    agent: PathBuf,
    pin: OnceLock<ServerPin>,
    makers: Arc<Semaphore>,
}

impl BootFiles {
    /// Those of a data directory; `agent` stands elsewhere where it is given.
    pub fn new(data_dir: &Path, agent: Option<PathBuf>) -> Self {
        let folder = data_dir.join(DIRECTORY);
        let agent = agent.unwrap_or_else(|| folder.join("agent"));
        Self { folder, agent, pin: OnceLock::new(), makers: Arc::new(Semaphore::new(MEDIA_AT_ONCE)) }
    }

    /// Where temporary files go.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The kernels, as `holotype boot kernel add --kernels DATA/boot/kernels` takes them in.
    pub fn kernels(&self) -> KernelStore {
        KernelStore::new(self.folder.join("kernels"))
    }

    /// The static agent; it may not be there.
    pub fn agent(&self) -> &Path {
        &self.agent
    }

    /// What PCs pin, once the server has its certificate.
    pub fn pin(&self) -> Option<ServerPin> {
        self.pin.get().copied()
    }

    /// Sets it; the first counts.
    pub fn set_pin(&self, pin: ServerPin) {
        let _ = self.pin.set(pin);
    }

    /// Who holds a permit may make a medium.
    pub(crate) fn makers(&self) -> Arc<Semaphore> {
        Arc::clone(&self.makers)
    }
}
