//! What will happen, before it does.

use super::parts;
use super::{Answer, Screen, Step};
use crate::terminal::Key;
use ratatui::Frame;
use ratatui::layout::Rect;

/// What will happen.
pub(super) struct Summary {
    lines: Vec<(String, String)>,
    warning: Option<String>,
    /// Whether it is read back, where that can be chosen.
    verify: Option<bool>,
}

impl Summary {
    pub(super) fn new(lines: Vec<(String, String)>, warning: Option<String>, can_verify: bool) -> Self {
        Self { lines, warning, verify: can_verify.then_some(false) }
    }
}

impl Screen for Summary {
    fn title(&self) -> String {
        "this will happen".to_owned()
    }

    fn draw(&self, frame: &mut Frame<'_>, area: Rect) {
        let mut at = 0;
        for (name, value) in &self.lines {
            at = parts::row_at(frame, area, at, name, value);
        }
        at += 1;
        if let Some(verify) = self.verify {
            let mark = if verify { "[x]" } else { "[ ]" };
            let text = format!("{mark} V: read everything back afterwards and compare (takes as long again)");
            at = parts::text_at(frame, area, at, &text, parts::PLAIN) + 1;
        }
        if let Some(warning) = &self.warning {
            at = parts::text_at(frame, area, at, warning, parts::BAD) + 1;
        }
        parts::text_at(frame, area, at, "Press Enter to start, Esc to go back.", parts::STRONG);
    }

    fn key(&mut self, key: Key) -> Step {
        match key {
            Key::Esc => Step::Back,
            Key::Enter => Step::Answer(Answer::Go { verify: self.verify.unwrap_or(false) }),
            Key::Char('v' | 'V' | ' ') => {
                self.verify = self.verify.map(|verify| !verify);
                Step::Stay
            }
            _ => Step::Stay,
        }
    }

    fn help(&self) -> &'static str {
        "Nothing has been changed so far. Enter starts, Esc goes back to change something."
    }

    fn keys(&self) -> String {
        "Enter: start   Esc: back   F1: help".to_owned()
    }
}
