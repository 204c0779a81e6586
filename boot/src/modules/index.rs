//! The index of a medium's modules.
//!
//! UTF-8 text at [`INDEX_PATH`]; fields are divided by one tab.
//!
//! | line | fields |
//! |---|---|
//! | first | `holotype-modules 1` |
//! | a module | `M`, name, path, names of modules it needs (by commas), names of modules that should come before it (by commas) |
//! | an alias | `A`, pattern as in `.modinfo`, name of the module |
//!
//! Names have `_` for `-`. Paths are those in the booted system, below `/lib/modules/`. Modules come first, by name,
//! then aliases, by pattern.

use super::matches;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use thiserror::Error;

/// Where it stands in the booted system.
pub const INDEX_PATH: &str = "/holotype/modules";
/// Most bytes of an index.
pub const MAX_INDEX_BYTES: usize = 16 << 20;

const FIRST_LINE: &str = "holotype-modules 1";
const MAX_MODULES: usize = 1 << 16;
const MAX_LINE_BYTES: usize = 16 << 10;

/// Why an index cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IndexError {
    /// It is none, or of another version.
    #[error("the module index is none of version 1; make the medium anew")]
    NotAnIndex,
    /// It is larger than one can be.
    #[error("the module index is larger than {MAX_INDEX_BYTES} bytes or {MAX_MODULES} modules; make the medium anew")]
    TooLarge,
    /// A line makes no sense.
    #[error("the module index makes no sense in line {0}; make the medium anew")]
    Line(usize),
}

/// A module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its name, with `_` for `-`.
    pub name: String,
    /// Where its file is in the booted system.
    pub path: String,
    /// Modules that it needs.
    pub depends: Vec<String>,
    /// Modules that should be loaded before it, where they are there.
    pub before: Vec<String>,
}

/// The modules of a medium.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModuleIndex {
    modules: BTreeMap<String, Module>,
    aliases: BTreeSet<(String, String)>,
}

impl ModuleIndex {
    /// Reads one.
    ///
    /// # Errors
    /// Where it is none, or makes no sense.
    pub fn parse(bytes: &[u8]) -> Result<Self, IndexError> {
        if bytes.len() > MAX_INDEX_BYTES {
            return Err(IndexError::TooLarge);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| IndexError::NotAnIndex)?;
        let mut lines = text.lines().enumerate();
        if lines.next().is_none_or(|(_, line)| line != FIRST_LINE) {
            return Err(IndexError::NotAnIndex);
        }
        let mut index = Self::default();
        for (at, line) in lines {
            index.take_line(line).ok_or(IndexError::Line(at + 1))?;
            if index.modules.len() > MAX_MODULES {
                return Err(IndexError::TooLarge);
            }
        }
        Ok(index)
    }

    fn take_line(&mut self, line: &str) -> Option<()> {
        if line.len() > MAX_LINE_BYTES {
            return None;
        }
        let mut fields = line.split('\t');
        match [(); 6].map(|()| fields.next()) {
            [Some("M"), Some(name), Some(path), Some(depends), Some(before), None] => {
                let names = |text: &str| text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
                let (depends, before) = (names(depends), names(before));
                self.add(Module { name: name.into(), path: path.into(), depends, before }).then_some(())
            }
            [Some("A"), Some(pattern), Some(name), None, ..] => self.add_alias(pattern, name).then_some(()),
            _ => None,
        }
    }

    /// Adds a module; `false` where there is one of this name, or a field makes no sense.
    pub fn add(&mut self, module: Module) -> bool {
        let is_path = module.path.starts_with("/lib/modules/")
            && !module.path.split('/').any(|part| part == "..")
            && !module.path.contains(char::is_control);
        let are_names = module.depends.iter().chain(&module.before).chain([&module.name]).all(|name| is_name(name));
        if !is_path || !are_names || self.modules.contains_key(&module.name) {
            return false;
        }
        self.modules.insert(module.name.clone(), module);
        true
    }

    /// Adds an alias; `false` where there is no such module, or the pattern cannot be one.
    pub fn add_alias(&mut self, pattern: &str, name: &str) -> bool {
        let is_pattern = !pattern.is_empty() && pattern.len() <= 1024 && !pattern.contains(char::is_control);
        let fits = is_pattern && self.modules.contains_key(name);
        if fits {
            self.aliases.insert((pattern.to_owned(), name.to_owned()));
        }
        fits
    }

    /// The module of this name; `-` counts as `_`.
    pub fn module(&self, name: &str) -> Option<&Module> {
        self.modules.get(name).or_else(|| self.modules.get(&name.replace('-', "_")))
    }

    /// All modules, by name.
    pub fn modules(&self) -> impl Iterator<Item = &Module> {
        self.modules.values()
    }

    /// All aliases, as pattern and module, by pattern.
    pub fn aliases(&self) -> impl Iterator<Item = (&str, &str)> {
        self.aliases.iter().map(|(pattern, name)| (pattern.as_str(), name.as_str()))
    }

    /// Names of the modules for a device, by its `modalias` in sysfs; also for what the kernel asks for by alias, as
    /// `fs-vfat`.
    pub fn matching(&self, modalias: &str) -> BTreeSet<&str> {
        self.aliases().filter(|(pattern, _)| matches(pattern, modalias)).map(|(_, name)| name).collect()
    }

    /// Its bytes.
    pub fn to_text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\n");
        for Module { name, path, depends, before } in self.modules() {
            // Writing to a string does not fail.
            let _ = writeln!(text, "M\t{name}\t{path}\t{}\t{}", depends.join(","), before.join(","));
        }
        for (pattern, name) in self.aliases() {
            let _ = writeln!(text, "A\t{pattern}\t{name}");
        }
        text
    }
}

fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOLDEN: &str = "holotype-modules 1\n\
        M\tcrc16\t/lib/modules/6.1.0/kernel/lib/crc16.ko\t\t\n\
        M\te1000e\t/lib/modules/6.1.0/kernel/drivers/net/e1000e.ko\tptp\tcrc16,other\n\
        A\tpci:v00008086d000010D3sv*sd*bc*sc*i*\te1000e\n";

    #[test]
    fn the_format_stays() {
        let index = ModuleIndex::parse(GOLDEN.as_bytes()).unwrap();
        assert_eq!(index.to_text(), GOLDEN);
        let module = index.module("e1000e").unwrap();
        assert_eq!((module.depends.as_slice(), module.before.len()), (["ptp".to_owned()].as_slice(), 2));
        let found = index.matching("pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["e1000e"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bytes in ["", "holotype-modules 2\n", "\u{0}"] {
            assert_eq!(ModuleIndex::parse(bytes.as_bytes()), Err(IndexError::NotAnIndex));
        }
        for line in [
            "M\ta\t/etc/passwd\t\t",
            "M\ta\t/lib/modules/../../x.ko\t\t",
            "M\ta b\t/lib/modules/x.ko\t\t",
            "M\ta\t/lib/modules/x.ko\t",
            "M\ta\t/lib/modules/x.ko\t\t\t",
            "A\tx\tunknown",
            "X",
            "",
        ] {
            let text = format!("holotype-modules 1\n{line}\n");
            assert_eq!(ModuleIndex::parse(text.as_bytes()), Err(IndexError::Line(2)), "{line}");
        }
        let twice = "holotype-modules 1\nM\ta\t/lib/modules/x.ko\t\t\nM\ta\t/lib/modules/y.ko\t\t\n";
        assert_eq!(ModuleIndex::parse(twice.as_bytes()), Err(IndexError::Line(3)));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = ModuleIndex::parse(&bytes);
            let _ = ModuleIndex::parse(&[b"holotype-modules 1\nM\t".as_slice(), &bytes].concat());
        }
    }
}
