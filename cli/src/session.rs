//! What commands work with: the repository, opened or made, and a job that shows progress.

use crate::arguments::GlobalArguments;
use crate::credentials;
use crate::exit::Result;
use crate::place::Place;
use crate::progress::Progress;
use crate::{secret_text, signals};
use holotype_repo::core::WriterId;
use holotype_repo::core::secret::SecretBytes;
use holotype_repo::repository::RepositoryConfig;
use holotype_repo::store::LocalStore;
use holotype_repo::{CancelToken, Error, ErrorKind, Image, ImageSelector, InitOptions, Job, Repository, Store};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open repository.
pub struct Session {
    /// The repository.
    pub repository: Repository,
    cancel: CancelToken,
    progress: Arc<Progress>,
}

impl Session {
    /// Opens the repository of the command line.
    pub fn open(global: &GlobalArguments) -> Result<Self> {
        let store = Place::of(global)?.open(global)?;
        let cache_root = cache_root(global);
        let repository = credentials::open_with(global, |credentials| {
            Repository::open_shared(Arc::clone(&store), credentials, cache_root.as_deref())
        })?;
        Self::new(repository, global)
    }

    /// Makes a repository.
    pub fn init(global: &GlobalArguments, options: &InitOptions) -> Result<Self> {
        let place = Place::of(global)?;
        let store: Arc<dyn Store> = match place {
            Place::Directory(path) => Arc::new(match LocalStore::create(path) {
                // An init that was interrupted left key slots there; what else is there, is no store.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => LocalStore::open(path).map_err(|_| error)?,
                result => result?,
            }),
            Place::Server { .. } => place.open(global)?,
        };
        // Two at once would take each other's key slots for leftovers. Some file systems cannot
        // lock; there, nothing is worse than without.
        let lock = place.directory().and_then(|path| File::open(path).ok());
        let _ = lock.as_ref().map(File::lock);
        let repository = Repository::init_shared(store, options, cache_root(global).as_deref())?;
        Self::new(repository, global)
    }

    fn new(repository: Repository, global: &GlobalArguments) -> Result<Self> {
        let progress = Arc::new(Progress::new(global.quiet));
        Ok(Self { repository, cancel: signals::cancel_token()?, progress })
    }

    /// A job that signals cancel and whose progress is shown.
    pub fn job(&self) -> Job {
        let progress = Arc::clone(&self.progress);
        Job::new().cancelled_by(self.cancel.clone()).on_event(move |event| progress.show(&event))
    }

    /// Runs long work and takes the progress away afterwards.
    pub fn run<T>(&self, work: impl FnOnce(&Repository, &Job) -> Result<T, Error>) -> Result<T> {
        let result = work(&self.repository, &self.job());
        self.progress.finish();
        Ok(result?)
    }

    /// An image with its detail, and its own password where it has one: from the file, else from
    /// the terminal.
    pub fn open_image(
        &self,
        selector: &ImageSelector,
        password_file: Option<&Path>,
    ) -> Result<(Image, Option<SecretBytes>)> {
        let password = image_password(password_file)?;
        match self.repository.show(selector.clone(), password.as_ref()) {
            Err(error)
                if error.kind() == ErrorKind::WrongPassword
                    && password.is_none()
                    && secret_text::terminal_is_there() =>
            {
                let password = SecretBytes::new(secret_text::ask("Password of the image: ")?.to_vec());
                let image = self.repository.show(selector.clone(), Some(&password))?;
                Ok((image, Some(password)))
            }
            result => Ok((result?, password)),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.progress.finish();
    }
}

/// The key that signs for the repository of the command line; no password is needed to know it.
pub fn root_of_repository(global: &GlobalArguments) -> Result<WriterId> {
    let store = Place::of(global)?.open(global)?;
    Ok(RepositoryConfig::read(&*store)?.root)
}

/// The password in `file`.
pub fn image_password(file: Option<&Path>) -> Result<Option<SecretBytes>> {
    file.map(|path| Ok(SecretBytes::new(secret_text::from_file(path)?.to_vec()))).transpose()
}

/// Where indexes are kept; the library makes a folder for each repository in it. `None` where there
/// is no home: the index is then kept in memory.
pub fn cache_root(global: &GlobalArguments) -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    global
        .cache_dir
        .clone()
        .or_else(|| variable("XDG_CACHE_HOME").map(|path| path.join("holotype")))
        .or_else(|| variable("HOME").map(|path| path.join(".cache/holotype")))
}
