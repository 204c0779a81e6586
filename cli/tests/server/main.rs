//! The real server as a process, and the real command as its clients.

#[path = "../command/support.rs"]
#[allow(dead_code, reason = "shared with the tests of the command, which use more of it")]
mod support;

mod fixture;
mod hostile;
mod kill;
mod machines;
mod management;
mod repository;
mod roll_out;
mod start;
