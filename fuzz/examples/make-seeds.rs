//! Writes every target's seeds into `corpus/TARGET/seed-N`, for the fuzzing engine.
//!
//! An example rather than a binary: cargo-fuzz builds every binary with the engine linked in.

use std::path::Path;

fn main() -> std::io::Result<()> {
    for target in holotype_fuzz::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
