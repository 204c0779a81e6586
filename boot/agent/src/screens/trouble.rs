//! Something did not work: what, and the ways on.

use super::parts::{self, Choice};
use super::{Answer, Onward, Screen, Step};
use crate::terminal::Key;
use ratatui::Frame;
use ratatui::layout::Rect;

/// What did not work.
pub(super) struct Failure {
    sentence: String,
    is_final: bool,
    onward: Vec<Onward>,
    choice: Choice,
}

impl Failure {
    pub(super) fn new(sentence: String, is_final: bool, onward: Vec<Onward>) -> Self {
        Self { sentence, is_final, onward, choice: Choice::default() }
    }
}

impl Screen for Failure {
    fn title(&self) -> String {
        if self.is_final { "the end" } else { "that did not work" }.to_owned()
    }

    fn draw(&self, frame: &mut Frame<'_>, area: Rect) {
        let at = parts::text_at(frame, area, 0, &super::text::plain(&self.sentence, 900), parts::BAD) + 1;
        let lines: Vec<String> = self.onward.iter().map(|onward| onward.title().to_owned()).collect();
        let list = parts::below(area, at);
        self.choice.draw(frame, Rect { width: list.width.min(48), ..list }, &lines);
    }

    fn key(&mut self, key: Key) -> Step {
        match key {
            Key::Enter => Step::Answer(Answer::Onward(self.onward[self.choice.at])),
            Key::Esc if self.onward.contains(&Onward::Back) => Step::Answer(Answer::Onward(Onward::Back)),
            key => {
                self.choice.key(key, self.onward.len());
                Step::Stay
            }
        }
    }

    fn help(&self) -> &'static str {
        "The sentence says what did not work, and why. Choose how to go on."
    }

    fn keys(&self) -> String {
        "Enter: choose   F1: help".to_owned()
    }
}
