//! The command line.

mod accounts;
#[cfg(target_os = "linux")]
mod agent;
mod backup;
mod boot;
mod copy;
mod key;
mod management;
mod repository;
mod restore;
mod serve;
mod server;

pub use accounts::{
    CodeArguments, EnrolArguments, EnrolmentCodeAction, LoginArguments, TokenAction, TokenArguments, UserAction,
};
#[cfg(target_os = "linux")]
pub use agent::AgentArguments;
pub use backup::{BackupArguments, DropName};
pub use boot::{
    AfterwardsName, BootAction, BootCreateArguments, BootKernelAction, ConsoleName, KernelStoreArguments, MediumKind,
    ProfileArguments, StyleName, TaskName,
};
pub use copy::CopyArguments;
pub use key::{AddArguments, KeyAction, NewSecretArguments, PasswdArguments, RoleName};
pub use management::{
    ApproveArguments, EventAction, GrantArguments, GroupAction, ImageAction, MachineAction, MediaArguments,
    MediaProduct, MediaTask, Member, MemberAction, NewTask, RestoreRight, RestoreTask, RightsArguments, StorageAction,
    StorageKind, TaskAction,
};
pub use repository::{DemoArguments, InitArguments, VerifyArguments};
pub use restore::{
    DiffArguments, ImageArguments, ImagePart, ImagesArguments, ReceiptAction, ReceiptArguments, RestoreArguments,
};
pub use serve::{LogFormat, ServeArguments};
pub use server::{
    DatabaseAction, OrgAction, ServerAction, ServerArguments, ServerRepositoryAction, ServerUserAction, UserRole,
};

use clap::{ArgAction, Args, Parser, Subcommand};
use holotype_repo::https::ServerPin;
use std::path::PathBuf;

const EXIT_CODES: &str = "\
Exit codes:
  0    everything was done
  1    it failed
  2    the command line makes no sense
  3    done, but sectors could not be read, or the source changed meanwhile
  4    verify found damage
  5    the password or key file opens nothing
  6    the target must not be written (mounted, not empty, too small)
  7    there is no such image
  130  stopped by a signal

Password: the first of --password-file, --password-command, HOLOTYPE_PASSWORD_FILE,
HOLOTYPE_PASSWORD that is given; else a key file alone is tried, where one is given; else the
terminal is asked.

With --json, standard output holds exactly one JSON value: the result, or on failure
{\"error\": SENTENCE, \"kind\": WORD}. Sentences for people go to standard error.";

/// Backs up whole disks, encrypted and deduplicated, and writes them back to one disk or many.
#[derive(Debug, Parser)]
#[command(name = "holotype", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// What every command takes
    #[command(flatten)]
    pub global: GlobalArguments,
    /// What is to be done
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArguments {
    /// Directory of the repository, or https://HOST:PORT/NAME of one on a server
    #[arg(long, global = true, env = "HOLOTYPE_REPO", hide_env_values = true, value_name = "PATH")]
    pub repo: Option<PathBuf>,
    /// File whose first line is the password
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "password_command")]
    pub password_file: Option<PathBuf>,
    /// Command, run by sh, whose first line of output is the password
    #[arg(long, global = true, value_name = "CMD")]
    pub password_command: Option<String>,
    /// Ask the terminal for the password, whatever else is given by environment
    #[arg(long, global = true, conflicts_with_all = ["password_command", "password_file"])]
    pub ask_password: bool,
    /// Key file: alone, or with the password where the key wants both
    #[arg(long, global = true, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Where the index is cached [default: XDG_CACHE_HOME/holotype or ~/.cache/holotype]
    #[arg(long, global = true, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// Server: https://HOST:PORT
    #[arg(long, global = true, env = "HOLOTYPE_SERVER", hide_env_values = true, value_name = "URL")]
    pub server: Option<String>,
    /// Certificate that the server must show, as `holotype server fingerprint` prints it; without, the system's authorities decide
    #[arg(long, global = true, env = "HOLOTYPE_SERVER_PIN", hide_env_values = true, value_name = "PIN")]
    pub server_pin: Option<ServerPin>,
    /// File whose first line is a token of the server [default: that of `holotype login`]
    #[arg(long, global = true, env = "HOLOTYPE_TOKEN_FILE", hide_env_values = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Print one JSON value to standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress, no summary: only errors and warnings
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Tell more to standard error; twice for even more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a repository
    Init(InitArguments),
    /// Back a disk up
    Backup(BackupArguments),
    /// List images
    Images(ImagesArguments),
    /// Show one image
    Show(ImageArguments),
    /// Show where two images differ
    Diff(DiffArguments),
    /// Write an image to a disk, a file or standard output
    Restore(RestoreArguments),
    /// Copy images into another repository
    Copy(CopyArguments),
    /// Check what a restore signed
    #[command(subcommand)]
    Receipt(ReceiptAction),
    /// Look for damage
    Verify(VerifyArguments),
    /// Throw the cached index away and build it anew
    RebuildIndex,
    /// Figures of the repository
    Stats,
    /// Run the server: repositories, machines and tasks over HTTPS
    Serve(Box<ServeArguments>),
    /// Show the screens of a boot medium on this terminal, or do what a boot profile says
    #[cfg(target_os = "linux")]
    Agent(AgentArguments),
    /// List the disks of this machine
    Disks,
    /// Make media that PCs are booted from
    #[command(subcommand)]
    Boot(BootAction),
    /// Manage keys
    #[command(subcommand)]
    Key(KeyAction),
    /// Manage a server's machines
    #[command(subcommand)]
    Machine(MachineAction),
    /// Manage a server's groups of machines
    #[command(subcommand)]
    Group(GroupAction),
    /// Manage a server's list of storages
    #[command(subcommand)]
    Storage(StorageAction),
    /// Show a server's list of images
    #[command(subcommand)]
    Image(ImageAction),
    /// Have a server's machines backed up and restored
    #[command(subcommand)]
    Task(TaskAction),
    /// Show what happened on a server
    #[command(subcommand)]
    Event(EventAction),
    /// Manage a server's directory: organisations, repositories, first users, the database
    Server(ServerArguments),
    /// Log in to a server, and keep the session's token
    Login(LoginArguments),
    /// End the session
    Logout,
    /// Manage users of a server
    #[command(subcommand)]
    User(UserAction),
    /// Manage tokens of a server
    #[command(subcommand)]
    Token(TokenAction),
    /// Manage codes that let machines in
    #[command(subcommand)]
    EnrolmentCode(EnrolmentCodeAction),
    /// Make a key for this machine, and let it in with a code
    Enrol(EnrolArguments),
    /// Write a completion script for a shell to standard output
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Try everything on a small disk that is made for it
    Demo(DemoArguments),
    /// Write man pages into a directory
    #[command(hide = true)]
    Man {
        /// Where to
        dir: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }
}
