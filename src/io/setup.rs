//! Makes the ring, or says in one line why it can't be made here and what to do about it.
//!
//! The floor is Linux 6.1, the first with DEFER_TASKRUN; every operation that the server uses is there by then, so
//! nothing else is probed. io_uring may be forbidden by the sysctl `kernel.io_uring_disabled` (6.6) or by a container's
//! seccomp profile: both answer EPERM, and only the first can be read, so the second is what remains.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use io_uring::IoUring;

/// How large a ring is made.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Entries of the submission queue; more are submitted in several calls.
    pub submissions: u32,
    /// Entries of the completion queue; the kernel keeps what does not fit.
    pub completions: u32,
    /// Receive buffers in the provided ring, a power of two.
    pub buffers: u16,
    /// Octets of one receive buffer.
    pub buffer_bytes: u32,
}

/// Why no ring could be made.
#[derive(Debug)]
pub enum Unavailable {
    /// The sysctl forbids it, with its value.
    Sysctl(String),
    /// A seccomp profile (or another security module) forbids it.
    Forbidden,
    /// The kernel has no io_uring, or is older than the floor.
    TooOld(String),
    /// Something else, as the kernel said it.
    Other(io::Error),
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unavailable::Sysctl(value) => write!(
                f,
                "io_uring is forbidden by the sysctl kernel.io_uring_disabled={value}; allow it: sysctl -w kernel.io_uring_disabled=0"
            ),
            Unavailable::Forbidden => write!(
                f,
                "io_uring is forbidden by a seccomp profile; allow io_uring_setup, io_uring_enter and io_uring_register in it \
                 (Docker: --security-opt seccomp=PROFILE)"
            ),
            Unavailable::TooOld(release) => {
                write!(
                    f,
                    "Linux {release} is too old: io_uring with DEFER_TASKRUN needs 6.1 or later; upgrade the kernel"
                )
            }
            Unavailable::Other(error) => write!(f, "cannot set up io_uring: {error}"),
        }
    }
}

impl std::error::Error for Unavailable {}

/// Makes a ring for the calling thread, the only one that may submit to it.
pub(super) fn make(sizes: &Sizes) -> Result<IoUring, Unavailable> {
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_coop_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_clamp()
        .setup_cqsize(sizes.completions)
        .build(sizes.submissions)
        .map_err(explain)
}

fn explain(error: io::Error) -> Unavailable {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => match read("/proc/sys/kernel/io_uring_disabled") {
            value if value == "1" || value == "2" => Unavailable::Sysctl(value),
            _ => Unavailable::Forbidden,
        },
        // EINVAL: a flag that the kernel does not know.
        Some(libc::ENOSYS | libc::EINVAL) => match read("/proc/sys/kernel/osrelease") {
            // seccomp profiles also answer ENOSYS; the release tells the two apart.
            release if is_before_floor(&release) => Unavailable::TooOld(release),
            _ if error.raw_os_error() == Some(libc::ENOSYS) => Unavailable::Forbidden,
            _ => Unavailable::Other(error),
        },
        _ => Unavailable::Other(error),
    }
}

fn is_before_floor(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < (6, 1)
}

/// A new eventfd, for a shard's doorbell.
pub fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: no pointer is passed; the result is checked before it is owned.
    unsafe {
        match libc::eventfd(0, libc::EFD_CLOEXEC) {
            -1 => Err(io::Error::last_os_error()),
            descriptor => Ok(OwnedFd::from_raw_fd(descriptor)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_6_1() {
        for (release, before) in
            [("5.15.0-91-generic", true), ("6.0.19", true), ("6.1.0-18-amd64", false), ("6.18.44", false)]
        {
            assert_eq!(is_before_floor(release), before, "{release}");
        }
    }

    #[test]
    fn each_refusal_names_cause_and_cure() {
        assert!(Unavailable::Sysctl("2".into()).to_string().contains("sysctl -w kernel.io_uring_disabled=0"));
        assert!(Unavailable::Forbidden.to_string().contains("seccomp"));
        assert!(matches!(explain(io::Error::from_raw_os_error(libc::EMFILE)), Unavailable::Other(_)));
    }
}
