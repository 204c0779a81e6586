//! Passwords from files, commands and the terminal.

use crate::exit::{Failure, Result};
use crate::signals;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use zeroize::Zeroizing;

/// A password as bytes, wiped when dropped.
pub type Password = Zeroizing<Vec<u8>>;

/// More than this is no password and no key file.
const MAX_SECRET_BYTES: u64 = 1 << 20;

/// The first line of a file, without its line end (`\n` or `\r\n`).
pub fn from_file(path: &Path) -> Result<Password> {
    first_line(&format!("password file {}", path.display()), read_file(path)?)
}

/// All bytes of a small file.
pub fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let failed = |error| Failure::io(path.display(), "read it", error);
    // Room for all of it at once: a buffer that grows leaves copies in memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 << 10));
    File::open(path).map_err(failed)?.take(MAX_SECRET_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_SECRET_BYTES {
        return Err(Failure::usage(format!(
            "{}: it has more than {MAX_SECRET_BYTES} bytes, so it is no password or key file; give another one",
            path.display()
        )));
    }
    Ok(bytes)
}

/// The first line that a command writes, run by `sh -c`.
pub fn from_command(command: &str) -> Result<Password> {
    let subject = format!("password command `{command}`");
    let output = Command::new("sh").args(["-c", command]).stderr(Stdio::inherit()).stdin(Stdio::null()).output();
    let output = output.map_err(|error| Failure::io(&subject, "run it", error))?;
    let text = Zeroizing::new(output.stdout);
    if !output.status.success() {
        return Err(Failure::failed("password-command", format!("{subject}: {}; run it by hand", output.status)));
    }
    first_line(&subject, text)
}

fn first_line(subject: &str, text: Zeroizing<Vec<u8>>) -> Result<Password> {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match line.is_empty() {
        true => Err(Failure::usage(format!("{subject}: its first line is empty; put the password there"))),
        false => Ok(Zeroizing::new(line.to_vec())),
    }
}

/// Whether somebody can be asked.
pub fn terminal_is_there() -> bool {
    let looked_at = io::stdin().is_terminal() || io::stderr().is_terminal();
    looked_at && (cfg!(not(unix)) || File::options().read(true).write(true).open("/dev/tty").is_ok())
}

/// Asks the terminal.
pub fn ask(question: &str) -> Result<Password> {
    signals::catch_interrupt()?;
    let answer = rpassword::prompt_password(question).map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => Failure::from(holotype_repo::Error::cancelled()),
        _ => Failure::io("terminal", "ask for a password", error),
    })?;
    Ok(Zeroizing::new(answer.into_bytes()))
}

/// Asks for a new password, twice.
pub fn ask_new(question: &str) -> Result<Password> {
    let password = ask(question)?;
    if password.is_empty() {
        return Err(Failure::usage("password: it is empty; give one that is not"));
    }
    match ask("Again: ")? == password {
        true => Ok(password),
        false => Err(Failure::usage("password: the two are not the same; try again")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_counts() {
        let line = |text: &str| first_line("it", Zeroizing::new(text.into())).map(|line| line.to_vec()).ok();
        assert_eq!(line("a b \n"), Some(b"a b ".to_vec()));
        assert_eq!(line("a\r\nb"), Some(b"a".to_vec()));
        assert_eq!(line("a"), Some(b"a".to_vec()));
        assert_eq!(line("\na"), None);
        assert_eq!(line(""), None);
    }

    #[test]
    fn commands_give_passwords_or_fail() {
        assert_eq!(*from_command("echo secret; echo more").unwrap(), b"secret");
        assert_eq!(from_command("echo secret; exit 3").unwrap_err().kind(), "password-command");
    }
}
