//! Tests of the `holotype` command as a process: exit codes, output, signals, devices.

mod copy;
mod damage;
mod demo;
mod devices;
mod diff;
mod full;
mod inputs;
mod interrupt;
mod json;
mod keys;
mod parallel;
mod partial;
mod passwords;
mod round_trip;
mod server;
mod support;
mod targets;
mod terminal;
