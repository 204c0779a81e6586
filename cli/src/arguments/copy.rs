//! `holotype copy`.

use clap::Args;
use holotype_repo::ImageSelector;
use holotype_repo::https::ServerPin;
use std::path::PathBuf;

/// Which images are copied where.
#[derive(Debug, Args)]
pub struct CopyArguments {
    /// NAME (its newest), NAME@TIME (the newest by then), or an id of 6 digits or more
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<ImageSelector>,
    /// The other repository: its directory, or https://HOST:PORT/NAME
    #[arg(long, value_name = "PATH")]
    pub to: PathBuf,
    /// File whose first line is the other repository's password [default: the same password]
    #[arg(long, value_name = "FILE")]
    pub to_password_file: Option<PathBuf>,
    /// Key file of the other repository, as of a writer: alone, or with --to-password-file
    #[arg(long, value_name = "FILE")]
    pub to_key_file: Option<PathBuf>,
    /// File whose first line is a token of the other server [default: the same]
    #[arg(long, value_name = "FILE")]
    pub to_token_file: Option<PathBuf>,
    /// Certificate that the other server must show [default: the same]
    #[arg(long, value_name = "PIN")]
    pub to_server_pin: Option<ServerPin>,
    /// Another name for the copies
    #[arg(long)]
    pub name: Option<String>,
    /// Copy also what is there already, by name and time
    #[arg(long)]
    pub again: bool,
    /// File whose first line is the images' own password
    #[arg(long, value_name = "FILE")]
    pub image_password_file: Option<PathBuf>,
}
