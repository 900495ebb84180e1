//! Binds listening sockets: SO_REUSEPORT, so that each shard has its own and the kernel spreads connections.
//!
//! TCP_NODELAY is set here once: accepted sockets inherit it. A port that another program listens on is found, because
//! each address is first bound without SO_REUSEPORT.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use socket2::{Domain, Protocol, Socket, Type};

use crate::limits;

/// Binds `address` once for each of `shards`; all of them listen. Port 0: one that is free, the same for all.
pub fn bind(address: SocketAddr, shards: usize) -> io::Result<Vec<OwnedFd>> {
    // With SO_REUSEPORT alone a second server of the same user would share the port and take half the connections.
    let probe = socket(address)?;
    probe.bind(&address.into())?;
    let address = probe.local_addr()?.as_socket().unwrap_or(address);
    drop(probe);
    (0..shards)
        .map(|_| {
            let listener = socket(address)?;
            listener.set_reuse_port(true)?;
            listener.bind(&address.into())?;
            listener.listen(limits::BACKLOG)?;
            Ok(OwnedFd::from(listener))
        })
        .collect()
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// True for the errors of an accept that mean that something ran out here, not that the client went away.
pub fn exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_found_though_both_would_share_it() {
        let first = bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let taken = std::net::TcpListener::from(first[0].try_clone().unwrap()).local_addr().unwrap();
        assert_eq!(bind(taken, 2).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
