//! Boot media: what a PC is booted from into Holotype, by stick, CD or network.
//!
//! A [`profile::BootProfile`] says for which PC a medium is, where its server is and what it is to do.

pub mod modules;
pub mod profile;
