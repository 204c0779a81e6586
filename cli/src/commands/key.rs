//! `holotype key`.

use crate::arguments::{AddArguments, GlobalArguments, KeyAction, NewSecretArguments, PasswdArguments, RoleName};
use crate::exit::{Exit, Failure, Result};
use crate::key_file::FreshKeyFile;
use crate::output::{self, Table};
use crate::secret_text::{self, Password};
use crate::session::Session;
use holotype_repo::core::key_slot::Role;
use holotype_repo::{Credentials, NewKey, SlotInfo};
use serde_json::json;

const FEWEST_ID_DIGITS: usize = 4;

/// Manages keys.
pub fn run(global: &GlobalArguments, action: &KeyAction) -> Result {
    match action {
        KeyAction::Add(arguments) => add(global, arguments),
        KeyAction::Remove { id } => remove(global, id),
        KeyAction::List => list(global),
        KeyAction::Passwd(arguments) => passwd(global, arguments),
    }
}

fn new_password(arguments: &NewSecretArguments) -> Result<Password> {
    match &arguments.new_password_file {
        Some(path) => secret_text::from_file(path),
        None if secret_text::terminal_is_there() => secret_text::ask_new("New password: "),
        None => Err(Failure::usage(
            "new password: none is given, and there is no terminal to ask; give --new-password-file",
        )),
    }
}

fn add(global: &GlobalArguments, arguments: &AddArguments) -> Result {
    let role = match arguments.role {
        RoleName::Full => Role::Full,
        RoleName::Writer => Role::Writer,
    };
    let asks = arguments.new_key_file.is_none() && arguments.secret.new_password_file.is_none();
    if asks && role == Role::Writer {
        return Err(Failure::usage(
            "key of a writer: nobody types its password at night; give --new-key-file FILE, which opens alone",
        ));
    }
    let session = Session::open(global)?;
    let mut fresh_file = arguments.new_key_file.as_deref().map(FreshKeyFile::create).transpose()?;
    let mut credentials = Credentials::default();
    if asks || arguments.secret.new_password_file.is_some() {
        credentials = credentials.with_password(new_password(&arguments.secret)?.to_vec());
    }
    if let Some(file) = &mut fresh_file {
        let comment = format!("Holotype key file ({role}) of repository {}.", session.repository.id());
        credentials = credentials.with_key_file(file.write(&comment)?.to_vec());
    }
    let new = NewKey {
        fast_derivation: arguments.secret.fast_derivation,
        ..NewKey::new(role, &arguments.label, credentials)
    };
    let slot = session.repository.add_key(&new)?;
    if let Some(file) = fresh_file {
        file.keep();
    }
    if global.json {
        output::json(&json!({ "key": slot, "role": role.to_string(), "key_file": arguments.new_key_file }));
    } else if !global.quiet {
        output::line(format!("added {role} key {}", slot.short()));
    }
    Ok(Exit::Done)
}

fn list(global: &GlobalArguments) -> Result {
    let keys = Session::open(global)?.repository.keys()?;
    if global.json {
        output::json(&keys);
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["KEY", "ROLE", "OPENED BY", "MADE", "LABEL"]);
    for key in &keys {
        let current = if key.current { format!("{}*", key.slot.short()) } else { key.slot.short() };
        table.row([current, key.role.clone(), key.opened_by.into(), format!("{:.0}", key.created), key.label.clone()]);
    }
    table.print();
    Ok(Exit::Done)
}

fn remove(global: &GlobalArguments, id: &str) -> Result {
    let session = Session::open(global)?;
    let keys = session.repository.keys()?;
    let slot = find(&keys, id)?.slot;
    session.repository.remove_key(&slot)?;
    if global.json {
        output::json(&json!({ "removed": slot }));
    } else if !global.quiet {
        output::line(format!("removed key {}", slot.short()));
    }
    Ok(Exit::Done)
}

fn find<'a>(keys: &'a [SlotInfo], id: &str) -> Result<&'a SlotInfo> {
    if id.len() < FEWEST_ID_DIGITS {
        return Err(Failure::usage(format!("key {id}: give at least {FEWEST_ID_DIGITS} digits of its id")));
    }
    let mut matches = keys.iter().filter(|key| key.slot.to_string().starts_with(id));
    match (matches.next(), matches.next()) {
        (Some(key), None) => Ok(key),
        (None, _) => Err(Failure::failed(
            "not-found",
            format!("key {id}: there is no such key; `holotype key list` shows those that are"),
        )),
        (Some(_), Some(_)) => Err(Failure::usage(format!("key {id}: several keys begin so; give more digits"))),
    }
}

fn passwd(global: &GlobalArguments, arguments: &PasswdArguments) -> Result {
    let session = Session::open(global)?;
    let keys = session.repository.keys()?;
    let current = keys.iter().find(|key| key.current);
    let opened_by = current.map_or("password", |key| key.opened_by);
    if opened_by == "key-file" {
        return Err(Failure::usage(
            "key: it is opened by its key file and has no password; add a key with a password by `holotype key add`",
        ));
    }
    let mut credentials = Credentials::password(new_password(&arguments.secret)?.to_vec());
    if opened_by == "password+key-file"
        && let Some(path) = &global.key_file
    {
        credentials = credentials.with_key_file(secret_text::read_file(path)?.to_vec());
    }
    let slot = session.repository.change_key(credentials, arguments.secret.fast_derivation)?;
    if global.json {
        output::json(&json!({ "key": slot }));
    } else if !global.quiet {
        output::line(format!("the password is changed; the key is {} now", slot.short()));
    }
    Ok(Exit::Done)
}
