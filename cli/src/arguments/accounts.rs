//! `holotype login`, `user`, `token`, `enrolment-code`, `enrol`.

use super::server::UserRole;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Who logs in. The password is that of --password-file, or the terminal is asked.
#[derive(Debug, Args)]
pub struct LoginArguments {
    /// Name of the user
    pub user: String,
    /// Their organisation
    #[arg(long, default_value = "default")]
    pub org: String,
}

/// What is to be done with users.
#[derive(Debug, Subcommand)]
pub enum UserAction {
    /// List users
    List,
    /// Make a user
    Add {
        /// Their name
        name: String,
        /// What they may do
        #[arg(long)]
        role: UserRole,
        /// File whose first line is their password
        #[arg(long, value_name = "FILE")]
        new_password_file: Option<PathBuf>,
    },
    /// Change what a user may do
    Role {
        /// Their name
        name: String,
        /// What they may do from now on
        role: UserRole,
    },
    /// Shut a user out
    Disable {
        /// Their name
        name: String,
    },
    /// Remove a user; their tokens end, what they made stays
    Remove {
        /// Their name
        name: String,
    },
    /// Let a user in again
    Enable {
        /// Their name
        name: String,
    },
    /// Set a password; one's own without a name
    Passwd {
        /// Name of the user
        name: Option<String>,
        /// File whose first line is the new password
        #[arg(long, value_name = "FILE")]
        new_password_file: Option<PathBuf>,
    },
}

/// What is to be done with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenAction {
    /// List tokens, without their secrets
    List,
    /// Make a token and write it into a new file
    Add(TokenArguments),
    /// Revoke a token
    Revoke {
        /// Its id
        id: String,
    },
}

/// What a new token is asked to be.
#[derive(Debug, Args)]
pub struct TokenArguments {
    /// A name for people
    pub name: String,
    /// Name or id of the machine that it is for; one's own without it
    #[arg(long)]
    pub machine: Option<String>,
    /// Narrow it to this repository; may be given several times
    #[arg(long, value_name = "NAME", requires = "machine")]
    pub repository: Vec<String>,
    /// How many days it is good for
    #[arg(long, default_value = "90", value_parser = clap::value_parser!(u64).range(1..=366))]
    pub days: u64,
    /// The new file for it
    #[arg(long, value_name = "FILE")]
    pub new_token_file: PathBuf,
}

/// What is to be done with enrolment codes.
#[derive(Debug, Subcommand)]
pub enum EnrolmentCodeAction {
    /// Make a code and print it: it lets one machine in, once
    Add(CodeArguments),
    /// List codes, without themselves
    List,
    /// Take a code back
    Remove {
        /// Its id
        id: String,
    },
}

/// What a new code is asked to be for.
#[derive(Debug, Args)]
pub struct CodeArguments {
    /// Name or id of the machine that it is for
    #[arg(long, conflicts_with = "name")]
    pub machine: Option<String>,
    /// Make a machine of this name now
    #[arg(long)]
    pub name: Option<String>,
    /// Repository where the machine may add images and restore its own
    #[arg(long, value_name = "NAME")]
    pub repository: Option<String>,
    /// Name or id of the group that the machine joins
    #[arg(long)]
    pub group: Option<String>,
    /// How many hours it is good for
    #[arg(long, default_value = "24", value_parser = clap::value_parser!(u64).range(1..=720))]
    pub hours: u64,
}

/// How this machine enrols. The code is read from --code-file, or the terminal is asked.
#[derive(Debug, Args)]
pub struct EnrolArguments {
    /// What the machine is to be called
    pub name: String,
    /// File whose first line is the code
    #[arg(long, value_name = "FILE")]
    pub code_file: Option<PathBuf>,
    /// New file for the machine's key
    #[arg(long, value_name = "FILE")]
    pub new_machine_key_file: PathBuf,
}
