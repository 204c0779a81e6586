//! `holotype restore`, `show` and `images`.

use clap::Args;
use holotype_repo::ImageSelector;
use std::path::PathBuf;

/// Which images to list.
#[derive(Debug, Args)]
pub struct ImagesArguments {
    /// Only those of this name
    #[arg(long)]
    pub name: Option<String>,
}

/// Which image is meant.
#[derive(Debug, Args)]
pub struct ImageArguments {
    /// NAME (its newest), NAME@TIME (the newest by then), or an id of 6 digits or more
    pub image: ImageSelector,
    /// File whose first line is the image's own password
    #[arg(long, value_name = "FILE")]
    pub image_password_file: Option<PathBuf>,
}

/// What a restore is asked to do.
#[derive(Debug, Args)]
pub struct RestoreArguments {
    /// Which image
    #[command(flatten)]
    pub image: ImageArguments,
    /// Block device, file, or - for standard output
    pub target: PathBuf,
    /// What is on the target may be lost; every disk wants this, and every file that is not empty
    #[arg(long)]
    pub overwrite: bool,
}
