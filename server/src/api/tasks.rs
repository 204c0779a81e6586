//! Tasks: what is to be done, once or by a rule.

use super::calendar::{Calendar, time_ms};
use super::openapi::{ChangeRefusals, Refusals};
use super::run_store::{self, RunState};
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
    OpenApiRouter::new()
        .routes(routes!(list_tasks, create_task))
        .routes(routes!(get_task, change_task, delete_task))
        .routes(routes!(cancel_task))
}

/// Longest options of a task, as JSON.
const MAX_OPTIONS_BYTES: usize = 16 << 10;

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    Backup,
    Restore,
}

/// A task.
#[derive(Debug, Serialize, ToSchema)]
struct Task {
    id: String,
    name: String,
    /// `backup` or `restore`.
    action: String,
    /// The machine it is for, or none where it is for a group.
    machine: Option<String>,
    group: Option<String>,
    repository: Option<String>,
    /// Which image is restored.
    image: Option<String>,
    options: Map<String, Value>,
    /// Once, then; neither this nor a rule: at once.
    at_ms: Option<i64>,
    /// Again and again.
    rule: Option<String>,
    time_zone: Option<String>,
    /// When it is due next; none where it is over.
    next_ms: Option<i64>,
    enabled: bool,
    created_ms: i64,
    created_by: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TaskQuery {
    /// `next` of the page before; the newest come first.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200, pattern = "^[0-9]{1,15}\\.[0-9a-f]{1,32}$")]
    after: Option<String>,
    /// Items of the page, 100 where nothing is said.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500)]
    limit: Option<Limit>,
    /// Tasks for this machine alone.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200)]
    machine: Option<String>,
    /// Tasks for this group alone.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200)]
    group: Option<String>,
    /// This name alone.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200)]
    name: Option<String>,
    /// Part of a name.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200)]
    q: Option<String>,
}

/// What is to be done: by `machine` or each of `group`, at once, `at` a time, or by a `rule`.
///
/// A rule has five fields as in crontab: minute (0-59), hour (0-23), day of month (1-31, `L` for the
/// last, `15W` for the weekday nearest to it), month (1-12 or JAN-DEC), day of week (0-7 or SUN-SAT,
/// `5#3` for the third Friday, `5L` for the last). Each field is `*`, a number, a range `1-5`, a list
/// `1,3,5`, or a range with a step, `*/15`. Times that a change of clocks leaves out are moved on.
/// Where days of month and of week are both given, either is enough. A rule whose times were missed
/// while the server was down is run once when it is up again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTask {
    name: Name,
    action: Action,
    /// The machine's id. Either this or `group`.
    #[schema(value_type = Option<String>, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    machine: Option<Text<200>>,
    /// The group's id.
    #[schema(value_type = Option<String>, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    group: Option<Text<200>>,
    /// Id or name of the repository.
    #[schema(value_type = String, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    repository: Text<200>,
    /// For a restore: the image.
    #[schema(value_type = Option<String>, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    image: Option<Text<200>>,
    /// Which disk, and other choices: handed to the machine as they are.
    #[serde(default)]
    options: Map<String, Value>,
    /// Once, at this time (RFC 3339).
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Text<100>>,
    /// Again and again, by this rule.
    #[schema(value_type = Option<String>, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$", example = "30 2 * * MON-FRI")]
    rule: Option<Text<200>>,
    /// The rule's time zone, by its IANA name; UTC where none is given.
    #[schema(value_type = Option<String>, max_length = 100, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$", example = "Europe/Berlin")]
    time_zone: Option<Text<100>>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TaskChange {
    name: Option<Name>,
    /// A task that is not enabled is not run when it is due. Enabling it looks forward, not back.
    enabled: Option<bool>,
}

const COLUMNS: &str =
    "t.id, t.name, t.action, t.machine, t.group_id, t.repository, t.image, t.options, t.at_ms, t.rule,
                       t.time_zone, t.next_ms, t.enabled, t.created_ms, t.created_by";

fn task(row: &Row<'_>) -> rusqlite::Result<Task> {
    Ok(Task {
        id: row.get(0)?,
        name: row.get(1)?,
        action: row.get(2)?,
        machine: row.get(3)?,
        group: row.get(4)?,
        repository: row.get(5)?,
        image: row.get(6)?,
        options: serde_json::from_str(&row.get::<_, String>(7)?).unwrap_or_default(),
        at_ms: row.get(8)?,
        rule: row.get(9)?,
        time_zone: row.get(10)?,
        next_ms: row.get(11)?,
        enabled: row.get(12)?,
        created_ms: row.get(13)?,
        created_by: row.get(14)?,
    })
}

fn find(connection: &Connection, organisation: &str, id: &str) -> Result<Task> {
    let sql = format!("SELECT {COLUMNS} FROM tasks t WHERE t.id = ?1 AND t.organisation = ?2");
    one(connection.prepare_cached(&sql)?.query_row([id, organisation], task), "task")
}

/// Lists tasks, the newest first.
#[utoipa::path(get, path = "/tasks", tag = "tasks", operation_id = "list_tasks", params(TaskQuery),
    responses((status = 200, description = "A page", body = Page<Task>), Refusals))]
async fn list_tasks(
    State(state): State<AppState>,
    principal: Principal,
    Query(query): Query<TaskQuery>,
) -> Result<Json<Page<Task>>> {
    principal.require_user(Role::Viewer)?;
    let page = state.database.read(move |connection| {
        let index = match (&query.machine, &query.group) {
            (Some(_), _) => "INDEXED BY tasks_by_machine",
            (None, Some(_)) => "INDEXED BY tasks_by_group",
            (None, None) => "INDEXED BY tasks_by_organisation",
        };
        let sql = format!("SELECT {COLUMNS} FROM tasks t {index} WHERE t.organisation = ?");
        let mut select = Select::new(sql, [principal.organisation.into()]);
        if let Some((created_ms, id)) = query.after.as_deref().map(split_pair).transpose()? {
            select.and_all("(t.created_ms, t.id) < (?, ?)", [created_ms.into(), id.to_owned().into()]);
        }
        let filters = [("t.machine = ?", query.machine), ("t.group_id = ?", query.group), ("t.name = ?", query.name)];
        filters
            .into_iter()
            .filter_map(|(sql, value)| Some((sql, value?)))
            .for_each(|(sql, value)| select.and(sql, value));
        if let Some(text) = query.q {
            select.and("t.name LIKE ? ESCAPE '\\'", contains_pattern(&text));
        }
        let order = "t.created_ms DESC, t.id DESC";
        select.page(connection, order, query.limit, task, |task| pair(task.created_ms, &task.id))
    });
    page.await.map(Json)
}

/// Shows a task.
#[utoipa::path(get, path = "/tasks/{id}", tag = "tasks", operation_id = "get_task",
    params(("id" = String, Path, description = "The task")),
    responses((status = 200, description = "The task", body = Task), Refusals))]
async fn get_task(State(state): State<AppState>, principal: Principal, Path(id): Path<String>) -> Result<Json<Task>> {
    principal.require_user(Role::Viewer)?;
    state.database.read(move |connection| find(connection, &principal.organisation, &id)).await.map(Json)
}

/// When a new task is due, and its time or rule as they are kept.
struct Due {
    at_ms: Option<i64>,
    time_zone: Option<String>,
    next_ms: Option<i64>,
}

fn due(new: &NewTask, now_ms: i64) -> Result<Due> {
    let none = Due { at_ms: None, time_zone: None, next_ms: None };
    if new.time_zone.is_some() && new.rule.is_none() {
        return Err(invalid("time_zone: it goes with a rule"));
    }
    match (&new.at, &new.rule) {
        (Some(_), Some(_)) => Err(invalid("at, rule: give one of them, or neither to start at once")),
        (Some(at), None) => {
            let at_ms = time_ms(&at.0)?;
            Ok(Due { at_ms: Some(at_ms), next_ms: Some(at_ms), ..none })
        }
        (None, Some(rule)) => {
            let zone = new.time_zone.as_ref().map_or("UTC", |zone| &zone.0);
            let next_ms = Calendar::parse(&rule.0, zone)?.next_ms(now_ms);
            let next_ms = next_ms.ok_or_else(|| invalid("rule: no time within four years fits it"))?;
            Ok(Due { time_zone: Some(zone.to_owned()), next_ms: Some(next_ms), ..none })
        }
        (None, None) => Ok(none),
    }
}

/// Makes a task. Without a time and without a rule it begins at once.
///
/// A restore grants the image to each machine when its run is queued, for 30 days, and makes the right of a machine that
/// restored only its own images in the repository `granted`. 409 where a machine's right is `none`.
#[utoipa::path(post, path = "/tasks", tag = "tasks", operation_id = "create_task", request_body = NewTask,
    responses((status = 201, description = "It was made", body = Task), Refusals, ChangeRefusals))]
async fn create_task(
    State(state): State<AppState>,
    principal: Principal,
    Json(new): Json<NewTask>,
) -> Result<(StatusCode, Json<Task>)> {
    let user = principal.require_user(Role::Operator)?.to_owned();
    let options = serde_json::to_string(&new.options).unwrap_or_default();
    if options.len() > MAX_OPTIONS_BYTES {
        return Err(invalid(format!("options: they are longer than {MAX_OPTIONS_BYTES} bytes")));
    }
    if new.machine.is_some() == new.group.is_some() {
        return Err(invalid("machine, group: give one of them"));
    }
    if (new.action == Action::Restore) != new.image.is_some() {
        return Err(invalid("image: a restore has one, a backup none"));
    }
    let organisation = principal.organisation.clone();
    let task = change(&state, &principal, move |transaction, journal| {
        let now_ms = now_ms();
        let due = due(&new, now_ms)?;
        let repository = super::images::repository_id(transaction, &organisation, &new.repository.0)?;
        let (machine, group) = (new.machine.map(|id| id.0), new.group.map(|id| id.0));
        if let Some(machine) = &machine {
            require(transaction, Table::Machines, &organisation, machine)?;
        }
        if let Some(group) = &group {
            require(transaction, Table::Groups, &organisation, group)?;
        }
        let image = new.image.map(|image| image.0);
        if let Some(image) = &image {
            let sql = "SELECT 1 FROM images WHERE repository = ?1 AND image = ?2 AND deleted_ms IS NULL";
            one(transaction.query_row(sql, [&repository, image], |_| Ok(())), "image")?;
            let targets = (machine.as_deref(), group.as_deref());
            if let Some(name) = run_store::who_may_not_restore(transaction, targets, &repository)? {
                return Err(conflict(format!(
                    "machine {name} restores nothing of that repository by its right; set it to `granted` first"
                )));
            }
        }
        let id = new_id()?;
        let action = if new.action == Action::Backup { "backup" } else { "restore" };
        transaction.execute(
            "INSERT INTO tasks (id, organisation, name, action, machine, group_id, repository, image, options, at_ms,
             rule, time_zone, next_ms, created_ms, created_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            params![
                id,
                organisation,
                new.name.as_str(),
                action,
                machine,
                group,
                repository,
                image,
                options,
                due.at_ms,
                new.rule.map(|rule| rule.0),
                due.time_zone,
                due.next_ms,
                now_ms,
                user
            ],
        )?;
        journal.note(transaction, "task.created", machine.as_deref(), format!("task {id}"), new.name.as_str())?;
        if due.next_ms.is_none() {
            run_store::queue(transaction, journal, &organisation, &id, now_ms)?;
        }
        find(transaction, &organisation, &id)
    });
    Ok((StatusCode::CREATED, Json(task.await?)))
}

/// Renames a task, or enables and disables it.
#[utoipa::path(patch, path = "/tasks/{id}", tag = "tasks", operation_id = "change_task",
    params(("id" = String, Path, description = "The task")), request_body = TaskChange,
    responses((status = 200, description = "As it is now", body = Task), Refusals, ChangeRefusals))]
async fn change_task(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
    Json(new): Json<TaskChange>,
) -> Result<Json<Task>> {
    principal.require_user(Role::Operator)?;
    let organisation = principal.organisation.clone();
    let task = change(&state, &principal, move |transaction, journal| {
        let before = find(transaction, &organisation, &id)?;
        let next_ms = match (new.enabled, &before.rule) {
            (Some(true), Some(rule)) if !before.enabled => {
                Calendar::parse(rule, before.time_zone.as_deref().unwrap_or("UTC"))?.next_ms(now_ms())
            }
            _ => before.next_ms,
        };
        let sql = "UPDATE tasks SET name = coalesce(?2, name), enabled = coalesce(?3, enabled), next_ms = ?4
                   WHERE id = ?1";
        transaction.execute(sql, params![id, new.name.as_ref().map(Name::as_str), new.enabled, next_ms])?;
        journal.note(transaction, "task.changed", before.machine.as_deref(), format!("task {id}"), "")?;
        find(transaction, &organisation, &id)
    });
    task.await.map(Json)
}

/// Cancels what is queued and running of a task, and all that is yet to come.
#[utoipa::path(post, path = "/tasks/{id}/cancel", tag = "tasks", operation_id = "cancel_task",
    params(("id" = String, Path, description = "The task")),
    responses((status = 200, description = "As it is now", body = Task), Refusals, ChangeRefusals))]
async fn cancel_task(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<Json<Task>> {
    principal.require_user(Role::Operator)?;
    let organisation = principal.organisation.clone();
    let task = change(&state, &principal, move |transaction, journal| {
        let task = find(transaction, &organisation, &id)?;
        transaction.execute("UPDATE tasks SET next_ms = NULL, enabled = 0 WHERE id = ?1", [&id])?;
        for run in run_store::open_runs(transaction, &id)? {
            run_store::end(transaction, journal, &run, RunState::Cancelled, "cancelled by a user", now_ms())?;
        }
        journal.note(transaction, "task.cancelled", task.machine.as_deref(), format!("task {id}"), &task.name)?;
        find(transaction, &organisation, &id)
    });
    task.await.map(Json)
}

/// Deletes a task with its runs. One that has runs open is cancelled first.
#[utoipa::path(delete, path = "/tasks/{id}", tag = "tasks", operation_id = "delete_task",
    params(("id" = String, Path, description = "The task")),
    responses((status = 204, description = "It is gone"), Refusals, ChangeRefusals))]
async fn delete_task(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    principal.require_user(Role::Admin)?;
    let organisation = principal.organisation.clone();
    change(&state, &principal, move |transaction, journal| {
        require(transaction, Table::Tasks, &organisation, &id)?;
        if !run_store::open_runs(transaction, &id)?.is_empty() {
            return Err(conflict("the task has runs that are queued or running; cancel it first"));
        }
        transaction.execute("DELETE FROM tasks WHERE id = ?1", [&id])?;
        journal.note(transaction, "task.deleted", None, format!("task {id}"), "")
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
