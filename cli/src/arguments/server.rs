//! `holotype server`: what the provider does on the server's directory.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// The server's directory, and what is to be done with it.
#[derive(Debug, Args)]
pub struct ServerArguments {
    /// Directory of the server
    #[arg(long, global = true, env = "HOLOTYPE_DATA", hide_env_values = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// What is to be done
    #[command(subcommand)]
    pub action: ServerAction,
}

/// What is to be done with a server's directory.
#[derive(Debug, Subcommand)]
pub enum ServerAction {
    /// Manage organisations
    #[command(subcommand)]
    Org(OrgAction),
    /// Manage repositories
    #[command(subcommand, name = "repo")]
    Repository(ServerRepositoryAction),
    /// Manage users; those of a running organisation: `holotype user`
    #[command(subcommand)]
    User(ServerUserAction),
    /// Back up the management database, or restore it
    #[command(subcommand)]
    Database(DatabaseAction),
}

/// What is to be done with organisations.
#[derive(Debug, Subcommand)]
pub enum OrgAction {
    /// Make an organisation
    Add {
        /// Its name
        name: String,
    },
    /// List organisations
    List,
}

/// What is to be done with repositories.
#[derive(Debug, Subcommand)]
pub enum ServerRepositoryAction {
    /// Take a repository into service
    Add {
        /// Its name, as in URLs: a-z 0-9 -
        name: String,
        /// Its organisation
        #[arg(long, default_value = "default")]
        org: String,
        /// Where it lies, or is made [default: in the server's directory]
        #[arg(long, value_name = "PATH")]
        dir: Option<PathBuf>,
    },
    /// List repositories
    List,
    /// Forget a repository; its data stays where it lies
    Remove {
        /// Its name
        name: String,
        /// Its organisation
        #[arg(long, default_value = "default")]
        org: String,
    },
}

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum UserRole {
    /// See machines, tasks, images and events
    Viewer,
    /// Also manage machines and tasks, back up and restore
    Operator,
    /// Also manage users and tokens, and delete
    Admin,
}

impl UserRole {
    /// As the server writes it.
    pub fn word(self) -> &'static str {
        match self {
            UserRole::Viewer => "viewer",
            UserRole::Operator => "operator",
            UserRole::Admin => "admin",
        }
    }
}

/// What is to be done with users.
#[derive(Debug, Subcommand)]
pub enum ServerUserAction {
    /// Make a user; the password is that of --password-file, or the terminal is asked
    Add {
        /// Their name
        name: String,
        /// Their organisation
        #[arg(long, default_value = "default")]
        org: String,
        /// What they may do
        #[arg(long)]
        role: UserRole,
    },
}

/// What is to be done with the database.
#[derive(Debug, Subcommand)]
pub enum DatabaseAction {
    /// Write a checked copy into a new file; the server may run
    Backup {
        /// The new file
        file: PathBuf,
    },
    /// Put a copy in the database's place; the server must not run, the old database is kept beside
    Restore {
        /// The copy
        file: PathBuf,
    },
}
