//! Repositories over the network: objects, uploads, and which chunks are missing.

use crate::state::AppState;
use utoipa_axum::router::OpenApiRouter;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
}
