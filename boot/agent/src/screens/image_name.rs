//! The name of the image.

use super::parts::{self, Field};
use super::{Answer, Kept, Screen, Step};
use crate::terminal::Key;
use ratatui::Frame;
use ratatui::layout::Rect;

/// The name of the image, and whether it gets a password of its own.
pub(super) struct ImageName {
    name: Field,
    own_password: bool,
    on_toggle: bool,
    holds_repository: bool,
    refusal: Option<&'static str>,
}

impl ImageName {
    pub(super) fn new(proposal: &str, kept: &Kept, holds_repository: bool) -> Self {
        let (name, own_password) = kept.name.clone().unwrap_or_else(|| (proposal.to_owned(), false));
        Self { name: Field::with(&name), own_password, on_toggle: false, holds_repository, refusal: None }
    }
}

impl Screen for ImageName {
    fn title(&self) -> String {
        "name of the image".to_owned()
    }

    fn draw(&self, frame: &mut Frame<'_>, area: Rect) {
        let text = match self.holds_repository {
            true => "There is a repository. What shall the image be called?",
            false => "There is no repository yet; one is made. What shall the image be called?",
        };
        let at = parts::text_at(frame, area, 0, text, parts::STRONG) + 1;
        let at = self.name.draw(frame, area, at, "Name", !self.on_toggle) + 1;
        let mark = if self.own_password { "[x]" } else { "[ ]" };
        let style = if self.on_toggle { parts::CHOSEN } else { parts::PLAIN };
        let text = format!("{mark} A password for this backup alone, besides the repository's");
        let at = parts::text_at(frame, area, at, &text, style) + 1;
        if let Some(refusal) = self.refusal {
            parts::text_at(frame, area, at, refusal, parts::BAD);
        }
    }

    fn key(&mut self, key: Key) -> Step {
        match key {
            Key::Esc => return Step::Back,
            Key::Up | Key::Down | Key::Tab | Key::BackTab => self.on_toggle = !self.on_toggle,
            Key::Char(' ') if self.on_toggle => self.own_password = !self.own_password,
            Key::Enter => {
                let name = self.name.text().trim().to_owned();
                if holotype_repo::image::valid_name(&name) {
                    return Step::Answer(Answer::Name { name, own_password: self.own_password });
                }
                self.refusal = Some("A name has letters A-Z a-z, digits and . _ / - and no spaces; type another one.");
            }
            key if !self.on_toggle => {
                self.name.key(key);
                self.refusal = None;
            }
            _ => {}
        }
        Step::Stay
    }

    fn help(&self) -> &'static str {
        "The image is found by its name later. The same name may be used again and again: every image is kept, with its time.\n\nWith a password for this backup alone, whoever restores this image has to know that password as well. Tab goes to that line, the space bar switches it."
    }

    fn keys(&self) -> String {
        "Enter: go on   Tab: other line   Space: switch   Esc: back   F1: help".to_owned()
    }

    fn keep(&self, kept: &mut Kept) {
        kept.name = Some((self.name.text().to_owned(), self.own_password));
    }
}
