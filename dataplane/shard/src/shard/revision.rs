//! The revision in force on a shard: its snapshot, and what the shell derives from it once.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use hashbrown::{HashMap, HashSet};
use tollgate_engine::{Snapshot, exchange::Pinned};

use super::Shard;
use crate::{
    messages::Prepared,
    tls::TlsSet,
    upstream::{Proxy, Route},
};
use tollgate_config::document::{ClientLimits, Provider};

pub struct Running {
    /// Replaced when keys change; exchanges hold the one they began with.
    pub pinned: RefCell<Rc<Pinned>>,
    pub tls: RefCell<Arc<TlsSet>>,
    /// Index into `document.listeners` by name.
    pub listeners: HashMap<String, usize>,
    /// By endpoint.
    pub routes: RefCell<Vec<Rc<Route>>>,
    pub client: ClientLimits,
}

impl Running {
    pub fn pin(&self) -> Rc<Pinned> {
        Rc::clone(&self.pinned.borrow())
    }

    pub fn route(&self, endpoint: u16) -> Option<Rc<Route>> {
        self.routes.borrow().get(endpoint as usize).cloned()
    }
}

impl Shard {
    /// Puts a prepared revision in force from the next request on.
    pub fn adopt(&mut self, prepared: &Prepared) {
        let snapshot = &prepared.snapshot;
        let document = &snapshot.document;
        let listeners = document
            .listeners
            .iter()
            .enumerate()
            .map(|(i, (name, _))| (name.clone(), i))
            .collect();
        let pinned = Pinned {
            snapshot: Arc::clone(snapshot),
            keys: Arc::clone(&prepared.keys),
        };
        let running = Running {
            pinned: RefCell::new(Rc::new(pinned)),
            tls: RefCell::new(Arc::clone(&prepared.tls)),
            listeners,
            routes: RefCell::default(),
            client: document.client,
        };
        let running = Rc::new(running);
        self.make_routes(&running);
        self.keep_tokens(snapshot);
        self.metrics.revision(snapshot);
        self.spool.keep(&document.usage);
        self.local.pressure.bound(document.overload);
        self.running = Some(running);
        self.plan_checks(snapshot);
    }

    /// Lets go of tokens that neither this revision nor the one before wants: calls of that one are still under way.
    fn keep_tokens(&mut self, snapshot: &Snapshot) {
        let before = self.running.as_ref().map(|running| running.pin());
        let before = before.iter().flat_map(|pinned| pinned.snapshot.exchanges());
        let wanted: HashSet<u64> = snapshot
            .exchanges()
            .chain(before)
            .map(|exchanged| exchanged.id)
            .collect();
        self.local.tokens.keep(|id| wanted.contains(&id));
    }

    /// Routes of all endpoints; pools are kept by fingerprint, those nobody uses any more are closed.
    pub fn make_routes(&mut self, running: &Running) {
        let pinned = running.pin();
        let tls = running.tls.borrow();
        let mut routes = Vec::new();
        for (index, endpoint) in pinned.snapshot.endpoints.iter().enumerate() {
            let Some((_, provider)) = pinned.snapshot.document.providers.get(endpoint.index) else {
                continue;
            };
            let pool = self
                .pools
                .of(&endpoint.provider, endpoint.fingerprint, provider.connections.max_idle);
            routes.push(Rc::new(Route {
                provider: endpoint.provider.clone(),
                pool,
                host: provider.base_url.host.clone(),
                port: provider.base_url.port,
                tls: tls.endpoints.get(index).cloned().flatten(),
                proxy: proxy(provider, endpoint.proxy_authorization.clone()),
                connect_ms: provider.timeouts.connect_ms,
                idle_ms: provider.connections.idle_timeout_ms,
            }));
        }
        let used: Vec<usize> = routes.iter().map(|route| route.pool).collect();
        for id in self.pools.retire_unused(&used) {
            self.drop_up(id);
        }
        *running.routes.borrow_mut() = routes;
    }
}

/// The proxy for this provider, unless `no_proxy` names its host.
fn proxy(provider: &Provider, authorization: Option<Vec<u8>>) -> Option<Proxy> {
    let proxy = provider.proxy.as_ref()?;
    proxy.takes(&provider.base_url.host).then(|| Proxy {
        host: proxy.host.clone(),
        port: proxy.port,
        authorization,
    })
}
