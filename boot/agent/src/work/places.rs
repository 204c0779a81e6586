//! Places: which there are, and going to one.

use super::{Setup, sentence};
use crate::screens::text::size;
use crate::screens::{Location, PlaceView};
use crate::server::{ListedStorage, ServerSide};
use crate::system::places::{self, Mounted, Partition};
use holotype_boot::profile::Place;
use holotype_repo::remote::HttpsStore;
use holotype_repo::store::{Folder, LocalStore};
use holotype_repo::{ErrorKind, Store};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folder of a repository on a partition or a stick, where nobody says otherwise.
const FOLDER: &str = "holotype";

/// A place that was gone to. What is mounted stays so as long as this lives.
pub struct Reached {
    /// Where.
    pub location: Location,
    /// The store, where a repository's folder is there.
    pub store: Option<Arc<dyn Store>>,
    /// The folder, where it is one.
    pub folder: Option<PathBuf>,
    /// Whether a repository is in it.
    pub holds: bool,
    _mounted: Option<Mounted>,
}

/// Every place that can be offered, and what could not be asked.
pub fn list(setup: &Setup, server: Option<&ServerSide>) -> (Vec<PlaceView>, Vec<String>) {
    let (mut found, mut notes) = (Vec::new(), Vec::new());
    if let Some(server) = server {
        match server.repositories() {
            Ok(repositories) => found.extend(repositories.into_iter().map(|repository| PlaceView {
                title: format!("server: {}", repository.name),
                detail: server.origin().to_owned(),
                location: Location::Place(Place::Server { repository: repository.name }),
                disk: None,
            })),
            Err(failure) => notes.push(format!("The server's repositories are not known: {failure}")),
        }
        // A server may keep this list from machines: then shares are typed.
        if let Ok(storages) = server.storages() {
            found.extend(storages.iter().filter_map(place_of_storage));
        }
    } else if setup.profile.as_ref().is_some_and(|profile| profile.server.is_some()) {
        notes.push("The server is not connected; look at \"Network and server\" in the start menu.".to_owned());
    }
    let medium = places::medium_data();
    if let Some(data) = &medium {
        found.push(PlaceView {
            title: "this medium".to_owned(),
            detail: format!("its data partition, {}", size(data.bytes)),
            location: Location::Place(Place::Medium),
            disk: Some(data.disk.clone()),
        });
    }
    // Another medium that is plugged in is a stick as any other.
    let own_disk = medium.map(|data| data.disk).or_else(|| places::medium_disks().into_iter().next());
    let others = places::partitions().into_iter();
    let others = others.filter(|it| own_disk.as_ref() != Some(&it.disk) && it.filesystem != "iso9660");
    found.extend(others.map(place_of_partition));
    found.extend(setup.folders.iter().map(|folder| PlaceView {
        title: format!("folder {}", folder.display()),
        detail: String::new(),
        location: Location::Folder(folder.clone()),
        disk: None,
    }));
    (found, notes)
}

fn place_of_partition(partition: Partition) -> PlaceView {
    let label = if partition.label.is_empty() { String::new() } else { format!(" \"{}\"", partition.label) };
    PlaceView {
        title: format!("{}{label}", partition.device.display()),
        detail: format!("{}, {}", partition.filesystem, size(partition.bytes)),
        location: Location::Partition { device: partition.device, uuid: partition.uuid, folder: FOLDER.to_owned() },
        disk: Some(partition.disk),
    }
}

/// A share of the server's list of storages: `HOST:/EXPORT`, `nfs://HOST/EXPORT`, `//HOST/SHARE`, `smb://HOST/SHARE`.
fn place_of_storage(storage: &ListedStorage) -> Option<PlaceView> {
    let location = storage.location.as_str();
    let place = match storage.kind.as_str() {
        "nfs" => {
            let (host, export) = match location.strip_prefix("nfs://") {
                Some(rest) => rest.split_at(rest.find('/')?),
                None => location.split_once(':')?,
            };
            Place::Nfs { host: host.to_owned(), export: export.to_owned(), folder: FOLDER.to_owned() }
        }
        "smb" => {
            let rest = location.strip_prefix("smb:").unwrap_or(location).replace('\\', "/");
            let (user, rest) = match rest.trim_start_matches('/').split_once('@') {
                Some((user, rest)) => (Some(user.to_owned()), rest.to_owned()),
                None => (None, rest.trim_start_matches('/').to_owned()),
            };
            let (host, share) = rest.split_once('/')?;
            let host = host.strip_suffix(":445").unwrap_or(host);
            let (share, folder) = share.split_once('/').unwrap_or((share, FOLDER));
            let (host, share, folder) = (host.to_owned(), share.to_owned(), folder.to_owned());
            Place::Smb { host, share, folder, user, password: None }
        }
        _ => return None,
    };
    let (title, detail) = (format!("storage: {}", storage.name), location.to_owned());
    Some(PlaceView { title, detail, location: Location::Place(place), disk: None })
}

/// Refuses a place on the disk that is backed up, before anything of it is mounted.
///
/// # Errors
/// In a sentence.
pub fn check_source(source: &Path, location: &Location) -> Result<(), String> {
    let Location::Place(Place::Partition { uuid, .. }) = location else { return Ok(()) };
    match places::partitions().iter().find(|it| it.disk == source && it.uuid.eq_ignore_ascii_case(uuid)) {
        Some(found) => Err(format!(
            "{} is on {}, and a backup cannot hold itself; give a place on another disk",
            found.device.display(),
            source.display()
        )),
        None => Ok(()),
    }
}

/// Opens a repository of a server.
pub type OpenStore<'a> = &'a dyn Fn(&ServerSide, &str) -> holotype_repo::Result<Arc<HttpsStore>>;

/// Goes to a place.
///
/// # Errors
/// In a sentence.
pub fn reach(location: &Location, server: Option<&ServerSide>, open: OpenStore<'_>) -> Result<Reached, String> {
    if let Location::Place(Place::Server { repository }) = location {
        let server = server.ok_or("the server is not connected; look at \"Network and server\" in the start menu")?;
        let store: Arc<dyn Store> = open(server, repository).map_err(|error| sentence(&error))?;
        let holds = holds_repository(&*store)?;
        let location = location.clone();
        return Ok(Reached { location, store: Some(store), folder: None, holds, _mounted: None });
    }
    let (folder, mounted) = match location {
        Location::Folder(folder) => (folder.clone(), None),
        Location::Partition { device, uuid, folder } => {
            let mounted = places::mount_device(device, uuid, folder).map_err(|error| error.to_string())?;
            (mounted.folder.clone(), Some(mounted))
        }
        Location::Place(place) => {
            let mounted = places::mount(place).map_err(|error| error.to_string())?;
            // Of the others, the folder that was named is the place's already.
            let folder = match place {
                Place::Medium => mounted.folder.join(FOLDER),
                _ => mounted.folder.clone(),
            };
            (folder, Some(mounted))
        }
    };
    let (store, holds): (Option<Arc<dyn Store>>, bool) = match LocalStore::open(&folder) {
        Ok(store) => {
            let holds = holds_repository(&store)?;
            (Some(Arc::new(store)), holds)
        }
        // A folder without a store: one can be made there, where it is empty.
        Err(error) if error.kind() == ErrorKind::NotFound => (None, false),
        Err(error) => return Err(error.to_string()),
    };
    Ok(Reached { location: location.clone(), store, folder: Some(folder), holds, _mounted: mounted })
}

fn holds_repository(store: &dyn Store) -> Result<bool, String> {
    Ok(!store.list(Folder::Config).map_err(|error| sentence(&error))?.is_empty())
}

impl Reached {
    /// The store, made where there is none.
    ///
    /// # Errors
    /// In a sentence.
    pub fn store_or_make(&mut self) -> Result<Arc<dyn Store>, String> {
        if let Some(store) = &self.store {
            return Ok(Arc::clone(store));
        }
        let folder = self.folder.as_deref().ok_or("there is no folder for a repository")?;
        let store: Arc<dyn Store> = Arc::new(LocalStore::create(folder).map_err(|error| error.to_string())?);
        self.store = Some(Arc::clone(&store));
        Ok(store)
    }

    /// The folder's path.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storages_of_the_server_become_places() {
        let place = |kind: &str, location: &str| {
            let (name, kind, location) = ("a".to_owned(), kind.to_owned(), location.to_owned());
            match place_of_storage(&ListedStorage { name, kind, location })?.location {
                Location::Place(place) => Some(place),
                _ => None,
            }
        };
        let nfs = Place::Nfs { host: "nas".into(), export: "/srv/a".into(), folder: FOLDER.into() };
        assert_eq!(place("nfs", "nas:/srv/a"), Some(nfs.clone()));
        assert_eq!(place("nfs", "nfs://nas/srv/a"), Some(nfs));
        let smb = |user: Option<&str>, folder: &str| Place::Smb {
            host: "nas".into(),
            share: "images".into(),
            folder: folder.into(),
            user: user.map(str::to_owned),
            password: None,
        };
        assert_eq!(place("smb", "//nas/images"), Some(smb(None, FOLDER)));
        assert_eq!(place("smb", "\\\\nas\\images\\lab"), Some(smb(None, "lab")));
        assert_eq!(place("smb", "smb://eva@nas/images"), Some(smb(Some("eva"), FOLDER)));
        assert_eq!(place("smb", "smb://eva@nas:445/images"), Some(smb(Some("eva"), FOLDER)));
        assert_eq!([place("smb", "nas"), place("local", "/x"), place("nfs", "x")], [None, None, None]);
    }
}
