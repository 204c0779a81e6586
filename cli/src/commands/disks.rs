//! `holotype disks`.

use crate::arguments::GlobalArguments;
use crate::exit::{Exit, Result};
use crate::output::{self, Table};
use crate::units::size;
use holotype_repo::os::list_disks;

/// Lists the disks of this machine.
pub fn run(global: &GlobalArguments) -> Result {
    let disks = list_disks()?;
    if global.json {
        output::json(&disks);
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["DISK", "SIZE", "MODEL", "SERIAL", "BUS", "PARTITIONS", "IN USE AT"]);
    let or_dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    for disk in &disks {
        let mut used = disk.mounted_at.join(" ");
        if disk.read_only {
            used.push_str(" (read-only)");
        }
        table.row([
            disk.path.clone(),
            size(disk.bytes),
            or_dash(&disk.model),
            or_dash(&disk.serial),
            or_dash(&disk.bus),
            disk.partitions.len().to_string(),
            used,
        ]);
    }
    table.print();
    Ok(Exit::Done)
}
