//! The program: consoles, screens and work put together.
//!
//! ```text
//! consoles ──keys──▶ flow ──requests──▶ worker thread
//!     ▲               │ ▲                     │
//!     └────frames─────┘ └────────news─────────┘
//! ```

use crate::screens::{Facts, Finished, Flow, News, Progress, Request, Trouble};
use crate::server::ServerSide;
use crate::system::{self, Booted};
use crate::terminal::{Consoles, Key};
use crate::unattended;
use crate::work::{Meter, Setup, Telling, Worker};
use crossbeam_channel::{Receiver, Sender, unbounded};
use holotype_boot::profile::{Afterwards, BootProfile, Style};
use holotype_repo::{CancelToken, Credentials};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the screen is drawn while nothing happens.
const TICK: Duration = Duration::from_millis(250);
/// How long a result is shown before the PC is powered off or started anew.
const RESULT_SHOWN: Duration = Duration::from_secs(5);

/// What a run of the program is told besides what it was booted into.
#[derive(Default)]
pub struct Options {
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

/// How the program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A person left it.
    Left,
    /// What the profile asked for was done.
    Done(Finished),
    /// It failed; the sentence says why.
    Failed(String),
}

/// How the program ended, and what follows.
#[derive(Debug)]
pub struct Ended {
    /// What follows.
    pub afterwards: Afterwards,
    /// How it ended.
    pub outcome: Outcome,
}

/// What happens to the program.
enum Happening {
    Key(usize, Key),
    News(u64, News),
}

/// The profile, where it can be used now; else why not.
fn usable(booted: &Booted) -> Result<Option<BootProfile>, String> {
    match &booted.profile {
        None => Ok(None),
        Some(Err(error)) => Err(error.to_string()),
        Some(Ok(profile)) if profile.is_expired(jiff::Timestamp::now().as_millisecond()) => {
            Err("the boot profile of this medium is expired (or the PC's clock is wrong); make the medium anew"
                .to_owned())
        }
        Some(Ok(profile)) => Ok(Some(profile.clone())),
    }
}

fn setup(booted: &Booted, options: Options, profile: Option<BootProfile>) -> Setup {
    Setup {
        is_init: booted.is_init,
        profile,
        state_dir: booted.state_dir.clone(),
        files: options.files,
        folders: options.folders,
        credentials: options.credentials,
        fast_derivation: options.fast_derivation,
        server_patience: options.server_patience,
    }
}

fn facts(booted: &Booted, profile: Option<&BootProfile>, problem: Option<String>) -> Facts {
    let row = |name: &str, value: String| (name.to_owned(), value);
    let mut about = vec![
        row("Program", format!("Holotype {}", env!("CARGO_PKG_VERSION"))),
        row("Started by", system::firmware::description().to_owned()),
    ];
    if let Some(profile) = profile {
        about.push(row("Made for", profile.name.clone()));
        about.push(row("Style", format!("{:?}", profile.style).to_lowercase()));
        about.push(row("Task", unattended::announcement(profile).unwrap_or_else(|| "the menu".to_owned())));
        about.push(row(
            "Server",
            profile.server.as_ref().map_or_else(|| "none".to_owned(), |server| server.url.clone()),
        ));
        let expires = profile.expires_ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        about.push(row("Usable until", expires.map_or_else(|| "for ever".to_owned(), |time| time.to_string())));
    } else {
        about.push(row("Made for", "no PC; the menu alone".to_owned()));
    }
    let layouts = system::keyboard::layouts();
    let connects = profile.is_some_and(|profile| {
        profile.server.is_some() || (booted.is_init && profile.style == holotype_boot::profile::Style::Network)
    });
    Facts {
        is_init: booted.is_init,
        is_local: profile.is_some_and(|profile| profile.style == Style::Local),
        name: profile.map(|profile| profile.name.clone()),
        problem,
        connects,
        unattended: profile.and_then(unattended::announcement),
        counts_down: true,
        about,
        network: network_lines(None),
        layouts: layouts.iter().map(|layout| (layout.name.to_owned(), layout.title.to_owned())).collect(),
        layout: profile.and_then(|profile| profile.keyboard.clone()).unwrap_or_else(|| "us".to_owned()),
        image_name: unattended::image_name_of(profile.map_or("pc", |profile| &profile.name)),
    }
}

fn network_lines(server: Option<&ServerSide>) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for link in system::network::links() {
        let driver = link.driver.as_deref().unwrap_or("no driver");
        let cable = if link.carrier { "connected" } else { "no cable" };
        let addresses = if link.addresses.is_empty() { "no address".to_owned() } else { link.addresses.join(", ") };
        lines.push((link.name, format!("{} ({driver}), {cable}, {addresses}", link.mac)));
    }
    if lines.is_empty() {
        lines.push(("Adapters".to_owned(), "none that this program cares for".to_owned()));
    }
    match server {
        Some(server) => {
            lines.push(("Server".to_owned(), server.origin().to_owned()));
            lines.push(("This machine".to_owned(), server.machine().to_owned()));
            let fingerprint = server.fingerprint();
            lines.push(("Fingerprint".to_owned(), fingerprint));
        }
        None => lines.push(("Server".to_owned(), "not connected".to_owned())),
    }
    lines
}

/// Does what the profile says, without screens; news go to `tell`.
pub fn run_unattended(
    booted: &Booted,
    options: Options,
    tell: impl Fn(News) + Send + Sync + 'static,
    cancel: CancelToken,
) -> Outcome {
    let profile = match usable(booted) {
        Ok(Some(profile)) => profile,
        Ok(None) => return Outcome::Failed("no profile is given, so it is not said what to do".to_owned()),
        Err(problem) => return Outcome::Failed(problem),
    };
    let mut worker = Worker::new(Arc::new(setup(booted, options, Some(profile))));
    let result = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&result);
    let note = move |news: News| match news {
        News::Over(finished) => *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Outcome::Done(finished)),
        News::Failed(Trouble { sentence, .. }) => {
            *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Outcome::Failed(sentence));
        }
        other => tell(other),
    };
    worker.handle(Request::Unattended, &Telling::new(note, cancel, Arc::default()));
    let outcome = result.lock().unwrap_or_else(PoisonError::into_inner).take();
    outcome.unwrap_or_else(|| Outcome::Failed("it ended without a result".to_owned()))
}

/// Shows the screens until a person, or the profile, ends the program.
pub fn run(booted: Booted, options: Options) -> Ended {
    let (profile, problem) = match usable(&booted) {
        Ok(profile) => (profile, None),
        Err(problem) => (None, Some(problem)),
    };
    if let Some(keyboard) = profile.as_ref().and_then(|profile| profile.keyboard.as_deref())
        && booted.is_init
    {
        // Another one can be chosen on the screen.
        let _ = system::keyboard::load(keyboard);
    }
    let afterwards = profile.as_ref().map_or(Afterwards::Stay, |profile| profile.afterwards);
    let flow = Flow::new(facts(&booted, profile.as_ref(), problem));
    let (sender, happenings) = unbounded();
    let keys = sender.clone();
    let opened = Consoles::open(&booted.consoles, move |console, key| {
        let _ = keys.send(Happening::Key(console, key));
    });
    let consoles = match opened {
        Ok(consoles) => consoles,
        Err(sentence) => return Ended { afterwards: Afterwards::Stay, outcome: Outcome::Failed(sentence) },
    };
    let is_init = booted.is_init;
    let worker = Worker::new(Arc::new(setup(&booted, options, profile)));
    let server = worker.server_cell();
    let meter = Arc::new(Meter::default());
    let (requests, to_do) = unbounded();
    let work_meter = Arc::clone(&meter);
    std::thread::spawn(move || work(worker, &to_do, &sender, &work_meter));
    let program =
        Program { flow, consoles, happenings, requests, server, meter, afterwards, is_init, number: 0, console: 0 };
    program.run()
}

type ToDo = (u64, Request, CancelToken);

/// The worker thread: it outlives what goes wrong in it.
fn work(mut worker: Worker, to_do: &Receiver<ToDo>, happenings: &Sender<Happening>, meter: &Arc<Meter>) {
    for (number, request, cancel) in to_do {
        let sender = happenings.clone();
        let tell = move |news| {
            let _ = sender.send(Happening::News(number, news));
        };
        let telling = Telling::new(tell, cancel, Arc::clone(meter));
        if catch_unwind(AssertUnwindSafe(|| worker.handle(request, &telling))).is_err() {
            meter.clear();
            let sentence = "the program made a mistake of its own; try again, and tell its makers if it comes again";
            telling.news(News::Failed(Trouble { sentence: sentence.to_owned(), is_final: false }));
        }
    }
}

struct Program {
    flow: Flow,
    consoles: Consoles,
    happenings: Receiver<Happening>,
    requests: Sender<ToDo>,
    server: Arc<Mutex<Option<Arc<ServerSide>>>>,
    meter: Arc<Meter>,
    afterwards: Afterwards,
    is_init: bool,
    /// The request at hand.
    number: u64,
    /// Where the last key came from.
    console: usize,
}

impl Program {
    fn run(mut self) -> Ended {
        let mut cancel = CancelToken::new();
        let mut ticked = Instant::now();
        let mut over: Option<(Instant, Finished)> = None;
        loop {
            for (number, request) in self.flow.take_requests() {
                let left = |afterwards| Ended { afterwards, outcome: Outcome::Left };
                match request {
                    Request::Cancel => cancel.cancel(),
                    Request::Redraw => self.consoles.redraw(),
                    Request::Keyboard(name) => {
                        if let Err(error) = system::keyboard::load(&name) {
                            self.flow.show_note(error.to_string());
                        }
                    }
                    Request::Shell => {
                        self.shell();
                        // Nothing that counts down went on meanwhile.
                        ticked = Instant::now();
                    }
                    Request::PowerOff => return left(Afterwards::PowerOff),
                    Request::Reboot => return left(Afterwards::Reboot),
                    Request::Leave => return left(Afterwards::Stay),
                    request => {
                        cancel = CancelToken::new();
                        self.number = number;
                        if self.requests.send((number, request, cancel.clone())).is_err() {
                            self.flow.show_note("The work has ended by a mistake; start the PC anew.");
                        }
                    }
                }
            }
            let flow = &self.flow;
            self.consoles.draw(|frame| flow.draw(frame));
            if let Some((since, finished)) = &over
                && since.elapsed() >= RESULT_SHOWN
            {
                return Ended { afterwards: self.afterwards, outcome: Outcome::Done(finished.clone()) };
            }
            let first = self.happenings.recv_timeout(TICK).ok();
            for happening in first.into_iter().chain(self.happenings.try_iter().collect::<Vec<_>>()) {
                match happening {
                    Happening::Key(console, key) => {
                        self.console = console;
                        // Whoever presses a key wants to read on.
                        over = None;
                        self.flow.key(key);
                    }
                    Happening::News(number, news) => {
                        match &news {
                            News::Connected | News::Over(_) => self.note_network(),
                            _ => {}
                        }
                        if let News::Over(finished) = &news
                            && self.afterwards != Afterwards::Stay
                        {
                            over = Some((Instant::now(), finished.clone()));
                        }
                        self.flow.news(number, self.with_next(news));
                    }
                }
            }
            if let Some(progress) = self.meter.progress() {
                self.flow.news(self.number, News::Progress(Progress { ..progress }));
            }
            self.flow.tick(u64::try_from(ticked.elapsed().as_millis()).unwrap_or(u64::MAX));
            ticked = Instant::now();
        }
    }

    fn note_network(&mut self) {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.flow.set_network(network_lines(server.as_deref()));
    }

    /// Says what follows by itself.
    fn with_next(&self, news: News) -> News {
        let next = match (self.afterwards, self.is_init) {
            (Afterwards::PowerOff, true) => "The PC is powered off now; a key stops that.",
            (Afterwards::Reboot, true) => "The PC is started anew now; a key stops that.",
            _ => "",
        };
        match news {
            News::Over(finished) => News::Over(Finished { next: next.to_owned(), ..finished }),
            other => other,
        }
    }

    fn shell(&mut self) {
        let ran = self.consoles.lend(self.console, system::shell::run);
        if let Some(Err(error)) = ran {
            self.flow.show_note(error.to_string());
        }
    }
}
