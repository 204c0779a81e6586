//! The list of places: where the image goes to, or comes from.

use super::parts::{self, Choice};
use super::text::plain;
use super::{Answer, Facts, Location, PlaceView, Screen, Step, TypedKind};
use crate::terminal::Key;
use holotype_boot::profile::Place;
use ratatui::Frame;
use ratatui::layout::Rect;

/// The list of places.
pub(super) struct Places {
    places: Vec<PlaceView>,
    notes: Vec<String>,
    typed: Vec<(TypedKind, &'static str)>,
    choice: Choice,
    is_backup: bool,
}

impl Places {
    pub(super) fn new(places: Vec<PlaceView>, notes: Vec<String>, is_backup: bool, facts: &Facts) -> Self {
        let mut typed = Vec::new();
        if facts.is_init && !facts.is_local {
            typed.extend([(TypedKind::Nfs, "An NFS share ..."), (TypedKind::Smb, "An SMB (Windows) share ...")]);
        }
        if !facts.is_init {
            typed.push((TypedKind::Folder, "A folder of this system ..."));
        }
        Self { places, notes, typed, choice: Choice::default(), is_backup }
    }
}

/// Where a share names a user, the server keeps no password of it: it is typed.
fn chosen(place: &PlaceView) -> Answer {
    match &place.location {
        Location::Place(Place::Smb { host, share, folder, user: Some(user), password: None }) => {
            let (host, share, folder, user) = (host.clone(), share.clone(), folder.clone(), user.clone());
            Answer::AskPassword { host, share, folder, user }
        }
        _ => Answer::Place(place.clone()),
    }
}

impl Screen for Places {
    fn title(&self) -> String {
        if self.is_backup { "where to?" } else { "where from?" }.to_owned()
    }

    fn draw(&self, frame: &mut Frame<'_>, area: Rect) {
        let question = match self.is_backup {
            true => "Where shall the image be stored?",
            false => "Where is the image?",
        };
        let mut at = parts::text_at(frame, area, 0, question, parts::STRONG) + 1;
        for note in &self.notes {
            at = parts::text_at(frame, area, at, note, parts::WARN);
        }
        at += u16::from(!self.notes.is_empty());
        let width = usize::from(area.width);
        let mut lines: Vec<String> = self
            .places
            .iter()
            .map(|place| plain(&format!("{:<34} {}", plain(&place.title, 34), place.detail), width.saturating_sub(2)))
            .collect();
        lines.extend(self.typed.iter().map(|(_, title)| (*title).to_owned()));
        self.choice.draw(frame, parts::below(area, at), &lines);
    }

    fn key(&mut self, key: Key) -> Step {
        match key {
            Key::Esc => Step::Back,
            Key::F(5) => Step::Ask(super::Request::ListPlaces),
            Key::Enter => match self.places.get(self.choice.at) {
                Some(place) => Step::Answer(chosen(place)),
                None => Step::Answer(Answer::Type(self.typed[self.choice.at - self.places.len()].0)),
            },
            key => {
                self.choice.key(key, self.places.len() + self.typed.len());
                Step::Stay
            }
        }
    }

    fn help(&self) -> &'static str {
        "Images are kept in a repository: on the server, on another disk or stick, on this medium where it has room, or on a share of the network. A place without a repository gets one with the first backup.\n\nAn image cannot be stored on the disk that it is made of. F5 looks again, after you plugged a stick in."
    }

    fn keys(&self) -> String {
        "Enter: choose   F5: look again   Esc: back   F1: help".to_owned()
    }
}
