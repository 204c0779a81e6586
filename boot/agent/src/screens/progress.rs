//! Work at hand: stage, rate, time left.

use super::parts;
use super::text::{duration, plain, size};
use super::{News, Progress, Request, Screen, Step};
use crate::terminal::Key;
use ratatui::Frame;
use ratatui::layout::Rect;
use std::collections::VecDeque;

/// The rate is that of so much time, in milliseconds.
const RATE_WINDOW_MS: u64 = 20_000;
/// Warnings that are shown; the rest comes at the end.
const MOST_WARNINGS: usize = 4;

/// Work at hand.
pub(super) struct Work {
    title: String,
    stages: Vec<String>,
    progress: Progress,
    samples: VecDeque<(u64, u64)>,
    told: String,
    warnings: Vec<String>,
    asks: bool,
    cancelled: bool,
    can_leave: bool,
    /// Fingerprint, and how the claim stands.
    claim: Option<(String, String)>,
}

impl Work {
    pub(super) fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            stages: Vec::new(),
            progress: Progress::default(),
            samples: VecDeque::new(),
            told: String::new(),
            warnings: Vec::new(),
            asks: false,
            cancelled: false,
            can_leave: true,
            claim: None,
        }
    }

    fn note(&mut self, progress: &Progress) {
        if self.stages.last() != Some(&progress.stage) {
            self.stages.push(progress.stage.clone());
            self.samples.clear();
        }
        self.samples.push_back((progress.elapsed_ms, progress.done_bytes));
        while self.samples.len() > 2 && self.samples[0].0.saturating_add(RATE_WINDOW_MS) < progress.elapsed_ms {
            self.samples.pop_front();
        }
        self.progress = progress.clone();
    }

    /// Bytes each second, of late.
    fn rate(&self) -> Option<u64> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let passed_ms = last.0.checked_sub(first.0).filter(|passed| *passed >= 500)?;
        Some(last.1.saturating_sub(first.1).saturating_mul(1000) / passed_ms)
    }

    fn draw_question(&self, frame: &mut Frame<'_>) {
        if self.asks {
            parts::boxed(
                frame,
                "stop?",
                "Shall it be stopped?\n\nPress Y to stop. Any other key goes on.\n\nA backup that was stopped is gone on with by the next one. A disk that a restore was stopped on is not usable before a restore to it is done whole.",
            );
        }
    }
}

impl Screen for Work {
    fn title(&self) -> String {
        self.title.clone()
    }

    fn draw(&self, frame: &mut Frame<'_>, area: Rect) {
        if let (Some((fingerprint, state)), true) = (&self.claim, self.stages.is_empty()) {
            let at = super::waiting::draw_claim(frame, area, fingerprint, state, "Esc stops it.");
            let text = if self.cancelled { "Stopping ..." } else { &self.told };
            parts::text_at(frame, area, at, &plain(text, 300), parts::PLAIN);
            return self.draw_question(frame);
        }
        let mut at = 0;
        for (number, stage) in self.stages.iter().enumerate() {
            let is_last = number + 1 == self.stages.len();
            let (mark, style) = if is_last { ("►", parts::STRONG) } else { (" ", parts::FAINT) };
            let done = if is_last { "" } else { "  done" };
            at = parts::text_at(frame, area, at, &format!("{mark} {stage}{done}"), style);
        }
        at = parts::text_at(frame, area, at, &plain(&self.told, 300), parts::PLAIN) + 1;
        let Progress { done_bytes, total_bytes, elapsed_ms, .. } = self.progress;
        if let Some(total) = total_bytes.filter(|total| *total > 0) {
            let width = u64::from(area.width.saturating_sub(8)).max(1);
            let filled = (u128::from(done_bytes.min(total)) * u128::from(width) / u128::from(total)) as u64;
            let bar: String = (0..width).map(|column| if column < filled { '█' } else { '░' }).collect();
            let percent = u128::from(done_bytes.min(total)) * 100 / u128::from(total);
            at = parts::text_at(frame, area, at, &format!("{bar} {percent:>3} %"), parts::PLAIN) + 1;
            at = parts::text_at(frame, area, at, &format!("{} of {}", size(done_bytes), size(total)), parts::PLAIN);
        } else if done_bytes > 0 {
            at = parts::text_at(frame, area, at, &size(done_bytes), parts::PLAIN);
        }
        let rate = self.rate();
        if let Some(rate) = rate {
            at = parts::text_at(frame, area, at, &format!("{}/s", size(rate)), parts::PLAIN);
        }
        if let (Some(rate @ 1..), Some(total)) = (rate, total_bytes) {
            let left = duration(total.saturating_sub(done_bytes) / rate);
            at = parts::text_at(frame, area, at, &format!("about {left} left"), parts::PLAIN);
        }
        at = parts::text_at(frame, area, at, &format!("{} passed", duration(elapsed_ms / 1000)), parts::FAINT) + 1;
        let skipped = self.warnings.len().saturating_sub(MOST_WARNINGS);
        for warning in &self.warnings[skipped..] {
            at = parts::text_at(frame, area, at, &plain(warning, 300), parts::WARN);
        }
        if self.cancelled {
            parts::text_at(frame, area, at, "Stopping ...", parts::STRONG);
        }
        self.draw_question(frame);
    }

    fn key(&mut self, key: Key) -> Step {
        if self.asks {
            self.asks = false;
            if matches!(key, Key::Char('y' | 'Y')) {
                self.cancelled = true;
                return Step::Ask(Request::Cancel);
            }
        } else if key == Key::Esc && self.can_leave && !self.cancelled {
            self.asks = true;
        }
        Step::Stay
    }

    fn news(&mut self, news: &News) {
        match news {
            News::Progress(progress) => self.note(progress),
            News::Told(text) => {
                // A next step: the operator is waited for no longer.
                self.claim = None;
                self.told.clone_from(text);
            }
            News::Claim { fingerprint, state } => self.claim = Some((fingerprint.clone(), state.clone())),
            News::Warning(text) => self.warnings.push(text.clone()),
            _ => {}
        }
    }

    fn help(&self) -> &'static str {
        "It goes on by itself. Esc asks whether it shall be stopped.\n\nWhere the server or the network is gone for a while, it waits and goes on by itself."
    }

    fn keys(&self) -> String {
        "Esc: stop   F1: help   Ctrl-L: draw anew".to_owned()
    }

    fn waits(&self) -> bool {
        true
    }
}
