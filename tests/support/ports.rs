//! Port bases for servers that run side by side.
//!
//! A base is ours while this process holds an abstract socket named after each of its ports, so that neither tests of this
//! process nor of another one that runs at the same time take it (`benches/figures/server.py` and the fuzz targets among
//! them); a port that somebody else listens on is passed over.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// The standard ports that a server of the tests may add to its base, and ManageSieve's, which no server has yet: that of a
/// program that a test drives.
const STANDARD: [u16; 10] = [24, 25, 110, 143, 465, 587, 993, 995, 4190, 8025];
/// Bases whose ports are all below the ephemeral ones of Linux (32,768), which outgoing connections may hold.
const BASES: (u16, u16) = (5_000, 24_000);

/// A base and the claims on its ports.
#[derive(Debug)]
pub struct Ports {
    base: u16,
    _claims: Vec<UnixListener>,
}

impl Ports {
    /// The first free base.
    pub fn claim() -> Ports {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let span = (BASES.1 - BASES.0) / 10;
        let start = (std::process::id() % u32::from(span)) as u16;
        for _ in 0..span {
            // 137 and the number of bases have no common divisor, so that every base comes up.
            let turn = u32::from(start) + u32::from(NEXT.fetch_add(1, Ordering::Relaxed)) * 137;
            let base = BASES.0 + (turn % u32::from(span)) as u16 * 10;
            if let Some(claims) = STANDARD.iter().map(|standard| claim(base + standard)).collect::<Option<Vec<_>>>() {
                return Ports { base, _claims: claims };
            }
        }
        panic!("no base is free between {} and {}", BASES.0, BASES.1);
    }

    /// What goes after `--port-base`.
    pub fn base(&self) -> u16 {
        self.base
    }
}

fn claim(port: u16) -> Option<UnixListener> {
    let name = SocketAddr::from_abstract_name(format!("ringpost-tests-{port}")).expect("a short name");
    let claim = UnixListener::bind_addr(&name).ok()?;
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        && (TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_ok() || !has_ipv6());
    free.then_some(claim)
}

/// Whether `::1` exists here.
pub fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}
