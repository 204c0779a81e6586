//! What a machine boots: the agent, where there is something to do, or its own disk.
//!
//! | who asks | boots |
//! |---|---|
//! | a machine with a queued or running run | the agent |
//! | a machine whose boot profile says `"boot": "agent"` | the agent |
//! | another machine that is known | its disk |
//! | one that nobody knows, with `unknown_machines = "ask"` | the agent, which shows a key |
//! | one that nobody knows | its disk |
//!
//! Addresses can be copied, and an adapter can move from PC to PC: where address and UUID say different things, the
//! UUID decides, and what stays unclear is as a machine that nobody knows. Nothing here is proof of who asks; the agent
//! shows its key to the server.

use super::files::{Asked, is_version};
use crate::error::Result;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Map, Value};

/// Most machines with one address or UUID that are looked at.
const MOST_ALIKE: u32 = 16;
/// The boot profile for machines that have none of their own name.
const DEFAULT_PROFILE: &str = "default";

/// A machine of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    uuid: Option<String>,
}

/// Which machine asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// This one.
    Machine(Machine),
    /// Nobody knows it.
    Nobody,
    /// It could be several, or what it says does not fit together: why, in a sentence.
    Unclear(String),
}

/// What a machine's boot profile says, where it has one: the one of its name, else `default`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    /// `agent` always, `local` never, else where there is a run.
    pub boot: Option<String>,
    /// Version of the kernel.
    pub kernel: Option<String>,
    /// `both`, `screen` or `serial`.
    pub console: Option<String>,
    /// Keyboard layout.
    pub keyboard: Option<String>,
}

/// What is known of who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Who it is.
    pub found: Found,
    /// Id of the organisation that was looked in.
    pub organisation: Option<String>,
    /// Whether it has a queued or running run.
    pub has_run: bool,
    /// What its boot profile says.
    pub choices: Choices,
}

impl Decision {
    /// Whether the agent boots.
    pub fn boots_agent(&self, takes_unknown: bool) -> bool {
        match (&self.found, self.choices.boot.as_deref()) {
            (Found::Machine(_), Some("agent")) => true,
            (Found::Machine(_), Some("local")) => false,
            (Found::Machine(_), _) => self.has_run,
            (Found::Nobody | Found::Unclear(_), _) => takes_unknown,
        }
    }
}

/// Decides for one who asks, in the organisation of this name.
///
/// # Errors
/// Where the database fails.
pub fn decide(connection: &Connection, organisation: &str, asked: &Asked) -> Result<Decision> {
    let sql = "SELECT id FROM organisations WHERE name = ?1";
    let organisation: Option<String> = connection.query_row(sql, [organisation], |row| row.get(0)).optional()?;
    let Some(id) = organisation else {
        let (has_run, choices) = (false, Choices::default());
        return Ok(Decision { found: Found::Nobody, organisation: None, has_run, choices });
    };
    let found = find(connection, &id, asked)?;
    let machine = match &found {
        Found::Machine(machine) => Some(machine),
        _ => None,
    };
    let has_run = match machine {
        None => false,
        Some(machine) => {
            let sql = "SELECT count(*) FROM (SELECT 1 FROM task_runs
                       WHERE machine = ?1 AND state IN ('queued', 'running') LIMIT 1)";
            connection.prepare_cached(sql)?.query_row([&machine.id], |row| row.get::<_, i64>(0))? > 0
        }
    };
    let choices = choices(connection, &id, machine.map_or(DEFAULT_PROFILE, |machine| &machine.name))?;
    Ok(Decision { found, organisation: Some(id), has_run, choices })
}

fn find(connection: &Connection, organisation: &str, asked: &Asked) -> Result<Found> {
    let by_mac = match &asked.mac {
        None => Vec::new(),
        Some(mac) => {
            let sql = "id IN (SELECT machine FROM machine_addresses WHERE kind = 'mac' AND address = ?2)";
            machines(connection, organisation, sql, mac)?
        }
    };
    let by_uuid = match &asked.uuid {
        None => Vec::new(),
        Some(uuid) => machines(connection, organisation, "smbios_uuid = ?2", uuid)?,
    };
    let fits = |machine: &Machine| match (&machine.uuid, &asked.uuid) {
        (Some(known), Some(asked)) => known == asked || known == &swapped(asked),
        _ => false,
    };
    let names = |machines: &[Machine]| machines.iter().map(|machine| &*machine.name).collect::<Vec<_>>().join(", ");
    let mac = asked.mac.as_deref().unwrap_or_default();
    let mut fitting: Vec<&Machine> = by_mac.iter().filter(|machine| fits(machine)).collect();
    match (&by_mac[..], &by_uuid[..]) {
        _ if fitting.len() == 1 => Ok(fitting.pop().map_or(Found::Nobody, |machine| Found::Machine(machine.clone()))),
        (_, [one]) => Ok(Found::Machine(one.clone())),
        ([], []) => Ok(Found::Nobody),
        ([one], _) if one.uuid.is_none() || asked.uuid.is_none() => Ok(Found::Machine(one.clone())),
        ([one], _) => Ok(Found::Unclear(format!("{mac} is an address of {}, which has another UUID", one.name))),
        ([], several) => Ok(Found::Unclear(format!("several machines have its UUID: {}", names(several)))),
        (several, _) => Ok(Found::Unclear(format!("several machines have its address {mac}: {}", names(several)))),
    }
}

fn machines(connection: &Connection, organisation: &str, which: &str, value: &str) -> Result<Vec<Machine>> {
    let sql = format!(
        "SELECT id, name, smbios_uuid FROM machines WHERE organisation = ?1 AND {which} ORDER BY name LIMIT {MOST_ALIKE}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![organisation, value], |row| {
        Ok(Machine { id: row.get(0)?, name: row.get(1)?, uuid: row.get(2)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The UUID with its first three groups in the other byte order: firmware before SMBIOS 2.6 left that open.
fn swapped(uuid: &str) -> String {
    let mut groups = uuid.split('-').enumerate().map(|(at, group)| match at {
        0..=2 if group.is_ascii() => {
            (0..group.len()).step_by(2).rev().filter_map(|at| group.get(at..at + 2)).collect::<String>()
        }
        _ => group.to_owned(),
    });
    let first = groups.next().unwrap_or_default();
    groups.fold(first, |text, group| text + "-" + &group)
}

fn choices(connection: &Connection, organisation: &str, name: &str) -> Result<Choices> {
    let sql = "SELECT boot_profiles.settings, kernel_images.version FROM boot_profiles
               LEFT JOIN kernel_images ON kernel_images.id = boot_profiles.kernel_image
               WHERE boot_profiles.organisation = ?1 AND boot_profiles.name IN (?2, ?3)
               ORDER BY boot_profiles.name = ?2 DESC LIMIT 1";
    let row: Option<(String, Option<String>)> = connection
        .prepare_cached(sql)?
        .query_row(params![organisation, name, DEFAULT_PROFILE], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((settings, version)) = row else { return Ok(Choices::default()) };
    let settings: Map<String, Value> = serde_json::from_str(&settings).unwrap_or_default();
    let text = |key: &str| settings.get(key).and_then(Value::as_str).map(str::to_owned);
    Ok(Choices {
        boot: text("boot"),
        kernel: text("kernel").or(version).filter(|version| is_version(version)),
        console: text("console"),
        keyboard: text("keyboard"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Database;

    const MAC: &str = "52:54:00:12:34:56";
    const UUID: &str = "0bd9c9ac-1b71-4f40-9d04-b9a56b0f5b3e";

    fn database(sql: &str) -> (tempfile::TempDir, Database) {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(&dir.path().join("db")).unwrap();
        let sql = format!(
            "INSERT INTO organisations (id, name, created_ms) VALUES ('o', 'default', 0), ('p', 'other', 0);
             INSERT INTO machines (id, organisation, name, created_ms) VALUES ('a', 'o', 'pc-a', 0), ('b', 'o', 'pc-b', 0),
               ('z', 'p', 'pc-z', 0);
             INSERT INTO repositories (id, organisation, name, store_kind, store_location, created_ms)
               VALUES ('r', 'o', 'lab', 'directory', '/x', 0);
             INSERT INTO tasks (id, organisation, name, action, machine, repository, created_ms)
               VALUES ('t', 'o', 'n', 'backup', 'a', 'r', 0);
             INSERT INTO machine_addresses VALUES ('a', 'mac', '{MAC}'), ('z', 'mac', '{MAC}'); {sql}"
        );
        database.write_blocking(|transaction| Ok(transaction.execute_batch(&sql)?)).unwrap();
        (dir, database)
    }

    fn ask(sql: &str, mac: Option<&str>, uuid: Option<&str>) -> Decision {
        let (_dir, database) = database(sql);
        let asked = Asked { mac: mac.map(str::to_owned), uuid: uuid.map(str::to_owned) };
        database.read_blocking(|connection| decide(connection, "default", &asked)).unwrap()
    }

    fn name(decision: &Decision) -> &str {
        match &decision.found {
            Found::Machine(machine) => &machine.name,
            Found::Nobody => "nobody",
            Found::Unclear(_) => "unclear",
        }
    }

    #[test]
    fn runs_and_profiles_decide() {
        let boots = |sql: &str| ask(sql, Some(MAC), None).boots_agent(false);
        let run = |state: &str| {
            format!(
                "INSERT INTO task_runs (id, organisation, task, machine, state, created_ms)
                     VALUES ('u', 'o', 't', 'a', '{state}', 0);"
            )
        };
        let profile = |name: &str, settings: &str| {
            format!(
                "INSERT INTO boot_profiles (id, organisation, name, settings, created_ms)
                     VALUES ('{name}', 'o', '{name}', '{settings}', 0);"
            )
        };
        assert!(!boots(""));
        assert!(boots(&run("queued")) && boots(&run("running")));
        assert!(!boots(&run("done")) && !boots(&run("failed")) && !boots(&run("cancelled")));
        let agent = r#"{"boot": "agent", "kernel": "6.1", "console": "serial"}"#;
        assert!(boots(&profile("pc-a", agent)) && boots(&profile("default", agent)) && !boots(&profile("pc-b", agent)));
        let own_first = profile("default", agent) + &profile("pc-a", r#"{"boot": "local"}"#) + &run("queued");
        assert!(!boots(&own_first));
        let choices = ask(&profile("default", agent), Some(MAC), None).choices;
        assert_eq!((choices.kernel.as_deref(), choices.console.as_deref()), (Some("6.1"), Some("serial")));
        let hostile = ask(&profile("default", r#"{"kernel": "../x y", "boot": 7}"#), Some(MAC), None).choices;
        assert_eq!(hostile, Choices::default());
    }

    #[test]
    fn who_asks_is_found_by_address_and_uuid() {
        let uuid =
            |machine: &str, uuid: &str| format!("UPDATE machines SET smbios_uuid = '{uuid}' WHERE id = '{machine}';");
        let second = format!("INSERT INTO machine_addresses VALUES ('b', 'mac', '{MAC}');");
        let found = |sql: &str, mac, uuid| name(&ask(sql, mac, uuid)).to_owned();
        assert_eq!(found("", Some(MAC), None), "pc-a");
        assert_eq!(found("", Some(MAC), Some(UUID)), "pc-a", "its UUID is not known yet");
        assert_eq!(found("", Some("52:54:00:00:00:01"), None), "nobody");
        assert_eq!(found(&uuid("b", UUID), None, Some(UUID)), "pc-b");
        assert_eq!(found(&uuid("b", UUID), Some(MAC), Some(UUID)), "pc-b", "an adapter moved");
        let other = "11111111-2222-3333-4444-555555555555";
        assert_eq!(found(&uuid("a", other), Some(MAC), Some(UUID)), "unclear", "an adapter in a new PC");
        assert_eq!(found(&uuid("a", &swapped(UUID)), Some(MAC), Some(UUID)), "pc-a", "the other byte order");
        assert_eq!(found(&second, Some(MAC), None), "unclear");
        assert_eq!(found(&second, Some(MAC), Some(UUID)), "unclear");
        assert_eq!(found(&(second + &uuid("b", UUID)), Some(MAC), Some(UUID)), "pc-b");
        let same = uuid("a", UUID) + &uuid("b", UUID);
        assert_eq!(found(&same, None, Some(UUID)), "unclear");
        assert_eq!(found(&same, Some(MAC), Some(UUID)), "pc-a");
    }

    #[test]
    fn unknown_machines_boot_the_agent_where_they_may() {
        let nobody = ask("", None, Some(UUID));
        assert!(nobody.boots_agent(true) && !nobody.boots_agent(false));
        assert_eq!(swapped(UUID), "acc9d90b-711b-404f-9d04-b9a56b0f5b3e");
    }
}
