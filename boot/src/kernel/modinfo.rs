//! What a kernel module tells of itself: section `.modinfo` of its ELF file, `KEY=VALUE` texts divided by zero bytes
//! (kernel: include/linux/moduleparam.h, include/linux/module.h).

use object::{Object, ObjectSection};

/// What a module tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModInfo {
    /// Name, with `_` for `-`; empty where the module is older than kernel 4.13.
    pub name: String,
    /// Modules that it needs.
    pub depends: Vec<String>,
    /// Modules or aliases that should come before it.
    pub before: Vec<String>,
    /// Patterns of the devices, and names, that it is for.
    pub aliases: Vec<String>,
    /// Firmware files that it may ask for.
    pub firmware: Vec<String>,
}

/// Most bytes of the section: the largest of Linux 6.1 has 60 KiB.
const MAX_SECTION_BYTES: usize = 1 << 20;

/// Reads it; `None` where the file is no 64-bit ELF with such a section.
pub fn read(module: &[u8]) -> Option<ModInfo> {
    let file = object::read::elf::ElfFile64::<object::Endianness>::parse(module).ok()?;
    let section = file.section_by_name_bytes(b".modinfo")?.data().ok()?;
    if section.len() > MAX_SECTION_BYTES {
        return None;
    }
    let mut info = ModInfo::default();
    for text in section.split(|&byte| byte == 0).filter_map(|text| std::str::from_utf8(text).ok()) {
        let Some((key, value)) = text.split_once('=') else { continue };
        match key {
            "name" => info.name = plain(value),
            "depends" => info.depends = value.split(',').filter(|name| !name.is_empty()).map(plain).collect(),
            "alias" => info.aliases.push(value.to_owned()),
            "firmware" => info.firmware.push(value.to_owned()),
            "softdep" => info.before.extend(before(value)),
            _ => {}
        }
    }
    Some(info)
}

/// `pre: a b post: c` → a, b.
fn before(value: &str) -> Vec<String> {
    let mut is_before = false;
    let mut names = Vec::new();
    for word in value.split_whitespace() {
        match word {
            "pre:" => is_before = true,
            "post:" => is_before = false,
            name if is_before => names.push(name.to_owned()),
            _ => {}
        }
    }
    names
}

/// The name as the kernel lists it.
pub fn plain(name: &str) -> String {
    name.trim().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_comes_before_counts() {
        assert_eq!(before("pre: crypto-crc32c b post: c pre: d"), ["crypto-crc32c", "b", "d"]);
        assert!(before("a").is_empty());
    }

    #[test]
    fn what_is_no_module_is_none() {
        for bytes in [b"".as_slice(), b"\x7fELF", &[0x7f; 300]] {
            assert_eq!(read(bytes), None);
        }
    }
}
