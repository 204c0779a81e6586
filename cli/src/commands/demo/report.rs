//! What the demonstration shows.

use crate::output::{self, Table};
use crate::units::{percent, size};
use holotype_repo::{BackupReport, RepositoryStats, VerifyReport};
use serde::Serialize;
use std::path::PathBuf;

/// A disk that was written, and whether it is the same as what was backed up.
#[derive(Debug, Serialize)]
pub struct Clone {
    /// What it is.
    pub name: String,
    /// Whether each byte is the same.
    pub identical: bool,
}

/// Everything that was done.
#[derive(Debug, Serialize)]
pub struct DemoReport {
    /// Where it was done; absent where nothing was kept.
    pub directory: Option<PathBuf>,
    /// The first backup.
    pub first: BackupReport,
    /// The backup after a day's work.
    pub second: BackupReport,
    /// Disks that were written.
    pub clones: Vec<Clone>,
    /// What reading everything found.
    pub verify: VerifyReport,
    /// Figures of the repository.
    pub stats: RepositoryStats,
    /// Wall time in seconds.
    pub elapsed_seconds: f64,
}

impl DemoReport {
    /// What is not as it should be.
    pub fn problem(&self) -> Option<String> {
        let differing: Vec<&str> =
            self.clones.iter().filter(|clone| !clone.identical).map(|clone| clone.name.as_str()).collect();
        if !differing.is_empty() {
            return Some(format!("{} differ from what was backed up", differing.join(", ")));
        }
        self.verify.findings().first().map(|finding| format!("verify found damage: {finding}"))
    }

    /// Prints it for people.
    pub fn print(&self) {
        let mut table = Table::new(&["", "DISK", "IN USE", "NEW", "STORED", "OF THE DISK"]);
        for (name, report) in [("first backup", &self.first), ("a day later", &self.second)] {
            table.row([
                name.to_owned(),
                size(report.source_bytes),
                size(report.data_bytes),
                size(report.new_bytes),
                size(report.stored_bytes),
                percent(report.stored_bytes, report.source_bytes),
            ]);
        }
        output::line("");
        table.print();
        let both = self.first.source_bytes + self.second.source_bytes;
        let stored = self.stats.stored_bytes;
        output::line(format!(
            "\nTwo images of {} together take {} ({}), encrypted.",
            size(both),
            size(stored),
            percent(stored, both)
        ));
        output::line(format!(
            "{} disks were written and are the same in each byte; all {} that are stored were read and checked.",
            self.clones.len(),
            size(self.verify.read_bytes)
        ));
        output::line(format!("All of it took {:.1} s.", self.elapsed_seconds));
        match &self.directory {
            Some(directory) => {
                let directory = directory.display();
                output::line(format!("\nIt is kept in {directory}. Look at it:"));
                output::line(format!(
                    "  holotype --repo {directory}/repository --key-file {directory}/demo.key images"
                ));
            }
            None => output::line("\nNothing of it was kept; --keep leaves it there."),
        }
        output::line(REAL_DISK);
    }
}

const REAL_DISK: &str = "\
\nThe same with a real disk, as root, with the repository on another one:
  export HOLOTYPE_REPO=/mnt/backup/repository
  holotype disks
  holotype init --recovery-key /mnt/stick/recovery.key
  holotype backup /dev/sdX --name classroom/master
  holotype images
  holotype restore classroom/master /dev/sdY --overwrite
  holotype verify --read-data";
