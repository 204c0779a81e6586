//! Names of things. Each name has its own type; there is no bare digest.

use crate::hex;
use bincode::{Decode, Encode};
use std::fmt;
use std::str::FromStr;

/// A text that is no name of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind}: expected {expected_digits} lower-case hexadecimal digits")]
pub struct ParseIdError {
    kind: &'static str,
    expected_digits: usize,
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        pub struct $name(
            /// The name's bytes as they are stored.
            pub [u8; $bytes],
        );

        impl $name {
            /// Length in bytes; the text form has twice as many digits.
            pub const BYTES: usize = $bytes;

            /// The bytes as they are stored.
            pub fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            /// The first twelve hexadecimal digits, for people.
            pub fn short(&self) -> String {
                self.to_string()[..12].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::text(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.short())
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                hex::bytes(text).map(Self).ok_or(ParseIdError { kind: $kind, expected_digits: $bytes * 2 })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

id_type!(
    /// A chunk: BLAKE3 of its plaintext, keyed with a secret of the repository.
    ChunkId, 32, "chunk id"
);
id_type!(
    /// A manifest node: keyed BLAKE3 of its two parts, in a key domain of its own.
    NodeId, 32, "node id"
);
id_type!(
    /// A pack: BLAKE3 of its footer, which holds the BLAKE3 of the frames before it.
    PackId, 32, "pack id"
);
id_type!(
    /// An index segment: BLAKE3 of its bytes.
    SegmentId, 32, "index segment id"
);
id_type!(
    /// An image: BLAKE3 of its object's bytes.
    ImageId, 32, "image id"
);
id_type!(
    /// A writer: its Ed25519 verifying key.
    WriterId, 32, "writer id"
);
id_type!(
    /// A repository: random, chosen at init.
    RepositoryId, 16, "repository id"
);
id_type!(
    /// A lease: random, chosen when it is taken.
    LeaseId, 16, "lease id"
);
id_type!(
    /// A key slot: random, chosen when it is made.
    SlotId, 16, "key slot id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_refuses_other_texts() {
        let id = RepositoryId([0xab; 16]);
        assert_eq!(id.to_string(), "abababababababababababababababab");
        assert_eq!(id.to_string().parse::<RepositoryId>().unwrap(), id);
        assert!("AB".repeat(16).parse::<RepositoryId>().is_err());
        assert!("ab".repeat(15).parse::<RepositoryId>().is_err());
        assert!("zz".repeat(16).parse::<RepositoryId>().is_err());
    }
}
