//! What the screens show and ask for, as data: requests go to the work, news come back. Nothing here opens anything.

use holotype_boot::profile::Place;
use holotype_repo::core::secret::SecretBytes;
use std::path::PathBuf;

/// A disk as a person sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskView {
    /// `/dev/sda`, or a file.
    pub path: PathBuf,
    /// Model that it reports.
    pub model: String,
    /// Serial number that it reports; may be empty.
    pub serial: String,
    /// Bus and port, as `ata-1`; may be empty.
    pub bus: String,
    /// Length.
    pub bytes: u64,
    /// Whether the system was booted from it: it is no target.
    pub is_medium: bool,
    /// Whether it refuses writes.
    pub read_only: bool,
    /// Whether something of it is mounted.
    pub in_use: bool,
    /// What is on it, a line each; nothing where nothing was found.
    pub content: Vec<String>,
    /// Whether it holds anything at all, known or not.
    pub is_empty: bool,
}

impl DiskView {
    /// What a person types to confirm that it may be overwritten: `sda`.
    pub fn short_name(&self) -> String {
        self.path.file_name().map_or_else(|| "disk".to_owned(), |name| name.to_string_lossy().into_owned())
    }
}

/// Where a repository is or will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// As media name it.
    Place(Place),
    /// A partition that was chosen from a list: a disk and its clone have the same UUIDs.
    Partition {
        /// As `/dev/sda1`.
        device: PathBuf,
        /// To know it again; empty where it has none.
        uuid: String,
        /// The repository's folder in it.
        folder: String,
    },
    /// A folder of this system.
    Folder(PathBuf),
}

impl Location {
    /// Whether it is on the server.
    pub fn is_on_server(&self) -> bool {
        matches!(self, Self::Place(Place::Server { .. }))
    }
}

/// A place in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceView {
    /// What it is called.
    pub title: String,
    /// What helps to tell it from others.
    pub detail: String,
    /// Where it is.
    pub location: Location,
    /// The disk of this PC that it is on: its own backup cannot go there.
    pub disk: Option<PathBuf>,
}

/// An image in a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageView {
    /// Its id, in hexadecimal digits.
    pub id: String,
    /// Its name; may be empty where the server was not told.
    pub name: String,
    /// When it was made, as people write it.
    pub time: String,
    /// Bytes of the disk; 0 where that is not known.
    pub source_bytes: u64,
    /// Whether it was made of this machine.
    pub is_own: bool,
    /// Whether it has a password of its own.
    pub is_protected: bool,
}

/// A secret that was typed: `SecretBytes` that can be shown to no one.
#[derive(Clone, Default)]
pub struct Typed(pub SecretBytes);

impl std::fmt::Debug for Typed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Typed")
    }
}

/// A backup that was asked for.
#[derive(Debug, Clone)]
pub struct BackupOrder {
    /// Which disk.
    pub disk: DiskView,
    /// Name of the image.
    pub name: String,
    /// A password for this backup alone.
    pub image_password: Option<Typed>,
}

/// A restore that was asked for.
#[derive(Debug, Clone)]
pub struct RestoreOrder {
    /// Which image.
    pub image: ImageView,
    /// Onto which disk.
    pub target: DiskView,
    /// The image's own password, where it has one.
    pub image_password: Option<Typed>,
    /// Whether it is read back.
    pub verify: bool,
}

/// What the screens want done.
#[derive(Debug, Clone)]
pub enum Request {
    /// Bring the network up and come to terms with the server.
    Connect,
    /// Look for disks.
    ListDisks,
    /// Look for places.
    ListPlaces,
    /// Go to a place and look whether a repository is there.
    Look(Location),
    /// Make a repository there, with this password.
    Make(Typed),
    /// Open the repository there.
    Open(Typed),
    /// Open an image: the certification. `None` where it has no password of its own.
    Certify(ImageView, Option<Typed>),
    /// Back up.
    Backup(BackupOrder),
    /// Restore.
    Restore(RestoreOrder),
    /// Stop what runs.
    Cancel,
    /// Do what the medium's profile says.
    Unattended,
    /// Take a keyboard layout.
    Keyboard(String),
    /// Run the rescue shell on the console where it was asked for.
    Shell,
    /// Draw everything anew.
    Redraw,
    /// Power off.
    PowerOff,
    /// Start anew.
    Reboot,
    /// End the program, on an ordinary Linux.
    Leave,
}

/// A failure that a person is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What, on which object, why, what to do.
    pub sentence: String,
    /// Whether it is the end of this run: after a wrong password of a restore.
    pub is_final: bool,
}

/// How far work is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is done, in a word or two.
    pub stage: String,
    /// Bytes of the stage that are done.
    pub done_bytes: u64,
    /// Length of the stage, where it is known.
    pub total_bytes: Option<u64>,
    /// Time since the stage began, in milliseconds.
    pub elapsed_ms: u64,
}

/// How work ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finished {
    /// `Backup` or `Restore`.
    pub what: String,
    /// Lines of name and value.
    pub lines: Vec<(String, String)>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// Bytes that could not be read: said loudly.
    pub unreadable_bytes: u64,
    /// What comes next, where something does by itself.
    pub next: String,
}

/// What the work tells.
#[derive(Debug, Clone)]
pub enum News {
    /// A step, in a sentence.
    Told(String),
    /// The server is ready, or none is wanted.
    Connected,
    /// The server does not know this machine: what to tell the operator.
    Claim {
        /// `ABCD-EFGH`.
        fingerprint: String,
        /// How it stands, in a sentence.
        state: String,
    },
    /// Before the disks: devices of storage that no driver serves, and what to do, in a sentence.
    MissingDrivers(String),
    /// The disks.
    Disks(Vec<DiskView>),
    /// The places, and what could not be asked.
    Places(Vec<PlaceView>, Vec<String>),
    /// What is at a place: whether a repository, and its images where they can be listed without a password.
    Looked {
        /// Whether a repository is there.
        holds: bool,
        /// Images, where the server lists them.
        images: Option<Vec<ImageView>>,
    },
    /// The repository is open; with its images.
    Opened(Vec<ImageView>),
    /// The password opens nothing; may be tried again.
    WrongPassword,
    /// The image is open. Bytes of its disk, and what is on it.
    Certified {
        /// Length of the disk it was made of.
        source_bytes: u64,
        /// What is on it.
        content: Vec<String>,
        /// Bytes that could not be read when it was made.
        unreadable_bytes: u64,
    },
    /// How far it is.
    Progress(Progress),
    /// Something that does not stop it.
    Warning(String),
    /// It is done.
    Finished(Finished),
    /// It failed.
    Failed(Trouble),
    /// What the profile asked for is over; the rest follows by itself.
    Over(Finished),
}
