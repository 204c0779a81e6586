//! Every target over its seeds, the regressions in `regressions/`, what cargo-fuzz left in
//! `corpus/`, and a fixed row of mutations. No fuzzing engine is needed.
//!
//! `HOLOTYPE_FUZZ_RUNS` multiplies the mutations in percent (default 100).

use holotype_fuzz::{TARGETS, Target, mutations};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

fn files(folder: &str, target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(target.name);
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a readable file")).collect()
}

fn replay(target: &Target) {
    let run = |input: &[u8]| {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(input))) {
            let file = std::env::temp_dir().join(format!("holotype-fuzz-{}", target.name));
            std::fs::write(&file, input).expect("the input can be kept");
            eprintln!("{}: its input is in {}", target.name, file.display());
            std::panic::resume_unwind(panic);
        }
    };
    let seeds = (target.seeds)();
    run(&[]);
    seeds.iter().for_each(|input| run(input));
    files("regressions", target).iter().for_each(|input| run(input));
    files("corpus", target).iter().for_each(|input| run(input));
    let percent = std::env::var("HOLOTYPE_FUZZ_RUNS").map_or(100, |text| text.parse().expect("a number of percent"));
    mutations(&seeds, target.plain_runs * percent / 100).for_each(|input| run(&input));
}

macro_rules! replays {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                replay(holotype_fuzz::by_name(stringify!($name)));
            }
        )*

        #[test]
        fn every_target_is_replayed() {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

replays!(
    config,
    key_slot,
    lease,
    image,
    grant,
    index_segment,
    pack_footer,
    frame,
    frame_payload,
    envelope,
    manifest_node,
    manifest_tree,
    index_values,
    image_selector,
    mounts,
    object_key,
    locate_answer,
    locate_question,
    chunking,
    image_parts,
    repository,
    volume_ext,
    volume_xfs,
    volume_swap,
    volume_fat,
    volume_exfat,
    volume_ntfs,
    volume_btrfs,
    volume_lvm,
    volume_kept,
    partition_table,
    disk_layout,
    boot_profile,
    module_index,
    boot_medium,
);
