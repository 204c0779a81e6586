//! `holotype machine`, `group`, `storage`, `image`, `task`, `event`: what a server manages.

use super::ConsoleName;
use clap::{Args, Subcommand, ValueEnum};
use holotype_repo::ImageSelector;
use std::path::PathBuf;

/// What is to be done with machines.
#[derive(Debug, Subcommand)]
pub enum MachineAction {
    /// List machines, by name
    List {
        /// Part of a name, an address, a serial number or a UUID
        #[arg(value_name = "TEXT")]
        search: Option<String>,
        /// Machines of this group alone: its name or id
        #[arg(long)]
        group: Option<String>,
    },
    /// Show a machine
    Show {
        /// Its name or id
        machine: String,
    },
    /// Add a machine that has not enrolled yet
    Add {
        /// Its name
        name: String,
        /// Notes for people
        #[arg(long)]
        notes: Option<String>,
    },
    /// Rename a machine
    Rename {
        /// Its name or id
        machine: String,
        /// Its new name
        name: String,
    },
    /// Remove a machine with its tasks and rights; its images stay
    Remove {
        /// Its name or id
        machine: String,
    },
    /// Show or set what a machine may do in repositories
    Rights(RightsArguments),
    /// Let a machine restore an image that another one added; its right has to be `granted`
    Grant(GrantArguments),
    /// List the machines that showed a key without a code and wait to be approved
    Claims,
    /// Approve a machine that waits: the key it showed becomes its key
    Approve(ApproveArguments),
    /// Refuse a machine that waits
    Refuse {
        /// What its screen shows, as ABCD-EFGH-JKMN
        fingerprint: String,
    },
    /// List the images that are granted to a machine
    Grants {
        /// Its name or id
        machine: String,
    },
    /// Take a grant back
    RevokeGrant {
        /// Its name or id
        machine: String,
        /// Name of the repository
        repository: String,
        /// The image's id, all of it
        image: String,
    },
    /// Let the server make a boot medium for a machine, and download it; it enrols the machine's own key, once
    Media(MediaArguments),
    /// Tell the server what this machine is made of, with this machine's own token
    Inventory,
}

/// Which medium for which machine.
#[derive(Debug, Args)]
pub struct MediaArguments {
    /// The machine's name or id
    pub machine: String,
    /// File to write; it must not be there yet
    pub file: PathBuf,
    /// What to make
    #[arg(long, value_enum, default_value = "usb")]
    pub product: MediaProduct,
    /// What the machine does once booted
    #[arg(long, value_enum, default_value = "server")]
    pub task: MediaTask,
    /// When the medium is no longer used, up to 30 days from now: 2027-01-31, 2027-01-31T12:00:00Z, or 12h or 7d from
    /// now [default: 7d]
    #[arg(long, value_name = "TIME")]
    pub expires: Option<String>,
    /// Where the screens are shown
    #[arg(long, value_enum, default_value = "both")]
    pub console: ConsoleName,
    /// Keyboard layout, as us or de
    #[arg(long, value_name = "LAYOUT")]
    pub keyboard: Option<String>,
    /// With usb: a partition of this size for backups, as 8G
    #[arg(long, value_name = "SIZE", value_parser = crate::units::parse_size)]
    pub data: Option<u64>,
    /// Kernel to take [default: the server's newest]
    #[arg(long, value_name = "VERSION")]
    pub kernel: Option<String>,
    /// Drivers: virtio, pc or all
    #[arg(long, value_name = "SET", default_value = "pc")]
    pub modules: holotype_boot::kernel::ModuleSet,
    /// Under which https://HOST:PORT the machine reaches the server [default: that of --server]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
}

/// What kind of medium a server makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MediaProduct {
    /// Image for a stick or a disk: BIOS, UEFI, Secure Boot
    Usb,
    /// ISO image for CD and stick: BIOS, UEFI, Secure Boot
    Iso,
    /// One UEFI program, not signed
    Uki,
}

/// What a machine does that was booted from a server's medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MediaTask {
    /// Ask the server, and do it
    Server,
    /// Show the screens
    Menu,
}

/// What a machine may do in which repository.
#[derive(Debug, Args)]
pub struct RightsArguments {
    /// The machine's name or id
    pub machine: String,
    /// Name of the repository [default: show all]
    pub repository: Option<String>,
    /// It may add images
    #[arg(long, requires = "repository", overrides_with = "no_add")]
    pub add: bool,
    /// It may add no images
    #[arg(long, requires = "repository")]
    pub no_add: bool,
    /// Which images it may restore
    #[arg(long, value_name = "WHICH", requires = "repository")]
    pub restore: Option<RestoreRight>,
    /// Take all its rights in the repository away
    #[arg(long, requires = "repository", conflicts_with_all = ["add", "no_add", "restore"])]
    pub none: bool,
}

/// Which images a machine may restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RestoreRight {
    /// None
    None,
    /// Those that it added itself
    Own,
    /// Also those that are granted to it
    Granted,
    /// All
    All,
}

/// What is to be done with groups.
#[derive(Debug, Subcommand)]
pub enum GroupAction {
    /// List groups, by name
    List,
    /// Make a group
    Add {
        /// Its name
        name: String,
    },
    /// Rename a group
    Rename {
        /// Its name or id
        group: String,
        /// Its new name
        name: String,
    },
    /// Remove a group with its tasks; its machines stay
    Remove {
        /// Its name or id
        group: String,
    },
    /// Manage the machines of a group
    #[command(subcommand)]
    Member(MemberAction),
}

/// What is to be done with the machines of a group.
#[derive(Debug, Subcommand)]
pub enum MemberAction {
    /// Put a machine into a group
    Add(Member),
    /// Take a machine out of a group
    Remove(Member),
}

/// A machine and a group.
#[derive(Debug, Args)]
pub struct Member {
    /// The group's name or id
    pub group: String,
    /// The machine's name or id
    pub machine: String,
}

/// Kinds of storages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StorageKind {
    /// A repository of a Holotype server
    Repository,
    /// A share of an NFS server
    Nfs,
    /// A share of an SMB server
    Smb,
    /// A disk or a stick
    Local,
}

/// What is to be done with storages.
#[derive(Debug, Subcommand)]
pub enum StorageAction {
    /// List storages, by name
    List,
    /// Add a storage
    Add {
        /// Its name
        name: String,
        /// What it is
        #[arg(long)]
        kind: StorageKind,
        /// Where it is; without a password
        #[arg(long)]
        location: String,
    },
    /// Take a storage off the list; what lies there stays
    Remove {
        /// Its name or id
        storage: String,
    },
}

/// What is to be done with the server's list of images.
#[derive(Debug, Subcommand)]
pub enum ImageAction {
    /// List images, the newest first
    List {
        /// Part of a name, at least three characters
        #[arg(value_name = "TEXT")]
        search: Option<String>,
        /// Images of this machine alone: its name or id
        #[arg(long)]
        machine: Option<String>,
        /// Images in this repository alone: its name or id
        #[arg(long)]
        repository: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Show an image with its receipt
    Show {
        /// The repository's name or id
        repository: String,
        /// Name of the image's object
        image: String,
    },
}

/// What is to be done with tasks.
#[derive(Debug, Subcommand)]
pub enum TaskAction {
    /// Have machines backed up
    Backup(NewTask),
    /// Have an image restored: its keys are sealed to each machine's own key, for which the password is asked
    Restore(RestoreTask),
    /// List tasks, the newest first
    List,
    /// Show a task and its runs
    Show {
        /// Its name or id
        task: String,
    },
    /// Cancel what is queued and running of a task, and all that is yet to come
    Cancel {
        /// Its name or id
        task: String,
    },
    /// Follow the runs of a task until all have ended
    Watch {
        /// Its name or id
        task: String,
    },
}

/// For whom a task is, and when.
#[derive(Debug, Args)]
pub struct NewTask {
    /// The machine's name or id
    #[arg(long, required_unless_present = "group", conflicts_with = "group")]
    pub machine: Option<String>,
    /// The group's name or id
    #[arg(long)]
    pub group: Option<String>,
    /// The repository's name or id
    #[arg(long)]
    pub repository: String,
    /// What the task is called [default: the action and whom it is for]
    #[arg(long)]
    pub name: Option<String>,
    /// Which disk of the machine
    #[arg(long, value_name = "PATH")]
    pub disk: Option<String>,
    /// Once, at this time: 2026-12-31T23:59:00+01:00
    #[arg(long, value_name = "TIME", conflicts_with = "rule")]
    pub at: Option<String>,
    /// Again and again: minute, hour, day of month, month, day of week, as `30 2 * * MON-FRI`
    #[arg(long)]
    pub rule: Option<String>,
    /// The rule's time zone, as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "rule")]
    pub time_zone: Option<String>,
}

/// What is to be done with events.
#[derive(Debug, Subcommand)]
pub enum EventAction {
    /// List events, the newest first
    List {
        /// This kind alone, as machine.created
        #[arg(long)]
        kind: Option<String>,
        /// About this machine alone: its name or id
        #[arg(long)]
        machine: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
}

/// Which image whom is granted.
#[derive(Debug, Args)]
pub struct GrantArguments {
    /// Name or id of the machine
    pub machine: String,
    /// Name of the repository
    pub repository: String,
    /// The image's id, all of it; with --keys also NAME or NAME@TIME
    pub image: ImageSelector,
    /// How many days [default: for ever]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=3660))]
    pub days: Option<u64>,
    /// Seal the image's keys to the machine's own key too, so that it restores without a password; asks for the password
    #[arg(long)]
    pub keys: bool,
    /// File whose first line is the image's own password
    #[arg(long, value_name = "FILE", requires = "keys")]
    pub image_password_file: Option<PathBuf>,
}

/// Which machine that waits is approved.
#[derive(Debug, Args)]
pub struct ApproveArguments {
    /// What its screen shows, as ABCD-EFGH-JKMN
    pub fingerprint: String,
    /// Name or id of the machine that it is [default: the one with its addresses, or a new one]
    #[arg(long, conflicts_with = "name")]
    pub machine: Option<String>,
    /// Name of the new machine that it becomes
    #[arg(long)]
    pub name: Option<String>,
    /// Repository where it may add images and restore its own
    #[arg(long)]
    pub repository: Option<String>,
    /// Name or id of the group that it joins
    #[arg(long)]
    pub group: Option<String>,
}

/// Which image is restored, for whom, and when.
#[derive(Debug, Args)]
pub struct RestoreTask {
    /// NAME (its newest), NAME@TIME (the newest by then), or an id; with --no-keys the whole id
    #[arg(long)]
    pub image: ImageSelector,
    /// For whom, and when
    #[command(flatten)]
    pub task: NewTask,
    /// Grant no keys: somebody gives the password at each machine, or they were granted before
    #[arg(long)]
    pub no_keys: bool,
    /// Follow it to its end, and approve machines of the task that show a new key meanwhile, as those booted over the
    /// network do; told apart by their addresses, so for networks one trusts
    #[arg(long, conflicts_with_all = ["no_keys", "at", "rule"])]
    pub approve: bool,
    /// File whose first line is the image's own password
    #[arg(long, value_name = "FILE", conflicts_with = "no_keys")]
    pub image_password_file: Option<PathBuf>,
}
