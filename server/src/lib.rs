//! The Holotype server: repositories over HTTPS, machines, tasks.
//!
//! ```text
//! listen (TLS, limits) ──▶ router ──▶ access (who, may they) ──▶ objects ──▶ a repository's store
//!                                                          ├──▶ api ─────▶ database, events
//!                                                          └──▶ accounts ▶ database, events
//! ```

pub mod access;
pub mod accounts;
pub mod answers;
pub mod api;
pub mod boot_files;
pub mod clock;
pub mod config;
pub mod data_dir;
pub mod database;
pub mod error;
pub mod events;
pub mod extract;
pub mod json;
mod listen;
pub mod metrics;
pub mod netboot;
mod objects;
mod observe;
pub mod page;
pub mod provider;
pub mod received;
pub mod repositories;
pub mod room;
pub mod router;
pub mod serve;
pub mod state;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod text;
pub mod tls;
mod unread;
pub mod upkeep;
