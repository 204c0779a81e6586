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

impl MayRestore {
    fn of(word: &str) -> Self {
        match word {
            "own" => MayRestore::Own,
            "granted" => MayRestore::Granted,
            "all" => MayRestore::All,
            _ => MayRestore::None,
        }
    }
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
    find_where(connection, principal, "r.name = ?4", name)
}

/// The same by its id or its name, as management names it.
///
/// # Errors
/// As [`find`].
pub fn find_any(connection: &Connection, principal: &Principal, id_or_name: &str) -> Result<Seen> {
    find_where(connection, principal, "(r.id = ?4 OR r.name = ?4)", id_or_name)
}

/// One question to the database: this is asked for every object.
fn find_where(connection: &Connection, principal: &Principal, condition: &str, wanted: &str) -> Result<Seen> {
    let machine = match &principal.actor {
        Actor::User { .. } => None,
        Actor::Machine { id } => Some(id),
    };
    let sql = format!(
        "SELECT r.id, r.store_kind, r.store_location, m.may_add, m.may_restore FROM repositories r
         LEFT JOIN machine_repositories m ON m.repository = r.id AND m.machine = ?3
         WHERE r.organisation = ?1 AND {condition} AND (?3 IS NULL OR m.machine IS NOT NULL) AND {IN_TOKEN}"
    );
    let values = params![principal.organisation, principal.token, machine, wanted];
    let seen = connection.prepare_cached(&sql)?.query_row(values, |row| {
        let access = match &principal.actor {
            Actor::User { role, .. } => Access::User(*role),
            Actor::Machine { id } => Access::Machine {
                id: id.clone(),
                may_add: row.get(3)?,
                may_restore: MayRestore::of(&row.get::<_, String>(4)?),
            },
        };
        Ok(Seen { id: row.get(0)?, store_kind: row.get(1)?, store_location: row.get(2)?, access })
    });
    seen.optional()?.ok_or_else(|| ApiError::not_found("such repository"))
}

/// A token may be narrowed to some repositories `r`; its id is the second value.
const IN_TOKEN: &str = "(NOT EXISTS (SELECT 1 FROM token_repositories WHERE token = ?2)
    OR EXISTS (SELECT 1 FROM token_repositories WHERE token = ?2 AND repository = r.id))";

/// What a machine may restore where, with this token.
///
/// # Errors
/// Where the database fails.
pub fn rights(connection: &Connection, principal: &Principal, machine: &str) -> Result<Vec<(String, MayRestore)>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT r.id, m.may_restore FROM machine_repositories m JOIN repositories r ON r.id = m.repository
         WHERE m.machine = ?1 AND {IN_TOKEN}"
    ))?;
    let rows = statement.query_map(params![machine, principal.token], |row| {
        Ok((row.get(0)?, MayRestore::of(&row.get::<_, String>(1)?)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
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
        // What was published under a lease is gone when it is revoked: a machine revokes its own alone.
        (Wish::Add, Folder::Leases) => match object {
            Some(object) if object.ends_with("-revoked") => may_add && holds(connection, &seen.id, machine, object)?,
            // Who restores holds a lease too.
            _ => true,
        },
        (Wish::Add, Folder::Config | Folder::Keys | Folder::Tombstones) => false,
        (Wish::Delete, Folder::Leases) => match object {
            // Heartbeats alone: what was revoked stays so.
            Some(object) => !object.ends_with("-revoked") && holds(connection, &seen.id, machine, object)?,
            None => false,
        },
        (Wish::Delete, _) => false,
        (Wish::List, Folder::Keys | Folder::Config | Folder::Leases | Folder::Tombstones) => true,
        // Names and lengths alone: whether what was leaned on is still there.
        (Wish::List, Folder::Packs | Folder::Meta) => true,
        (Wish::List, Folder::Images) => match object {
            Some(object) => return check_image(connection, seen, object, "such object"),
            None => true,
        },
        (Wish::List, Folder::Index | Folder::Receipts) => may_restore == MayRestore::All,
        (Wish::ReadFooter, _) => true,
        (Wish::Read, Folder::Config | Folder::Keys | Folder::Leases | Folder::Tombstones) => true,
        (Wish::Read, Folder::Packs | Folder::Meta) => may_restore > MayRestore::None,
        (Wish::Read, Folder::Images) => match object {
            Some(object) => return check_image(connection, seen, object, "such object"),
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

/// Whether an image is for this principal to see.
///
/// # Errors
/// `NotFound`, which names `what`.
pub fn check_image(connection: &Connection, seen: &Seen, image: &str, what: &str) -> Result<()> {
    let Access::Machine { id: machine, may_restore, .. } = &seen.access else { return Ok(()) };
    if *may_restore == MayRestore::All {
        return Ok(());
    }
    let granted = *may_restore >= MayRestore::Granted;
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM images WHERE repository = ?1 AND machine = ?2 AND image = ?5
         UNION ALL SELECT 1 FROM image_grants
         WHERE ?3 AND machine = ?2 AND repository = ?1 AND image = ?5 AND coalesce(expires_ms > ?4, 1)",
    )?;
    match statement.exists(params![seen.id, machine, granted, now_ms(), image])? {
        true => Ok(()),
        false => Err(ApiError::not_found(what)),
    }
}

/// The lease of an object of `leases`.
pub fn lease_of(object: &str) -> &str {
    object.split_once('-').map_or(object, |(lease, _)| lease)
}

/// Whether the lease of this object is the machine's.
fn holds(connection: &Connection, repository: &str, machine: &str, object: &str) -> Result<bool> {
    let mut statement =
        connection.prepare_cached("SELECT 1 FROM leases WHERE repository = ?1 AND lease = ?2 AND machine = ?3")?;
    Ok(statement.exists(params![repository, lease_of(object), machine])?)
}
