//! Compiled by the test of partial backups and loaded before the C library: reads of the bytes
//! from 10 MiB to 10 MiB + 4 KiB of any file fail with EIO, as those of a worn disk do.
#![crate_type = "cdylib"]

use std::ffi::{c_int, c_long, c_void};

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn __errno_location() -> *mut c_int;
}

#[cfg(target_arch = "x86_64")]
const SYS_PREAD64: c_long = 17;
#[cfg(target_arch = "aarch64")]
const SYS_PREAD64: c_long = 67;
const EIO: c_int = 5;
const BAD: std::ops::Range<i64> = 10 << 20..(10 << 20) + 4096;

/// # Safety
/// As `pread64(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pread64(file: c_int, buffer: *mut c_void, bytes: usize, offset: i64) -> isize {
    if offset < BAD.end && BAD.start < offset + bytes as i64 {
        unsafe { *__errno_location() = EIO };
        return -1;
    }
    unsafe { syscall(SYS_PREAD64, file as c_long, buffer, bytes, offset) as isize }
}
