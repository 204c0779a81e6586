//! The machine's side of the server: who it is there, what it may see, and what it is to do.
//!
//! ```text
//! key ──▶ session (known machine) ─┐
//! code ─▶ enrolment (first boot) ──┼─▶ token ──▶ inventory, repositories, images, runs
//! key ──▶ claim ─▶ operator's word ┘
//! ```

mod api;
mod identity;
mod lists;
mod runs;

pub(crate) use api::{ADVICE_ENDED, sleep};
pub use api::{Api, ApiFailure};
pub use identity::{Connecting, FIRST_PATIENCE, ServerSide};
pub(crate) use lists::minute_of;
pub use lists::{ListedRepository, ListedStorage};
pub use runs::{Run, RunEnd, RunState};
