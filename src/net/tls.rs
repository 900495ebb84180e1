//! TLS by rustls's unbuffered interface: octets in, octets out, no sockets.
//!
//! Invariants: ciphertext that is not a whole record yet is the only input kept, and the buffer for it is freed when it
//! is empty, so that an idle connection costs rustls's own state alone; what must be sent is appended to the caller's
//! output in order. rustls is named here and nowhere else. (RFC 8446, RFC 8314)

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, InsufficientSizeError};

/// What a listener presents in TLS, and how. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ServerTls(Arc<ServerConfig>);

/// The server's side of one TLS connection.
pub struct Tls {
    connection: UnbufferedServerConnection,
    /// The beginning of a record whose end has not come yet.
    partial: Vec<u8>,
    /// TLS's own messages, encoded and not yet sent.
    outgoing: Vec<u8>,
    established: bool,
    closed: bool,
}

/// Why a TLS connection ended: the client's fault, in rustls's words.
#[derive(Debug)]
pub struct TlsError(rustls::Error);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Loads what listeners present: a certificate chain and its key in PEM. `minimum_1_3`: TLS 1.2 is refused.
pub fn load_server(certificate: &Path, key: &Path, minimum_1_3: bool) -> Result<ServerTls, String> {
    let read = |path: &Path| fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
    let chain = CertificateDer::pem_slice_iter(&read(certificate)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("{} is not a PEM certificate: {error}", certificate.display()))?;
    if chain.is_empty() {
        return Err(format!("{} holds no certificate", certificate.display()));
    }
    let key_der = PrivateKeyDer::from_pem_slice(&read(key)?)
        .map_err(|error| format!("{} is not a PEM private key: {error}", key.display()))?;
    let versions: &[_] = if minimum_1_3 { &[&rustls::version::TLS13] } else { rustls::ALL_VERSIONS };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .map_err(|error| format!("{} and {} do not fit: {error}", certificate.display(), key.display()))?;
    // No resumption: rustls's memory of sessions is one lock for all shards, and a ticket of one listener would be taken at
    // another. A mail program holds its connections.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(ServerTls(Arc::new(config)))
}

impl Tls {
    /// A connection about to do its handshake.
    pub fn new(config: &ServerTls) -> Result<Tls, TlsError> {
        let connection = UnbufferedServerConnection::new(config.0.clone()).map_err(TlsError)?;
        Ok(Tls { connection, partial: Vec::new(), outgoing: Vec::new(), established: false, closed: false })
    }

    /// The handshake is done.
    pub fn established(&self) -> bool {
        self.established
    }

    /// The client has closed its side in TLS's own way.
    pub fn closed(&self) -> bool {
        self.closed
    }

    /// TLS has messages of its own to send.
    pub fn has_outgoing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Moves TLS's own messages to `output`: they go before what is encrypted next.
    pub fn take_outgoing(&mut self, output: &mut Vec<u8>) {
        output.extend_from_slice(&std::mem::take(&mut self.outgoing));
    }

    /// Takes what was received and appends the plaintext to `plain`. There may be something to send in answer, an alert
    /// where it fails.
    pub fn receive(&mut self, received: &mut [u8], plain: &mut Vec<u8>) -> Result<(), TlsError> {
        let (used, result) = if self.partial.is_empty() {
            let (used, result) = self.process(received, plain);
            self.partial.extend_from_slice(&received[used..]);
            (0, result)
        } else {
            let mut partial = std::mem::take(&mut self.partial);
            partial.extend_from_slice(received);
            let outcome = self.process(&mut partial, plain);
            self.partial = partial;
            outcome
        };
        self.discard(used);
        // What was not used is kept first: rustls counts from its beginning at whatever it is asked next.
        result.inspect_err(|_| self.alert())
    }

    fn discard(&mut self, count: usize) {
        self.partial.drain(..count);
        if self.partial.is_empty() {
            self.partial = Vec::new();
        }
    }

    /// How much of `incoming` was used, and how it went.
    fn process(&mut self, incoming: &mut [u8], plain: &mut Vec<u8>) -> (usize, Result<(), TlsError>) {
        let mut used = 0;
        loop {
            let status = self.connection.process_tls_records(&mut incoming[used..]);
            let mut discard = status.discard;
            let mut more = true;
            match status.state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        match record {
                            Ok(record) => {
                                discard += record.discard;
                                plain.extend_from_slice(record.payload);
                            }
                            Err(error) => return (used + discard, Err(TlsError(error))),
                        }
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut self.outgoing, |into| match data.encode(into) {
                        Ok(length) => Ok(length),
                        Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                            Err(required_size)
                        }
                        // Nothing more to encode.
                        Err(EncodeError::AlreadyEncoded) => Ok(0),
                    })
                }
                // It is in `outgoing`, which is sent before anything else.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    self.closed = true;
                    more = false;
                }
                Ok(ConnectionState::WriteTraffic(_)) => {
                    self.established = true;
                    more = false;
                }
                // Early data is never offered, so what else there may be one day only needs more input.
                Ok(_) => more = false,
                Err(error) => return (used + discard, Err(TlsError(error))),
            }
            used += discard;
            if !more {
                return (used, Ok(()));
            }
        }
    }

    /// Encodes the alert that rustls queued when it failed.
    fn alert(&mut self) {
        if let Ok(ConnectionState::EncodeTlsData(mut data)) =
            self.connection.process_tls_records(&mut self.partial).state
        {
            encode(&mut self.outgoing, |into| match data.encode(into) {
                Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => Err(required_size),
                other => Ok(other.unwrap_or(0)),
            });
        }
    }

    /// Encrypts `plain` onto `output`.
    pub fn encrypt(&mut self, plain: &[u8], output: &mut Vec<u8>) -> Result<(), TlsError> {
        self.take_outgoing(output);
        self.write(output, |traffic, into| match traffic.encrypt(plain, into) {
            Ok(length) => Ok(length),
            Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => Err(required_size),
            // 2^64 records; the connection ends with the next read.
            Err(EncryptError::EncryptExhausted) => Ok(0),
        })
    }

    /// Queues the alert that says that nothing follows.
    pub fn close_notify(&mut self) -> Result<(), TlsError> {
        let mut output = std::mem::take(&mut self.outgoing);
        let result = self.write(&mut output, |traffic, into| match traffic.queue_close_notify(into) {
            Ok(length) => Ok(length),
            Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => Err(required_size),
            Err(EncryptError::EncryptExhausted) => Ok(0),
        });
        self.outgoing = output;
        result
    }

    fn write(
        &mut self,
        output: &mut Vec<u8>,
        mut act: impl FnMut(
            &mut rustls::unbuffered::WriteTraffic<'_, rustls::server::ServerConnectionData>,
            &mut [u8],
        ) -> Result<usize, usize>,
    ) -> Result<(), TlsError> {
        loop {
            let status = self.connection.process_tls_records(&mut self.partial);
            // Whole records were processed when they came; what is partial now can't be used.
            debug_assert_eq!(status.discard, 0);
            match status.state.map_err(TlsError)? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    encode(output, |into| act(&mut traffic, into));
                    return Ok(());
                }
                ConnectionState::EncodeTlsData(mut data) => encode(output, |into| match data.encode(into) {
                    Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => Err(required_size),
                    other => Ok(other.unwrap_or(0)),
                }),
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.closed = true,
                // Nothing can be sent (before the handshake's end, or after both sides closed).
                _ => return Ok(()),
            }
        }
    }
}

/// Appends what `act` writes into a slice that is large enough: it answers the length, or the room that it needs.
fn encode(output: &mut Vec<u8>, mut act: impl FnMut(&mut [u8]) -> Result<usize, usize>) {
    let start = output.len();
    let mut room = output.capacity() - start;
    loop {
        output.resize(start + room, 0);
        match act(&mut output[start..]) {
            Ok(length) => {
                output.truncate(start + length);
                return;
            }
            Err(required) => room = required,
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls(established {}, closed {})", self.established, self.closed)
    }
}
