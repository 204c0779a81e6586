//! See `holotype_fuzz::TARGETS`.
#![no_main]

holotype_fuzz::fuzz_binary!();
