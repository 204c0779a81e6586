//! `holotype boot`: media that PCs are booted from.

mod create;
pub mod profile;
mod task;
mod wizard;
mod write;

use crate::arguments::{BootAction, BootKernelAction, GlobalArguments, KernelStoreArguments};
use crate::exit::{Exit, Failure, Result};
use crate::output::{self, Table};
use crate::progress::Progress;
use crate::signals;
use crate::units::size;
use holotype_boot::BootError;
use holotype_boot::Watch;
use holotype_boot::kernel::{Kernel, KernelStore, ModuleSet, import_watched};
use holotype_boot::verify::verify;
use holotype_repo::{CancelToken, Event};
use serde_json::json;
use std::path::{Path, PathBuf};

impl From<BootError> for Failure {
    fn from(error: BootError) -> Self {
        Self::failed("boot-medium", error.to_string())
    }
}

/// Shows long work on the terminal, and lets signals stop it.
struct Watcher {
    progress: Progress,
    cancel: CancelToken,
}

impl Watcher {
    fn new(global: &GlobalArguments) -> Result<Self> {
        Ok(Self { progress: Progress::new(global.quiet), cancel: signals::cancel_token()? })
    }
}

impl Watch for Watcher {
    fn stage(&self, name: &'static str, total_bytes: Option<u64>) {
        self.progress.show(&Event::Stage { name, total_bytes });
    }

    fn advanced(&self, bytes: u64) {
        self.progress.show(&Event::Advanced { bytes });
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

/// What failed because a signal stopped it was cancelled.
fn stoppable<T>(result: Result<T, BootError>) -> Result<T> {
    match result {
        Err(_) if signals::cancel_token()?.is_cancelled() => Err(holotype_repo::Error::cancelled().into()),
        result => Ok(result?),
    }
}

/// Makes, checks and writes media.
pub fn run(global: &GlobalArguments, action: &BootAction) -> Result {
    match action {
        BootAction::Kernel(action) => kernel(global, action),
        BootAction::Create(arguments) => match (arguments.product, &arguments.target) {
            (Some(product), Some(target)) => create::run(global, arguments, product, target),
            (None, None) => match arguments.beside_questions()[..] {
                [] => wizard::run(global, arguments),
                [option, ..] => Err(Failure::usage(format!(
                    "boot create: {option} is given, and not what to make: usb, iso, uki or netboot, and where to, as: usb \
                     pc-07.img {option} …; without options, everything is asked"
                ))),
            },
            _ => Err(Failure::usage("boot create: give what to make and where to, as: usb pc-07.img")),
        },
        BootAction::Verify { medium } => check(global, medium),
        BootAction::Write { medium, device, yes, any_disk } => write::run(global, medium, device, *yes, *any_disk),
    }
}

fn store(arguments: &KernelStoreArguments) -> Result<KernelStore> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = arguments
        .kernels
        .clone()
        .or_else(|| variable("XDG_DATA_HOME").map(|path| path.join("holotype/kernels")))
        .or_else(|| variable("HOME").map(|path| path.join(".local/share/holotype/kernels")));
    folder
        .map(KernelStore::new)
        .ok_or_else(|| Failure::usage("kernels: there is no home directory; give --kernels DIR"))
}

fn kernel(global: &GlobalArguments, action: &BootKernelAction) -> Result {
    match action {
        BootKernelAction::Add { source, store: place } => {
            let watcher = Watcher::new(global)?;
            let kernels = import_watched(&store(place)?, source, &watcher);
            watcher.progress.finish();
            list(global, &stoppable(kernels)?)
        }
        BootKernelAction::List { store: place } => list(global, &store(place)?.list()?),
        BootKernelAction::Remove { version, store: place } => {
            store(place)?.remove(version)?;
            match global.json {
                true => output::json(&json!({ "version": version })),
                false => output::line(format!("kernel {version} removed")),
            }
            Ok(Exit::Done)
        }
    }
}

fn list(global: &GlobalArguments, kernels: &[Kernel]) -> Result {
    let mut table = Table::new(&["KERNEL", "VIRTIO", "PC", "ALL"]);
    let mut values = Vec::new();
    for kernel in kernels {
        let [virtio, pc, all] = ModuleSet::EACH.map(|set| kernel.modules_in(set));
        let counts = [virtio?, pc?, all?];
        let shown = counts.map(|count| format!("{count} modules"));
        let [virtio, pc, all] = shown;
        table.row([kernel.version().to_owned(), virtio, pc, all]);
        values.push(json!({ "version": kernel.version(), "modules": { "virtio": counts[0], "pc": counts[1], "all": counts[2] } }));
    }
    match global.json {
        true => output::json(&values),
        false => table.print(),
    }
    Ok(Exit::Done)
}

/// Now, in milliseconds since 1970 (UTC).
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn check(global: &GlobalArguments, medium: &Path) -> Result {
    let report = verify(medium, now_ms())?;
    let names: Vec<&str> = report.profiles.iter().map(|profile| profile.name.as_str()).collect();
    if global.json {
        output::json(&json!({
            "product": report.product,
            "kernel": report.kernel,
            "machines": names,
            "expires_ms": report.profiles.first().and_then(|profile| profile.expires_ms),
            "files": report.files,
            "data_partition_bytes": report.data_partition_bytes,
            "findings": report.findings,
        }));
    } else {
        if !global.quiet {
            let mut table = Table::plain();
            table.value("medium", report.product.as_str());
            table.value("for", names.join(", "));
            table.value("kernel", report.kernel.as_deref().unwrap_or("-"));
            if let Some(bytes) = report.data_partition_bytes {
                table.value("data partition", size(bytes));
            }
            table.print();
        }
        for finding in &report.findings {
            // Names of files on the medium are in it.
            output::line(format!("found: {}", finding.replace(char::is_control, "?")));
        }
        if report.findings.is_empty() && !global.quiet {
            output::line("it is as it was made");
        }
    }
    Ok(if report.findings.is_empty() { Exit::Done } else { Exit::Findings })
}
