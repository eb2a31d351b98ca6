//! The control plane's HTTP address: `/metrics` and `/healthz` for everyone who reaches it, `/admin` with a token.
//! Follows the document: opened, moved and closed as revisions come into force.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::task::JoinHandle;
use tollgate_config::Problem;

use crate::{api, listeners::bind_problem, plane::Plane};

/// What a document wants, opened before it is in force.
#[derive(Debug)]
pub enum AdminOpening {
    /// As it is now.
    Same,
    Closed,
    Fresh(SocketAddr, TcpListener),
}

struct Running {
    configured: SocketAddr,
    actual: SocketAddr,
    server: JoinHandle<()>,
}

#[derive(Default)]
pub struct AdminServer {
    running: Mutex<Option<Running>>,
}

impl AdminServer {
    /// Where it listens now.
    pub fn address(&self) -> Option<SocketAddr> {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .map(|r| r.actual)
    }

    pub fn open(&self, wanted: Option<SocketAddr>) -> Result<AdminOpening, Problem> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match wanted {
            None => Ok(AdminOpening::Closed),
            Some(address) if running.as_ref().is_some_and(|r| r.configured == address) => Ok(AdminOpening::Same),
            Some(address) => {
                let listen = || {
                    let listener = TcpListener::bind(address)?;
                    listener.set_nonblocking(true)?;
                    Ok(listener)
                };
                let listener = listen().map_err(|error| bind_problem("/admin/address", address, &error))?;
                Ok(AdminOpening::Fresh(address, listener))
            }
        }
    }

    pub fn put_in_force(&self, plane: &Arc<Plane>, opening: AdminOpening) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let next = match opening {
            AdminOpening::Same => return,
            AdminOpening::Closed => None,
            AdminOpening::Fresh(configured, listener) => match serve(plane.clone(), listener) {
                Ok((actual, server)) => Some(Running {
                    configured,
                    actual,
                    server,
                }),
                Err(error) => {
                    tracing::warn!(%error, address = %configured, "the admin address cannot be served");
                    None
                }
            },
        };
        if let Some(former) = std::mem::replace(&mut *running, next) {
            former.server.abort();
        }
    }
}

fn serve(plane: Arc<Plane>, listener: TcpListener) -> std::io::Result<(SocketAddr, JoinHandle<()>)> {
    let actual = listener.local_addr()?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let server = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, api::admin_router(plane)).await {
            tracing::warn!(%error, "the admin address ended");
        }
    });
    Ok((actual, server))
}
