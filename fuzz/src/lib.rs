//! Fuzz targets of Holotype's decoders.
//!
//! A target is a function of bytes that panics where something is wrong. cargo-fuzz runs it under
//! libFuzzer (`targets/`), and `cargo test` runs the same function over seeds, regressions and some
//! thousand fixed mutations (`tests/replay.rs`), on any machine.
//!
//! Past authentication: the harness has the repository's keys ([`forge`]), so a target takes what
//! stands *behind* a seal, a signature or a checksum, and seals it itself.

mod boot;
mod cutting;
pub mod forge;
mod index;
mod input;
mod manifest;
mod mutate;
mod network;
mod packs;
mod records;
mod repository;
mod sparse_disk;
mod text;
mod volumes;

pub use mutate::mutations;

use std::path::Path;

/// A decoder under test.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, that of its binary too.
    pub name: &'static str,
    /// Reads `data` as its decoder would; panics where something is wrong.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Mutations in the plain test; fewer where one takes long.
    pub plain_runs: usize,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    target("config", records::config, records::config_seeds, 4000),
    target("key_slot", records::key_slot, records::key_slot_seeds, 2000),
    target("lease", records::lease, records::lease_seeds, 4000),
    target("image", records::image, records::image_seeds, 4000),
    target("grant", records::grant, records::grant_seeds, 4000),
    target("index_segment", packs::index_segment, packs::index_segment_seeds, 2000),
    target("pack_footer", packs::pack_footer, packs::pack_footer_seeds, 4000),
    target("frame", packs::frame, packs::frame_seeds, 4000),
    target("frame_payload", packs::frame_payload, packs::frame_payload_seeds, 4000),
    target("envelope", packs::envelope, packs::envelope_seeds, 1000),
    target("manifest_node", manifest::node, manifest::node_seeds, 8000),
    target("manifest_tree", manifest::tree, manifest::tree_seeds, 300),
    target("index_values", index::values, index::values_seeds, 1000),
    target("image_selector", text::image_selector, text::image_selector_seeds, 8000),
    target("mounts", text::mounts, text::mounts_seeds, 8000),
    target("object_key", text::object_key, text::object_key_seeds, 8000),
    target("locate_answer", network::locate_answer, network::locate_answer_seeds, 8000),
    target("locate_question", network::locate_question, network::locate_question_seeds, 8000),
    target("chunking", cutting::chunking, cutting::chunking_seeds, 1000),
    target("image_parts", repository::image_parts, repository::image_parts_seeds, 300),
    target("repository", repository::damaged, repository::damaged_seeds, 300),
    target("volume_ext", volumes::volume_ext::run, volumes::volume_ext::seeds, 1000),
    target("volume_xfs", volumes::volume_xfs::run, volumes::volume_xfs::seeds, 1000),
    target("volume_swap", volumes::volume_swap::run, volumes::volume_swap::seeds, 1000),
    target("volume_fat", volumes::volume_fat::run, volumes::volume_fat::seeds, 1000),
    target("volume_exfat", volumes::volume_exfat::run, volumes::volume_exfat::seeds, 1000),
    target("volume_ntfs", volumes::volume_ntfs::run, volumes::volume_ntfs::seeds, 1000),
    target("volume_btrfs", volumes::volume_btrfs::run, volumes::volume_btrfs::seeds, 1000),
    target("volume_lvm", volumes::volume_lvm, volumes::volume_lvm_seeds, 2000),
    target("volume_kept", volumes::volume_kept::run, volumes::volume_kept::seeds, 1000),
    target("partition_table", volumes::partition_table, volumes::partition_table_seeds, 2000),
    target("disk_layout", volumes::disk_layout, volumes::disk_layout_seeds, 1000),
    target("boot_profile", boot::boot_profile, boot::boot_profile_seeds, 8000),
    target("module_index", boot::module_index, boot::module_index_seeds, 8000),
    target("boot_medium", boot::boot_medium, boot::boot_medium_seeds, 2000),
];

const fn target(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>, plain_runs: usize) -> Target {
    Target { name, run, seeds, plain_runs }
}

/// The target of this name.
///
/// # Panics
/// Where there is none.
pub fn by_name(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).expect("a target of that name")
}

/// Writes the target's seeds into the folder that `HOLOTYPE_FUZZ_SEEDS` names, and ends the process:
/// the binary that fuzzes makes its own seeds, so nothing is built twice.
///
/// # Panics
/// Where they cannot be written.
pub fn write_seeds_if_asked(target: &str) {
    let Some(folder) = std::env::var_os("HOLOTYPE_FUZZ_SEEDS") else { return };
    for (number, seed) in (by_name(target).seeds)().iter().enumerate() {
        let file = Path::new(&folder).join(format!("seed-{number}"));
        std::fs::write(file, seed).expect("seeds can be written");
    }
    std::process::exit(0);
}

/// The body of a libFuzzer binary: the target that is called like it.
#[cfg(feature = "libfuzzer")]
#[macro_export]
macro_rules! fuzz_binary {
    () => {
        libfuzzer_sys::fuzz_target!(init: holotype_fuzz::write_seeds_if_asked(env!("CARGO_BIN_NAME")), |data: &[u8]| {
            static TARGET: std::sync::LazyLock<&holotype_fuzz::Target> =
                std::sync::LazyLock::new(|| holotype_fuzz::by_name(env!("CARGO_BIN_NAME")));
            (TARGET.run)(data);
        });
    };
}
