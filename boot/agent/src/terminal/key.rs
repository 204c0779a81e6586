//! Keys, out of the bytes that consoles and serial lines send for them: those of the Linux console, of xterm and of
//! VT220, which serial programs send. A library's decoder reads the process's own terminal alone; here are several.

/// A longer escape sequence is none of a key.
const MAX_SEQUENCE_BYTES: usize = 16;

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// A character.
    Char(char),
    /// A letter with Ctrl.
    Ctrl(char),
    /// Cursor.
    Up,
    /// Cursor.
    Down,
    /// Cursor.
    Left,
    /// Cursor.
    Right,
    /// Enter.
    Enter,
    /// Escape.
    Esc,
    /// Tab.
    Tab,
    /// Tab with Shift.
    BackTab,
    /// Deletes the character before.
    Backspace,
    /// Deletes the character there.
    Delete,
    /// To the begin.
    Home,
    /// To the end.
    End,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// F1 to F12.
    F(u8),
}

/// Takes bytes as they come, in whatever pieces.
#[derive(Debug, Default)]
pub struct KeyDecoder {
    pending: Vec<u8>,
    after_return: bool,
}

impl KeyDecoder {
    /// Takes a byte; keys that it completes go to `keys`.
    pub fn push(&mut self, byte: u8, keys: &mut Vec<Key>) {
        // A return with a line feed behind it is one key.
        let after_return = std::mem::replace(&mut self.after_return, self.pending.is_empty() && byte == b'\r');
        match self.pending.first() {
            None if byte == b'\n' && after_return => {}
            None => self.begin(byte, keys),
            Some(0x1b) => self.go_on_escape(byte, keys),
            Some(_) => self.go_on_utf8(byte, keys),
        }
    }

    /// Whether something was begun that may be a key by itself when nothing follows.
    pub fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Nothing followed for a while: a begun escape is the Esc key.
    pub fn timeout(&mut self) -> Option<Key> {
        let lone = self.pending == [0x1b];
        self.pending.clear();
        lone.then_some(Key::Esc)
    }

    fn begin(&mut self, byte: u8, keys: &mut Vec<Key>) {
        match byte {
            0x1b | 0xc2..=0xf4 => self.pending.push(byte),
            b'\r' | b'\n' => keys.push(Key::Enter),
            b'\t' => keys.push(Key::Tab),
            0x08 | 0x7f => keys.push(Key::Backspace),
            1..=26 => keys.push(Key::Ctrl(char::from(b'a' + byte - 1))),
            b' '..=b'~' => keys.push(Key::Char(char::from(byte))),
            _ => {}
        }
    }

    fn go_on_utf8(&mut self, byte: u8, keys: &mut Vec<Key>) {
        if !(0x80..=0xbf).contains(&byte) {
            self.pending.clear();
            return self.push(byte, keys);
        }
        self.pending.push(byte);
        let length = match self.pending[0] {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            _ => 4,
        };
        if self.pending.len() == length {
            let character = std::str::from_utf8(&self.pending).ok().and_then(|text| text.chars().next());
            keys.extend(character.filter(|character| !character.is_control()).map(Key::Char));
            self.pending.clear();
        }
    }

    fn go_on_escape(&mut self, byte: u8, keys: &mut Vec<Key>) {
        match (self.pending.len(), byte) {
            (1, b'[' | b'O') => self.pending.push(byte),
            (1, _) => {
                self.pending.clear();
                keys.push(Key::Esc);
                self.push(byte, keys);
            }
            // The Linux console sends ESC [ [ A to E for F1 to F5.
            (2, b'[') if self.pending[1] == b'[' => self.pending.push(byte),
            // A new sequence begins, and the old one never ended.
            (_, 0x1b) => {
                self.pending.clear();
                self.pending.push(byte);
            }
            (_, 0x40..=0x7e) => {
                self.pending.push(byte);
                keys.extend(sequence_key(&self.pending[1..]));
                self.pending.clear();
            }
            _ if self.pending.len() < MAX_SEQUENCE_BYTES => self.pending.push(byte),
            _ => self.pending.clear(),
        }
    }
}

/// The key of a sequence without its escape byte; modifiers do not count.
fn sequence_key(sequence: &[u8]) -> Option<Key> {
    match sequence {
        [b'[', b'[', letter @ b'A'..=b'E'] => Some(Key::F(letter - b'A' + 1)),
        [b'O', letter @ b'P'..=b'S'] | [b'[', .., letter @ b'P'..=b'S'] => Some(Key::F(letter - b'P' + 1)),
        [b'[' | b'O', .., letter] if letter.is_ascii_uppercase() => match letter {
            b'A' => Some(Key::Up),
            b'B' => Some(Key::Down),
            b'C' => Some(Key::Right),
            b'D' => Some(Key::Left),
            b'H' => Some(Key::Home),
            b'F' => Some(Key::End),
            b'Z' => Some(Key::BackTab),
            b'M' if sequence[0] == b'O' => Some(Key::Enter),
            _ => None,
        },
        [b'[', parameters @ .., b'~'] => {
            let first = parameters.split(|byte| *byte == b';').next()?;
            match std::str::from_utf8(first).ok()?.parse::<u8>().ok()? {
                1 | 7 => Some(Key::Home),
                3 => Some(Key::Delete),
                4 | 8 => Some(Key::End),
                5 => Some(Key::PageUp),
                6 => Some(Key::PageDown),
                number @ 11..=15 => Some(Key::F(number - 10)),
                number @ 17..=21 => Some(Key::F(number - 11)),
                number @ 23..=24 => Some(Key::F(number - 12)),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let (mut decoder, mut keys) = (KeyDecoder::default(), Vec::new());
        bytes.iter().for_each(|byte| decoder.push(*byte, &mut keys));
        keys.extend(decoder.timeout());
        keys
    }

    #[test]
    fn sequences_of_consoles_and_serial_programs_are_known() {
        let known: &[(&[u8], Key)] = &[
            (b"\x1b[A", Key::Up),
            (b"\x1bOB", Key::Down),
            (b"\x1b[1;5C", Key::Right),
            (b"\x1b[D", Key::Left),
            (b"\x1b[1~", Key::Home),
            (b"\x1b[H", Key::Home),
            (b"\x1b[4~", Key::End),
            (b"\x1bOF", Key::End),
            (b"\x1b[5~", Key::PageUp),
            (b"\x1b[6~", Key::PageDown),
            (b"\x1b[3~", Key::Delete),
            (b"\x1b[Z", Key::BackTab),
            (b"\x1b[[A", Key::F(1)),
            (b"\x1b[[E", Key::F(5)),
            (b"\x1bOP", Key::F(1)),
            (b"\x1b[1;2Q", Key::F(2)),
            (b"\x1b[11~", Key::F(1)),
            (b"\x1b[15~", Key::F(5)),
            (b"\x1b[17~", Key::F(6)),
            (b"\x1b[20~", Key::F(9)),
            (b"\x1b[21~", Key::F(10)),
            (b"\x1b[23~", Key::F(11)),
            (b"\x1b[24~", Key::F(12)),
            (b"\x1b", Key::Esc),
            (b"\r", Key::Enter),
            (b"\n", Key::Enter),
            (b"\r\n", Key::Enter),
            (b"\t", Key::Tab),
            (b"\x7f", Key::Backspace),
            (b"\x08", Key::Backspace),
            (b"\x0c", Key::Ctrl('l')),
            ("ü".as_bytes(), Key::Char('ü')),
            ("€".as_bytes(), Key::Char('€')),
            ("😀".as_bytes(), Key::Char('😀')),
        ];
        for (bytes, key) in known {
            assert_eq!(keys(bytes), [*key], "{bytes:?}");
        }
        assert_eq!(keys(b"\r\r\n"), [Key::Enter, Key::Enter]);
        assert_eq!(keys(b"\x1b\x1b[A"), [Key::Esc, Key::Up]);
        assert_eq!(keys(b"\x1bx"), [Key::Esc, Key::Char('x')]);
        assert_eq!(keys(b"\xc3x"), [Key::Char('x')], "broken text is dropped, what follows is not");
        assert_eq!(keys(b"\x1b[99~a"), [Key::Char('a')], "unknown sequences are swallowed whole");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived_and_the_decoder_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (mut decoder, mut keys) = (KeyDecoder::default(), Vec::new());
            for byte in &bytes {
                decoder.push(*byte, &mut keys);
                prop_assert!(decoder.pending.len() <= MAX_SEQUENCE_BYTES);
            }
            prop_assert!(keys.len() <= bytes.len() + 1);
            decoder.timeout();
            keys.clear();
            decoder.push(b'a', &mut keys);
            prop_assert_eq!(keys, vec![Key::Char('a')]);
        }

        #[test]
        fn text_is_read_as_it_was_typed(text in "[^\\pC]{0,40}") {
            let expected: Vec<Key> = text.chars().map(Key::Char).collect();
            prop_assert_eq!(keys(text.as_bytes()), expected);
        }
    }
}
