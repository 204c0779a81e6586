//! The screens: a state machine without input or output of its own. Keys and news go in, requests come out, and it
//! draws itself on any frame; so every way through it is tested without a terminal.
//!
//! ```text
//! backup:  disk ─▶ place ─▶ name ─▶ password ─▶ summary ─▶ progress ─▶ finished
//! restore: place ─▶ image ─▶ password ─▶ target ─▶ confirmation ─▶ summary ─▶ progress ─▶ finished
//! ```
//! A local repository does not tell its images without its password: there the password comes before the image.

mod about;
mod confirm;
mod countdown;
mod disks;
mod finished;
mod flow;
mod image_name;
mod images;
mod keyboard;
mod model;
mod parts;
mod password;
#[cfg(test)]
mod pictures;
mod places;
mod progress;
mod start;
mod summary;
#[cfg(test)]
mod tests;
pub mod text;
mod trouble;
mod typed_place;
mod waiting;

pub use flow::{Facts, Flow};
pub use model::*;

use crate::terminal::Key;
use ratatui::Frame;
use ratatui::layout::Rect;

/// What the start menu offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StartChoice {
    Backup,
    Restore,
    Keyboard,
    Network,
    About,
    Shell,
    Reboot,
    PowerOff,
    Leave,
}

/// What may follow a trouble, or finished work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Onward {
    Retry,
    Back,
    Menu,
    Shell,
    Reboot,
    PowerOff,
    Leave,
}

impl Onward {
    fn title(self) -> &'static str {
        match self {
            Self::Retry => "Try again",
            Self::Back => "Go back and change something",
            Self::Menu => "To the start menu",
            Self::Shell => "Rescue shell",
            Self::Reboot => "Start the PC anew",
            Self::PowerOff => "Power off",
            Self::Leave => "Leave this program",
        }
    }
}

/// What a place that is typed is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TypedKind {
    Nfs,
    Smb,
    Folder,
}

/// What a person answered.
#[derive(Debug)]
enum Answer {
    Start(StartChoice),
    Disk(DiskView),
    Place(PlaceView),
    Type(TypedKind),
    /// An SMB share that is known but for the password of its user.
    AskPassword {
        host: String,
        share: String,
        folder: String,
        user: String,
    },
    Name {
        name: String,
        own_password: bool,
    },
    Password(Typed),
    Image(ImageView),
    Confirmed,
    Go {
        verify: bool,
    },
    Onward(Onward),
    Keyboard(String),
    CountdownOver,
}

/// What a key led to.
#[derive(Debug)]
enum Step {
    Stay,
    Back,
    Answer(Answer),
    Ask(Request),
}

/// What was typed before, for screens that are come to again.
#[derive(Debug, Clone, Default)]
struct Kept {
    name: Option<(String, bool)>,
    typed: Vec<(TypedKind, Vec<String>)>,
    search: String,
}

/// One screen.
trait Screen: Send {
    /// What stands above it.
    fn title(&self) -> String;

    /// Draws it in `area`.
    fn draw(&self, frame: &mut Frame<'_>, area: Rect);

    /// Takes a key that is not one of all screens.
    fn key(&mut self, key: Key) -> Step;

    /// What F1 shows.
    fn help(&self) -> &'static str;

    /// The line of keys.
    fn keys(&self) -> String {
        "Enter: choose   Esc: back   F1: help".to_owned()
    }

    /// Takes news of the work that it waits for.
    fn news(&mut self, _news: &News) {}

    /// Time passed.
    fn tick(&mut self, _passed_ms: u64) -> Step {
        Step::Stay
    }

    /// Notes what was typed, when it is left.
    fn keep(&self, _kept: &mut Kept) {}

    /// Whether a request is under way that it waits for.
    fn waits(&self) -> bool {
        false
    }
}
