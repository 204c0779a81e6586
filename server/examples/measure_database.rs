//! Fills a management database and measures every list and search through the router.
//!
//! `measure_database DIR [MACHINES IMAGES EVENTS]`: DIR is made where it is not there, and used again
//! where it is. The first time of each page is that of a process that has not read it before.

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
        for number in 0..4 {
            transaction.execute(
                "INSERT INTO repositories VALUES (?1, ?2, ?3, 'directory', ?3, 0, 0, NULL)",
                [&id("repository", number), ORGANISATION, &format!("main-{number}")],
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
                let name = format!("room-{:03}/pc-{:02} day {}", pc / 100, pc % 100, number / machines);
                let repository = id("repository", number % 4);
                let time = (1_700_000_000_000 + number * 1000) as i64;
                statement.execute(params![
                    ORGANISATION,
                    repository,
                    id("image", number),
                    id("machine", pc),
                    name,
                    time
                ])?;
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

async fn ask(router: &Router, path: &str) -> Outcome<(Duration, serde_json::Value)> {
    let request = Request::get(format!("/api/v1{path}")).header("authorization", format!("Bearer {TOKEN}"));
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
    let numbers: Vec<u64> = arguments.map(|number| number.parse()).collect::<Result<_, _>>()?;
    let [machines, images, events] = *numbers.first_chunk().unwrap_or(&[10_000, 1_000_000, 10_000_000]);
    std::fs::create_dir_all(&directory)?;
    let (database, router) = open(&directory)?;
    let rows = database.read_blocking(|connection| {
        Ok(connection.query_row("SELECT count(*) FROM organisations", [], |row| row.get::<_, i64>(0))?)
    })?;
    if rows == 0 {
        let begun = Instant::now();
        fill(&database, machines, images, events)?;
        println!("filled in {:.0} s", begun.elapsed().as_secs_f64());
    }
    let bytes = std::fs::metadata(database.path())?.len();
    println!("{machines} machines, {images} images, {events} events: {} MiB", bytes >> 20);
    println!("| page | items | first ms | median ms | worst of {RUNS} ms |\n|---|---|---|---|---|");
    let (machine, half) = (id("machine", machines / 2), 1_700_000_000_000 + events * 50);
    let mut worst = Duration::ZERO;
    for path in [
        "/machines".to_owned(),
        "/machines?limit=500".to_owned(),
        "/machines?q=pc-07".to_owned(),
        "/machines?q=10.0.42".to_owned(),
        "/machines?q=nowhere".to_owned(),
        format!("/machines/{machine}"),
        "/groups".to_owned(),
        "/tasks".to_owned(),
        "/runs".to_owned(),
        "/repositories/main-1/summary".to_owned(),
        "/images".to_owned(),
        "/images?limit=500".to_owned(),
        format!("/images?after={}.{}", 1_700_000_000_000 + images * 500, images / 2),
        format!("/images?machine={machine}"),
        "/images?repository=main-2".to_owned(),
        "/images?from_ms=1700000000000&to_ms=1700000100000".to_owned(),
        "/images?name_prefix=room-042".to_owned(),
        "/images?name_prefix=r&after=500.room-050%2Fpc-00".to_owned(),
        "/images?q=pc-".to_owned(),
        "/images?q=room-042%2Fpc-07".to_owned(),
        "/images?q=042%2Fpc-07+day+7".to_owned(),
        "/images?q=day+99".to_owned(),
        "/images?q=nowhere".to_owned(),
        "/images?q=pc-07&repository=main-2".to_owned(),
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
        let (first, answer) = ask(&router, &path).await?;
        let mut times = Vec::new();
        for _ in 0..RUNS {
            times.push(ask(&router, &path).await?.0);
        }
        times.sort();
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let items = answer["items"].as_array().map_or(1, Vec::len);
        let (median, last) = (times[RUNS / 2], times[RUNS - 1]);
        worst = worst.max(last).max(first);
        let shown = path.replace(&machine, "ID");
        println!("| `{shown}` | {items} | {:.1} | {:.1} | {:.1} |", ms(first), ms(median), ms(last));
    }
    println!("worst: {:.1} ms", worst.as_secs_f64() * 1e3);
    Ok(())
}
