//! A place that is typed: an NFS share, an SMB share, or a folder.

use super::parts::{self, Field};
use super::{Answer, Kept, Location, PlaceView, Screen, Step, TypedKind};
use crate::terminal::Key;
use holotype_boot::profile::Place;
use ratatui::Frame;
use ratatui::layout::Rect;

/// A form of fields.
pub(super) struct TypedPlace {
    kind: TypedKind,
    fields: Vec<(&'static str, Field)>,
    at: usize,
    missing: Option<String>,
}

impl TypedPlace {
    pub(super) fn new(kind: TypedKind, kept: &Kept) -> Self {
        let names: &[&str] = match kind {
            TypedKind::Nfs => &["Server", "Exported folder", "Folder in it"],
            TypedKind::Smb => &["Server", "Share", "Folder in it", "User", "Password"],
            TypedKind::Folder => &["Folder"],
        };
        let before = kept.typed.iter().find(|(of, _)| *of == kind).map(|(_, texts)| texts.as_slice());
        let field = |number: usize, name: &'static str| match name {
            "Password" => (name, Field::hidden()),
            name => (name, Field::with(before.and_then(|texts| texts.get(number)).map_or("", String::as_str))),
        };
        let fields = names.iter().enumerate().map(|(number, name)| field(number, name)).collect();
        Self { kind, fields, at: 0, missing: None }
    }

    /// Of an SMB share that is known but for its password.
    pub(super) fn password(kept: &Kept) -> Self {
        let form = Self::new(TypedKind::Smb, kept);
        Self { at: form.fields.len() - 1, ..form }
    }

    fn text(&self, number: usize) -> String {
        self.fields.get(number).map(|(_, field)| field.text().trim().to_owned()).unwrap_or_default()
    }

    fn place(&self) -> Result<PlaceView, String> {
        let wanted = |number: usize| match self.text(number) {
            text if text.is_empty() => Err(format!("{} is empty; type it", self.fields[number].0)),
            text => Ok(text),
        };
        let optional = |number: usize| Some(self.text(number)).filter(|text| !text.is_empty());
        let folder = self.text(2).trim_matches('/').to_owned();
        if folder.split('/').any(|part| part == "..") {
            return Err("Folder: it leads out of its share; leave .. out".to_owned());
        }
        let (title, location) = match self.kind {
            TypedKind::Nfs => {
                let (host, export) = (wanted(0)?, wanted(1)?);
                (format!("NFS {host}:{export}"), Location::Place(Place::Nfs { host, export, folder }))
            }
            TypedKind::Smb => {
                let (host, share) = (wanted(0)?, wanted(1)?);
                let share = share.trim_matches(['/', '\\']).to_owned();
                let password = self.fields[4].1.text().to_owned();
                let password = Some(password).filter(|password| !password.is_empty());
                let title = format!("SMB //{host}/{share}");
                (title, Location::Place(Place::Smb { host, share, folder, user: optional(3), password }))
            }
            TypedKind::Folder => {
                let folder = wanted(0)?;
                if !folder.starts_with('/') {
                    return Err(format!("Folder: {folder} does not begin with /; type the whole path"));
                }
                (format!("folder {folder}"), Location::Folder(folder.into()))
            }
        };
        Ok(PlaceView { title, detail: String::new(), location, disk: None })
    }
}

impl Screen for TypedPlace {
    fn title(&self) -> String {
        match self.kind {
            TypedKind::Nfs => "an NFS share",
            TypedKind::Smb => "an SMB share",
            TypedKind::Folder => "a folder",
        }
        .to_owned()
    }

    fn draw(&self, frame: &mut Frame<'_>, area: Rect) {
        let question = match self.kind {
            TypedKind::Nfs => "Which share? For example: server nas.example, exported folder /srv/images.",
            TypedKind::Smb => {
                "Which share? For example: server nas.example, share images. Without a user it is asked as guest."
            }
            TypedKind::Folder => "Which folder? For example /srv/images. It is made where it is not there.",
        };
        let mut at = parts::text_at(frame, area, 0, question, parts::STRONG) + 1;
        for (number, (name, field)) in self.fields.iter().enumerate() {
            at = field.draw(frame, area, at, name, number == self.at) + 1;
        }
        if let Some(missing) = &self.missing {
            parts::text_at(frame, area, at, missing, parts::BAD);
        }
    }

    fn key(&mut self, key: Key) -> Step {
        let last = self.fields.len() - 1;
        match key {
            Key::Esc => return Step::Back,
            Key::Up | Key::BackTab => self.at = self.at.saturating_sub(1),
            Key::Down | Key::Tab => {
                self.at = if self.at == last && key == Key::Tab { 0 } else { (self.at + 1).min(last) }
            }
            Key::Enter if self.at < last => self.at += 1,
            Key::Enter => match self.place() {
                Ok(place) => return Step::Answer(Answer::Place(place)),
                Err(missing) => self.missing = Some(missing),
            },
            key => {
                self.fields[self.at].1.key(key);
                self.missing = None;
            }
        }
        Step::Stay
    }

    fn help(&self) -> &'static str {
        "Type each line and go on with Enter; Tab and the arrow keys move between the lines. The password of a share opens the share, and no image."
    }

    fn keys(&self) -> String {
        "Enter: next, then go on   Tab: next line   Esc: back   F1: help".to_owned()
    }

    fn keep(&self, kept: &mut Kept) {
        kept.typed.retain(|(of, _)| *of != self.kind);
        let text = |(name, field): &(&str, Field)| if *name == "Password" { "" } else { field.text() }.to_owned();
        kept.typed.push((self.kind, self.fields.iter().map(text).collect()));
    }
}
