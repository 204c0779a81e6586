//! `holotype agent`: what a boot medium shows and does, on an ordinary Linux.

use crate::arguments::{AgentArguments, GlobalArguments};
use crate::commands::boot::profile::read_profile;
use crate::credentials;
use crate::exit::{Exit, Failure, Result};
use crate::output;
use crate::session;
use crate::signals;
use holotype_agent::app::{self, Options, Outcome};
use holotype_agent::screens::{Finished, News};
use holotype_agent::system::Booted;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Shows the screens, or works unattended.
pub fn run(global: &GlobalArguments, arguments: &AgentArguments) -> Result {
    let profile = arguments.profile.as_deref().map(read_profile).transpose()?;
    let state_dir = arguments.state_dir.clone().or_else(|| session::cache_root(global).map(|root| root.join("agent")));
    let state_dir = state_dir.ok_or_else(|| {
        Failure::usage("state: there is no home to keep it in; give --state-dir DIR or --cache-dir DIR")
    })?;
    std::fs::create_dir_all(&state_dir).map_err(|error| Failure::io(state_dir.display(), "make the folder", error))?;
    let booted = Booted { is_init: false, profile, consoles: vec![PathBuf::from("/dev/tty")], state_dir };
    let options = Options {
        files: arguments.disks.iter().map(|disk| absolute(disk)).collect(),
        folders: arguments.folders.iter().map(|folder| absolute(folder)).collect(),
        credentials: credentials::given(global)?,
        fast_derivation: arguments.fast_derivation,
        server_patience: arguments.server_patience.map(Duration::from_secs),
    };
    let outcome = match arguments.unattended {
        true => {
            let quiet = global.quiet;
            let cancel = signals::cancel_token()?;
            let claimed = Mutex::new(None);
            app::run_unattended(&booted, options, move |news| tell(&news, quiet, &claimed), cancel)
        }
        false => app::run(booted, options).outcome,
    };
    match outcome {
        Outcome::Left => Ok(Exit::Done),
        Outcome::Failed(sentence) => Err(Failure::failed("failed", sentence)),
        Outcome::Done(finished) => {
            show(global, &finished);
            Ok(if finished.unreadable_bytes > 0 { Exit::Partial } else { Exit::Done })
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Steps and warnings go to standard error; how a claim stands is told where it changed.
fn tell(news: &News, quiet: bool, claimed: &Mutex<Option<String>>) {
    match news {
        News::Told(step) if !quiet => eprintln!("{step}"),
        News::Claim { fingerprint, state } => {
            let mut claimed = claimed.lock().unwrap_or_else(PoisonError::into_inner);
            if claimed.as_ref() != Some(state) {
                eprintln!(
                    "the server does not know this machine; its fingerprint is {fingerprint}: {state} \
                     (holotype machine approve {fingerprint})"
                );
                *claimed = Some(state.clone());
            }
        }
        News::Warning(text) => tracing::warn!("{text}"),
        _ => {}
    }
}

fn show(global: &GlobalArguments, finished: &Finished) {
    if global.json {
        let lines: serde_json::Map<_, _> =
            finished.lines.iter().map(|(name, value)| (name.to_lowercase(), json!(value))).collect();
        let unreadable_bytes = finished.unreadable_bytes;
        output::json(&json!({ "what": finished.what, "result": lines, "unreadable_bytes": unreadable_bytes }));
    } else if !global.quiet {
        output::line(format!("{}: done", finished.what));
        finished.lines.iter().for_each(|(name, value)| output::line(format!("  {name:<12} {value}")));
    }
}
