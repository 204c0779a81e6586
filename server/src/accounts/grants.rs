//! Images that a machine may restore though others added them.

use super::audit::{self, By};
use super::machine_rights::{find_machine, find_repository};
use super::token_list::life_ms;
use crate::access::{Principal, Role};
use crate::answers::{Bodied, Common, Guarded, Named};
use crate::error::{ApiError, Code, Result};
use crate::extract::{Path, Query};
use crate::json::Json;
use crate::page::{Page, PageQuery};
use crate::state::AppState;
use crate::text::Name;
use axum::extract::State;
use holotype_repo::core::ImageId;
use http::StatusCode;
use rusqlite::params;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Longest grant that ends at all.
const MAX_GRANT_SECONDS: u64 = 10 * 366 * 24 * 3600;

/// An image to be granted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGrant {
    /// Name of the repository.
    pub repository: Name,
    /// Name of the image object: lower-case hexadecimal digits.
    #[schema(max_length = 64)]
    pub image: String,
    /// How long; for ever without it.
    #[schema(minimum = 60, maximum = 316224000)]
    pub expires_in_seconds: Option<u64>,
}

/// An image that is granted to a machine.
#[derive(Debug, Serialize, ToSchema)]
pub struct Grant {
    /// Name of the repository.
    pub repository: String,
    /// Name of the image object.
    pub image: String,
    /// Since when, in milliseconds since 1970 (UTC).
    pub granted_ms: i64,
    /// When it ends, if ever.
    pub expires_ms: Option<i64>,
}

/// List the images that are granted to a machine
#[utoipa::path(get, operation_id = "grants_list", path = "/machines/{id}/grants", tag = "machines",
    params(("id" = String, Path, description = "Id of the machine"), PageQuery),
    responses((status = 200, body = Page<Grant>), Common, Guarded, Named))]
pub async fn list(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Grant>>> {
    principal.require_user(Role::Operator)?;
    let page = state.database.read(move |connection| {
        find_machine(connection, &principal.organisation, &id)?;
        let (repository, image) = query.after().split_once('.').unwrap_or_default();
        let mut statement = connection.prepare_cached(
            "SELECT r.name, g.image, g.granted_ms, g.expires_ms FROM image_grants g
             JOIN repositories r ON r.id = g.repository
             WHERE g.machine = ?1 AND (r.name, g.image) > (?2, ?3) ORDER BY r.name, g.image LIMIT ?4",
        )?;
        let limit = query.items();
        let rows = statement.query_map(params![id, repository, image, limit + 1], |row| {
            Ok(Grant { repository: row.get(0)?, image: row.get(1)?, granted_ms: row.get(2)?, expires_ms: row.get(3)? })
        })?;
        let next = |grant: &Grant| format!("{}.{}", grant.repository, grant.image);
        Ok(Page::of(rows.collect::<Result<_, _>>()?, limit, next))
    });
    page.await.map(Json)
}

/// Grant an image to a machine
///
/// Operators and admins. It counts where the machine's right in the repository is `granted`.
#[utoipa::path(post, operation_id = "grants_create", path = "/machines/{id}/grants", tag = "machines", request_body = NewGrant,
    params(("id" = String, Path, description = "Id of the machine")),
    responses((status = 201, body = Grant), Common, Guarded, Bodied, Named))]
pub async fn create(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
    Json(new): Json<NewGrant>,
) -> Result<(StatusCode, Json<Grant>)> {
    principal.require_user(Role::Operator)?;
    if new.image.parse::<ImageId>().is_err() {
        return Err(ApiError::new(Code::InvalidRequest, "image has to be the name of an image object"));
    }
    let granted_ms = state.clock.now_ms();
    let life_ms = new.expires_in_seconds.map(|asked| life_ms(Some(asked), 0, MAX_GRANT_SECONDS)).transpose()?;
    let grant = audit::write(&state, move |transaction, audit| {
        find_machine(transaction, &principal.organisation, &id)?;
        let repository = find_repository(transaction, &principal.organisation, new.repository.as_str())?;
        let expires_ms = life_ms.map(|life_ms| granted_ms + life_ms);
        transaction.execute(
            "INSERT INTO image_grants (repository, image, machine, granted_ms, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (machine, repository, image) DO UPDATE SET granted_ms = ?4, expires_ms = ?5",
            params![repository, new.image, id, granted_ms, expires_ms],
        )?;
        let note = By::principal(&principal).did("image.granted", format!("image {}", new.image)).machine(&id);
        audit.note(transaction, note.detail(format!("repository {repository}")))?;
        Ok(Grant { repository: new.repository.into(), image: new.image, granted_ms, expires_ms })
    });
    Ok((StatusCode::CREATED, Json(grant.await?)))
}

/// Take a grant back
#[utoipa::path(delete, operation_id = "grants_delete", path = "/machines/{id}/grants/{repository}/{image}", tag = "machines",
    params(("id" = String, Path, description = "Id of the machine"), ("repository" = String, Path, description = "Its name"),
        ("image" = String, Path, description = "Name of the image object")),
    responses((status = 204, description = "It is not granted now"), Common, Guarded, Named))]
pub async fn delete(
    State(state): State<AppState>,
    principal: Principal,
    Path((id, repository, image)): Path<(String, String, String)>,
) -> Result<StatusCode> {
    principal.require_user(Role::Operator)?;
    audit::write(&state, move |transaction, audit| {
        find_machine(transaction, &principal.organisation, &id)?;
        let repository = find_repository(transaction, &principal.organisation, &repository)?;
        let sql = "DELETE FROM image_grants WHERE machine = ?1 AND repository = ?2 AND image = ?3";
        if transaction.execute(sql, [&id, &repository, &image])? > 0 {
            let by = By::principal(&principal);
            audit.note(transaction, by.did("image.grant-removed", format!("image {image}")).machine(&id))?;
        }
        Ok(())
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
