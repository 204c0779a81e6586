//! `holotype agent` as a process: its screens on a terminal, and its unattended work against a real server.

#![cfg(target_os = "linux")]

#[path = "../command/support.rs"]
#[allow(dead_code, reason = "shared with the tests of the command, which use more of it")]
mod support;

#[path = "../server/fixture.rs"]
#[allow(dead_code, reason = "shared with the tests of the server, which use more of it")]
mod fixture;

mod bad_input;
mod console;
mod profiles;
mod screens;
mod unattended;
