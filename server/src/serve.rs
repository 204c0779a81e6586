//! Starting and stopping the server.
//!
//! Start: lock the directory → open and migrate the database → certificate → listen → say so. Stop
//! (SIGTERM, SIGINT): take no new connections → end long polls and streams → let requests finish, for
//! a while → close. What is cut off then goes on where it was when the client comes again.

use crate::api::scheduler;
use crate::config::Config;
use crate::data_dir::{DataDir, DataLock, make_directory};
use crate::database::Database;
use crate::listen::{self, Limits};
use crate::router::router;
use crate::state::AppState;
use crate::tls::Identity;
use crate::upkeep;
use holotype_repo::https::ServerPin;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Why the server does not start: one sentence, and what to do.
#[derive(Debug)]
pub struct StartError {
    message: String,
    advice: Option<&'static str>,
}

impl StartError {
    /// With a sentence.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), advice: None }
    }

    /// About a file.
    pub fn about(path: &Path, why: impl fmt::Display) -> Self {
        Self::new(format!("{}: {why}", path.display()))
    }

    /// With what to do.
    #[must_use]
    pub fn advise(mut self, advice: &'static str) -> Self {
        self.advice = Some(advice);
        self
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.advice.map_or(Ok(()), |advice| write!(f, "; {advice}"))
    }
}

impl std::error::Error for StartError {}

/// A server that serves.
pub struct Running {
    /// Where it listens; the port is the real one.
    pub address: SocketAddr,
    /// What clients pin.
    pub pin: ServerPin,
    /// On the first start: the file with the first user's password.
    pub initial_password: Option<PathBuf>,
    state: AppState,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    background: Vec<JoinHandle<()>>,
    stop_within: Duration,
    _lock: DataLock,
}

impl Running {
    /// Starts to serve. Call it on a tokio runtime.
    ///
    /// # Errors
    /// Whatever keeps it from serving, in one sentence.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        raise_file_limit();
        let data = DataDir::create(&config.data_dir).map_err(StartError::new)?;
        let lock = data.lock().map_err(StartError::new)?;
        let database_path = data.database();
        let database = Database::open(&database_path).map_err(|error| {
            StartError::about(&database_path, format!("the management database cannot be opened: {error}")).advise(
                "restore it with `holotype server database restore` if it is damaged, or free space if the disk is full",
            )
        })?;
        crate::api::sweep_kernel_uploads(data.path());
        crate::api::sweep_media(data.path());
        let first = crate::accounts::first_start(&database, data.path());
        let initial_password = first.map_err(|error| StartError::about(data.path(), error))?;
        let tls_dir = data.tls();
        make_directory(&tls_dir).map_err(|error| StartError::about(&tls_dir, format!("cannot be made: {error}")))?;
        let identity = Identity::load(&config.certificate, &tls_dir)?;
        let listener = TcpListener::bind(config.listen).await.map_err(|error| {
            StartError::new(format!("{}: cannot listen there: {error}", config.listen))
                .advise("end the other program that listens there, or give another --listen")
        })?;
        let address = listener.local_addr().map_err(|error| StartError::new(format!("no address: {error}")))?;
        let (stop, stopping) = watch::channel(false);
        let state = AppState::configured(&config, database, stopping.clone())?;
        state.boot_files.set_pin(identity.pin);
        let netboot = crate::netboot::start(&state, &config.netboot, address, identity.pin)?;
        let looking = state.clone();
        crate::database::blocking(move || upkeep::reconcile(&looking))
            .await
            .map_err(|error| StartError::new(format!("the list of images cannot be brought in line: {error}")))?;
        let limits = Limits { connections: config.max_connections, per_address: config.max_connections_per_address };
        let stopped = state.clone();
        let scheduling = scheduler::run(state.clone(), scheduler::Options::default(), async move {
            stopped.stopped().await;
        });
        let mut background = vec![tokio::spawn(scheduling), tokio::spawn(upkeep::run(state.clone()))];
        background.extend(netboot);
        let serving = tokio::spawn(listen::serve(
            listener,
            identity.config,
            router(state.clone()),
            limits,
            state.clone(),
            stopping,
            config.stop_within,
        ));
        Ok(Self {
            address,
            pin: identity.pin,
            initial_password,
            state,
            stop,
            serving,
            background,
            stop_within: config.stop_within,
            _lock: lock,
        })
    }

    /// What its requests share.
    pub fn state(&self) -> &AppState {
        &self.state
    }

    /// Stops: no new requests, and those that run may finish for the configured time.
    pub async fn stop(self) {
        // Nobody may be listening any more.
        let _ = self.stop.send(true);
        let _ = tokio::time::timeout(self.stop_within + Duration::from_secs(5), self.serving).await;
        for task in self.background {
            task.abort();
        }
        let state = self.state.clone();
        let last = move || {
            state.repositories.flush();
            if let Err(error) = state.database.checkpoint() {
                tracing::warn!("the database's log stays beside it: {error}");
            }
        };
        let _ = tokio::task::spawn_blocking(last).await;
    }
}

/// Serves until SIGTERM or SIGINT. `ready` is called once, when it listens.
///
/// # Errors
/// Whatever keeps it from serving, in one sentence.
pub fn serve(config: Config, ready: impl FnOnce(&Running) -> Result<(), StartError>) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| StartError::new(format!("no threads to serve with: {error}")))?;
    runtime.block_on(async {
        let mut signals = Signals::catch()?;
        let running = Running::start(config).await?;
        ready(&running)?;
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        let signal = signals.wait().await;
        tracing::info!(signal, "stopping");
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        running.stop().await;
        tracing::info!("stopped");
        Ok(())
    })?;
    // Blocking work that hangs, on a dead disk say, must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(5));
    Ok(())
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn catch() -> Result<Self, StartError> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error| StartError::new(format!("signals cannot be handled: {error}"));
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
        })
    }

    async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn catch() -> Result<Self, StartError> {
        Ok(Self)
    }

    async fn wait(&mut self) -> &'static str {
        let _ = tokio::signal::ctrl_c().await;
        "Ctrl-C"
    }
}

/// Each connection is an open file; the usual limit of 1024 is low for a server.
fn raise_file_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
            tracing::debug!("the limit of open files stays as it is: {error}");
        }
    }
}
