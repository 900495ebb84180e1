//! One connection, plain or TLS: lines with strict CRLF, counted octets, and a deadline on every read.
//!
//! TLS is rustls with the data folder's certificate taken as it comes: what is tested is the server's side.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use super::PATIENCE;

/// A line longer than this is not a line of these protocols.
const LINE_BYTES_MAX: usize = 1 << 20;

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// A connection to the server.
pub struct Wire {
    stream: Stream,
    buffer: Vec<u8>,
    start: usize,
    closed: bool,
}

impl Wire {
    /// Connects to the loopback.
    pub fn connect(port: u16) -> io::Result<Wire> {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Wire { stream: Stream::Plain(socket), buffer: Vec::new(), start: 0, closed: false })
    }

    /// Connects to a port that speaks TLS from the first octet.
    pub fn connect_tls(port: u16) -> io::Result<Wire> {
        Wire::connect(port)?.into_tls()
    }

    /// Begins TLS on this connection and finishes the handshake.
    pub fn into_tls(self) -> io::Result<Wire> {
        let Stream::Plain(mut socket) = self.stream else { panic!("TLS within TLS") };
        let name = ServerName::try_from("localhost").expect("a name");
        let mut connection = ClientConnection::new(client_config(), name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        let stream = Stream::Tls(Box::new(StreamOwned::new(connection, socket)));
        // Octets that were read before the handshake are of the plain dialogue; callers look at them first.
        Ok(Wire { stream, buffer: Vec::new(), start: 0, closed: false })
    }

    /// The socket below.
    pub fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => &tls.sock,
        }
    }

    /// Another deadline for each read.
    pub fn set_patience(&self, patience: Duration) {
        self.socket().set_read_timeout(Some(patience)).expect("a time-out");
    }

    /// Writes everything.
    pub fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(socket) => socket.write_all(octets),
            Stream::Tls(tls) => tls.write_all(octets).and_then(|()| tls.flush()),
        }
    }

    /// No more will be written.
    pub fn finish(&self) {
        let _ = self.socket().shutdown(Shutdown::Write);
    }

    /// Reads more into the buffer; 0 at the end.
    fn fill(&mut self) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let length = self.buffer.len();
        self.buffer.resize(length + 64 * 1024, 0);
        let read = match &mut self.stream {
            Stream::Plain(socket) => socket.read(&mut self.buffer[length..]),
            Stream::Tls(tls) => tls.read(&mut self.buffer[length..]),
        };
        self.buffer.truncate(length + *read.as_ref().unwrap_or(&0));
        let read = read.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "no answer in time"),
            _ => error,
        });
        self.closed = match &read {
            Ok(octets) => *octets == 0,
            Err(error) => error.kind() != io::ErrorKind::TimedOut,
        };
        read
    }

    /// Whether the last read found the end of the connection.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// One line without its CRLF. A line that ends otherwise is an error.
    pub fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut searched = 0;
        loop {
            let unread = &self.buffer[self.start..];
            if let Some(at) = unread[searched..].iter().position(|&octet| octet == b'\n') {
                let end = searched + at;
                if end == 0 || unread[end - 1] != b'\r' {
                    return Err(invalid(format!("a line that ends with LF alone: {}", super::show(&unread[..=end]))));
                }
                let line = unread[..end - 1].to_vec();
                self.start += end + 1;
                return Ok(line);
            }
            searched = unread.len();
            if searched > LINE_BYTES_MAX {
                return Err(invalid("an endless line".to_owned()));
            }
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Exactly `count` octets.
    pub fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() - self.start < count {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let octets = self.buffer[self.start..self.start + count].to_vec();
        self.start += count;
        Ok(octets)
    }

    /// Everything until the server closes; an error where it doesn't.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.fill() {
                Ok(0) => break,
                Ok(_) => {}
                // A close with octets of ours unread is a reset, and TLS may end without its alert: both are ends.
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(error),
                Err(_) => break,
            }
        }
        Ok(self.buffer.split_off(self.start))
    }

    /// What comes within `time`, without waiting for more.
    pub fn within(&mut self, time: Duration) -> Vec<u8> {
        self.set_patience(time);
        while matches!(self.fill(), Ok(read) if read > 0) {}
        self.set_patience(PATIENCE);
        self.start = 0;
        std::mem::take(&mut self.buffer)
    }
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn client_config() -> Arc<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.expect("versions").dangerous();
    Arc::new(builder.with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))).with_no_client_auth())
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
