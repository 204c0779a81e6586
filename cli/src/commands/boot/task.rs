//! What a PC does once booted, out of the command line.

use crate::arguments::{ProfileArguments, TaskName};
use crate::exit::{Failure, Result};
use crate::secret_text;
use holotype_boot::profile::{DiskChoice, Place, Task, WriterKey};
use std::fmt::Write as _;

/// The task of the options.
pub fn of(arguments: &ProfileArguments) -> Result<Task> {
    let wanted = |option: &str, word: &str| Failure::usage(format!("boot create: --task {word} needs {option}"));
    let place = |word| match &arguments.place {
        Some(text) => place(arguments, text),
        None => Err(wanted("--place, where the repository is", word)),
    };
    match arguments.task {
        TaskName::Menu => unattended_only(arguments).map(|()| Task::Menu),
        TaskName::Server => unattended_only(arguments).map(|()| Task::Server),
        TaskName::Backup => {
            let writer_key = read_writer_key(arguments)?;
            let writer_key =
                writer_key.ok_or_else(|| wanted("--writer-key-file (holotype key add --role writer)", "backup"))?;
            let (place, disk) = (place("backup")?, disk(&arguments.disk));
            Ok(Task::Backup { place, disk, image_name: arguments.image.clone(), writer_key })
        }
        TaskName::Restore => {
            if arguments.writer_key_file.is_some() {
                return Err(Failure::usage("boot create: --writer-key-file is for --task backup and --task server"));
            }
            let image = arguments.image.clone().ok_or_else(|| wanted("--image, the id of an image", "restore"))?;
            Ok(Task::Restore { place: place("restore")?, image, disk: disk(&arguments.disk) })
        }
    }
}

/// What opens the repository for backups that the server asks for.
pub fn writer_key_beside(arguments: &ProfileArguments) -> Result<Option<WriterKey>> {
    match arguments.task {
        TaskName::Server => Ok(read_writer_key(arguments)?.map(WriterKey)),
        _ => Ok(None),
    }
}

/// In hexadecimal digits.
fn read_writer_key(arguments: &ProfileArguments) -> Result<Option<String>> {
    let Some(file) = &arguments.writer_key_file else { return Ok(None) };
    let mut writer_key = String::new();
    for byte in secret_text::read_file(file)?.iter() {
        let _ = write!(writer_key, "{byte:02x}");
    }
    Ok(Some(writer_key))
}

/// Options that would be without effect, and somebody believes that they have one.
fn unattended_only(arguments: &ProfileArguments) -> Result<()> {
    let given = [
        ("--place", arguments.place.is_some()),
        ("--image", arguments.image.is_some()),
        ("--writer-key-file", arguments.writer_key_file.is_some() && arguments.task != TaskName::Server),
        ("--disk", arguments.disk != "only"),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        Some((option, _)) => {
            Err(Failure::usage(format!("boot create: {option} is for --task backup and --task restore")))
        }
        None => Ok(()),
    }
}

fn disk(text: &str) -> DiskChoice {
    match text {
        "only" => DiskChoice::Only,
        "first" => DiskChoice::First,
        serial => DiskChoice::Serial(serial.to_owned()),
    }
}

fn place(arguments: &ProfileArguments, text: &str) -> Result<Place> {
    let folder = arguments.place_folder.clone();
    let password = match &arguments.place_password_file {
        None => None,
        Some(_) if !text.starts_with("smb:") => {
            return Err(Failure::usage("boot create: --place-password-file is for a --place smb://…"));
        }
        Some(file) => {
            let text = String::from_utf8(secret_text::from_file(file)?.to_vec());
            Some(text.map_err(|_| Failure::usage(format!("{}: that is no text", file.display())))?)
        }
    };
    parse_place(text, folder, password).ok_or_else(|| {
        Failure::usage(format!(
            "--place {text}: it is none of medium, server:NAME, partition:UUID, nfs://HOST/EXPORT, smb://[USER@]HOST/SHARE"
        ))
    })
}

fn parse_place(text: &str, folder: String, password: Option<String>) -> Option<Place> {
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    if text == "medium" {
        return Some(Place::Medium);
    }
    if let Some(share) = text.strip_prefix("nfs://") {
        let (host, export) = share.split_at(share.find('/')?);
        return Some(Place::Nfs { host: filled(host)?, export: filled(export).filter(|path| path != "/")?, folder });
    }
    if let Some(share) = text.strip_prefix("smb://") {
        let (host, share) = share.split_once('/')?;
        let (user, host) = host.rsplit_once('@').map_or((None, host), |(user, host)| (Some(user), host));
        let share = filled(share.trim_end_matches('/')).filter(|share| !share.contains('/'))?;
        return Some(Place::Smb { host: filled(host)?, share, folder, user: user.map(str::to_owned), password });
    }
    let (kind, name) = text.split_once(':')?;
    match kind {
        "server" => Some(Place::Server { repository: filled(name)? }),
        "partition" => Some(Place::Partition { uuid: filled(name)?, folder }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let parse = |text: &str| parse_place(text, "f".into(), None);
        assert_eq!(parse("medium"), Some(Place::Medium));
        assert_eq!(parse("server:lab"), Some(Place::Server { repository: "lab".into() }));
        assert_eq!(parse("partition:1-2"), Some(Place::Partition { uuid: "1-2".into(), folder: "f".into() }));
        let nfs = Place::Nfs { host: "nas".into(), export: "/srv/a".into(), folder: "f".into() };
        assert_eq!(parse("nfs://nas/srv/a"), Some(nfs));
        let smb = |user: Option<&str>| Place::Smb {
            host: "nas".into(),
            share: "pcs".into(),
            folder: "f".into(),
            user: user.map(str::to_owned),
            password: None,
        };
        assert_eq!((parse("smb://nas/pcs"), parse("smb://a@nas/pcs/")), (Some(smb(None)), Some(smb(Some("a")))));
        for wrong in ["", "here", "server:", "nfs://nas", "nfs://nas/", "nfs:///a", "smb://nas", "smb://nas/a/b", "x:y"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
