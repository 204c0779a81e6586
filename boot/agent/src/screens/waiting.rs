//! Short work: looking for disks, opening a place, waiting for the operator's word.

use super::parts;
use super::{News, Screen, Step};
use crate::terminal::Key;
use ratatui::Frame;
use ratatui::layout::Rect;

/// Steps that are shown.
const MOST_STEPS: usize = 10;

/// Short work.
pub(super) struct Waiting {
    title: &'static str,
    steps: Vec<String>,
    claim: Option<(String, String)>,
}

impl Waiting {
    pub(super) fn new(title: &'static str) -> Self {
        Self { title, steps: Vec::new(), claim: None }
    }
}

/// The fingerprint that people compare, and how the claim stands; gives the line after it.
pub(super) fn draw_claim(frame: &mut Frame<'_>, area: Rect, fingerprint: &str, state: &str, esc: &str) -> u16 {
    let text = "The server does not know this PC yet. Tell the server's operator this fingerprint of it:";
    let at = parts::text_at(frame, area, 0, text, parts::STRONG) + 1;
    let at = parts::text_at(frame, area, at, &format!("      {fingerprint}"), parts::GOOD) + 1;
    let text = format!("The operator compares it and lets the PC in. This goes on by itself then; {esc}");
    let at = parts::text_at(frame, area, at, &text, parts::PLAIN) + 1;
    parts::text_at(frame, area, at, state, parts::FAINT) + 1
}

impl Screen for Waiting {
    fn title(&self) -> String {
        self.title.to_owned()
    }

    fn draw(&self, frame: &mut Frame<'_>, area: Rect) {
        let mut at = 0;
        if let Some((fingerprint, state)) = &self.claim {
            at = draw_claim(frame, area, fingerprint, state, "Esc goes on without the server.");
        } else {
            at = parts::text_at(frame, area, at, "Please wait ...", parts::STRONG) + 1;
        }
        for step in &self.steps[self.steps.len().saturating_sub(MOST_STEPS)..] {
            at = parts::text_at(frame, area, at, step, parts::PLAIN);
        }
    }

    fn key(&mut self, key: Key) -> Step {
        if key == Key::Esc { Step::Back } else { Step::Stay }
    }

    fn news(&mut self, news: &News) {
        match news {
            News::Told(step) => self.steps.push(super::text::plain(step, 300)),
            News::Claim { fingerprint, state } => self.claim = Some((fingerprint.clone(), state.clone())),
            _ => {}
        }
    }

    fn help(&self) -> &'static str {
        "This takes a moment. Esc does not wait for it any longer and goes back."
    }

    fn keys(&self) -> String {
        "Esc: do not wait   F1: help".to_owned()
    }

    fn waits(&self) -> bool {
        true
    }
}
