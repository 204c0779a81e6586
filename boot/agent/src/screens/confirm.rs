//! The last question before a disk that holds something is overwritten.

use super::parts::{self, Field};
use super::text::{plain, size};
use super::{Answer, DiskView, Screen, Step};
use crate::terminal::Key;
use ratatui::Frame;
use ratatui::layout::Rect;

/// Wants the disk's name, or `yes`.
pub(super) struct Confirm {
    disk: DiskView,
    typed: Field,
    refusal: bool,
}

impl Confirm {
    pub(super) fn new(disk: DiskView) -> Self {
        Self { disk, typed: Field::default(), refusal: false }
    }
}

impl Screen for Confirm {
    fn title(&self) -> String {
        "may this be lost?".to_owned()
    }

    fn draw(&self, frame: &mut Frame<'_>, area: Rect) {
        let (name, bytes) = (self.disk.short_name(), size(self.disk.bytes));
        let text = format!("EVERYTHING on {name} ({bytes}, {}) will be lost:", plain(&self.disk.model, 40));
        let mut at = parts::text_at(frame, area, 0, &text, parts::BAD) + 1;
        let unknown = vec!["something that is not known here".to_owned()];
        for line in if self.disk.content.is_empty() { &unknown } else { &self.disk.content } {
            at = parts::text_at(frame, area, at, &format!("  {}", plain(line, 200)), parts::PLAIN);
        }
        at = parts::text_at(frame, area, at + 1, &format!("Type {name} or yes to go on."), parts::STRONG) + 1;
        at = self.typed.draw(frame, area, at, "May it be lost?", true) + 1;
        if self.refusal {
            let text = format!("That is neither {name} nor yes; nothing was changed. Esc goes back.");
            parts::text_at(frame, area, at, &text, parts::BAD);
        }
    }

    fn key(&mut self, key: Key) -> Step {
        match key {
            Key::Esc => Step::Back,
            Key::Enter => {
                let typed = self.typed.text().trim();
                if typed == self.disk.short_name() || typed.eq_ignore_ascii_case("yes") {
                    return Step::Answer(Answer::Confirmed);
                }
                self.refusal = true;
                Step::Stay
            }
            key => {
                self.typed.key(key);
                self.refusal = false;
                Step::Stay
            }
        }
    }

    fn help(&self) -> &'static str {
        "The disk that you chose holds something, and a restore replaces it. Nothing is written before you see a summary and start it there."
    }

    fn keys(&self) -> String {
        "Enter: go on   Esc: back   F1: help".to_owned()
    }
}
