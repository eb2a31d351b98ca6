//! One TLS connection of either side: ciphertext in, plaintext out, and back. It owns no socket and never waits; the
//! shard moves the bytes.

use std::{
    io::{BufRead, Write},
    sync::Arc,
};

use rustls::{
    AlertDescription, ClientConfig, ClientConnection, Error, ServerConfig, ServerConnection, pki_types::ServerName,
};

/// Half a connection's TLS.
pub enum TlsSession {
    Client(ClientConnection),
    Server(ServerConnection),
}

/// What a feed brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fed {
    /// The peer said that it will send no more (close_notify); whatever came after it was thrown away.
    pub closed: bool,
}

/// The session cannot go on. An alert may wait to be sent: `drain` before closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct TlsFault {
    /// For the operator; holds nothing of the peer's bytes.
    pub reason: &'static str,
}

/// Runs the same code on the connection of either side, whose types share no object-safe trait.
macro_rules! either {
    ($session:expr, $connection:ident => $body:expr) => {
        match $session {
            TlsSession::Client($connection) => $body,
            TlsSession::Server($connection) => $body,
        }
    };
}

impl TlsSession {
    pub fn server(config: Arc<ServerConfig>) -> Result<Self, TlsFault> {
        let mut connection = ServerConnection::new(config).map_err(|error| fault(&error))?;
        // The shard bounds what it hands us, and takes the ciphertext at once.
        connection.set_buffer_limit(None);
        Ok(Self::Server(connection))
    }

    pub fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, TlsFault> {
        let mut connection = ClientConnection::new(config, name).map_err(|error| fault(&error))?;
        connection.set_buffer_limit(None);
        Ok(Self::Client(connection))
    }

    /// Takes all of `ciphertext`, however it was cut, and appends what it decrypts to `plaintext`, which grows by no
    /// more than `ciphertext` and one record. Handshake answers and alerts wait for `drain`.
    pub fn feed(&mut self, mut ciphertext: &[u8], plaintext: &mut Vec<u8>) -> Result<Fed, TlsFault> {
        let mut closed = false;
        while !ciphertext.is_empty() && !closed {
            either!(self, connection => {
                // An error here means a record larger than TLS allows: processing names it.
                let taken = connection.read_tls(&mut ciphertext).unwrap_or(0);
                let state = connection.process_new_packets().map_err(|error| fault(&error))?;
                closed = state.peer_has_closed();
                let mut reader = connection.reader();
                while let Ok(chunk) = reader.fill_buf() {
                    if chunk.is_empty() {
                        break;
                    }
                    plaintext.extend_from_slice(chunk);
                    let len = chunk.len();
                    reader.consume(len);
                }
                if taken == 0 && !closed {
                    return Err(TlsFault { reason: "a TLS record over the size limit" });
                }
            });
        }
        Ok(Fed { closed })
    }

    /// Encrypts `plaintext` and appends the records to `out`, after anything `drain` would give. During the handshake
    /// it is kept and comes out of `drain` when the handshake is done.
    pub fn write(&mut self, plaintext: &[u8], out: &mut Vec<u8>) {
        // Without a limit on the buffer every byte is taken.
        either!(self, connection => {
            let _ = connection.writer().write_all(plaintext);
        });
        self.drain(out);
    }

    /// Appends what the session itself wants sent: handshake messages, tickets, alerts.
    pub fn drain(&mut self, out: &mut Vec<u8>) {
        either!(self, connection => {
            while connection.wants_write() {
                // Writing to a vector does not fail; a session that fails to encode has nothing more to send.
                if connection.write_tls(out).is_err() {
                    return;
                }
            }
        });
    }

    pub fn handshaking(&self) -> bool {
        either!(self, connection => connection.is_handshaking())
    }

    /// Says that we send no more (close_notify) and appends that to `out`.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        either!(self, connection => connection.send_close_notify());
        self.drain(out);
    }
}

/// The few reasons an operator acts on; the rest are a broken or hostile peer.
fn fault(error: &Error) -> TlsFault {
    use rustls::CertificateError as Certificate;
    let reason = match error {
        Error::InvalidCertificate(certificate) => match certificate {
            Certificate::Expired | Certificate::ExpiredContext { .. } => "the peer's certificate has expired",
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                "the peer's certificate is not valid yet: check this machine's clock"
            }
            Certificate::UnknownIssuer => "the peer's certificate is signed by an unknown authority: set tls.ca",
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                "the peer's certificate is for another name: set tls.server_name"
            }
            Certificate::Revoked => "the peer's certificate is revoked",
            _ => "the peer's certificate is not acceptable",
        },
        Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired => {
                "the peer requires a client certificate: set tls.client_certificate"
            }
            AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRevoked => "the peer refused our certificate",
            AlertDescription::UnrecognisedName => "the peer serves no such name",
            AlertDescription::ProtocolVersion => "the peer speaks no TLS version of ours",
            AlertDescription::NoApplicationProtocol => "the peer does not speak HTTP/1.1",
            _ => "the peer ended the TLS session with an alert",
        },
        Error::PeerIncompatible(_) => "the peer speaks no TLS version or cipher of ours",
        Error::NoApplicationProtocol => "the peer does not speak HTTP/1.1",
        Error::InvalidMessage(_) => "the peer does not speak TLS",
        Error::DecryptError => "a TLS record does not decrypt",
        _ => "the peer broke the TLS protocol",
    };
    TlsFault { reason }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
