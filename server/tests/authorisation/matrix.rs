//! A request for every cell of the table.

use crate::actors::{ACTORS, Actor, Class, classes};
use crate::check::wrong;
use crate::document::{document, untold};
use crate::fixture::Fixture;
use crate::table::{Line, table};
use crate::world::{Answer, Fake, World, asked};
use http::Method;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Lines that are asked at once.
const THREADS: usize = 12;

/// What was found, and how much was asked.
#[derive(Default)]
struct Found {
    wrong: Vec<String>,
    untold: BTreeSet<String>,
    cells: usize,
    requests: usize,
}

impl Found {
    fn add(&mut self, other: Self) {
        self.wrong.extend(other.wrong);
        self.untold.extend(other.untold);
        self.cells += other.cells;
        self.requests += other.requests;
    }
}

#[test]
fn every_cell_is_as_the_table_says() {
    let (fixture, document, lines) = (Fixture::new(), document(), table());
    let (found, next) = (Mutex::new(Found::default()), AtomicUsize::new(0));
    // Most of the time goes into waiting for the disk.
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                while let Some(line) = lines.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let of_line = runtime.block_on(ask_line(&fixture, line, &document));
                    found.lock().unwrap().add(of_line);
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap();
    found.wrong.sort_unstable();
    println!("{} cells, {} requests", found.cells, found.requests);
    assert!(found.wrong.is_empty(), "{} cells are wrong:\n{}", found.wrong.len(), found.wrong.join("\n"));
    let untold: Vec<String> = found.untold.into_iter().collect();
    assert!(untold.is_empty(), "the document does not tell everything:\n{}", untold.join("\n"));
}

async fn ask_line(fixture: &Fixture, line: &Line, document: &Value) -> Found {
    let mut all = Found::default();
    let found = &mut all;
    let cells = ACTORS.into_iter().zip(classes(line.cells));
    let refused = |class: Class| !matches!(class, Class::Public | Class::Allowed);
    // Those that change nothing share a world.
    let world = World::new(fixture, line);
    let before = world.dump();
    for (actor, class) in cells.clone() {
        found.cells += 1;
        let reads = matches!(asked(fixture, line, Fake::No).method, Method::GET | Method::HEAD);
        if refused(class) || reads {
            ask_cell(&world, line, actor, class, document, found).await;
            if class == Class::NotFound {
                ask_for_nothing(&world, line, actor, found).await;
            }
            if let Some(change) = before.symmetric_difference(&world.dump()).next() {
                found.wrong.push(format!("{} as {}: it changes {change}", line.request, actor.name));
                break;
            }
            continue;
        }
        let world = World::new(fixture, line);
        let before = world.dump();
        ask_cell(&world, line, actor, class, document, found).await;
        let harm = World::harm(&before, &world.dump());
        if let (true, Class::Allowed, Some(harm)) = (actor.foreign, class, harm) {
            found.wrong.push(format!("{} as {}: it reaches over: {harm}", line.request, actor.name));
        }
    }
    all
}

async fn ask_cell(world: &World<'_>, line: &Line, actor: Actor, class: Class, document: &Value, found: &mut Found) {
    found.requests += 1;
    let answer = world.ask(line, actor, asked(world.fixture, line, Fake::No)).await;
    let asked = asked(world.fixture, line, Fake::No);
    if let Some(why) = wrong(world.fixture, actor, class, &asked, &answer) {
        found.wrong.push(format!("{}{} as {}: {why}", line.request, line.query, actor.name));
    }
    found.untold.extend(untold(document, &asked, &answer));
}

/// What may not be seen answers as what is not there: the same status, headers and words.
async fn ask_for_nothing(world: &World<'_>, line: &Line, actor: Actor, found: &mut Found) {
    found.requests += 2;
    // Who sees the repository looks for nothing in it.
    let in_repository = line.request.contains("{image=") || line.request.contains("{object=");
    let sees = matches!(actor.name, "owner" | "another" | "granted" | "all");
    let fake = if sees && in_repository { Fake::ButRepository } else { Fake::All };
    let hidden = world.ask(line, actor, asked(world.fixture, line, Fake::No)).await;
    let nothing = world.ask(line, actor, asked(world.fixture, line, fake)).await;
    let shown = |answer: &Answer| {
        let headers: BTreeSet<String> = answer
            .headers
            .iter()
            .filter(|(name, _)| *name != "content-length")
            .map(|pair| format!("{pair:?}"))
            .collect();
        (answer.status, headers, world.fixture.disguise(&answer.body).replace("repository lab", "repository nil"))
    };
    if shown(&hidden) != shown(&nothing) {
        let why =
            format!("hidden is {} {}, nothing is {} {}", hidden.status, hidden.body, nothing.status, nothing.body);
        found.wrong.push(format!("{}{} as {}: {why}", line.request, line.query, actor.name));
    }
}
