//! Takes a kernel into a store: `kernel_add STORE SOURCE`.

use holotype_boot::kernel::{KernelStore, ModuleSet, import};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [store, source] = arguments.as_slice() else { return Err("kernel_add STORE SOURCE".into()) };
    for kernel in import(&KernelStore::new(store), source.as_ref())? {
        println!("{}", kernel.version());
        for set in ModuleSet::EACH {
            println!("  {set}: {} modules, {} bytes", kernel.modules_in(set)?, kernel.set_archive(set)?.len());
        }
    }
    Ok(())
}
