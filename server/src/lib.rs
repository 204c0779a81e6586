//! The Holotype server: repositories over HTTPS, machines, tasks.
//!
//! ```text
//! listen (TLS, limits) ──▶ router ──▶ access (who, may they) ──▶ objects ──▶ a repository's store
//!                                                          ├──▶ api ─────▶ database, events
//!                                                          └──▶ accounts ▶ database, events
//! ```

pub mod access;
mod accounts;
mod api;
pub mod clock;
pub mod database;
pub mod error;
pub mod events;
mod objects;
pub mod received;
pub mod repositories;
pub mod room;
pub mod router;
pub mod state;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
