//! Facts to read: about this medium, and about the network.

use super::parts;
use super::{Request, Screen, Step};
use crate::terminal::Key;
use ratatui::Frame;
use ratatui::layout::Rect;

/// Lines of name and value.
pub(super) struct About {
    title: &'static str,
    lines: Vec<(String, String)>,
    can_connect: bool,
}

impl About {
    pub(super) fn new(title: &'static str, lines: Vec<(String, String)>, can_connect: bool) -> Self {
        Self { title, lines, can_connect }
    }
}

impl Screen for About {
    fn title(&self) -> String {
        self.title.to_owned()
    }

    fn draw(&self, frame: &mut Frame<'_>, area: Rect) {
        let mut at = 0;
        for (name, value) in &self.lines {
            at = parts::row_at(frame, area, at, name, value);
        }
        if self.can_connect {
            parts::text_at(frame, area, at + 1, "Press C to connect again.", parts::STRONG);
        }
    }

    fn key(&mut self, key: Key) -> Step {
        match key {
            Key::Esc | Key::Enter => Step::Back,
            Key::Char('c' | 'C') if self.can_connect => Step::Ask(Request::Connect),
            _ => Step::Stay,
        }
    }

    fn help(&self) -> &'static str {
        "Facts to read, and to tell whoever helps you. No secret is among them."
    }

    fn keys(&self) -> String {
        "Esc: back   F1: help".to_owned()
    }
}
