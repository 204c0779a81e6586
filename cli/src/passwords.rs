//! Passwords of users of a server.

use crate::arguments::GlobalArguments;
use crate::exit::{Failure, Result};
use crate::secret_text::{self, Password};
use std::path::Path;

/// A new password: of `file`, or the terminal is asked twice.
pub fn new(file: Option<&Path>, option: &str) -> Result<Password> {
    match file {
        Some(path) => secret_text::from_file(path),
        None if secret_text::terminal_is_there() => secret_text::ask_new("New password: "),
        None => Err(Failure::usage(format!(
            "new password: none is given, and there is no terminal to ask; give {option} FILE"
        ))),
    }
}

/// The user's own: of --password-file or --password-command, or the terminal is asked.
pub fn own(global: &GlobalArguments) -> Result<Password> {
    if let (Some(path), false) = (&global.password_file, global.ask_password) {
        return secret_text::from_file(path);
    }
    if let (Some(command), false) = (&global.password_command, global.ask_password) {
        return secret_text::from_command(command);
    }
    match secret_text::terminal_is_there() {
        true => secret_text::ask("Password: "),
        false => Err(Failure::usage(
            "password: none is given, and there is no terminal to ask; give --password-file or --password-command",
        )),
    }
}

/// As text.
pub fn text(password: &Password) -> Result<&str> {
    std::str::from_utf8(password).map_err(|_| Failure::usage("password: it has to be UTF-8"))
}
