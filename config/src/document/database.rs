//! Where several control planes keep what they share, as an operator says it.

use super::{Reference, UpstreamTls};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postgres {
    /// A name, an IP address, or the folder of a Unix socket.
    pub host: String,
    pub port: u16,
    pub user: String,
    /// Of the database.
    pub name: String,
    /// All tables are in it; made where it is missing.
    pub schema: String,
    pub password: Option<Reference>,
    pub tls: PostgresTls,
    /// At most so many at once, of each control plane.
    pub connections: u16,
}

impl Postgres {
    /// The folder of a socket, rather than a host.
    pub fn is_local(&self) -> bool {
        self.host.starts_with('/')
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostgresTls {
    Off,
    /// The server's certificate is verified, always.
    Verified(UpstreamTls),
}
