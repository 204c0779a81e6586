//! Users whom the provider makes: the first of an organisation.

use super::note;
use super::organisations::find;
use crate::access::Role;
use crate::accounts::{User, insert_user, passwords};
use crate::clock::{new_id, now_ms};
use crate::database::Database;
use crate::error::Result;
use crate::text::{Name, SecretText};

/// Makes a user and gives their id.
///
/// # Errors
/// `NotFound` where there is no such organisation, `Conflict` where there is such a user,
/// `InvalidRequest` where the password is too short.
pub fn add_user(
    database: &Database,
    organisation: &Name,
    name: &Name,
    role: Role,
    password: &SecretText,
) -> Result<String> {
    passwords::check_new(password)?;
    let hash = passwords::hash_blocking(password)?;
    database.write_blocking(|transaction| {
        let organisation = find(transaction, organisation.as_str())?;
        let name = name.as_str().to_owned();
        let user = User { id: new_id()?, name, role, created_ms: now_ms(), disabled_ms: None };
        insert_user(transaction, &organisation, &user, &hash)?;
        note(transaction, &organisation, "user.created", format!("user {}", user.id), &role.to_string())?;
        Ok(user.id)
    })
}
