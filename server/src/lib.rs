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
pub mod config;
pub mod data_dir;
pub mod database;
pub mod error;
pub mod events;
mod listen;
pub mod metrics;
mod objects;
mod observe;
pub mod router;
pub mod serve;
pub mod state;
pub mod tls;
