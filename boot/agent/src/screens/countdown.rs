//! Before unattended work: what will happen, and time to stop it.

use super::parts;
use super::{Answer, Screen, Step};
use crate::terminal::Key;
use ratatui::Frame;
use ratatui::layout::Rect;

/// How long a person has to stop it, in milliseconds.
const PATIENCE_MS: u64 = 10_000;

/// What stands above it.
pub(super) const TITLE: &str = "starting by itself";

/// Before unattended work.
pub(super) struct Countdown {
    what: String,
    left_ms: u64,
}

impl Countdown {
    /// `what` will happen, in a sentence.
    pub(super) fn new(what: String) -> Self {
        Self { what, left_ms: PATIENCE_MS }
    }
}

impl Screen for Countdown {
    fn title(&self) -> String {
        TITLE.to_owned()
    }

    fn draw(&self, frame: &mut Frame<'_>, area: Rect) {
        let at = parts::text_at(frame, area, 0, &self.what, parts::STRONG) + 1;
        let text = format!("It starts in {} seconds.", self.left_ms.div_ceil(1000));
        let at = parts::text_at(frame, area, at, &text, parts::WARN) + 1;
        parts::text_at(frame, area, at, "Press Enter to start now, or any other key for the menu.", parts::PLAIN);
    }

    fn key(&mut self, key: Key) -> Step {
        match key {
            Key::Enter => Step::Answer(Answer::CountdownOver),
            _ => Step::Back,
        }
    }

    fn tick(&mut self, passed_ms: u64) -> Step {
        self.left_ms = self.left_ms.saturating_sub(passed_ms);
        if self.left_ms == 0 { Step::Answer(Answer::CountdownOver) } else { Step::Stay }
    }

    fn help(&self) -> &'static str {
        "This medium was made to work by itself. Any key but Enter stops that and shows the menu."
    }

    fn keys(&self) -> String {
        "Enter: now   any other key: menu".to_owned()
    }
}
