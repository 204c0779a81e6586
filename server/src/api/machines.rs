//! Machines.

use super::openapi::{ChangeRefusals, Refusals};
use super::shared::*;
use crate::access::{Principal, Role};
use crate::accounts::{AddressTwin, address_twins};
use crate::clock::{new_id, now_ms};
use crate::error::Result;
use crate::extract::{Path, Query};
use crate::json::Json;
use crate::page::Page;
use crate::state::AppState;
use crate::text::Name;
use axum::extract::State;
use http::StatusCode;
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_machines, create_machine)).routes(routes!(
        get_machine,
        change_machine,
        delete_machine
    ))
}

/// A machine in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Machine {
    /// Its id; a machine is its key, never its addresses.
    id: String,
    name: String,
    /// Whether it has enrolled a key.
    enrolled: bool,
    /// That key, Ed25519, in hexadecimal digits: what is granted to the machine is sealed to it.
    public_key: Option<String>,
    smbios_uuid: Option<String>,
    serial: Option<String>,
    notes: String,
    created_ms: i64,
    /// When it was last heard of.
    seen_ms: Option<i64>,
    /// Whether another machine has a MAC address of this one; the machine itself tells which.
    shares_address: bool,
}

/// A disk of a machine, as it was last told.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Disk {
    /// As the machine calls it, `/dev/sda`.
    #[schema(value_type = String, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    pub(super) path: Text<200>,
    #[schema(value_type = Option<String>, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    pub(super) model: Option<Text<200>>,
    #[schema(value_type = Option<String>, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    pub(super) serial: Option<Text<200>>,
    pub(super) bytes: Count,
    pub(super) logical_sector_bytes: Count,
    pub(super) physical_sector_bytes: Count,
}

/// A group that a machine is in, or an image it added.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Reference {
    id: String,
    name: Option<String>,
}

/// Everything about a machine.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MachineDetail {
    #[serde(flatten)]
    machine: Machine,
    ip_addresses: Vec<String>,
    mac_addresses: Vec<String>,
    disks: Vec<Disk>,
    groups: Vec<Reference>,
    /// The image that came in last.
    last_image: Option<Reference>,
    /// Other machines with a MAC address of this one: network boot tells them apart by their UUIDs alone.
    address_twins: Vec<AddressTwin>,
}

impl MachineDetail {
    /// As `principal` may see it: machines hear nothing of other machines.
    pub(super) fn for_principal(mut self, principal: &Principal) -> Self {
        if principal.require_machine().is_ok() {
            self.address_twins = self.address_twins.into_iter().map(AddressTwin::nameless).collect();
        }
        self
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MachineQuery {
    /// `next` of the page before; the list goes by name.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200)]
    after: Option<String>,
    /// Items of the page, 100 where nothing is said.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500)]
    limit: Option<Limit>,
    /// Part of a name, an address, a serial number or a UUID.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200)]
    q: Option<String>,
    /// This name alone.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200)]
    name: Option<String>,
    /// Machines of this group alone.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200)]
    group: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewMachine {
    name: Name,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 4000, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    notes: Option<Text<4000>>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MachineChange {
    name: Option<Name>,
    #[schema(value_type = Option<String>, max_length = 4000, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    notes: Option<Text<4000>>,
}

const COLUMNS: &str = "m.id, m.name, m.public_key, m.smbios_uuid, m.serial, m.notes, m.created_ms, m.seen_ms,
    EXISTS (SELECT 1 FROM machine_addresses own
            JOIN machine_addresses a ON a.kind = own.kind AND a.address = own.address AND a.machine <> own.machine
            JOIN machines other ON other.id = a.machine AND other.organisation = m.organisation
            WHERE own.machine = m.id AND own.kind = 'mac')";

fn machine(row: &Row<'_>) -> rusqlite::Result<Machine> {
    let public_key: Option<String> = row.get(2)?;
    Ok(Machine {
        id: row.get(0)?,
        name: row.get(1)?,
        enrolled: public_key.is_some(),
        public_key,
        smbios_uuid: row.get(3)?,
        serial: row.get(4)?,
        notes: row.get(5)?,
        created_ms: row.get(6)?,
        seen_ms: row.get(7)?,
        shares_address: row.get(8)?,
    })
}

/// Lists and searches machines, by name.
#[utoipa::path(get, path = "/machines", tag = "machines", operation_id = "list_machines", params(MachineQuery),
    responses((status = 200, description = "A page", body = Page<Machine>), Refusals))]
async fn list_machines(
    State(state): State<AppState>,
    principal: Principal,
    Query(query): Query<MachineQuery>,
) -> Result<Json<Page<Machine>>> {
    principal.require_user(Role::Viewer)?;
    let page = state.database.read(move |connection| list(connection, &principal.organisation, query));
    page.await.map(Json)
}

fn list(connection: &Connection, organisation: &str, query: MachineQuery) -> Result<Page<Machine>> {
    let sql = format!("SELECT {COLUMNS} FROM machines m WHERE m.organisation = ?");
    let mut select = Select::new(sql, [organisation.to_owned().into()]);
    if let Some(after) = query.after {
        select.and("m.name > ?", after);
    }
    if let Some(name) = query.name {
        select.and("m.name = ?", name);
    }
    if let Some(group) = query.group {
        require(connection, Table::Groups, organisation, &group)?;
        select.and("m.id IN (SELECT machine FROM group_machines WHERE group_id = ?)", group);
    }
    if let Some(text) = query.q.filter(|text| !text.is_empty()) {
        // A whole MAC is found however it is written.
        let text = super::machine_inventory::mac_address(&text).unwrap_or(text);
        select.and(
            "(m.name LIKE ? ESCAPE '\\' OR m.serial LIKE ? ESCAPE '\\' OR m.smbios_uuid LIKE ? ESCAPE '\\' \
              OR m.id IN (SELECT machine FROM machine_addresses WHERE address LIKE ? ESCAPE '\\'))",
            contains_pattern(&text),
        );
    }
    select.page(connection, "m.name", query.limit, machine, |machine| machine.name.clone())
}

/// Shows a machine with its addresses, disks, groups and last image. A machine sees itself alone.
#[utoipa::path(get, path = "/machines/{id}", tag = "machines", operation_id = "get_machine",
    params(("id" = String, Path, description = "The machine")),
    responses((status = 200, description = "The machine", body = MachineDetail), Refusals))]
async fn get_machine(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<Json<MachineDetail>> {
    may_see_machine(&principal, &id)?;
    let detail = state
        .database
        .read(move |connection| Ok(detail(connection, &principal.organisation, &id)?.for_principal(&principal)));
    detail.await.map(Json)
}

pub(super) fn detail(connection: &Connection, organisation: &str, id: &str) -> Result<MachineDetail> {
    let sql = format!("SELECT {COLUMNS} FROM machines m WHERE m.id = ?1 AND m.organisation = ?2");
    let machine = one(connection.prepare_cached(&sql)?.query_row([id, organisation], machine), "machine")?;
    let addresses = |kind: &str| -> Result<Vec<String>> {
        let sql = "SELECT address FROM machine_addresses WHERE machine = ?1 AND kind = ?2 ORDER BY address";
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map([id, kind], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    };
    let reference = |row: &Row<'_>| Ok(Reference { id: row.get(0)?, name: row.get(1)? });
    let mut disks = connection.prepare_cached(
        "SELECT path, model, serial, bytes, logical_sector_bytes, physical_sector_bytes FROM machine_disks
         WHERE machine = ?1 ORDER BY number",
    )?;
    let disks = disks.query_map([id], |row| {
        Ok(Disk {
            path: Text(row.get(0)?),
            model: row.get::<_, Option<_>>(1)?.map(Text),
            serial: row.get::<_, Option<_>>(2)?.map(Text),
            bytes: Count(row.get(3)?),
            logical_sector_bytes: Count(row.get(4)?),
            physical_sector_bytes: Count(row.get(5)?),
        })
    })?;
    let disks = disks.collect::<rusqlite::Result<_>>()?;
    let mut groups = connection.prepare_cached(
        "SELECT g.id, g.name FROM group_machines m JOIN groups g ON g.id = m.group_id WHERE m.machine = ?1 ORDER BY g.name",
    )?;
    let groups = groups.query_map([id], reference)?.collect::<rusqlite::Result<_>>()?;
    let mut images = connection.prepare_cached(
        "SELECT image, name FROM images WHERE machine = ?1 AND deleted_ms IS NULL
         ORDER BY received_ms DESC, number DESC LIMIT 1",
    )?;
    let last_image = images.query_map([id], reference)?.next().transpose()?;
    Ok(MachineDetail {
        machine,
        ip_addresses: addresses("ip")?,
        mac_addresses: addresses("mac")?,
        disks,
        groups,
        last_image,
        address_twins: address_twins(connection, id)?,
    })
}

/// Adds a machine that has not enrolled yet.
#[utoipa::path(post, path = "/machines", tag = "machines", operation_id = "create_machine", request_body = NewMachine,
    responses((status = 201, description = "It was added", body = MachineDetail), Refusals, ChangeRefusals))]
async fn create_machine(
    State(state): State<AppState>,
    principal: Principal,
    Json(new): Json<NewMachine>,
) -> Result<(StatusCode, Json<MachineDetail>)> {
    principal.require_user(Role::Operator)?;
    let organisation = principal.organisation.clone();
    let detail = change(&state, &principal, move |transaction, journal| {
        let id = new_id()?;
        let notes = new.notes.map(|notes| notes.0).unwrap_or_default();
        let sql = "INSERT INTO machines (id, organisation, name, notes, created_ms) VALUES (?1, ?2, ?3, ?4, ?5)";
        let row = params![id, organisation, new.name.as_str(), notes, now_ms()];
        changed(transaction.execute(sql, row), "machine")?;
        journal.note(transaction, "machine.created", Some(&id), new.name.as_str(), "")?;
        detail(transaction, &organisation, &id)
    });
    Ok((StatusCode::CREATED, Json(detail.await?)))
}

/// Changes the name or the notes of a machine.
#[utoipa::path(patch, path = "/machines/{id}", tag = "machines", operation_id = "change_machine",
    params(("id" = String, Path, description = "The machine")), request_body = MachineChange,
    responses((status = 200, description = "As it is now", body = MachineDetail), Refusals, ChangeRefusals))]
async fn change_machine(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
    Json(new): Json<MachineChange>,
) -> Result<Json<MachineDetail>> {
    principal.require_user(Role::Operator)?;
    let organisation = principal.organisation.clone();
    let detail = change(&state, &principal, move |transaction, journal| {
        let sql = "UPDATE machines SET name = coalesce(?3, name), notes = coalesce(?4, notes)
                   WHERE id = ?1 AND organisation = ?2";
        let name = new.name.as_ref().map(Name::as_str);
        let row = params![id, organisation, name, new.notes.map(|notes| notes.0)];
        changed(transaction.execute(sql, row), "machine")?;
        let detail = detail(transaction, &organisation, &id)?;
        journal.note(transaction, "machine.changed", Some(&id), &detail.machine.name, "")?;
        Ok(detail)
    });
    detail.await.map(Json)
}

/// Deletes a machine with its tasks and rights. Its images stay.
#[utoipa::path(delete, path = "/machines/{id}", tag = "machines", operation_id = "delete_machine",
    params(("id" = String, Path, description = "The machine")),
    responses((status = 204, description = "It is gone"), Refusals, ChangeRefusals))]
async fn delete_machine(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    principal.require_user(Role::Admin)?;
    let organisation = principal.organisation.clone();
    change(&state, &principal, move |transaction, journal| {
        let sql = "DELETE FROM machines WHERE id = ?1 AND organisation = ?2 RETURNING name";
        let name: String = one(transaction.query_row(sql, [&id, &organisation], |row| row.get(0)), "machine")?;
        journal.note(transaction, "machine.deleted", Some(&id), name, "")
    })
    .await?;
    state.accounts.forget_tokens();
    Ok(StatusCode::NO_CONTENT)
}
