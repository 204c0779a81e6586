//! Boot profiles: which kernel image a machine boots, and how.

use super::openapi::{ChangeRefusals, Refusals};
use super::shared::*;
use crate::access::{Principal, Role};
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
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_boot_profiles, create_boot_profile)).routes(routes!(
        get_boot_profile,
        put_boot_profile,
        delete_boot_profile
    ))
}

/// Longest settings, as JSON.
const MAX_SETTINGS_BYTES: usize = 16 << 10;

/// A boot profile.
#[derive(Debug, Serialize, ToSchema)]
struct BootProfile {
    id: String,
    name: String,
    /// Id of the kernel image.
    kernel_image: Option<String>,
    settings: Map<String, Value>,
    created_ms: i64,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ProfileQuery {
    /// `next` of the page before; the list goes by name.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200)]
    after: Option<String>,
    /// Items of the page, 100 where nothing is said.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500)]
    limit: Option<Limit>,
    /// Part of a name.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200)]
    q: Option<String>,
}

/// A boot profile as it shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewBootProfile {
    name: Name,
    /// Id of the kernel image.
    #[schema(value_type = Option<String>, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    kernel_image: Option<Text<200>>,
    #[serde(default)]
    settings: Map<String, Value>,
}

const SELECT: &str = "SELECT id, name, kernel_image, settings, created_ms FROM boot_profiles WHERE organisation = ?";

fn profile(row: &Row<'_>) -> rusqlite::Result<BootProfile> {
    Ok(BootProfile {
        id: row.get(0)?,
        name: row.get(1)?,
        kernel_image: row.get(2)?,
        settings: serde_json::from_str(row.get_ref(3)?.as_str()?).unwrap_or_default(),
        created_ms: row.get(4)?,
    })
}

fn find(connection: &Connection, organisation: &str, id: &str) -> Result<BootProfile> {
    let sql = format!("{SELECT} AND id = ?");
    one(connection.prepare_cached(&sql)?.query_row([organisation, id], profile), "boot profile")
}

/// The settings as they are kept, and that the kernel image is the organisation's.
fn check(connection: &Connection, organisation: &str, new: &NewBootProfile) -> Result<String> {
    if let Some(kernel_image) = &new.kernel_image {
        require(connection, Table::KernelImages, organisation, &kernel_image.0)?;
    }
    let settings = serde_json::to_string(&new.settings).unwrap_or_default();
    match settings.len() > MAX_SETTINGS_BYTES {
        true => Err(invalid(format!("settings: they are longer than {MAX_SETTINGS_BYTES} bytes"))),
        false => Ok(settings),
    }
}

/// Lists boot profiles, by name.
#[utoipa::path(get, path = "/boot-profiles", tag = "boot", operation_id = "list_boot_profiles", params(ProfileQuery),
    responses((status = 200, description = "A page", body = Page<BootProfile>), Refusals))]
async fn list_boot_profiles(
    State(state): State<AppState>,
    principal: Principal,
    Query(query): Query<ProfileQuery>,
) -> Result<Json<Page<BootProfile>>> {
    principal.require_user(Role::Viewer)?;
    let page = state.database.read(move |connection| {
        let mut select = Select::new(SELECT, [principal.organisation.into()]);
        if let Some(after) = query.after {
            select.and("name > ?", after);
        }
        if let Some(text) = query.q {
            select.and("name LIKE ? ESCAPE '\\'", contains_pattern(&text));
        }
        select.page(connection, "name", query.limit, profile, |profile| profile.name.clone())
    });
    page.await.map(Json)
}

/// Shows a boot profile.
#[utoipa::path(get, path = "/boot-profiles/{id}", tag = "boot", operation_id = "get_boot_profile",
    params(("id" = String, Path, description = "The boot profile")),
    responses((status = 200, description = "The boot profile", body = BootProfile), Refusals))]
async fn get_boot_profile(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<Json<BootProfile>> {
    principal.require_user(Role::Viewer)?;
    state.database.read(move |connection| find(connection, &principal.organisation, &id)).await.map(Json)
}

/// Makes a boot profile.
#[utoipa::path(post, path = "/boot-profiles", tag = "boot", operation_id = "create_boot_profile",
    request_body = NewBootProfile,
    responses((status = 201, description = "It was made", body = BootProfile), Refusals, ChangeRefusals))]
async fn create_boot_profile(
    State(state): State<AppState>,
    principal: Principal,
    Json(new): Json<NewBootProfile>,
) -> Result<(StatusCode, Json<BootProfile>)> {
    principal.require_user(Role::Operator)?;
    let organisation = principal.organisation.clone();
    let profile = change(&state, &principal, move |transaction, journal| {
        let settings = check(transaction, &organisation, &new)?;
        let id = new_id()?;
        let sql = "INSERT INTO boot_profiles (id, organisation, name, kernel_image, settings, created_ms)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let kernel_image = new.kernel_image.map(|id| id.0);
        let row = params![id, organisation, new.name.as_str(), kernel_image, settings, now_ms()];
        changed(transaction.execute(sql, row), "boot profile")?;
        journal.note(transaction, "boot-profile.created", None, format!("boot profile {id}"), new.name.as_str())?;
        find(transaction, &organisation, &id)
    });
    Ok((StatusCode::CREATED, Json(profile.await?)))
}

/// Replaces a boot profile.
#[utoipa::path(put, path = "/boot-profiles/{id}", tag = "boot", operation_id = "put_boot_profile",
    params(("id" = String, Path, description = "The boot profile")), request_body = NewBootProfile,
    responses((status = 200, description = "As it is now", body = BootProfile), Refusals, ChangeRefusals))]
async fn put_boot_profile(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
    Json(new): Json<NewBootProfile>,
) -> Result<Json<BootProfile>> {
    principal.require_user(Role::Operator)?;
    let organisation = principal.organisation.clone();
    let profile = change(&state, &principal, move |transaction, journal| {
        let settings = check(transaction, &organisation, &new)?;
        let sql = "UPDATE boot_profiles SET name = ?3, kernel_image = ?4, settings = ?5
                   WHERE id = ?1 AND organisation = ?2";
        let kernel_image = new.kernel_image.map(|id| id.0);
        let row = params![id, organisation, new.name.as_str(), kernel_image, settings];
        changed(transaction.execute(sql, row), "boot profile")?;
        journal.note(transaction, "boot-profile.changed", None, format!("boot profile {id}"), new.name.as_str())?;
        find(transaction, &organisation, &id)
    });
    profile.await.map(Json)
}

/// Deletes a boot profile.
#[utoipa::path(delete, path = "/boot-profiles/{id}", tag = "boot", operation_id = "delete_boot_profile",
    params(("id" = String, Path, description = "The boot profile")),
    responses((status = 204, description = "It is gone"), Refusals, ChangeRefusals))]
async fn delete_boot_profile(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    principal.require_user(Role::Admin)?;
    let organisation = principal.organisation.clone();
    change(&state, &principal, move |transaction, journal| {
        let sql = "DELETE FROM boot_profiles WHERE id = ?1 AND organisation = ?2";
        changed(transaction.execute(sql, [&id, &organisation]), "boot profile")?;
        journal.note(transaction, "boot-profile.deleted", None, format!("boot profile {id}"), "")
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
