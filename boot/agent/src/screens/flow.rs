//! The way through the screens: which one follows which answer, and which request.

use super::about::About;
use super::confirm::Confirm;
use super::countdown::{self, Countdown};
use super::disks::Disks;
use super::finished::Done;
use super::image_name::ImageName;
use super::images::Images;
use super::keyboard::Keyboard;
use super::password::{Password, Purpose};
use super::places::Places;
use super::progress::Work;
use super::start::Start;
use super::summary::Summary;
use super::trouble::Failure;
use super::typed_place::TypedPlace;
use super::waiting::Waiting;
use super::*;
use super::{parts, text};
use std::collections::VecDeque;

/// What is known from the start.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Whether this is the init of a boot medium, and not a program of an ordinary Linux.
    pub is_init: bool,
    /// Whether the medium brings up no network, so that no share can be reached.
    pub is_local: bool,
    /// The PC's name by the profile.
    pub name: Option<String>,
    /// Why the profile is not used.
    pub problem: Option<String>,
    /// Whether a network or a server is to be reached first.
    pub connects: bool,
    /// What will be done without asking, in a sentence.
    pub unattended: Option<String>,
    /// Whether somebody may stop that before it begins.
    pub counts_down: bool,
    /// Lines of name and value about the medium.
    pub about: Vec<(String, String)>,
    /// The same about the network.
    pub network: Vec<(String, String)>,
    /// Keyboard layouts: name and title.
    pub layouts: Vec<(String, String)>,
    /// The one that is taken.
    pub layout: String,
    /// What an image is called where nobody says otherwise.
    pub image_name: String,
}

/// What a person chose so far.
#[derive(Default)]
struct Answers {
    is_backup: bool,
    disk: Option<DiskView>,
    place: Option<PlaceView>,
    holds: bool,
    /// Whether the place is looked into already.
    looked: bool,
    server_images: Option<Vec<ImageView>>,
    name: String,
    own_password: bool,
    image_password: Option<Typed>,
    image: Option<ImageView>,
    source_bytes: u64,
    image_content: Vec<String>,
    image_unreadable_bytes: u64,
}

/// The state machine.
pub struct Flow {
    facts: Facts,
    stack: Vec<Box<dyn Screen>>,
    answers: Answers,
    kept: Kept,
    requests: VecDeque<(u64, Request)>,
    /// Number of the last request; news of earlier ones are late.
    number: u64,
    last: Option<Request>,
    help: bool,
    note: Option<String>,
    warnings: Vec<String>,
    /// Said before the disks came.
    missing_drivers: Option<String>,
    /// After a wrong password of a restore: only the end is offered.
    is_ended: bool,
}

impl Flow {
    /// Begins.
    pub fn new(facts: Facts) -> Self {
        let start = Start::new(facts.name.as_deref(), facts.problem.as_deref(), facts.is_init);
        let mut flow = Self {
            stack: vec![Box::new(start)],
            facts,
            answers: Answers::default(),
            kept: Kept::default(),
            requests: VecDeque::new(),
            number: 0,
            last: None,
            help: false,
            note: None,
            warnings: Vec::new(),
            missing_drivers: None,
            is_ended: false,
        };
        match flow.facts.unattended.clone() {
            Some(what) if flow.facts.counts_down => flow.push(Countdown::new(what)),
            Some(_) => flow.begin_unattended(),
            None if flow.facts.connects => flow.wait("connecting", Request::Connect),
            None => {}
        }
        flow
    }

    /// What is to be done now, with the number that its news carry.
    pub fn take_requests(&mut self) -> Vec<(u64, Request)> {
        self.requests.drain(..).collect()
    }

    /// Other lines about the network.
    pub fn set_network(&mut self, lines: Vec<(String, String)>) {
        self.facts.network = lines;
    }

    /// Shows a sentence over the screen until the next key.
    pub fn show_note(&mut self, sentence: impl Into<String>) {
        self.note = Some(sentence.into());
    }

    /// The title of the screen that is shown, for tests and logs.
    pub fn title(&self) -> String {
        self.top().title()
    }

    fn top(&self) -> &dyn Screen {
        self.stack.last().expect("the start menu is never left").as_ref()
    }

    fn top_mut(&mut self) -> &mut Box<dyn Screen> {
        self.stack.last_mut().expect("the start menu is never left")
    }

    /// Draws the screen.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let screen = self.top();
        let subtitle = self.facts.name.as_deref().unwrap_or(concat!("version ", env!("CARGO_PKG_VERSION")));
        let area = parts::frame_around(frame, &screen.title(), &text::plain(subtitle, 30), &screen.keys());
        screen.draw(frame, area);
        if let Some(note) = &self.note {
            parts::boxed(frame, "note", note);
        }
        if self.help {
            parts::boxed(frame, "help (any key closes it)", screen.help());
        }
    }

    /// Takes a key.
    pub fn key(&mut self, key: Key) {
        // Whatever a key is for elsewhere: here it stops what would begin by itself.
        if self.top().title() == countdown::TITLE && key != Key::Enter {
            self.follow(Step::Back);
            if key == Key::F(9) {
                self.ask(Request::Shell);
            }
            return;
        }
        if key == Key::Ctrl('l') {
            return self.ask(Request::Redraw);
        }
        if self.help || self.note.is_some() {
            self.help = false;
            self.note = None;
            return;
        }
        match key {
            Key::F(1) => self.help = true,
            Key::F(2) if !self.top().waits() && self.top().title() != "keyboard layout" => self.push_keyboard(),
            Key::F(9) => self.ask(Request::Shell),
            // Nothing is killed by a key.
            Key::Ctrl('c') => {}
            key => {
                let step = self.top_mut().key(key);
                self.follow(step);
            }
        }
    }

    /// So many milliseconds passed.
    pub fn tick(&mut self, passed_ms: u64) {
        let step = self.top_mut().tick(passed_ms);
        self.follow(step);
    }

    /// Takes news of a request's work.
    pub fn news(&mut self, number: u64, news: News) {
        if number != self.number || !self.top().waits() {
            return;
        }
        match news {
            News::Told(_) | News::Claim { .. } | News::Progress(_) => self.top_mut().news(&news),
            News::Warning(ref text) => {
                self.warnings.push(text.clone());
                self.top_mut().news(&news);
            }
            News::Connected => {
                self.pop();
                if !self.warnings.is_empty() {
                    let told = std::mem::take(&mut self.warnings);
                    self.show_note(told.join("\n\n"));
                }
            }
            News::MissingDrivers(sentence) => self.missing_drivers = Some(sentence),
            News::Disks(disks) => {
                self.pop();
                let missing = self.missing_drivers.take();
                self.replace_or_push(match self.answers.is_backup {
                    true => Disks::source(disks, missing),
                    false => Disks::target(disks, self.answers.source_bytes, missing),
                });
            }
            News::Places(places, notes) => {
                self.pop();
                // An image cannot be stored on the disk that it is made of.
                let source = self.answers.disk.as_ref().filter(|_| self.answers.is_backup).map(|disk| &disk.path);
                let places = places.into_iter().filter(|place| place.disk.is_none() || place.disk.as_ref() != source);
                self.replace_or_push(Places::new(places.collect(), notes, self.answers.is_backup, &self.facts));
            }
            News::Looked { holds, images } => {
                self.pop();
                self.looked(holds, images);
            }
            News::Opened(images) => {
                self.pop();
                self.opened(images);
            }
            News::WrongPassword if self.answers.is_backup => {
                self.pop();
                self.top_mut().news(&News::WrongPassword);
            }
            News::WrongPassword => {
                self.is_ended = true;
                let sentence = "The password is wrong: it opens nothing. This restore ends here; no disk was opened or changed. Start the PC anew to try again.";
                self.fail(Trouble { sentence: sentence.to_owned(), is_final: true });
            }
            News::Certified { source_bytes, content, unreadable_bytes } => {
                self.pop();
                self.answers.source_bytes = source_bytes;
                self.answers.image_content = content;
                self.answers.image_unreadable_bytes = unreadable_bytes;
                self.wait("looking for disks", Request::ListDisks);
            }
            News::Finished(mut finished) | News::Over(mut finished) => {
                self.pop();
                // What was said on the way is said again at the end.
                let told = std::mem::take(&mut self.warnings);
                finished
                    .warnings
                    .extend(told.into_iter().filter(|told| !finished.warnings.contains(told)).collect::<Vec<_>>());
                let onward = self.ends(vec![Onward::Menu]);
                self.push(Done::new(finished, onward));
            }
            News::Failed(trouble) => self.fail(trouble),
        }
    }

    fn ends(&self, mut first: Vec<Onward>) -> Vec<Onward> {
        match self.facts.is_init {
            true => first.extend([Onward::PowerOff, Onward::Reboot, Onward::Shell]),
            false => first.push(Onward::Leave),
        }
        first
    }

    fn fail(&mut self, trouble: Trouble) {
        self.pop();
        self.warnings.clear();
        if trouble.is_final {
            self.stack.truncate(1);
            self.answers = Answers::default();
        }
        let mut first = Vec::new();
        if !trouble.is_final {
            if self.last.is_some() {
                first.push(Onward::Retry);
            }
            first.push(Onward::Back);
            if self.stack.len() > 1 {
                first.push(Onward::Menu);
            }
        }
        let onward = self.ends(first);
        self.push(Failure::new(trouble.sentence, trouble.is_final, onward));
    }

    fn push(&mut self, screen: impl Screen + 'static) {
        self.stack.push(Box::new(screen));
    }

    /// A list that was looked for again takes the place of the old one.
    fn replace_or_push(&mut self, screen: impl Screen + 'static) {
        if self.stack.len() > 1 && self.top().title() == screen.title() {
            self.stack.pop();
        }
        self.push(screen);
    }

    fn pop(&mut self) {
        if self.stack.len() > 1
            && let Some(screen) = self.stack.pop()
        {
            screen.keep(&mut self.kept);
        }
    }

    fn ask(&mut self, request: Request) {
        // Requests that no news answer take no number.
        self.requests.push_back((self.number, request));
    }

    fn send(&mut self, request: Request) {
        self.number += 1;
        self.last = Some(request.clone());
        self.requests.push_back((self.number, request));
    }

    /// Sends a request and waits for its news.
    fn wait(&mut self, title: &'static str, request: Request) {
        self.push(Waiting::new(title));
        self.send(request);
    }

    fn begin_unattended(&mut self) {
        self.push(Work::new("working by itself"));
        self.send(Request::Unattended);
    }

    fn push_keyboard(&mut self) {
        self.push(Keyboard::new(self.facts.layouts.clone(), &self.facts.layout));
    }

    fn follow(&mut self, step: Step) {
        match step {
            Step::Stay => {}
            Step::Back => {
                if self.top().waits() {
                    self.ask(Request::Cancel);
                    // What it still tells is late.
                    self.number += 1;
                }
                let was_countdown = self.top().title() == countdown::TITLE;
                self.pop();
                if was_countdown && self.facts.connects {
                    self.wait("connecting", Request::Connect);
                }
            }
            Step::Ask(Request::Cancel) => self.ask(Request::Cancel),
            Step::Ask(request) => {
                let title = match request {
                    Request::ListDisks => "looking for disks",
                    Request::ListPlaces => "looking for places",
                    _ => "connecting",
                };
                self.wait(title, request);
            }
            Step::Answer(answer) => self.answer(answer),
        }
    }

    fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::Start(choice) => self.start(choice),
            Answer::Disk(disk) => {
                let is_empty = disk.is_empty;
                self.answers.disk = Some(disk.clone());
                match (self.answers.is_backup, is_empty) {
                    (true, _) => self.wait("looking for places", Request::ListPlaces),
                    (false, true) => self.summarise(),
                    (false, false) => self.push(Confirm::new(disk)),
                }
            }
            Answer::Type(kind) => self.push(TypedPlace::new(kind, &self.kept)),
            Answer::AskPassword { host, share, folder, user } => {
                self.kept.typed.retain(|(of, _)| *of != TypedKind::Smb);
                self.kept.typed.push((TypedKind::Smb, vec![host, share, folder, user]));
                self.push(TypedPlace::password(&self.kept));
            }
            Answer::Place(place) => {
                let location = place.location.clone();
                self.answers.place = Some(place);
                self.wait("looking there", Request::Look(location));
            }
            Answer::Name { name, own_password } => {
                self.answers.name = name;
                self.answers.own_password = own_password;
                self.answers.image_password = None;
                self.push(match self.answers.holds {
                    true => Password::new(Purpose::Repository, &self.facts.layout),
                    false => Password::new(Purpose::NewRepository, &self.facts.layout),
                });
            }
            Answer::Password(typed) => self.password(typed),
            Answer::Image(image) => {
                let is_open = self.answers.server_images.is_none();
                let is_protected = image.is_protected;
                self.answers.image = Some(image.clone());
                match (is_open, is_protected) {
                    (false, _) => self.push(Password::new(Purpose::RestoreRepository, &self.facts.layout)),
                    (true, true) => self.push(Password::new(Purpose::RestoreImage, &self.facts.layout)),
                    (true, false) => self.wait("opening the image", Request::Certify(image, None)),
                }
            }
            Answer::Confirmed => self.summarise(),
            Answer::Go { verify } => self.go(verify),
            Answer::Onward(onward) => self.onward(onward),
            Answer::Keyboard(name) => {
                self.pop();
                self.facts.layout.clone_from(&name);
                self.top_mut().news(&News::Told(name.clone()));
                self.ask(Request::Keyboard(name));
            }
            Answer::CountdownOver => {
                self.pop();
                self.begin_unattended();
            }
        }
    }

    fn start(&mut self, choice: StartChoice) {
        self.answers = Answers { is_backup: choice == StartChoice::Backup, ..Answers::default() };
        match choice {
            StartChoice::Backup => self.wait("looking for disks", Request::ListDisks),
            StartChoice::Restore => self.wait("looking for places", Request::ListPlaces),
            StartChoice::Keyboard => self.push_keyboard(),
            StartChoice::Network => {
                let lines = self.facts.network.clone();
                self.push(About::new("network and server", lines, self.facts.connects));
            }
            StartChoice::About => {
                let lines = self.facts.about.clone();
                self.push(About::new("about this medium", lines, false));
            }
            StartChoice::Shell => self.ask(Request::Shell),
            StartChoice::Reboot => self.ask(Request::Reboot),
            StartChoice::PowerOff => self.ask(Request::PowerOff),
            StartChoice::Leave => self.ask(Request::Leave),
        }
    }

    fn looked(&mut self, holds: bool, images: Option<Vec<ImageView>>) {
        self.answers.holds = holds;
        self.answers.looked = true;
        self.answers.server_images = images.clone();
        if self.answers.is_backup {
            return self.push(ImageName::new(&self.facts.image_name, &self.kept, holds));
        }
        if !holds {
            let place = self.answers.place.as_ref().map(|place| place.title.clone()).unwrap_or_default();
            // Nothing is under way: a screen of trouble stands on the list of places.
            self.last = None;
            self.push(Waiting::new(""));
            return self.fail(Trouble {
                sentence: format!(
                    "{place}: there is no repository, so there is no image to restore; choose another place."
                ),
                is_final: false,
            });
        }
        match images {
            Some(images) => self.push(Images::new(images, &self.kept)),
            None => self.push(Password::new(Purpose::RestoreRepository, &self.facts.layout)),
        }
    }

    fn password(&mut self, typed: Typed) {
        let asks_image =
            self.top().title() == "password of this backup" || self.top().title() == "password of the image";
        match (self.answers.is_backup, asks_image) {
            (true, true) => {
                self.answers.image_password = Some(typed);
                self.summarise();
            }
            // Made or opened now: a repository that cannot be is known of before the summary.
            (true, false) if !self.answers.holds => self.wait("making the repository", Request::Make(typed)),
            (_, false) => self.wait("checking the password", Request::Open(typed)),
            (false, true) => {
                let Some(image) = self.answers.image.clone() else { return };
                self.answers.image_password = Some(typed.clone());
                self.wait("checking the password", Request::Certify(image, Some(typed)));
            }
        }
    }

    /// The repository is open.
    fn opened(&mut self, images: Vec<ImageView>) {
        if self.answers.is_backup {
            // Back and on again must not make a second one.
            self.answers.holds = true;
            return match self.answers.own_password {
                true => self.push(Password::new(Purpose::NewImage, &self.facts.layout)),
                false => self.summarise(),
            };
        }
        if self.answers.server_images.is_none() {
            return self.push(Images::new(images, &self.kept));
        }
        let Some(chosen) = self.answers.image.clone() else { return };
        // What the server lists is known better now.
        let image = images.into_iter().find(|image| image.id == chosen.id).unwrap_or(chosen);
        self.answers.image = Some(image.clone());
        match image.is_protected {
            true => self.push(Password::new(Purpose::RestoreImage, &self.facts.layout)),
            false => self.wait("opening the image", Request::Certify(image, None)),
        }
    }

    fn summarise(&mut self) {
        let answers = &self.answers;
        let (Some(disk), Some(place)) = (&answers.disk, &answers.place) else { return };
        let disk_line =
            format!("{}  {}  {}", disk.path.display(), text::size(disk.bytes), text::plain(&disk.model, 40));
        let row = |name: &str, value: String| (name.to_owned(), value);
        if answers.is_backup {
            let lines = vec![
                row("Back up", disk_line),
                row("", answers.disk.as_ref().map(|disk| disk.content.join("\n")).unwrap_or_default()),
                row("To", place.title.clone()),
                row("As", answers.name.clone()),
                row("Own password", if answers.image_password.is_some() { "yes" } else { "no" }.to_owned()),
                row("The disk", "is only read; what no filesystem uses is left out".to_owned()),
            ];
            return self.push(Summary::new(lines, None, false));
        }
        let Some(image) = &answers.image else { return };
        let mut lines = vec![
            row("Restore", format!("{}  {}  {}", image.name, image.time, &image.id.get(..8).unwrap_or(&image.id))),
            row("", answers.image_content.join("\n")),
            row("From", place.title.clone()),
            row("Onto", disk_line),
        ];
        if answers.image_unreadable_bytes > 0 {
            let bytes = text::size(answers.image_unreadable_bytes);
            lines.push(row(
                "Not complete",
                format!("{bytes} could not be read when the image was made; they become zeros"),
            ));
        }
        let warning = (!disk.is_empty).then(|| format!("What is on {} now will be lost.", disk.short_name()));
        self.push(Summary::new(lines, warning, true));
    }

    fn go(&mut self, verify: bool) {
        let answers = &self.answers;
        let Some(disk) = answers.disk.clone() else { return };
        self.warnings.clear();
        if answers.is_backup {
            let image_password = answers.image_password.clone();
            let order = BackupOrder { disk, name: answers.name.clone(), image_password };
            self.push(Work::new("backup"));
            return self.send(Request::Backup(order));
        }
        let Some(image) = answers.image.clone() else { return };
        let order = RestoreOrder { image, target: disk, image_password: answers.image_password.clone(), verify };
        self.push(Work::new("restore"));
        self.send(Request::Restore(order));
    }

    fn onward(&mut self, onward: Onward) {
        match onward {
            Onward::Retry => {
                self.pop();
                if let Some(request) = self.last.clone() {
                    match request {
                        Request::Backup(_) => self.push(Work::new("backup")),
                        Request::Restore(_) => self.push(Work::new("restore")),
                        Request::Unattended => self.push(Work::new("working by itself")),
                        Request::Connect => self.push(Waiting::new("connecting")),
                        _ => self.push(Waiting::new("trying again")),
                    }
                    self.send(request);
                }
            }
            Onward::Back => self.pop(),
            Onward::Menu if !self.is_ended => {
                self.stack.truncate(1);
                self.answers = Answers::default();
            }
            Onward::Menu => {}
            Onward::Shell => self.ask(Request::Shell),
            Onward::Reboot => self.ask(Request::Reboot),
            Onward::PowerOff => self.ask(Request::PowerOff),
            Onward::Leave => self.ask(Request::Leave),
        }
    }
}
