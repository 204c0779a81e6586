//! Images: who backed up what, and when, by the server's clock.

use super::image_search;
use super::openapi::{ChangeRefusals, Refusals};
use super::shared::*;
use crate::access::{Actor, Principal, Role};
use crate::clock::now_ms;
use crate::error::{ApiError, Result};
use crate::extract::{Path, Query};
use crate::json::Json;
use crate::objects::policy::{self, MayRestore};
use crate::page::Page;
use crate::state::AppState;
use crate::text::Name;
use axum::extract::State;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_images)).routes(routes!(get_image)).routes(routes!(report_image))
}

/// An image in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Image {
    /// The repository it is in.
    repository: String,
    /// Name of its object there.
    image: String,
    /// The machine that added it, if it is still there.
    machine: Option<String>,
    /// The user who added it, where it was no machine.
    user: Option<String>,
    /// What it is called, where that was told.
    name: Option<String>,
    /// When it came in, by the server's clock.
    pub(super) received_ms: i64,
    /// Length of the image object.
    object_bytes: i64,
    /// Bytes of the disk, where that was told.
    source_bytes: Option<i64>,
    /// Bytes that it added to the repository, where that was told.
    stored_bytes: Option<i64>,
    /// When it was deleted.
    deleted_ms: Option<i64>,
    #[serde(skip)]
    pub(super) number: i64,
}

/// An image with the receipt.
#[derive(Debug, Serialize, ToSchema)]
struct ImageDetail {
    #[serde(flatten)]
    image: Image,
    /// What the server signed when the image came in.
    receipt: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ImageQuery {
    /// `next` of the page before. The newest come first; with `name_prefix` the list goes by name, and with `q`
    /// images that are called the same stand together, the newest first in each, unless few are of the asked time.
    /// Such a page may hold less than `limit`, even nothing, where there is a `next`: the search goes on there.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200, pattern = "^[0-9]{1,15}\\..*$")]
    after: Option<String>,
    /// Items of the page, 100 where nothing is said.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500)]
    limit: Option<Limit>,
    /// Images of this machine alone.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200)]
    machine: Option<String>,
    /// Images in this repository alone: its id or its name.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200)]
    repository: Option<String>,
    /// Not before: milliseconds since 1970 (UTC).
    #[param(value_type = Option<i64>, minimum = 0, maximum = 9007199254740991_i64)]
    from_ms: Option<Count>,
    /// Before: milliseconds since 1970 (UTC).
    #[param(value_type = Option<i64>, minimum = 0, maximum = 9007199254740991_i64)]
    to_ms: Option<Count>,
    /// What names begin with; capital letters count.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200)]
    name_prefix: Option<String>,
    /// Part of a name, at least three characters; capital letters do not count.
    #[serde(default, deserialize_with = "bounded")]
    #[param(min_length = 3, max_length = 200)]
    q: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ImageReport {
    name: Option<Name>,
    /// Bytes of the disk.
    source_bytes: Option<Count>,
    /// Bytes that it added to the repository.
    stored_bytes: Option<Count>,
}

pub(super) const COLUMNS: &str = "i.repository, i.image, i.machine, i.user_id, i.name, i.received_ms, i.object_bytes,
                       i.source_bytes, i.stored_bytes, i.deleted_ms, i.number";

pub(super) fn image(row: &Row<'_>) -> rusqlite::Result<Image> {
    Ok(Image {
        repository: row.get(0)?,
        image: row.get(1)?,
        machine: row.get(2)?,
        user: row.get(3)?,
        name: row.get(4)?,
        received_ms: row.get(5)?,
        object_bytes: row.get(6)?,
        source_bytes: row.get(7)?,
        stored_bytes: row.get(8)?,
        deleted_ms: row.get(9)?,
        number: row.get(10)?,
    })
}

/// A machine sees the images it added, those granted to it, and all where it may restore all: each in the
/// repositories that it has rights in, with this token. The values are lists of repositories, as JSON.
const OF_MACHINE: &str = "i.number IN (
    SELECT o.number FROM images o WHERE o.machine = ?
        AND o.repository IN (SELECT value FROM json_each(?))
    UNION ALL SELECT o.number FROM image_grants g JOIN images o ON o.repository = g.repository AND o.image = g.image
        WHERE g.machine = ? AND g.repository IN (SELECT value FROM json_each(?))
        AND (g.expires_ms IS NULL OR g.expires_ms > ?)";

/// What a machine may see of the images `i`.
fn only_visible(connection: &Connection, principal: &Principal, machine: &str, select: &mut Select) -> Result<()> {
    let rights = policy::rights(connection, principal, machine)?;
    let with = |least: MayRestore| {
        let repositories: Vec<&str> =
            rights.iter().filter(|(_, may)| *may >= least).map(|(repository, _)| repository.as_str()).collect();
        serde_json::to_string(&repositories).unwrap_or_default()
    };
    let (own, granted) = (with(MayRestore::None), with(MayRestore::Granted));
    let mut values: Vec<Value> =
        vec![machine.to_owned().into(), own.into(), machine.to_owned().into(), granted.into(), now_ms().into()];
    let mut condition = OF_MACHINE.to_owned();
    if rights.iter().any(|(_, may)| *may == MayRestore::All) {
        condition.push_str(
            " UNION ALL SELECT o.number FROM images o WHERE o.deleted_ms IS NULL
                AND o.repository IN (SELECT value FROM json_each(?))",
        );
        values.push(with(MayRestore::All).into());
    }
    select.and_all(&format!("{condition})"), values);
    Ok(())
}

/// How many images of a repository a machine sees, and when the last one came in.
pub(super) fn count_visible(
    connection: &Connection,
    principal: &Principal,
    machine: &str,
    repository: &str,
) -> Result<(i64, Option<i64>)> {
    let sql = "SELECT count(*), max(i.received_ms) FROM images i WHERE i.repository = ? AND i.deleted_ms IS NULL";
    let mut select = Select::new(sql, [repository.to_owned().into()]);
    only_visible(connection, principal, machine, &mut select)?;
    select.row(connection, |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Lists and searches images.
#[utoipa::path(get, path = "/images", tag = "images", operation_id = "list_images", params(ImageQuery),
    responses((status = 200, description = "A page", body = Page<Image>), Refusals))]
async fn list_images(
    State(state): State<AppState>,
    principal: Principal,
    Query(query): Query<ImageQuery>,
) -> Result<Json<Page<Image>>> {
    state.database.read(move |connection| list(connection, &principal, query)).await.map(Json)
}

fn list(connection: &Connection, principal: &Principal, query: ImageQuery) -> Result<Page<Image>> {
    if query.q.as_ref().is_some_and(|text| text.chars().count() < 3) {
        return Err(invalid("q: it has at least three characters"));
    }
    let repository = query.repository.as_ref();
    let repository =
        repository.map(|given| policy::find_any(connection, principal, given)).transpose()?.map(|seen| seen.id);
    // A machine has so few images that no index of names is needed.
    let of_machine = query.machine.is_some() || matches!(principal.actor, Actor::Machine { .. });
    let names = match (query.q.clone(), query.name_prefix.clone()) {
        (None, None) => None,
        _ if of_machine => None,
        (part, prefix) => Some(image_search::NameFilter { part, prefix }),
    };
    match names {
        Some(names) => {
            let search = image_search::ImageSearch {
                organisation: &principal.organisation,
                repository: repository.as_deref(),
                from_ms: query.from_ms.map_or(0, |from| from.0),
                to_ms: query.to_ms.map_or(MAX_NUMBER, |to| to.0),
                items: query.limit.unwrap_or_default().items(),
            };
            if names.part.is_some() && search.is_rather_by_time(connection, query.after.as_deref())? {
                return newest(connection, principal, query, repository);
            }
            search.page(connection, &names, query.after.as_deref())
        }
        None => newest(connection, principal, query, repository),
    }
}

/// A page by time, the newest first.
fn newest(
    connection: &Connection,
    principal: &Principal,
    query: ImageQuery,
    repository: Option<String>,
) -> Result<Page<Image>> {
    // Without statistics the planner would walk through all of the organisation's images.
    let by_machine = query.machine.is_some() && matches!(principal.actor, Actor::User { .. });
    let index = if by_machine { "INDEXED BY images_by_machine" } else { "" };
    let plus = if matches!(principal.actor, Actor::Machine { .. }) { "+" } else { "" };
    let sql = format!("SELECT {COLUMNS} FROM images i {index} WHERE {plus}i.organisation = ? AND i.deleted_ms IS NULL");
    let mut select = Select::new(sql, [Value::from(principal.organisation.clone())]);
    if let Actor::Machine { id } = &principal.actor {
        only_visible(connection, principal, id, &mut select)?;
    }
    if let Some(machine) = query.machine {
        select.and("i.machine = ?", machine);
    }
    if let Some(repository) = repository {
        select.and("i.repository = ?", repository);
    }
    if let Some(Count(from_ms)) = query.from_ms {
        select.and("i.received_ms >= ?", from_ms);
    }
    if let Some(Count(to_ms)) = query.to_ms {
        select.and("i.received_ms < ?", to_ms);
    }
    if let Some(text) = &query.q {
        select.and("i.name LIKE ? ESCAPE '\\'", contains_pattern(text));
    }
    if let Some(prefix) = query.name_prefix {
        select.and("i.name >= ?", prefix.clone());
        select.and("i.name < ?", format!("{prefix}{}", char::MAX));
    }
    if let Some((received_ms, number)) = query.after.as_deref().map(split_pair).transpose()? {
        // Whatever stands after the time, the page begins at it.
        let number = number.parse().unwrap_or(0_i64);
        select.and_all("(i.received_ms, i.number) < (?, ?)", [received_ms.into(), number.into()]);
    }
    let key = |image: &Image| pair(image.received_ms, image.number);
    select.page(connection, "i.received_ms DESC, i.number DESC", query.limit, image, key)
}

/// The id of a repository that is given by its id or its name.
pub(super) fn repository_id(connection: &Connection, organisation: &str, repository: &str) -> Result<String> {
    let sql = "SELECT id FROM repositories WHERE organisation = ?1 AND (id = ?2 OR name = ?2)";
    one(connection.prepare_cached(sql)?.query_row([organisation, repository], |row| row.get(0)), "repository")
}

fn find(connection: &Connection, principal: &Principal, repository: &str, name: &str) -> Result<ImageDetail> {
    let seen = policy::find_any(connection, principal, repository)
        .map_err(|error| if error.code() == crate::error::Code::NotFound { no_image() } else { error })?;
    policy::check_image(connection, &seen, name, "such image")?;
    let sql = format!(
        "SELECT {COLUMNS}, i.receipt FROM images i WHERE i.repository = ? AND i.image = ? AND i.organisation = ?"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement.query_row([&seen.id, name, &principal.organisation], |row| {
        Ok(ImageDetail { image: image(row)?, receipt: row.get(11)? })
    });
    one(found, "image")
}

fn no_image() -> ApiError {
    ApiError::not_found("such image")
}

/// Shows an image with its receipt.
#[utoipa::path(get, path = "/images/{repository}/{image}", tag = "images", operation_id = "get_image",
    params(("repository" = String, Path, description = "Id or name of the repository"),
        ("image" = String, Path, description = "Name of the image's object")),
    responses((status = 200, description = "The image", body = ImageDetail), Refusals))]
async fn get_image(
    State(state): State<AppState>,
    principal: Principal,
    Path((repository, image)): Path<(String, String)>,
) -> Result<Json<ImageDetail>> {
    state.database.read(move |connection| find(connection, &principal, &repository, &image)).await.map(Json)
}

/// Tells what an image is called and how large it is: by the one who added it. What it does not tell stays.
#[utoipa::path(post, path = "/images/{repository}/{image}/report", tag = "images", operation_id = "report_image",
    params(("repository" = String, Path, description = "Id or name of the repository"),
        ("image" = String, Path, description = "Name of the image's object")), request_body = ImageReport,
    responses((status = 200, description = "As it is known now", body = ImageDetail), Refusals, ChangeRefusals))]
async fn report_image(
    State(state): State<AppState>,
    principal: Principal,
    Path((repository, image)): Path<(String, String)>,
    Json(report): Json<ImageReport>,
) -> Result<Json<ImageDetail>> {
    if let Actor::User { .. } = principal.actor {
        principal.require_user(Role::Operator)?;
    }
    let asking = principal.clone();
    let detail = change(&state, &principal, move |transaction, journal| {
        let found = find(transaction, &asking, &repository, &image)?.image;
        let own = match &asking.actor {
            Actor::Machine { id } => found.machine.as_ref() == Some(id),
            Actor::User { id, .. } => found.user.as_ref() == Some(id),
        };
        if !own {
            return Err(ApiError::new(crate::error::Code::NotAllowed, "only the one who added the image tells of it"));
        }
        transaction.execute(
            "UPDATE images SET name = coalesce(?2, name), source_bytes = coalesce(?3, source_bytes),
             stored_bytes = coalesce(?4, stored_bytes) WHERE number = ?1",
            params![
                found.number,
                report.name.as_ref().map(Name::as_str),
                report.source_bytes.map(|count| count.0),
                report.stored_bytes.map(|count| count.0)
            ],
        )?;
        let name = report.name.as_ref().map(Name::as_str).unwrap_or_default();
        journal.note(transaction, "image.reported", found.machine.as_deref(), format!("image {image}"), name)?;
        find(transaction, &asking, &repository, &image)
    });
    detail.await.map(Json)
}
