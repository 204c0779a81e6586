//! `holotype init`, `verify` and `demo`.

use clap::Args;
use std::path::PathBuf;

/// What a new repository is asked to be.
#[derive(Debug, Args)]
pub struct InitArguments {
    /// Write a second key that opens alone into this new file, for the safe
    #[arg(long, value_name = "FILE")]
    pub recovery_key: Option<PathBuf>,
    /// Deduplicate against what every enrolled writer stored, not only against full keys' images
    #[arg(long)]
    pub trust_writers: bool,
    /// Write a fresh key file first, which is then needed besides the password
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    pub new_key_file: Option<PathBuf>,
    /// The key file opens alone, without a password
    #[arg(long, conflicts_with_all = ["password_file", "password_command", "ask_password"])]
    pub no_password: bool,
    /// Weaker and faster derivation of keys from passwords, for tests
    #[arg(long, hide = true)]
    pub fast_derivation: bool,
}

/// How much a verify reads.
#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// Read, open and check every byte
    #[arg(long, conflicts_with = "sample")]
    pub read_data: bool,
    /// Read this share of the packs whole
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent)]
    pub sample: Option<f64>,
}

/// Where the demonstration happens.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// In which directory to make its own one [default: the system's temporary directory]
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Leave everything there, to look at it
    #[arg(long)]
    pub keep: bool,
}

fn parse_percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent),
        _ => Err("give a share above 0 and up to 100".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents() {
        assert_eq!(parse_percent("2.5%"), Ok(2.5));
        assert_eq!(parse_percent("100"), Ok(100.0));
        for bad in ["0", "-1", "101", "NaN", "inf", "half"] {
            assert!(parse_percent(bad).is_err(), "{bad}");
        }
    }
}
