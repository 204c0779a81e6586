//! The repository: what a program that embeds this library works with.

mod catalog;
mod config;
mod head;
mod init;
mod pack_readers;
mod remote_catalog;

pub(crate) use catalog::Catalog;
pub use config::{CONFIG, RepositoryConfig, Trust};
pub(crate) use head::Head;
pub use init::InitOptions;
pub(crate) use pack_readers::PackReaders;

use crate::backup::{self, BackupOptions, BackupReport};
use crate::copy::{self, CopyOptions, CopyOutcome};
use crate::diff::{self, DiffOptions, DiffReport};
use crate::disk::{Source, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::grant::{self, PreparedGrant};
use crate::image::{Image, ImageSelector, ListedImage, OpenedImage, list_images};
use crate::job::Job;
use crate::keys::{self, Credentials, Keyring, NewKey, SlotInfo, open_any_slot};
use crate::random;
use crate::receipt::Receipt;
use crate::restore::{self, RestoreOptions, RestoreReport};
use crate::stats::{self, RepositoryStats};
use crate::store::Store;
use crate::verify::{self, VerifyOptions, VerifyReport};
use holotype_core::identity::IdentityKeys;
use holotype_core::key_slot::Role;
use holotype_core::secret::{Secret32, SecretBytes};
use holotype_core::{RepositoryId, SlotId};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// An open repository. Shared by reference; all methods can be called from several threads.
pub struct Repository {
    store: Arc<dyn Store>,
    config: RepositoryConfig,
    keyring: Keyring,
    cache_dir: Option<PathBuf>,
    catalog: OnceLock<Catalog>,
    /// With everything taken in, of a store that can be asked.
    whole_catalog: OnceLock<Catalog>,
    pack_readers: PackReaders,
    /// The one image of a grant.
    granted: Option<OpenedImage>,
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Repository({} in {})", self.id().short(), self.store.describe())
    }
}

impl Repository {
    /// Opens a repository without a cache: its index is read anew and kept in memory.
    ///
    /// # Errors
    /// `NotFound` where there is none, `WrongPassword`, `Unsupported` where it is newer, `Damaged`.
    pub fn open(store: impl Store + 'static, credentials: &Credentials) -> Result<Self> {
        Self::open_shared(Arc::new(store), credentials, None)
    }

    /// Opens a repository whose index is kept under `cache_root`, in a folder of the repository's
    /// id. The cache is disposable.
    ///
    /// # Errors
    /// Those of [`Repository::open`].
    pub fn open_cached(store: impl Store + 'static, credentials: &Credentials, cache_root: &Path) -> Result<Self> {
        Self::open_shared(Arc::new(store), credentials, Some(cache_root))
    }

    /// The same, over a store that others use too.
    ///
    /// # Errors
    /// Those of [`Repository::open`].
    pub fn open_shared(store: Arc<dyn Store>, credentials: &Credentials, cache_root: Option<&Path>) -> Result<Self> {
        let config = RepositoryConfig::read(&*store)?;
        let (slot, key_epoch, secrets) = open_any_slot(&*store, &config.repository, credentials)?;
        let keyring = Keyring::new(config.repository, key_epoch, slot, secrets);
        config.check_keyring(&keyring)?;
        Ok(Self::assemble(store, config, keyring, cache_root))
    }

    fn assemble(store: Arc<dyn Store>, config: RepositoryConfig, keyring: Keyring, cache_root: Option<&Path>) -> Self {
        let cache_dir = cache_root.map(|root| root.join(config.repository.to_string()));
        let pack_readers = PackReaders::new(Arc::clone(&store), keyring.clone());
        Self {
            store,
            config,
            keyring,
            cache_dir,
            catalog: OnceLock::new(),
            whole_catalog: OnceLock::new(),
            pack_readers,
            granted: None,
        }
    }

    /// Opens a repository with a grant: its one image can be shown and restored, by the machine whose key has this seed.
    ///
    /// # Errors
    /// `NotAllowed` where the grant is for another machine or repository, `NoSuchImage` where its image is gone,
    /// `Damaged`, and those of [`Repository::open`].
    pub fn open_granted(
        store: Arc<dyn Store>,
        grant: &[u8],
        machine_seed: &Secret32,
        cache_root: Option<&Path>,
    ) -> Result<Self> {
        let config = RepositoryConfig::read(&*store)?;
        let (keyring, image) = grant::open(&*store, &config, grant, machine_seed)?;
        let mut repository = Self::assemble(store, config, keyring, cache_root);
        repository.granted = Some(image);
        Ok(repository)
    }

    /// Collects the keys of one image, to be wrapped to machines' own keys.
    ///
    /// # Errors
    /// `NotAllowed` where the key in hand is not full, `NoSuchImage`, `WrongPassword` where the image has a password of
    /// its own, `Damaged`, `Cancelled`.
    pub fn prepare_grant(
        &self,
        image: impl Into<ImageSelector>,
        image_password: Option<&SecretBytes>,
        job: &Job,
    ) -> Result<PreparedGrant> {
        grant::prepare(self, &image.into(), image_password, job)
    }

    /// Makes a repository in an empty store. See [`InitOptions`].
    ///
    /// # Errors
    /// `AlreadyExists` where there is one.
    pub fn init(store: impl Store + 'static, options: &InitOptions) -> Result<Self> {
        Self::init_shared(Arc::new(store), options, None)
    }

    /// The same, over a store that others use too, with a cache.
    ///
    /// # Errors
    /// Those of [`Repository::init`].
    pub fn init_shared(store: Arc<dyn Store>, options: &InitOptions, cache_root: Option<&Path>) -> Result<Self> {
        let (config, keyring) = init::init(&*store, options)?;
        Ok(Self::assemble(store, config, keyring, cache_root))
    }

    /// Its name.
    pub fn id(&self) -> RepositoryId {
        self.config.repository
    }

    /// What it is set to.
    pub fn config(&self) -> &RepositoryConfig {
        &self.config
    }

    /// The keys in hand.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Where its objects live.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    pub(crate) fn shared_store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    pub(crate) fn pack_readers(&self) -> &PackReaders {
        &self.pack_readers
    }

    /// Packs and index; opened when first asked for.
    pub(crate) fn catalog(&self) -> Result<&Catalog> {
        if let Some(catalog) = self.catalog.get() {
            return Ok(catalog);
        }
        let catalog = Catalog::open(&self.store, &self.keyring, &self.config, self.cache_dir.as_deref())?;
        Ok(self.catalog.get_or_init(|| catalog))
    }

    /// The same with everything taken in, for work that looks at everything.
    pub(crate) fn whole_catalog(&self) -> Result<&Catalog> {
        if self.store.locator().is_none() {
            return self.catalog();
        }
        if let Some(catalog) = self.whole_catalog.get() {
            return Ok(catalog);
        }
        let catalog = Catalog::open_whole(&self.store, &self.keyring, &self.config, self.cache_dir.as_deref())?;
        Ok(self.whole_catalog.get_or_init(|| catalog))
    }

    /// Backs a disk up. The image is visible when this returns, and not before. Cancelled or killed
    /// at any moment, it leaves a valid repository, and what was stored already is found again by
    /// the next backup.
    ///
    /// # Errors
    /// `InvalidInput` for names and tags, `NoSuchImage` for the parent, `Io`, `NoSpace`,
    /// `Cancelled`, `Fenced`. Sectors that cannot be read are no error: the report lists them.
    pub fn backup(&self, source: &dyn Source, options: &BackupOptions, job: &Job) -> Result<BackupReport> {
        backup::run(self, source, options, job)
    }

    /// Copies an image into another repository, with that one's keys; chunks that it has are not stored again. Name, time,
    /// disk and layout stay. Cancelled or killed, it leaves what a backup leaves.
    ///
    /// # Errors
    /// Those of [`Repository::restore`] here and of [`Repository::backup`] there; `InvalidInput` where both are the same.
    pub fn copy_image(
        &self,
        image: impl Into<ImageSelector>,
        to: &Repository,
        options: &CopyOptions,
        job: &Job,
    ) -> Result<CopyOutcome> {
        copy::run(self, &image.into(), to, options, job)
    }

    /// Writes an image to a target. Password and image are checked before the target is touched.
    ///
    /// # Errors
    /// `NoSuchImage`, `WrongPassword`, `TargetRefused`, `Damaged`, `Io`, `NoSpace`, `Cancelled`.
    pub fn restore(
        &self,
        image: impl Into<ImageSelector>,
        target: &dyn Target,
        options: &RestoreOptions,
        job: &Job,
    ) -> Result<RestoreReport> {
        restore::run(self, &image.into(), target, options, job)
    }

    /// A signed text that says what a restore did. See [`crate::receipt`].
    pub fn receipt(&self, report: &RestoreReport) -> String {
        let signing = self.keyring.signing();
        Receipt::of(report, self.id(), signing.writer()).sign(&signing)
    }

    /// Compares two images by their manifests; no data is read.
    ///
    /// # Errors
    /// `NoSuchImage`, `WrongPassword`, `NotAllowed` for a writer key, `Damaged`, `Cancelled`.
    pub fn diff(
        &self,
        first: impl Into<ImageSelector>,
        second: impl Into<ImageSelector>,
        options: &DiffOptions,
        job: &Job,
    ) -> Result<DiffReport> {
        diff::run(self, &first.into(), &second.into(), options, job)
    }

    /// Every published image, oldest first. Image objects that cannot be read are told to the log;
    /// `verify` reports them.
    ///
    /// # Errors
    /// `NotAllowed` for a writer key.
    pub fn images(&self) -> Result<Vec<Image>> {
        let (images, damaged) = self.listed_images()?;
        for error in damaged {
            tracing::warn!("image passed over: {error}");
        }
        Ok(images.iter().map(|image| Image::new(image.id, &image.record, &image.summary, None)).collect())
    }

    /// One image with its detail.
    ///
    /// # Errors
    /// `NoSuchImage`, `WrongPassword` where it has a password of its own.
    pub fn show(&self, image: impl Into<ImageSelector>, image_password: Option<&SecretBytes>) -> Result<Image> {
        let opened = self.open_image(&image.into(), image_password)?;
        Ok(Image::new(opened.id, &opened.record, &opened.summary, Some(&opened.detail)))
    }

    pub(crate) fn listed_images(&self) -> Result<(Vec<ListedImage>, Vec<Error>)> {
        if let Some(OpenedImage { id, summary, record, .. }) = self.granted.clone() {
            return Ok((vec![ListedImage { id, record, summary }], Vec::new()));
        }
        list_images(&*self.store, &self.keyring)
    }

    pub(crate) fn open_image(&self, selector: &ImageSelector, password: Option<&SecretBytes>) -> Result<OpenedImage> {
        let (images, damaged) = self.listed_images()?;
        for error in damaged {
            tracing::warn!("image passed over: {error}");
        }
        self.open_listed(selector.find(&images)?, password)
    }

    pub(crate) fn open_listed(&self, image: &ListedImage, password: Option<&SecretBytes>) -> Result<OpenedImage> {
        if let Some(granted) = &self.granted {
            return Ok(granted.clone());
        }
        let password = password.map(SecretBytes::expose);
        let detail = image.record.open_detail(&self.keyring, image.summary.protected, password)?;
        Ok(OpenedImage { id: image.id, summary: image.summary.clone(), detail, record: image.record.clone() })
    }

    /// How the node ids of this image are keyed.
    pub(crate) fn identity_of(&self, image: &OpenedImage) -> IdentityKeys {
        match image.image_secret() {
            Some(secret) => self.keyring.identity().with_own_nodes(&secret),
            None => self.keyring.identity().clone(),
        }
    }

    /// Looks at everything and reports findings.
    ///
    /// # Errors
    /// Only where it could not look.
    pub fn verify(&self, options: &VerifyOptions, job: &Job) -> Result<VerifyReport> {
        verify::run(self, options, job)
    }

    /// Throws the index in the cache away and builds it from the packs.
    ///
    /// # Errors
    /// Where packs cannot be listed or the cache not written.
    pub fn rebuild_index(&mut self, job: &Job) -> Result<RepositoryStats> {
        self.catalog = OnceLock::new();
        self.whole_catalog = OnceLock::new();
        job.stage("rebuild index", None);
        if let Some(dir) = &self.cache_dir {
            catalog::remove_index(dir)?;
        }
        self.whole_catalog()?.flush()?;
        self.stats()
    }

    /// Figures of the repository.
    ///
    /// # Errors
    /// Where it cannot be listed.
    pub fn stats(&self) -> Result<RepositoryStats> {
        stats::collect(self)
    }

    /// Adds a key slot. A writer's slot gets a signing key of its own, enrolled by the root.
    ///
    /// # Errors
    /// `NotAllowed` where the key in hand is not full, `InvalidInput`.
    pub fn add_key(&self, new: &NewKey) -> Result<SlotId> {
        let full = self.keyring.full_secrets("add keys")?;
        self.config.check_may_write()?;
        let secrets = match new.role {
            Role::Full => full,
            Role::Writer => self.keyring.writer_secrets(random::secret()?),
            Role::Grant | Role::Other(_) => {
                return Err(Error::new(ErrorKind::InvalidInput, "key", "its role is neither full nor writer"));
            }
        };
        let (epoch, root) = (self.keyring.key_epoch(), self.keyring.signing());
        keys::add_slot(&*self.store, self.id(), epoch, &secrets, &root, new)
    }

    /// Every key slot.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub fn keys(&self) -> Result<Vec<SlotInfo>> {
        keys::list_slots(&*self.store, &self.keyring)
    }

    /// Removes a key slot. What its holder copied stays copied.
    ///
    /// # Errors
    /// `NotFound`; `InvalidInput` for the last full key; `NotAllowed`.
    pub fn remove_key(&self, slot: &SlotId) -> Result<()> {
        self.keyring.require_full("remove keys")?;
        keys::remove_slot(&*self.store, &self.keyring, slot)
    }

    /// Puts a new slot with other credentials in place of the one that is open. The new one is
    /// durable before the old one goes.
    ///
    /// # Errors
    /// Those of [`Repository::add_key`].
    pub fn change_key(&self, credentials: Credentials, fast_derivation: bool) -> Result<SlotId> {
        let full = self.keyring.full_secrets("change keys")?;
        let old = self.keyring.slot().ok_or_else(|| Error::new(ErrorKind::NotAllowed, "key", "it is in no slot"))?;
        let label = self.keys()?.into_iter().find(|key| key.slot == old).map_or_else(String::new, |key| key.label);
        let new = NewKey { fast_derivation, ..NewKey::new(Role::Full, label, credentials) };
        let (epoch, root) = (self.keyring.key_epoch(), self.keyring.signing());
        let slot = keys::add_slot(&*self.store, self.id(), epoch, &full, &root, &new)?;
        keys::remove_slot(&*self.store, &self.keyring, &old)?;
        Ok(slot)
    }

    pub(crate) fn head(&self) -> Result<Option<Head>> {
        let (head, warning) = head::find(&*self.store, self.cache_dir.as_deref(), &self.keyring)?;
        if let Some(warning) = warning {
            tracing::warn!("{warning}");
        }
        Ok(head)
    }

    pub(crate) fn remember_head(&self, head: &Head) {
        head::remember(self.cache_dir.as_deref(), &self.keyring, head);
    }
}
