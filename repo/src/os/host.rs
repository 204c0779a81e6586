//! This host, this boot, and which processes live.

/// Name of this host.
pub(crate) fn host_name() -> Option<String> {
    #[cfg(unix)]
    {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        (!name.is_empty()).then_some(name)
    }
    #[cfg(not(unix))]
    std::env::var("COMPUTERNAME").ok()
}

/// Eight hexadecimal digits that differ between boots (and hosts); `00000000` where the system does not tell.
pub(crate) fn boot_mark() -> String {
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = boot_id.chars().filter(char::is_ascii_hexdigit).take(8).collect();
    if digits.len() == 8 { digits } else { "00000000".into() }
}

/// Whether a process of this number may be alive here; `true` where it cannot be known.
pub(crate) fn process_may_live(process: u32) -> bool {
    #[cfg(unix)]
    {
        let Some(pid) = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw) else { return false };
        rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
    }
    #[cfg(not(unix))]
    {
        let _ = process;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_an_impossible_one_does_not() {
        assert!(process_may_live(std::process::id()));
        assert!(process_may_live(1));
        #[cfg(unix)]
        for none in [0, u32::MAX, 0x7fff_fff0] {
            assert!(!process_may_live(none), "{none}");
        }
    }

    #[test]
    fn a_boot_mark_is_eight_hexadecimal_digits() {
        let mark = boot_mark();
        assert!(mark.len() == 8 && mark.bytes().all(|c| c.is_ascii_hexdigit()), "{mark}");
        assert_eq!(mark, boot_mark());
    }
}
