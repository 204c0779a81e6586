//! Parts that screens are made of: the frame around them, lists, text fields, wrapped text.

use crate::terminal::Key;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};
use zeroize::Zeroize;

/// Most columns and lines that are used of a console.
const MOST: (u16, u16) = (100, 32);
/// Longest text that a field takes, in characters.
const MOST_CHARACTERS: usize = 255;

/// Ordinary text.
pub const PLAIN: Style = Style::new();
/// What is chosen.
pub const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);
/// What counts.
pub const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);
/// What is said beside.
pub const FAINT: Style = Style::new().fg(Color::Cyan);
/// What to be careful with.
pub const WARN: Style = Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD);
/// What went wrong.
pub const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
/// What went well.
pub const GOOD: Style = Style::new().fg(Color::Green).add_modifier(Modifier::BOLD);

/// The part of a console that is used: its middle, not wider than lines that can be read.
pub fn stage(area: Rect) -> Rect {
    let (width, height) = (area.width.min(MOST.0), area.height.min(MOST.1));
    Rect::new(area.x + (area.width - width) / 2, area.y + (area.height - height) / 2, width, height)
}

/// Draws title, border and the line of keys; gives what is left inside.
pub fn frame_around(frame: &mut Frame<'_>, title: &str, subtitle: &str, keys: &str) -> Rect {
    let area = stage(frame.area());
    let block = Block::bordered()
        .title_top(Line::from(vec![Span::styled(" Holotype ", STRONG), Span::raw(format!("- {title} "))]))
        .title_top(Line::from(Span::styled(format!(" {subtitle} "), FAINT)).right_aligned())
        .title_bottom(Line::from(Span::styled(format!(" {keys} "), FAINT)));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    Rect::new(inner.x + 2, inner.y + 1, inner.width.saturating_sub(4), inner.height.saturating_sub(2))
}

/// Draws text in `area` from line `at` on, wrapped; gives the line after it.
pub fn text_at(frame: &mut Frame<'_>, area: Rect, at: u16, text: &str, style: Style) -> u16 {
    let lines = wrapped(text, area.width);
    for (number, line) in (at..).zip(&lines) {
        if number < area.height {
            frame.buffer_mut().set_stringn(area.x, area.y + number, line, area.width.into(), style);
        }
    }
    at + lines.len() as u16
}

/// Draws a name and its value from line `at` on; gives the line after it.
pub fn row_at(frame: &mut Frame<'_>, area: Rect, at: u16, name: &str, value: &str) -> u16 {
    if at < area.height {
        frame.buffer_mut().set_stringn(area.x, area.y + at, name, 18.min(area.width.into()), FAINT);
    }
    let indent = 20.min(area.width);
    text_at(frame, Rect::new(area.x + indent, area.y, area.width - indent, area.height), at, value, PLAIN)
}

/// What is left of `area` below line `at`.
pub fn below(area: Rect, at: u16) -> Rect {
    let at = at.min(area.height);
    Rect::new(area.x, area.y + at, area.width, area.height - at)
}

/// Breaks text into lines of so many columns, at spaces where there are some.
pub fn wrapped(text: &str, width: u16) -> Vec<String> {
    let width = usize::from(width.max(1));
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let mut word: Vec<char> = word.chars().collect();
            let used = line.chars().count();
            if used > 0 && used + 1 + word.len() > width {
                lines.push(std::mem::take(&mut line));
            } else if used > 0 {
                line.push(' ');
            }
            while word.len() > width {
                lines.push(word.drain(..width).collect());
            }
            line.extend(word);
        }
        lines.push(line);
    }
    lines
}

/// Draws a box over everything else.
pub fn boxed(frame: &mut Frame<'_>, title: &str, text: &str) {
    let stage = stage(frame.area());
    let width = stage.width.saturating_sub(8).min(72);
    let lines = wrapped(text, width.saturating_sub(4)).len() as u16 + 4;
    let height = lines.min(stage.height.saturating_sub(2));
    let area = Rect::new(stage.x + (stage.width - width) / 2, stage.y + (stage.height - height) / 2, width, height);
    frame.render_widget(Clear, area);
    let block = Block::bordered().title_top(Span::styled(format!(" {title} "), STRONG));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let inner = Rect::new(inner.x + 1, inner.y + 1, inner.width.saturating_sub(2), inner.height.saturating_sub(1));
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: false }), inner);
}

/// Which of some lines is chosen.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Its number.
    pub at: usize,
}

impl Choice {
    /// Moves with cursor keys; whether the key was one of them.
    pub fn key(&mut self, key: Key, count: usize) -> bool {
        let last = count.saturating_sub(1);
        self.at = match key {
            Key::Up => self.at.saturating_sub(1),
            Key::Down => (self.at + 1).min(last),
            Key::PageUp => self.at.saturating_sub(8),
            Key::PageDown => (self.at + 8).min(last),
            Key::Home => 0,
            Key::End => last,
            _ => return false,
        };
        true
    }

    /// Draws the lines in `area`, the chosen one among them.
    pub fn draw(&self, frame: &mut Frame<'_>, area: Rect, lines: &[String]) {
        let area = area.intersection(frame.area());
        let height = usize::from(area.height.max(1));
        let first = self.at.saturating_sub(height.saturating_sub(1)).min(lines.len().saturating_sub(height));
        for (row, (number, line)) in (0..area.height).zip(lines.iter().enumerate().skip(first)) {
            let chosen = number == self.at;
            let text = format!("{} {line}", if chosen { "►" } else { " " });
            let style = if chosen { CHOSEN } else { PLAIN };
            let padded = format!("{text:width$}", width = usize::from(area.width));
            frame.buffer_mut().set_stringn(area.x, area.y + row, padded, area.width.into(), style);
        }
    }
}

/// A line that is typed. Wiped when dropped, as it may be a password.
#[derive(Clone, Default)]
pub struct Field {
    text: String,
    /// Characters before the cursor.
    at: usize,
    hidden: bool,
}

impl Field {
    /// With this in it.
    pub fn with(text: &str) -> Self {
        let mut field = Self::default();
        text.chars().for_each(|character| field.insert(character));
        field
    }

    /// An empty one that does not show what is typed.
    pub fn hidden() -> Self {
        // Room from the start: no copy of a password is left behind by growing.
        Self { text: String::with_capacity(4 * MOST_CHARACTERS), at: 0, hidden: true }
    }

    /// What was typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Takes everything away.
    pub fn clear(&mut self) {
        self.text.zeroize();
        self.at = 0;
    }

    fn byte_at(&self, at: usize) -> usize {
        self.text.char_indices().nth(at).map_or(self.text.len(), |(byte, _)| byte)
    }

    fn insert(&mut self, character: char) {
        if self.text.chars().count() < MOST_CHARACTERS && !character.is_control() {
            self.text.insert(self.byte_at(self.at), character);
            self.at += 1;
        }
    }

    /// Takes a key; whether it was one for a text.
    pub fn key(&mut self, key: Key) -> bool {
        let length = self.text.chars().count();
        match key {
            Key::Char(character) => self.insert(character),
            Key::Backspace if self.at > 0 => {
                self.at -= 1;
                self.text.remove(self.byte_at(self.at));
            }
            Key::Delete if self.at < length => {
                self.text.remove(self.byte_at(self.at));
            }
            Key::Ctrl('u') => self.clear(),
            Key::Left => self.at = self.at.saturating_sub(1),
            Key::Right => self.at = (self.at + 1).min(length),
            Key::Home => self.at = 0,
            Key::End => self.at = length,
            Key::Backspace | Key::Delete => {}
            _ => return false,
        }
        true
    }

    /// Draws it with its name; the cursor where it has the keys.
    pub fn draw(&self, frame: &mut Frame<'_>, area: Rect, at: u16, name: &str, focused: bool) -> u16 {
        if at >= area.height {
            return at + 1;
        }
        let name_width = 22.min(area.width / 2);
        let y = area.y + at;
        let style = if focused { STRONG } else { PLAIN };
        frame.buffer_mut().set_stringn(area.x, y, name, name_width.into(), style);
        let width = usize::from(area.width.saturating_sub(name_width + 2)).max(1);
        let shown: Vec<char> =
            if self.hidden { vec!['*'; self.text.chars().count()] } else { self.text.chars().collect() };
        let first = (self.at + 1).saturating_sub(width);
        let x = area.x + name_width;
        for column in 0..width {
            let character = shown.get(first + column).copied().unwrap_or('_');
            let here = focused && first + column == self.at;
            let text = if here && character == '_' { ' ' } else { character };
            let style = if here { CHOSEN } else { PLAIN };
            frame.buffer_mut().set_stringn(x + column as u16, y, text.to_string(), 1, style);
        }
        at + 1
    }
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Field({} characters)", self.text.chars().count())
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_spaces() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrapped("a\n\nb", 9), ["a", "", "b"]);
    }

    #[test]
    fn a_field_is_edited() {
        let mut field = Field::with("aü");
        for key in [Key::Left, Key::Char('b'), Key::End, Key::Backspace, Key::Home, Key::Delete, Key::Char('€')] {
            assert!(field.key(key));
        }
        assert_eq!(field.text(), "€b");
        assert!(!field.key(Key::Enter) && !field.key(Key::Up));
        (0..400).for_each(|_| field.insert('x'));
        assert_eq!(field.text().chars().count(), MOST_CHARACTERS);
    }
}
