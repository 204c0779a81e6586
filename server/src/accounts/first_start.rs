//! The first start of a server: an organisation, an admin, a password in a file.

use super::passwords;
use super::users::{self, User};
use crate::access::Role;
use crate::clock::{new_id, now_ms};
use crate::data_dir::write_private;
use crate::database::Database;
use crate::error::{ApiError, Result};
use crate::text::SecretText;
use holotype_repo::core::machine_proof::{CODE_CHARACTERS, code_text};
use std::path::{Path, PathBuf};

/// Name of the organisation that is meant where none is named.
pub const DEFAULT_ORGANISATION: &str = "default";
const ADMIN: &str = "admin";
const PASSWORD_FILE: &str = "initial-admin-password";

/// Makes organisation `default` and user `admin` where there is no organisation yet, and gives the path
/// of the file with the admin's password; `None` where this is not the first start.
///
/// The file is written first: a crash leaves a file that opens nothing and is written anew.
///
/// # Errors
/// Where the file or the database cannot be written.
pub fn first_start(database: &Database, data_dir: &Path) -> Result<Option<PathBuf>> {
    let has_any = |connection: &rusqlite::Connection| -> Result<bool> {
        Ok(connection.query_row("SELECT EXISTS (SELECT 1 FROM organisations)", [], |row| row.get(0))?)
    };
    if database.read_blocking(has_any)? {
        return Ok(None);
    }
    let mut random = [0; CODE_CHARACTERS * 5 / 8];
    getrandom::fill(&mut random).map_err(|error| ApiError::internal(format!("no random bytes: {error}")))?;
    let password = SecretText::try_from(code_text(&random)).map_err(ApiError::internal)?;
    let hash = passwords::hash_blocking(&password)?;
    let path = data_dir.join(PASSWORD_FILE);
    write_private(&path, zeroize::Zeroizing::new(format!("{}\n", password.expose())).as_bytes())
        .map_err(|error| ApiError::internal(format!("{}: could not write it: {error}", path.display())))?;
    let made = database.write_blocking(|transaction| {
        if has_any(transaction)? {
            return Ok(false);
        }
        let (organisation, created_ms) = (new_id()?, now_ms());
        transaction.execute(
            "INSERT INTO organisations (id, name, created_ms) VALUES (?1, ?2, ?3)",
            rusqlite::params![organisation, DEFAULT_ORGANISATION, created_ms],
        )?;
        let user = User { id: new_id()?, name: ADMIN.to_owned(), role: Role::Admin, created_ms, disabled_ms: None };
        users::insert(transaction, &organisation, &user, &hash)?;
        Ok(true)
    })?;
    Ok(made.then_some(path))
}

/// To be called when the password of `user` is no longer what it was: that of the first admin need not lie in a
/// file any more.
pub(super) fn forget_password(data_dir: &Path, organisation: &str, user: &str) {
    if organisation != DEFAULT_ORGANISATION || user != ADMIN {
        return;
    }
    let path = data_dir.join(PASSWORD_FILE);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), "could not remove a password that opens nothing any more: {error}");
        }
        _ => {}
    }
}
