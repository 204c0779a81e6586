//! The start menu.

use super::parts::{self, Choice};
use super::{Answer, Screen, StartChoice, Step};
use crate::terminal::Key;
use ratatui::Frame;
use ratatui::layout::Rect;

/// The start menu.
pub(super) struct Start {
    items: Vec<(StartChoice, String)>,
    choice: Choice,
    greeting: String,
    problem: Option<String>,
}

impl Start {
    pub(super) fn new(name: Option<&str>, problem: Option<&str>, is_init: bool) -> Self {
        let mut items = vec![
            (StartChoice::Backup, "Back up this PC".to_owned()),
            (StartChoice::Restore, "Restore this PC".to_owned()),
            (StartChoice::Keyboard, "Keyboard layout".to_owned()),
            (StartChoice::Network, "Network and server".to_owned()),
            (StartChoice::About, "About this medium".to_owned()),
            (StartChoice::Shell, "Rescue shell (F9)".to_owned()),
        ];
        match is_init {
            true => items.extend([
                (StartChoice::Reboot, "Start the PC anew".to_owned()),
                (StartChoice::PowerOff, "Power off".to_owned()),
            ]),
            false => items.push((StartChoice::Leave, "Leave this program".to_owned())),
        }
        let greeting = match name {
            Some(name) => format!("This medium was made for: {name}"),
            None => "What shall be done with this PC?".to_owned(),
        };
        Self { items, choice: Choice::default(), greeting, problem: problem.map(str::to_owned) }
    }
}

impl Screen for Start {
    fn title(&self) -> String {
        "start".to_owned()
    }

    fn draw(&self, frame: &mut Frame<'_>, area: Rect) {
        let mut at = parts::text_at(frame, area, 0, &self.greeting, parts::STRONG) + 1;
        if let Some(problem) = &self.problem {
            let text = format!("{problem}. What the medium was made for is not done; you can work by hand.");
            at = parts::text_at(frame, area, at, &text, parts::BAD) + 1;
        }
        let lines: Vec<String> = self.items.iter().map(|(_, title)| title.clone()).collect();
        let list = Rect::new(area.x, area.y + at, area.width.min(48), area.height.saturating_sub(at));
        self.choice.draw(frame, list, &lines);
    }

    fn key(&mut self, key: Key) -> Step {
        match key {
            Key::Enter => Step::Answer(Answer::Start(self.items[self.choice.at].0)),
            key => {
                self.choice.key(key, self.items.len());
                Step::Stay
            }
        }
    }

    fn help(&self) -> &'static str {
        "Move with the arrow keys and choose with Enter.\n\nBack up stores the disk of this PC as an image; nothing on the disk is changed.\nRestore writes an image onto a disk; what is on that disk is lost.\n\nF2 changes the keyboard layout, F9 opens a rescue shell, Ctrl-L draws the screen anew."
    }

    fn keys(&self) -> String {
        "Enter: choose   F1: help   F2: keyboard   F9: shell".to_owned()
    }
}
