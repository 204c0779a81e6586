//! In which order modules are loaded.

use super::{Module, ModuleIndex};
use std::collections::BTreeSet;

impl ModuleIndex {
    /// What to load, in this order, so that module `name` can be loaded: what it needs, then itself. What is not in
    /// the index is built into the kernel, or missing, and left out; where modules need each other in a circle, each
    /// comes once.
    pub fn load_order(&self, name: &str) -> Vec<&Module> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        // A stack of its own: a chain can be as long as the index.
        let mut open: Vec<(&Module, usize)> = Vec::new();
        let enter = |name: &str, seen: &mut BTreeSet<String>| {
            let module = self.module(name)?;
            seen.insert(module.name.clone()).then_some((module, 0))
        };
        open.extend(enter(name, &mut seen));
        while let Some((module, next)) = open.last_mut() {
            let wanted = module.before.iter().chain(&module.depends).nth(*next);
            *next += 1;
            match wanted {
                Some(wanted) => open.extend(enter(wanted, &mut seen)),
                None => {
                    order.push(*module);
                    open.pop();
                }
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(lines: &str) -> ModuleIndex {
        ModuleIndex::parse(format!("holotype-modules 1\n{lines}").as_bytes()).unwrap()
    }

    fn names(index: &ModuleIndex, name: &str) -> Vec<String> {
        index.load_order(name).iter().map(|module| module.name.clone()).collect()
    }

    #[test]
    fn what_is_needed_comes_first() {
        let index = index(
            "M\te1000e\t/lib/modules/1/e.ko\tptp,builtin\t\nM\tptp\t/lib/modules/1/p.ko\tpps_core\t\n\
             M\tpps_core\t/lib/modules/1/c.ko\t\t\nM\tnvme\t/lib/modules/1/n.ko\tcore\tcrc\n\
             M\tcore\t/lib/modules/1/o.ko\tcrc\t\nM\tcrc\t/lib/modules/1/r.ko\t\t\n",
        );
        assert_eq!(names(&index, "e1000e"), ["pps_core", "ptp", "e1000e"]);
        assert_eq!(names(&index, "nvme"), ["crc", "core", "nvme"]);
        assert!(names(&index, "unknown").is_empty());
    }

    #[test]
    fn circles_and_long_chains_end() {
        let index_of_circle = index("M\ta\t/lib/modules/1/a.ko\tb\ta\nM\tb\t/lib/modules/1/b.ko\ta\t\n");
        assert_eq!(names(&index_of_circle, "a"), ["b", "a"]);
        let chain: String =
            (0..60_000).map(|at| format!("M\tm{at}\t/lib/modules/1/m{at}.ko\tm{}\t\n", at + 1)).collect();
        assert_eq!(index(&chain).load_order("m0").len(), 60_000);
    }
}
