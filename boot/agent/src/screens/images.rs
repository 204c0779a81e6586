//! The list of images, this machine's first.

use super::parts::{self, Choice, Field};
use super::text::{plain, size};
use super::{Answer, ImageView, Kept, Screen, Step};
use crate::terminal::Key;
use ratatui::Frame;
use ratatui::layout::Rect;

/// The list of images.
pub(super) struct Images {
    images: Vec<ImageView>,
    search: Field,
    choice: Choice,
}

impl Images {
    /// `images` are in the order in which they are shown.
    pub(super) fn new(images: Vec<ImageView>, kept: &Kept) -> Self {
        Self { images, search: Field::with(&kept.search), choice: Choice::default() }
    }

    fn found(&self) -> Vec<&ImageView> {
        let wanted = self.search.text().trim().to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&wanted);
        self.images
            .iter()
            .filter(|image| has(&image.name) || image.id.starts_with(&wanted) || has(&image.time))
            .collect()
    }
}

impl Screen for Images {
    fn title(&self) -> String {
        "which image?".to_owned()
    }

    fn draw(&self, frame: &mut Frame<'_>, area: Rect) {
        if self.images.is_empty() {
            let text = "There is no image that this machine may see. Go back and choose another place, or make a backup first.";
            parts::text_at(frame, area, 0, text, parts::BAD);
            return;
        }
        let at = parts::text_at(
            frame,
            area,
            0,
            "Which image shall be restored? Those of this machine stand first.",
            parts::STRONG,
        );
        let at = self.search.draw(frame, area, at + 1, "Search (type)", true) + 1;
        let found = self.found();
        let line = |image: &&ImageView| {
            let own = if image.is_own { "*" } else { " " };
            let lock = if image.is_protected { " own password" } else { "" };
            let bytes = if image.source_bytes == 0 { String::new() } else { size(image.source_bytes) };
            let id: String = image.id.chars().take(8).collect();
            let name = if image.name.is_empty() { "(no name)" } else { &image.name };
            format!("{own} {:<26} {:<17} {bytes:>9} {id}{lock}", plain(name, 26), plain(&image.time, 17))
        };
        let lines: Vec<String> = found.iter().map(line).collect();
        if lines.is_empty() {
            parts::text_at(
                frame,
                area,
                at,
                "No image has that in its name; Backspace takes letters away.",
                parts::WARN,
            );
        }
        let rows = area.height.saturating_sub(at + 2);
        self.choice.draw(frame, Rect::new(area.x, area.y + at, area.width, rows), &lines);
        let note = format!("* of this machine    {} of {} images", lines.len(), self.images.len());
        parts::text_at(frame, area, area.height.saturating_sub(1), &note, parts::FAINT);
    }

    fn key(&mut self, key: Key) -> Step {
        let count = self.found().len();
        match key {
            Key::Esc => Step::Back,
            Key::Enter => match self.found().get(self.choice.at) {
                Some(image) => Step::Answer(Answer::Image((*image).clone())),
                None => Step::Stay,
            },
            Key::Home | Key::End | Key::Up | Key::Down | Key::PageUp | Key::PageDown => {
                self.choice.key(key, count);
                Step::Stay
            }
            key => {
                self.search.key(key);
                self.choice.at = 0;
                Step::Stay
            }
        }
    }

    fn help(&self) -> &'static str {
        "Each line is an image: name, time, size of the disk it was made of, and the first digits of its id. A star stands before those that were made of this machine.\n\nType a part of a name to see those images alone."
    }

    fn keys(&self) -> String {
        "Enter: choose   type: search   Esc: back   F1: help".to_owned()
    }

    fn keep(&self, kept: &mut Kept) {
        kept.search = self.search.text().to_owned();
    }
}
