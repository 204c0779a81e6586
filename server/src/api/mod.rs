//! The management API: machines, groups, storages, images, tasks, events.
//!
//! Everything is filtered by the organisation of the one who asks: what belongs to another answers
//! as what is not there.

mod boot_profiles;
mod calendar;
mod events;
mod groups;
mod image_search;
mod images;
mod kernel_content;
mod kernel_images;
mod machine_inventory;
mod machine_runs;
mod machines;
mod media;
mod openapi;
mod repositories;
mod run_store;
mod runs;
pub mod scheduler;
mod shared;
mod storages;
mod stream;
mod tasks;

pub use kernel_content::sweep_kernel_uploads;
#[cfg(target_os = "linux")]
pub(crate) use machine_inventory::{hyphenated_uuid, mac_address};
pub use media::sweep_media;

use crate::state::AppState;
use utoipa_axum::router::OpenApiRouter;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(machines::routes())
        .merge(machine_inventory::routes())
        .merge(media::routes())
        .merge(groups::routes())
        .merge(storages::routes())
        .merge(repositories::routes())
        .merge(images::routes())
        .merge(tasks::routes())
        .merge(runs::routes())
        .merge(machine_runs::routes())
        .merge(kernel_images::routes())
        .merge(kernel_content::routes())
        .merge(boot_profiles::routes())
        .merge(events::routes())
        .merge(stream::routes())
}
