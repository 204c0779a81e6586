//! The boot profile: for which PC a medium is, how that PC reaches its server, and what it does once booted.
//!
//! On the medium it stands as [`encode`] writes it, in an initramfs of its own beside the agent's.

mod address;
mod envelope;
mod place;
mod task;

pub use address::{Address, Network, parse_prefix};
pub use envelope::{MAX_PROFILE_BYTES, PROFILE_PATH, ProfileError, decode, encode, read};
pub use place::Place;
pub use task::{Afterwards, DiskChoice, Task, WriterKey};

use serde::{Deserialize, Serialize};

/// What a medium is made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootProfile {
    /// Name of the PC, 1 to 100 characters without control characters.
    pub name: String,
    /// Whether a network is used at all.
    pub style: Style,
    /// Addresses, where the style is network.
    #[serde(default)]
    pub network: Network,
    /// The backup server, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Server>,
    /// What the PC does once booted.
    #[serde(default)]
    pub task: Task,
    /// What follows an unattended task.
    #[serde(default)]
    pub afterwards: Afterwards,
    /// Where the screens are shown.
    #[serde(default)]
    pub console: Console,
    /// Keyboard layout, as `us` or `de`; the screens let one choose another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyboard: Option<String>,
    /// From when on the medium is no longer used, in milliseconds since 1970 (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<i64>,
    /// Beside the task `server`: what opens the repository for the backups that the server asks for. Without one such a
    /// medium restores alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer_key: Option<WriterKey>,
}

/// Whether a network is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// With a server, or storage on the network.
    Network,
    /// The medium and the PC's own disks alone: no network is brought up.
    Local,
}

/// Where the screens are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Console {
    /// Screen and first serial port alike.
    #[default]
    Both,
    /// The screen alone.
    Screen,
    /// The first serial port alone, 115200 baud.
    Serial,
}

/// How the PC reaches its server and what it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// `https://HOST:PORT`.
    pub url: String,
    /// The server's pin, as `sha256:` and 64 hexadecimal digits. Without one the certificate has to be one that the
    /// authorities on the medium vouch for; there are none, so a medium needs it.
    pub pin: String,
    /// Name of the organisation on the server; `default` where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// Id of the machine on the server, where the medium is for a machine that the server knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// What enrols the machine's own key at the first boot, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolment: Option<Enrolment>,
}

/// An enrolment code: good once, until it expires. It opens no image.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// As the server gave it.
    pub code: String,
    /// In milliseconds since 1970 (UTC).
    pub expires_ms: i64,
}

impl std::fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Enrolment").field("expires_ms", &self.expires_ms).finish_non_exhaustive()
    }
}

impl BootProfile {
    /// A profile for a PC of this name that shows the menu.
    pub fn new(name: impl Into<String>, style: Style) -> Self {
        Self {
            name: name.into(),
            style,
            network: Network::default(),
            server: None,
            task: Task::Menu,
            afterwards: Afterwards::default(),
            console: Console::default(),
            keyboard: None,
            expires_ms: None,
            writer_key: None,
        }
    }

    /// Whether it may still be used at `now_ms`, in milliseconds since 1970 (UTC). A PC's clock may be wrong by years;
    /// what must not be used late is guarded by the server besides.
    pub fn is_expired(&self, now_ms: i64) -> bool {
        self.expires_ms.is_some_and(|expires_ms| now_ms >= expires_ms)
    }

    /// The kernel's command line. Nothing in it is secret: everybody at the PC can read it. The last console is the one
    /// that the kernel gives /init.
    pub fn kernel_command_line(&self) -> String {
        let consoles = match self.console {
            Console::Both => " console=ttyS0,115200 console=tty0",
            Console::Screen => " console=tty0",
            Console::Serial => " console=ttyS0,115200",
        };
        format!("rdinit=/init quiet loglevel=3{consoles}")
    }

    /// # Errors
    /// In a sentence, the first field that makes no sense.
    pub fn check(&self) -> Result<(), String> {
        check_text("name", &self.name, 100)?;
        if let Some(keyboard) = &self.keyboard {
            check_text("keyboard", keyboard, 32)?;
        }
        self.network.check()?;
        if let Some(server) = &self.server {
            server.check()?;
            if self.style == Style::Local {
                return Err("style: a medium of the local style brings up no network, so it can have no server".into());
            }
        }
        if let Some(writer_key) = &self.writer_key {
            writer_key.check()?;
            if self.task != Task::Server {
                let why = "writer key: it is beside another task than the server's; a backup has its own in the task";
                return Err(why.into());
            }
        }
        self.task.check(self)
    }
}

impl Server {
    fn check(&self) -> Result<(), String> {
        check_text("server", &self.url, 500)?;
        match self.url.strip_prefix("https://").map(|rest| rest.trim_end_matches('/')) {
            Some(rest) if !rest.is_empty() && !rest.contains(['/', '?', '#', '@', ' ']) => {}
            _ => return Err(format!("server: {} is no https://HOST:PORT", self.url)),
        }
        let digits = self.pin.strip_prefix("sha256:").unwrap_or_default();
        if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("server pin: it is not sha256: and 64 hexadecimal digits".into());
        }
        if let Some(organisation) = &self.organisation {
            check_text("organisation", organisation, 100)?;
        }
        if let Some(machine) = &self.machine {
            check_text("machine", machine, 64)?;
        }
        match &self.enrolment {
            Some(enrolment) => check_text("enrolment code", &enrolment.code, 200),
            None => Ok(()),
        }
    }
}

/// A text for people or for a command line: not empty, not long, no control characters.
fn check_text(what: &str, text: &str, most_characters: usize) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err(format!("{what}: it is empty"));
    }
    if text.chars().count() > most_characters {
        return Err(format!("{what}: it has more than {most_characters} characters"));
    }
    match text.chars().any(char::is_control) {
        true => Err(format!("{what}: it has a control character")),
        false => Ok(()),
    }
}
