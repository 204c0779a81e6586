//! Who this machine is to the server: a session by its key, an enrolment by the medium's code, or a claim that an
//! operator approves.

use super::api::{Api, ApiFailure, sleep};
use holotype_boot::profile::Server;
use holotype_repo::core::hex;
use holotype_repo::core::machine_proof::{self, NONCE_BYTES};
use holotype_repo::core::secret::{Secret32, SecretBytes};
use holotype_repo::core::signature::{MACHINE_CLAIM, MACHINE_ENROLMENT, MACHINE_SESSION, Signing, SigningContext};
use holotype_repo::https::Endpoint;
use holotype_repo::os::MachineParts;
use holotype_repo::remote::{HttpsStore, Waiting};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// How long a server that gives no answer is waited for at the start.
pub const FIRST_PATIENCE: Duration = Duration::from_secs(60);
/// How often an operator's word is asked for.
const CLAIM_WAIT: Duration = Duration::from_secs(5);
/// A clock that is further off is put right by the server's.
const MOST_SKEW_MS: i64 = 60_000;
/// A token is renewed when so much of its life is left, in milliseconds, or half of it.
const RENEW_BEFORE_MS: i64 = 20 * 60 * 1000;
const RENEWER_WAIT: Duration = Duration::from_secs(2);

/// Why a machine that the server knew has to be let in anew.
const NOT_KNOWN: &str = "the server does not know this PC by its key (the machine was removed, or has another key now)";
const CODE_REFUSED: &str = "the server did not take the medium's enrolment code (it was used, is too old, or wrong)";
const WAITING: &str = "waiting for the operator";

/// Where a profile names no organisation.
const DEFAULT_ORGANISATION: &str = "default";

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[derive(Deserialize)]
struct Enrolled {
    machine: String,
    token: String,
    expires_ms: i64,
}

#[derive(Deserialize)]
struct Session {
    token: String,
    expires_ms: i64,
}

#[derive(Deserialize)]
struct Claim {
    state: String,
    /// Id of the machine, once it is approved.
    machine: Option<String>,
}

/// What the server says to an inventory; older ones say nothing of twins.
#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    address_twins: Vec<Twin>,
}

#[derive(Deserialize)]
struct Twin {
    mac: String,
}

/// What connecting tells.
pub trait Connecting {
    /// A step, in a sentence.
    fn tell(&mut self, step: &str);
    /// The operator is waited for.
    fn claim(&mut self, fingerprint: &str, state: &str);
    /// Whether it is to end.
    fn is_cancelled(&self) -> bool;
    /// How long a server that gives no answer is waited for.
    fn patience(&self) -> Duration;
}

struct Token {
    secret: SecretBytes,
    /// By the server's clock.
    expires_ms: i64,
    lifetime_ms: i64,
}

/// This machine, known to its server.
pub struct ServerSide {
    pub(super) api: Api,
    endpoint: Endpoint,
    key: Signing,
    seed: Secret32,
    machine: String,
    token: Mutex<Token>,
    /// What the server's clock is ahead of this one, in milliseconds.
    offset_ms: Mutex<i64>,
    stores: Mutex<Vec<Weak<HttpsStore>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ServerSide {
    /// Comes to terms with the server. `seed` is that of the machine's key, `name` what it is called where it is new;
    /// the machine's id is noted in `state_dir`.
    ///
    /// # Errors
    /// In a sentence.
    pub fn connect(
        server: &Server,
        seed: &[u8; 32],
        name: &str,
        state_dir: &Path,
        connecting: &mut dyn Connecting,
    ) -> Result<Arc<Self>, String> {
        let pin = server.pin.parse().map_err(|_| "the server's pin in the profile is none; make the medium anew")?;
        let origin = server.url.trim_end_matches('/').to_owned();
        let endpoint = Endpoint { origin, pin: Some(pin), token: None };
        let api = Api::new(endpoint.clone()).map_err(|failure| failure.to_string())?;
        let key = Signing::from_seed(&Secret32::new(*seed));
        let note = state_dir.join("machine.id");
        let known = server.machine.clone().or_else(|| read_id(&note));
        let mut asking = Asking { api, key, name: name.to_owned(), offset_ms: 0 };
        let (machine, token) = asking.identify(server, known, connecting)?;
        // Only a convenience: without it the machine claims its place again.
        let _ = std::fs::write(&note, &machine);
        asking.api.renew_token(token.secret.clone());
        let Asking { api, key, offset_ms, .. } = asking;
        let side = Arc::new(Self {
            api,
            endpoint,
            key,
            seed: Secret32::new(*seed),
            machine,
            token: Mutex::new(token),
            offset_ms: Mutex::new(offset_ms),
            stores: Mutex::default(),
        });
        let renewed = Arc::downgrade(&side);
        std::thread::spawn(move || renew(&renewed));
        Ok(side)
    }

    /// The machine's id.
    pub fn machine(&self) -> &str {
        &self.machine
    }

    /// The machine's key.
    pub fn key(&self) -> &Signing {
        &self.key
    }

    /// Its seed: it opens what is granted to this machine.
    pub fn seed(&self) -> &Secret32 {
        &self.seed
    }

    /// What people compare of the key.
    pub fn fingerprint(&self) -> String {
        machine_proof::fingerprint(&self.key.writer())
    }

    /// `https://HOST:PORT`.
    pub fn origin(&self) -> &str {
        &self.endpoint.origin
    }

    /// A repository's store; its token is renewed as long as it is used. A server that is gone is waited for up to
    /// `patience`, 300 s where nothing is said, and `waiting` is told.
    ///
    /// # Errors
    /// Those of [`HttpsStore::open`].
    pub fn store(
        &self,
        repository: &str,
        patience: Option<Duration>,
        waiting: Arc<dyn Waiting>,
    ) -> holotype_repo::Result<Arc<HttpsStore>> {
        let token = Some(lock(&self.token).secret.clone());
        let endpoint = Endpoint { token, ..self.endpoint.clone() };
        let store = Arc::new(HttpsStore::open_told(endpoint, repository, patience, waiting)?);
        lock(&self.stores).push(Arc::downgrade(&store));
        Ok(store)
    }

    /// Tells the server what this machine is made of.
    ///
    /// Gives the addresses that another machine of the server has too.
    ///
    /// # Errors
    /// Where it does not take it.
    pub fn tell_inventory(&self) -> Result<Vec<String>, ApiFailure> {
        let parts = MachineParts::read().unwrap_or_else(|_| MachineParts::identity());
        let body = serde_json::to_value(parts).unwrap_or(Value::Null);
        let path = format!("/machines/{}/inventory", self.machine);
        let told: Told = self.api.ask(Method::PUT, &path, Some(&body))?;
        Ok(told.address_twins.into_iter().map(|twin| twin.mac).collect())
    }

    /// Stores of a session that has ended go on with this one.
    pub(crate) fn take_over(&self, ended: &Self) {
        let token = lock(&self.token).secret.clone();
        let stores = std::mem::take(&mut *lock(&ended.stores));
        stores.iter().filter_map(Weak::upgrade).for_each(|store| store.renew_token(token.clone()));
        lock(&self.stores).extend(stores);
    }

    fn renew_if_due(&self) {
        let (offset_ms, due) = {
            let (offset_ms, token) = (*lock(&self.offset_ms), lock(&self.token));
            let before_ms = RENEW_BEFORE_MS.min(token.lifetime_ms / 2);
            (offset_ms, token.expires_ms - (now_ms() + offset_ms) < before_ms)
        };
        if !due {
            return;
        }
        // A failure is tried again soon; until the token ends nothing is lost.
        if let Ok(token) = open_session(&self.api, &self.key, &self.machine, offset_ms) {
            self.api.renew_token(token.secret.clone());
            let mut stores = lock(&self.stores);
            stores.retain(|store| store.strong_count() > 0);
            stores.iter().filter_map(Weak::upgrade).for_each(|store| store.renew_token(token.secret.clone()));
            *lock(&self.token) = token;
        }
    }
}

/// Renews the token until nobody uses it any more.
fn renew(side: &Weak<ServerSide>) {
    while let Some(side) = side.upgrade() {
        side.renew_if_due();
        drop(side);
        std::thread::sleep(RENEWER_WAIT);
    }
}

fn read_id(path: &PathBuf) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn open_session(api: &Api, key: &Signing, machine: &str, offset_ms: i64) -> Result<Token, ApiFailure> {
    let mut nonce = [0; NONCE_BYTES];
    // Without randomness the time tells proofs apart.
    let _ = getrandom::fill(&mut nonce);
    let at_ms = now_ms() + offset_ms;
    let proof = key.sign(MACHINE_SESSION, &machine_proof::session_message(machine, at_ms, &nonce));
    let body =
        json!({ "machine": machine, "at_ms": at_ms, "nonce": hex::text(&nonce), "signature": hex::text(&proof) });
    let session: Session = api.ask(Method::POST, "/machines/session", Some(&body))?;
    let lifetime_ms = session.expires_ms - at_ms;
    Ok(Token { secret: SecretBytes::new(session.token.into_bytes()), expires_ms: session.expires_ms, lifetime_ms })
}

struct Asking {
    api: Api,
    key: Signing,
    name: String,
    offset_ms: i64,
}

impl Asking {
    fn identify(
        &mut self,
        server: &Server,
        known: Option<String>,
        connecting: &mut dyn Connecting,
    ) -> Result<(String, Token), String> {
        let mut why_not = None;
        if let Some(machine) = known {
            connecting.tell(&format!("asking {} for a session", server.url));
            match self.session(&machine, connecting) {
                Ok(token) => return Ok((machine, token)),
                // Another key than the one that the server knows, or the machine was removed there.
                Err(failure) if failure.is(StatusCode::UNAUTHORIZED) => why_not = Some(NOT_KNOWN),
                Err(failure) => return Err(failure.to_string()),
            }
        }
        if let Some(enrolment) = &server.enrolment {
            connecting.tell("enrolling this PC with the medium's code");
            match self.enrol(&enrolment.code, connecting) {
                Ok(enrolled) => return Ok(enrolled),
                // Used already: a medium that keeps no key makes a new one at each boot.
                Err(failure) if failure.is(StatusCode::UNAUTHORIZED) => why_not = Some(CODE_REFUSED),
                Err(failure) => return Err(failure.to_string()),
            }
        }
        if let Some(why) = why_not {
            connecting.tell(why);
        }
        self.claim(server, why_not, connecting)
    }

    fn session(&mut self, machine: &str, connecting: &mut dyn Connecting) -> Result<Token, ApiFailure> {
        let started = std::time::Instant::now();
        loop {
            match open_session(&self.api, &self.key, machine, self.offset_ms) {
                // Clocks of PCs are off by hours and years; the server's counts, and its key was checked.
                Err(ApiFailure { server_ms: Some(server_ms), .. })
                    if (server_ms - now_ms() - self.offset_ms).abs() > MOST_SKEW_MS =>
                {
                    self.offset_ms = server_ms - now_ms();
                    connecting.tell("the clock of this PC is off; taking the server's time");
                }
                Err(failure)
                    if failure.can_pass()
                        && started.elapsed() < connecting.patience()
                        && !connecting.is_cancelled() =>
                {
                    let left = connecting.patience().saturating_sub(started.elapsed()).as_secs();
                    connecting.tell(&format!("{failure}; trying again, for {left} s more"));
                    sleep(Duration::from_secs(2), &|| connecting.is_cancelled());
                }
                other => return other,
            }
        }
    }

    /// What is told of this machine; `what` is signed.
    fn body(&self, context: SigningContext, what: &[u8]) -> Value {
        let parts = MachineParts::identity();
        json!({
            "name": self.name, "public_key": self.key.writer().to_string(),
            "signature": hex::text(&self.key.sign(context, what)),
            "smbios_uuid": parts.smbios_uuid, "serial": parts.serial, "macs": parts.mac_addresses,
        })
    }

    fn ask<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        connecting: &mut dyn Connecting,
    ) -> Result<T, ApiFailure> {
        let started = std::time::Instant::now();
        loop {
            match self.api.ask(Method::POST, path, Some(body)) {
                Err(failure)
                    if failure.can_pass()
                        && started.elapsed() < connecting.patience()
                        && !connecting.is_cancelled() =>
                {
                    let left = connecting.patience().saturating_sub(started.elapsed()).as_secs();
                    connecting.tell(&format!("{failure}; trying again, for {left} s more"));
                    sleep(Duration::from_secs(2), &|| connecting.is_cancelled());
                }
                other => return other,
            }
        }
    }

    fn enrol(&self, code: &str, connecting: &mut dyn Connecting) -> Result<(String, Token), ApiFailure> {
        let code = machine_proof::normal_code(code).unwrap_or_default();
        let message = machine_proof::enrolment_message(&code, &self.key.writer());
        let mut body = self.body(MACHINE_ENROLMENT, &message);
        body["code"] = json!(code);
        let enrolled: Enrolled = self.ask("/enrol", &body, connecting)?;
        let lifetime_ms = enrolled.expires_ms - now_ms() - self.offset_ms;
        let secret = SecretBytes::new(enrolled.token.into_bytes());
        Ok((enrolled.machine, Token { secret, expires_ms: enrolled.expires_ms, lifetime_ms }))
    }

    /// Asks until the operator has decided. `why_not` is why neither key nor code opened.
    fn claim(
        &mut self,
        server: &Server,
        why_not: Option<&str>,
        connecting: &mut dyn Connecting,
    ) -> Result<(String, Token), String> {
        let organisation = server.organisation.as_deref().unwrap_or(DEFAULT_ORGANISATION);
        let mut body = self.body(MACHINE_CLAIM, &machine_proof::claim_message(organisation, &self.key.writer()));
        body["organisation"] = json!(organisation);
        // By this PC itself, not by what the server says it is.
        let fingerprint = machine_proof::fingerprint(&self.key.writer());
        let url = &server.url;
        let before = why_not.map(|why| format!("{why}, and ")).unwrap_or_default();
        let refused = |why: &str| Err(format!("{url}: {before}{why}"));
        loop {
            let claim: Claim = self.ask("/machine/claims", &body, connecting).map_err(|failure| failure.to_string())?;
            match (claim.state.as_str(), claim.machine) {
                ("approved", Some(machine)) => {
                    let token = self.session(&machine, connecting).map_err(|failure| failure.to_string())?;
                    return Ok((machine, token));
                }
                ("approved", None) => {
                    return refused("the server let this PC in, but did not say as which machine; use a newer server");
                }
                ("refused", _) => {
                    return refused(&format!(
                        "the server does not let this PC in: an operator refused it, or the server takes no machines \
                         that it does not know; tell the operator its fingerprint {fingerprint}, or make a medium with \
                         a new enrolment code (holotype machine media)"
                    ));
                }
                _ => {}
            }
            connecting
                .claim(&fingerprint, &why_not.map_or_else(|| WAITING.to_owned(), |why| format!("{why}; {WAITING}")));
            sleep(CLAIM_WAIT, &|| connecting.is_cancelled());
            if connecting.is_cancelled() {
                return refused(&format!(
                    "nobody waits any longer for an operator to let this PC in; its fingerprint is {fingerprint}: \
                     have it approved (holotype machine approve), then try again"
                ));
            }
        }
    }
}
