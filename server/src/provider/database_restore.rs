//! A backup of the database takes the database's place; the old one stays beside it.

use super::database_backup::{copy_into, sync_directory};
use super::database_check::{DatabaseSummary, check};
use super::{invalid, io};
use crate::clock::now_ms;
use crate::data_dir::DataDir;
use crate::database::Database;
use crate::error::{ApiError, Code, Result};
use rusqlite::Connection;
use serde::Serialize;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What a restore did.
#[derive(Debug, Clone, Serialize)]
pub struct Restored {
    /// What is in the database now.
    pub database: DatabaseSummary,
    /// Where the old one is, if there was any.
    pub old: Option<PathBuf>,
}

/// Puts the backup `source` in the place of the database of `data`, whose server must not run.
///
/// Sessions and unused enrolment codes of the backup end: some were ended or used after it was made.
/// Tokens that were revoked after it was made are good again and have to be revoked again.
///
/// # Errors
/// `Conflict` where a server runs, or the backup is of a newer version; `Damaged` where it is not whole.
pub fn restore(data: &DataDir, source: &Path) -> Result<Restored> {
    let _lock = data.lock().map_err(|why| ApiError::new(Code::Conflict, why))?;
    if !source.is_file() {
        return Err(invalid(format!("{}: there is no such file", source.display())));
    }
    check(source)?;
    let (copy, _) = copy_into(source, data.path())?;
    end_what_may_have_ended(copy.path())?;
    let summary = check(copy.path())?;
    copy.as_file().sync_all().map_err(|error| io(copy.path().display(), "sync it", error))?;
    let old = keep_old(data)?;
    // A crash before this leaves the old database, after it the new one.
    let database = data.database();
    copy.persist(&database).map_err(|error| io(database.display(), "put the backup there", error.error))?;
    sync_directory(data.path())?;
    Ok(Restored { database: summary, old })
}

fn end_what_may_have_ended(path: &Path) -> Result<()> {
    // Opening brings it to this version.
    Database::open(path)?.write_blocking(|transaction| {
        let now_ms = now_ms();
        let sql = "UPDATE tokens SET revoked_ms = ?1 WHERE kind = 'session' AND revoked_ms IS NULL";
        transaction.execute(sql, [now_ms])?;
        transaction.execute("UPDATE enrolment_codes SET used_ms = ?1 WHERE used_ms IS NULL", [now_ms])?;
        Ok(())
    })?;
    single_file(path)
}

/// Takes what is in the log into the file, and the log away.
fn single_file(path: &Path) -> Result<()> {
    let connection = Connection::open(path)?;
    connection.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(()))?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// Gives the old database a second, dated name. Its log has to be gone from beside the new one: it is
/// taken into the file or, where the file is too damaged for that, gets a dated name too.
fn keep_old(data: &DataDir) -> Result<Option<PathBuf>> {
    let database = data.database();
    if database.symlink_metadata().is_err() {
        return Ok(None);
    }
    let damaged = single_file(&database).is_err();
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let beside = |suffix: &str| PathBuf::from(format!("{}{suffix}", database.display()));
    let mut old = beside(&format!(".before-restore-{time}"));
    let mut number = 1;
    while old.symlink_metadata().is_ok() {
        number += 1;
        old = beside(&format!(".before-restore-{time}-{number}"));
    }
    if fs::hard_link(&database, &old).is_err() {
        // Not every file system has hard links.
        fs::copy(&database, &old)
            .and_then(|_| File::open(&old)?.sync_all())
            .map_err(|error| io(old.display(), "keep the old database there", error))?;
    }
    for suffix in ["-wal", "-shm"] {
        let log = beside(suffix);
        if damaged && log.exists() {
            let kept = PathBuf::from(format!("{}{suffix}", old.display()));
            fs::rename(&log, &kept).map_err(|error| io(log.display(), "keep it", error))?;
        }
    }
    sync_directory(data.path())?;
    Ok(Some(old))
}
