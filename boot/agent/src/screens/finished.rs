//! What was done.

use super::parts::{self, Choice};
use super::text::{plain, size};
use super::{Answer, Finished, Onward, Screen, Step};
use crate::terminal::Key;
use ratatui::Frame;
use ratatui::layout::Rect;

/// What was done.
pub(super) struct Done {
    finished: Finished,
    onward: Vec<Onward>,
    choice: Choice,
}

impl Done {
    pub(super) fn new(finished: Finished, onward: Vec<Onward>) -> Self {
        Self { finished, onward, choice: Choice::default() }
    }
}

impl Screen for Done {
    fn title(&self) -> String {
        format!("{}: done", self.finished.what)
    }

    fn draw(&self, frame: &mut Frame<'_>, area: Rect) {
        let finished = &self.finished;
        let mut at = match finished.unreadable_bytes {
            0 => parts::text_at(frame, area, 0, &format!("{}: everything was done.", finished.what), parts::GOOD),
            bytes => {
                let text = format!(
                    "NOT COMPLETE: {} of the disk could NOT BE READ and are missing. The disk may be failing: copy what counts, and replace it.",
                    size(bytes)
                );
                parts::text_at(frame, area, 0, &text, parts::BAD)
            }
        } + 1;
        for (name, value) in &finished.lines {
            at = parts::row_at(frame, area, at, name, value);
        }
        let room = area.height.saturating_sub(at + self.onward.len() as u16 + 3);
        for warning in finished.warnings.iter().take(usize::from(room / 2).max(1)) {
            at = parts::text_at(frame, area, at, &format!("Note: {}", plain(warning, 140)), parts::WARN);
        }
        if !finished.next.is_empty() {
            at = parts::text_at(frame, area, at + 1, &finished.next, parts::STRONG);
        }
        let lines: Vec<String> = self.onward.iter().map(|onward| onward.title().to_owned()).collect();
        let list = parts::below(area, at + 1);
        self.choice.draw(frame, Rect { width: list.width.min(48), ..list }, &lines);
    }

    fn key(&mut self, key: Key) -> Step {
        match key {
            Key::Enter => match self.onward.get(self.choice.at) {
                Some(onward) => Step::Answer(Answer::Onward(*onward)),
                None => Step::Stay,
            },
            key => {
                self.choice.key(key, self.onward.len());
                Step::Stay
            }
        }
    }

    fn help(&self) -> &'static str {
        "It is over. Note the image's id where you want to find exactly this one again."
    }

    fn keys(&self) -> String {
        "Enter: choose   F1: help".to_owned()
    }
}
