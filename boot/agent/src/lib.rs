//! The program that a boot medium starts: it finds out what the medium is for, shows the screens or works unattended,
//! and ends with power off or a new start. On an ordinary Linux it shows the same screens.

pub mod screens;
pub mod system;
pub mod terminal;
