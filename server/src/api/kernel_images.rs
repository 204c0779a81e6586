//! Kernel images: what machines boot; the bytes come after the description.

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
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_kernel_images, create_kernel_image)).routes(routes!(
        get_kernel_image,
        change_kernel_image,
        delete_kernel_image
    ))
}

/// Largest kernel image.
pub(super) const MAX_KERNEL_BYTES: i64 = 1 << 30;

/// A kernel image.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KernelImage {
    pub(super) id: String,
    name: String,
    /// BLAKE3 of its bytes, in hexadecimal digits.
    pub(super) hash: String,
    pub(super) bytes: i64,
    version: String,
    created_ms: i64,
    /// When its bytes were stored; none before.
    pub(super) stored_ms: Option<i64>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct KernelQuery {
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

/// 64 lower-case hexadecimal digits.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Hash(String);

impl TryFrom<String> for Hash {
    type Error = &'static str;

    fn try_from(text: String) -> std::result::Result<Self, Self::Error> {
        let good = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        good.then_some(Self(text)).ok_or("a hash is 64 lower-case hexadecimal digits")
    }
}

/// Length of a kernel image.
#[derive(Debug)]
struct KernelBytes(i64);

impl<'de> Deserialize<'de> for KernelBytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        whole_number(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

impl TryFrom<i64> for KernelBytes {
    type Error = &'static str;

    fn try_from(bytes: i64) -> std::result::Result<Self, Self::Error> {
        (1..=MAX_KERNEL_BYTES).contains(&bytes).then_some(Self(bytes)).ok_or("a kernel image has 1 byte to 1 GiB")
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewKernelImage {
    name: Name,
    /// BLAKE3 of the bytes that are to come.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$", min_length = 64, max_length = 64)]
    hash: Hash,
    /// How many are to come.
    #[schema(value_type = i64, minimum = 1, maximum = 1073741824)]
    bytes: KernelBytes,
    #[schema(value_type = Option<String>, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    version: Option<Text<200>>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct KernelImageChange {
    name: Option<Name>,
    #[schema(value_type = Option<String>, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    version: Option<Text<200>>,
}

const SELECT: &str = "SELECT id, name, hash, bytes, version, created_ms, stored_ms FROM kernel_images
                      WHERE organisation = ?";

fn kernel_image(row: &Row<'_>) -> rusqlite::Result<KernelImage> {
    Ok(KernelImage {
        id: row.get(0)?,
        name: row.get(1)?,
        hash: row.get(2)?,
        bytes: row.get(3)?,
        version: row.get(4)?,
        created_ms: row.get(5)?,
        stored_ms: row.get(6)?,
    })
}

pub(super) fn find(connection: &Connection, organisation: &str, id: &str) -> Result<KernelImage> {
    let sql = format!("{SELECT} AND id = ?");
    one(connection.prepare_cached(&sql)?.query_row([organisation, id], kernel_image), "kernel image")
}

/// Lists kernel images, by name.
#[utoipa::path(get, path = "/kernel-images", tag = "boot", operation_id = "list_kernel_images", params(KernelQuery),
    responses((status = 200, description = "A page", body = Page<KernelImage>), Refusals))]
async fn list_kernel_images(
    State(state): State<AppState>,
    principal: Principal,
    Query(query): Query<KernelQuery>,
) -> Result<Json<Page<KernelImage>>> {
    principal.require_user(Role::Viewer)?;
    let page = state.database.read(move |connection| {
        let mut select = Select::new(SELECT, [principal.organisation.into()]);
        if let Some(after) = query.after {
            select.and("name > ?", after);
        }
        if let Some(text) = query.q {
            select.and("name LIKE ? ESCAPE '\\'", contains_pattern(&text));
        }
        select.page(connection, "name", query.limit, kernel_image, |image| image.name.clone())
    });
    page.await.map(Json)
}

/// Shows a kernel image.
#[utoipa::path(get, path = "/kernel-images/{id}", tag = "boot", operation_id = "get_kernel_image",
    params(("id" = String, Path, description = "The kernel image")),
    responses((status = 200, description = "The kernel image", body = KernelImage), Refusals))]
async fn get_kernel_image(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<Json<KernelImage>> {
    principal.require_user(Role::Viewer)?;
    state.database.read(move |connection| find(connection, &principal.organisation, &id)).await.map(Json)
}

/// Describes a kernel image. Its bytes are put to `/kernel-images/ID/content` then.
#[utoipa::path(post, path = "/kernel-images", tag = "boot", operation_id = "create_kernel_image",
    request_body = NewKernelImage,
    responses((status = 201, description = "It was added", body = KernelImage), Refusals, ChangeRefusals))]
async fn create_kernel_image(
    State(state): State<AppState>,
    principal: Principal,
    Json(new): Json<NewKernelImage>,
) -> Result<(StatusCode, Json<KernelImage>)> {
    principal.require_user(Role::Admin)?;
    let organisation = principal.organisation.clone();
    let image = change(&state, &principal, move |transaction, journal| {
        let id = new_id()?;
        let version = new.version.map(|version| version.0).unwrap_or_default();
        let sql = "INSERT INTO kernel_images (id, organisation, name, hash, bytes, version, created_ms)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let row = params![id, organisation, new.name.as_str(), new.hash.0, new.bytes.0, version, now_ms()];
        changed(transaction.execute(sql, row), "kernel image")?;
        journal.note(transaction, "kernel-image.created", None, format!("kernel image {id}"), new.name.as_str())?;
        find(transaction, &organisation, &id)
    });
    Ok((StatusCode::CREATED, Json(image.await?)))
}

/// Changes what a kernel image is called.
#[utoipa::path(patch, path = "/kernel-images/{id}", tag = "boot", operation_id = "change_kernel_image",
    params(("id" = String, Path, description = "The kernel image")), request_body = KernelImageChange,
    responses((status = 200, description = "As it is now", body = KernelImage), Refusals, ChangeRefusals))]
async fn change_kernel_image(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
    Json(new): Json<KernelImageChange>,
) -> Result<Json<KernelImage>> {
    principal.require_user(Role::Admin)?;
    let organisation = principal.organisation.clone();
    let image = change(&state, &principal, move |transaction, journal| {
        let sql = "UPDATE kernel_images SET name = coalesce(?3, name), version = coalesce(?4, version)
                   WHERE id = ?1 AND organisation = ?2";
        let name = new.name.as_ref().map(Name::as_str);
        let row = params![id, organisation, name, new.version.map(|version| version.0)];
        changed(transaction.execute(sql, row), "kernel image")?;
        journal.note(transaction, "kernel-image.changed", None, format!("kernel image {id}"), "")?;
        find(transaction, &organisation, &id)
    });
    image.await.map(Json)
}

/// Deletes a kernel image and its bytes, if no other has the same.
#[utoipa::path(delete, path = "/kernel-images/{id}", tag = "boot", operation_id = "delete_kernel_image",
    params(("id" = String, Path, description = "The kernel image")),
    responses((status = 204, description = "It is gone"), Refusals, ChangeRefusals))]
async fn delete_kernel_image(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    principal.require_user(Role::Admin)?;
    let organisation = principal.organisation.clone();
    let hash = change(&state, &principal, move |transaction, journal| {
        let image = find(transaction, &organisation, &id)?;
        transaction.execute("DELETE FROM kernel_images WHERE id = ?1", [&id])?;
        journal.note(transaction, "kernel-image.deleted", None, format!("kernel image {id}"), &image.name)?;
        Ok(image.hash)
    });
    super::kernel_content::remove_unused(&state, hash.await?).await?;
    Ok(StatusCode::NO_CONTENT)
}
