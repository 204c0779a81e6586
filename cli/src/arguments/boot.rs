//! `holotype boot`.

use clap::{Args, Subcommand, ValueEnum};
use std::net::IpAddr;
use std::path::PathBuf;

/// What is to be done with boot media.
#[derive(Debug, Subcommand)]
pub enum BootAction {
    /// Manage the kernels that media are made with
    #[command(subcommand)]
    Kernel(BootKernelAction),
    /// Make a medium that a PC is booted from; without arguments, everything is asked
    Create(Box<BootCreateArguments>),
    /// Look whether a medium is as it was made
    Verify {
        /// Image, device or netboot folder
        medium: PathBuf,
    },
    /// Write an image to a stick; everything on it is lost
    Write {
        /// Image, as `holotype boot create` made it
        medium: PathBuf,
        /// The stick, as /dev/sdX
        device: PathBuf,
        /// Do not ask, where the device looks like a stick
        #[arg(long)]
        yes: bool,
        /// With --yes: also onto what looks like a disk of this computer
        #[arg(long, requires = "yes")]
        any_disk: bool,
    },
}

/// What is to be done with kernels.
#[derive(Debug, Subcommand)]
pub enum BootKernelAction {
    /// Take kernels in: from a linux-image-VERSION .deb, from a folder with one unpacked, or from / (all installed ones)
    Add {
        /// Package or folder
        source: PathBuf,
        /// Where kernels are kept
        #[command(flatten)]
        store: KernelStoreArguments,
    },
    /// List kernels
    List {
        /// Where kernels are kept
        #[command(flatten)]
        store: KernelStoreArguments,
    },
    /// Throw a kernel away
    Remove {
        /// Its version
        version: String,
        /// Where kernels are kept
        #[command(flatten)]
        store: KernelStoreArguments,
    },
}

/// Where kernels are kept.
#[derive(Debug, Args)]
pub struct KernelStoreArguments {
    /// Folder of kernels [default: XDG_DATA_HOME/holotype/kernels or ~/.local/share/holotype/kernels]
    #[arg(long, value_name = "DIR", env = "HOLOTYPE_KERNELS", hide_env_values = true)]
    pub kernels: Option<PathBuf>,
}

/// What kind of medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MediumKind {
    /// Image for a stick or a disk: BIOS, UEFI, Secure Boot
    Usb,
    /// ISO image for CD and stick: BIOS, UEFI, Secure Boot
    Iso,
    /// One UEFI program, not signed
    Uki,
    /// Folder for network boot
    Netboot,
}

/// Whether the PC uses a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StyleName {
    /// A server, or storage on the network
    Network,
    /// The medium and the PC's own disks alone
    Local,
}

/// Where screens are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConsoleName {
    /// Screen and first serial port
    Both,
    /// The screen
    Screen,
    /// The first serial port, 115200 baud
    Serial,
}

/// What the PC does once booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TaskName {
    /// Show the screens
    Menu,
    /// Ask the server, and do it
    Server,
    /// Back a disk up without asking, with --place and --writer-key-file
    Backup,
    /// Restore an image without asking, with --place, --image and a --server that has a grant for the machine
    Restore,
}

/// What follows an unattended task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AfterwardsName {
    /// Power off
    PowerOff,
    /// Start anew
    Reboot,
    /// Show the result
    Stay,
}

/// Which medium, for which PC. The server is that of --server and --server-pin.
#[derive(Debug, Args)]
pub struct BootCreateArguments {
    /// What to make
    pub product: Option<MediumKind>,
    /// File to write; for netboot, the folder
    #[arg(required_if_eq_any = [("product", "usb"), ("product", "iso"), ("product", "uki"), ("product", "netboot")])]
    pub target: Option<PathBuf>,
    /// The PC and its task
    #[command(flatten)]
    pub profile: ProfileArguments,
    /// Kernel to take [default: the newest]
    #[arg(long, value_name = "VERSION")]
    pub kernel: Option<String>,
    /// Drivers: virtio, pc or all
    #[arg(long, value_name = "SET", default_value = "pc", conflicts_with = "inventory")]
    pub modules: holotype_boot::kernel::ModuleSet,
    /// Only drivers for the devices in this file, one modalias a line (cat /sys/bus/*/devices/*/modalias)
    #[arg(long, value_name = "FILE")]
    pub inventory: Option<PathBuf>,
    /// Folder of firmware files, by the names that drivers ask for
    #[arg(long, value_name = "DIR")]
    pub firmware: Option<PathBuf>,
    /// The static holotype-agent [default: the one beside this program]
    #[arg(long, value_name = "FILE", env = "HOLOTYPE_AGENT", hide_env_values = true)]
    pub agent: Option<PathBuf>,
    /// With usb: a partition of this size for backups, as 20G
    #[arg(long, value_name = "SIZE", value_parser = crate::units::parse_size, conflicts_with = "size")]
    pub data: Option<u64>,
    /// With usb: a partition for backups that makes the image this large
    #[arg(long, value_name = "SIZE", value_parser = crate::units::parse_size)]
    pub size: Option<u64>,
    /// With netboot: for the machine with this MAC address or UUID; may be given again [default: for every machine]
    #[arg(long = "for", value_name = "ADDRESS")]
    pub machines: Vec<String>,
    /// With netboot: one UEFI program besides, for UEFI HTTP boot
    #[arg(long)]
    pub uki: bool,
    /// Where kernels are kept
    #[command(flatten)]
    pub store: KernelStoreArguments,
}

impl BootCreateArguments {
    /// Options that the questions have no use for, as far as they were given.
    pub fn beside_questions(&self) -> Vec<&'static str> {
        let profile = &self.profile;
        let given = [
            ("--profile", profile.profile.is_some()),
            ("--name", profile.name.is_some()),
            ("--style", profile.style != StyleName::Network),
            ("--dhcp", profile.dhcp),
            ("--address", !profile.address.is_empty()),
            ("--mac", profile.mac.is_some()),
            ("--organisation", profile.organisation.is_some()),
            ("--machine", profile.machine.is_some()),
            ("--enrolment-code-file", profile.enrolment_code_file.is_some()),
            ("--expires", profile.expires.is_some()),
            ("--task", profile.task != TaskName::Menu),
            ("--task-file", profile.task_file.is_some()),
            ("--place", profile.place.is_some()),
            ("--disk", profile.disk != "only"),
            ("--image", profile.image.is_some()),
            ("--writer-key-file", profile.writer_key_file.is_some()),
            ("--afterwards", profile.afterwards != AfterwardsName::PowerOff),
            ("--console", profile.console != ConsoleName::Both),
            ("--keyboard", profile.keyboard.is_some()),
            ("--data", self.data.is_some()),
            ("--size", self.size.is_some()),
            ("--for", !self.machines.is_empty()),
            ("--uki", self.uki),
        ];
        given.into_iter().filter(|(_, is_given)| *is_given).map(|(option, _)| option).collect()
    }
}

/// A PC and its task.
#[derive(Debug, Args)]
#[command(next_help_heading = "The PC and its task")]
pub struct ProfileArguments {
    /// All of it from a file (JSON, or off a medium), in place of the options below
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "style", "address", "machine", "enrolment_code_file", "task", "task_file", "expires", "place", "disk", "image", "writer_key_file", "dhcp", "mac", "organisation", "afterwards", "console", "keyboard"])]
    pub profile: Option<PathBuf>,
    /// Name of the PC
    #[arg(long)]
    pub name: Option<String>,
    /// Whether it uses a network
    #[arg(long, value_enum, default_value = "network")]
    pub style: StyleName,
    /// Addresses by DHCP; so it is where no --address is given
    #[arg(long, conflicts_with_all = ["address", "router", "name_server"])]
    pub dhcp: bool,
    /// Address of its own, as 192.168.1.7/24; may be given again
    #[arg(long, value_name = "ADDRESS/PREFIX")]
    pub address: Vec<String>,
    /// Router
    #[arg(long, value_name = "ADDRESS", requires = "address")]
    pub router: Vec<IpAddr>,
    /// Name server
    #[arg(long, value_name = "ADDRESS", requires = "address")]
    pub name_server: Vec<IpAddr>,
    /// Which adapter, by its MAC address [default: the first with a link]
    #[arg(long, value_name = "MAC")]
    pub mac: Option<String>,
    /// Name of its organisation on the server [default: default]
    #[arg(long, value_name = "NAME")]
    pub organisation: Option<String>,
    /// Id of the machine on the server
    #[arg(long, value_name = "ID")]
    pub machine: Option<String>,
    /// File with a code that lets the PC in, once
    #[arg(long, value_name = "FILE")]
    pub enrolment_code_file: Option<PathBuf>,
    /// When that code expires [default: as --expires]
    #[arg(long, value_name = "TIME", requires = "enrolment_code_file")]
    pub enrolment_expires: Option<String>,
    /// When the medium is no longer used: 2027-01-31, 2027-01-31T12:00:00Z, or 30d from now
    #[arg(long, value_name = "TIME")]
    pub expires: Option<String>,
    /// What it does once booted
    #[arg(long, value_enum, default_value = "menu", conflicts_with = "task_file")]
    pub task: TaskName,
    /// What it does once booted, as in a profile's field "task" (JSON), in place of the options below
    #[arg(long, value_name = "FILE", conflicts_with_all = ["place", "disk", "image", "writer_key_file"])]
    pub task_file: Option<PathBuf>,
    /// Where the repository is: medium, server:NAME, partition:UUID, nfs://HOST/EXPORT or smb://HOST/SHARE, smb://USER@HOST/SHARE
    #[arg(long, value_name = "PLACE")]
    pub place: Option<String>,
    /// In a partition or a share: the repository's folder
    #[arg(long, value_name = "FOLDER", requires = "place", default_value = "holotype")]
    pub place_folder: String,
    /// With smb: file with the user's password; it goes onto the medium, and opens the share alone
    #[arg(long, value_name = "FILE", requires = "place")]
    pub place_password_file: Option<PathBuf>,
    /// Which disk: only (the medium aside, there is one), first, or its serial number
    #[arg(long, value_name = "DISK", default_value = "only")]
    pub disk: String,
    /// Backup: name of the image [default: the PC's]; restore: id of the image
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Backup, and server where it asks for backups: key file of a writer (holotype key add --role writer); it goes onto
    /// the medium, and opens no image
    #[arg(long, value_name = "FILE")]
    pub writer_key_file: Option<PathBuf>,
    /// What follows an unattended task
    #[arg(long, value_enum, default_value = "power-off")]
    pub afterwards: AfterwardsName,
    /// Where the screens are shown
    #[arg(long, value_enum, default_value = "both")]
    pub console: ConsoleName,
    /// Keyboard layout, as us or de
    #[arg(long, value_name = "LAYOUT")]
    pub keyboard: Option<String>,
}
