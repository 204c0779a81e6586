//! `holotype backup`.

use clap::{Args, ValueEnum};
use holotype_repo::ImageSelector;
use holotype_repo::core::compress::Compression;
use std::path::PathBuf;

/// What a backup is asked to do.
#[derive(Debug, Args)]
pub struct BackupArguments {
    /// Block device, raw image file, or - for standard input
    pub source: PathBuf,
    /// Name of the image: A-Z a-z 0-9 . _ / -
    #[arg(long)]
    pub name: String,
    /// Tag of the image; may be given several times
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = parse_tag)]
    pub tags: Vec<(String, String)>,
    /// Make the repository where there is none
    #[arg(long, conflicts_with = "dry_run")]
    pub init: bool,
    /// Look in this image first [default: the newest of the same name]
    #[arg(long, value_name = "IMAGE", conflicts_with = "no_parent")]
    pub parent: Option<ImageSelector>,
    /// Look in no image first
    #[arg(long)]
    pub no_parent: bool,
    /// zstd level 1 to 19, or none
    #[arg(long, value_name = "LEVEL", default_value = "2", value_parser = parse_compression)]
    pub compression: Compression,
    /// Keep every sector, those that no filesystem uses too
    #[arg(long)]
    pub raw: bool,
    /// Leave the content of these Windows system files out, where their volume allows it safely
    #[arg(long, value_name = "NAME", value_delimiter = ',', conflicts_with = "raw")]
    pub drop: Vec<DropName>,
    /// Try sectors that cannot be read again, this many times [default: 3]
    #[arg(long, value_name = "PASSES", num_args = 0..=1, default_missing_value = "3")]
    pub rescue: Option<u32>,
    /// Read and count, but store nothing
    #[arg(long)]
    pub dry_run: bool,
    /// File whose first line is a password of the image's own, besides the repository's
    #[arg(long, value_name = "FILE")]
    pub image_password_file: Option<PathBuf>,
    /// Do not tell the server what the image is called and how large the disk is
    #[arg(long)]
    pub no_report: bool,
    /// Weaker and faster derivation of keys from passwords, for tests
    #[arg(long, hide = true)]
    pub fast_derivation: bool,
}

/// System files that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DropName {
    /// pagefile.sys and swapfile.sys
    Pagefile,
    /// hiberfil.sys, of a volume that is not hibernated
    Hiberfil,
}

fn parse_tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a tag is KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn parse_compression(text: &str) -> Result<Compression, String> {
    match text.parse::<u8>() {
        Ok(level @ 1..=19) => Ok(Compression::Zstd(level)),
        _ if text == "none" => Ok(Compression::None),
        _ => Err("give a level from 1 to 19, or none".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_levels() {
        assert_eq!(parse_tag("room=3=left").unwrap(), ("room".to_owned(), "3=left".to_owned()));
        assert!(parse_tag("room").is_err());
        assert_eq!(parse_compression("19").unwrap(), Compression::Zstd(19));
        assert_eq!(parse_compression("none").unwrap(), Compression::None);
        for bad in ["0", "20", "-1", "", "fast"] {
            assert!(parse_compression(bad).is_err(), "{bad}");
        }
    }
}
