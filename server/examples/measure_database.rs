//! Fills a management database and measures every list and search through the router.
//!
//! `measure_database DIR [MACHINES IMAGES EVENTS]`: DIR is made where it is not there, and used again
//! where it is. Each page is asked for by a process of its own: `cold` is the first time after the
//! system's page cache was dropped (only root can), `first` the first time of a new process after that.

use axum::Router;
use axum::body::Body;
use holotype_server::clock::now_ms;
use holotype_server::database::Database;
use holotype_server::router::router;
use holotype_server::state::AppState;
use http::Request;
use http_body_util::BodyExt;
use rusqlite::params;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tower::ServiceExt;

const ORGANISATION: &str = "0123456789abcdef0123456789abcdef";
/// For this database alone, which holds nothing but made-up rows.
const TOKEN: &str = "ht_0000000000000000000000000000000000000000000000000000000000000000";
const VIEWER_TOKEN: &str = "ht_1111111111111111111111111111111111111111111111111111111111111111";
/// Another organisation, whose names nobody else should meet.
const OTHER: &str = "fedcba9876543210fedcba9876543210";
/// Rows of one transaction.
const BATCH: u64 = 200_000;
const RUNS: usize = 20;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// An id that looks random and is the same every time.
fn id(kind: &str, number: u64) -> String {
    blake3::hash(format!("{kind} {number}").as_bytes()).to_hex()[..32].to_owned()
}

fn fill(database: &Database, machines: u64, images: u64, events: u64) -> holotype_server::error::Result<()> {
    database.write_blocking(|transaction| {
        let user = id("user", 0);
        transaction.execute("INSERT INTO organisations VALUES (?1, 'measured', 0, ?2)", params![ORGANISATION, (events + 1) as i64])?;
        transaction.execute("INSERT INTO users VALUES (?1, ?2, 'u', 'admin', '', 0, NULL)", [&user, ORGANISATION])?;
        transaction.execute(
            "INSERT INTO tokens (id, organisation, user_id, kind, name, hash, created_ms, expires_ms)
             VALUES (?1, ?2, ?1, 'token', 't', ?3, 0, ?4)",
            params![user, ORGANISATION, blake3::hash(TOKEN.as_bytes()).as_bytes(), now_ms() + (1_i64 << 40)],
        )?;
        transaction.execute("INSERT INTO organisations VALUES (?1, 'other', 0, 1)", [OTHER])?;
        for number in 0..6 {
            let organisation = if number < 5 { ORGANISATION } else { OTHER };
            transaction.execute(
                "INSERT INTO repositories VALUES (?1, ?2, ?3, 'directory', ?3, 0, 0, NULL)",
                [&id("repository", number), organisation, &format!("main-{number}")],
            )?;
        }
        for number in 0..machines {
            let machine = id("machine", number);
            let (room, place) = (number / 100, number % 100);
            transaction.execute(
                "INSERT INTO machines (id, organisation, name, smbios_uuid, serial, created_ms) VALUES (?1, ?2, ?3, ?4, ?5, 0)",
                params![machine, ORGANISATION, format!("room-{room:03}/pc-{place:02}"), id("uuid", number), &id("serial", number)[..10]],
            )?;
            for (kind, address) in [("ip", format!("10.{}.{room}.{place}", room / 256)), ("mac", id("mac", number)[..12].into())] {
                transaction.execute("INSERT INTO machine_addresses VALUES (?1, ?2, ?3)", [&machine, kind, &address])?;
            }
        }
        Ok(())
    })?;
    for from in (0..images).step_by(BATCH as usize) {
        database.write_blocking(|transaction| {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO images (organisation, repository, image, machine, name, received_ms, object_bytes, receipt)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 4096, '')",
            )?;
            for number in from..images.min(from + BATCH) {
                let pc = number % machines;
                let mut name = format!("room-{:03}/pc-{:02}", pc / 100, pc % 100);
                // In one repository every image has a name of its own; another one has few images. A tenth belongs to
                // others, who have a name of their own for each too.
                let of_others = number % 10 == 9;
                let repository = match number % 4 {
                    _ if of_others => 5,
                    _ if number % 1000 == 2 => 4,
                    repository => repository,
                };
                if repository == 3 || of_others {
                    name = format!("{name} day {}", number / machines);
                }
                let organisation = if of_others { OTHER } else { ORGANISATION };
                let repository = id("repository", repository);
                let time = (1_700_000_000_000 + number * 1000) as i64;
                let machine = (!of_others).then(|| id("machine", pc));
                statement.execute(params![organisation, repository, id("image", number), machine, name, time])?;
            }
            Ok(())
        })?;
    }
    let kinds = ["run.queued", "run.started", "run.done", "image.received", "token.used"];
    for from in (0..events).step_by(BATCH as usize) {
        database.write_blocking(|transaction| {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO events (organisation, number, at_ms, kind, actor, machine, subject, outcome)
                 VALUES (?1, ?2, ?3, ?4, 'server', ?5, '', 'done')",
            )?;
            for number in from..events.min(from + BATCH) {
                let kind = if number == events / 2 { "machine.deleted" } else { kinds[number as usize % kinds.len()] };
                // Half of all events are about a machine.
                let machine = (number % 2 == 0).then(|| id("machine", number / 2 % machines));
                statement.execute(params![
                    ORGANISATION,
                    number as i64 + 1,
                    (1_700_000_000_000 + number * 100) as i64,
                    kind,
                    machine
                ])?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Everything else that has lists: 500 groups, 10,000 tasks, 10 runs of each, 10,000 tokens, 1000 users.
fn fill_the_rest(database: &Database, machines: u64) -> holotype_server::error::Result<()> {
    database.write_blocking(|transaction| {
        for number in 0..500 {
            let group = id("group", number);
            transaction.execute("INSERT INTO groups VALUES (?1, ?2, ?3, 0)", [&group, ORGANISATION, &format!("room-{number:03}")])?;
            for place in 0..machines / 500 {
                let sql = "INSERT INTO group_machines VALUES (?1, ?2)";
                transaction.execute(sql, [&group, &id("machine", number + 500 * place)])?;
            }
        }
        for number in 0..10_000_u64 {
            let (task, machine, time) = (id("task", number), id("machine", number % machines), 1_700_000_000_000 + number as i64);
            let group = (number % 20 == 0).then(|| id("group", number % 500));
            let of_machine = group.is_none().then_some(&machine);
            transaction.execute(
                "INSERT INTO tasks (id, organisation, name, action, machine, group_id, repository, rule, created_ms)
                 VALUES (?1, ?2, ?3, 'backup', ?4, ?5, ?6, '30 2 * * *', ?7)",
                params![task, ORGANISATION, format!("nightly {number}"), of_machine, group, id("repository", 0), time],
            )?;
            for run in 0..10 {
                let state = match (run, number % 100) {
                    (9, 0) => "running",
                    (9, 1..10) => "queued",
                    (_, 50) => "failed",
                    _ => "done",
                };
                transaction.execute(
                    "INSERT INTO task_runs (id, organisation, task, machine, state, created_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    params![id("run", number * 10 + run), ORGANISATION, task, machine, state, time + 86_400_000 * run as i64],
                )?;
            }
            // A tenth are sessions of users.
            let user = (number % 10 == 0).then(|| id("user", number / 10));
            if let Some(user) = user.as_ref().filter(|_| number > 0) {
                let sql = "INSERT INTO users VALUES (?1, ?2, ?3, 'viewer', '', 0, NULL)";
                transaction.execute(sql, [user, ORGANISATION, &format!("user {number:05}")])?;
            }
            let (of_machine, secret) = (user.is_none().then_some(machine), id("secret", number));
            transaction.execute(
                "INSERT INTO tokens (id, organisation, user_id, machine, kind, name, hash, created_ms, expires_ms)
                 VALUES (?1, ?2, ?3, ?4, 'token', 't', ?5, ?6, ?6)",
                params![id("token", number), ORGANISATION, user, of_machine, secret.as_bytes(), time],
            )?;
        }
        // A viewer, whose own tokens are few among many.
        let viewer = id("user", 999);
        transaction.execute(
            "INSERT INTO tokens (id, organisation, user_id, kind, name, hash, created_ms, expires_ms)
             VALUES (?1, ?2, ?3, 'token', 't', ?4, 0, ?5)",
            params![id("viewer", 0), ORGANISATION, viewer, blake3::hash(VIEWER_TOKEN.as_bytes()).as_bytes(), now_ms() + (1_i64 << 40)],
        )?;
        Ok(())
    })
}

async fn ask(router: &Router, path: &str) -> Outcome<(Duration, serde_json::Value)> {
    let (path, token) = path.strip_prefix("viewer ").map_or((path, TOKEN), |path| (path, VIEWER_TOKEN));
    let request = Request::get(format!("/api/v1{path}")).header("authorization", format!("Bearer {token}"));
    let begun = Instant::now();
    let response = router.clone().oneshot(request.body(Body::empty())?).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    let taken = begun.elapsed();
    if !status.is_success() {
        return Err(format!("{path}: {status} {}", String::from_utf8_lossy(&body)).into());
    }
    Ok((taken, serde_json::from_slice(&body)?))
}

fn open(directory: &Path) -> Outcome<(Database, Router)> {
    let database = Database::open(&directory.join("management.sqlite"))?;
    Ok((database.clone(), router(AppState::new(directory.to_owned(), database))))
}

#[tokio::main]
async fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("measure_database DIR [MACHINES IMAGES EVENTS]")?);
    let arguments: Vec<String> = arguments.collect();
    if let [word, path, runs] = arguments.as_slice()
        && word == "ask"
    {
        return ask_often(&directory, path, runs.parse()?).await;
    }
    let numbers: Vec<u64> = arguments.iter().map(|number| number.parse()).collect::<Result<_, _>>()?;
    let [machines, images, events] = *numbers.first_chunk().unwrap_or(&[10_000, 1_000_000, 10_000_000]);
    std::fs::create_dir_all(&directory)?;
    let (database, _) = open(&directory)?;
    let rows = database.read_blocking(|connection| {
        Ok(connection.query_row("SELECT count(*) FROM organisations", [], |row| row.get::<_, i64>(0))?)
    })?;
    if rows == 0 {
        let begun = Instant::now();
        fill(&database, machines, images, events)?;
        fill_the_rest(&database, machines)?;
        println!("filled in {:.0} s", begun.elapsed().as_secs_f64());
    }
    let bytes = std::fs::metadata(database.path())?.len();
    println!("{machines} machines, {images} images, {events} events: {} MiB", bytes >> 20);
    drop(database);
    println!("| page | items | cold ms | first ms | median ms | worst of {RUNS} ms |\n|---|---|---|---|---|---|");
    let (machine, half) = (id("machine", machines / 2), 1_700_000_000_000 + events * 50);
    let mut worst = 0.0_f64;
    for path in [
        "/machines".to_owned(),
        "/machines?limit=500".to_owned(),
        "/machines?q=pc-07".to_owned(),
        "/machines?q=10.0.42".to_owned(),
        "/machines?q=nowhere".to_owned(),
        format!("/machines/{machine}"),
        format!("/machines?group={}", id("group", 250)),
        "/groups?limit=500".to_owned(),
        "/groups?q=42".to_owned(),
        "/tasks?limit=500".to_owned(),
        "/tasks?q=nightly+77".to_owned(),
        "/tasks?q=nowhere".to_owned(),
        "/tasks?name=nightly+0".to_owned(),
        format!("/tasks?machine={machine}"),
        format!("/tasks?group={}", id("group", 260)),
        "/runs?limit=500".to_owned(),
        "/runs?state=running&limit=500".to_owned(),
        "/runs?state=failed&limit=500".to_owned(),
        format!("/runs?task={}", id("task", 5000)),
        format!("/runs?machine={machine}"),
        format!("/runs?machine={machine}&state=failed"),
        "/tokens?limit=1000".to_owned(),
        format!("/tokens?limit=1000&after=1700000005000.{}", id("token", 5000)),
        "viewer /tokens".to_owned(),
        "/users?limit=1000".to_owned(),
        "/repositories/main-1/summary".to_owned(),
        "/images".to_owned(),
        "/images?limit=500".to_owned(),
        format!("/images?after={}.{}", 1_700_000_000_000 + images * 500, images / 2),
        format!("/images?machine={machine}"),
        "/images?repository=main-2".to_owned(),
        "/images?from_ms=1700000000000&to_ms=1700000100000".to_owned(),
        "/images?name_prefix=room-042".to_owned(),
        "/images?name_prefix=room-05&limit=500".to_owned(),
        "/images?name_prefix=room-042&repository=main-4".to_owned(),
        "/images?name_prefix=r&to_ms=1700000000000".to_owned(),
        "/images?q=pc-".to_owned(),
        "/images?q=room-042%2Fpc-07".to_owned(),
        "/images?q=042%2Fpc-07+day+7".to_owned(),
        "/images?q=day+99".to_owned(),
        "/images?q=nowhere".to_owned(),
        "/images?q=pc-07&repository=main-2".to_owned(),
        "/images?q=day+7&repository=main-1".to_owned(),
        "/images?q=042%2Fpc-02&repository=main-4".to_owned(),
        "/images?q=room&repository=main-4&limit=500".to_owned(),
        "/images?q=day&limit=500".to_owned(),
        "/images?q=room&to_ms=1700000000000".to_owned(),
        "/images?q=day&to_ms=1700000000000&limit=500".to_owned(),
        "/images?q=pc-07&from_ms=1700000000000&to_ms=1700000100000".to_owned(),
        "/events".to_owned(),
        "/events?limit=500".to_owned(),
        format!("/events?after={}", events / 2),
        "/events?kind=run.done".to_owned(),
        "/events?kind=machine.deleted".to_owned(),
        format!("/events?machine={machine}"),
        format!("/events?machine={machine}&kind=image.received"),
        format!("/events?to_ms={half}"),
        format!("/events?from_ms={half}&to_ms={}", half + 1000),
        format!("/events?kind=machine.deleted&to_ms={half}"),
    ] {
        let cold = match drop_page_cache() {
            true => format!("{:.1}", asked(&directory, &path, 0)?[1]),
            false => "-".to_owned(),
        };
        let times = asked(&directory, &path, RUNS)?;
        let (items, first, median, last) = (times[0], times[1], times[2], times[3]);
        worst = worst.max(last).max(first);
        let shown = path.replace(&machine, "ID");
        println!("| `{shown}` | {items} | {cold} | {first:.1} | {median:.1} | {last:.1} |");
    }
    println!("worst: {worst:.1} ms");
    Ok(())
}

/// Asks from a process that has not read anything yet: the items, then milliseconds, the first, the median
/// and the worst.
fn asked(directory: &Path, path: &str, runs: usize) -> Outcome<Vec<f64>> {
    let mut command = std::process::Command::new(std::env::current_exe()?);
    let output = command.arg(directory).args(["ask", path, &runs.to_string()]).output()?;
    let text = String::from_utf8(output.stdout)?;
    if !output.status.success() {
        return Err(format!("{path}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
}

async fn ask_often(directory: &Path, path: &str, runs: usize) -> Outcome {
    let (_, router) = open(directory)?;
    let (first, answer) = ask(&router, path).await?;
    let mut times = Vec::new();
    for _ in 0..runs {
        times.push(ask(&router, path).await?.0);
    }
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let items = answer["items"].as_array().map_or(1, Vec::len);
    let (median, last) = (times.get(runs / 2).unwrap_or(&first), times.last().unwrap_or(&first));
    println!("{items} {} {} {}", ms(first), ms(*median), ms(*last));
    Ok(())
}

fn drop_page_cache() -> bool {
    // Only clean pages are dropped.
    let _ = std::process::Command::new("sync").status();
    std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}
