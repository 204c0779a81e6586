//! The profile as bytes on a medium.
//!
//! | part | bytes |
//! |---|---|
//! | first line | `holotype-profile 1 `, BLAKE3 of the rest as 64 hexadecimal digits, newline |
//! | rest | the profile as JSON (UTF-8) |
//!
//! The hash finds a profile that was altered or damaged; it is no signature: who can write the medium can write both.

use super::BootProfile;
use thiserror::Error;

/// Most bytes of a profile.
pub const MAX_PROFILE_BYTES: usize = 64 << 10;
/// Where it stands in the booted system.
pub const PROFILE_PATH: &str = "/holotype/profile";

const MAGIC: &str = "holotype-profile ";
const VERSION: &str = "1";

/// Why a profile cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProfileError {
    /// It is none.
    #[error("the boot profile is none; make the medium anew")]
    NotAProfile,
    /// It is of another version.
    #[error("the boot profile has version {0}, and this program knows version 1; make the medium anew")]
    Version(String),
    /// Its hash does not fit.
    #[error("the boot profile was altered or is damaged; make the medium anew")]
    Altered,
    /// A field makes no sense.
    #[error("the boot profile makes no sense ({0}); make the medium anew")]
    Field(String),
    /// Of a profile as plain JSON: a field is unknown, or makes no sense.
    #[error("the boot profile makes no sense ({0}); mend it in the file")]
    Json(String),
    /// Of a file: it is neither.
    #[error("it is no boot profile: neither one off a medium nor JSON ({0})")]
    Neither(String),
}

/// The bytes for a medium.
///
/// # Errors
/// Where the profile makes no sense.
pub fn encode(profile: &BootProfile) -> Result<Vec<u8>, ProfileError> {
    profile.check().map_err(ProfileError::Field)?;
    let json = serde_json::to_string_pretty(profile).map_err(|error| ProfileError::Field(error.to_string()))?;
    let bytes = format!("{MAGIC}{VERSION} {}\n{json}\n", blake3::hash(format!("{json}\n").as_bytes()).to_hex());
    match bytes.len() > MAX_PROFILE_BYTES {
        true => Err(ProfileError::Field(format!("it is longer than {MAX_PROFILE_BYTES} bytes"))),
        false => Ok(bytes.into_bytes()),
    }
}

/// Reads the bytes of a medium.
///
/// # Errors
/// Where they are no profile that can be used.
pub fn decode(bytes: &[u8]) -> Result<BootProfile, ProfileError> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= MAX_PROFILE_BYTES);
    let rest = text.and_then(|text| text.strip_prefix(MAGIC)).ok_or(ProfileError::NotAProfile)?;
    let (head, json) = rest.split_once('\n').ok_or(ProfileError::NotAProfile)?;
    let (version, hash) = head.split_once(' ').ok_or(ProfileError::NotAProfile)?;
    if version != VERSION {
        return Err(ProfileError::Version(version.chars().filter(char::is_ascii_graphic).take(16).collect()));
    }
    if blake3::hash(json.as_bytes()).to_hex().as_str() != hash && !cfg!(fuzzing) {
        return Err(ProfileError::Altered);
    }
    let profile: BootProfile = serde_json::from_str(json).map_err(|error| ProfileError::Field(error.to_string()))?;
    profile.check().map_err(ProfileError::Field)?;
    Ok(profile)
}

/// Reads a file that a person gives: the bytes of a medium, or the profile as plain JSON, as people write it.
///
/// # Errors
/// Where it is neither, or cannot be used.
pub fn read(bytes: &[u8]) -> Result<BootProfile, ProfileError> {
    if bytes.starts_with(MAGIC.as_bytes()) {
        return decode(bytes);
    }
    if bytes.len() > MAX_PROFILE_BYTES {
        return Err(ProfileError::Neither(format!("it is longer than {MAX_PROFILE_BYTES} bytes")));
    }
    let profile: BootProfile = serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => ProfileError::Json(error.to_string()),
        _ => ProfileError::Neither(error.to_string()),
    })?;
    profile.check().map_err(ProfileError::Json)?;
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use super::super::{DiskChoice, Enrolment, Place, Server, Style, Task, WriterKey};
    use super::*;

    fn full() -> BootProfile {
        let mut profile = BootProfile::new("pc-07", Style::Network);
        profile.server = Some(Server {
            url: "https://backup.example:7443".into(),
            pin: format!("sha256:{}", "ab".repeat(32)),
            organisation: Some("school".into()),
            machine: Some("m1".into()),
            enrolment: Some(Enrolment { code: "ABCD-EFGH".into(), expires_ms: 5 }),
        });
        profile.task = Task::Backup {
            place: Place::Server { repository: "lab".into() },
            disk: DiskChoice::Serial("S1".into()),
            image_name: None,
            writer_key: "0f".repeat(32),
        };
        profile
    }

    #[test]
    fn what_is_written_is_read() {
        let mut server = BootProfile { task: Task::Server, ..full() };
        server.writer_key = Some(WriterKey("0f".repeat(32)));
        for profile in [full(), BootProfile::new("a", Style::Local), server] {
            assert_eq!(decode(&encode(&profile).unwrap()).unwrap(), profile);
        }
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let bytes = encode(&full()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(decode(&changed).is_err(), "byte {at}");
            assert!(decode(&bytes[..at]).is_err(), "first {at} bytes");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |change: fn(&mut BootProfile)| {
            let mut profile = full();
            change(&mut profile);
            matches!(encode(&profile), Err(ProfileError::Field(_)))
        };
        assert!(refused(|profile| profile.name.clear()));
        assert!(refused(|profile| profile.name = "a\nb".into()));
        assert!(refused(|profile| profile.style = Style::Local));
        assert!(refused(|profile| profile.server = None));
        assert!(refused(|profile| profile.server.as_mut().unwrap().url = "http://x".into()));
        assert!(refused(|profile| profile.server.as_mut().unwrap().pin = "sha256:1".into()));
        assert!(refused(|profile| profile.network.mac = Some("52:54".into())));
        // A backup has its own key; beside the server's task it has to be one.
        assert!(refused(|profile| profile.writer_key = Some(WriterKey("0f".repeat(32)))));
        assert!(refused(|profile| {
            profile.task = Task::Server;
            profile.writer_key = Some(WriterKey("0f".repeat(31)));
        }));
        let other_version = String::from_utf8(encode(&full()).unwrap()).unwrap().replace("profile 1", "profile 2");
        assert_eq!(decode(other_version.as_bytes()), Err(ProfileError::Version("2".into())));
    }

    #[test]
    fn a_file_is_an_envelope_or_plain_json() {
        let (full, encoded) = (full(), encode(&full()).unwrap());
        let json = serde_json::to_vec(&full).unwrap();
        assert_eq!((read(&encoded), read(&json)), (Ok(full.clone()), Ok(full)));
        let told = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        let altered = String::from_utf8(encoded).unwrap().replace("pc-07", "pc-08");
        assert_eq!(read(altered.as_bytes()), Err(ProfileError::Altered));
        let unknown = told(br#"{"name":"pc-07","style":"local","colour":"red"}"#);
        assert!(unknown.contains("unknown field `colour`") && unknown.contains("mend it"), "{unknown}");
        assert!(told(br#"{"name":"","style":"local"}"#).contains("name: it is empty"));
        for neither in [b"".as_slice(), b"{", b"\x7fELF", &vec![b' '; MAX_PROFILE_BYTES + 1]] {
            assert!(told(neither).contains("neither one off a medium nor JSON"), "{}", told(neither));
        }
    }

    /// As media of the first version have it: what was added since is absent there, and nobody misses it.
    #[test]
    fn an_older_profile_is_read() {
        let json = br#"{"name":"pc-07","style":"network","server":{"url":"https://b:7443",
            "pin":"sha256:abababababababababababababababababababababababababababababababab"},"task":"server"}"#;
        let profile = read(json).unwrap();
        assert_eq!((profile.task, profile.writer_key), (Task::Server, None));
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?} {:?}", full(), WriterKey("0f0f".into()));
        assert!(!shown.contains("ABCD") && !shown.contains("0f0f"), "{shown}");
    }
}
