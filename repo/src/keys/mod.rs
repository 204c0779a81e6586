//! Keys: what a person has in hand, what a slot gives, and how slots are kept.

mod credentials;
mod keyring;
mod slots;

pub use credentials::Credentials;
pub(crate) use keyring::GrantedKeys;
pub use keyring::Keyring;
pub use slots::{NewKey, SlotInfo};
pub(crate) use slots::{add_slot, list_slots, open_any_slot, read_slots, remove_slot};
