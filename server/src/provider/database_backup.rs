//! The database is copied while the server runs, and the copy is checked.

use super::database_check::{DatabaseSummary, check, open_read_only, summarise};
use super::{invalid, io};
use crate::data_dir::DataDir;
use crate::error::{ApiError, Code, Result};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use std::fs::File;
use std::path::Path;
use std::time::Duration;
use tempfile::NamedTempFile;

const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Writes a copy of the database of `data` to the new file `target`.
///
/// The copy is made under another name, read back whole, compared and made durable before it gets its
/// name: what stands there is a good backup, after a crash too.
///
/// # Errors
/// `Conflict` where something stands at `target`; `Damaged` where the database is; otherwise what the
/// operating system says.
pub fn back_up(data: &DataDir, target: &Path) -> Result<DatabaseSummary> {
    let exists = || {
        let why = format!("{}: something is there already; give another path", target.display());
        ApiError::new(Code::Conflict, why)
    };
    if target.symlink_metadata().is_ok() {
        return Err(exists());
    }
    let above = target.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (copy, summary) = copy_into(&data.database(), above)?;
    copy.persist_noclobber(target).map_err(|error| match error.error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(),
        _ => io(target.display(), "give the backup its name", error.error),
    })?;
    sync_directory(above)?;
    Ok(summary)
}

/// A checked, durable copy of a database in `directory`, in one file without a log beside it.
pub(super) fn copy_into(database: &Path, directory: &Path) -> Result<(NamedTempFile, DatabaseSummary)> {
    if !database.is_file() {
        return Err(invalid(format!("{}: there is no database", database.display())));
    }
    let copy = tempfile::Builder::new().prefix(".holotype-database-").tempfile_in(directory);
    let copy = copy.map_err(|error| io(directory.display(), "make a file in it", error))?;
    let source = open_read_only(database)?;
    source.busy_timeout(BUSY_TIMEOUT)?;
    // One snapshot for the counts and the copy.
    let snapshot = source.unchecked_transaction()?;
    let expected = summarise(&snapshot)?;
    let mut target = Connection::open(copy.path())?;
    let step = Backup::new(&snapshot, &mut target)?.step(-1)?;
    if !matches!(step, StepResult::Done) {
        return Err(ApiError::internal(format!("{}: it was busy for too long; try again", database.display())));
    }
    drop(snapshot);
    // The log's mode is copied too; a backup is one file.
    target.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(()))?;
    target.close().map_err(|(_, error)| error)?;
    copy.as_file().sync_all().map_err(|error| io(copy.path().display(), "sync it", error))?;
    let found = check(copy.path())?;
    if found != expected {
        return Err(ApiError::new(Code::Damaged, "the copy is not what was copied; look at the disk"));
    }
    Ok((copy, found))
}

pub(super) fn sync_directory(directory: &Path) -> Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| io(directory.display(), "sync it", error))
}
