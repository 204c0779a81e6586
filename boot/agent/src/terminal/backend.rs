//! Draws cells with the few escape sequences that the Linux console, xterm and serial programs have in common:
//! cursor position, clear, sixteen colours, bold, reversed. A library's backend asks terminals questions that a serial
//! line does not answer.

use super::console::Console;
use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use ratatui::style::{Color, Modifier};
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

/// Begins anew: plain colours, an empty screen, no cursor.
pub const START: &str = "\x1b[0m\x1b[2J\x1b[H\x1b[?25l";
/// Leaves an empty screen with a cursor.
pub const END: &str = "\x1b[0m\x1b[2J\x1b[H\x1b[?25h";

/// A console to draw on.
pub struct ConsoleBackend {
    console: Arc<Console>,
    text: String,
    position: Position,
    ascii: bool,
    hidden: bool,
}

impl ConsoleBackend {
    /// Draws on `console`.
    pub fn new(console: Arc<Console>) -> Self {
        let ascii = console.is_serial();
        Self { console, text: String::new(), position: Position::ORIGIN, ascii, hidden: false }
    }
}

/// Number of a colour as SGR counts; colours beyond the sixteen are not used.
fn colour(colour: Color, base: u8) -> u8 {
    base + match colour {
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 60,
        Color::LightRed => 61,
        Color::LightGreen => 62,
        Color::LightYellow => 63,
        Color::LightBlue => 64,
        Color::LightMagenta => 65,
        Color::LightCyan => 66,
        Color::White => 67,
        _ => 9,
    }
}

/// What a line that may know ASCII alone gets in place of lines and blocks.
fn plain(symbol: &str) -> &str {
    match symbol {
        "─" | "═" => "-",
        "│" | "║" => "|",
        "┌" | "┐" | "└" | "┘" | "├" | "┤" | "┬" | "┴" | "┼" => "+",
        "█" => "#",
        "░" => ".",
        "►" => ">",
        "•" => "*",
        other => other,
    }
}

impl Backend for ConsoleBackend {
    type Error = io::Error;

    fn draw<'a, I: Iterator<Item = (u16, u16, &'a Cell)>>(&mut self, content: I) -> io::Result<()> {
        let mut look: Option<(Color, Color, Modifier)> = None;
        let mut next: Option<(u16, u16)> = None;
        for (x, y, cell) in content {
            if next != Some((x, y)) {
                let _ = write!(self.text, "\x1b[{};{}H", y + 1, x + 1);
            }
            next = Some((x + 1, y));
            let wanted = (cell.fg, cell.bg, cell.modifier);
            if look != Some(wanted) {
                let bold = if cell.modifier.contains(Modifier::BOLD) { ";1" } else { "" };
                let reversed = if cell.modifier.contains(Modifier::REVERSED) { ";7" } else { "" };
                let (front, back) = (colour(cell.fg, 30), colour(cell.bg, 40));
                let _ = write!(self.text, "\x1b[0{bold}{reversed};{front};{back}m");
                look = Some(wanted);
            }
            self.text.push_str(if self.ascii { plain(cell.symbol()) } else { cell.symbol() });
        }
        // Nothing goes out where nothing changed.
        if look.is_some() {
            self.text.push_str("\x1b[0m");
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.hidden, true) {
            self.text.push_str("\x1b[?25l");
        }
        Ok(())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.hidden = false;
        self.text.push_str("\x1b[?25h");
        Ok(())
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(self.position)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.position = position.into();
        let _ = write!(self.text, "\x1b[{};{}H", self.position.y + 1, self.position.x + 1);
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.text.push_str("\x1b[0m\x1b[2J\x1b[H");
        Ok(())
    }

    fn clear_region(&mut self, _region: ClearType) -> io::Result<()> {
        self.clear()
    }

    fn size(&self) -> io::Result<Size> {
        let (width, height) = self.console.size();
        Ok(Size { width, height })
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize { columns_rows: self.size()?, pixels: Size::ZERO })
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.text.is_empty() {
            return Ok(());
        }
        let written = self.console.write(self.text.as_bytes());
        self.text.clear();
        written
    }
}
