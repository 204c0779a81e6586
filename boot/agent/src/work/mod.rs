//! The work behind the screens: it does what the command does, with the same library, and tells how far it is.
//!
//! ```text
//! request ──▶ worker thread ──▶ network, server, places, repository ──▶ news
//!                 └─ job ──▶ meter (read by the screens and by who reports to the server)
//! ```

mod backup;
mod credentials;
pub mod disks;
mod limits;
mod line;
mod meter;
mod network;
mod places;
mod restore;

pub use line::Line;
pub(crate) use line::sentence;
pub use meter::Meter;

use crate::screens::{BackupOrder, Finished, ImageView, Location, News, Request, RestoreOrder, Trouble, Typed};
use crate::server::ServerSide;
use crate::unattended;
use holotype_boot::profile::{BootProfile, Place};
use holotype_repo::remote::Waiting;
use holotype_repo::{CancelToken, Credentials, ErrorKind, Image, InitOptions, Job, Repository};
use places::Reached;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Tags by which a machine finds its own images: what it told when it made them.
const TAG_UUID: &str = "machine-uuid";
const TAG_SERIAL: &str = "machine-serial";
const TAG_DISK: &str = "disk-serial";

/// What a run of the program has in hand.
pub struct Setup {
    /// Whether this is the init of a boot medium.
    pub is_init: bool,
    /// What the medium is for, where it can be used.
    pub profile: Option<BootProfile>,
    /// Where small state is kept.
    pub state_dir: PathBuf,
    /// Files that are offered in place of disks.
    pub files: Vec<PathBuf>,
    /// Folders that are offered as places.
    pub folders: Vec<PathBuf>,
    /// What opens repositories where nobody is asked.
    pub credentials: Option<Credentials>,
    /// Derive keys of new repositories with the least cost that is allowed, for tests.
    pub fast_derivation: bool,
    /// How long a server that is gone is waited for, in place of what each kind of request takes.
    pub server_patience: Option<Duration>,
}

/// Where the work's word goes, and what stops it. Shared by threads.
#[derive(Clone)]
pub struct Telling {
    tell: Arc<dyn Fn(News) + Send + Sync>,
    /// Stops the request at hand.
    pub cancel: CancelToken,
    /// How far its job is.
    pub meter: Arc<Meter>,
}

impl Telling {
    /// News go to `tell`.
    pub fn new(tell: impl Fn(News) + Send + Sync + 'static, cancel: CancelToken, meter: Arc<Meter>) -> Self {
        Self { tell: Arc::new(tell), cancel, meter }
    }

    /// The same with another token.
    pub(crate) fn stopped_by(&self, cancel: CancelToken) -> Self {
        Self { cancel, ..self.clone() }
    }

    /// Tells.
    pub fn news(&self, news: News) {
        (self.tell)(news);
    }

    /// Tells a step.
    pub fn step(&self, step: &str) {
        self.news(News::Told(step.to_owned()));
    }

    /// A job of the library.
    pub fn job(&self) -> Job {
        let (meter, telling) = (Arc::clone(&self.meter), Arc::clone(&self.tell));
        let observer = move |event| {
            if let Some(warning) = meter.note(event) {
                telling(News::Warning(warning));
            }
        };
        Job::new().cancelled_by(self.cancel.clone()).on_event(observer)
    }
}

/// Does requests, one after another.
pub struct Worker {
    pub(crate) setup: Arc<Setup>,
    server: Arc<Mutex<Option<Arc<ServerSide>>>>,
    line: Arc<Line>,
    network_is_up: bool,
    reached: Option<Reached>,
    repository: Option<Repository>,
}

impl Worker {
    /// A worker that has done nothing yet.
    pub fn new(setup: Arc<Setup>) -> Self {
        Self {
            setup,
            server: Arc::default(),
            line: Arc::default(),
            network_is_up: false,
            reached: None,
            repository: None,
        }
    }

    /// The server, where it is connected.
    pub(crate) fn server(&self) -> Option<Arc<ServerSide>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where the server appears once it is connected, for who shows it.
    pub fn server_cell(&self) -> Arc<Mutex<Option<Arc<ServerSide>>>> {
        Arc::clone(&self.server)
    }

    /// Does a request and tells its end.
    pub fn handle(&mut self, request: Request, telling: &Telling) {
        self.line.take(telling);
        let result = match request {
            Request::Connect => self.connect(telling).map(|()| News::Connected),
            Request::ListDisks => self.list_disks(telling),
            Request::ListPlaces => {
                self.wait_for_disks(telling);
                let (places, notes) = places::list(&self.setup, self.server().as_deref());
                Ok(News::Places(places, notes))
            }
            Request::Look(location) => self.look(&location, telling),
            Request::Make(typed) => self.make(&typed),
            Request::Open(typed) => self.open(&typed),
            Request::Certify(image, password) => self.certify(&image, password.as_ref()),
            Request::Backup(order) => self.backup(&order, telling).map(News::Finished),
            Request::Restore(order) => self.restore(&order, telling).map(News::Finished),
            Request::Unattended => {
                unattended::run(self, telling).map(News::Over).map_err(|sentence| sentence.to_string())
            }
            // The rest is for who shows the screens.
            _ => return,
        };
        telling.meter.clear();
        telling.news(result.unwrap_or_else(|sentence| News::Failed(Trouble { sentence, is_final: false })));
    }

    /// The kernel finds disks while the screens are shown already.
    fn wait_for_disks(&self, telling: &Telling) {
        if self.setup.files.is_empty() {
            let cancelled = || telling.cancel.is_cancelled();
            crate::system::disks::wait(&mut |step| telling.step(step), &cancelled);
        }
    }

    fn list_disks(&self, telling: &Telling) -> Result<News, String> {
        self.wait_for_disks(telling);
        let disks = disks::list(&self.setup.files)?;
        if let Some(missing) = disks::missing_drivers(&disks) {
            telling.news(News::MissingDrivers(missing));
        }
        Ok(News::Disks(disks))
    }

    /// Goes to a place.
    pub(crate) fn reach(&mut self, location: &Location, telling: &Telling) -> Result<&mut Reached, String> {
        // What was mounted before is let go first: it may be the same.
        self.repository = None;
        self.reached = None;
        if location.is_on_server() {
            // A session that was ended since is opened anew.
            self.connect(telling)?;
        }
        let open = |server: &ServerSide, repository: &str| {
            server.store(repository, self.setup.server_patience, Arc::clone(&self.line) as Arc<dyn Waiting>)
        };
        let reached = places::reach(location, self.server().as_deref(), &open)?;
        Ok(self.reached.insert(reached))
    }

    fn look(&mut self, location: &Location, telling: &Telling) -> Result<News, String> {
        let holds = self.reach(location, telling)?.holds;
        let images = match (location, self.server()) {
            (Location::Place(Place::Server { repository }), Some(server)) => {
                Some(server.images(repository).map_err(|failure| failure.to_string())?)
            }
            _ => None,
        };
        Ok(News::Looked { holds, images })
    }

    /// Where indexes are kept; nothing for a server's repository, which is asked instead.
    fn cache(&self) -> PathBuf {
        self.setup.state_dir.join("index")
    }

    fn make(&mut self, typed: &Typed) -> Result<News, String> {
        let cache = self.cache();
        let fast_derivation = self.setup.fast_derivation;
        let reached = self.reached.as_mut().ok_or("no place was chosen")?;
        let store = reached.store_or_make()?;
        let credentials = Credentials::password(typed.0.expose().to_vec());
        let options =
            InitOptions { fast_derivation, pack_bytes: limits::MOST_PACK_BYTES, ..InitOptions::new(credentials) };
        let made = Repository::init_shared(store, &options, Some(&cache)).map_err(|error| sentence(&error))?;
        reached.holds = true;
        self.repository = Some(made);
        Ok(News::Opened(Vec::new()))
    }

    fn open(&mut self, typed: &Typed) -> Result<News, String> {
        let store = self.reached.as_ref().and_then(|reached| reached.store.clone()).ok_or("no place was chosen")?;
        let credentials = Credentials::password(typed.0.expose().to_vec());
        match Repository::open_shared(store, &credentials, Some(&self.cache())) {
            Ok(repository) => {
                let images = self.images(&repository)?;
                self.repository = Some(repository);
                Ok(News::Opened(images))
            }
            Err(error) if error.kind() == ErrorKind::WrongPassword => Ok(News::WrongPassword),
            Err(error) => Err(sentence(&error)),
        }
    }

    /// The images of a repository: this machine's first, then the newest first.
    fn images(&self, repository: &Repository) -> Result<Vec<ImageView>, String> {
        let machine = Own::of(&self.setup);
        let listed = match repository.images() {
            Ok(listed) => listed,
            // A writer's key opens no image, and lists none.
            Err(error) if error.kind() == ErrorKind::NotAllowed => return Ok(Vec::new()),
            Err(error) => return Err(sentence(&error)),
        };
        let view = |image: &Image| ImageView {
            id: image.image.to_string(),
            name: image.name.clone(),
            time: crate::server::minute_of(image.time.as_millisecond()),
            source_bytes: image.source_bytes,
            is_own: machine.made(image),
            is_protected: image.protected,
        };
        let mut images: Vec<ImageView> = listed.iter().rev().map(view).collect();
        images.sort_by_key(|image| !image.is_own);
        Ok(images)
    }

    fn certify(&self, image: &ImageView, password: Option<&Typed>) -> Result<News, String> {
        let repository = self.repository.as_ref().ok_or("the repository is not open")?;
        let id =
            image.id.parse::<holotype_repo::core::ImageId>().map_err(|_| format!("{}: is no image's id", image.id))?;
        let image = match repository.show(id, password.map(|typed| &typed.0)) {
            Ok(image) => image,
            Err(error) if error.kind() == ErrorKind::WrongPassword => return Ok(News::WrongPassword),
            Err(error) => return Err(sentence(&error)),
        };
        let detail = image.detail.as_ref();
        let layout = detail.and_then(|detail| detail.layout.as_ref());
        Ok(News::Certified {
            source_bytes: image.source_bytes,
            content: layout.map(disks::lines_of).unwrap_or_default(),
            unreadable_bytes: detail.map_or(0, |detail| detail.unreadable_bytes),
        })
    }

    /// A session that the server ended since is opened anew, for the stores that are open too.
    fn hold_session(&mut self, telling: &Telling) -> Result<(), String> {
        match self.reached.as_ref().is_some_and(|reached| reached.location.is_on_server()) {
            true => self.connect(telling),
            false => Ok(()),
        }
    }

    fn backup(&mut self, order: &BackupOrder, telling: &Telling) -> Result<Finished, String> {
        self.hold_session(telling)?;
        let (repository, reached) = self.opened()?;
        let done = backup::run(repository, reached, order, &Own::of(&self.setup), telling)?;
        self.tell_server(&done.report, telling);
        Ok(done.finished())
    }

    fn restore(&mut self, order: &RestoreOrder, telling: &Telling) -> Result<Finished, String> {
        self.hold_session(telling)?;
        let (repository, reached) = self.opened()?;
        restore::run(repository, reached, order, self.setup.is_init, telling).map(|done| done.finished())
    }

    fn opened(&self) -> Result<(&Repository, &Reached), String> {
        self.repository.as_ref().zip(self.reached.as_ref()).ok_or_else(|| "the repository is not open".to_owned())
    }

    /// The server's list of images gets the name, which is sealed in the repository. Nothing hangs on it.
    fn tell_server(&self, report: &holotype_repo::BackupReport, telling: &Telling) {
        let place = self.reached.as_ref().map(|reached| &reached.location);
        let (Some(Location::Place(Place::Server { repository })), Some(server), Some(image)) =
            (place, self.server(), report.image)
        else {
            return;
        };
        let (source, stored) = (report.source_bytes, report.stored_bytes);
        if let Err(failure) = server.report_image(repository, &image.to_string(), &report.name, source, stored) {
            telling
                .news(News::Warning(format!("the image is stored, but the server was not told its name: {failure}")));
        }
    }

    /// An unattended backup: everything from going there to the image.
    pub(crate) fn backup_unattended(
        &mut self,
        location: &Location,
        order: &BackupOrder,
        telling: &Telling,
    ) -> Result<backup::BackedUp, String> {
        let credentials = credentials::for_backup(&self.setup)?;
        let cache = self.cache();
        places::check_source(&order.disk.path, location)?;
        let reached = self.reach(location, telling)?;
        let store = reached.store.clone().filter(|_| reached.holds).ok_or_else(|| no_repository(location))?;
        let opened = Repository::open_shared(store, &credentials, Some(&cache));
        self.repository = Some(opened.map_err(|error| sentence(&error))?);
        let (repository, reached) = self.opened()?;
        let done = backup::run(repository, reached, order, &Own::of(&self.setup), telling)?;
        self.tell_server(&done.report, telling);
        Ok(done)
    }

    /// An unattended restore, the same way.
    pub(crate) fn restore_unattended(
        &mut self,
        location: &Location,
        order: &RestoreOrder,
        telling: &Telling,
    ) -> Result<restore::Restored, String> {
        let (cache, setup, server) = (self.cache(), Arc::clone(&self.setup), self.server());
        let reached = self.reach(location, telling)?;
        let store = reached.store.clone().filter(|_| reached.holds).ok_or_else(|| no_repository(location))?;
        let name = match location {
            Location::Place(Place::Server { repository }) => Some(repository.as_str()),
            _ => None,
        };
        let cancelled = || telling.cancel.is_cancelled();
        let tell = |step: &str| telling.step(step);
        let grants =
            credentials::Grants { server: server.as_deref(), repository: name, tell: &tell, cancelled: &cancelled };
        let opened = credentials::for_restore(&setup, &store, &grants, &order.image.id, &cache)?;
        self.repository = Some(opened);
        let (repository, reached) = self.opened()?;
        restore::run(repository, reached, order, setup.is_init, telling)
    }
}

/// What an unattended task is told where its place is empty: nobody is there to choose a password.
fn no_repository(location: &Location) -> String {
    let place = match location {
        Location::Place(Place::Server { repository }) => format!("repository {repository} on the server"),
        Location::Place(Place::Medium) => "the medium's data partition".to_owned(),
        Location::Place(_) => "the task's place".to_owned(),
        Location::Partition { device, .. } => device.display().to_string(),
        Location::Folder(folder) => folder.display().to_string(),
    };
    let advice = match location {
        // A menu's repository has keys of its own, and a medium that is made anew has an empty partition.
        Location::Place(Place::Medium) => {
            "copy the repository that its writer key is of to the folder holotype of the medium's data partition"
        }
        _ => "make it by hand once (in the menu, or with holotype init)",
    };
    format!("{place}: no repository was made there yet; {advice}")
}

/// What this machine is, for finding its own images.
pub(crate) struct Own {
    uuid: Option<String>,
    serial: Option<String>,
    disks: Vec<String>,
    name: Option<String>,
}

impl Own {
    fn of(setup: &Setup) -> Self {
        let parts = holotype_repo::os::MachineParts::identity();
        let disks = match setup.files.is_empty() {
            true => holotype_repo::os::list_disks().unwrap_or_default(),
            false => Vec::new(),
        };
        Self {
            uuid: parts.smbios_uuid,
            serial: parts.serial,
            disks: disks.into_iter().filter_map(|disk| disk.serial).collect(),
            name: setup.profile.as_ref().map(|profile| profile.name.clone()),
        }
    }

    /// Tags of an image of this disk.
    fn tags(&self, disk_serial: &str) -> Vec<(String, String)> {
        let known = |key: &str, value: Option<&String>| value.map(|value| (key.to_owned(), value.clone()));
        let disk = Some(disk_serial.to_owned()).filter(|serial| !serial.is_empty());
        [known(TAG_UUID, self.uuid.as_ref()), known(TAG_SERIAL, self.serial.as_ref()), known(TAG_DISK, disk.as_ref())]
            .into_iter()
            .flatten()
            .filter(|(key, value)| holotype_repo::image::valid_tag(key, value))
            .collect()
    }

    /// Whether an image was made of this machine, as far as that can be told.
    fn made(&self, image: &Image) -> bool {
        let tag = |key: &str| image.tags.get(key);
        let same = |key: &str, own: &Option<String>| own.is_some() && tag(key) == own.as_ref();
        same(TAG_UUID, &self.uuid)
            || same(TAG_SERIAL, &self.serial)
            || tag(TAG_DISK).is_some_and(|serial| self.disks.contains(serial))
            || self.name.as_ref().is_some_and(|name| image.name == *name || image.name.ends_with(&format!("/{name}")))
    }
}
