//! `holotype-agent`: `/init` of a boot medium.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::SUCCESS
}
