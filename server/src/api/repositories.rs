//! Repositories, as management sees them.

use super::openapi::Refusals;
use super::shared::*;
use crate::access::{Actor, Principal};
use crate::error::Result;
use crate::extract::{Path, Query};
use crate::json::Json;
use crate::page::Page;
use crate::state::AppState;
use axum::extract::State;
use rusqlite::Row;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_repositories)).routes(routes!(get_repository_summary))
}

/// A repository of the organisation. Its objects are under `/repositories/NAME`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RepositorySummary)]
struct Repository {
    id: String,
    name: String,
    created_ms: i64,
}

/// A repository with what is in it.
#[derive(Debug, Serialize, ToSchema)]
struct RepositoryDetail {
    #[serde(flatten)]
    repository: Repository,
    /// Images that this token may see.
    images: i64,
    /// When the last one came in.
    last_image_ms: Option<i64>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RepositoryQuery {
    /// `next` of the page before; the list goes by name.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200)]
    after: Option<String>,
    /// Items of the page, 100 where nothing is said.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500)]
    limit: Option<Limit>,
}

fn select(principal: &Principal) -> Select {
    let sql = "SELECT r.id, r.name, r.created_ms FROM repositories r WHERE r.organisation = ?";
    let mut select = Select::new(sql, [principal.organisation.clone().into()]);
    if let Actor::Machine { id } = &principal.actor {
        select.and("r.id IN (SELECT repository FROM machine_repositories WHERE machine = ?)", id.clone());
    }
    // A token may be narrowed to some of what its owner has.
    select.and(
        "(NOT EXISTS (SELECT 1 FROM token_repositories WHERE token = ?)
          OR r.id IN (SELECT repository FROM token_repositories WHERE token = ?))",
        principal.token.clone(),
    );
    select
}

fn repository(row: &Row<'_>) -> rusqlite::Result<Repository> {
    Ok(Repository { id: row.get(0)?, name: row.get(1)?, created_ms: row.get(2)? })
}

/// Lists repositories, by name. A machine sees those it has rights in.
#[utoipa::path(get, path = "/repositories", tag = "repositories", operation_id = "list_repositories",
    params(RepositoryQuery), responses((status = 200, description = "A page", body = Page<Repository>), Refusals))]
async fn list_repositories(
    State(state): State<AppState>,
    principal: Principal,
    Query(query): Query<RepositoryQuery>,
) -> Result<Json<Page<Repository>>> {
    let page = state.database.read(move |connection| {
        let mut select = select(&principal);
        if let Some(after) = query.after {
            select.and("r.name > ?", after);
        }
        select.page(connection, "r.name", query.limit, repository, |repository| repository.name.clone())
    });
    page.await.map(Json)
}

/// Shows what is in a repository.
#[utoipa::path(get, path = "/repositories/{name}/summary", tag = "repositories",
    operation_id = "get_repository_summary", params(("name" = String, Path, description = "Id or name of the repository")),
    responses((status = 200, description = "What is in it", body = RepositoryDetail), Refusals))]
async fn get_repository_summary(
    State(state): State<AppState>,
    principal: Principal,
    Path(name): Path<String>,
) -> Result<Json<RepositoryDetail>> {
    let detail = state.database.read(move |connection| {
        let mut select = select(&principal);
        select.and("(r.id = ? OR r.name = ?)", name);
        let page = select.page(connection, "r.name", None, repository, |_| String::new())?;
        let repository = one(page.items.into_iter().next().ok_or(rusqlite::Error::QueryReturnedNoRows), "repository")?;
        let (images, last_image_ms) = match &principal.actor {
            Actor::Machine { id } => super::images::count_visible(connection, &principal, id, &repository.id)?,
            Actor::User { .. } => connection
                .prepare_cached("SELECT images, last_image_ms FROM repositories WHERE id = ?1")?
                .query_row([&repository.id], |row| Ok((row.get(0)?, row.get(1)?)))?,
        };
        Ok(RepositoryDetail { repository, images, last_image_ms })
    });
    detail.await.map(Json)
}
