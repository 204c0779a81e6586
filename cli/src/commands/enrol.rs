//! `holotype enrol`.

use crate::arguments::{EnrolArguments, GlobalArguments};
use crate::exit::{Exit, Failure, Result};
use crate::key_file::FreshKeyFile;
use crate::output;
use crate::server_api::ServerApi;
use crate::{passwords, secret_text, token_file};
use holotype_repo::core::secret::Secret32;
use holotype_repo::core::signature::{MACHINE_ENROLMENT, Signing};
use holotype_repo::core::{hex, machine_proof};
use holotype_repo::os::MachineParts;
use serde::Deserialize;
use serde_json::json;
use std::fmt::Write as _;
use zeroize::Zeroizing;

#[derive(Deserialize)]
struct Enrolled {
    machine: String,
    token: String,
    expires_ms: i64,
}

/// Makes a key for this machine and enrols it.
pub fn run(global: &GlobalArguments, arguments: &EnrolArguments) -> Result {
    let api = ServerApi::open_without_token(global)?;
    let token_path = token_file::path(global)?;
    let typed = match &arguments.code_file {
        Some(path) => secret_text::from_file(path)?,
        None if secret_text::terminal_is_there() => secret_text::ask("Enrolment code: ")?,
        None => return Err(Failure::usage("enrolment code: none is given; give --code-file FILE")),
    };
    let code = machine_proof::normal_code(passwords::text(&typed)?)
        .map(Zeroizing::new)
        .ok_or_else(|| Failure::usage("enrolment code: it is none; `holotype enrolment-code add` makes one"))?;
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(|error| Failure::failed("io", format!("random numbers: {error}")))?;
    let key = Signing::from_seed(&Secret32::new(*seed));
    // The key is on disk before the server knows it: a crash leaves a key too many, never one too few.
    let mut file = FreshKeyFile::create(&arguments.new_machine_key_file)?;
    let mut text = Zeroizing::new(String::with_capacity(65));
    seed.iter().for_each(|byte| {
        let _ = write!(text, "{byte:02x}");
    });
    text.push('\n');
    file.write_text(&text)?;
    let proof = key.sign(MACHINE_ENROLMENT, &machine_proof::enrolment_message(&code, &key.writer()));
    let proof = hex::text(&proof);
    let parts = MachineParts::identity();
    let body = json!({
        "code": *code, "name": arguments.name, "public_key": key.writer().to_string(), "signature": proof,
        "smbios_uuid": parts.smbios_uuid, "serial": parts.serial, "macs": parts.mac_addresses,
    });
    let enrolled: Enrolled = match api.post("/enrol", &body) {
        Ok(enrolled) => enrolled,
        Err(failure) => {
            // Without an answer the server may know the key.
            if failure.kind() == "io" {
                file.keep();
            }
            return Err(failure);
        }
    };
    file.keep();
    token_file::write(&token_path, &enrolled.token)?;
    if global.json {
        let value = json!({ "machine": enrolled.machine, "expires_ms": enrolled.expires_ms, "token_file": token_path });
        output::json(&value);
    } else if !global.quiet {
        output::line(format!("enrolled as machine {}; its token is in {}", enrolled.machine, token_path.display()));
    }
    Ok(Exit::Done)
}
