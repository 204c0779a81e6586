//! The commands, one file each.

mod accounts;
#[cfg(target_os = "linux")]
mod agent;
mod backup;
mod boot;
mod claims;
mod copy;
mod demo;
mod diff;
mod disks;
mod enrol;
mod grant_keys;
mod group;
mod images;
mod init;
mod key;
mod machine;
mod machine_media;
mod machine_rights;
mod management;
mod receipt;
mod restore;
mod roll_out;
mod serve;
mod server;
mod server_lists;
mod stats;
mod storage;
mod task;
mod texts;
mod verify;

use crate::arguments::{Cli, Command};
use crate::exit::Result;

/// Runs what the command line asks for.
pub fn run(cli: Cli) -> Result {
    let global = &cli.global;
    match cli.command {
        Command::Init(arguments) => init::run(global, &arguments),
        Command::Backup(arguments) => backup::run(global, &arguments),
        Command::Images(arguments) => images::list(global, &arguments),
        Command::Show(arguments) => images::show(global, &arguments),
        Command::Diff(arguments) => diff::run(global, &arguments),
        Command::Restore(arguments) => restore::run(global, &arguments),
        Command::Copy(arguments) => copy::run(global, &arguments),
        Command::Receipt(action) => receipt::run(global, &action),
        Command::Verify(arguments) => verify::run(global, &arguments),
        Command::RebuildIndex => stats::rebuild_index(global),
        Command::Serve(arguments) => serve::run(*arguments, global.quiet),
        Command::Stats => stats::run(global),
        #[cfg(target_os = "linux")]
        Command::Agent(arguments) => agent::run(global, &arguments),
        Command::Disks => disks::run(global),
        Command::Boot(action) => boot::run(global, &action),
        Command::Key(action) => key::run(global, &action),
        Command::Machine(action) => machine::run(global, &action),
        Command::Group(action) => group::run(global, &action),
        Command::Storage(action) => storage::run(global, &action),
        Command::Image(action) => server_lists::images(global, &action),
        Command::Task(action) => task::run(global, &action),
        Command::Event(action) => server_lists::events(global, &action),
        Command::Server(arguments) => server::run(global, &arguments),
        Command::Login(arguments) => accounts::login(global, &arguments),
        Command::Logout => accounts::logout(global),
        Command::User(action) => accounts::user(global, &action),
        Command::Token(action) => accounts::token(global, &action),
        Command::EnrolmentCode(action) => accounts::enrolment_code(global, &action),
        Command::Enrol(arguments) => enrol::run(global, &arguments),
        Command::Completions { shell } => texts::completions(shell),
        Command::Demo(arguments) => demo::run(global, &arguments),
        Command::Man { dir } => texts::man(&dir),
    }
}
