//! Every screen drawn, and every way through, by keys and news alone.

use super::*;
use crate::terminal::Key;
use holotype_boot::profile::Place;
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

/// Facts of a boot medium for a PC.
pub(super) fn medium() -> Facts {
    let row = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Facts {
        is_init: true,
        name: Some("pc-07".into()),
        about: vec![row("Program", "Holotype"), row("Made for", "pc-07"), row("Server", "https://backup.example:7443")],
        network: vec![
            row("eth0", "52:54:00:12:34:56 (e1000e), connected, 192.168.1.57/24"),
            row("Server", "not connected"),
        ],
        layouts: vec![
            ("us".into(), "English (US)".into()),
            ("de".into(), "German".into()),
            ("fr".into(), "French".into()),
        ],
        layout: "us".into(),
        image_name: "pc-07".into(),
        ..Facts::default()
    }
}

pub(super) fn disks() -> Vec<DiskView> {
    let disk = |name: &str, model: &str, serial: &str, bytes: u64| DiskView {
        path: format!("/dev/{name}").into(),
        model: model.into(),
        serial: serial.into(),
        bus: "ata-1".into(),
        bytes,
        is_empty: true,
        ..DiskView::default()
    };
    let full = DiskView {
        content: vec![
            "partition 1: vfat  536.9 MB  \"EFI\"".into(),
            "partition 2: ext4  255.0 GB  \"system\"".into(),
            "partition 3: swap  1.0 GB".into(),
        ],
        is_empty: false,
        ..disk("sda", "Samsung SSD 870", "S5Y1NG0R", 256_060_514_304)
    };
    let medium = DiskView { is_medium: true, is_empty: false, ..disk("sdc", "USB DISK 3.0", "0701", 8_000_000_000) };
    vec![full, disk("sdb", "WDC WD10EZEX", "WD-WCC6Y", 1_000_204_886_016), medium]
}

pub(super) fn places() -> Vec<PlaceView> {
    let place = |title: &str, detail: &str, place: Place| PlaceView {
        title: title.into(),
        detail: detail.into(),
        location: Location::Place(place),
        disk: None,
    };
    let partition = Place::Partition { uuid: "1234-ABCD".into(), folder: "holotype".into() };
    vec![
        place("server: lab", "https://backup.example:7443", Place::Server { repository: "lab".into() }),
        place("this medium", "its data partition, 7.5 GB", Place::Medium),
        place("/dev/sdd1 \"BACKUPS\"", "exfat, 2.0 TB", partition),
    ]
}

pub(super) fn images() -> Vec<ImageView> {
    let image = |id: &str, name: &str, time: &str, is_own: bool| ImageView {
        id: id.repeat(8),
        name: name.into(),
        time: time.into(),
        source_bytes: 256_060_514_304,
        is_own,
        is_protected: false,
    };
    vec![
        image("7c1f09aa", "room-3/pc-07", "2026-11-20 18:02", true),
        image("02be44d1", "room-3/pc-07", "2026-11-13 18:01", true),
        image("91a0c3e7", "master/office", "2026-10-02 09:30", false),
    ]
}

/// A flow with its console.
pub(super) struct Sitting {
    pub flow: Flow,
    terminal: Terminal<TestBackend>,
    asked: Vec<(u64, Request)>,
}

impl Sitting {
    pub fn new(facts: Facts) -> Self {
        let terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        Self { flow: Flow::new(facts), terminal, asked: Vec::new() }
    }

    /// What is shown now.
    pub fn shown(&mut self) -> String {
        let flow = &self.flow;
        self.terminal.draw(|frame| flow.draw(frame)).unwrap();
        let buffer = self.terminal.backend().buffer();
        let mut text = String::new();
        for y in 0..24 {
            (0..80).for_each(|x| text.push_str(buffer[(x, y)].symbol()));
            text.push('\n');
        }
        text
    }

    pub fn buffer(&mut self) -> ratatui::buffer::Buffer {
        self.shown();
        self.terminal.backend().buffer().clone()
    }

    #[track_caller]
    pub fn see(&mut self, what: &str) -> &mut Self {
        let shown = self.shown();
        let flat: String = shown.replace(['\n', '│'], " ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(shown.contains(what) || flat.contains(what), "`{what}` is not on:\n{shown}");
        self
    }

    pub fn press(&mut self, keys: &[Key]) -> &mut Self {
        for key in keys {
            self.flow.key(*key);
            self.asked.extend(self.flow.take_requests());
        }
        self
    }

    pub fn type_text(&mut self, text: &str) -> &mut Self {
        let keys: Vec<Key> = text.chars().map(Key::Char).collect();
        self.press(&keys)
    }

    pub fn enter(&mut self) -> &mut Self {
        self.press(&[Key::Enter])
    }

    /// The last request, with its number.
    #[track_caller]
    pub fn asked(&mut self) -> (u64, Request) {
        self.asked.extend(self.flow.take_requests());
        self.asked.last().cloned().expect("nothing was asked for")
    }

    /// Answers the last request.
    pub fn news(&mut self, news: News) -> &mut Self {
        let (number, _) = self.asked();
        self.flow.news(number, news);
        self
    }

    /// To the summary of a backup.
    pub fn go_to_backup_password(&mut self, holds: bool) -> &mut Self {
        self.enter().news(News::Disks(disks())).enter();
        self.news(News::Places(places(), Vec::new())).enter();
        self.news(News::Looked { holds, images: Some(images()) }).enter()
    }

    pub fn go_to_restore_images(&mut self) -> &mut Self {
        self.press(&[Key::Down, Key::Enter]).news(News::Places(places(), Vec::new())).enter();
        self.news(News::Looked { holds: true, images: Some(images()) })
    }

    pub fn go_to_target(&mut self) -> &mut Self {
        self.go_to_restore_images().enter().type_text("the password").enter().news(News::Opened(images()));
        let content = vec!["partition 1: ext4  255.0 GB".to_owned()];
        self.news(News::Certified { source_bytes: 256_060_514_304, content, unreadable_bytes: 0 });
        self.news(News::Disks(disks()))
    }
}

pub(super) fn finished(unreadable_bytes: u64) -> Finished {
    let row = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Finished {
        what: "Backup".into(),
        lines: vec![
            row("Image", &"7c1f09aa".repeat(8)),
            row("Name", "pc-07"),
            row("Disk", "256.1 GB"),
            row("Read", "41.2 GB; 214.0 GB were in use by nothing"),
            row("Stored", "17.9 GB new"),
            row("Time", "6 min 12 s"),
        ],
        warnings: Vec::new(),
        unreadable_bytes,
        next: String::new(),
    }
}

pub(super) fn progress(stage: &str, done_bytes: u64, elapsed_ms: u64) -> News {
    let total_bytes = Some(256_060_514_304);
    News::Progress(Progress { stage: stage.into(), done_bytes, total_bytes, elapsed_ms })
}

#[test]
fn a_backup_to_a_new_repository() {
    let mut sitting = Sitting::new(medium());
    sitting.see("Back up this PC").see("pc-07").enter().see("Please wait");
    assert!(matches!(sitting.asked().1, Request::ListDisks));
    sitting.news(News::Disks(disks())).see("Samsung SSD 870").see("S5Y1NG0R").see("partition 2: ext4");
    sitting.see("this boot medium").enter();
    assert!(matches!(sitting.asked().1, Request::ListPlaces));
    sitting
        .news(News::Places(places(), vec!["The list is short.".into()]))
        .see("server: lab")
        .see("The list is short.");
    sitting.see("An NFS share").enter();
    assert!(matches!(sitting.asked().1, Request::Look(Location::Place(Place::Server { .. }))));
    sitting.news(News::Looked { holds: false, images: None }).see("There is no repository yet").see("pc-07");
    sitting.press(&[Key::Tab, Key::Char(' '), Key::Enter]).see("Choose a password for the new repository");
    // Too short, not the same, then right.
    sitting.type_text("short").enter().type_text("short").enter().see("take 8 or more");
    sitting.press(&[Key::Ctrl('u')]).type_text("one password").see("Strength");
    sitting.enter().see("The same again").press(&[Key::Ctrl('u')]).type_text("another").enter().see("not the same");
    assert!(!sitting.shown().contains("one password"), "it is not shown");
    sitting.type_text("one password").enter().type_text("one password").enter();
    let Request::Make(typed) = sitting.asked().1 else { panic!() };
    assert_eq!(typed.0.expose(), b"one password");
    sitting.news(News::Opened(Vec::new())).see("password for this backup alone");
    sitting.type_text("its own one").enter().type_text("its own one").enter().see("Back up").see("/dev/sda");
    sitting.see("Own password        yes").enter();
    let Request::Backup(order) = sitting.asked().1 else { panic!() };
    assert_eq!((order.name.as_str(), order.disk.short_name().as_str()), ("pc-07", "sda"));
    assert_eq!(order.image_password.unwrap().0.expose(), b"its own one");
    sitting.news(progress("backup", 0, 0)).news(progress("backup", 64_015_128_576, 60_000));
    sitting.see("25 %").see("1.1 GB/s").see("about 3 min 0 s left");
    sitting.news(News::Warning("a sector is bad".into())).see("a sector is bad");
    sitting.news(News::Finished(finished(0))).see("everything was done").see("7c1f09aa").see("Note: a sector is bad");
    sitting.press(&[Key::Down, Key::Enter]);
    assert!(matches!(sitting.asked().1, Request::PowerOff));
}

#[test]
fn a_wrong_password_of_a_backup_may_be_typed_again() {
    let mut sitting = Sitting::new(medium());
    sitting.go_to_backup_password(true).see("Type the password of the repository").type_text("wrong").enter();
    sitting.news(News::WrongPassword).see("opens nothing here").type_text("right").enter();
    sitting.news(News::Opened(images())).see("this will happen");
}

#[test]
fn unreadable_sectors_are_said_loudly() {
    let mut sitting = Sitting::new(medium());
    sitting.go_to_backup_password(true).type_text("password").enter().news(News::Opened(images())).enter();
    sitting.news(News::Finished(finished(4096))).see("NOT COMPLETE").see("could NOT BE READ");
}

#[test]
fn a_restore_onto_a_disk_that_is_not_empty() {
    let mut sitting = Sitting::new(medium());
    sitting.go_to_restore_images().see("* room-3/pc-07").see("2026-11-20").type_text("OFFICE").see("1 of 3 images");
    sitting.press(&[Key::Ctrl('u')]).enter().see("ends this restore").type_text("the password").enter();
    assert!(matches!(sitting.asked().1, Request::Open(_)));
    sitting.news(News::Opened(images()));
    assert!(matches!(sitting.asked().1, Request::Certify(_, None)));
    let content = vec!["partition 1: ext4  255.0 GB".to_owned()];
    sitting.news(News::Certified { source_bytes: 256_060_514_304, content, unreadable_bytes: 512 });
    sitting.news(News::Disks(disks())).see("is lost");
    assert!(!sitting.shown().contains("boot medium"), "the medium is never offered");
    sitting.enter().see("EVERYTHING on sda").see("partition 2: ext4");
    sitting.type_text("sdb").enter().see("neither sda nor yes").press(&[Key::Ctrl('u')]).type_text("sda").enter();
    sitting.see("Onto").see("will be lost").see("512 B could not be read").type_text("v").see("[x] V").enter();
    let Request::Restore(order) = sitting.asked().1 else { panic!() };
    assert!(order.verify && order.target.short_name() == "sda" && order.image.id.starts_with("7c1f09aa"));
    sitting.news(progress("restore", 1 << 30, 9_000)).news(progress("verify", 1 << 20, 1_000)).see("restore  done");
    let restored = Finished { what: "Restore".into(), ..finished(0) };
    sitting.news(News::Finished(restored)).see("Restore: everything was done");
}

#[test]
fn an_empty_disk_needs_no_confirmation() {
    let mut sitting = Sitting::new(medium());
    sitting.go_to_target().press(&[Key::Down, Key::Enter]).see("this will happen").see("/dev/sdb");
}

#[test]
fn a_wrong_password_of_a_restore_is_the_end() {
    for protected in [false, true] {
        let mut sitting = Sitting::new(medium());
        sitting.go_to_restore_images().enter().type_text("wrong").enter();
        if protected {
            let images = images().into_iter().map(|image| ImageView { is_protected: true, ..image }).collect();
            sitting.news(News::Opened(images)).see("password of the image").type_text("wrong").enter();
            assert!(matches!(sitting.asked().1, Request::Certify(_, Some(_))));
        }
        sitting.news(News::WrongPassword).see("The password is wrong").see("no disk was opened");
        let shown = sitting.shown();
        assert!(!shown.contains("Try again") && !shown.contains("start menu") && !shown.contains("Go back"), "{shown}");
        sitting.see("Power off").see("Rescue shell").press(&[Key::Esc, Key::Esc]).see("The password is wrong");
        sitting.enter();
        assert!(matches!(sitting.asked().1, Request::PowerOff));
    }
}

#[test]
fn a_local_repository_is_opened_before_its_images_are_listed() {
    let mut sitting = Sitting::new(medium());
    sitting.press(&[Key::Down, Key::Enter]).news(News::Places(places(), Vec::new())).press(&[Key::Down, Key::Enter]);
    sitting.news(News::Looked { holds: true, images: None }).type_text("the password").enter();
    sitting.news(News::Opened(images())).see("which image?").enter();
    assert!(matches!(sitting.asked().1, Request::Certify(_, None)));
}

#[test]
fn what_is_not_there_is_said_with_a_way_on() {
    let mut sitting = Sitting::new(medium());
    sitting.press(&[Key::Down, Key::Enter]).news(News::Places(places(), Vec::new())).enter();
    sitting.news(News::Looked { holds: false, images: None }).see("there is no repository").enter().see("where from?");
    let mut sitting = Sitting::new(medium());
    sitting.enter().news(News::Disks(Vec::new())).see("No disk was found").press(&[Key::F(5)]);
    assert!(matches!(sitting.asked().1, Request::ListDisks));
    sitting.news(News::Disks(disks())).see("Samsung").press(&[Key::Esc]).see("Back up this PC");
}

#[test]
fn devices_without_a_driver_are_named() {
    let missing = "this medium has no driver for a device of this PC (RAID controller, PCI 1000:0016, class 0104). Make the medium with all drivers (--modules all), with firmware (--firmware), or with a newer kernel.";
    let only_medium: Vec<DiskView> = disks().into_iter().filter(|disk| disk.is_medium).collect();
    for found in [Vec::new(), only_medium] {
        let mut sitting = Sitting::new(medium());
        sitting.enter().news(News::MissingDrivers(missing.into())).news(News::Disks(found));
        sitting.see("RAID controller, PCI 1000:0016, class 0104").see("--modules all").see("F5: look again");
        // The next look finds it: nothing is said any more.
        sitting.press(&[Key::F(5)]).news(News::Disks(disks())).see("Samsung");
        assert!(!sitting.shown().contains("no driver"));
    }
    // The same where a disk to write to is looked for.
    let mut sitting = Sitting::new(medium());
    sitting.go_to_restore_images().enter().type_text("the password").enter().news(News::Opened(images()));
    sitting.news(News::Certified { source_bytes: 1, content: Vec::new(), unreadable_bytes: 0 });
    sitting.news(News::MissingDrivers(missing.into())).news(News::Disks(Vec::new()));
    sitting.see("No disk was found: this medium has no driver").press(&[Key::Esc, Key::Esc]);
}

#[test]
fn a_target_that_is_too_small_is_told_before_and_after() {
    let mut sitting = Sitting::new(medium());
    sitting.go_to_restore_images().enter().type_text("the password").enter().news(News::Opened(images()));
    sitting.news(News::Certified { source_bytes: 2_000_000_000_000, content: Vec::new(), unreadable_bytes: 0 });
    sitting.news(News::Disks(disks())).see("The image is of a disk of 2.0 TB").press(&[Key::Down, Key::Enter]);
    // It may fit, where the end of the imaged disk is not used: the library looks before it writes.
    sitting.see("this will happen").enter();
    let sentence = "/dev/sdb: the image needs 2.0 TB, and it has 1.0 TB; give a larger disk";
    sitting.news(News::Failed(Trouble { sentence: sentence.into(), is_final: false }));
    sitting.see("give a larger disk").see("Try again").see("Go back").see("start menu").see("Power off");
}

#[test]
fn an_unknown_machine_that_works_by_itself_shows_its_fingerprint() {
    let facts = Facts { unattended: Some("This PC asks the server what to do, and does it.".into()), ..medium() };
    let mut sitting = Sitting::new(Facts { counts_down: false, connects: true, ..facts });
    assert!(matches!(sitting.asked().1, Request::Unattended));
    let state = "the server did not take the medium's enrolment code; waiting for the operator";
    sitting.news(News::Claim { fingerprint: "ABCD-EFGH".into(), state: state.into() });
    sitting.see("ABCD-EFGH").see("Tell the server's operator").see("did not take the medium's enrolment code");
    // It can be stopped.
    sitting.press(&[Key::Esc]).see("Shall it be stopped?").press(&[Key::Char('y')]);
    assert!(matches!(sitting.asked().1, Request::Cancel));
    sitting.see("Stopping");
    let sentence = "https://b: nobody waits any longer for an operator to let this PC in";
    let (number, _) = sitting.asked();
    sitting.flow.news(number, News::Failed(Trouble { sentence: sentence.into(), is_final: false }));
    sitting.see("nobody waits any longer").see("Try again").see("Go back").see("Power off");
    // Tried again and let in, it goes on.
    sitting.enter().news(News::Claim { fingerprint: "ABCD-EFGH".into(), state: "waiting".into() }).see("ABCD-EFGH");
    sitting.news(News::Told("connected to the server".into())).see("connected to the server");
    assert!(!sitting.shown().contains("ABCD-EFGH"));
}

#[test]
fn a_server_that_goes_in_the_middle_is_told_with_what_to_do() {
    let mut sitting = Sitting::new(medium());
    sitting.go_to_backup_password(true).type_text("password").enter().news(News::Opened(images())).enter();
    sitting.news(progress("backup", 64_015_128_576, 60_000));
    sitting
        .news(News::Told("waiting for the server, for up to 4 min 50 s: https://b: the server gave no answer".into()));
    sitting.see("waiting for the server, for up to 4 min 50 s").see("25 %").see("Esc: stop");
    sitting.news(News::Told("the server answers again".into())).see("answers again");
    let sentence =
        "https://b/lab: the server could not be reached for 300 s; check the address, and that the server runs";
    sitting.news(News::Failed(Trouble { sentence: sentence.into(), is_final: false })).see("could not be reached");
    sitting.see("Try again").see("Go back").see("start menu").enter();
    assert!(matches!(sitting.asked().1, Request::Backup(_)));
}

#[test]
fn esc_goes_back_and_keeps_what_was_typed() {
    let mut sitting = Sitting::new(medium());
    sitting.enter().news(News::Disks(disks())).enter().news(News::Places(places(), Vec::new()));
    sitting.press(&[Key::Down, Key::Down, Key::Down, Key::Enter]).see("an NFS share").type_text("nas.example").enter();
    sitting.type_text("/srv/images").press(&[Key::Esc]).see("where to?").enter().see("nas.example").see("/srv/images");
    sitting.press(&[Key::Tab, Key::Tab, Key::Enter]);
    let Request::Look(Location::Place(Place::Nfs { host, export, folder })) = sitting.asked().1 else { panic!() };
    assert_eq!((host.as_str(), export.as_str(), folder.as_str()), ("nas.example", "/srv/images", ""));
    sitting.news(News::Looked { holds: true, images: None }).press(&[Key::End]).type_text("-monday");
    sitting.press(&[Key::Esc]).see("an NFS share").see("nas.example").enter();
    sitting.news(News::Looked { holds: true, images: None }).see("pc-07-monday");
}

#[test]
fn a_failure_can_be_tried_again() {
    let mut sitting = Sitting::new(medium());
    sitting.go_to_backup_password(true).type_text("password").enter().news(News::Opened(images())).enter();
    let trouble = Trouble { sentence: "https://x: the server gave no answer".into(), is_final: false };
    sitting.news(News::Failed(trouble.clone())).see("gave no answer").enter();
    assert!(matches!(sitting.asked().1, Request::Backup(_)));
    sitting.news(News::Failed(trouble)).press(&[Key::Down, Key::Enter]).see("this will happen");
}

#[test]
fn stopping_is_asked_for_once() {
    let mut sitting = Sitting::new(medium());
    sitting.go_to_backup_password(true).type_text("password").enter().news(News::Opened(images())).enter();
    sitting.press(&[Key::Esc]).see("Shall it be stopped?").press(&[Key::Char('n')]);
    assert!(matches!(sitting.asked().1, Request::Backup(_)), "it goes on");
    sitting.press(&[Key::Ctrl('c'), Key::Esc, Key::Char('y')]).see("Stopping");
    let (number, request) = sitting.asked();
    assert!(matches!(request, Request::Cancel));
    sitting.flow.news(number, News::Failed(Trouble { sentence: "the backup was stopped".into(), is_final: false }));
    sitting.see("was stopped");
}

#[test]
fn keys_that_every_screen_knows() {
    let mut sitting = Sitting::new(medium());
    sitting.press(&[Key::F(1)]).see("Move with the arrow keys").press(&[Key::Enter]).see("start");
    sitting.press(&[Key::F(9)]);
    assert!(matches!(sitting.asked().1, Request::Shell));
    sitting.press(&[Key::Ctrl('l')]);
    assert!(matches!(sitting.asked().1, Request::Redraw));
    sitting.go_to_backup_password(true).press(&[Key::F(2)]).see("German").press(&[Key::Char('d'), Key::Enter]);
    assert!(matches!(sitting.asked().1, Request::Keyboard(name) if name == "de"));
    sitting.see("Keyboard layout: de");
    sitting.flow.show_note("it cannot be taken");
    sitting.see("it cannot be taken").press(&[Key::Char('x')]).see("Keyboard layout: de");
}

#[test]
fn late_news_are_not_mistaken() {
    let mut sitting = Sitting::new(medium());
    sitting.enter();
    let (number, _) = sitting.asked();
    sitting.press(&[Key::Esc]).see("Back up this PC");
    sitting.flow.news(number, News::Disks(disks()));
    sitting.see("Back up this PC");
}

#[test]
fn a_machine_that_the_server_does_not_know_shows_its_fingerprint() {
    let mut sitting = Sitting::new(Facts { connects: true, ..medium() });
    assert!(matches!(sitting.asked().1, Request::Connect));
    sitting.news(News::Told("asking for an address".into())).see("asking for an address");
    sitting.news(News::Claim { fingerprint: "ABCD-EFGH".into(), state: "waiting for the operator".into() });
    sitting.see("ABCD-EFGH").see("Tell the server's operator").news(News::Connected).see("Back up this PC");
}

#[test]
fn unattended_work_begins_after_a_countdown_and_a_key_stops_it() {
    let facts = Facts { unattended: Some("A backup of the disk of this PC will be made.".into()), ..medium() };
    let facts = Facts { counts_down: true, connects: true, ..facts };
    let mut sitting = Sitting::new(facts.clone());
    sitting.see("It starts in 10 seconds").see("A backup of the disk");
    sitting.flow.tick(9_000);
    sitting.see("1 seconds");
    sitting.flow.tick(1_000);
    assert!(matches!(sitting.asked().1, Request::Unattended));
    sitting.news(progress("backup", 5, 5)).news(News::Over(finished(0))).see("everything was done");
    let mut sitting = Sitting::new(facts.clone());
    sitting.press(&[Key::Char('x')]);
    assert!(matches!(sitting.asked().1, Request::Connect));
    sitting.news(News::Connected).see("Back up this PC");
    // Also keys that are for something else elsewhere, however long that takes.
    for key in [Key::Ctrl('c'), Key::Ctrl('l'), Key::F(1), Key::F(2), Key::Esc] {
        let mut sitting = Sitting::new(facts.clone());
        sitting.press(&[key]).flow.tick(60_000);
        assert!(matches!(sitting.asked().1, Request::Connect), "{key:?}");
    }
    let mut sitting = Sitting::new(facts);
    sitting.press(&[Key::F(9)]).flow.tick(60_000);
    assert!(matches!(sitting.asked().1, Request::Shell));
    assert!(sitting.asked.iter().all(|(_, request)| !matches!(request, Request::Unattended)));
}

#[test]
fn what_was_told_on_the_way_is_not_lost() {
    let twin = || News::Warning("another machine of the server has this PC's network address".into());
    let facts = Facts { connects: true, ..medium() };
    Sitting::new(facts.clone()).news(twin()).news(News::Connected).see("note").see("another machine of the server");
    let mut sitting = Sitting::new(Facts { unattended: Some("It works.".into()), ..facts });
    sitting.news(twin()).news(News::Over(finished(0))).see("another machine of the server");
}

#[test]
fn the_disk_that_is_backed_up_is_no_place() {
    let on = |disk: &str| {
        let location =
            Location::Partition { device: format!("/dev/{disk}1").into(), uuid: "1".into(), folder: "holotype".into() };
        let (title, disk) = (format!("/dev/{disk}1"), Some(format!("/dev/{disk}").into()));
        PlaceView { title, detail: String::new(), location, disk }
    };
    let mut sitting = Sitting::new(medium());
    sitting.enter().news(News::Disks(disks())).enter().news(News::Places(vec![on("sda"), on("sdd")], Vec::new()));
    assert!(!sitting.see("/dev/sdd1").shown().contains("/dev/sda1"));
    // What an image comes from may be any.
    let mut sitting = Sitting::new(medium());
    sitting.press(&[Key::Down, Key::Enter]).news(News::Places(vec![on("sda")], Vec::new())).see("/dev/sda1");
}

#[test]
fn the_password_of_a_share_from_the_list_is_asked_for() {
    let place = |password: Option<&str>| Place::Smb {
        host: "nas".into(),
        share: "images".into(),
        folder: "lab".into(),
        user: Some("eva".into()),
        password: password.map(str::to_owned),
    };
    let (title, location) = ("storage: nas".to_owned(), Location::Place(place(None)));
    let listed = PlaceView { title, detail: String::new(), location, disk: None };
    let mut sitting = Sitting::new(medium());
    sitting.enter().news(News::Disks(disks())).enter().news(News::Places(vec![listed], Vec::new())).enter();
    sitting.see("an SMB share").see("nas").see("images").see("lab").see("eva").type_text("open it").enter();
    let Request::Look(Location::Place(asked)) = sitting.asked().1 else { panic!() };
    assert_eq!(asked, place(Some("open it")));
}

#[test]
fn a_profile_that_cannot_be_used_is_told_on_the_first_screen() {
    let problem = Some("the boot profile was altered or is damaged; make the medium anew".to_owned());
    Sitting::new(Facts { problem, name: None, ..medium() }).see("was altered").see("Back up this PC");
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        4 => Just(Key::Enter), 3 => Just(Key::Down), 1 => Just(Key::Up), 2 => Just(Key::Esc), 2 => Just(Key::Tab),
        1 => (1..=12u8).prop_map(Key::F), 3 => any::<char>().prop_map(Key::Char), 1 => Just(Key::Backspace),
        1 => Just(Key::PageDown), 1 => Just(Key::End), 1 => Just(Key::Char('y')), 1 => Just(Key::Ctrl('c')),
    ]
}

fn some_news() -> impl Strategy<Value = News> {
    prop_oneof![
        Just(News::Connected),
        Just(News::Disks(disks())),
        Just(News::Disks(Vec::new())),
        Just(News::MissingDrivers("no driver ".repeat(90))),
        Just(News::Claim { fingerprint: "ABCD-EFGH".into(), state: "waits".into() }),
        Just(News::Places(places(), vec!["a note".into()])),
        Just(News::Looked { holds: true, images: Some(images()) }),
        Just(News::Looked { holds: false, images: None }),
        Just(News::Opened(images())),
        Just(News::WrongPassword),
        Just(News::Certified { source_bytes: 1, content: Vec::new(), unreadable_bytes: 0 }),
        Just(progress("stage", u64::MAX, u64::MAX)),
        Just(News::Finished(finished(1))),
        Just(News::Failed(Trouble { sentence: "no\u{1b} ".repeat(300), is_final: false })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_keys_and_news_are_survived_on_any_size(
        steps in proptest::collection::vec(prop_oneof![3 => key().prop_map(Ok), 2 => some_news().prop_map(Err)], 0..60),
        width in 1..120u16, height in 1..50u16,
    ) {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let mut flow = Flow::new(medium());
        let mut number = 0;
        for step in steps {
            match step {
                Ok(key) => flow.key(key),
                Err(news) => flow.news(number, news),
            }
            flow.tick(100);
            number = flow.take_requests().last().map_or(number, |(number, _)| *number);
            terminal.draw(|frame| flow.draw(frame)).unwrap();
        }
    }
}
