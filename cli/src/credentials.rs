//! Which password and key file open the repository.

use crate::arguments::GlobalArguments;
use crate::exit::{Failure, Result};
use crate::secret_text::{self, Password};
use holotype_repo::{Credentials, Error, ErrorKind};

const HOW: &str = "give --password-file, --password-command, HOLOTYPE_PASSWORD_FILE, HOLOTYPE_PASSWORD or --key-file, or run it at a terminal";

/// The password that options or environment give, if any; see the help for the order.
fn given_password(global: &GlobalArguments) -> Result<Option<Password>> {
    if global.ask_password {
        return Ok(None);
    }
    if let Some(path) = &global.password_file {
        return secret_text::from_file(path).map(Some);
    }
    if let Some(command) = &global.password_command {
        return secret_text::from_command(command).map(Some);
    }
    if let Some(path) = std::env::var_os("HOLOTYPE_PASSWORD_FILE").filter(|path| !path.is_empty()) {
        return secret_text::from_file(path.as_ref()).map(Some);
    }
    let password = std::env::var_os("HOLOTYPE_PASSWORD").filter(|password| !password.is_empty());
    Ok(password.map(|password| Password::new(password.into_encoded_bytes())))
}

fn with_key_file(credentials: Credentials, global: &GlobalArguments) -> Result<Credentials> {
    match &global.key_file {
        Some(path) => Ok(credentials.with_key_file(secret_text::read_file(path)?.to_vec())),
        None => Ok(credentials),
    }
}

/// Opens with what is given: `open` is tried with a key file alone where there is no password, and
/// again with the password that the terminal is asked for.
pub fn open_with<T>(global: &GlobalArguments, open: impl Fn(&Credentials) -> Result<T, Error>) -> Result<T> {
    let known = with_key_file(Credentials::default(), global)?;
    if let Some(password) = given_password(global)? {
        return Ok(open(&known.with_password(password.to_vec()))?);
    }
    let can_ask = secret_text::terminal_is_there();
    if known.has_key_file() && !global.ask_password {
        match open(&known) {
            Err(error) if error.kind() == ErrorKind::WrongPassword && can_ask => {}
            result => return Ok(result?),
        }
    }
    if !can_ask {
        return Err(no_password());
    }
    let password = secret_text::ask("Password of the repository: ")?;
    Ok(open(&known.with_password(password.to_vec()))?)
}

/// What shall open a new repository: a password, with a key file where one is given, or the key
/// file alone.
pub fn for_new_repository(global: &GlobalArguments, no_password: bool) -> Result<Credentials> {
    let known = with_key_file(Credentials::default(), global)?;
    if no_password {
        return match known.has_key_file() {
            true => Ok(known),
            false => Err(Failure::usage("--no-password: nothing is left to open it; give --key-file as well")),
        };
    }
    let password = match given_password(global)? {
        Some(password) => password,
        None if secret_text::terminal_is_there() => secret_text::ask_new("New password of the repository: ")?,
        None => return Err(self::no_password()),
    };
    Ok(known.with_password(password.to_vec()))
}

fn no_password() -> Failure {
    Failure::usage(format!("password: none is given, and there is no terminal to ask; {HOW}"))
}

/// What is given without asking, for work that nobody sits before. A key file without a password option beside it is
/// meant alone.
#[cfg(target_os = "linux")]
pub fn given(global: &GlobalArguments) -> Result<Option<Credentials>> {
    let known = with_key_file(Credentials::default(), global)?;
    let names_password = global.password_file.is_some() || global.password_command.is_some();
    if known.has_key_file() && !names_password {
        return Ok(Some(known));
    }
    let password = given_password(global)?;
    Ok(password.map(|password| known.with_password(password.to_vec())))
}
