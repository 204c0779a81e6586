//! The management API: machines, groups, storages, images, tasks, events.

use crate::state::AppState;
use utoipa_axum::router::OpenApiRouter;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
}
