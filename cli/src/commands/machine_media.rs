//! `holotype machine media`: a boot medium that the server makes.

use super::boot::{now_ms, profile::parse_time};
use super::machine;
use crate::arguments::{ConsoleName, GlobalArguments, MediaArguments, MediaProduct, MediaTask};
use crate::exit::{Exit, Failure, Result};
use crate::server_api::ServerApi;
use crate::units::size;
use crate::{output, signals};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::path::Path;
use tempfile::NamedTempFile;

const BLOCK_BYTES: usize = 256 << 10;

/// Asks for it and downloads it.
pub fn run(global: &GlobalArguments, api: &ServerApi, arguments: &MediaArguments) -> Result {
    let file = &arguments.file;
    if file.symlink_metadata().is_ok() {
        let why = format!("{}: it is there already; give another name, or remove it", file.display());
        return Err(Failure::failed("already-exists", why));
    }
    let body = request(arguments)?;
    let cancel = signals::cancel_token()?;
    let (mut medium, bytes) = api.download(&format!("{}/media", machine::path(api, &arguments.machine)?), &body)?;
    // For its owner alone: whoever has the file has the enrolment code.
    let mut new = beside(file)?;
    let mut block = vec![0; BLOCK_BYTES];
    let mut received_bytes = 0;
    loop {
        let broken = |error| Failure::io(file.display(), "receive it", error);
        let length = match medium.read(&mut block).map_err(broken)? {
            0 => break,
            length => length,
        };
        if cancel.is_cancelled() {
            return Err(holotype_repo::Error::cancelled().into());
        }
        new.write_all(&block[..length]).map_err(|error| Failure::io(file.display(), "write it", error))?;
        received_bytes += length as u64;
    }
    if received_bytes != bytes {
        let why = format!("{}: {received_bytes} of {bytes} bytes came; ask again", file.display());
        return Err(Failure::failed("io", why));
    }
    new.as_file().sync_all().map_err(|error| Failure::io(file.display(), "write it", error))?;
    new.persist_noclobber(file).map_err(|error| Failure::io(file.display(), "write it", error.error))?;
    if global.json {
        output::json(&json!({ "file": file, "bytes": bytes }));
    } else if !global.quiet {
        output::line(format!("made {}: {}, for {}", file.display(), size(bytes), arguments.machine));
        if arguments.product == MediaProduct::Usb {
            output::line(format!("next: holotype boot write {} /dev/sdX", file.display()));
        }
    }
    Ok(Exit::Done)
}

/// A file that goes away unless it is whole.
fn beside(file: &Path) -> Result<NamedTempFile> {
    let above = file.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let new = tempfile::Builder::new().prefix(".new-").tempfile_in(above);
    new.map_err(|error| Failure::io(file.display(), "make it", error))
}

fn request(arguments: &MediaArguments) -> Result<Value> {
    let expires_in_seconds = match &arguments.expires {
        None => None,
        Some(text) => {
            let now_ms = now_ms();
            let left_ms = parse_time(text, now_ms)?.saturating_sub(now_ms);
            let left = u64::try_from(left_ms / 1000).ok().filter(|seconds| *seconds > 0);
            Some(left.ok_or_else(|| Failure::usage(format!("--expires {text}: that is past")))?)
        }
    };
    Ok(json!({
        "product": match arguments.product {
            MediaProduct::Usb => "usb",
            MediaProduct::Iso => "iso",
            MediaProduct::Uki => "uki",
        },
        "task": match arguments.task {
            MediaTask::Server => "server",
            MediaTask::Menu => "menu",
        },
        "console": match arguments.console {
            ConsoleName::Both => "both",
            ConsoleName::Screen => "screen",
            ConsoleName::Serial => "serial",
        },
        "expires_in_seconds": expires_in_seconds,
        "keyboard": arguments.keyboard,
        "data_partition_bytes": arguments.data,
        "kernel": arguments.kernel,
        "modules": arguments.modules.word(),
        "url": arguments.url,
    }))
}
