//! What firmware may read: the boot files below one folder, and what is made for each machine when it asks.
//!
//! | path | what |
//! |---|---|
//! | `boot.ipxe`, `grub/grub.cfg` | first scripts: tell the server which machine it is |
//! | `machine/mac-…/uuid-…/boot.ipxe`, `grub.cfg` | what that machine boots; one of the two names is enough |
//! | `machine/mac-…/uuid-…/profile.cpio` | its boot profile |
//! | anything else | a file of the folder |
//!
//! The folder's own `machine/` is never read: profiles that lie there may hold enrolment codes.

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Longest path.
const MAX_PATH_BYTES: usize = 255;
/// Most folders above a file.
const MAX_DEPTH: usize = 8;
/// The folder of what is made for machines.
const MACHINE: &str = "machine";

/// By what a machine is known when it asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Address of the adapter that it boots from, as `52:54:00:12:34:56`.
    pub mac: Option<String>,
    /// UUID of its firmware, in small letters.
    pub uuid: Option<String>,
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (mac, uuid) = (self.mac.as_deref().unwrap_or("no MAC"), self.uuid.as_deref().unwrap_or("no UUID"));
        write!(f, "{mac}, {uuid}")
    }
}

/// What is made for a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// iPXE's script.
    Ipxe,
    /// GRUB's script.
    Grub,
    /// The boot profile.
    Profile,
}

/// What a path means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// iPXE's first script.
    FirstIpxe,
    /// GRUB's first script.
    FirstGrub,
    /// Something for one machine.
    Machine(Asked, Made),
    /// A file of the folder: a path without `.`, `..` and hidden names.
    File(String),
}

impl Wanted {
    /// Reads a path as firmware sends it: with or without `/` before it, some with `\`.
    pub fn parse(path: &str) -> Option<Self> {
        if path.len() > MAX_PATH_BYTES || path.bytes().any(|byte| byte.is_ascii_control()) {
            return None;
        }
        let parts: Vec<&str> = path.split(['/', '\\']).filter(|part| !part.is_empty()).collect();
        if parts.is_empty() || parts.len() > MAX_DEPTH || parts.iter().any(|part| part.starts_with('.')) {
            return None;
        }
        Some(match parts[..] {
            ["boot.ipxe"] => Self::FirstIpxe,
            ["grub", "grub.cfg"] => Self::FirstGrub,
            [MACHINE, ref addresses @ .., name] => {
                let made = match name {
                    "boot.ipxe" => Made::Ipxe,
                    "grub.cfg" => Made::Grub,
                    "profile.cpio" => Made::Profile,
                    _ => return None,
                };
                Self::Machine(asked(addresses)?, made)
            }
            [MACHINE] => return None,
            _ => Self::File(parts.join("/")),
        })
    }
}

/// `mac-…` and `uuid-…`, at most one of each. Firmware without one of them sends an empty value.
fn asked(parts: &[&str]) -> Option<Asked> {
    let mut asked = Asked::default();
    for part in parts {
        let (place, value) = match part.split_once('-')? {
            ("mac", "") | ("uuid", "") => continue,
            ("mac", value) => (&mut asked.mac, crate::api::mac_address(value)?),
            ("uuid", value) => (&mut asked.uuid, crate::api::hyphenated_uuid(value)?),
            _ => return None,
        };
        if place.replace(value).is_some() {
            return None;
        }
    }
    // Boards that were given none have one digit all over.
    asked
        .uuid
        .take_if(|uuid| ['0', 'f'].iter().any(|digit| uuid.chars().all(|letter| letter == *digit || letter == '-')));
    Some(asked)
}

/// The folder of boot files.
#[derive(Debug, Clone)]
pub struct Tree(PathBuf);

impl Tree {
    /// A folder.
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Opens a file by a path of [`Wanted::File`]. Symbolic links may lead to files inside the folder alone.
    ///
    /// # Errors
    /// Those of the system; what is no file is not found.
    pub fn open(&self, path: &str) -> io::Result<(File, u64)> {
        let folder = File::open(&self.0)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let file = loop {
            match rustix::fs::openat2(&folder, path, flags, Mode::empty(), inside) {
                // A rename meanwhile, so that the kernel could not be sure.
                Err(Errno::AGAIN) => std::thread::yield_now(),
                other => break File::from(other?),
            }
        };
        let metadata = file.metadata()?;
        match metadata.is_file() {
            true => Ok((file, metadata.len())),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Whether there is such a file.
    pub fn has(&self, path: &str) -> bool {
        self.open(path).is_ok()
    }

    /// Versions of the kernels that are there with their initramfs, the newest last.
    pub fn kernels(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join("kernel")).into_iter().flatten().flatten();
        let mut versions: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|version| is_version(version))
            .filter(|version| self.has(&format!("kernel/{version}/vmlinuz")))
            .filter(|version| self.has(&format!("kernel/{version}/initrd")))
            .collect();
        versions.sort_by(|a, b| numbers(a).cmp(&numbers(b)).then(a.cmp(b)));
        versions
    }
}

/// Whether a text can be a kernel's version: it stands in scripts, so nothing else may be in it.
pub fn is_version(text: &str) -> bool {
    !text.starts_with('.')
        && (1..=100).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+' | b'~'))
}

/// The numbers in a version, so that 6.10 comes after 6.9.
fn numbers(version: &str) -> Vec<u64> {
    version
        .split(|letter: char| !letter.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .map(|digits| digits.parse().unwrap_or(u64::MAX))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn paths_mean_what_they_say() {
        let file = |path: &str| Wanted::parse(path) == Some(Wanted::File("kernel/6.1/vmlinuz".into()));
        assert!(file("kernel/6.1/vmlinuz") && file("/kernel//6.1/vmlinuz") && file("\\kernel\\6.1\\vmlinuz"));
        assert_eq!(Wanted::parse("/boot.ipxe"), Some(Wanted::FirstIpxe));
        assert_eq!(Wanted::parse("//grub/grub.cfg"), Some(Wanted::FirstGrub));
        let mac = Some("52:54:00:ab:cd:ef".to_owned());
        let uuid = Some("0bd9c9ac-1b71-4f40-9d04-b9a56b0f5b3e".to_owned());
        let machine = |path: &str| match Wanted::parse(path) {
            Some(Wanted::Machine(asked, made)) => Some((asked.mac, asked.uuid, made)),
            _ => None,
        };
        let both = "machine/mac-52-54-00-AB-cd-ef/uuid-0BD9C9AC-1B71-4F40-9D04-B9A56B0F5B3E/boot.ipxe";
        assert_eq!(machine(both), Some((mac.clone(), uuid.clone(), Made::Ipxe)));
        let by_mac = "/machine/mac-52:54:00:ab:cd:ef/uuid-/grub.cfg";
        assert_eq!(machine(by_mac), Some((mac, None, Made::Grub)));
        let by_uuid = "machine/uuid-0bd9c9ac-1b71-4f40-9d04-b9a56b0f5b3e/profile.cpio";
        assert_eq!(machine(by_uuid), Some((None, uuid, Made::Profile)));
        let none = "machine/uuid-00000000-0000-0000-0000-000000000000/boot.ipxe";
        assert_eq!(machine(none), Some((None, None, Made::Ipxe)));
    }

    #[test]
    fn paths_that_lead_elsewhere_are_none() {
        let long = format!("a/{}", "b".repeat(300));
        let deep = "a/".repeat(9) + "b";
        for path in [
            "",
            "/",
            "..",
            "../x",
            "a/../../x",
            "a\\..\\x",
            "a/./b",
            ".hidden",
            "a\0b",
            "a\nb",
            &long,
            &deep,
            "machine",
            "machine/any/profile.cpio",
            "machine/mac-x/boot.ipxe",
            "machine/mac-52-54-00-12-34-56/secret",
            "machine/mac-52-54-00-12-34-56/mac-52-54-00-12-34-56/boot.ipxe",
        ] {
            assert_eq!(Wanted::parse(path), None, "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn hostile_paths_stay_inside(path in "[a-z./\\\\%\u{0}-\u{1f}é-]{0,60}") {
            if let Some(Wanted::File(path)) = Wanted::parse(&path) {
                prop_assert!(!path.starts_with('/'));
                prop_assert!(path.split('/').all(|part| !part.is_empty() && !part.starts_with('.')));
            }
        }
    }

    #[test]
    fn links_stay_inside_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("tree");
        std::fs::create_dir_all(folder.join("kernel/6.9.2-1")).unwrap();
        std::fs::create_dir_all(folder.join("kernel/6.10.0-1")).unwrap();
        std::fs::create_dir_all(folder.join("kernel/7-without-initrd")).unwrap();
        std::fs::write(dir.path().join("secret"), "s").unwrap();
        std::fs::write(folder.join("shimx64.efi"), "shim").unwrap();
        for version in ["6.9.2-1", "6.10.0-1"] {
            std::fs::write(folder.join(format!("kernel/{version}/vmlinuz")), "k").unwrap();
            std::fs::write(folder.join(format!("kernel/{version}/initrd")), "i").unwrap();
        }
        symlink("../secret", folder.join("out")).unwrap();
        symlink(dir.path().join("secret"), folder.join("absolute")).unwrap();
        symlink("..", folder.join("above")).unwrap();
        symlink("shimx64.efi", folder.join("inside")).unwrap();
        rustix::fs::mknodat(
            File::open(&folder).unwrap(),
            "pipe",
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        let tree = Tree::new(folder);
        for path in ["out", "absolute", "above/secret", "pipe", "kernel", "nothing"] {
            assert!(tree.open(path).is_err(), "{path}");
        }
        assert_eq!(tree.open("inside").unwrap().1, 4);
        assert_eq!(tree.kernels(), ["6.9.2-1", "6.10.0-1"]);
    }
}
