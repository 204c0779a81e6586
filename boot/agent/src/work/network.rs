//! Network and server.

use super::{Telling, Worker};
use crate::screens::News;
use crate::server::{Connecting, FIRST_PATIENCE, ServerSide};
use crate::system::{disks, machine_key, network};
use holotype_boot::profile::Style;
use http::StatusCode;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;
use zeroize::Zeroizing;

/// [`Telling`] with the patience of this run of the program.
struct Patient<'a>(&'a Telling, Option<Duration>);

impl Connecting for Patient<'_> {
    fn tell(&mut self, step: &str) {
        self.0.step(step);
    }

    fn claim(&mut self, fingerprint: &str, state: &str) {
        self.0.news(News::Claim { fingerprint: fingerprint.to_owned(), state: state.to_owned() });
    }

    fn is_cancelled(&self) -> bool {
        self.0.cancel.is_cancelled()
    }

    fn patience(&self) -> Duration {
        self.1.unwrap_or(FIRST_PATIENCE)
    }
}

impl Worker {
    /// Brings the network up where the profile wants one, and comes to terms with its server; anew where the server has
    /// ended the session that there was.
    ///
    /// # Errors
    /// In a sentence.
    pub(crate) fn connect(&mut self, telling: &Telling) -> Result<(), String> {
        let Some(profile) = self.setup.profile.clone() else { return Ok(()) };
        if profile.style == Style::Network && self.setup.is_init && !self.network_is_up {
            let cancelled = || telling.cancel.is_cancelled();
            network::start(&profile.network, &mut |step| telling.step(step), &cancelled)
                .map_err(|error| error.to_string())?;
            self.network_is_up = true;
        }
        let Some(server) = &profile.server else { return Ok(()) };
        let ended = self.server();
        if let Some(side) = &ended {
            // Whatever else it says: the session is as it was.
            let asked = side.repositories().err();
            if asked.is_none_or(|failure| !failure.is(StatusCode::UNAUTHORIZED)) {
                return Ok(());
            }
            telling.step("the server ended the session of this PC; asking for another one");
        }
        let seed = self.machine_key(telling, server.enrolment.is_some())?;
        let mut connecting = Patient(telling, self.setup.server_patience);
        let side = ServerSide::connect(server, &seed, &profile.name, &self.setup.state_dir, &mut connecting)?;
        telling.step("connected to the server");
        if let Some(ended) = &ended {
            side.take_over(ended);
        }
        // The server's list of machines is a convenience.
        match side.tell_inventory() {
            Ok(twins) if twins.is_empty() => {}
            Ok(twins) => telling.news(News::Warning(format!(
                "another machine of the server has this PC's network address {} too; network boot may take one for the \
                 other: tell the server's operator (holotype machine show {})",
                twins.join(", "),
                side.machine()
            ))),
            Err(failure) => telling.step(&format!("the server did not take what this PC is made of: {failure}")),
        }
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(side);
        Ok(())
    }

    fn machine_key(&self, telling: &Telling, has_code: bool) -> Result<Zeroizing<[u8; 32]>, String> {
        if !self.setup.is_init {
            return own_key(&self.setup.state_dir.join("machine.key"));
        }
        // A stick may come after the network: its key is the one that the server knows.
        disks::wait_for_sticks(&|| telling.cancel.is_cancelled());
        let (seed, kept) = machine_key::load_or_make().map_err(|error| error.to_string())?;
        if has_code && kept == machine_key::Kept::ForThisBoot {
            telling.step(
                "this PC's key cannot be kept on the medium: the medium's enrolment code is good for this boot alone",
            );
        }
        Ok(seed)
    }
}

/// The key of an ordinary Linux: a file that its owner alone may read, of 32 bytes.
fn own_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, String> {
    let mut seed = Zeroizing::new([0; 32]);
    if let Ok(bytes) = std::fs::read(path).map(Zeroizing::new) {
        let bytes: &[u8; 32] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| format!("{}: is no machine's key; move it away, and one is made", path.display()))?;
        seed.copy_from_slice(bytes);
        return Ok(seed);
    }
    getrandom::fill(&mut *seed).map_err(|error| format!("random numbers: {error}"))?;
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(&*seed)?;
        file.sync_all()
    });
    made.map_err(|error| format!("{}: could not keep the machine's key: {error}", path.display()))?;
    Ok(seed)
}
