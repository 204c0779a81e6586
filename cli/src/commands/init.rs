//! `holotype init`: makes a repository, its first key, and a recovery key where one is wanted.

use crate::arguments::{GlobalArguments, InitArguments};
use crate::credentials;
use crate::exit::{Exit, Failure, Result};
use crate::key_file::FreshKeyFile;
use crate::output;
use crate::place::Place;
use crate::session::Session;
use holotype_repo::core::key_slot::Role;
use holotype_repo::{Credentials, InitOptions, NewKey, Trust};
use serde_json::json;

const KEY_FILE_COMMENT: &str = "Holotype key file. Without it, the password opens nothing.";

/// Makes a repository.
pub fn run(global: &GlobalArguments, arguments: &InitArguments) -> Result {
    let place = Place::of(global)?;
    if place.holds_repository(global)? {
        return Err(Failure::failed(
            "already-exists",
            format!("{place}: there is a repository already; use it, or give another --repo"),
        ));
    }
    // The places of key files are taken first: nothing is made where they cannot be written.
    let mut recovery_file = arguments.recovery_key.as_deref().map(FreshKeyFile::create).transpose()?;
    let mut key_file = arguments.new_key_file.as_deref().map(FreshKeyFile::create).transpose()?;
    let fresh_key = key_file.as_mut().map(|file| file.write(KEY_FILE_COMMENT)).transpose()?;
    let credentials = match fresh_key {
        Some(bytes) if arguments.no_password => Credentials::key_file(bytes.to_vec()),
        Some(bytes) => credentials::for_new_repository(global, false)?.with_key_file(bytes.to_vec()),
        None => credentials::for_new_repository(global, arguments.no_password)?,
    };
    let options = InitOptions {
        trust: if arguments.trust_writers { Trust::EnrolledWriters } else { Trust::FullKeysOnly },
        fast_derivation: arguments.fast_derivation,
        ..InitOptions::new(credentials)
    };
    let session = Session::init(global, &options)?;
    let id = session.repository.id();
    if let Some(file) = key_file.take() {
        file.keep();
    }
    if let Some(mut file) = recovery_file.take() {
        let comment = format!(
            "Holotype recovery key of repository {id}. It opens everything without a password: keep it in a safe. \
             Use this whole file with --key-file."
        );
        let key = Credentials::key_file(file.write(&comment)?.to_vec());
        session.repository.add_key(&NewKey::new(Role::Full, "recovery", key))?;
        file.keep();
    }
    if global.json {
        output::json(&json!({ "repository": id, "path": place.to_string(), "recovery_key": arguments.recovery_key }));
    } else if !global.quiet {
        output::line(format!("made repository {} in {place}", id.short()));
        match &arguments.recovery_key {
            Some(file) => output::line(format!("its recovery key is in {}: keep it in a safe", file.display())),
            None => output::line("who loses the password loses all images; `holotype key add` makes a second key"),
        }
    }
    Ok(Exit::Done)
}
