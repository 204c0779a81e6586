//! `holotype key`.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// What is to be done with keys.
#[derive(Debug, Subcommand)]
pub enum KeyAction {
    /// Add a key
    Add(AddArguments),
    /// Remove a key; what its holder copied stays copied
    Remove {
        /// First digits of its id
        id: String,
    },
    /// List keys
    List,
    /// Change the password of the key that is given
    Passwd(PasswdArguments),
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleName {
    /// Everything
    Full,
    /// Add images; open none, delete nothing
    Writer,
}

/// What shall open a new key.
#[derive(Debug, Args)]
pub struct NewSecretArguments {
    /// File whose first line is the new password
    #[arg(long, value_name = "FILE")]
    pub new_password_file: Option<PathBuf>,
    /// Weaker and faster derivation of keys from passwords, for tests
    #[arg(long, hide = true)]
    pub fast_derivation: bool,
}

/// What a new key is asked to be.
#[derive(Debug, Args)]
pub struct AddArguments {
    /// What it may do
    #[arg(long)]
    pub role: RoleName,
    /// A name for people
    #[arg(long, default_value = "")]
    pub label: String,
    /// Write a fresh key file there; it opens alone where no new password is given
    #[arg(long, value_name = "FILE")]
    pub new_key_file: Option<PathBuf>,
    /// What shall open it
    #[command(flatten)]
    pub secret: NewSecretArguments,
}

/// The new password.
#[derive(Debug, Args)]
pub struct PasswdArguments {
    /// What shall open it
    #[command(flatten)]
    pub secret: NewSecretArguments,
}
