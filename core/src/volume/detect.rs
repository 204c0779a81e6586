//! Which filesystem a volume holds.

use super::{Cause, Identity, MapOptions, MapResult, Unmapped, VolumeReader};
use super::{btrfs, encrypted, exfat, ext, fat, lvm, ntfs, other, raid, swap, xfs};

/// What knows a form of volumes.
struct Parser {
    identify: fn(&VolumeReader<'_>) -> Option<Identity>,
    map: fn(&VolumeReader<'_>, &MapOptions) -> MapResult,
}

/// Every form that is known.
const PARSERS: &[Parser] = &[
    Parser { identify: ext::identify, map: ext::map },
    Parser { identify: xfs::identify, map: xfs::map },
    Parser { identify: btrfs::identify, map: btrfs::map },
    Parser { identify: ntfs::identify, map: ntfs::map },
    Parser { identify: exfat::identify, map: exfat::map },
    Parser { identify: fat::identify, map: fat::map },
    Parser { identify: swap::identify, map: swap::map },
    Parser { identify: lvm::identify, map: lvm_alone },
    Parser { identify: encrypted::identify, map: encrypted::map },
    Parser { identify: raid::identify, map: raid::map },
    Parser { identify: other::identify, map: other::map },
];

/// A physical volume alone says nothing of the others of its group: `layout` looks at all of a disk.
fn lvm_alone(_: &VolumeReader<'_>, _: &MapOptions) -> MapResult {
    Err(Unmapped::new(Cause::Unknown, "a physical volume of LVM, whose group was not looked at"))
}

/// What was found on a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// What it says that it is; absent where nothing is known, or several forms are.
    pub identity: Option<Identity>,
    /// Its map.
    pub map: MapResult,
}

/// Whether the volume has a signature of any form.
pub fn has_signature(volume: &VolumeReader<'_>) -> bool {
    PARSERS.iter().any(|parser| (parser.identify)(volume).is_some())
}

/// What a volume says that it is; absent where nothing is known, or several forms are. Far cheaper than [`detect`].
pub fn identify(volume: &VolumeReader<'_>) -> Option<Identity> {
    let mut found = PARSERS.iter().filter_map(|parser| (parser.identify)(volume));
    let identity = found.next()?;
    found.next().is_none().then_some(identity)
}

/// Looks for every known signature and maps the volume where just one is there: what an earlier
/// filesystem left behind must not be taken for the present one.
pub fn detect(volume: &VolumeReader<'_>, options: &MapOptions) -> Detected {
    let mut found = PARSERS.iter().filter_map(|parser| Some((parser, (parser.identify)(volume)?)));
    let Some((parser, identity)) = found.next() else {
        let why = Unmapped::new(Cause::Unknown, "no filesystem that is known");
        return Detected { identity: None, map: Err(why) };
    };
    let others: Vec<String> = found.map(|(_, identity)| identity.variant).collect();
    if !others.is_empty() {
        let why = format!("signatures of {} and of {}", identity.variant, others.join(" and of "));
        return Detected { identity: None, map: Err(Unmapped::new(Cause::Unknown, why)) };
    }
    let map = (parser.map)(volume, options);
    Detected { identity: Some(identity), map }
}
