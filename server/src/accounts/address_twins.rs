//! Two machines with one network address: a copied virtual machine, an adapter that moved, or a machine that was entered
//! twice. Addresses identify nobody, so nothing is refused; but network boot cannot tell such machines apart unless their
//! UUIDs differ, and people shall know.

use crate::error::Result;
use rusqlite::Connection;
use serde::Serialize;
use utoipa::ToSchema;

/// Twins that are told, at most.
const MOST: u32 = 20;

/// Another machine with an address of this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AddressTwin {
    /// The MAC address that both have.
    pub mac: String,
    /// Id of the other machine; not told to machines.
    pub machine: Option<String>,
    /// Its name; not told to machines.
    pub name: Option<String>,
}

impl AddressTwin {
    /// The same without saying which machine it is.
    pub fn nameless(self) -> Self {
        Self { machine: None, name: None, ..self }
    }
}

/// The organisation's other machines with a MAC address of this one.
///
/// # Errors
/// Where the database fails.
pub fn address_twins(connection: &Connection, machine: &str) -> Result<Vec<AddressTwin>> {
    let sql = format!(
        "SELECT own.address, other.id, other.name FROM machine_addresses own
         JOIN machines m ON m.id = own.machine
         JOIN machine_addresses a ON a.kind = own.kind AND a.address = own.address AND a.machine <> own.machine
         JOIN machines other ON other.id = a.machine AND other.organisation = m.organisation
         WHERE own.machine = ?1 AND own.kind = 'mac' ORDER BY own.address, other.name LIMIT {MOST}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement
        .query_map([machine], |row| Ok(AddressTwin { mac: row.get(0)?, machine: row.get(1)?, name: row.get(2)? }))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What is to be noted of twins that were not there before, and what to do, in a sentence.
pub fn told_of(now: &[AddressTwin], before: &[AddressTwin]) -> Option<String> {
    let new: Vec<String> = now
        .iter()
        .filter(|twin| !before.contains(twin))
        .map(|twin| format!("{} is an address of {} too", twin.mac, twin.name.as_deref().unwrap_or("another machine")))
        .collect();
    let advice = "network boot tells them apart by their UUIDs alone: remove the machine that is not there any more, or \
                  give one of them another address";
    (!new.is_empty()).then(|| format!("{}; {advice}", new.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Database;

    #[test]
    fn twins_are_of_one_organisation_and_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(&dir.path().join("db")).unwrap();
        let sql = "INSERT INTO organisations (id, name, created_ms) VALUES ('o', 'default', 0), ('p', 'other', 0);
             INSERT INTO machines (id, organisation, name, created_ms) VALUES ('a', 'o', 'pc-a', 0), ('b', 'o', 'pc-b', 0),
               ('c', 'o', 'pc-c', 0), ('z', 'p', 'pc-z', 0);
             INSERT INTO machine_addresses VALUES ('a', 'mac', 'm1'), ('b', 'mac', 'm1'), ('z', 'mac', 'm1'),
               ('a', 'ip', '10.0.0.1'), ('c', 'ip', '10.0.0.1');";
        database.write_blocking(|transaction| Ok(transaction.execute_batch(sql)?)).unwrap();
        let twins = |machine: &str| database.read_blocking(|connection| address_twins(connection, machine)).unwrap();
        let (of_a, of_c) = (twins("a"), twins("c"));
        let twin = AddressTwin { mac: "m1".into(), machine: Some("b".into()), name: Some("pc-b".into()) };
        assert_eq!((of_a.as_slice(), of_c.len()), ([twin.clone()].as_slice(), 0));
        let told = told_of(&of_a, &[]).unwrap();
        assert!(told.contains("m1 is an address of pc-b too") && told.contains("remove"), "{told}");
        assert_eq!((told_of(&of_a, &of_a), told_of(&[], &of_a)), (None, None));
        assert_eq!(twin.nameless(), AddressTwin { mac: "m1".into(), machine: None, name: None });
    }
}
