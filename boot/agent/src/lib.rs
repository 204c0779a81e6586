//! The program that a boot medium starts: it finds out what the medium is for, shows the screens or works unattended,
//! and ends with power off or a new start. On an ordinary Linux it shows the same screens.
//!
//! ```text
//! system (init) ──▶ app ──▶ screens (state machine) ◀──▶ terminal (consoles)
//!                    └────▶ work ──▶ server (the machine's side), unattended
//! ```

pub mod app;
pub mod screens;
pub mod server;
pub mod system;
pub mod terminal;
pub mod unattended;
pub mod work;

use holotype_boot::profile::Afterwards;

/// Runs on a boot medium, until the PC is to be powered off or started anew.
pub fn run(booted: system::Booted) -> Afterwards {
    app::run(booted, app::Options::default()).afterwards
}
