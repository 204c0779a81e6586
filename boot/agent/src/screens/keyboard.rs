//! Keyboard layouts.

use super::parts::{self, Choice};
use super::{Answer, Screen, Step};
use crate::terminal::Key;
use ratatui::Frame;
use ratatui::layout::Rect;

/// Keyboard layouts.
pub(super) struct Keyboard {
    layouts: Vec<(String, String)>,
    choice: Choice,
}

impl Keyboard {
    /// Names and titles, and the one that is taken now.
    pub(super) fn new(layouts: Vec<(String, String)>, now: &str) -> Self {
        let at = layouts.iter().position(|(name, _)| name == now).unwrap_or(0);
        Self { layouts, choice: Choice { at } }
    }
}

impl Screen for Keyboard {
    fn title(&self) -> String {
        "keyboard layout".to_owned()
    }

    fn draw(&self, frame: &mut Frame<'_>, area: Rect) {
        let text = "Which keyboard is this? A terminal on a serial line brings its own layout.";
        let at = parts::text_at(frame, area, 0, text, parts::STRONG) + 1;
        let lines: Vec<String> = self.layouts.iter().map(|(name, title)| format!("{name:<8} {title}")).collect();
        self.choice.draw(
            frame,
            Rect::new(area.x, area.y + at, area.width.min(48), area.height.saturating_sub(at)),
            &lines,
        );
    }

    fn key(&mut self, key: Key) -> Step {
        match key {
            Key::Esc => Step::Back,
            Key::Enter => match self.layouts.get(self.choice.at) {
                Some((name, _)) => Step::Answer(Answer::Keyboard(name.clone())),
                None => Step::Back,
            },
            // To the next layout that begins with the letter.
            Key::Char(letter) => {
                let count = self.layouts.len();
                let mut places = (1..=count).map(|step| (self.choice.at + step) % count.max(1));
                if let Some(at) = places.find(|at| self.layouts[*at].0.starts_with(letter)) {
                    self.choice.at = at;
                }
                Step::Stay
            }
            key => {
                self.choice.key(key, self.layouts.len());
                Step::Stay
            }
        }
    }

    fn help(&self) -> &'static str {
        "The layout counts for this PC's own keyboard, from the next key on. Choose it before you type a password."
    }
}
