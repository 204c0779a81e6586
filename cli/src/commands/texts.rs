//! `holotype completions` and `holotype man`: texts made from the definition of the command line.

use crate::exit::{Exit, Failure, Result};
use crate::output;
use std::path::Path;

/// Writes a completion script to standard output.
pub fn completions(shell: clap_complete::Shell) -> Result {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::command(), "holotype", &mut script);
    output::print(&String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}

/// Writes a man page for each command into `dir`.
pub fn man(dir: &Path) -> Result {
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(crate::command(), dir))
        .map_err(|error| Failure::io(dir.display(), "write man pages", error))?;
    Ok(Exit::Done)
}
