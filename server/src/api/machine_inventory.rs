//! What a machine is made of: attributes that may change or collide. They identify nobody.

use super::machines::{Disk, MachineDetail, detail};
use super::openapi::{ChangeRefusals, Refusals};
use super::shared::*;
use crate::access::Principal;
use crate::accounts::{address_twins, told_of};
use crate::clock::now_ms;
use crate::error::Result;
use crate::extract::Path;
use crate::json::Json;
use crate::state::AppState;
use axum::extract::State;
use rusqlite::{Transaction, params};
use serde::Deserialize;
use std::net::IpAddr;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(put_inventory))
}

/// Most addresses of one kind, and most disks.
const MAX_ITEMS: usize = 128;

/// Everything that is known of a machine's parts; it replaces what was told before.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Inventory {
    /// IPv4 and IPv6 addresses.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 128)]
    ip_addresses: Vec<IpAddr>,
    /// MAC addresses: twelve hexadecimal digits, with `:`, `-`, `.` or nothing between them.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 128)]
    mac_addresses: Vec<Text<17>>,
    /// 32 hexadecimal digits, with or without dashes.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$")]
    smbios_uuid: Option<Text<36>>,
    #[schema(value_type = Option<String>, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    serial: Option<Text<200>>,
    #[serde(default)]
    #[schema(max_items = 128)]
    disks: Vec<Disk>,
}

/// Tells what a machine is made of: by the machine itself, or an operator.
#[utoipa::path(put, path = "/machines/{id}/inventory", tag = "machines", operation_id = "put_inventory",
    params(("id" = String, Path, description = "The machine")), request_body = Inventory,
    responses((status = 200, description = "As it is now", body = MachineDetail), Refusals, ChangeRefusals))]
async fn put_inventory(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
    Json(inventory): Json<Inventory>,
) -> Result<Json<MachineDetail>> {
    may_describe_machine(&principal, &id)?;
    let (organisation, who) = (principal.organisation.clone(), principal.clone());
    // A machine that an operator describes was not heard of.
    let seen_ms = principal.require_machine().is_ok().then(now_ms);
    let detail = change(&state, &principal, move |transaction, journal| {
        require(transaction, Table::Machines, &organisation, &id)?;
        let before = address_twins(transaction, &id)?;
        store(transaction, &id, inventory, seen_ms)?;
        journal.note(transaction, "machine.inventory", Some(&id), "", "")?;
        if let Some(told) = told_of(&address_twins(transaction, &id)?, &before) {
            tracing::warn!(machine = id, "{told}");
            journal.note(transaction, "machine.address-shared", Some(&id), format!("machine {id}"), told)?;
        }
        Ok(detail(transaction, &organisation, &id)?.for_principal(&who))
    });
    detail.await.map(Json)
}

fn store(transaction: &Transaction<'_>, id: &str, inventory: Inventory, seen_ms: Option<i64>) -> Result<()> {
    let Inventory { ip_addresses, mac_addresses, smbios_uuid, serial, disks } = inventory;
    if ip_addresses.len().max(mac_addresses.len()).max(disks.len()) > MAX_ITEMS {
        return Err(invalid(format!("a machine has at most {MAX_ITEMS} addresses of a kind and {MAX_ITEMS} disks")));
    }
    let macs: Vec<String> = mac_addresses
        .iter()
        .map(|mac| {
            mac_address(&mac.0).ok_or_else(|| invalid("mac_addresses: one of them has not 12 hexadecimal digits"))
        })
        .collect::<Result<_>>()?;
    let uuid = smbios_uuid
        .map(|uuid| hyphenated_uuid(&uuid.0).ok_or_else(|| invalid("smbios_uuid: it has not 32 hexadecimal digits")));
    transaction.execute(
        "UPDATE machines SET smbios_uuid = ?2, serial = ?3, seen_ms = coalesce(?4, seen_ms) WHERE id = ?1",
        params![id, uuid.transpose()?, serial.map(|serial| serial.0), seen_ms],
    )?;
    transaction.execute("DELETE FROM machine_addresses WHERE machine = ?1", [id])?;
    let ips = ip_addresses.iter().map(|address| ("ip", address.to_canonical().to_string()));
    for (kind, address) in ips.chain(macs.into_iter().map(|mac| ("mac", mac))) {
        transaction
            .prepare_cached("INSERT OR IGNORE INTO machine_addresses (machine, kind, address) VALUES (?1, ?2, ?3)")?
            .execute([id, kind, &address])?;
    }
    transaction.execute("DELETE FROM machine_disks WHERE machine = ?1", [id])?;
    for (number, disk) in (0_i64..).zip(disks) {
        transaction
            .prepare_cached(
                "INSERT INTO machine_disks (machine, number, path, model, serial, bytes, logical_sector_bytes,
                 physical_sector_bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                id,
                number,
                disk.path.0,
                disk.model.map(|model| model.0),
                disk.serial.map(|serial| serial.0),
                disk.bytes.0,
                disk.logical_sector_bytes.0,
                disk.physical_sector_bytes.0,
            ])?;
    }
    Ok(())
}

/// A MAC address as `aa:bb:cc:dd:ee:ff`, if `text` is one.
pub(crate) fn mac_address(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|letter| !matches!(letter, ':' | '-' | '.')).collect();
    is_hexadecimal(&digits, 12).then(|| {
        let pairs: Vec<String> = (0..6).map(|pair| digits[2 * pair..2 * pair + 2].to_ascii_lowercase()).collect();
        pairs.join(":")
    })
}

/// A UUID in small letters with its dashes, if `text` is one.
pub(crate) fn hyphenated_uuid(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|letter| *letter != '-').collect::<String>().to_ascii_lowercase();
    is_hexadecimal(&digits, 32)
        .then(|| [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-"))
}

fn is_hexadecimal(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_spelling() {
        for text in ["AA:bb:cc:dd:ee:0f", "aa-bb-cc-dd-ee-0F", "aabb.ccdd.ee0f", "AABBCCDDEE0F"] {
            assert_eq!(mac_address(text).as_deref(), Some("aa:bb:cc:dd:ee:0f"));
        }
        for text in ["", "aa:bb", "aa:bb:cc:dd:ee:0g", "üüüüüü", "aa:bb:cc:dd:ee:0f:11"] {
            assert_eq!(mac_address(text), None);
        }
        let uuid = "01234567-89ab-cdef-0123-456789abcdef";
        assert_eq!(hyphenated_uuid("0123456789ABCDEF0123456789abcdef").as_deref(), Some(uuid));
        assert_eq!(hyphenated_uuid("0123"), None);
    }
}
