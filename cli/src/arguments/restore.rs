//! `holotype restore`, `show`, `images`, `diff` and `receipt`.

use crate::units::parse_size;
use clap::{Args, Subcommand, ValueEnum};
use holotype_repo::core::WriterId;
use holotype_repo::{FreePolicy, ImageSelector, PartitionChoice};
use std::path::PathBuf;
use std::str::FromStr;

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

/// Which images to compare.
#[derive(Debug, Args)]
pub struct DiffArguments {
    /// NAME (its newest), NAME@TIME (the newest by then), or an id of 6 digits or more
    pub first: ImageSelector,
    /// What it is compared with, likewise
    pub second: ImageSelector,
    /// File whose first line is the images' own password; twice where each has another
    #[arg(long, value_name = "FILE")]
    pub image_password_file: Vec<PathBuf>,
    /// List every range that differs
    #[arg(long)]
    pub ranges: bool,
}

/// An image, or one partition of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePart {
    /// The image.
    pub image: ImageSelector,
    /// The partition, where one is named.
    pub partition: Option<u32>,
}

impl FromStr for ImagePart {
    type Err = holotype_repo::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The whole first: a time may end like a partition, and no name has a colon.
        let whole = text.parse().map(|image| Self { image, partition: None });
        let part = || {
            let (image, number) = text.rsplit_once(':')?;
            Some(Self { image: image.parse().ok()?, partition: Some(number.parse().ok()?) })
        };
        whole.or_else(|error| part().ok_or(error))
    }
}

/// What a restore is asked to do.
#[derive(Debug, Args)]
pub struct RestoreArguments {
    /// NAME (its newest), NAME@TIME (the newest by then), or an id of 6 digits or more; with :N, the
    /// content of partition N alone, from the target's first byte on
    #[arg(value_name = "IMAGE[:N]")]
    pub image: ImagePart,
    /// Block device, file, or - for standard output
    pub target: PathBuf,
    /// File whose first line is the image's own password
    #[arg(long, value_name = "FILE")]
    pub image_password_file: Option<PathBuf>,
    /// What is on the target may be lost; every disk wants this, and every file that is not empty.
    /// What is there already and right is not written again
    #[arg(long)]
    pub overwrite: bool,
    /// Read what is on the target, and write only what differs
    #[arg(long, conflicts_with = "no_delta")]
    pub delta: bool,
    /// Write everything without reading what is on the target
    #[arg(long)]
    pub no_delta: bool,
    /// Restore partition N alone, into partition M of the target's own table [default: the same
    /// number]; may be given several times
    #[arg(long = "partition", value_name = "N[:M]", value_parser = parse_partition, conflicts_with = "table_only")]
    pub partitions: Vec<PartitionChoice>,
    /// Restore the partition table alone
    #[arg(long)]
    pub table_only: bool,
    /// Let the partition that lies last take the room that a larger disk has
    #[arg(long)]
    pub grow: bool,
    /// Give the copy a disk GUID and partition GUIDs of its own, so that it can stand beside the first
    #[arg(long)]
    pub new_guids: bool,
    /// What becomes of the target where no filesystem used the source [default: hole in new files,
    /// keep where something stands already]
    #[arg(long, value_enum)]
    pub free: Option<FreeName>,
    /// Read the target back and compare
    #[arg(long)]
    pub verify: bool,
    /// Write a signed receipt to this new file
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,
    /// Length of a target that is a file [default: the image's], as 40G
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub size: Option<u64>,
}

/// What becomes of free runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FreeName {
    /// Holes in files
    Hole,
    /// They stay what they are
    Keep,
    /// They become zeros
    Zero,
    /// The device is told that they are not needed
    Discard,
}

impl From<FreeName> for FreePolicy {
    fn from(name: FreeName) -> Self {
        match name {
            FreeName::Hole => Self::Hole,
            FreeName::Keep => Self::Keep,
            FreeName::Zero => Self::Zero,
            FreeName::Discard => Self::Discard,
        }
    }
}

/// What to do with receipts.
#[derive(Debug, Subcommand)]
pub enum ReceiptAction {
    /// Check a receipt's signature, and with --repo or --signer, whose it is
    Check(ReceiptArguments),
}

/// Which receipt.
#[derive(Debug, Args)]
pub struct ReceiptArguments {
    /// The receipt
    pub file: PathBuf,
    /// Public key that must have signed it [default: that of the repository, where one is given]
    #[arg(long, value_name = "KEY")]
    pub signer: Option<WriterId>,
}

fn parse_partition(text: &str) -> Result<PartitionChoice, String> {
    let (source, target) = text.split_once(':').unwrap_or((text, text));
    let number = |text: &str| text.parse().ok().filter(|number| *number > 0).ok_or("give a number, or two as 2:3");
    Ok(PartitionChoice { source: number(source)?, target: number(target)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_images() {
        let part = |text: &str| ImagePart::from_str(text).map(|part| part.partition);
        assert_eq!(part("lab/pc").unwrap(), None);
        assert_eq!(part("lab/pc:2").unwrap(), Some(2));
        assert_eq!(part("pc@2026-01-31T12:00:00Z").unwrap(), None);
        assert_eq!(part("pc@2026-01-31T12:00:00+02:00").unwrap(), None);
        assert_eq!(part("pc@2026-01-31T12:00:00Z:3").unwrap(), Some(3));
        assert!(part("pc:").is_err() && part("pc:x").is_err() && part("a b:2").is_err());
        assert_eq!(parse_partition("2:3"), Ok(PartitionChoice { source: 2, target: 3 }));
        assert_eq!(parse_partition("5"), Ok(PartitionChoice { source: 5, target: 5 }));
        assert!(parse_partition("0").is_err() && parse_partition("2:").is_err());
    }
}
