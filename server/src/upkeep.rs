//! What the server does by itself: at its start it brings the list of images in line with what is in the
//! repositories; from time to time it removes what broken uploads left.

use crate::clock::now_ms;
use crate::database::blocking;
use crate::error::Result;
use crate::events::{self, NewEvent, Outcome};
use crate::received::Received;
use crate::repositories::Repositories;
use crate::state::AppState;
use holotype_repo::Store;
use holotype_repo::store::{Folder, ObjectInfo};
use rusqlite::params;
use std::collections::HashSet;
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(60 * 60);
/// Who an image that nobody was noted for came from.
const FINDER: &str = "server";

struct Row {
    id: String,
    organisation: String,
    store_kind: String,
    store_location: String,
}

/// Notes images that became visible just before the server died, so that nobody was told; and that
/// images are gone. Call it before anything is served: it does not know of uploads.
///
/// # Errors
/// Where the database fails. A repository that cannot be opened is told to the log and passed over.
pub fn reconcile(state: &AppState) -> Result<()> {
    for row in rows(state)? {
        let images =
            Repositories::open_store(&row.store_kind, &row.store_location).and_then(|store| store.list(Folder::Images));
        match images {
            Ok(images) => reconcile_images(state, &row, &images)?,
            Err(error) => tracing::warn!("repository {}: {error}", row.id),
        }
    }
    Ok(())
}

/// Runs until it is dropped.
pub async fn run(state: AppState) {
    let mut period = tokio::time::interval(PERIOD);
    // The first tick is at once, and the start has just looked.
    period.tick().await;
    loop {
        period.tick().await;
        let state = state.clone();
        let cleaned = blocking(move || {
            for row in rows(&state)? {
                // Opening a store removes what was left in it a day ago or earlier.
                if let Err(error) = Repositories::open_store(&row.store_kind, &row.store_location) {
                    tracing::warn!("repository {}: {error}", row.id);
                }
            }
            Ok(())
        });
        if let Err(error) = cleaned.await {
            tracing::error!("upkeep: {error}; it tries again");
        }
    }
}

fn rows(state: &AppState) -> Result<Vec<Row>> {
    state.database.read_blocking(|connection| {
        let mut statement =
            connection.prepare("SELECT id, organisation, store_kind, store_location FROM repositories")?;
        let rows = statement.query_map([], |row| {
            Ok(Row { id: row.get(0)?, organisation: row.get(1)?, store_kind: row.get(2)?, store_location: row.get(3)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    })
}

fn reconcile_images(state: &AppState, row: &Row, images: &[ObjectInfo]) -> Result<()> {
    let known: HashSet<String> = state.database.read_blocking(|connection| {
        let mut statement =
            connection.prepare("SELECT image FROM images WHERE repository = ?1 AND deleted_ms IS NULL")?;
        let names = statement.query_map([&row.id], |row| row.get(0))?;
        Ok(names.collect::<Result<_, _>>()?)
    })?;
    let there: HashSet<&str> = images.iter().map(|info| info.key.name()).collect();
    let found: Vec<&ObjectInfo> = images.iter().filter(|info| !known.contains(info.key.name())).collect();
    let gone: Vec<&String> = known.iter().filter(|image| !there.contains(image.as_str())).collect();
    if found.is_empty() && gone.is_empty() {
        return Ok(());
    }
    tracing::info!(repository = row.id, found = found.len(), gone = gone.len(), "list of images brought in line");
    let received_ms = now_ms();
    state.database.write_blocking(|transaction| {
        for info in &found {
            let (image, object_bytes) = (info.key.name(), info.bytes);
            let received = Received { repository: &row.id, image, object_bytes, received_ms, from: FINDER };
            let receipt = state.receipt_key.sign(&received)?;
            transaction
                .prepare_cached(
                    "INSERT INTO images (organisation, repository, image, received_ms, object_bytes, receipt)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT (repository, image) DO UPDATE SET deleted_ms = NULL",
                )?
                .execute(params![
                    row.organisation,
                    row.id,
                    image,
                    received_ms,
                    i64::try_from(object_bytes).unwrap_or(i64::MAX),
                    receipt
                ])?;
            note(transaction, row, "image.found", image)?;
        }
        for image in &gone {
            transaction
                .prepare_cached("UPDATE images SET deleted_ms = ?3 WHERE repository = ?1 AND image = ?2")?
                .execute(params![row.id, image, received_ms])?;
            note(transaction, row, "image.gone", image)?;
        }
        Ok(())
    })
}

/// Nobody listens yet, so it is not told live.
fn note(transaction: &rusqlite::Transaction<'_>, row: &Row, kind: &'static str, image: &str) -> Result<()> {
    let event = NewEvent {
        organisation: row.organisation.clone(),
        kind,
        actor: FINDER.to_owned(),
        machine: None,
        subject: format!("image {image}"),
        address: None,
        outcome: Outcome::Done,
        detail: format!("repository {}", row.id),
    };
    events::record(transaction, &event).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestServer;
    use holotype_repo::store::{LocalStore, ObjectKey};

    #[test]
    fn images_that_nobody_noted_are_noted_and_those_gone_too() {
        let directory = tempfile::tempdir().unwrap();
        let server = TestServer::start(directory.path());
        let store = LocalStore::open(server.add_repository("lab")).unwrap();
        let key = ObjectKey::new(Folder::Images, "0123").unwrap();
        let listed = || {
            server.state().database.read_blocking(|connection| {
                let sql = "SELECT image, deleted_ms IS NULL FROM images";
                Ok(connection.prepare(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
            })
        };
        store.put(&key, &[b"an image"]).unwrap();
        reconcile(server.state()).unwrap();
        assert_eq!(listed().unwrap(), ("0123".to_owned(), true));
        store.delete(&key).unwrap();
        reconcile(server.state()).unwrap();
        assert_eq!(listed().unwrap(), ("0123".to_owned(), false));
        store.put(&key, &[b"an image"]).unwrap();
        reconcile(server.state()).unwrap();
        assert_eq!(listed().unwrap(), ("0123".to_owned(), true));
    }
}
