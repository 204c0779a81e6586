//! Passwords: typed twice where they are new.

use super::parts::{self, Field};
use super::text::strength;
use super::{Answer, News, Screen, Step, Typed};
use crate::terminal::Key;
use holotype_repo::core::secret::SecretBytes;
use ratatui::Frame;
use ratatui::layout::Rect;

/// Characters that a new password has at least.
pub(super) const LEAST_CHARACTERS: usize = 8;

/// What a password is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A repository that is made.
    NewRepository,
    /// The backup alone.
    NewImage,
    /// A repository that is there, to back up to it.
    Repository,
    /// A repository that is there, to restore from it: a wrong one is the end.
    RestoreRepository,
    /// An image that has one of its own: a wrong one is the end.
    RestoreImage,
}

impl Purpose {
    fn is_new(self) -> bool {
        matches!(self, Self::NewRepository | Self::NewImage)
    }
}

/// One password.
pub(super) struct Password {
    purpose: Purpose,
    first: Field,
    again: Field,
    on_again: bool,
    refusal: Option<String>,
    layout: String,
}

impl Password {
    pub(super) fn new(purpose: Purpose, layout: &str) -> Self {
        let (first, again) = (Field::hidden(), Field::hidden());
        Self { purpose, first, again, on_again: false, refusal: None, layout: layout.to_owned() }
    }

    fn finish(&mut self) -> Step {
        let length = self.first.text().chars().count();
        if self.purpose.is_new() && length < LEAST_CHARACTERS {
            self.refusal = Some(format!("It has {length} characters; take {LEAST_CHARACTERS} or more."));
            self.on_again = false;
            return Step::Stay;
        }
        if self.purpose.is_new() && self.first.text() != self.again.text() {
            self.refusal = Some("The two are not the same; type both again.".to_owned());
            self.first.clear();
            self.again.clear();
            self.on_again = false;
            return Step::Stay;
        }
        if length == 0 {
            self.refusal = Some("Nothing is typed yet.".to_owned());
            return Step::Stay;
        }
        let typed = Typed(SecretBytes::new(self.first.text().as_bytes().to_vec()));
        self.first.clear();
        self.again.clear();
        self.on_again = false;
        Step::Answer(Answer::Password(typed))
    }
}

impl Screen for Password {
    fn title(&self) -> String {
        match self.purpose {
            Purpose::NewRepository => "new password",
            Purpose::NewImage => "password of this backup",
            Purpose::Repository | Purpose::RestoreRepository => "password of the repository",
            Purpose::RestoreImage => "password of the image",
        }
        .to_owned()
    }

    fn draw(&self, frame: &mut Frame<'_>, area: Rect) {
        let text = match self.purpose {
            Purpose::NewRepository => {
                "Choose a password for the new repository. It opens all its images: who loses it loses them."
            }
            Purpose::NewImage => {
                "Choose a password for this backup alone. Who loses it cannot restore this image any more."
            }
            Purpose::Repository => "Type the password of the repository.",
            Purpose::RestoreRepository | Purpose::RestoreImage => {
                "Type the password. A wrong one ends this restore before any disk is opened; the PC has to be started anew to try again."
            }
        };
        let at = parts::text_at(frame, area, 0, text, parts::STRONG) + 1;
        let mut at = self.first.draw(frame, area, at, "Password", !self.on_again) + 1;
        if self.purpose.is_new() {
            at = self.again.draw(frame, area, at, "The same again", self.on_again) + 1;
            let (level, word) = strength(self.first.text());
            let style = if level < 2 { parts::WARN } else { parts::GOOD };
            let bar: String = (0..4).map(|step| if step < level { '█' } else { '░' }).collect();
            at = parts::text_at(frame, area, at, &format!("Strength  {bar}  {word}"), style) + 1;
        }
        at =
            parts::text_at(frame, area, at, &format!("Keyboard layout: {} (F2 changes it)", self.layout), parts::FAINT)
                + 1;
        if let Some(refusal) = &self.refusal {
            parts::text_at(frame, area, at, refusal, parts::BAD);
        }
    }

    fn key(&mut self, key: Key) -> Step {
        match key {
            Key::Esc => Step::Back,
            Key::Up | Key::Down | Key::Tab | Key::BackTab if self.purpose.is_new() => {
                self.on_again = !self.on_again;
                Step::Stay
            }
            Key::Enter if self.purpose.is_new() && !self.on_again => {
                self.on_again = true;
                Step::Stay
            }
            Key::Enter => self.finish(),
            key => {
                let field = if self.on_again { &mut self.again } else { &mut self.first };
                if field.key(key) {
                    self.refusal = None;
                }
                Step::Stay
            }
        }
    }

    fn news(&mut self, news: &News) {
        match news {
            News::WrongPassword => {
                self.refusal =
                    Some("The password opens nothing here. Type it again; look at the keyboard layout.".to_owned());
            }
            News::Told(layout) => self.layout.clone_from(layout),
            _ => {}
        }
    }

    fn help(&self) -> &'static str {
        "What you type is not shown, only counted. Letters may lie elsewhere on this keyboard: F2 chooses its layout before you type.\n\nLength counts more than signs: four or five words are a good password. Ctrl-U takes everything away."
    }

    fn keys(&self) -> String {
        "Enter: go on   F2: keyboard   Esc: back   F1: help".to_owned()
    }
}
