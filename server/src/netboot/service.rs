//! What the listeners share: which bytes a path means for who asks.

use super::decision::{Decision, Found, decide};
use super::files::{Asked, Made, Tree, Wanted};
use super::rivals::Rival;
use super::scripts;
use super::settings::NetbootSettings;
use crate::accounts::DEFAULT_ORGANISATION;
use crate::clock::now_ms;
use crate::events::{self, NewEvent, Outcome};
use crate::metrics::Metrics;
use crate::state::AppState;
use holotype_boot::archive::cpio::Archive;
use holotype_boot::profile::{Afterwards, BootProfile, Console, PROFILE_PATH, Server, Style, Task, encode};
use holotype_repo::https::ServerPin;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Something is noted of a machine at most once in this time: whoever is on the network can ask as often as he likes.
const NOTE_EVERY_MS: i64 = 60_000;
/// Machines that are remembered for that.
const MOST_NOTED: usize = 4096;
/// Other boot servers that are told of: answers can be made up.
const MOST_RIVALS: usize = 16;
/// After a socket failed.
const PAUSE: Duration = Duration::from_millis(200);

/// What firmware gets.
#[derive(Debug)]
pub enum Content {
    /// Made for it.
    Bytes(Vec<u8>),
    /// A file, and its length in bytes.
    File(File, u64),
}

impl Content {
    /// Bytes of it.
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, length) => *length,
        }
    }
}

/// Shared by all listeners.
pub struct Service {
    state: AppState,
    tree: Tree,
    settings: NetbootSettings,
    pin: ServerPin,
    noted: Mutex<HashMap<String, i64>>,
    rivals: Mutex<HashSet<Ipv4Addr>>,
}

impl Service {
    /// For the server with this pin.
    pub fn new(state: AppState, settings: NetbootSettings, pin: ServerPin) -> Self {
        let tree = Tree::new(settings.folder(&state.data_dir));
        Self { state, tree, settings, pin, noted: Mutex::default(), rivals: Mutex::default() }
    }

    /// The folder of boot files.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.state.metrics
    }

    /// The server's state.
    pub(super) fn state(&self) -> &AppState {
        &self.state
    }

    /// Tells that a socket failed, and waits a little.
    pub async fn socket_failed(&self, what: &str, error: &io::Error) {
        tracing::warn!("network boot: {what} could not be received: {error}");
        tokio::time::sleep(PAUSE).await;
    }

    /// What `path` is for who asks from `client`; `url` is where machines on that network reach this server. `None`
    /// where there is no such thing.
    pub async fn open(self: &std::sync::Arc<Self>, path: &str, url: &str, client: IpAddr) -> Option<Content> {
        let wanted = Wanted::parse(path)?;
        match wanted {
            Wanted::FirstIpxe => Some(Content::Bytes(scripts::FIRST_IPXE.into())),
            Wanted::FirstGrub => Some(Content::Bytes(scripts::FIRST_GRUB.into())),
            Wanted::File(path) => self.file(path).await,
            Wanted::Machine(asked, made) => self.machine(asked, made, url, client).await.map(Content::Bytes),
        }
    }

    async fn file(self: &std::sync::Arc<Self>, path: String) -> Option<Content> {
        let service = std::sync::Arc::clone(self);
        let opened = tokio::task::spawn_blocking(move || {
            service.tree.open(&path).map_err(|error| (path, error)).map(|(file, length)| Content::File(file, length))
        });
        match opened.await.ok()? {
            Ok(content) => Some(content),
            // Firmware and GRUB try many names.
            Err((path, error)) if error.kind() == io::ErrorKind::NotFound => {
                tracing::debug!(path, "network boot: no such file");
                None
            }
            Err((path, error)) => {
                tracing::warn!(path, "network boot: a file cannot be read: {error}");
                None
            }
        }
    }

    async fn machine(
        self: &std::sync::Arc<Self>,
        asked: Asked,
        made: Made,
        url: &str,
        client: IpAddr,
    ) -> Option<Vec<u8>> {
        let organisation = self.settings.organisation.clone().unwrap_or_else(|| DEFAULT_ORGANISATION.to_owned());
        let who = asked.clone();
        let decided = self.state.database.read(move |connection| decide(connection, &organisation, &who)).await;
        let decision = match decided {
            Ok(decision) => decision,
            Err(error) => {
                tracing::error!(%asked, "network boot: what it boots cannot be looked up: {error}");
                return local(made);
            }
        };
        let service = std::sync::Arc::clone(self);
        let (id, name) = named(&decision, &asked);
        let is_agent = decision.boots_agent(self.settings.takes_unknown());
        if let Found::Unclear(why) = &decision.found {
            tracing::warn!(%asked, %client, "network boot: taken for an unknown machine: {why}");
            self.note(&decision, "netboot.unclear", Outcome::Refused, &asked, client, why.clone()).await;
        }
        if !is_agent {
            if made != Made::Profile {
                self.metrics().netbooted(id, "local");
                tracing::info!(%asked, machine = %name, %client, "network boot: on to its own disk");
            }
            return local(made);
        }
        let reach = Reach { url, pin: &self.pin, organisation: self.settings.organisation.clone() };
        if made == Made::Profile {
            let bytes = profile(&decision, name.clone(), &reach)?;
            self.metrics().netbooted(id, "agent");
            self.note(&decision, "netboot.agent", Outcome::Done, &asked, client, String::new()).await;
            return Some(bytes);
        }
        let kernels = tokio::task::spawn_blocking(move || service.tree.kernels()).await.ok()?;
        let wanted = decision.choices.kernel.as_deref();
        let kernel = match wanted {
            Some(wanted) => kernels.iter().find(|kernel| *kernel == wanted),
            None => kernels.last(),
        };
        let Some(kernel) = kernel else {
            let wanted = wanted.map_or_else(String::new, |wanted| format!(" {wanted}"));
            let why = format!(
                "no kernel{wanted} with its initrd in {}/kernel; make them with `holotype boot create netboot`",
                self.tree.folder().display()
            );
            tracing::error!(%asked, machine = %name, "network boot: {why}");
            self.note(&decision, "netboot.agent", Outcome::Failed, &asked, client, why).await;
            return local(made);
        };
        tracing::info!(%asked, machine = %name, %client, kernel, "network boot: the agent");
        let command_line = boot_profile(&decision, name.clone(), &reach).kernel_command_line();
        let script = match made {
            Made::Grub => scripts::agent_grub(&asked, kernel, &command_line),
            _ => scripts::agent_ipxe(&asked, kernel, &command_line),
        };
        Some(script.into_bytes())
    }

    /// Tells that another server names a boot file, once for each.
    pub(super) async fn tell_rival(&self, rival: &Rival) {
        let Rival { server, file } = rival;
        {
            let mut rivals = self.rivals.lock().unwrap_or_else(PoisonError::into_inner);
            if rivals.len() >= MOST_RIVALS || !rivals.insert(*server) {
                return;
            }
        }
        let why = format!(
            "the DHCP or boot server {server} names a boot file of its own, {file}: PCs may boot that in place of what \
             this server offers; take the boot file out of its settings (filename, option 67), or end network boot there"
        );
        tracing::warn!(%server, "network boot: {why}");
        let name = self.settings.organisation.clone().unwrap_or_else(|| DEFAULT_ORGANISATION.to_owned());
        let asked = Asked::default();
        let decided = self.state.database.read(move |connection| decide(connection, &name, &asked)).await;
        let Some(organisation) = decided.ok().and_then(|decision| decision.organisation) else { return };
        self.record(NewEvent {
            organisation,
            kind: "netboot.rival",
            actor: "server".to_owned(),
            machine: None,
            subject: format!("boot server {server}"),
            address: Some(server.to_string()),
            outcome: Outcome::Failed,
            detail: why,
        })
        .await;
    }

    async fn record(&self, event: NewEvent) {
        match self.state.database.write(move |transaction| events::record(transaction, &event)).await {
            Ok(live) => self.state.events.tell(live),
            Err(error) => tracing::error!("could not note an event: {error}"),
        }
    }

    /// Notes an event, once in a while for each machine.
    async fn note(
        &self,
        decision: &Decision,
        kind: &'static str,
        outcome: Outcome,
        asked: &Asked,
        client: IpAddr,
        detail: String,
    ) {
        let Some(organisation) = decision.organisation.clone() else { return };
        let machine = match &decision.found {
            Found::Machine(machine) => Some(machine.id.clone()),
            _ => None,
        };
        let key = format!("{kind} {}", machine.as_deref().map_or_else(|| asked.to_string(), str::to_owned));
        if !self.is_due(key, now_ms()) {
            return;
        }
        let event = NewEvent {
            organisation,
            kind,
            actor: "nobody".to_owned(),
            machine,
            subject: asked.to_string(),
            address: Some(client.to_string()),
            outcome,
            detail,
        };
        self.record(event).await;
    }

    fn is_due(&self, key: String, now_ms: i64) -> bool {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at_ms: &i64| (now_ms - NOTE_EVERY_MS..=now_ms).contains(at_ms);
        if noted.get(&key).is_some_and(is_recent) {
            return false;
        }
        if noted.len() >= MOST_NOTED {
            noted.retain(|_, at_ms| is_recent(at_ms));
        }
        // Full of what happened within the last minute: somebody makes addresses up.
        noted.len() < MOST_NOTED && {
            noted.insert(key, now_ms);
            true
        }
    }

    /// What the folder lacks, in sentences.
    pub fn lacks(&self) -> Vec<String> {
        let folder = self.tree.folder().display();
        let kernels =
            self.tree.kernels().is_empty().then(|| format!("{folder}/kernel holds no kernel with its initrd"));
        let files = super::first_files(&self.settings);
        let missing =
            files.into_iter().filter(|file| !self.tree.has(file)).map(|file| format!("{folder}/{file} is missing"));
        kernels.into_iter().chain(missing).collect()
    }
}

/// Label for figures, and what the machine is called.
fn named<'a>(decision: &'a Decision, asked: &Asked) -> (&'a str, String) {
    match &decision.found {
        Found::Machine(machine) => (&machine.id, machine.name.clone()),
        _ => {
            let by = asked.mac.as_ref().map(|mac| mac.replace(':', "-")).or_else(|| asked.uuid.clone());
            ("unknown", format!("pc-{}", by.unwrap_or_default()))
        }
    }
}

/// On to the disk; there is no profile then.
fn local(made: Made) -> Option<Vec<u8>> {
    match made {
        Made::Ipxe => Some(scripts::LOCAL_IPXE.into()),
        Made::Grub => Some(scripts::LOCAL_GRUB.into()),
        Made::Profile => None,
    }
}

/// How a machine reaches the server, and in which organisation it is to be known.
struct Reach<'a> {
    url: &'a str,
    pin: &'a ServerPin,
    organisation: Option<String>,
}

/// A machine's profile: it asks the server what to do, and boots anew afterwards. No enrolment code and no key is in
/// it, because everybody on the network can read it.
fn boot_profile(decision: &Decision, name: String, reach: &Reach<'_>) -> BootProfile {
    let machine = match &decision.found {
        Found::Machine(machine) => Some(machine.id.clone()),
        _ => None,
    };
    let mut profile = BootProfile::new(name, Style::Network);
    profile.server = Some(Server {
        url: reach.url.to_owned(),
        pin: reach.pin.to_string(),
        organisation: reach.organisation.clone(),
        machine,
        enrolment: None,
    });
    profile.task = Task::Server;
    profile.afterwards = Afterwards::Reboot;
    profile.console = match decision.choices.console.as_deref() {
        Some("screen") => Console::Screen,
        Some("serial") => Console::Serial,
        _ => Console::Both,
    };
    profile.keyboard = decision.choices.keyboard.clone();
    profile
}

fn profile(decision: &Decision, name: String, reach: &Reach<'_>) -> Option<Vec<u8>> {
    let encoded = encode(&boot_profile(decision, name, reach));
    let bytes = encoded.inspect_err(|error| tracing::error!("network boot: no profile can be made: {error}")).ok()?;
    let mut archive = Archive::default();
    archive.add_file(PROFILE_PATH, bytes);
    Some(archive.to_bytes())
}
