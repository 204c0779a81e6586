//! The text in which LVM2 writes a volume group: sections in braces, `key = value`, comments.
//!
//! Source: lvm2, `lib/format_text/` and the output of `vgcfgbackup`. Only what LVM itself writes is
//! read: whole numbers, strings in double quotes, and lists of both.

use super::super::Unmapped;
use std::collections::BTreeMap;

/// Deepest nesting that LVM writes is four: group, `logical_volumes`, volume, segment.
const MAX_DEPTH: usize = 8;

/// What stands after `=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Number(i64),
    Text(String),
    List(Vec<Value>),
}

/// What stands in braces, or the whole text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Section {
    values: BTreeMap<String, Value>,
    sections: BTreeMap<String, Section>,
}

impl Section {
    /// The sections in it, by name.
    pub fn sections(&self) -> &BTreeMap<String, Section> {
        &self.sections
    }

    /// A section that must be there.
    pub fn section(&self, name: &str) -> Result<&Section, Unmapped> {
        self.sections.get(name).ok_or_else(|| missing(name))
    }

    /// A number, zero or more, that must be there.
    pub fn number(&self, key: &str) -> Result<u64, Unmapped> {
        match self.values.get(key) {
            Some(Value::Number(number)) => u64::try_from(*number).map_err(|_| missing(key)),
            _ => Err(missing(key)),
        }
    }

    /// A string that must be there.
    pub fn text(&self, key: &str) -> Result<&str, Unmapped> {
        self.optional_text(key)?.ok_or_else(|| missing(key))
    }

    /// A string that may be there.
    pub fn optional_text(&self, key: &str) -> Result<Option<&str>, Unmapped> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(missing(key)),
        }
    }

    /// A list that must be there.
    pub fn list(&self, key: &str) -> Result<&[Value], Unmapped> {
        match self.values.get(key) {
            Some(Value::List(list)) => Ok(list),
            _ => Err(missing(key)),
        }
    }

    /// A list of words, all of which must be in `allowed`.
    pub fn words(&self, key: &str, allowed: &[&str], of: &str) -> Result<Vec<&str>, Unmapped> {
        let words = self.list(key)?.iter().map(|value| match value {
            Value::Text(word) if allowed.contains(&word.as_str()) => Ok(word.as_str()),
            Value::Text(word) => Err(Unmapped::feature(format!("{of} is marked {word}"))),
            _ => Err(missing(key)),
        });
        words.collect()
    }

    /// Refuses keys that are not in `allowed`: what they mean is not known.
    pub fn only(&self, allowed: &[&str], of: &str) -> Result<(), Unmapped> {
        match self.values.keys().find(|key| !allowed.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(Unmapped::feature(format!("{of} has the property {key}, which is not supported"))),
        }
    }
}

fn missing(key: &str) -> Unmapped {
    Unmapped::inconsistent(format!("the LVM metadata has no usable {key}"))
}

fn malformed(at: usize) -> Unmapped {
    Unmapped::inconsistent(format!("the LVM metadata is not well formed at byte {at}"))
}

/// Reads a whole text. What it gives is no larger than the text, times a constant.
pub(super) fn parse(text: &[u8]) -> Result<Section, Unmapped> {
    let mut parser = Parser { text, at: 0 };
    let section = parser.section(0)?;
    if parser.at == text.len() { Ok(section) } else { Err(malformed(parser.at)) }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Over white space and comments.
    fn skip(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b'#' => {
                    let rest = &self.text[self.at..];
                    self.at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                }
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                _ => break,
            }
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Unmapped> {
        self.skip();
        if self.peek() != Some(byte) {
            return Err(malformed(self.at));
        }
        self.at += 1;
        Ok(())
    }

    /// Up to the closing brace, which stays, or the end of the text.
    fn section(&mut self, depth: usize) -> Result<Section, Unmapped> {
        let mut section = Section::default();
        loop {
            self.skip();
            if self.at == self.text.len() || self.peek() == Some(b'}') {
                return Ok(section);
            }
            let name_at = self.at;
            let name = self.name()?;
            if section.values.contains_key(&name) || section.sections.contains_key(&name) {
                return Err(malformed(name_at));
            }
            self.skip();
            if self.peek() == Some(b'{') {
                if depth == MAX_DEPTH {
                    return Err(malformed(self.at));
                }
                self.at += 1;
                let inner = self.section(depth + 1)?;
                self.expect(b'}')?;
                section.sections.insert(name, inner);
            } else {
                self.expect(b'=')?;
                self.skip();
                let value = self.value(true)?;
                section.values.insert(name, value);
            }
        }
    }

    /// Names of volumes and groups have letters, digits and `+_.-` (lvm(8), "VALID NAMES").
    fn name(&mut self) -> Result<String, Unmapped> {
        let rest = &self.text[self.at..];
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"+_.-".contains(byte);
        let length = rest.iter().take_while(|byte| is_name(byte)).count();
        let name = std::str::from_utf8(&rest[..length]).unwrap_or_default();
        if name.is_empty() {
            return Err(malformed(self.at));
        }
        self.at += length;
        Ok(name.to_owned())
    }

    fn value(&mut self, list_allowed: bool) -> Result<Value, Unmapped> {
        match self.peek() {
            Some(b'"') => self.string().map(Value::Text),
            Some(b'[') if list_allowed => self.list().map(Value::List),
            Some(b'-' | b'0'..=b'9') => {
                let rest = &self.text[self.at..];
                let length = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'-').count();
                let digits = std::str::from_utf8(&rest[..length]).unwrap_or_default();
                let number = digits.parse().map_err(|_| malformed(self.at))?;
                self.at += length;
                // A fraction, or a word that begins with a digit.
                match self.peek() {
                    Some(b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'_') => Err(malformed(self.at)),
                    _ => Ok(Value::Number(number)),
                }
            }
            _ => Err(malformed(self.at)),
        }
    }

    fn string(&mut self) -> Result<String, Unmapped> {
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let byte = self.peek().ok_or_else(|| malformed(self.at))?;
            self.at += 1;
            match byte {
                b'"' => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
                b'\\' => {
                    bytes.push(self.peek().ok_or_else(|| malformed(self.at))?);
                    self.at += 1;
                }
                _ => bytes.push(byte),
            }
        }
    }

    fn list(&mut self) -> Result<Vec<Value>, Unmapped> {
        self.at += 1;
        let mut values = Vec::new();
        loop {
            self.skip();
            if self.peek() == Some(b']') {
                self.at += 1;
                return Ok(values);
            }
            if !values.is_empty() {
                self.expect(b',')?;
                self.skip();
            }
            let value = self.value(false)?;
            values.push(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_lvm_writes_is_read() {
        let text = br#"# Generated
            contents = "Text \"Format\" \\"	# a comment with = { and "
            version = 1
            minor = -1
            0vg.a {
                status = ["READ", "WRITE"]
                flags = []
                in{n=7}
            }"#;
        let root = parse(text).unwrap();
        assert_eq!(root.text("contents").unwrap(), "Text \"Format\" \\");
        assert_eq!(root.number("version").unwrap(), 1);
        assert!(root.number("minor").is_err() && root.number("contents").is_err() && root.text("x").is_err());
        let group = root.section("0vg.a").unwrap();
        assert_eq!(group.words("status", &["READ", "WRITE"], "it").unwrap(), ["READ", "WRITE"]);
        assert!(group.words("status", &["READ"], "it").is_err());
        assert!(group.words("flags", &[], "it").unwrap().is_empty());
        assert_eq!(group.section("in").unwrap().number("n").unwrap(), 7);
        assert!(group.only(&["status", "flags"], "it").is_ok() && group.only(&["flags"], "it").is_err());
    }

    #[test]
    fn other_texts_are_refused() {
        let texts = [
            "a",
            "a =",
            "a = b",
            "a = 1.5",
            "a = 1x",
            "a = 1 a = 2",
            "a { } a = 1",
            "a {",
            "a }",
            "}",
            "= 1",
            "a = \"x",
            "a = [1",
            "a = [1 2]",
            "a = [[1]]",
            "a = 99999999999999999999",
            "a = \"\\",
            "a = 1-2",
            "\0",
        ];
        for text in texts {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse("a{".repeat(100_000).as_bytes()).is_err());
        assert!(parse(format!("{}{}", "a{".repeat(8), "}".repeat(8)).as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_ends(text in "[a{}=\\[\\],\"\\\\ #\n1-]{0,60}") {
            let _ = parse(text.as_bytes());
        }
    }
}
