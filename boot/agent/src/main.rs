//! `holotype-agent`: `/init` of a boot medium.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    use holotype_agent::system::{self, supervisor};
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    if std::process::id() == 1 {
        supervisor::first_process();
    }
    if let Some(answer) = system::modules::answer_kernel(&arguments) {
        return if answer.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    if arguments.iter().any(|argument| argument == supervisor::CHILD_ARGUMENT) {
        supervisor::work();
    }
    eprintln!("holotype-agent is the first program of a boot medium; on an ordinary Linux use `holotype agent`");
    ExitCode::FAILURE
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("holotype-agent is the first program of a boot medium, which is a Linux");
    ExitCode::FAILURE
}
