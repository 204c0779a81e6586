//! Who may do what with which object: the table of docs/adr/0010-server.md, in one function.

use crate::access::{Actor, Principal, Role};
use crate::clock::now_ms;
use crate::error::{ApiError, Code, Result};
use holotype_repo::store::Folder;
use rusqlite::{Connection, OptionalExtension, params};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Names and lengths, of a folder or of one object.
    List,
    /// The bytes of an object.
    Read,
    /// The footer of a pack.
    ReadFooter,
    /// A new object.
    Add,
    /// An object less.
    Delete,
}

/// How much a machine may restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MayRestore {
    /// Nothing.
    None,
    /// Images that it added.
    Own,
    /// Also those that were granted to it.
    Granted,
    /// All.
    All,
}

/// A repository as one principal sees it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its id in this server.
    pub id: String,
    /// Kind of its store.
    pub store_kind: String,
    /// Where that is.
    pub store_location: String,
    access: Access,
}

#[derive(Debug, Clone)]
enum Access {
    User(Role),
    Machine { id: String, may_add: bool, may_restore: MayRestore },
}

/// Finds a repository by its name, as far as this principal sees it.
///
/// # Errors
/// `NotFound`, the same where it is not there, is another organisation's, or is not for this token.
pub fn find(connection: &Connection, principal: &Principal, name: &str) -> Result<Seen> {
    let not_there = || ApiError::not_found("such repository");
    let found = connection
        .prepare_cached(
            "SELECT id, store_kind, store_location FROM repositories WHERE organisation = ?1 AND name = ?2",
        )?
        .query_row(params![principal.organisation, name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let (id, store_kind, store_location): (String, String, String) = found.ok_or_else(not_there)?;
    let (narrowed, named): (bool, bool) = connection
        .prepare_cached(
            "SELECT count(*) > 0, coalesce(max(repository = ?2), 0) FROM token_repositories WHERE token = ?1",
        )?
        .query_row(params![principal.token, id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if narrowed && !named {
        return Err(not_there());
    }
    let access = match &principal.actor {
        Actor::User { role, .. } => Access::User(*role),
        Actor::Machine { id: machine } => {
            let row: Option<(bool, String)> = connection
                .prepare_cached(
                    "SELECT may_add, may_restore FROM machine_repositories WHERE machine = ?1 AND repository = ?2",
                )?
                .query_row(params![machine, id], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let (may_add, may_restore) = row.ok_or_else(not_there)?;
            let may_restore = match may_restore.as_str() {
                "own" => MayRestore::Own,
                "granted" => MayRestore::Granted,
                "all" => MayRestore::All,
                _ => MayRestore::None,
            };
            Access::Machine { id: machine.clone(), may_add, may_restore }
        }
    };
    Ok(Seen { id, store_kind, store_location, access })
}

/// Whether the wish is granted.
///
/// # Errors
/// `NotAllowed`; `NotFound` for images that are not for this machine to see.
pub fn check(connection: &Connection, seen: &Seen, wish: Wish, folder: Folder, object: Option<&str>) -> Result<()> {
    let refuse = |what: &str| Err(ApiError::new(Code::NotAllowed, what.to_owned()));
    let (machine, may_add, may_restore) = match &seen.access {
        Access::User(role) if *role >= Role::Operator => return Ok(()),
        Access::User(_) => return refuse("viewers read no objects"),
        Access::Machine { id, may_add, may_restore } => (id, *may_add, *may_restore),
    };
    let granted = match (wish, folder) {
        (Wish::Add, Folder::Packs | Folder::Meta | Folder::Index | Folder::Images | Folder::Receipts) => may_add,
        // Who restores holds a lease too.
        (Wish::Add, Folder::Leases) => !object.is_some_and(|name| name.ends_with("-revoked")) || may_add,
        (Wish::Add, Folder::Config | Folder::Keys | Folder::Tombstones) => false,
        (Wish::Delete, Folder::Leases) => match object {
            Some(object) => is_own_lease(connection, &seen.id, machine, object)?,
            None => false,
        },
        (Wish::Delete, _) => false,
        (Wish::List, Folder::Keys | Folder::Config | Folder::Leases | Folder::Tombstones) => true,
        // Names and lengths alone: whether what was leaned on is still there.
        (Wish::List, Folder::Packs | Folder::Meta) => true,
        (Wish::List, Folder::Images) => match object {
            Some(object) => return check_image(connection, seen, object),
            None => true,
        },
        (Wish::List, Folder::Index | Folder::Receipts) => may_restore == MayRestore::All,
        (Wish::ReadFooter, _) => true,
        (Wish::Read, Folder::Config | Folder::Keys | Folder::Leases | Folder::Tombstones) => true,
        (Wish::Read, Folder::Packs | Folder::Meta) => may_restore > MayRestore::None,
        (Wish::Read, Folder::Images) => match object {
            Some(object) => return check_image(connection, seen, object),
            None => false,
        },
        (Wish::Read, Folder::Index | Folder::Receipts) => may_restore == MayRestore::All,
    };
    if granted { Ok(()) } else { refuse("this machine may not do that here") }
}

/// The images that a machine sees; `None` where all of them.
pub fn visible_images(connection: &Connection, seen: &Seen) -> Result<Option<std::collections::HashSet<String>>> {
    let Access::Machine { id: machine, may_restore, .. } = &seen.access else { return Ok(None) };
    if *may_restore == MayRestore::All {
        return Ok(None);
    }
    let granted = *may_restore >= MayRestore::Granted;
    let mut statement = connection.prepare_cached(
        "SELECT image FROM images WHERE repository = ?1 AND machine = ?2
         UNION SELECT image FROM image_grants
         WHERE ?3 AND machine = ?2 AND repository = ?1 AND coalesce(expires_ms > ?4, 1)",
    )?;
    let rows = statement.query_map(params![seen.id, machine, granted, now_ms()], |row| row.get(0))?;
    Ok(Some(rows.collect::<Result<_, _>>()?))
}

fn check_image(connection: &Connection, seen: &Seen, image: &str) -> Result<()> {
    match visible_images(connection, seen)? {
        Some(images) if !images.contains(image) => Err(ApiError::not_found("such object")),
        _ => Ok(()),
    }
}

/// The lease of an object of `leases`.
pub fn lease_of(object: &str) -> &str {
    object.split_once('-').map_or(object, |(lease, _)| lease)
}

/// Heartbeats alone: what was revoked stays so.
fn is_own_lease(connection: &Connection, repository: &str, machine: &str, object: &str) -> Result<bool> {
    if object.ends_with("-revoked") {
        return Ok(false);
    }
    let mut statement =
        connection.prepare_cached("SELECT 1 FROM leases WHERE repository = ?1 AND lease = ?2 AND machine = ?3")?;
    Ok(statement.exists(params![repository, lease_of(object), machine])?)
}
