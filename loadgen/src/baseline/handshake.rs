//! A full TLS 1.3 handshake as a server has it: its part of the cryptography in memory, and what the sockets cost around it.
//!
//! The server's calls alone are timed; the client's run between them on the same thread. There are no tickets, as the server that is
//! measured has none. The certificate is made anew for each run: a self-signed one of ECDSA on P-256.

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ServerConfig, ServerConnection};

use super::{Measure, Place, Round, beside};
use crate::machine::thread_cpu_seconds;
use crate::trust;

/// Both ends' configurations.
pub(super) struct Handshake {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

/// What one handshake took and sent.
struct Done {
    server_cpu_seconds: f64,
    /// Octets of the ClientHello.
    hello: usize,
    /// Octets of the server's answer to it.
    answer: usize,
}

impl Handshake {
    pub(super) fn new() -> Result<Handshake, String> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).map_err(|error| error.to_string())?;
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .map_err(|error| error.to_string())?;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Handshake { server: Arc::new(server), client: trust::config(None, true, false)? })
    }

    /// One handshake in memory.
    fn once(&self) -> Result<Done, String> {
        let text = |error: std::io::Error| error.to_string();
        let name = ServerName::try_from("localhost").map_err(|error| error.to_string())?;
        let mut client = ClientConnection::new(self.client.clone(), name).map_err(|error| error.to_string())?;
        let mut hello = Vec::with_capacity(4096);
        client.write_tls(&mut hello).map_err(text)?;
        let mut answer = Vec::with_capacity(4096);
        let from = thread_cpu_seconds();
        let mut server = ServerConnection::new(self.server.clone()).map_err(|error| error.to_string())?;
        server.read_tls(&mut hello.as_slice()).map_err(text)?;
        server.process_new_packets().map_err(|error| error.to_string())?;
        while server.wants_write() {
            server.write_tls(&mut answer).map_err(text)?;
        }
        let first = thread_cpu_seconds() - from;
        let mut rest = answer.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).map_err(text)?;
            client.process_new_packets().map_err(|error| error.to_string())?;
        }
        let mut finished = Vec::with_capacity(1024);
        while client.wants_write() {
            client.write_tls(&mut finished).map_err(text)?;
        }
        let from = thread_cpu_seconds();
        server.read_tls(&mut finished.as_slice()).map_err(text)?;
        server.process_new_packets().map_err(|error| error.to_string())?;
        let second = thread_cpu_seconds() - from;
        if server.handshake_kind() != Some(HandshakeKind::Full) || server.is_handshaking() || client.is_handshaking() {
            return Err("the handshake in memory did not end as a full one".into());
        }
        Ok(Done { server_cpu_seconds: first + second, hello: hello.len(), answer: answer.len() })
    }

    /// accept, recv, send, close of connections that bring a ClientHello and take its answer. Processor seconds of one.
    fn sockets(place: &Place, hello: usize, answer: usize) -> Result<f64, String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let (hello, answer) = (vec![b'h'; hello], vec![b'a'; answer]);
        let client = || {
            let mut scratch = vec![0; 4 * answer.len()];
            // The last connection is reset, and the next one refused, once the listener is gone.
            while let Ok(mut stream) = TcpStream::connect(address) {
                if stream.write_all(&hello).is_ok() {
                    while stream.read(&mut scratch).is_ok_and(|count| count > 0) {}
                }
            }
        };
        let mut scratch = vec![0; 4 * hello.len()];
        beside(place, client, || {
            let (from, cpu) = (Instant::now(), thread_cpu_seconds());
            let mut accepted = 0u64;
            while accepted == 0 || from.elapsed() < place.time {
                let (mut stream, _) = listener.accept()?;
                black_box(stream.read(&mut scratch)?);
                stream.write_all(&answer)?;
                accepted += 1;
            }
            let each = (thread_cpu_seconds() - cpu) / accepted as f64;
            drop(listener);
            Ok(each)
        })
    }
}

impl Measure for Handshake {
    fn measure(&mut self, place: &Place, round: &mut Round) -> Result<(), String> {
        let from = Instant::now();
        let (mut seconds, mut times) = (0.0, 0u64);
        let last = loop {
            let done = self.once()?;
            seconds += done.server_cpu_seconds;
            times += 1;
            if from.elapsed() >= place.time {
                break done;
            }
        };
        round.put("handshake_in_memory_cpu_microseconds", seconds / times as f64 * 1e6);
        let each = Handshake::sockets(place, last.hello, last.answer)?;
        round.put("accept_recv_send_cpu_microseconds", each * 1e6);
        Ok(())
    }
}
