//! `holotype serve`: the server, until a signal ends it.

use crate::arguments::ServeArguments;
use crate::exit::{Exit, Failure, Result};
use holotype_server::config::{ConfigFile, UnknownMachines};
use holotype_server::serve::{Running, StartError, serve};
use holotype_server::state::AppState;
use std::path::Path;

/// The file that is read where no other is named.
const CONFIG_NAME: &str = "server.toml";

pub fn run(arguments: ServeArguments, quiet: bool) -> Result {
    let file = config_file(&arguments.data, arguments.config.as_deref())?;
    let port_file = arguments.port_file.clone();
    let config = with_flags(file, &arguments).complete(arguments.data)?;
    serve(config, |running| {
        if !quiet {
            tell(running);
        }
        port_file.map_or(Ok(()), |path| write_port(&path, running))
    })?;
    Ok(Exit::Done)
}

/// The configuration that a command on this directory reads: the named file, else the directory's own
/// where there is one.
pub fn config_file(data: &Path, named: Option<&Path>) -> Result<ConfigFile, StartError> {
    let default = data.join(CONFIG_NAME);
    match named {
        Some(path) => ConfigFile::read(path),
        None if default.exists() => ConfigFile::read(&default),
        None => Ok(ConfigFile::default()),
    }
}

fn with_flags(file: ConfigFile, arguments: &ServeArguments) -> ConfigFile {
    let mut names = file.names;
    names.extend(arguments.name.iter().cloned());
    let mut netboot = file.netboot;
    if !arguments.netboot_interface.is_empty() {
        netboot.interfaces = arguments.netboot_interface.clone();
    }
    netboot.dir = arguments.netboot_dir.clone().or(netboot.dir);
    ConfigFile {
        netboot,
        listen: arguments.listen.or(file.listen),
        names,
        certificate: arguments.certificate.clone().or(file.certificate),
        key: arguments.key.clone().or(file.key),
        floor_bytes: arguments.floor_bytes.or(file.floor_bytes),
        metrics_token_file: arguments.metrics_token_file.clone().or(file.metrics_token_file),
        unknown_machines: match arguments.refuse_unknown_machines {
            true => Some(UnknownMachines::Refuse),
            false => file.unknown_machines,
        },
        agent: arguments.agent.clone().or(file.agent),
        ..file
    }
}

fn tell(running: &Running) {
    let state: &AppState = running.state();
    eprintln!("holotype: serving {} on https://{}", state.data_dir.display(), running.address);
    eprintln!("holotype: clients pin it with --server-pin {}", running.pin);
    if let Some(path) = &running.initial_password {
        eprintln!("holotype: the first user is `admin`; the password stands in {}", path.display());
    }
}

/// Whoever waits for the file never sees half of it.
fn write_port(path: &Path, running: &Running) -> Result<(), StartError> {
    let temporary = path.with_extension("new");
    std::fs::write(&temporary, format!("{}\n", running.address))
        .and_then(|()| std::fs::rename(&temporary, path))
        .map_err(|error| StartError::about(path, format!("cannot be written: {error}")))
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Failure::failed("server", error.to_string())
    }
}
