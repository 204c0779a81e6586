//! The program that a boot medium starts: it finds out what the medium is for, shows the screens or works unattended,
//! and ends with power off or a new start. On an ordinary Linux it shows the same screens.

#[cfg(target_os = "linux")]
pub mod system;

/// Stands in for the screens.
#[cfg(target_os = "linux")]
pub fn run(booted: system::Booted) -> holotype_boot::profile::Afterwards {
    for console in &booted.consoles {
        let line = format!("Holotype: no screens in this build ({}).\r\n", console.display());
        let _ = std::fs::write(console, line);
    }
    holotype_boot::profile::Afterwards::PowerOff
}
