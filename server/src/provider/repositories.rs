//! Repositories: which there are, and where they lie.

use super::{invalid, io, note, organisations};
use crate::clock::{new_id, now_ms};
use crate::data_dir::{DataDir, make_directory};
use crate::database::Database;
use crate::error::{ApiError, Code, Result};
use crate::text::Name;
use holotype_repo::ErrorKind;
use holotype_repo::store::LocalStore;
use rusqlite::{OptionalExtension, params};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

const MAX_NAME_CHARACTERS: usize = 64;

/// A repository.
#[derive(Debug, Clone, Serialize)]
pub struct RepositoryEntry {
    /// Id.
    pub id: String,
    /// Name of its organisation.
    pub organisation: String,
    /// Name, as in URLs.
    pub name: String,
    /// Where it lies.
    pub directory: PathBuf,
}

/// Takes a repository into service: an empty store that is made at `directory` or, without it, in the
/// server's directory; or a store that is there already.
///
/// # Errors
/// `Conflict` where the organisation has one of that name or the directory is another's; `NotFound`
/// where there is no such organisation; what the store says where it can be neither made nor opened.
pub fn add_repository(
    data: &DataDir,
    database: &Database,
    organisation: &Name,
    name: &str,
    directory: Option<&Path>,
) -> Result<RepositoryEntry> {
    check_name(name)?;
    let organisation_id =
        database.read_blocking(|connection| organisations::find(connection, organisation.as_str()))?;
    let taken = || ApiError::new(Code::Conflict, format!("repository {name}: {organisation} has one already"));
    let exists = database.read_blocking(|connection| {
        let sql = "SELECT EXISTS (SELECT 1 FROM repositories WHERE organisation = ?1 AND name = ?2)";
        Ok(connection.query_row(sql, [&organisation_id, name], |row| row.get::<_, bool>(0))?)
    })?;
    if exists {
        return Err(taken());
    }
    let directory = match directory {
        Some(directory) => directory.to_owned(),
        // Names of organisations may hold anything; their ids may not.
        None if is_plain(organisation.as_str()) => data.repositories().join(organisation.as_str()).join(name),
        None => data.repositories().join(&organisation_id).join(name),
    };
    let directory = make_store(&directory)?;
    let location = directory.to_str().ok_or_else(|| invalid("directory: its path has to be UTF-8"))?;
    let id = new_id()?;
    database.write_blocking(|transaction| {
        let sql = "SELECT EXISTS (SELECT 1 FROM repositories WHERE store_kind = 'directory' AND store_location = ?1)";
        if transaction.query_row(sql, [location], |row| row.get(0))? {
            let why = format!("{location}: another repository lies there; give another directory");
            return Err(ApiError::new(Code::Conflict, why));
        }
        let added = transaction.execute(
            "INSERT INTO repositories (id, organisation, name, store_kind, store_location, created_ms)
             VALUES (?1, ?2, ?3, 'directory', ?4, ?5) ON CONFLICT DO NOTHING",
            params![id, organisation_id, name, location, now_ms()],
        )?;
        if added == 0 {
            return Err(taken());
        }
        note(transaction, &organisation_id, "repository.added", format!("repository {id}"), name)
    })?;
    Ok(RepositoryEntry { id, organisation: organisation.as_str().to_owned(), name: name.to_owned(), directory })
}

fn check_name(name: &str) -> Result<()> {
    match (1..=MAX_NAME_CHARACTERS).contains(&name.len()) && is_plain(name) {
        true => Ok(()),
        false => Err(invalid(format!("repository {name:?}: a name has 1 to {MAX_NAME_CHARACTERS} of a-z 0-9 -"))),
    }
}

fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Makes an empty store, or opens the one that is there; gives its canonical path.
fn make_store(directory: &Path) -> Result<PathBuf> {
    let failed = |error: holotype_repo::Error| {
        ApiError::new(Code::Conflict, format!("{}: no repository can be here: {error}", directory.display()))
    };
    let subject = directory.display();
    let above = directory.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_directory(above).map_err(|error| io(&subject, "make the directory above", error))?;
    match LocalStore::create(directory) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            LocalStore::open(directory).map(drop).map_err(failed)?;
        }
        Err(error) => return Err(failed(error)),
    }
    fs::canonicalize(directory).map_err(|error| io(&subject, "look at it", error))
}

/// All repositories, by organisation and name.
///
/// # Errors
/// Where the database fails.
pub fn repositories(database: &Database) -> Result<Vec<RepositoryEntry>> {
    database.read_blocking(|connection| {
        let mut statement = connection.prepare(
            "SELECT r.id, o.name, r.name, r.store_location FROM repositories r
             JOIN organisations o ON o.id = r.organisation ORDER BY o.name, r.name",
        )?;
        let rows = statement.query_map([], |row| {
            let (id, organisation, name) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(RepositoryEntry { id, organisation, name, directory: row.get::<_, String>(3)?.into() })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    })
}

/// Forgets a repository, with what the database knows of its images; its data stays where it lies, and
/// its path is given. Tokens that were narrowed to it are revoked: without it they would be narrowed to
/// nothing, which means everything.
///
/// # Errors
/// `NotFound` where there is none.
pub fn remove_repository(database: &Database, organisation: &Name, name: &str) -> Result<PathBuf> {
    database.write_blocking(|transaction| {
        let organisation = organisations::find(transaction, organisation.as_str())?;
        let sql = "SELECT id, store_location FROM repositories WHERE organisation = ?1 AND name = ?2";
        let found: Option<(String, String)> =
            transaction.query_row(sql, [&organisation, name], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let (id, location) = found.ok_or_else(|| ApiError::not_found(format_args!("repository {name}")))?;
        transaction.execute(
            "UPDATE tokens SET revoked_ms = ?2
             WHERE revoked_ms IS NULL AND id IN (SELECT token FROM token_repositories WHERE repository = ?1)",
            params![id, now_ms()],
        )?;
        transaction.execute("DELETE FROM images WHERE repository = ?1", [&id])?;
        transaction.execute("DELETE FROM repositories WHERE id = ?1", [&id])?;
        note(transaction, &organisation, "repository.removed", format!("repository {id}"), name)?;
        Ok(location.into())
    })
}
