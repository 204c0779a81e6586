//! `holotype stats` and `holotype rebuild-index`.

use crate::arguments::GlobalArguments;
use crate::exit::{Exit, Result};
use crate::output::{self, Table};
use crate::session::Session;
use crate::units::{percent, size};
use holotype_repo::RepositoryStats;

/// Figures of the repository.
pub fn run(global: &GlobalArguments) -> Result {
    let stats = Session::open(global)?.repository.stats()?;
    match global.json {
        true => output::json(&stats),
        false => table(&stats).print(),
    }
    Ok(Exit::Done)
}

/// Throws the cached index away and builds it anew.
pub fn rebuild_index(global: &GlobalArguments) -> Result {
    let mut session = Session::open(global)?;
    let job = session.job();
    let stats = session.repository.rebuild_index(&job)?;
    drop(session);
    if global.json {
        output::json(&stats);
    } else if !global.quiet {
        output::line(format!(
            "index of {} entries from {} packs, {} in the cache",
            stats.index_entries,
            stats.data_packs + stats.meta_packs,
            size(stats.index_disk_bytes)
        ));
    }
    Ok(Exit::Done)
}

fn table(stats: &RepositoryStats) -> Table {
    let mut table = Table::plain();
    table.value("repository", stats.repository.to_string());
    if let (Some(images), Some(source_bytes)) = (stats.images, stats.source_bytes) {
        table.value("images", format!("{images} of {} together", size(source_bytes)));
        table.value("stored", format!("{} ({})", size(stats.stored_bytes), percent(stats.stored_bytes, source_bytes)));
    } else {
        table.value("stored", size(stats.stored_bytes));
    }
    table.value("data packs", format!("{} of {} together", stats.data_packs, size(stats.data_pack_bytes)));
    table.value("meta packs", format!("{} of {} together", stats.meta_packs, size(stats.meta_pack_bytes)));
    table.value("index", format!("{} entries, {} in the cache", stats.index_entries, size(stats.index_disk_bytes)));
    table.value("keys", stats.keys.to_string());
    table
}
